import type { Incident } from '../../src/core/incident.ts'
import { buildView } from '../../src/core/incidentview.ts'
import type { Policy } from '../../src/core/policy.ts'
import type { Delivery, OccurrenceRow, Tx } from '../../src/core/store.ts'
import type { IncidentView, StoryEvent } from '../../src/core/view.ts'
import { UNRESOLVED } from './define.ts'
import { line } from './text.ts'

/** Unresolved incidents that are looked through for the most important ones. */
const LOOKED_AT = 1000

/** What is known of an incident in words, without asking the outside. */
export function viewOf(
  incident: Incident,
  policy: Policy,
  more: { alerts?: readonly OccurrenceRow[]; story?: StoryEvent[] } = {},
): IncidentView {
  const { alerts = [], story = [] } = more
  return buildView({ incident, alerts, story, level: null, policy, publicUrl: null })
}

/** `Bucket empty in A and B · rating-api` */
export function titleOf(incident: Incident, policy: Policy): string {
  const view = viewOf(incident, policy)
  const values = Object.hasOwn(view.key, 'alertname') ? [] : Object.values(view.key).filter((value) => value !== '')
  return line([`${view.synthetic ? 'TEST ' : ''}${view.what}`, ...values].join(' · '), 120)
}

/** `incident 12 (P1 · Bucket empty in A · rating-api)` */
export function named(incident: Incident, policy: Policy): string {
  return `incident ${incident.id} (${incident.level} · ${titleOf(incident, policy)})`
}

export function ringing(incident: Incident): boolean {
  return incident.pages.some((page) => page.state === 'triggered')
}

/** Unresolved incidents, the most urgent first: level, then what nobody has, then the newest; and how many there are. */
export async function unresolved(tx: Tx): Promise<{ incidents: Incident[]; total: number }> {
  const incidents = await tx.listIncidents({ states: UNRESOLVED, limit: LOOKED_AT, before: null })
  incidents.sort((a, b) => rank(a).localeCompare(rank(b)) || b.openedAt - a.openedAt || b.id - a.id)
  let total = incidents.length
  if (total === LOOKED_AT) {
    const counts = await tx.countIncidents()
    total = counts.reduce((sum, one) => sum + (UNRESOLVED.includes(one.state) ? one.count : 0), 0)
  }
  return { incidents, total }
}

const rank = (incident: Incident): string => `${incident.level}${ringing(incident) ? 0 : 1}`

/** Where a delivery goes, e.g. `slack:C0CRITICAL`. */
export function destinationOf(delivery: Delivery): string {
  return line(`${delivery.kind}:${delivery.target}`, 60)
}

/** An incident for programs. */
export function incidentData(incident: Incident, policy: Policy) {
  return {
    id: String(incident.id),
    state: incident.state,
    level: incident.level,
    level_reason: incident.levelReason,
    title: titleOf(incident, policy),
    regions: Object.keys(incident.regions),
    firing: incident.firing,
    opened_at: new Date(incident.openedAt).toISOString(),
    acknowledged_by: incident.acknowledgedBy,
    resolved_by: incident.resolvedBy,
  }
}
