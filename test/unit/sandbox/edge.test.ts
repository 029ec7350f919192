import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BASELINE, truthOf } from '../../../src/sandbox/edge/region.ts'
import { createEdge, type Edge } from '../../../src/sandbox/edge.ts'
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
  edge.press(['A', 'B'], { demandFactor: 2.3 })
  edge.step(30_000)
  assert.deepEqual(edge.conflicts(), [])
  edge.press(['A', 'B'], { jitterSeconds: 0.22 })
  edge.step(40_000)
  const diverged = edge.view().flatMap((region) => region.nodes.filter((node) => node.delta > 0.05))
  assert.deepEqual(
    diverged.map((node) => node.node),
    ['a-2', 'a-3', 'b-2'],
  )
  assert.ok(view(edge, 'A').refused_ratio > 0.05 && view(edge, 'A').refill_rate > view(edge, 'A').request_rate)
  const [healthy, ill] = view(edge, 'A').nodes
  assert.ok(healthy?.refused_ratio === 0 && (ill?.refused_ratio ?? 0) > 0.15, 'one refuses what the other serves')
  edge.press(['A', 'B'], { jitterSeconds: 0 })
  edge.step(60_000)
  assert.ok(edge.conflicts().length > 0, 'diverged for good until the next full sync')
  const id = edge.operations.reconcile([], 'highest-capacity')
  edge.step(10_000)
  assert.equal(edge.operations.get(id).state, 'succeeded')
  assert.match(
    edge.operations.get(id).detail,
    /^37 diverged keys reconciled in A, B with highest-capacity: \d{4} tokens more/,
  )
  assert.deepEqual(edge.conflicts(), [])
  edge.press(['A', 'B'], { jitterSeconds: 0.22 })
  edge.step(10_000)
  assert.ok(edge.conflicts().length > 0)
  edge.heal()
  edge.step(250)
  assert.deepEqual([edge.conflicts(), view(edge, 'A').version], [[], '1.8.2'])
})

test('reconciled alone it diverges again, with a newer onset; reverted first it holds while the pressure lasts', () => {
  const edge = createEdge({ now: START })
  const version = () => edge.view().map((region) => region.version)
  edge.deploy(['A', 'B'], { name: '1.9.0', dropsUpdates: true })
  edge.press(['A', 'B'], { demandFactor: 2.3, jitterSeconds: 0.22 })
  edge.step(30_000)
  const onset = new Map(edge.conflicts().map((conflict) => [conflict.key, Date.parse(conflict.since)]))
  assert.equal(onset.size, 37)
  for (const { values } of edge.conflicts()) assert.notEqual(values.A, values.B)
  edge.operations.reconcile([], 'highest-capacity')
  edge.step(4_000)
  const reconciledAt = edge.now()
  edge.step(6_000)
  assert.ok(edge.conflicts().length > 30)
  for (const { key, since } of edge.conflicts()) {
    assert.ok(Date.parse(since) >= reconciledAt && Date.parse(since) > (onset.get(key) ?? 0), key)
  }
  for (const region of edge.regions) edge.operations.revert(region)
  edge.step(6_000)
  assert.deepEqual(version(), ['1.8.2', '1.8.2'])
  assert.ok(edge.conflicts().length > 30, 'a good merge does not bring back what a bad one dropped')
  edge.operations.reconcile([], 'highest-capacity')
  edge.step(4_250)
  for (let second = 0; second < 60; second++) {
    edge.step(1_000)
    assert.deepEqual(edge.conflicts(), [])
    assert.ok(edge.view().every((region) => region.nodes.every((node) => node.delta < 0.05)))
  }
  assert.ok(edge.view().every((region) => region.refused_ratio < 0.005))
})

test('every reconcile policy ends the divergence; lowest gives less than highest, reseed fills', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 8, max: 30 }), (seed, seconds) => {
      const ratios = (['lowest-available', 'highest-capacity', 'reset-and-reseed'] as const).map((policy) => {
        const edge = createEdge({ now: START, seed })
        edge.deploy(['A', 'B'], { name: '1.9.0', dropsUpdates: true })
        edge.press(['A', 'B'], { demandFactor: 2.3, jitterSeconds: 0.3 })
        edge.step(seconds * 1_000)
        assert.ok(edge.conflicts().length > 0)
        edge.press(['A', 'B'], { jitterSeconds: 0 })
        edge.step(2_000)
        edge.operations.reconcile(['A', 'B', 'A'], policy)
        edge.step(4_000)
        const ratio = view(edge, 'A').bucket.ratio
        edge.step(1_000)
        assert.deepEqual(edge.conflicts(), [])
        return ratio
      })
      const [lowest = 1, highest = 0, reseeded = 0] = ratios
      assert.ok(lowest < highest - 0.03 && highest <= reseeded + 1e-9 && reseeded > 0.95, ratios.join(' '))
    }),
    { numRuns: 12 },
  )
})

