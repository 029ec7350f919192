import { type Clock, SECOND } from '../core/clock.ts'
import type { CommandSpec, PreparedApproval, RegionStatus, RegionsAnswer, Services } from '../core/command.ts'
import { matchAll, parseMatchers } from '../core/matchers.ts'
import type { Store } from '../core/store.ts'
import { eachFiring } from './reconcile.ts'

/** What the edge says of its regions, as far as `status` shows it; the adapter's own type has more. */
export type RegionsSource = {
  regions(signal: AbortSignal): Promise<
    | {
        ok: true
        regions: readonly (Omit<RegionStatus, 'ratio' | 'p95Seconds'> & {
          bucket: { ratio: number } | null
          p95LatencySeconds: number | null
        })[]
      }
    | { ok: false; reason: string }
  >
}

export type ServicesDeps = {
  store: Store
  edge: () => RegionsSource | null
  /** from PagerDuty; null when it cannot be asked */
  onCall: Services['onCall']
  clock: Clock
  specs: () => readonly CommandSpec[]
  /** Markdown of an incident's post-mortem; null when there is no such incident */
  renderPostmortem: (incident: number) => Promise<string | null>
  prepareApproval: (id: number) => Promise<PreparedApproval | null>
  outside: Services['outside']
  changes: Services['changes']
  publicUrl: Services['publicUrl']
  /** how long a person waits for the edge, milliseconds; default 1 500 */
  patience?: number
}

/** An answer of the edge this young is shown as it is. */
const FRESH = 5 * SECOND
const PATIENCE = 1.5 * SECOND
/** Alerts that the preview of a silence looks at; beyond that it counts no further. */
const MAX_MATCHED = 20_000

/** What commands may ask of the outside before they decide. Each answers within 2 s, and never rejects because something is down. */
export function createServices(deps: ServicesDeps): Services {
  const { store, clock } = deps
  let cached: { regions: RegionStatus[]; at: number; from: RegionsSource } | null = null
  let underWay: { answer: Promise<string | null>; from: RegionsSource } | null = null

  /** Asks once for all who wait, and goes on when they have given up. @returns what is wrong; null when the cache is fresh now */
  function ask(edge: RegionsSource): Promise<string | null> {
    if (underWay?.from === edge) return underWay.answer
    const answer = edge
      .regions(new AbortController().signal)
      .then((said) => {
        if (!said.ok) return said.reason
        cached = { regions: said.regions.map(statusOf), at: clock(), from: edge }
        return null
      })
      .catch(() => 'Edge: could not be asked')
      .finally(() => {
        if (underWay?.from === edge) underWay = null
      })
    underWay = { answer, from: edge }
    return answer
  }

  async function regions(): Promise<RegionsAnswer> {
    const edge = deps.edge()
    if (!edge) return { regions: [], at: null, problem: null, configured: false }
    // What another edge said (before a reload) is no news of this one.
    if (cached?.from !== edge) cached = null
    const age = cached === null ? Infinity : clock() - cached.at
    const patience = deps.patience ?? PATIENCE
    const late = `Edge: no answer within ${patience / SECOND} s`
    const problem = age >= 0 && age < FRESH ? null : await within(patience, ask(edge), late)
    return { regions: cached?.regions ?? [], at: cached?.at ?? null, problem, configured: true }
  }

  return {
    regions,
    onCall: () => deps.onCall().catch(() => null),
    incident: async (id) => (await store.incidents([id]))[0] ?? null,
    approval: (id) => deps.prepareApproval(id),
    commands: () => deps.specs(),
    postmortem: (incident) => deps.renderPostmortem(incident),
    outside: () => deps.outside(),
    changes: () => deps.changes(),
    reads: store,
    publicUrl: () => deps.publicUrl(),
    async vitals() {
      const [proven, beats, deliveries] = await Promise.all([
        store.meta('paging_proven_at'),
        store.heartbeats(),
        store.countDeliveries(),
      ])
      const heard = beats.filter((beat) => beat.lastAt > 0).map((beat) => clock() - beat.lastAt)
      const sum = (dead: boolean) =>
        deliveries.reduce((n, { state, count }) => ((state === 'dead') === dead ? n + count : n), 0)
      return {
        pagingProvenAt: proven === null ? null : Number(proven),
        // The oldest: one silent Prometheus is not made up for by another.
        heartbeatAge: heard.length === 0 ? null : Math.max(0, ...heard),
        deadLetters: sum(true),
        waiting: sum(false),
      }
    },
    async matching(text) {
      const matchers = parseMatchers(text)
      const regions = new Set<string>()
      const found = { alerts: 0, critical: 0 }
      let seen = 0
      await eachFiring(store, (row) => {
        seen += 1
        if (matchers.length > 0 && matchAll(matchers, row.payload.labels)) {
          found.alerts += 1
          if (row.level === 'P1') found.critical += 1
          if (row.region !== '') regions.add(row.region)
        }
        return seen < MAX_MATCHED
      })
      return { ...found, regions: [...regions].sort() }
    },
  }
}

function statusOf(
  region: Extract<Awaited<ReturnType<RegionsSource['regions']>>, { ok: true }>['regions'][number],
): RegionStatus {
  return {
    region: region.region,
    healthy: region.healthy,
    receiving: region.receiving,
    ratio: region.bucket?.ratio ?? null,
    syncLagSeconds: region.syncLagSeconds,
    conflictsPerMinute: region.conflictsPerMinute,
    requestRate: region.requestRate,
    p95Seconds: region.p95LatencySeconds,
    errorRatio: region.errorRatio,
    canaryWeight: region.canaryWeight,
    version: region.version,
  }
}

/** `answer`, or `late` when it takes longer than `ms`. */
async function within<T>(ms: number, answer: Promise<T>, late: T): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<T>((resolve) => {
    timer = setTimeout(() => resolve(late), ms)
  })
  try {
    return await Promise.race([answer, over])
  } finally {
    clearTimeout(timer)
  }
}
