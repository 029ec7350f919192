import type { Labels } from '../core/alert.ts'
import type { SourceAlert } from './evaluator.ts'

/** What Go prints for a time that is not set; a firing alert's `endsAt`. */
export const ZERO_TIME = '0001-01-01T00:00:00Z'

export type WebhookAlert = {
  status: 'firing' | 'resolved'
  labels: Labels
  annotations: Labels
  startsAt: string
  endsAt: string
  generatorURL: string
  fingerprint: string
}

/** Alertmanager's webhook, version 4. */
export type WebhookBody = {
  receiver: string
  status: 'firing' | 'resolved'
  alerts: WebhookAlert[]
  groupLabels: Labels
  commonLabels: Labels
  commonAnnotations: Labels
  externalURL: string
  version: '4'
  groupKey: string
  truncatedAlerts: number
}

/** A group of alerts and the route that made it. */
export type GroupIdentity = { route: string; labels: Labels }

/** Alertmanager's name of a group, e.g. `{}:{service="rating-api"}`. */
export function groupKeyOf({ route, labels }: GroupIdentity): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`)
  return `${route}:{${pairs.sort().join(', ')}}`
}

/**
 * Builds the body as Alertmanager does: with `maxAlerts` above 0 the list is cut first, and status and common maps are
 * computed on what is left. `nanos` (0..999 999) are what Prometheus' times have below the millisecond.
 */
export function webhookBody(options: {
  group: GroupIdentity
  alerts: readonly SourceAlert[]
  receiver: string
  externalURL: string
  maxAlerts: number
  nanos: number
}): WebhookBody {
  const { group, maxAlerts, nanos } = options
  const all = [...options.alerts].sort((a, b) => (a.fingerprint < b.fingerprint ? -1 : 1))
  const kept = maxAlerts > 0 ? all.slice(0, maxAlerts) : all
  return {
    receiver: options.receiver,
    status: kept.some((alert) => alert.endsAt === null) ? 'firing' : 'resolved',
    alerts: kept.map((alert) => ({
      status: alert.endsAt === null ? 'firing' : 'resolved',
      labels: sorted(alert.labels),
      annotations: sorted(alert.annotations),
      startsAt: goTime(alert.startsAt, nanos),
      endsAt: alert.endsAt === null ? ZERO_TIME : goTime(alert.endsAt, nanos),
      generatorURL: alert.generatorURL,
      fingerprint: alert.fingerprint,
    })),
    groupLabels: sorted(group.labels),
    commonLabels: common(kept.map((alert) => alert.labels)),
    commonAnnotations: common(kept.map((alert) => alert.annotations)),
    externalURL: options.externalURL,
    version: '4',
    groupKey: groupKeyOf(group),
    truncatedAlerts: all.length - kept.length,
  }
}

/** RFC 3339 with nanoseconds as Go prints it: zeros at the end are left out. */
export function goTime(ms: number, nanos: number): string {
  const iso = new Date(ms).toISOString()
  const fraction = `${iso.slice(20, 23)}${String(nanos).padStart(6, '0')}`.replace(/0+$/, '')
  return `${iso.slice(0, 19)}${fraction === '' ? '' : `.${fraction}`}Z`
}

function sorted(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)))
}

function common(sets: readonly Labels[]): Labels {
  const [first = {}, ...others] = sets
  return sorted(
    Object.fromEntries(Object.entries(first).filter(([name, value]) => others.every((set) => set[name] === value))),
  )
}
