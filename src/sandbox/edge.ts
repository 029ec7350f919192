import { SECOND } from '../core/clock.ts'
import { createOperations, type Operations } from './edge-operations.ts'
import {
  BASELINE,
  CALM,
  capacityOf,
  createRegion,
  deltaOf,
  demandOf,
  expire,
  fresh,
  type Pressure,
  press,
  type Region,
  refillRateOf,
  serve,
  TICK,
  type Version,
} from './edge-region.ts'
import { createRandom } from './random.ts'

/** One region as an outsider would see it if it answered. Ratios 0..1, seconds, per second; `delta` in capacities. */
export type RegionView = {
  region: string
  up: boolean
  healthy: boolean
  receiving: boolean
  bucket: { capacity: number; available: number; ratio: number }
  refill_rate: number
  request_rate: number
  admitted_rate: number
  refused_ratio: number
  error_ratio: number
  p95_latency_seconds: number
  sync_lag_seconds: number
  jitter_seconds: number
  conflicts_per_minute: number
  canary_weight: number
  rating_score: number
  version: string
  replicas: number
  nodes: { node: string; delta: number }[]
}

export type Conflict = { key: string; values: { [region: string]: number }; since: string }

export type Edge = {
  readonly regions: readonly string[]
  /** milliseconds since the epoch in the model */
  now(): number
  /** Moves the model on by `dtMs`; what does not fill a tick is kept for the next call. */
  step(dtMs: number): void
  /** Jumps to `now` without simulating what lies between; for a machine that slept. */
  skipTo(now: number): void
  view(): RegionView[]
  /** Live state of one region for the metrics page; undefined when there is no such region. */
  region(name: string): Region | undefined
  isUp(region: string): boolean
  conflicts(): Conflict[]
  press(regions: readonly string[], change: Partial<Pressure>): void
  deploy(regions: readonly string[], version: Version): void
  canary(regions: readonly string[], canary: { weight: number; version: string | null; rating: number }): void
  /** Takes every pressure, bad version, canary and divergence away; routing and what operators set stay. */
  heal(): void
  /** Back to how it was created, except for its counters and its time. */
  reset(): void
  readonly operations: Operations
}

/**
 * Makes an edge of `regions` with `nodesPerRegion` nodes each, all healthy.
 * @param options.now where the model's time begins, ms since the epoch
 */
export function createEdge(options: {
  now: number
  seed?: number
  regions?: readonly string[]
  nodesPerRegion?: number
}): Edge {
  const names = options.regions ?? ['A', 'B']
  const random = createRandom(options.seed ?? 1)
  const perRegion = options.nodesPerRegion ?? 3
  const regions = names.map((name, index) => createRegion(name, index, perRegion))
  const byName = new Map(regions.map((region) => [region.name, region]))
  let now = options.now
  let left = 0

  const operations = createOperations({ regions: byName, now: () => now })
  const pick = (wanted: readonly string[]) => regions.filter((region) => wanted.includes(region.name))

  function tick(): void {
    now += TICK
    operations.step(TICK)
    for (const region of regions) expire(region, now)
    for (const region of regions) {
      const noise = 1 + (random() - 0.5) * 0.04
      const wobble = random() - 0.5
      const offered = regions.reduce(
        (sum, origin) => sum + demandOf(origin) * operations.share(origin.name, region.name),
        0,
      )
      if (!region.pressure.down) serve(region, offered * noise, wobble)
    }
  }

  function clear(region: Region): void {
    press(region, CALM)
    if (region.version.dropsUpdates && region.previous) {
      region.version = region.previous
      region.previous = null
    }
    region.canary = { weight: 0, version: null, rating: BASELINE.rating }
    for (const node of region.nodes) node.skew = 0
  }

  return {
    regions: names,
    operations,
    now: () => now,
    step(dtMs) {
      left += Math.max(0, dtMs)
      for (; left >= TICK; left -= TICK) tick()
    },
    skipTo(to) {
      now = Math.max(now, to)
      left = 0
    },
    view: () => regions.map((region) => viewOf(region, operations.receiving(region.name))),
    region: (name) => byName.get(name),
    isUp: (name) => byName.get(name)?.pressure.down === false,
    conflicts: () => conflictsOf(regions, now),
    press(wanted, change) {
      for (const region of pick(wanted)) press(region, change)
    },
    deploy(wanted, version) {
      for (const region of pick(wanted)) {
        region.previous = region.version
        region.version = version
      }
    },
    canary(wanted, canary) {
      for (const region of pick(wanted)) region.canary = { ...canary }
    },
    heal: () => regions.forEach(clear),
    reset() {
      operations.reset()
      for (const region of regions) {
        clear(region)
        Object.assign(region, fresh())
      }
    },
  }
}

function viewOf(region: Region, receiving: boolean): RegionView {
  const capacity = capacityOf(region)
  const ratio = (part: number, whole: number) => (whole > 0 ? Math.max(0, Math.min(1, part / whole)) : 0)
  const errorRatio = ratio(region.errors, region.offered)
  return {
    region: region.name,
    up: !region.pressure.down,
    healthy: !region.pressure.down && errorRatio < 0.2,
    receiving,
    bucket: { capacity, available: Math.floor(region.available), ratio: ratio(region.available, capacity) },
    refill_rate: refillRateOf(region),
    request_rate: region.offered,
    admitted_rate: region.admitted,
    refused_ratio: ratio(region.refused, region.offered),
    error_ratio: errorRatio,
    p95_latency_seconds: region.p95,
    sync_lag_seconds: region.syncLag,
    jitter_seconds: region.jitter,
    conflicts_per_minute: region.conflictsPerMinute,
    canary_weight: region.canary.weight,
    rating_score: region.rating,
    version: region.version.name,
    replicas: region.replicas,
    nodes: region.nodes.map((node) => ({ node: node.name, delta: deltaOf(region, node) })),
  }
}

/** Up to 25 diverged keys for each diverged node, with what each region holds of them. */
function conflictsOf(regions: readonly Region[], now: number): Conflict[] {
  const diverged = regions.flatMap((region) => region.nodes.filter((node) => Math.abs(node.skew) > 0.05))
  return diverged.flatMap((node, n) =>
    Array.from({ length: Math.ceil(Math.min(1, Math.abs(node.skew)) * 25) }, (_, i) => ({
      key: `tenant-${1000 + n * 25 + i}`,
      values: Object.fromEntries(
        regions.map((region) => [region.name, region.nodes.includes(node) ? 4 + (i % 7) : 60 + (i % 11)]),
      ),
      since: new Date(now - (i % 30) * SECOND).toISOString(),
    })),
  )
}
