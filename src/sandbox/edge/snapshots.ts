import { ClawError } from '../../core/errors.ts'
import type { BucketState } from './crdt.ts'
import { availableOf, capacityOf, type Region } from './region.ts'

/** How many are kept; older ones are forgotten first. */
const KEPT = 100

type Stored = { at: number; regions: { region: string; version: string; states: BucketState[]; view: object }[] }

/** Token state at one moment, as each node held it. */
export type Snapshots = {
  /** Stores the state of `regions`. `now` in ms. Returns the snapshot's id. */
  take(regions: readonly Region[], now: number): string
  /** A summary as JSON. @throws ClawError('not_found') */
  get(id: string): object
}

/** Makes an empty store. States are immutable, so that keeping one costs nothing. */
export function createSnapshots(): Snapshots {
  const stored = new Map<string, Stored>()
  let count = 0
  return {
    take(regions, now) {
      const id = `snap_${++count}`
      stored.set(id, {
        at: now,
        regions: regions.map((region) => ({
          region: region.name,
          version: region.version.name,
          states: region.nodes.flatMap(({ replica }) => replica.states[region.index] ?? []),
          view: {
            capacity: capacityOf(region),
            available: Math.floor(availableOf(region)),
            diverged_keys: new Set(region.nodes.flatMap((node) => [...node.diverged])).size,
          },
        })),
      })
      if (stored.size > KEPT) stored.delete(stored.keys().next().value ?? '')
      return id
    },
    get(id) {
      const snapshot = stored.get(id)
      if (!snapshot) throw new ClawError('not_found', `There is no snapshot ${JSON.stringify(id)}.`)
      return {
        snapshot: id,
        at: new Date(snapshot.at).toISOString(),
        regions: snapshot.regions.map(({ region, version, states, view }) => ({
          region,
          version,
          ...view,
          epoch: Math.max(0, ...states.map((state) => state.epoch)),
          nodes: states.length,
        })),
      }
    },
  }
}
