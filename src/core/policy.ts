import type { AlertClass, Labels, Level } from './alert.ts'
import type { Receiver } from './delivery.ts'
import type { Matcher } from './matchers.ts'
import { matchAll } from './matchers.ts'
import type { RemediationPolicy } from './remediation.ts'
import type { Hit, InhibitRule, Route } from './routing.ts'
import { routeAlert } from './routing.ts'
import type { SeverityRule } from './severity.ts'
import { levelOf } from './severity.ts'
import type { TimeInterval } from './timeinterval.ts'
import { contains } from './timeinterval.ts'
import type { ActionSettings } from './workflow.ts'

/** Alerts that match open no incident and page nobody while the window lasts. */
export type MaintenanceWindow = {
  name: string
  matchers: Matcher[]
  /** milliseconds since the epoch; null for no bound */
  startsAt: number | null
  endsAt: number | null
  /** names of time intervals; when given, the window is in force only within one of them */
  intervals: string[]
  note: string
}

/** What the engine works on: the configuration, parsed and checked. All durations are milliseconds. */
export type Policy = {
  /** one incident per value of these labels */
  correlateBy: string[]
  /** after it resolved, another alert of that key joins within this time */
  correlationWindow: number
  /** after it resolved, the same alert reopens it within this time */
  reopenWithin: number
  /** how long a firing of a resolved occurrence is held before it is believed (protocols.md, section 1) */
  doubtFor: number
  /** first match wins */
  severities: SeverityRule[]
  /** alert name to class, defaults included */
  classes: Readonly<Record<string, AlertClass>>
  /** so many regions at once raise the level one step; 0 = never */
  raiseAtRegions: number
  flapping: { recurrences: number; within: number; quiet: number }
  /** a person resolved while alerts fire: when to look again */
  recheckAfterResolve: number
  /** an acknowledged P1 without any sign of life asks again after this */
  signOfLife: number
  /** a page not confirmed within this goes to the receiver's fallback */
  fallbackAfter: number
  /** time to acknowledge, per level */
  acknowledgeWithin: Readonly<Record<Level, number>>
  /** the edge is told of acknowledgements too */
  acknowledgeEdge: boolean
  /** Grafana is told of incidents and of acts on the edge */
  annotateGrafana: boolean
  route: Route
  receivers: ReadonlyMap<string, Receiver>
  timeIntervals: ReadonlyMap<string, TimeInterval[]>
  inhibitRules: InhibitRule[]
  maintenance: MaintenanceWindow[]
  /** names of the annotations that are looked at, the first one present wins */
  annotations: { bucketRatio: string[]; graph: string[]; runbook: string[] }
  /** labels whose values name the incident in messages */
  summaryLabels: string[]
  heartbeat: {
    alertname: string
    timeout: number
    /** a source silent for so long counts as retired, as long as another one is heard */
    forgetAfter: number
    /** configured explicitly: its absence is an incident even if it was never heard */
    expected: boolean
  }
  remediation: RemediationPolicy[]
  automation: {
    /** receiver that hears when automation gives up; null for none */
    leads: string | null
    maxUnhelpful: number
  }
  /** service level; null when none is configured. `objective` 0..1, `burnLimit` times the allowed rate */
  slo: { objective: number; window: number; burnLimit: number; query: string | null } | null
  actions: ActionSettings
}

/**
 * Why a hit notifies nobody at `now`: the name of the mute interval, or `outside of active interval <name>`; null when it
 * is not muted. Times in milliseconds since the epoch.
 */
export function muted(policy: Policy, hit: Hit, now: number): string | null {
  for (const name of hit.muteTimeIntervals) if (within(policy, name, now)) return name
  if (hit.activeTimeIntervals.length === 0 || hit.activeTimeIntervals.some((name) => within(policy, name, now)))
    return null
  return `outside of active interval ${hit.activeTimeIntervals.join(', ')}`
}

function within(policy: Policy, name: string, now: number): boolean {
  return policy.timeIntervals.get(name)?.some((interval) => contains(interval, now)) ?? false
}

/** The name of the maintenance window that covers an alert with these labels at `now`, or null. */
export function inMaintenance(policy: Policy, labels: Labels, now: number): string | null {
  for (const window of policy.maintenance) {
    if (window.startsAt !== null && now < window.startsAt) continue
    if (window.endsAt !== null && now >= window.endsAt) continue
    if (window.intervals.length > 0 && !window.intervals.some((name) => within(policy, name, now))) continue
    if (matchAll(window.matchers, labels)) return window.name
  }
  return null
}

/** The labels that an alert is routed by: its own, and the incident's level as `level` (contract.md, section 8). */
export function routingLabels(labels: Labels, level: Level): Labels {
  return { ...labels, level }
}

export type RouteDescription = Hit & { level: Level; levelReason: string; muted: string | null }

/**
 * For `claw route`: which receivers an alert with these labels would reach at `now`, at which level, and why. The level is
 * that of a new incident of this one alert.
 */
export function describeRoute(policy: Policy, labels: Labels, now: number): RouteDescription[] {
  const { level, reason } = levelOf(policy.severities, labels)
  return routeAlert(policy.route, routingLabels(labels, level)).map((hit) => ({
    ...hit,
    level,
    levelReason: reason,
    muted: muted(policy, hit, now),
  }))
}
