import type { Clock } from '../core/clock.ts'
import { SECOND } from '../core/clock.ts'
import type { Cluster, EdgeAdmin, EdgeConflict, EdgeRegion } from '../core/edge.ts'
import type { Incident } from '../core/incident.ts'
import type { Policy } from '../core/policy.ts'
import type { FiringGroup } from '../core/remedy.ts'
import { classOf } from '../core/severity.ts'
import type { Reads } from '../core/store.ts'
import type { ActionSettings, WorkflowServices } from '../core/workflow.ts'
import { regionOf } from './judge.ts'

/** What remediation reaches of the outside; WorkflowServices has it all. */
export type RemediationServices = {
  edge: Pick<EdgeAdmin, 'regions' | 'conflicts'> | null
  cluster: Pick<Cluster, 'parts'> | null
  query: WorkflowServices['query']
  settings: ActionSettings
}

export type EdgeSight = {
  edge: 'none' | 'silent' | 'answers'
  regions: EdgeRegion[] | null
}

export type Sight = {
  regions(): Promise<EdgeSight>
  /** diverged keys of all regions; null when the edge does not say */
  conflicts(): Promise<EdgeConflict[] | null>
  /** share of requests that fail, 0..1: the query's answer, else the worst region's; null when nobody knows */
  errorRatio(query: string | null): Promise<number | null>
  /** alerts of an incident that fire and count, by class and region */
  alertsOf(reads: Pick<Reads, 'firingRows'>, incident: Incident, policy: Policy): Promise<FiringGroup[]>
  /** forgets what it knows of other incidents than these */
  keepOnly(incidents: ReadonlySet<number>): void
}

/** An answer of the edge this young is used again; the next look, two seconds later, asks anew. */
const FRESH = 1.9 * SECOND
/** How long a look waits for one answer. */
const PATIENCE = 1.5 * SECOND
/** Diverged keys that are asked for: which regions are concerned shows in far fewer. */
const MAX_CONFLICTS = 200
/** Alerts of one incident that are looked at. */
const MAX_ALERTS = 1000

/** What policies decide by, each asked at most once a look. Never rejects because something outside is down. */
export function createSight(services: () => RemediationServices, clock: Clock): Sight {
  let regions: { answer: EdgeSight; at: number } | null = null
  let conflicts: { answer: EdgeConflict[] | null; at: number } | null = null
  const alerts = new Map<number, { version: number; classes: Policy['classes']; groups: FiringGroup[] }>()

  const isFresh = (known: { at: number } | null): boolean => {
    const age = known === null ? Infinity : clock() - known.at
    return age >= 0 && age < FRESH
  }

  async function lookAtRegions(): Promise<EdgeSight> {
    const { edge } = services()
    if (!edge) return { edge: 'none', regions: null }
    if (regions === null || !isFresh(regions)) {
      const said = await inTime((signal) => edge.regions(signal))
      regions = { answer: { edge: said === null ? 'silent' : 'answers', regions: said }, at: clock() }
    }
    return regions.answer
  }

  return {
    regions: lookAtRegions,
    async conflicts() {
      const { edge } = services()
      if (!edge) return null
      if (conflicts === null || !isFresh(conflicts)) {
        const answer = await inTime((signal) => edge.conflicts(null, MAX_CONFLICTS, signal))
        conflicts = { answer, at: clock() }
      }
      return conflicts.answer
    },
    async errorRatio(expression) {
      const { query } = services()
      if (expression !== null && query) return await inTime((signal) => query(expression, signal))
      const ratios = ((await lookAtRegions()).regions ?? []).map((one) => one.errorRatio).filter((one) => one !== null)
      return ratios.length === 0 ? null : Math.max(...ratios)
    },
    async alertsOf(reads, incident, policy) {
      const known = alerts.get(incident.id)
      if (known?.version === incident.version && known.classes === policy.classes) return known.groups
      const groups = new Map<string, FiringGroup>()
      for (const row of await reads.firingRows(incident.id, MAX_ALERTS)) {
        const alertClass = classOf(policy.classes, row.payload.labels)
        const region = regionOf(row.payload.labels)
        const key = JSON.stringify([alertClass, region])
        const since = Math.min(row.startsAt, groups.get(key)?.since ?? row.startsAt)
        groups.set(key, { class: alertClass, region, since })
      }
      const found = [...groups.values()]
      alerts.set(incident.id, { version: incident.version, classes: policy.classes, groups: found })
      return found
    },
    keepOnly(incidents) {
      for (const id of alerts.keys()) if (!incidents.has(id)) alerts.delete(id)
    },
  }
}

/** The answer, or null when there is none in time. */
async function inTime<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<T | null> {
  const signal = AbortSignal.timeout(PATIENCE)
  const late = new Promise<null>((resolve) => signal.addEventListener('abort', () => resolve(null), { once: true }))
  return await Promise.race([ask(signal).catch(() => null), late])
}
