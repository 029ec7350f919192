import type { ReconcilePolicy } from '../../core/edge.ts'
import { TOLERANCE } from './divergence.ts'
import { capacityOf, full, type Region, seed, truthOf } from './region.ts'
import { adopt, rebuild } from './replica.ts'
import { KEYS } from './tenants.ts'

/** What a reconcile changed: diverged keys, and by how many tokens the regions' buckets grew and shrank. */
export type Reconciled = { keys: number; more: number; fewer: number }

/**
 * The full sync of `regions`: the copies that their nodes hold of a key are laid side by side; where they differ, the policy
 * decides; the outcome begins a new epoch on all nodes. `reset-and-reseed` fills every key instead. What the nodes hold of
 * other regions' buckets is added up anew.
 */
export function reconcile(regions: readonly Region[], policy: ReconcilePolicy): Reconciled {
  const changed: Reconciled = { keys: 0, more: 0, fewer: 0 }
  const diverged = new Set<number>()
  for (const region of regions) {
    for (const { replica } of region.nodes) {
      replica.lost.forEach((lost) => {
        for (let k = 0; k < KEYS; k++) if ((lost[k] ?? 0) > (TOLERANCE * capacityOf(region)) / KEYS) diverged.add(k)
      })
    }
    decide(region, policy, changed)
  }
  for (const region of regions) for (const { replica } of region.nodes) rebuild(replica)
  return { keys: diverged.size, more: Math.round(changed.more), fewer: Math.round(changed.fewer) }
}

function decide(region: Region, policy: ReconcilePolicy, changed: Reconciled): void {
  const cap = capacityOf(region) / KEYS
  const within = (tokens: number) => Math.max(0, Math.min(cap, tokens))
  const truth = truthOf(region)
  const decided = truth.map((tokens, k) => {
    if (policy === 'reset-and-reseed') return cap
    const apart = region.nodes.some(({ replica }) => (replica.lost[region.index]?.[k] ?? 0) > TOLERANCE * cap)
    if (!apart) return within(tokens)
    const copies = region.nodes.map(({ replica }) => within(replica.counts[region.index]?.[k] ?? 0))
    return policy === 'highest-capacity' ? Math.max(...copies) : Math.min(...copies)
  })
  for (const { replica } of region.nodes) {
    for (let k = 0; k < KEYS; k++) {
      const difference = ((decided[k] ?? 0) - within(replica.counts[region.index]?.[k] ?? 0)) / region.nodes.length
      if (difference > 0) changed.more += difference
      else changed.fewer -= difference
    }
  }
  seed(region, decided)
}

/** As if nothing had ever gone wrong between the nodes of all regions: everyone knows everything, at once. */
export function syncAll(regions: readonly Region[]): void {
  for (const region of regions) {
    const cap = capacityOf(region) / KEYS
    const tokens = truthOf(region).map((value) => Math.max(0, Math.min(cap, value)))
    seedEverywhere(region, tokens, regions)
  }
}

/** Fills a region's bucket and tells all nodes of all regions at once. */
export function refill(region: Region, regions: readonly Region[]): void {
  seedEverywhere(region, full(region), regions)
}

function seedEverywhere(region: Region, tokens: Float64Array, regions: readonly Region[]): void {
  seed(region, tokens)
  const state = region.nodes[0]?.replica.states[region.index]
  if (!state) return
  for (const other of regions) {
    if (other !== region) for (const { replica } of other.nodes) adopt(replica, region.index, state)
  }
}
