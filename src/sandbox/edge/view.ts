import { availableOf, capacityOf, type Region, refillRateOf } from './region.ts'

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
  nodes: { node: string; delta: number; refused_ratio: number; jitter_seconds: number; diverged_keys: number }[]
}

/** More errors than this, and the region counts as unhealthy. */
const UNHEALTHY = 0.2

/** A region as the admin API and the rules see it. */
export function viewOf(region: Region, receiving: boolean): RegionView {
  const capacity = capacityOf(region)
  const available = availableOf(region)
  const errorRatio = ratio(region.errors, region.offered)
  return {
    region: region.name,
    up: !region.pressure.down,
    healthy: !region.pressure.down && !region.collapsing && errorRatio < UNHEALTHY,
    receiving,
    bucket: { capacity, available: Math.floor(available), ratio: ratio(available, capacity) },
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
    nodes: region.nodes.map((node) => ({
      node: node.name,
      delta: node.delta,
      refused_ratio: ratio(node.refused, node.offered),
      jitter_seconds: node.jitter,
      diverged_keys: node.diverged.size,
    })),
  }
}

function ratio(part: number, whole: number): number {
  return whole > 0 ? Math.max(0, Math.min(1, part / whole)) : 0
}
