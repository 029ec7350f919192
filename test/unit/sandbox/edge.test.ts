import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createEdge, type Edge } from '../../../src/sandbox/edge.ts'
import { BASELINE } from '../../../src/sandbox/edge-region.ts'
import { renderMetrics } from '../../../src/sandbox/metrics.ts'

const START = 1_700_000_000_000
const view = (edge: Edge, region: string) => {
  const found = edge.view().find((one) => one.region === region)
  assert.ok(found)
  return found
}

test('a quiet edge is healthy: full buckets, no refusals, figures near the baseline', () => {
  const edge = createEdge({ now: START })
  edge.step(120_000)
  for (const region of edge.view()) {
    assert.ok(region.healthy && region.receiving)
    assert.ok(region.bucket.ratio > 0.95, `ratio ${region.bucket.ratio}`)
    assert.ok(region.refused_ratio < 1e-6)
    assert.ok(Math.abs(region.request_rate - BASELINE.demand) < 30)
    assert.ok(region.error_ratio < 0.005 && region.p95_latency_seconds < 0.2 && region.rating_score > 0.85)
    assert.ok(region.nodes.length === 3 && region.nodes.every((node) => node.delta < 0.05))
  }
})

test('same seed, same metrics, however the time is cut into steps; another seed gives others', () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.array(fc.integer({ min: 1, max: 3_000 }), { minLength: 1, maxLength: 12 }),
      (seed, cuts) => {
        const run = (given: number, steps: number[]) => {
          const edge = createEdge({ now: START, seed: given })
          edge.press(['A'], { demandFactor: 3, jitterSeconds: 0.2 })
          for (const step of steps) edge.step(step)
          return renderMetrics(edge)
        }
        const whole = cuts.reduce((sum, cut) => sum + cut, 0)
        assert.equal(run(seed, cuts), run(seed, [whole]))
        if (whole >= 250) assert.notEqual(run(seed, cuts), run(seed + 1, cuts))
      },
    ),
    { numRuns: 60 },
  )
})

test('too much demand empties the bucket and then refuses only what the refill cannot serve', () => {
  const edge = createEdge({ now: START })
  edge.press(['A'], { demandFactor: 5 })
  edge.step(30_000)
  const a = view(edge, 'A')
  assert.ok(a.bucket.ratio < 0.05)
  assert.ok(Math.abs(a.admitted_rate - BASELINE.refillRate) < 100, `admits ${a.admitted_rate}`)
  assert.ok(Math.abs(a.refused_ratio - 0.5) < 0.05, `refuses ${a.refused_ratio}`)
  assert.ok(view(edge, 'B').bucket.ratio > 0.95)
})

test('a version that drops updates diverges only under jitter, stays diverged, and reconcile or heal clears it', () => {
  const edge = createEdge({ now: START })
  edge.deploy(['A', 'B'], { name: '1.9.0', dropsUpdates: true })
  edge.step(30_000)
  assert.deepEqual(edge.conflicts(), [])
  edge.press(['A', 'B'], { jitterSeconds: 0.2 })
  edge.step(30_000)
  const diverged = edge.view().flatMap((region) => region.nodes.filter((node) => node.delta > 0.05))
  assert.equal(diverged.length, 3)
  assert.ok(view(edge, 'A').refused_ratio > 0.05 && view(edge, 'A').refill_rate > view(edge, 'A').request_rate)
  edge.press(['A', 'B'], { jitterSeconds: 0 })
  edge.step(60_000)
  assert.ok(edge.conflicts().length > 0, 'diverged for good until the next full sync')
  const id = edge.operations.reconcile([], 'highest-capacity')
  edge.step(10_000)
  assert.equal(edge.operations.get(id).state, 'succeeded')
  assert.deepEqual(edge.conflicts(), [])
})

test('a failover moves the traffic gradually; the way back takes only the displaced clients home', () => {
  const edge = createEdge({ now: START })
  const there = edge.operations.failover('A', 'B')
  edge.step(5_000)
  assert.ok(edge.operations.share('A', 'B') > 0.4 && edge.operations.share('A', 'B') < 0.6)
  assert.equal(edge.operations.get(there).state, 'running')
  edge.step(15_000)
  assert.equal(view(edge, 'A').receiving, false)
  assert.ok(Math.abs(view(edge, 'B').request_rate - 2 * BASELINE.demand) < 60)
  assert.ok(view(edge, 'B').bucket.ratio > 0.9, 'one region carries the load of both')
  edge.operations.failover('B', 'A')
  edge.step(30_000)
  assert.deepEqual(
    edge.view().map((region) => [region.receiving, Math.round(region.request_rate / 100)]),
    [
      [true, 6],
      [true, 6],
    ],
  )
})

test('a failover to a dead region fails and leaves the traffic where it is', () => {
  const edge = createEdge({ now: START })
  edge.press(['B'], { down: true })
  const id = edge.operations.failover('A', 'B')
  edge.step(15_000)
  assert.equal(edge.operations.get(id).state, 'failed')
  assert.equal(edge.operations.share('A', 'A'), 1)
})

test('capacity and replicas end by themselves; revert goes back one version; a dead region fails its operations', () => {
  const edge = createEdge({ now: START })
  edge.operations.capacity('A', 2, 20_000)
  edge.operations.scale('B', 6, 20_000)
  edge.step(10_000)
  assert.equal(view(edge, 'A').bucket.capacity, 2 * BASELINE.capacity)
  assert.deepEqual([view(edge, 'B').replicas, view(edge, 'B').refill_rate], [6, 2 * BASELINE.refillRate])
  edge.step(30_000)
  assert.equal(view(edge, 'A').bucket.capacity, BASELINE.capacity)
  assert.equal(view(edge, 'B').replicas, BASELINE.replicas)
  edge.deploy(['A'], { name: '1.9.0', dropsUpdates: true })
  edge.operations.revert('A')
  edge.step(10_000)
  assert.equal(view(edge, 'A').version, '1.8.2')
  const again = edge.operations.revert('A')
  edge.press(['B'], { down: true })
  const dead = edge.operations.resetBucket('B')
  edge.step(10_000)
  assert.deepEqual(
    [again, dead].map((id) => edge.operations.get(id).state),
    ['failed', 'failed'],
  )
})

test('regions and nodes are configurable', () => {
  const edge = createEdge({ now: START, regions: ['eu', 'us', 'ap'], nodesPerRegion: 5 })
  edge.step(1_000)
  assert.deepEqual(
    edge.view().map((region) => [region.region, region.nodes.length]),
    [
      ['eu', 5],
      ['us', 5],
      ['ap', 5],
    ],
  )
})
