import type { Labels } from '../../core/alert.ts'
import { SECOND } from '../../core/clock.ts'
import type { Random } from '../random.ts'
import { type BucketState, seeded } from './crdt.ts'
import { countRequests, createNode, type EdgeNode } from './node.ts'
import { adopt, change } from './replica.ts'
import { createTenants, KEYS, type Tenants } from './tenants.ts'

/** The model's own tick, ms. */
export const TICK = 250
/** What a region is like when nothing happens. Tokens, tokens per second, requests per second, seconds. */
export const BASELINE = {
  capacity: 12_000,
  refillRate: 1_500,
  demand: 600,
  replicas: 3,
  syncLag: 0.12,
  jitter: 0.02,
  conflictsPerMinute: 1,
  p95: 0.045,
  errorRatio: 0.0004,
  rating: 0.97,
} as const
/** The service that all metrics and alerts name. */
export const SERVICE = 'rating-api'
export const STABLE_VERSION = '1.8.2'

/** What a scenario does to a region; everything is added to, or multiplied with, the baseline. */
export type Pressure = {
  demandFactor: number
  /** how much more than normally tenants come in bursts */
  burstFactor: number
  refillFactor: number
  /** tokens per second that leave the bucket without a request */
  drainPerSecond: number
  down: boolean
  /** no message passes between this region and any other */
  cut: boolean
  /** share of the messages to this region that is lost on the way */
  lossRatio: number
  /** messages from other regions take so much longer */
  lagSeconds: number
  jitterSeconds: number
  latencySeconds: number
  errorRatio: number
}

/** Nothing weighs on the region. */
export const CALM: Pressure = {
  demandFactor: 1,
  burstFactor: 1,
  refillFactor: 1,
  drainPerSecond: 0,
  down: false,
  cut: false,
  lossRatio: 0,
  lagSeconds: 0,
  jitterSeconds: 0,
  latencySeconds: 0,
  errorRatio: 0,
}

/** A version of the edge; with `dropsUpdates` its nodes lose what is pending in a merge while jitter is high. */
export type Version = { name: string; dropsUpdates: boolean }

export type Canary = { weight: number; version: string | null; rating: number }

export type Region = {
  name: string
  index: number
  nodes: EdgeNode[]
  /** of its bucket, the newest there ever was */
  epoch: number
  tenants: Tenants
  pressure: Pressure
  /** its bucket falls apart under the clients that a failover brought (see faults.ts) */
  collapsing: boolean
  capacityFactor: number
  capacityUntil: number | null
  replicas: number
  replicasUntil: number | null
  version: Version
  previous: Version | null
  canary: Canary
  /** rates per second, and gauges in seconds, as they are now */
  offered: number
  admitted: number
  refused: number
  errors: number
  syncLag: number
  jitter: number
  conflictsPerMinute: number
  p95: number
  rating: number
}

/** The labels that every series of a region carries. */
export function regionLabels(region: string): Labels {
  return { service: SERVICE, region }
}

/** Tokens the bucket holds when full. */
export function capacityOf(region: Region): number {
  return BASELINE.capacity * region.capacityFactor
}

/** Tokens per second that flow in when nothing is wrong; more capacity and more replicas bring more. */
export function refillRateOf(region: Region): number {
  const { capacityFactor, replicas, pressure } = region
  return BASELINE.refillRate * capacityFactor * (replicas / BASELINE.replicas) * pressure.refillFactor
}

/** Tokens that the region's nodes believe they have, on average; what one of them lacks counts as none. */
export function availableOf(region: Region): number {
  const cap = capacityOf(region) / KEYS
  let sum = 0
  for (const { replica } of region.nodes) {
    for (const tokens of replica.counts[region.index] ?? []) sum += Math.max(0, Math.min(cap, tokens))
  }
  return sum / region.nodes.length
}

/** What every key of a full bucket holds. */
export function full(region: Region): Float64Array {
  return new Float64Array(KEYS).fill(capacityOf(region) / KEYS)
}

/** Tokens by key as they really are: what the nodes did, all of it, whoever has heard of it. */
export function truthOf(region: Region): Float64Array {
  const tokens = region.nodes[0]?.replica.states[region.index]?.base.slice() ?? full(region)
  for (const { replica } of region.nodes) {
    for (let k = 0; k < KEYS; k++) {
      tokens[k] = (tokens[k] ?? 0) + (replica.refilled[k] ?? 0) - (replica.taken[k] ?? 0)
    }
  }
  return tokens
}

/** Begins a new epoch of the region's bucket with `tokens` by key, on all its nodes at once; other regions hear of it. */
export function seed(region: Region, tokens: Float64Array): void {
  region.epoch += 1
  const state = seeded(region.epoch, tokens, region.nodes.length)
  for (const { replica } of region.nodes) adopt(replica, region.index, state)
}

/** Makes healthy regions of `perRegion` nodes each, all buckets full. `now` in ms since the epoch. */
export function createRegions(names: readonly string[], perRegion: number, random: Random, now: number): Region[] {
  const fullBucket = new Float64Array(KEYS).fill(BASELINE.capacity / KEYS)
  const states = names.map(() => seeded(1, fullBucket, perRegion))
  return names.map((name, index) => ({
    name,
    index,
    nodes: nodesOf(name, index, { perRegion, regions: names.length, now }, states),
    epoch: 1,
    tenants: createTenants(random),
    pressure: { ...CALM },
    collapsing: false,
    canary: { weight: 0, version: null, rating: BASELINE.rating },
    ...fresh(),
  }))
}

