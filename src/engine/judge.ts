import { crc32 } from 'node:zlib'
import type { Alert, Labels } from '../core/alert.ts'
import type { Silence } from '../core/chatops.ts'
import type { Json } from '../core/delivery.ts'
import { correlationKey, indexable } from '../core/incident.ts'
import { type Matcher, matchAll, readMatchers } from '../core/matchers.ts'
import { inMaintenance, type Policy } from '../core/policy.ts'
import { inhibitTargetKeys } from '../core/routing.ts'
import { classOf, levelOf } from '../core/severity.ts'
import type { OccurrencePayload } from '../core/store.ts'
import type { Joining } from '../core/transitions.ts'

export type ReceivedAlert = Alert & { extra?: Json }

/** Claw's own alert that proves the way to a page; each run is an incident of its own. */
export const SELF_TEST = 'ClawSelfTest'

export const regionOf = (labels: Labels): string => (Object.hasOwn(labels, 'region') ? (labels.region ?? '') : '')
export const nameOf = (labels: Labels): string =>
  (Object.hasOwn(labels, 'alertname') && labels.alertname) || 'unnamed alert'

/** A self-test must not join, reopen or flap, so that each run has a key of its own. */
export function keyOf(labels: Labels, policy: Policy): { key: string; keyLabels: Labels } {
  return correlationKey(labels, nameOf(labels) === SELF_TEST ? ['alertname', 'run'] : policy.correlateBy)
}

/** A silence that is in force, its matchers parsed. */
export type ActiveSilence = { reason: string; matchers: readonly Matcher[] }

/**
 * The silences in force at `now`. The reason stays the same while a silence is extended, so that nobody takes it for a change. A
 * silence whose matchers cannot be read, or that has none, silences nothing: rather too loud than lost.
 */
export function inForce(silences: readonly Silence[], now: number): ActiveSilence[] {
  return silences.flatMap((silence) => {
    if (silence.state !== 'active' || now < silence.startsAt || now >= silence.endsAt) return []
    const read = readMatchers(silence.matchers)
    if (read.problem !== null || read.matchers.length === 0) return []
    return [{ reason: `silenced: s${silence.id} by ${silence.by}`, matchers: read.matchers }]
  })
}

/** A self-test passes every silence: it proves the way to a page. */
function silencedBy(silences: readonly ActiveSilence[], labels: Labels): string | null {
  if (silences.length === 0 || nameOf(labels) === SELF_TEST) return null
  return silences.find((silence) => matchAll(silence.matchers, labels))?.reason ?? null
}

/** Judges one alert by the policy: level, class, region, and whether it is kept quiet. */
export function judge(
  labels: Labels,
  policy: Policy,
  now: number,
  inhibited: (keys: string[]) => boolean,
  silences: readonly ActiveSilence[] = [],
): Omit<Joining, 'known'> {
  const { level, reason } = levelOf(policy.severities, labels)
  let suppressed: string | null = null
  if (policy.inhibitRules.length > 0 && inhibited(inhibitTargetKeys(policy.inhibitRules, labels))) {
    suppressed = 'inhibited by another alert'
  } else if (policy.maintenance.length > 0) {
    const window = inMaintenance(policy, labels, now)
    if (window !== null) suppressed = `maintenance: ${window}`
  }
  suppressed ??= silencedBy(silences, labels)
  return {
    name: nameOf(labels),
    region: regionOf(labels),
    level,
    levelReason: reason,
    alertClass: classOf(policy.classes, labels),
    suppressed,
  }
}

/** One heartbeat per Prometheus: what its Watchdog alert says of itself besides name and severity. */
export function heartbeatSource(labels: Labels): string {
  const text = Object.keys(labels)
    .filter((name) => name !== 'alertname' && name !== 'severity')
    .sort()
    .map((name) => `${name}=${JSON.stringify(labels[name])}`)
    .join(',')
  return indexable(text)
}

export function payloadOf(alert: ReceivedAlert): OccurrencePayload {
  const payload: OccurrencePayload = {
    labels: alert.labels,
    annotations: alert.annotations,
    generatorURL: alert.generatorURL,
  }
  if (alert.externalURL !== '') payload.externalURL = alert.externalURL
  if (alert.extra !== undefined) payload.extra = alert.extra
  return payload
}

/** What may change between two firing receptions of one occurrence; HA twins differ in `externalURL`, which does not count. */
export function digestOf(alert: ReceivedAlert): number {
  return crc32(JSON.stringify([alert.annotations, alert.generatorURL]))
}

/** A ratio from the first annotation that holds one: `0.04`, `4 %` or `4%`; null when none does. */
export function annotatedRatio(annotations: Labels, names: readonly string[]): number | null {
  for (const name of names) {
    const text = Object.hasOwn(annotations, name) ? annotations[name] : undefined
    const match =
      text === undefined || text.length > 40 ? null : /^\s*(\d+(?:\.\d+)?(?:e-?\d+)?)\s*(%?)\s*$/i.exec(text)
    if (!match) continue
    const ratio = Number(match[1]) / (match[2] === '%' ? 100 : 1)
    if (ratio >= 0 && ratio <= 1) return ratio
  }
  return null
}
