import { SECOND } from '../../core/clock.ts'
import type { EdgeNode } from './node.ts'
import { BASELINE, capacityOf, type Region, TICK, truthOf } from './region.ts'
import { KEYS, keyName } from './tenants.ts'

/** A count that lacks more than this share of a key's bucket has diverged. */
export const TOLERANCE = 0.05
/** A copy older than this (seconds) is off by more than lag explains when it is off by twice the tolerance. */
const STALE = 1.5
/** The nodes compare notes about each key this often (seconds), and count a conflict when they differ. */
const COMPARED_EVERY = 40
/** Time constant of the conflicts per minute, seconds. */
const CONFLICTS_SMOOTHED = 4

/** `values`: tokens of the key over all buckets, as a region's nodes see them on average; times ISO 8601. */
export type Conflict = { key: string; values: { [region: string]: number }; since: string }

/** What an all-knowing observer sees of the copies; it also keeps the gauges of replication. */
export type Divergence = {
  /** Whether the node's copy of the region's bucket is older than lag explains. `now` in ms. */
  isStale(node: EdgeNode, region: Region, now: number): boolean
  /** Counts as conflicts the keys of a stale copy that a merge brought up to date; `before` are its old counts. */
  caughtUp(node: EdgeNode, region: Region, before: Float64Array): void
  /** Compares all copies, once a tick, before anything is served. `now` in ms. */
  measure(now: number): void
  /** Diverged keys, the oldest first; of one region's nodes, or of all. */
  conflicts(region?: string): Conflict[]
}

/** Makes an observer of live regions; those that are down do not count. */
export function createDivergence(regions: readonly Region[]): Divergence {
  /** ms since the epoch, by key */
  const since = new Map<number, number>()
  /** conflicts that merges met since the last comparison */
  const met = new Map<EdgeNode, number>()
  const up = () => regions.filter((region) => !region.pressure.down)
  const ageOf = (node: EdgeNode, region: Region, now: number) =>
    (now - Math.max(...region.nodes.map((other) => node.heard[other.number] ?? 0))) / SECOND
  const isStale = (node: EdgeNode, region: Region, now: number) =>
    !region.nodes.includes(node) && ageOf(node, region, now) > STALE

  function compare(node: EdgeNode, region: Region, truth: Float64Array, stale: boolean): number {
    const cap = capacityOf(region) / KEYS
    const counts = node.replica.counts[region.index]
    const lost = node.replica.lost[region.index]
    let off = 0
    for (let k = 0; k < KEYS; k++) {
      const difference = Math.abs((counts?.[k] ?? 0) - (truth[k] ?? 0))
      off += Math.min(cap, difference)
      if ((lost?.[k] ?? 0) > TOLERANCE * cap || (stale && difference > 2 * TOLERANCE * cap)) node.diverged.add(k)
    }
    return off / (cap * KEYS)
  }

  /** Seconds that a region's copies of the others are behind, on average; of its own nodes where there are no others. */
  function lagOf(region: Region, alive: readonly Region[], now: number): number {
    const others = alive.filter((other) => other !== region)
    const from = (others.length > 0 ? others : [region]).flatMap((other) => other.nodes)
    let sum = 0
    let count = 0
    for (const node of region.nodes) {
      for (const other of from) {
        if (other === node) continue
        const silence = now - (node.heard[other.number] ?? now)
        const delay = node.delay[other.number] ?? Number.NaN
        sum += silence <= TICK && !Number.isNaN(delay) ? delay : silence / SECOND
        count += 1
      }
    }
    return count === 0 ? 0 : sum / count
  }

  return {
    isStale,
    caughtUp(node, region, before) {
      const cap = capacityOf(region) / KEYS
      const counts = node.replica.counts[region.index]
      let keys = 0
      for (let k = 0; k < KEYS; k++) {
        if (Math.abs((counts?.[k] ?? 0) - (before[k] ?? 0)) > TOLERANCE * cap) keys += 1
      }
      node.conflicts += keys
      met.set(node, (met.get(node) ?? 0) + keys)
    },
    measure(now) {
      const dt = TICK / SECOND
      const alive = up()
      const truths = alive.map(truthOf)
      const diverged = new Set<number>()
      for (const region of alive) {
        let found = 0
        for (const node of region.nodes) {
          node.diverged.clear()
          node.delta = Math.max(
            ...alive.map((other, i) =>
              compare(node, other, truths[i] ?? new Float64Array(KEYS), isStale(node, other, now)),
            ),
          )
          for (const key of node.diverged) diverged.add(key)
          const background = BASELINE.conflictsPerMinute / 60 / region.nodes.length
          const compared = (background + keysLost(node) / COMPARED_EVERY) * dt
          node.conflicts += compared
          found += compared + (met.get(node) ?? 0)
        }
        region.conflictsPerMinute += ((found / dt) * 60 - region.conflictsPerMinute) * (dt / CONFLICTS_SMOOTHED)
        region.syncLag += (lagOf(region, alive, now) - region.syncLag) * (dt / 2)
        const jitter = Math.max(...region.nodes.map((node) => node.jitter))
        region.jitter += (jitter - region.jitter) * (dt / 2)
      }
      met.clear()
      for (const key of since.keys()) if (!diverged.has(key)) since.delete(key)
      for (const key of diverged) if (!since.has(key)) since.set(key, now)
    },
    conflicts(name) {
      const alive = up()
      const asked = alive.filter((region) => name === undefined || region.name === name)
      return [...since]
        .filter(([key]) => asked.some((region) => region.nodes.some((node) => node.diverged.has(key))))
        .sort(([a, from], [b, to]) => from - to || a - b)
        .map(([key, began]) => ({
          key: keyName(key),
          values: Object.fromEntries(alive.map((region) => [region.name, seenBy(region, regions, key)])),
          since: new Date(began).toISOString(),
        }))
    },
  }
}

/** Keys whose count lacks what the state has: no lag explains that. */
function keysLost(node: EdgeNode): number {
  const { region, lost } = node.replica
  const own = lost[region]
  let keys = 0
  for (const key of node.diverged) if ((own?.[key] ?? 0) > 0) keys += 1
  return keys
}

function seenBy(region: Region, regions: readonly Region[], key: number): number {
  let sum = 0
  for (const { replica } of region.nodes) {
    for (const bucket of regions) {
      const cap = capacityOf(bucket) / KEYS
      sum += Math.max(0, Math.min(cap, replica.counts[bucket.index]?.[key] ?? 0))
    }
  }
  return Math.round(sum / region.nodes.length)
}
