import type { Incident } from '../../src/core/incident.ts'
import type { Delivery, OccurrenceRow } from '../../src/core/store.ts'
import { destinationOf, iso, oneLine } from '../../src/core/timeline.ts'
import type { Triage } from '../../src/core/triage.ts'
import type { IncidentView } from '../../src/core/view.ts'

export { destinationOf, iso, oneLine }

/** What and whom it is about, without state and level: `Bucket empty in A and B · rating-api`. One line. */
export function titleOf(view: IncidentView): string {
  const values = Object.hasOwn(view.key, 'alertname') ? [] : Object.values(view.key).filter((value) => value !== '')
  const text = [`${view.synthetic ? 'Self-test: ' : ''}${view.what}`, ...values].join(' · ')
  return oneLine(text, 300)
}

export function deliveryJson(delivery: Delivery) {
  return {
    id: String(delivery.id),
    incident_id: String(delivery.incidentId),
    destination: destinationOf(delivery),
    receiver: delivery.receiver,
    state: delivery.state,
    attempts: delivery.attempts,
    reference: delivery.reference,
    reason: delivery.reason,
    due_at: delivery.state === 'pending' || delivery.state === 'waiting' ? iso(delivery.dueAt) : null,
    created_at: iso(delivery.createdAt),
    delivered_at: iso(delivery.deliveredAt),
  }
}

function alertJson(row: OccurrenceRow) {
  return {
    fingerprint: row.fingerprint,
    name: row.name,
    state: row.state,
    level: row.level,
    region: row.region,
    labels: row.payload.labels,
    annotations: row.payload.annotations,
    starts_at: iso(row.startsAt),
    ends_at: iso(row.endsAt),
    first_seen: iso(row.firstSeen),
    last_seen: iso(row.lastSeen),
    times_seen: row.timesSeen,
    suppressed: row.suppressed,
    generator_url: row.payload.generatorURL,
  }
}

function triageJson(triage: Triage) {
  const { verdict } = triage
  return {
    at: iso(triage.at),
    verdict: {
      limiter: verdict.limiter,
      cause: verdict.cause,
      confidence: verdict.confidence,
      summary: verdict.summary,
      evidence: verdict.evidence,
      act: verdict.act === null ? null : { ...verdict.act },
    },
    regions: triage.regions,
    diverged: { keys: triage.diverged.keys, examples: triage.diverged.examples },
    changes: triage.changes.map(({ at, region, what, from, to }) => ({ at: iso(at), region, what, from, to })),
  }
}

/** An incident as the API shows it (contract.md, section 3). */
export function incidentJson(from: {
  incident: Incident
  view: IncidentView
  alerts: readonly OccurrenceRow[]
  deliveries: readonly Delivery[]
}) {
  const { incident, view } = from
  return {
    id: view.id,
    state: view.state,
    level: view.level,
    level_reason: view.levelReason,
    title: titleOf(view),
    regions: view.regions.length > 0 ? view.regions : view.allRegions,
    alerts: from.alerts.map(alertJson),
    alert_count: incident.total,
    firing_count: incident.firing,
    suppressed_count: incident.suppressed,
    opened_at: iso(view.openedAt),
    updated_at: iso(view.updatedAt),
    acknowledged_at: iso(view.acknowledgedAt),
    acknowledged_by: view.acknowledgedBy,
    resolved_at: iso(view.resolvedAt),
    resolved_by: view.resolvedBy,
    flapping: view.flapping,
    signal_lost: view.signalLost,
    recurrences: view.recurrences,
    synthetic: view.synthetic,
    correlation_key: view.key,
    classes: view.classes,
    receivers: incident.receivers.map(({ name, why }) => ({ name, why })),
    pages: view.pages.map(({ key, generation, state, reason }) => ({ key, generation, state, reason })),
    bucket: { ratio: view.bucket.ratio, source: view.bucket.source, trend: view.bucket.trend },
    next_step: view.nextStep,
    triage: view.triage === null ? null : triageJson(view.triage),
    checklist: view.checklist.map((item) => ({ ...item, at: iso(item.at) })),
    operations: view.operations.map(({ id, kind, title, by, startedAt, done, step, stopping }) => ({
      id,
      kind,
      title,
      by,
      started_at: iso(startedAt),
      steps_done: done,
      step,
      stopping,
    })),
    proposals: view.proposals.map(({ label, command, policy, at }) => ({ label, command, policy, at: iso(at) })),
    links: {
      incident: view.incidentUrl,
      graph: view.graphUrl,
      runbook: view.runbookUrl,
      alertmanager: view.alertmanagerUrl,
    },
    deliveries: from.deliveries.map(deliveryJson),
  }
}
