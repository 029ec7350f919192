import assert from 'node:assert/strict'
import { test } from 'node:test'
import { changeOf } from '../../../handlers/commands/reconcile.ts'
import { createEdgeRig, edgeRegion } from './edge-rig.ts'
import { createRig, shown } from './rig.ts'

const DIVERGED = [
  { key: 'tenant-7', values: { A: 12, B: 7 }, since: Date.UTC(2026, 4, 4, 2, 13) },
  { key: 'tenant-9', values: { A: 40, B: 100 }, since: null },
]

test('reconcile asks first, with keys, examples and tokens; then it begins and says where it is told', async (t) => {
  const { say, edge, run, world, audit } = await createEdgeRig(t)
  edge.conflicts = DIVERGED
  const asked = await say('reconcile')
  assert.equal(
    asked.summary,
    'Reconcile A and B, the highest copy wins: 2 keys diverge, such as tenant-9 (A 40, B 100), tenant-7 (A 12, B 7); it admits 65 tokens more (A +60 in 1 key, B +5 in 1 key). A snapshot is taken before.',
  )
  assert.equal(asked.lines[0], 'Confirm it: /claw approve a1 (or /claw deny a1). It expires in 15 min.')
  const done = await say('approve a1')
  assert.equal(done.summary, 'o1 has begun: Reconcile A and B (highest capacity).')
  assert.match(shown(done), /Progress is told in incident 1\.\nStop it: \/claw cancel o1\.$/)
  assert.deepEqual(
    done.buttons.map(({ command }) => command),
    ['cancel o1', 'operations o1'],
  )
  const { kind, input, regions, by, incident, state } = await run(1)
  assert.deepEqual(
    { kind, input, regions, by, incident, state },
    {
      kind: 'reconcile',
      input: { regions: ['A', 'B'], policy: 'highest-capacity' },
      regions: ['A', 'B'],
      by: 'Dana',
      incident: 1,
      state: 'running',
    },
  )
  assert.deepEqual([await world.story(), edge.changed], [['opened', 'operation'], []])
  assert.deepEqual((await audit()).slice(0, 2), ['Dana reconcile asked', 'Dana reconcile done'])
})

test('the answer for programs names the operation, its incident and the figures', async (t) => {
  const { sure, edge } = await createEdgeRig(t)
  edge.conflicts = DIVERGED
  const done = await sure('reconcile b --policy lowest-available')
  assert.deepEqual([done.ok, done.incident], [true, null])
  assert.deepEqual(done.data, {
    operation: 'o1',
    kind: 'reconcile',
    regions: ['B'],
    incident: null,
    policy: 'lowest-available',
    keys: 2,
    tokens: -60,
  })
  assert.match(shown(done), /No open incident touches it: operations o1 shows its progress/)
})

test('the policy decides what is chosen: the tokens admitted follow from it', () => {
  const full = [edgeRegion('A'), edgeRegion('B', { bucket: { capacity: 1000, available: 400, ratio: 0.4 } })]
  assert.equal(changeOf(DIVERGED, ['A', 'B'], 'highest-capacity', full).tokens, 65)
  assert.equal(changeOf(DIVERGED, ['A', 'B'], 'lowest-available', full).tokens, -65)
  assert.equal(changeOf(DIVERGED, ['A', 'B'], 'reset-and-reseed', full).tokens, 640)
  assert.equal(changeOf(DIVERGED, ['A', 'B'], 'reset-and-reseed', null).tokens, null)
  assert.equal(changeOf(DIVERGED, ['C'], 'highest-capacity', full).found.length, 0)
})

test('the words are read as people type them', async (t) => {
  const { sure, run, end } = await createEdgeRig(t)
  let id = 0
  for (const [text, regions, policy] of [
    ['reconcile a, B and A', ['A', 'B'], 'highest-capacity'],
    ['reconcile all —policy=reset-and-reseed', ['A', 'B'], 'reset-and-reseed'],
    ['reconcile --policy Lowest-Available b', ['B'], 'lowest-available'],
    ['sync', ['A', 'B'], 'highest-capacity'],
  ] as const) {
    const done = await sure(text)
    assert.equal(done.ok, true, `${text}: ${done.summary}`)
    id += 1
    assert.deepEqual((await run(id)).input, { regions, policy }, text)
    await end(id, { state: 'succeeded', summary: 'done' })
  }
  for (const [text, code, why] of [
    ['reconcile --policy', 'invalid', /--policy needs a value/],
    ['reconcile --policy lowest', 'invalid', /highest-capacity, lowest-available, reset-and-reseed/],
    ['reconcile --polcy x', 'invalid', /there is no --polcy; did you mean "policy"/],
    ['reconcile AA', 'not_found', /no region AA; did you mean "A"\? Regions: A, B\./],
  ] as const) {
    const no = await sure(text)
    assert.equal(no.code, code, text)
    assert.match(no.summary, why)
  }
})

