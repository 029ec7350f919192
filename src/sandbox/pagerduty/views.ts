import type { PagerDutyState, PdIncident, PdLogEntry, PdUser } from './state.ts'

const iso = (ms: number): string => new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z')

export function userReference(user: PdUser) {
  return {
    id: user.id,
    type: 'user_reference',
    summary: user.name,
    self: `https://api.pagerduty.com/users/${user.id}`,
    html_url: `https://sandbox.pagerduty.com/users/${user.id}`,
  }
}

export function userView(user: PdUser) {
  return { ...userReference(user), type: 'user', name: user.name, email: user.email, role: 'user', time_zone: 'UTC' }
}

const SERVICE = { id: 'PSERVICE', type: 'service_reference', summary: 'rating-api' }
const POLICY = { id: 'PPOLICY', type: 'escalation_policy_reference', summary: 'Default' }

/** An incident as REST and webhooks show it (the parts that both have). */
export function incidentView(incident: PdIncident) {
  return {
    id: incident.id,
    type: 'incident',
    summary: `[#${incident.incident_number}] ${incident.title}`,
    self: `https://api.pagerduty.com/incidents/${incident.id}`,
    html_url: incident.html_url,
    incident_number: incident.incident_number,
    number: incident.incident_number,
    status: incident.status,
    incident_key: incident.incident_key,
    title: incident.title,
    urgency: incident.urgency,
    created_at: iso(incident.createdAt),
    updated_at: iso(incident.changedAt),
    last_status_change_at: iso(incident.changedAt),
    resolved_at: incident.status === 'resolved' ? iso(incident.changedAt) : null,
    service: SERVICE,
    escalation_policy: POLICY,
    teams: [],
    priority:
      incident.priority === null
        ? null
        : { id: `P${incident.priority}`, type: 'priority_reference', summary: incident.priority },
    assignments: incident.assignees.map((u) => ({ at: iso(incident.changedAt), assignee: userReference(u) })),
    assignees: incident.assignees.map(userReference),
    acknowledgements:
      incident.status === 'acknowledged'
        ? incident.acknowledgedBy.map((u) => ({ at: iso(incident.changedAt), acknowledger: userReference(u) }))
        : [],
    last_status_change_by: changedBy(incident),
    resolve_reason: null,
  }
}

function changedBy(incident: PdIncident) {
  const last = incident.status === 'resolved' ? incident.resolvedBy : incident.acknowledgedBy.at(-1)
  return last ? userReference(last) : SERVICE
}

/** What the webhook of a note carries: the note, and only a reference to its incident ("Webhooks v3", incident_note). */
export function annotationView(incident: PdIncident, note: PdIncident['notes'][number]) {
  const reference = { id: incident.id, type: 'incident_reference', summary: incident.title }
  return { incident: reference, id: note.id, content: note.content, trimmed: false, type: 'incident_note' }
}

export function logEntryView(entry: PdLogEntry, incident: PdIncident) {
  return {
    id: entry.id,
    type: entry.type,
    summary: entry.text,
    created_at: iso(entry.at),
    agent: entry.user ? userReference(entry.user) : SERVICE,
    channel: { type: entry.user ? 'website' : 'api' },
    incident: { id: incident.id, type: 'incident_reference', summary: incident.title },
    service: SERVICE,
  }
}

export function noteView(note: PdIncident['notes'][number]) {
  return { id: note.id, user: userReference(note.user), content: note.content, created_at: iso(note.at) }
}

/** One row per level of the escalation policy. */
export function onCallViews(state: PagerDutyState, policies: readonly string[] = []) {
  if (policies.length > 0 && !policies.includes(POLICY.id)) return []
  return state.onCall.flatMap((id, i) => {
    const user = state.users.find((u) => u.id === id)
    if (!user) return []
    const schedule = { id: 'PSCHED', type: 'schedule_reference', summary: 'Primary' }
    return [
      {
        user: userReference(user),
        schedule,
        escalation_policy: POLICY,
        escalation_level: i + 1,
        start: null,
        end: null,
      },
    ]
  })
}