test('without the bug the copies converge whatever jitter, lag and loss do to messages', () => {
  const trouble = fc.record({
    demandFactor: fc.double({ min: 0.1, max: 6, noNaN: true }),
    jitterSeconds: fc.double({ min: 0, max: 0.5, noNaN: true }),
    lagSeconds: fc.double({ min: 0, max: 5, noNaN: true }),
    lossRatio: fc.double({ min: 0, max: 1, noNaN: true }),
    cut: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.integer(), fc.array(trouble, { minLength: 1, maxLength: 4 }), (seed, troubles) => {
      const edge = createEdge({ now: START, seed })
      for (const [i, one] of troubles.entries()) {
        edge.press([edge.regions[i % 2] ?? 'A'], one)
        edge.step(5_000)
      }
      edge.press(edge.regions, { jitterSeconds: 0, lagSeconds: 0, lossRatio: 0, cut: false, demandFactor: 0 })
      edge.step(8_000)
      for (const region of edge.view()) for (const node of region.nodes) assert.ok(node.delta < 1e-9, `${node.delta}`)
      assert.deepEqual(edge.conflicts(), [])
    }),
    { numRuns: 40 },
  )
})

test('no token comes from nothing: what is admitted was taken, and nothing was refilled faster than the rate', () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.double({ min: 0.2, max: 6, noNaN: true }),
      fc.double({ min: 0, max: 0.3, noNaN: true }),
      (seed, demandFactor, jitterSeconds) => {
        const edge = createEdge({ now: START, seed })
        edge.deploy(['A'], { name: '1.9.0', dropsUpdates: true })
        edge.press(['A'], { demandFactor, jitterSeconds })
        edge.step(20_000)
        const region = edge.region('A')
        assert.ok(region)
        const sum = (values: Iterable<number>) => [...values].reduce((a, b) => a + b, 0)
        const taken = sum(region.nodes.map(({ replica }) => sum(replica.taken)))
        const refilled = sum(region.nodes.map(({ replica }) => sum(replica.refilled)))
        const admitted = sum(region.nodes.map(({ codes }) => codes['200'] + codes['503']))
        assert.ok(Math.abs(admitted - taken) < 1e-3, `${admitted} admitted, ${taken} taken`)
        assert.ok(refilled <= 20 * BASELINE.refillRate + 1e-6)
        assert.ok(Math.abs(sum(truthOf(region)) - (BASELINE.capacity + refilled - taken)) < 1e-3)
      },
    ),
    { numRuns: 30 },
  )
})

test('nodes that do not hear each other let more through than the bucket holds', () => {
  const admitted = (lossRatio: number) => {
    const edge = createEdge({ now: START })
    edge.press(['A'], { demandFactor: 8, lossRatio })
    edge.step(8_000)
    const nodes = edge.region('A')?.nodes ?? []
    return nodes.reduce((sum, { codes }) => sum + codes['200'] + codes['503'], 0)
  }
  const allowed = BASELINE.capacity + 8 * BASELINE.refillRate
  assert.ok(Math.abs(admitted(0) - allowed) < 0.05 * allowed, `${admitted(0)}`)
  assert.ok(admitted(1) > 1.4 * allowed, `${admitted(1)}`)
})

test('a cut between regions ages the copies and makes keys differ; when it heals the merges count conflicts', () => {
  const edge = createEdge({ now: START })
  edge.press(['A', 'B'], { cut: true, demandFactor: 1.7, burstFactor: 2.6 })
  edge.step(30_000)
  for (const region of edge.view()) {
    assert.ok(region.sync_lag_seconds > 20 && region.refused_ratio < 0.05, 'each region goes on alone')
    assert.ok(region.conflicts_per_minute < 5)
  }
  const apart = edge.conflicts()
  assert.ok(apart.length > 5 && apart.every((conflict) => conflict.values.A !== conflict.values.B))
  assert.deepEqual(edge.conflicts('nowhere'), [])
  edge.press(['A', 'B'], { cut: false })
  edge.step(2_000)
  assert.deepEqual(edge.conflicts(), [])
  assert.ok(edge.view().every((region) => region.conflicts_per_minute > 100))
  edge.step(20_000)
  assert.ok(edge.view().every((region) => region.sync_lag_seconds < 0.2))
})

test('a region that comes back starts half full and learns what it missed, without a conflict', () => {
  const edge = createEdge({ now: START })
  edge.press(['A'], { down: true })
  edge.step(20_000)
  assert.deepEqual(edge.conflicts(), [])
  edge.press(['A'], { down: false })
  assert.equal(view(edge, 'A').bucket.ratio, 0.5)
  edge.step(250)
  assert.deepEqual(edge.conflicts(), [])
  edge.step(20_000)
  assert.ok(edge.view().every((region) => region.bucket.ratio > 0.95 && region.conflicts_per_minute < 5))
})

test('a reset and a smaller bucket begin anew on all nodes, and the other region hears of it', () => {
  const edge = createEdge({ now: START })
  edge.press(['A'], { demandFactor: 5 })
  edge.step(20_000)
  edge.press(['A'], { demandFactor: 1 })
  edge.operations.resetBucket('A')
  edge.step(3_500)
  assert.ok(view(edge, 'A').bucket.ratio > 0.95)
  edge.operations.capacity('A', 0.04, 10_000)
  edge.step(2_500)
  assert.equal(view(edge, 'A').bucket.capacity, 480)
  edge.step(5_000)
  assert.ok(view(edge, 'A').bucket.ratio < 0.05 && view(edge, 'A').refused_ratio > 0.5)
  assert.ok(view(edge, 'B').nodes.every((node) => node.delta < 0.05))
})

test('a failover moves the traffic gradually; the way back takes only the displaced clients home', () => {
  const edge = createEdge({ now: START })
  const there = edge.operations.failover('A', 'B')
  edge.step(3_000)
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
