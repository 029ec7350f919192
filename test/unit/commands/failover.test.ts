import assert from 'node:assert/strict'
import { test } from 'node:test'
import { firing } from '../../support/engine.ts'
import { createEdgeRig, edgeRegion } from './edge-rig.ts'
import { shown } from './rig.ts'

const CLEO = { as: 'Cleo' }
const MOVED = {
  state: 'succeeded',
  summary: 'Clients of A are served by B.',
  data: { expected: { receiving: { A: true, B: true } }, moved: true },
} as const

test('failover shows whom it touches, asks, begins, and says how to stop and to undo it', async (t) => {
  const { say, run, edge, world } = await createEdgeRig(t)
  const asked = await say('failover a b', CLEO)
  assert.match(
    asked.summary,
    /^Fail over from A to B\. Moves 240\/s from A to B\. B then gets 440\/s and refills 1500\/s/,
  )
  assert.match(asked.summary, /It comes back by itself if the target does not hold\.$/)
  assert.doesNotMatch(asked.summary, /Warning/)
  const done = await say('approve a1', CLEO)
  assert.equal(done.summary, 'o1 has begun: Fail over from A to B.')
  assert.match(
    shown(done),
    /Progress is told in incident 1\.\nStop it: \/claw cancel o1\. Once it is done, \/claw rollback o1 undoes it\.$/,
  )
  const { input, regions, incident, by } = await run(1)
  assert.deepEqual([input, regions, incident, by], [{ from: 'A', to: 'B', override: null }, ['A', 'B'], 1, 'Cleo'])
  assert.deepEqual([await world.story(), edge.changed], [['opened', 'operation'], []])
})