function nodesOf(
  name: string,
  region: number,
  { perRegion, regions, now }: { perRegion: number; regions: number; now: number },
  states: readonly BucketState[],
): EdgeNode[] {
  const nodes = perRegion * regions
  return Array.from({ length: perRegion }, (_, index) =>
    createNode(
      `${name.toLowerCase()}-${index + 1}`,
      { region, index, number: region * perRegion + index, nodes, now },
      states,
    ),
  )
}

/** What a region is like when nothing was ever done to it. */
export function fresh() {
  return {
    capacityFactor: 1,
    capacityUntil: null,
    replicas: BASELINE.replicas,
    replicasUntil: null,
    version: { name: STABLE_VERSION, dropsUpdates: false },
    previous: null,
    offered: BASELINE.demand,
    admitted: BASELINE.demand,
    refused: 0,
    errors: BASELINE.demand * BASELINE.errorRatio,
    syncLag: BASELINE.syncLag,
    jitter: BASELINE.jitter,
    conflictsPerMinute: BASELINE.conflictsPerMinute,
    p95: BASELINE.p95,
    rating: BASELINE.rating,
  }
}

/**
 * A region that comes back is new processes: counters begin at zero, copies of other regions' buckets come from `peers`, and
 * its own bucket begins a new epoch half full.
 */
export function restart(region: Region, peers: readonly BucketState[], regions: number, now: number): void {
  region.nodes = nodesOf(region.name, region.index, { perRegion: region.nodes.length, regions, now }, peers)
  seed(
    region,
    full(region).map((tokens) => tokens / 2),
  )
  const { syncLag, jitter, p95, conflictsPerMinute } = BASELINE
  Object.assign(region, { syncLag, jitter, p95, conflictsPerMinute, offered: 0, admitted: 0, refused: 0, errors: 0 })
}

/** Changes the capacity; a bucket that gets smaller loses what no longer fits. */
export function resize(region: Region, factor: number, until: number | null): void {
  region.capacityFactor = factor
  region.capacityUntil = until
  const cap = capacityOf(region) / KEYS
  seed(
    region,
    truthOf(region).map((tokens) => Math.min(cap, tokens)),
  )
}

/** Ends what was set with an end. `now` in ms since the epoch. */
export function expire(region: Region, now: number): void {
  if (region.capacityUntil !== null && now >= region.capacityUntil) resize(region, 1, null)
  if (region.replicasUntil !== null && now >= region.replicasUntil) {
    region.replicas = BASELINE.replicas
    region.replicasUntil = null
  }
}

/** Share of the traffic that the canary gets, 0..1. */
export function canaryShareOf({ canary }: Region): number {
  return canary.version === null ? 0 : canary.weight / 100
}

/** Share of the served requests that fail with 5xx: the region's own, and those of a canary by how badly it is rated. */
export function errorRatioOf(region: Region): number {
  const { pressure, canary, collapsing } = region
  const canaryErrors = canaryShareOf(region) * 0.05 * Math.max(0, BASELINE.rating - canary.rating)
  return Math.min(1, BASELINE.errorRatio + pressure.errorRatio + canaryErrors + (collapsing ? 0.3 : 0))
}

/**
 * One tick of a region that is up: every node refills its part and serves its clients from its own count, without asking.
 * @param offered requests per second
 * @param wobble -0.5..0.5
 */
export function serve(region: Region, offered: number, wobble: number, now: number): void {
  const dt = TICK / SECOND
  const { pressure, nodes } = region
  const toward = (value: number, target: number) => value + (target - value) * (dt / 2)
  const canaryShare = canaryShareOf(region)
  region.rating = toward(region.rating, (canaryShare > 0 ? region.canary.rating : BASELINE.rating) + wobble * 0.01)
  region.p95 = toward(region.p95, BASELINE.p95 * (1 + wobble * 0.2) + pressure.latencySeconds + canaryShare * 0.1)

  const errorRatio = errorRatioOf(region)
  const shares = region.tenants.shares(now, pressure.burstFactor)
  const perNode = (offered * dt) / nodes.length
  let admitted = 0
  for (const node of nodes) {
    const served = serveNode(region, node, shares, perNode)
    const refused = perNode - served
    countRequests(node, { served, errorRatio, refused, p95: region.p95 })
    node.offered = toward(node.offered, perNode / dt)
    node.refused = toward(node.refused, refused / dt)
    admitted += served
  }
  region.offered = toward(region.offered, offered)
  region.admitted = toward(region.admitted, admitted / dt)
  region.refused = toward(region.refused, offered - admitted / dt)
  region.errors = toward(region.errors, (admitted / dt) * errorRatio)
}

/** Answers how many of `wanted` requests the node admitted. */
function serveNode(region: Region, node: EdgeNode, shares: Float64Array, wanted: number): number {
  const parts = region.nodes.length
  const dt = TICK / SECOND
  const cap = capacityOf(region) / KEYS
  const refill = (refillRateOf(region) * dt) / parts / KEYS
  const drain = ((region.pressure.drainPerSecond + (region.collapsing ? 2 * BASELINE.capacity : 0)) * dt) / parts / KEYS
  const count = node.replica.counts[region.index] ?? new Float64Array(KEYS)
  let admitted = 0
  for (let k = 0; k < KEYS; k++) {
    const tokens = count[k] ?? 0
    // Each node fills its part of what it believes is missing, at most its part of the refill rate.
    const added = Math.min(refill, Math.max(0, cap - tokens) / parts)
    if (added > 0) change(node.replica, k, added)
    const there = Math.max(0, tokens + added)
    const leaked = Math.min(drain, there)
    const got = Math.min(wanted * (shares[k] ?? 0), there - leaked)
    if (got + leaked > 0) change(node.replica, k, -(got + leaked))
    admitted += got
  }
  return admitted
}