test('a region whose name has blanks is found', async (t) => {
  const { sure, edge, run } = await createEdgeRig(t)
  edge.regions = [edgeRegion('us'), edgeRegion('us east 1')]
  assert.equal((await sure('reconcile "us east 1" us')).ok, true)
  assert.deepEqual((await run(1)).regions, ['us east 1', 'us'])
})

test('an edge that is silent is said in words, and hinders nothing; none at all is refused', async (t) => {
  const { say, sure, edge, run, outside } = await createEdgeRig(t)
  edge.down = true
  assert.equal(
    (await say('reconcile C')).summary,
    'Reconcile C, the highest copy wins: how many keys diverge cannot be told now, the edge does not say. The edge does not answer now: neither the region nor its figures could be checked. A snapshot is taken before.',
  )
  assert.equal((await sure('reconcile')).ok, true)
  assert.deepEqual((await run(1)).input, { regions: [], policy: 'highest-capacity' })
  outside.edge = null
  const no = await sure('reconcile')
  assert.deepEqual([no.code, /edge\.url/.test(no.summary)], ['unavailable', true])
})

test('another one in the way is named, with how to stop it; nothing begins', async (t) => {
  const { say, sure, store, world } = await createEdgeRig(t)
  await sure('reconcile A')
  world.wait(60_000)
  assert.match(
    (await say('reconcile', { as: 'Bob' })).summary,
    /o1 runs there: Reconcile A \(highest capacity\), by Dana\./,
  )
  const no = await sure('reconcile', { as: 'Bob' })
  assert.deepEqual([no.code, no.data, no.incident], ['conflict', { busy: 'o1' }, 1])
  assert.match(
    shown(no),
    /^o1 is in the way: Reconcile A \(highest capacity\), by Dana since 1 min\. Nothing was started\.\n.*\/claw cancel o1\.$/,
  )
  assert.equal((await store.workflows({ limit: 9 })).length, 1)
})

test('conflicts lists what diverges, the largest difference first', async (t) => {
  const { say, edge } = await createEdgeRig(t)
  assert.equal((await say('conflicts', { as: 'Vic' })).summary, 'No key diverges.')
  edge.conflicts = DIVERGED
  const found = await say('conflicts a', { as: 'Vic' })
  assert.equal(found.summary, '2 keys diverge in A.')
  assert.deepEqual(found.table, {
    head: ['Key', 'A', 'B', 'Since'],
    rows: [
      ['tenant-9', '40', '100', '?'],
      ['tenant-7', '12', '7', '2 min ago'],
    ],
  })
  assert.deepEqual(found.buttons[0]?.command, 'reconcile A')
  assert.deepEqual((found.data as { complete: boolean }).complete, true)
  assert.equal((await say('conflicts C')).code, 'not_found')
  edge.down = true
  const no = await say('conflicts')
  assert.deepEqual(
    [no.code, no.summary],
    ['unavailable', 'The edge could not be asked which keys diverge: Edge, regions: no connection.'],
  )
})

test('roles: who only looks may see conflicts and operations, and change nothing', async (t) => {
  const { say, sure } = await createEdgeRig(t)
  assert.equal(
    (await sure('reconcile', { as: 'Vic' })).summary,
    'You may not run reconcile: responder or commander may.',
  )
  for (const text of [
    'capacity A 2 30m',
    'failover A B',
    'rollback o1',
    'revert',
    'canary abort',
    'automation on',
    'scale A',
  ]) {
    assert.equal((await sure(text)).code, 'forbidden', text)
  }
  assert.equal((await say('automation off', { as: 'Vic' })).code, 'forbidden')
  assert.equal((await say('automation', { as: 'Vic' })).ok, true)
  assert.equal((await say('canary', { as: 'Vic' })).ok, true)
  assert.equal((await say('operations', { as: 'Vic' })).ok, true)
  assert.equal((await say('cancel o1', { as: 'Vic' })).code, 'forbidden')
})

test('without an edge every command that needs one says what to configure', async (t) => {
  const { say } = await createRig(t)
  for (const text of [
    'reconcile',
    'reset A',
    'capacity A 2 30m',
    'scale A',
    'failover A B',
    'revert',
    'conflicts',
    'canary',
  ]) {
    const no = await say(text, { as: 'Cleo' })
    assert.deepEqual([no.code, /edge\.url/.test(no.summary)], ['unavailable', true], text)
  }
})
