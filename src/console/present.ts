import { MINUTE } from '../core/clock.ts'
import type { Incident } from '../core/incident.ts'
import type { Delivery, OccurrenceRow } from '../core/store.ts'
import type { IncidentView, StoryEvent } from '../core/view.ts'

/** A destination shows an older version for this long before the page calls it late. */
const LATE = MINUTE

const PLATFORMS: Readonly<Record<Delivery['kind'], string>> = {
  pagerduty: 'PagerDuty',
  slack: 'Slack',
  telegram: 'Telegram',
  webhook: 'Webhook',
  edge: 'Edge',
}

const MEANING = { P1: 'critical', P2: 'high', P3: 'medium' } as const

/** Words that name a time: what the page shows, and the machine's form beside it. */
type Moment = { at: number; iso: string }

function moment(at: number | null): Moment | null {
  if (at === null) return null
  const date = new Date(at)
  return Number.isNaN(date.getTime()) ? null : { at, iso: date.toISOString() }
}

/** One destination of an incident in words; `tone` is one of ok, wait, bad. */
export function deliveryRow(delivery: Delivery, now: number) {
  const told = delivery.deliveredAt !== null
  const behind = delivery.changedAt !== null && now - delivery.changedAt > LATE
  const states = {
    delivered: { tone: 'ok', word: 'Delivered' },
    waiting: { tone: 'wait', word: 'Waiting' },
    pending: { tone: behind ? 'wait' : 'ok', word: told ? 'Update on its way' : 'On its way' },
    dead: { tone: 'bad', word: 'Dead letter' },
  } as const
  return {
    id: delivery.id,
    platform: PLATFORMS[delivery.kind],
    target: delivery.target,
    receiver: delivery.receiver,
    state: delivery.state,
    ...states[delivery.state],
    reason: delivery.state === 'delivered' ? null : delivery.reason,
    attempts: delivery.attempts,
    reference: delivery.reference,
    due: delivery.state === 'waiting' && delivery.dueAt > now ? moment(delivery.dueAt) : null,
    dueIn: Math.max(0, Math.ceil((delivery.dueAt - now) / 1000)),
    delivered: moment(delivery.deliveredAt),
    canRedeliver: delivery.state === 'dead' || delivery.state === 'waiting',
  }
}

/** An incident as the first page shows it. */
export function incidentCard(view: IncidentView, deliveries: readonly Delivery[], now: number) {
  const rows = deliveries.map((delivery) => deliveryRow(delivery, now))
  const key = Object.hasOwn(view.key, 'alertname') ? [] : Object.values(view.key).filter((value) => value !== '')
  return {
    id: view.id,
    level: view.level,
    meaning: MEANING[view.level],
    levelReason: view.levelReason,
    state: view.state,
    what: view.what,
    key,
    synthetic: view.synthetic,
    regions: view.regions,
    allRegions: view.allRegions,
    opened: moment(view.openedAt),
    acknowledged: moment(view.acknowledgedAt),
    acknowledgedBy: view.acknowledgedBy,
    resolved: moment(view.resolvedAt),
    resolvedBy: view.resolvedBy,
    flapping: view.flapping,
    signalLost: view.signalLost,
    recurrences: view.recurrences,
    counts: view.counts,
    alertNames: view.alertNames,
    bucket: view.bucket,
    bucketPercent: view.bucket.ratio === null ? null : Math.round(view.bucket.ratio * 100),
    graphUrl: view.graphUrl,
    runbookUrl: view.runbookUrl,
    alertmanagerUrl: view.alertmanagerUrl,
    nextStep: view.nextStep,
    deliveries: rows,
    told: rows.filter((row) => row.state === 'delivered').length,
    dead: rows.filter((row) => row.state === 'dead').length,
  }
}

/** The rest of the incident's own page. */
export function incidentPage(from: {
  incident: Incident
  view: IncidentView
  deliveries: readonly Delivery[]
  alerts: readonly OccurrenceRow[]
  story: readonly StoryEvent[]
  now: number
}) {
  return {
    ...incidentCard(from.view, from.deliveries, from.now),
    receivers: from.incident.receivers,
    muted: from.incident.muted.map(({ name, why, mute, active }) => ({ name, why, intervals: [...mute, ...active] })),
    pages: from.view.pages,
    story: from.story.map((event) => ({ ...event, moment: moment(event.at) })),
    alerts: from.alerts.map((row) => ({
      name: row.name,
      state: row.state,
      level: row.level,
      region: row.region,
      suppressed: row.suppressed,
      starts: moment(row.startsAt),
      ends: moment(row.endsAt),
      timesSeen: row.timesSeen,
      labels: Object.entries(row.payload.labels).slice(0, 30),
      summary: ownText(row.payload.annotations, 'summary') ?? ownText(row.payload.annotations, 'description'),
      generatorURL: row.payload.generatorURL,
    })),
    moreAlerts: Math.max(0, from.incident.total - from.alerts.length),
  }
}

function ownText(texts: Readonly<Record<string, string>>, name: string): string | null {
  return (Object.hasOwn(texts, name) && texts[name]) || null
}

const ORDER = { P1: 0, P2: 1, P3: 2 } as const

/** What matters most first: level, then what nobody has acknowledged, then the newest. */
export function byUrgency(a: Incident, b: Incident): number {
  const waits = (one: Incident): number => (one.state === 'open' ? 0 : 1)
  return ORDER[a.level] - ORDER[b.level] || waits(a) - waits(b) || b.id - a.id
}
