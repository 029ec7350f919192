import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { EdgeRegion, EdgeRegions } from '../../../src/core/edge.ts'
import { ClawError } from '../../../src/core/errors.ts'
import { createServices, type RegionsSource, type ServicesDeps } from '../../../src/engine/services.ts'
import { createWorld, firing, resolved } from '../../support/engine.ts'
import { nothingOutside } from '../commands/rig.ts'

const REGION: EdgeRegion = {
  region: 'A',
  healthy: true,
  receiving: true,
  bucket: { capacity: 100, available: 4, ratio: 0.04 },
  syncLagSeconds: 0.2,
  conflictsPerMinute: 3,
  p95LatencySeconds: 0.05,
  errorRatio: 0,
  canaryWeight: 10,
  version: 'v1',
  requestRate: 5,
  refusedRatio: null,
  refillRate: null,
  ratingScore: null,
  jitterSeconds: null,
  replicas: null,
  nodes: null,
}

async function setUp(t: TestContext, more: Partial<ServicesDeps> = {}) {
  const world = await createWorld(t)
  const services = createServices({
    store: world.store,
    edge: () => null,
    onCall: async () => null,
    clock: world.now,
    specs: () => [],
    renderPostmortem: async (id) => `# ${id}`,
    prepareApproval: async () => null,
    outside: nothingOutside,
    changes: () => [],
    publicUrl: () => null,
    ...more,
  })
  return { world, services }
}

/** An edge whose answers the test gives. */
function edge() {
  const waiting: ((answer: EdgeRegions) => void)[] = []
  const source: RegionsSource = { regions: () => new Promise<EdgeRegions>((resolve) => waiting.push(resolve)) }
  return { source, asked: () => waiting.length, answer: (said: EdgeRegions) => waiting.at(-1)?.(said) }
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

test('regions: no edge configured', async (t) => {
  const { services } = await setUp(t)
  assert.deepEqual(await services.regions(), { regions: [], at: null, problem: null, configured: false })
})

test('regions: asked once for all, shown fresh for 5 seconds, then asked again', async (t) => {
  const one = edge()
  const { world, services } = await setUp(t, { edge: () => one.source })
  const both = Promise.all([services.regions(), services.regions()])
  one.answer({ ok: true, regions: [REGION] })
  const [first, second] = await both
  assert.deepEqual(first, second)
  assert.deepEqual([one.asked(), first.problem, first.at, first.configured], [1, null, world.now(), true])
  assert.deepEqual(first.regions, [
    {
      region: 'A',
      healthy: true,
      receiving: true,
      ratio: 0.04,
      syncLagSeconds: 0.2,
      conflictsPerMinute: 3,
      requestRate: 5,
      p95Seconds: 0.05,
      errorRatio: 0,
      canaryWeight: 10,
      version: 'v1',
    },
  ])
  world.wait(4999)
  await services.regions()
  assert.equal(one.asked(), 1)
  world.wait(1)
  const third = services.regions()
  one.answer({ ok: true, regions: [{ ...REGION, bucket: null }] })
  assert.deepEqual([(await third).regions[0]?.ratio, one.asked()], [null, 2])
})

test('regions: a slow edge is answered for from memory, with its age; its late answer is used next', async (t) => {
  const one = edge()
  const { world, services } = await setUp(t, { edge: () => one.source, patience: 1 })
  const at = world.now()
  assert.deepEqual(await services.regions(), {
    regions: [],
    at: null,
    problem: 'Edge: no answer within 0.001 s',
    configured: true,
  })
  one.answer({ ok: true, regions: [REGION] })
  await settled()
  assert.deepEqual([(await services.regions()).problem, one.asked()], [null, 1])
  world.wait(6000)
  const slow = await services.regions()
  assert.deepEqual([slow.at, slow.regions.length, slow.problem], [at, 1, 'Edge: no answer within 0.001 s'])
})

test('regions: a broken edge says why, and what was known stays; another edge knows nothing of it', async (t) => {
  const one = edge()
  let current: RegionsSource = one.source
  const { world, services } = await setUp(t, { edge: () => current })
  const good = services.regions()
  one.answer({ ok: true, regions: [REGION] })
  await good
  world.wait(6000)
  const bad = services.regions()
  one.answer({ ok: false, reason: 'Edge: answered 503' })
  const answer = await bad
  assert.deepEqual([answer.regions.length, answer.problem], [1, 'Edge: answered 503'])
  current = { regions: () => Promise.reject(new Error('bug')) }
  assert.deepEqual(await services.regions(), {
    regions: [],
    at: null,
    problem: 'Edge: could not be asked',
    configured: true,
  })
})

test('vitals: paging proven, the oldest heartbeat, dead letters and what waits', async (t) => {
  const { world, services } = await setUp(t)
  assert.deepEqual(await services.vitals(), { pagingProvenAt: null, heartbeatAge: null, deadLetters: 0, waiting: 0 })
  await world.send(firing({ alertname: 'Watchdog', prometheus: 'one' }))
  world.wait(7000)
  await world.send(firing({ alertname: 'Watchdog', prometheus: 'two' }), firing(), firing({ service: 'x' }))
  await world.store.write(async (tx) => {
    await tx.setMeta('paging_proven_at', '123')
    const [row] = await tx.listDeliveries({ state: null, limit: 1, before: null })
    assert.ok(row)
    await tx.takeLane('slack', 'me', world.now(), world.now() + 1, true)
    await tx.beginSteps([row.id], 1)
    await tx.recordOutcomes([{ ...row, fence: 1, state: 'dead', shown: null }])
  })
  assert.deepEqual(await services.vitals(), { pagingProvenAt: 123, heartbeatAge: 7000, deadLetters: 1, waiting: 1 })
})

test('matching: what fires and matches, suppressed or not, over incidents and pages', async (t) => {
  const { world, services } = await setUp(t)
  await world.send(...Array.from({ length: 620 }, (_, n) => firing({ n: String(n), severity: 'warning' })))
  await world.send(firing({ region: 'B' }), firing({ region: 'C', service: 'x' }), firing({ n: 'over' }))
  await world.send(resolved({ n: 'over' }))
  assert.deepEqual(await services.matching('service="rating-api"'), { alerts: 621, regions: ['A', 'B'], critical: 1 })
  assert.deepEqual(await services.matching('region=~"B|C"'), { alerts: 2, regions: ['B', 'C'], critical: 2 })
  assert.deepEqual(await services.matching('{}'), { alerts: 0, regions: [], critical: 0 })
  await assert.rejects(services.matching('region=~"('), (error: unknown) => error instanceof ClawError)
})

test('what others know is passed on; a PagerDuty that fails is nobody', async (t) => {
  const { services } = await setUp(t, { onCall: () => Promise.reject(new Error('down')) })
  assert.deepEqual(
    [await services.onCall(), await services.postmortem(3), await services.approval(1), services.commands()],
    [null, '# 3', null, []],
  )
})
