import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { EdgeConflict, EdgeRegion } from '../../../src/core/edge.ts'
import { tell } from '../../../src/core/incident.ts'
import type { EdgeChange } from '../../../src/core/triage.ts'
import { createTriage } from '../../../src/engine/triage.ts'
import { createWorld, firing, START, silent, TWO_RECEIVERS } from '../../support/engine.ts'
import { policyOf } from '../../support/policy.ts'

const WELL: Omit<EdgeRegion, 'region'> = {
  healthy: true,
  receiving: true,
  bucket: { capacity: 12_000, available: 11_000, ratio: 0.9 },
  syncLagSeconds: 0.1,
  conflictsPerMinute: 1,
  p95LatencySeconds: 0.05,
  errorRatio: 0,
  canaryWeight: 0,
  version: '1.8.2',
  requestRate: 600,
  refusedRatio: 0,
  refillRate: 1_500,
  ratingScore: 0.97,
  jitterSeconds: 0.02,
  replicas: 3,
  nodes: [],
}
const TORN = { nodes: [{ node: 'a-2', delta: 0.8 }], conflictsPerMinute: 31 }

const policy = policyOf(TWO_RECEIVERS)

async function scene(t: TestContext) {
  const world = await createWorld(t)
  const edge = {
    now: [WELL, WELL] as Partial<EdgeRegion>[],
    asked: 0,
    limit: 0,
    configured: true,
    hangs: false,
    down: false,
  }
  const changes: EdgeChange[] = []
  let stored = 0
  const admin = {
    async regions(): Promise<EdgeRegion[]> {
      edge.asked += 1
      if (edge.down) throw new Error('down')
      if (edge.hangs) await new Promise(() => {})
      return edge.now.map((more, i) => ({ ...WELL, region: 'ABC'[i] ?? '?', ...more }))
    },
    async conflicts(_region: string | null, limit: number): Promise<EdgeConflict[]> {
      edge.limit = limit
      return [{ key: 'tenant-1001', values: { A: 12, B: 7 }, since: START }]
    },
  }
  const triage = createTriage({
    store: world.store,
    policy: () => policy,
    watch: { changes: () => changes, history: () => [] },
    services: () => ({ edge: edge.configured ? admin : null }),
    clock: world.now,
    log: silent,
    onStored: () => {
      stored += 1
    },
  })
  const lines = async () => (await world.store.story(1, 100)).filter(({ kind }) => kind === 'triage')
  return { world, edge, changes, triage, lines, stored: () => stored }
}

test('a new incident gets its verdict at once: a silent line, and the document', async (t) => {
  const { world, edge, changes, triage, lines, stored } = await scene(t)
  await world.send(firing())
  edge.now = [{ ...TORN, version: '1.9.0' }, WELL]
  changes.push({ at: START - 120_000, region: 'A', what: 'version', from: '1.8.2', to: '1.9.0' })
  await triage.tick()
  const { triage: kept } = await world.only()
  assert.equal(kept?.verdict.cause, 'bad version')
  assert.match(kept?.regions[0] ?? '', /^A: 92? ?/)
  assert.deepEqual(kept?.diverged, { keys: 1, examples: ['tenant-1001: A 12, B 7'] })
  assert.equal(kept?.changes.length, 1)
  const [line, ...more] = await lines()
  assert.match(line?.text ?? '', /^The limiter is wrong: 1 node diverges since 1\.9\.0 .* Advised: revert A\. /)
  assert.deepEqual([line?.push, more.length, edge.limit, stored()], [false, 0, 50, 1])
  const view = await world.view()
  assert.equal(view.triage?.verdict.act?.label, 'Revert 1.9.0')
  assert.deepEqual(
    view.actions.map(({ command }) => command),
    ['ack 1', 'revert A', 'silence 1 1h', 'escalate 1', 'resolve 1'],
  )
  assert.match(view.nextStep, /^Acknowledge it\. Revert 1\.9\.0: press the button, or type revert A\.$/)
})

test('the same verdict again stores nothing; another one is said once', async (t) => {
  const { world, edge, triage, lines } = await scene(t)
  await world.send(firing())
  edge.now = [TORN, WELL]
  await triage.tick()
  const { version } = await world.only()
  await triage.tick()
  assert.equal(edge.asked, 1, 'not asked again at once')
  world.wait(30_000)
  await triage.tick()
  assert.deepEqual([edge.asked, (await world.only()).version], [2, version])
  edge.now = [{ healthy: false, bucket: null }, WELL]
  world.wait(30_000)
  await triage.tick()
  assert.equal((await world.only()).triage?.verdict.cause, 'region down')
  assert.deepEqual(
    (await lines()).map(({ text }) => text.slice(0, 17)),
    ['The limiter is wr', 'Triage now says: '],
  )
  edge.now = [WELL, WELL]
  world.wait(30_000)
  await triage.tick()
  const calm = (await world.only()).triage?.verdict
  assert.deepEqual([calm?.cause, calm?.act], ['region down', null], 'figures that calm down take only the act away')
  assert.equal((await lines()).length, 2)
})

test('after the first minutes only what changed about the incident is a reason to look', async (t) => {
  const { world, edge, triage } = await scene(t)
  await world.send(firing())
  await triage.tick()
  world.wait(200_000)
  await triage.tick()
  const asked = edge.asked
  world.wait(60_000)
  await triage.tick()
  assert.equal(edge.asked, asked)
  await world.send(firing({ region: 'B' }))
  await triage.tick()
  assert.equal(edge.asked, asked + 1, 'another region')
  world.wait(60_000)
  await world.act(1, (draft) => tell(draft, world.now(), 'operation_done', 'o1: done.', false))
  await triage.tick()
  assert.equal(edge.asked, asked + 2, 'an operation ended')
  world.wait(60 * 60_000)
  await world.act(1, (draft) => tell(draft, world.now(), 'note', 'x', false))
  await triage.tick()
  assert.equal(edge.asked, asked + 2, 'old')
})

test('no edge, no alert of the edge, or an edge that hangs: no triage, and no waiting', async (t) => {
  const { world, edge, triage, lines } = await scene(t)
  await world.send(firing({ alertname: 'DiskFull' }))
  await triage.tick()
  assert.equal(edge.asked, 0)
  await world.send(firing())
  edge.configured = false
  await triage.tick()
  edge.configured = true
  edge.hangs = true
  await triage.tick()
  await triage.tick()
  assert.deepEqual([edge.asked, (await lines()).length], [1, 0])
})

test('an edge that does not answer is named, not its figures; as soon as it does, they speak', async (t) => {
  const { world, edge, triage, lines } = await scene(t)
  edge.down = true
  await world.send(firing())
  await triage.tick()
  assert.match(
    (await lines())[0]?.text ?? '',
    /^Whether the limiter is right cannot be told: the edge gives no figures\./,
  )
  edge.down = false
  edge.now = [{ ...WELL, ...TORN }, WELL]
  world.wait(5_000)
  await triage.tick()
  assert.equal((await world.only()).triage?.verdict.cause, 'divergence', 'what is not known is looked at again soon')
  assert.equal((await lines()).length, 2)
})
