import type { Labels } from '../core/alert.ts'
import { SECOND } from '../core/clock.ts'
import { countRequests, createNode, type EdgeNode } from './edge-node.ts'

/*
 * A plain model of the edge: enough for its metrics, its admin API and the scenarios to be believed. It runs in real
 * time, in ticks of fixed length, so that its rates mean the same to a real Prometheus and that the same seed always
 * gives the same figures, however the time was cut into steps.
 */

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
/** The incident's patch: merge() drops pending updates above this jitter, in seconds (system.md, section 1). */
const DROPS_UPDATES_ABOVE = 0.15

/** What a scenario does to a region; everything is added to, or multiplied with, the baseline. */
export type Pressure = {
  demandFactor: number
  refillFactor: number
  /** tokens per second that leave the bucket without a request */
  drainPerSecond: number
  down: boolean
  lagSeconds: number
  jitterSeconds: number
  conflictsPerMinute: number
  latencySeconds: number
  errorRatio: number
}

/** Nothing weighs on the region. */
export const CALM: Pressure = {
  demandFactor: 1,
  refillFactor: 1,
  drainPerSecond: 0,
  down: false,
  lagSeconds: 0,
  jitterSeconds: 0,
  conflictsPerMinute: 0,
  latencySeconds: 0,
  errorRatio: 0,
}

/** A version of the edge; with `dropsUpdates` its nodes diverge while jitter is high. */
export type Version = { name: string; dropsUpdates: boolean }

export type Region = {
  name: string
  index: number
  nodes: EdgeNode[]
  pressure: Pressure
  /** tokens */
  available: number
  capacityFactor: number
  capacityUntil: number | null
  replicas: number
  replicasUntil: number | null
  version: Version
  previous: Version | null
  canary: { weight: number; version: string | null; rating: number }
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

/** How far a node's copy is off, as a share of capacity: what a fault left behind, and what lag alone explains. */
export function deltaOf(region: Region, node: EdgeNode): number {
  const fromLag = Math.min(0.09, Math.max(0, region.syncLag - BASELINE.syncLag) * 0.012)
  return Math.abs(node.skew) + fromLag * (node.index % 2 === 0 ? 1 : 0.5) + node.tremor
}

/** Makes a healthy region. `index` is its place among the regions, from 0. */
export function createRegion(name: string, index: number, nodes: number): Region {
  return {
    name,
    index,
    nodes: Array.from({ length: nodes }, (_, i) => createNode(`${name.toLowerCase()}-${i + 1}`, i)),
    pressure: { ...CALM },
    canary: { weight: 0, version: null, rating: BASELINE.rating },
    ...fresh(),
  }
}

/** What a region is like when nothing was ever done to it. */
export function fresh() {
  return {
    available: BASELINE.capacity,
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

/** Changes what weighs on a region; one that comes back from `down` starts anew. */
export function press(region: Region, change: Partial<Pressure>): void {
  const wasDown = region.pressure.down
  region.pressure = { ...region.pressure, ...change }
  if (!wasDown || region.pressure.down) return
  // A region that comes back is a new process: counters begin at zero, the bucket is seeded half full by its peers.
  region.nodes = region.nodes.map((node) => createNode(node.name, node.index))
  region.available = capacityOf(region) / 2
  const { syncLag, jitter, p95 } = BASELINE
  Object.assign(region, { syncLag, jitter, p95, offered: 0, admitted: 0, refused: 0, errors: 0 })
}

/** Ends what was set with an end. `now` in ms since the epoch. */
export function expire(region: Region, now: number): void {
  if (region.capacityUntil !== null && now >= region.capacityUntil) {
    region.capacityFactor = 1
    region.capacityUntil = null
  }
  if (region.replicasUntil !== null && now >= region.replicasUntil) {
    region.replicas = BASELINE.replicas
    region.replicasUntil = null
  }
  region.available = Math.min(region.available, capacityOf(region))
}

/** Requests per second that the clients at home in this region send. */
export function demandOf(region: Region): number {
  return BASELINE.demand * region.pressure.demandFactor
}

/** One tick of a region that is up: `offered` in requests per second, `wobble` in -0.5..0.5. */
export function serve(region: Region, offered: number, wobble: number): void {
  const dt = TICK / SECOND
  const { pressure, canary } = region
  const canaryShare = canary.version === null ? 0 : canary.weight / 100
  const toward = (value: number, target: number) => value + (target - value) * (dt / 2)

  region.syncLag = toward(region.syncLag, BASELINE.syncLag * (1 + wobble * 0.2) + pressure.lagSeconds)
  region.jitter = toward(region.jitter, BASELINE.jitter * (1 + wobble * 0.4) + pressure.jitterSeconds)
  region.rating = toward(region.rating, (canaryShare > 0 ? canary.rating : BASELINE.rating) + wobble * 0.01)
  region.p95 = toward(region.p95, BASELINE.p95 * (1 + wobble * 0.2) + pressure.latencySeconds + canaryShare * 0.1)
  diverge(region, wobble, dt)

  region.available += (refillRateOf(region) - pressure.drainPerSecond) * dt
  region.available = Math.max(0, Math.min(capacityOf(region), region.available))
  const share = (offered * dt) / region.nodes.length
  const wrong = region.nodes.map((node) => share * Math.min(0.24, Math.max(0, -node.skew) * 0.4))
  const wanted = offered * dt - wrong.reduce((sum, part) => sum + part, 0)
  const admitted = Math.min(wanted, region.available)
  region.available -= admitted
  const errorRatio = Math.min(1, BASELINE.errorRatio + pressure.errorRatio + canaryShare * 0.02)
  region.nodes.forEach((node, i) => {
    const served = wanted > 0 ? ((share - (wrong[i] ?? 0)) / wanted) * admitted : 0
    countRequests(node, { served, errorRatio, refused: share - served, p95: region.p95 })
    node.conflicts += (region.conflictsPerMinute / 60 / region.nodes.length) * dt
  })
  region.offered = toward(region.offered, offered)
  region.admitted = toward(region.admitted, admitted / dt)
  region.refused = toward(region.refused, offered - admitted / dt)
  region.errors = toward(region.errors, (admitted / dt) * errorRatio)
}

function diverge(region: Region, wobble: number, dt: number): void {
  for (const node of region.nodes) {
    node.tremor = 0.006 + wobble * 0.004
    // Three nodes of the smallest deployment diverge (system.md, section 1): two in the first region, one elsewhere.
    const weak = node.index === 1 || (node.index === 2 && region.index === 0)
    const breaks = weak && region.version.dropsUpdates && region.jitter > DROPS_UPDATES_ABOVE
    if (breaks) node.skew += (-0.8 - node.skew) * (dt / 8)
  }
  const diverged = region.nodes.filter((node) => Math.abs(node.skew) > 0.05).length
  const target = BASELINE.conflictsPerMinute + region.pressure.conflictsPerMinute + diverged * 15
  region.conflictsPerMinute += (target - region.conflictsPerMinute) * (dt / 2)
}