test('open incidents in the target and unknown rates warn, and do not refuse', async (t) => {
  const { say, edge, world } = await createEdgeRig(t)
  await world.send(firing({ region: 'B', service: 'other', severity: 'warning' }))
  edge.regions = [edgeRegion('A', { requestRate: null }), edgeRegion('B')]
  const asked = await say('failover A B', CLEO)
  assert.equal(asked.ok, true)
  assert.match(asked.summary, /Warning: .*How much traffic A has is unknown\..*1 open incident in B: #2\./)
})

test('a refusal names its reason and who may pass it; the commander passes it with a reason that all hear', async (t) => {
  const { say, sure, edge, run, store } = await createEdgeRig(t)
  edge.regions = [edgeRegion('A'), edgeRegion('B', { refillRate: 300 })]
  const no = await sure('failover A B', CLEO)
  assert.equal(no.code, 'conflict')
  assert.match(
    no.summary,
    /^No failover from A to B: B refills 300\/s and would be offered 480\/s: .*A commander .* may pass this with --override REASON\.$/,
  )
  assert.deepEqual(await store.workflows({ limit: 9 }), [])
  const asked = await say('failover A B --override A burns', CLEO)
  assert.match(asked.summary, /Cleo passed over: B refills 300\/s .* Reason: A burns/)
  const done = await say('approve a1', CLEO)
  assert.match(done.summary, /^o1 has begun: Fail over from A to B\. Cleo passed over: /)
  assert.deepEqual((await run(1)).input, { from: 'A', to: 'B', override: 'A burns' })
  assert.equal((await store.story(1, 9)).at(-1)?.kind, 'override')
})

test('what nobody may pass stays refused; a reason that is not needed is not kept', async (t) => {
  const { sure, edge, run } = await createEdgeRig(t)
  for (const [text, code, why] of [
    ['failover A A', 'invalid', /two different regions/],
    ['failover A C', 'not_found', /no region C.*Regions: A, B\./],
    ['failover A', 'invalid', /needs to/],
    ['failover A B --force', 'invalid', /there is no --force/],
    ['failover A B now', 'invalid', /Only --override REASON may follow/],
  ] as const) {
    const no = await sure(text, CLEO)
    assert.equal(no.code, code, text)
    assert.match(no.summary, why)
  }
  edge.regions = [edgeRegion('A'), edgeRegion('B', { healthy: false })]
  assert.match((await sure('failover A B', CLEO)).summary, /unhealthy/)
  edge.regions = [edgeRegion('A'), edgeRegion('B')]
  assert.equal((await sure('failover A B', { ...CLEO, override: 'to be sure' })).ok, true)
  assert.deepEqual((await run(1)).input, { from: 'A', to: 'B', override: null })
})

test('with the edge silent only a commander with a reason goes on', async (t) => {
  const { sure, edge } = await createEdgeRig(t)
  edge.down = true
  const no = await sure('failover A B', CLEO)
  assert.deepEqual([no.code, /Nobody can say whether B is healthy/.test(no.summary)], ['conflict', true])
  assert.equal((await sure('failover A B --override the API is down', CLEO)).ok, true)
})

test('other people must agree where it is configured; the request prints how', async (t) => {
  const { say, approvals } = await createEdgeRig(t)
  approvals.needed.failover = 1
  const asked = await say('failover A B', { as: 'Cleo', confirmed: true })
  assert.match(asked.lines[0] ?? '', /^One other person must agree: \/claw approve a1/)
  assert.equal((await say('approve a1', CLEO)).code, 'forbidden')
})

test('another operation in the way is named, with how to stop it', async (t) => {
  const { sure } = await createEdgeRig(t)
  await sure('reset A')
  const no = await sure('failover A B', CLEO)
  assert.deepEqual([no.code, no.data], ['conflict', { busy: 'o1' }])
  assert.match(shown(no), /^o1 is in the way: Reset the bucket of A, by Dana.*\n.*cancel o1/)
})

test('rollback undoes a failover by its name or by its incident, once', async (t) => {
  const { say, sure, run, end, world } = await createEdgeRig(t)
  await sure('failover A B', CLEO)
  assert.match((await sure('rollback o1', CLEO)).summary, /o1 is still under way .*cancel o1 stops it/)
  await end(1, MOVED)
  world.wait(12 * 60_000)
  const asked = await say('rollback 1', CLEO)
  assert.equal(
    asked.summary,
    'Roll o1 back: clients of A return from B (o1 moved them 12 min ago, by Cleo). A: healthy, bucket 96 %. 240/s are offered, 1500/s refilled. B: healthy, bucket 96 %. 200/s are offered, 1500/s refilled. What somebody else changed since is not overwritten.',
  )
  const done = await say('approve a1', CLEO)
  assert.equal(done.summary, 'o2 has begun: Roll back o1: clients of A return from B.')
  const { input, incident, kind } = await run(2)
  assert.deepEqual(
    [kind, incident, input],
    ['rollback', 1, { of: 1, from: 'A', to: 'B', expected: { receiving: { A: true, B: true } } }],
  )
  assert.match((await sure('rollback o1', CLEO)).summary, /o1 is being rolled back already, by o2/)
  await end(2, { state: 'succeeded', summary: 'back' })
  assert.match(
    (await sure('rollback', { ...CLEO, incident: 1 })).summary,
    /Nothing of incident 1 can be rolled back\..*failover moves the clients again/,
  )
  assert.match((await sure('rollback o1', CLEO)).summary, /o1 was rolled back already, by o2 \(Cleo\)/)
})

test('rollback is not hindered by a sick region or a silent edge', async (t) => {
  const { say, sure, end, edge } = await createEdgeRig(t)
  await sure('failover A B', CLEO)
  await end(1, { ...MOVED, state: 'failed', summary: 'Traffic may still be in B.' })
  edge.regions = [edgeRegion('A', { healthy: false }), edgeRegion('B')]
  assert.match((await say('rollback o1', CLEO)).summary, /A: NOT HEALTHY/)
  edge.down = true
  assert.match((await say('rollback o1', CLEO)).summary, /How A is now is not known\./)
  assert.equal((await sure('rollback o1', CLEO)).ok, true)
})

test('rollback tells what cannot be undone, and why', async (t) => {
  const { sure, end, world } = await createEdgeRig(t)
  for (const [text, data, why] of [
    ['reconcile', null, /merged cannot be told apart/],
    ['reset A', null, /tokens that were handed out are spent/],
    ['capacity A 2 30m', { until: world.now() + 1_800_000 }, /ends by itself at about 02:45 UTC/],
    ['revert A', null, /roll out a mended version/],
  ] as const) {
    const done = await sure(text, CLEO)
    const { operation } = done.data as { operation: string }
    await end(Number(operation.slice(1)), { state: 'succeeded', summary: 'done', data })
    const no = await sure(`rollback ${operation}`, CLEO)
    assert.equal(no.code, 'conflict', text)
    assert.match(no.summary, why)
  }
  await sure('failover A B', CLEO)
  await end(5, { state: 'failed', summary: 'Traffic is back in A.', data: { expected: null, moved: false } })
  assert.match((await sure('rollback o5', CLEO)).summary, /o5 moved nobody for good.*Traffic is back in A/)
  for (const [text, code] of [
    ['rollback o99', 'not_found'],
    ['rollback 99', 'not_found'],
    ['rollback', 'invalid'],
    ['rollback soon', 'invalid'],
  ] as const) {
    assert.equal((await sure(text, CLEO)).code, code, text)
  }
})
