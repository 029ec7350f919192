import type { Logger } from 'pino'
import { z } from 'zod'
import { type Clock, HOUR, SECOND } from '../core/clock.ts'
import type { EdgeRegion, EdgeRegions } from '../core/edge.ts'
import { messageOf } from '../core/errors.ts'
import type { Store } from '../core/store.ts'
import type { EdgeChange } from '../core/triage.ts'

/** Who says how the regions are: the edge's admin port, or the adapter that only reads. */
export type WatchedEdge = { regions(signal: AbortSignal): Promise<readonly EdgeRegion[] | EdgeRegions> }

export type WatchDeps = {
  /** null: none is configured, and nothing is watched */
  edge: () => WatchedEdge | null
  store: Pick<Store, 'meta' | 'write'>
  clock: Clock
  log: Logger
}

export type WatchSample = { readonly at: number; readonly regions: readonly EdgeRegion[] }

export type Watch = {
  /** Looks when it is time. Waits a moment for the answer, never for a slow edge. */
  tick(): Promise<void>
  /** what changed lately, newest last; at most 100 */
  changes(): readonly EdgeChange[]
  /** samples of the last hour, oldest first */
  history(): readonly WatchSample[]
}

const EVERY = 5 * SECOND
const KEPT = HOUR
/** An edge that has not answered by then has nothing to say this time. */
const TIMEOUT = 4 * SECOND
/** Who calls `tick` has other things to do. */
const PATIENCE = 300
const MAX_CHANGES = 100
/** Samples of single regions kept in memory: an hour of fifty regions. */
const MAX_POINTS = 36_000
const KEY = 'edge_changes'

const WATCHED = {
  version: (region) => region.version,
  'canary weight': (region) => (region.canaryWeight === null ? null : `${region.canaryWeight} %`),
  capacity: (region) => (region.bucket?.capacity == null ? null : String(Math.round(region.bucket.capacity))),
  replicas: (region) => (region.replicas === null ? null : String(region.replicas)),
  receiving: (region) => (region.receiving === null ? null : region.receiving ? 'yes' : 'no'),
} as const satisfies Partial<Record<EdgeChange['what'], (region: EdgeRegion) => string | null>>

const Stored = z.object({
  changes: z.array(
    z.object({
      at: z.number(),
      region: z.string(),
      what: z.enum(['version', 'canary weight', 'capacity', 'replicas', 'receiving', 'configuration']),
      from: z.string(),
      to: z.string(),
    }),
  ),
  /** what each region was like when last seen, so that what changes while Claw is down is seen as well */
  known: z.record(z.string(), z.record(z.string(), z.string())),
})
type Memory = z.output<typeof Stored>

/**
 * Watches the edge by polling: what changed (version, canary weight, capacity, replicas, receiving), and an hour of figures.
 * Changes outlive restarts, and of several replicas only the first to see one notes it.
 */
export function createWatch(deps: WatchDeps): Watch {
  const { store, clock, log } = deps
  let samples: WatchSample[] = []
  let memory: Memory = { changes: [], known: {} }
  let loaded = false
  let nextAt = 0
  let looking: Promise<void> | null = null
  let complained = false

  async function look(edge: WatchedEdge): Promise<void> {
    if (!loaded) {
      memory = parse(await store.meta(KEY))
      loaded = true
    }
    const limit = AbortSignal.timeout(TIMEOUT)
    const answer = await edge.regions(limit)
    const regions = 'ok' in answer ? (answer.ok ? answer.regions : null) : answer
    if (regions === null) return
    complained = false
    const at = clock()
    const room = Math.max(1, Math.floor(MAX_POINTS / Math.max(1, regions.length)))
    samples = [...samples.filter((sample) => sample.at > at - KEPT), { at, regions }].slice(-room)
    if (differs(memory.known, regions)) memory = await note(regions, at)
  }

  /** Compared with what is stored, not with what this process knows: another replica may have noted it. */
  async function note(regions: readonly EdgeRegion[], at: number): Promise<Memory> {
    return store.write(async (tx) => {
      const stored = parse(await tx.meta(KEY))
      if (!differs(stored.known, regions)) return stored
      const changes = [...stored.changes]
      const known: Memory['known'] = {}
      for (const region of regions) {
        const before = ownOf(stored.known, region.region) ?? {}
        const now = figuresOf(region)
        for (const what of Object.keys(WATCHED) as (keyof typeof WATCHED)[]) {
          const [from, to] = [before[what], now[what]]
          if (from !== undefined && to !== undefined && from !== to) {
            changes.push({ at, region: region.region, what, from, to })
          }
        }
        define(known, region.region, { ...before, ...now })
      }
      // A region that is not listed for now comes back as it was.
      for (const [name, before] of Object.entries(stored.known)) {
        if (ownOf(known, name) === undefined && Object.keys(known).length < 500) define(known, name, before)
      }
      const next = { changes: changes.slice(-MAX_CHANGES), known }
      await tx.setMeta(KEY, JSON.stringify(next))
      return next
    })
  }

  return {
    async tick() {
      const edge = deps.edge()
      if (edge === null) return
      if (looking === null) {
        // A clock that was set back must not make it wait.
        if (clock() < nextAt && nextAt - clock() <= EVERY) return
        nextAt = clock() + EVERY
        looking = look(edge)
          .catch((error) => {
            if (!complained) log.warn({ reason: messageOf(error) }, 'the edge cannot be watched')
            complained = true
          })
          .finally(() => {
            looking = null
          })
      }
      await Promise.race([looking, pause(PATIENCE)])
    },
    changes: () => memory.changes,
    history: () => samples,
  }
}

function figuresOf(region: EdgeRegion): Record<string, string> {
  return Object.fromEntries(
    Object.entries(WATCHED).flatMap(([what, of]) => {
      const value = of(region)
      return value === null ? [] : [[what, value.slice(0, 100)]]
    }),
  )
}

function differs(known: Memory['known'], regions: readonly EdgeRegion[]): boolean {
  return regions.some((region) => {
    const before = ownOf(known, region.region)
    return before === undefined || Object.entries(figuresOf(region)).some(([what, value]) => before[what] !== value)
  })
}

function parse(text: string | null): Memory {
  if (text === null) return { changes: [], known: {} }
  const parsed = Stored.safeParse(JSON.parse(text))
  return parsed.success ? parsed.data : { changes: [], known: {} }
}

const ownOf = <T>(map: Record<string, T>, key: string): T | undefined =>
  Object.hasOwn(map, key) ? map[key] : undefined

/** Not an assignment: a region may be called __proto__. */
function define<T>(map: Record<string, T>, key: string, value: T): void {
  Object.defineProperty(map, key, { value, enumerable: true, configurable: true, writable: true })
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref()
  })
}
