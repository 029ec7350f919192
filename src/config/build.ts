import { isIP } from 'node:net'
import type { Level } from '../core/alert.ts'
import { HOUR } from '../core/clock.ts'
import type { DestinationSpec, Json, Receiver } from '../core/delivery.ts'
import { ClawError } from '../core/errors.ts'
import type { Matcher } from '../core/matchers.ts'
import { readMatchers } from '../core/matchers.ts'
import type { Policy } from '../core/policy.ts'
import type { InhibitRule, Route } from '../core/routing.ts'
import { inhibitRule } from '../core/routing.ts'
import { DEFAULT_CLASSES } from '../core/severity.ts'
import { suggestion } from '../core/suggest.ts'
import type { TimeInterval, TimeIntervalInput } from '../core/timeinterval.ts'
import { parseTimeInterval } from '../core/timeinterval.ts'
import type { ActionSettings } from '../core/workflow.ts'
import type { Path } from './problems.ts'
import type { Config, ReceiverConfig, RouteConfig } from './schema.ts'

/** Takes a mistake; `column` counts from 1 within the text at `path`. */
export type Report = (path: Path, message: string, options?: { key?: boolean; column?: number }) => void

/** The receiver that exists when none is configured; it tells nobody. */
const DEFAULT_RECEIVER = 'default'

/** What the engine works on, made of a configuration. Mistakes go to `report`; after one, the result is not to be used. */
export function buildPolicy(config: Config, report: Report): Policy {
  const { incidents } = config
  const receivers = new Map<string, Receiver>()
  for (const receiver of config.receivers) receivers.set(receiver.name, buildReceiver(receiver))
  if (config.receivers.length === 0)
    receivers.set(DEFAULT_RECEIVER, { name: DEFAULT_RECEIVER, destinations: [], fallback: null })
  const timeIntervals = buildIntervals(config, report)
  return {
    correlateBy: incidents.correlate_by,
    correlationWindow: incidents.correlation_window,
    reopenWithin: incidents.reopen_within,
    doubtFor: incidents.doubt_for,
    severities: incidents.severities.map((rule, index) => ({
      level: rule.level,
      matchers: buildMatchers(['incidents', 'severities', index, 'when'], rule.when, report),
    })),
    classes: { ...DEFAULT_CLASSES, ...incidents.classes },
    raiseAtRegions: incidents.raise_at_regions,
    flapping: incidents.flapping,
    recheckAfterResolve: incidents.recheck_after_resolve,
    signOfLife: incidents.sign_of_life,
    fallbackAfter: incidents.fallback_after,
    acknowledgeWithin: incidents.acknowledge_within satisfies Record<Level, number>,
    acknowledgeEdge: config.edge.url !== undefined,
    annotateGrafana: config.grafana !== undefined,
    route: buildRoot(config, receivers, timeIntervals, report),
    receivers,
    timeIntervals,
    inhibitRules: buildInhibition(config, report),
    maintenance: config.maintenance.map((window, index) => {
      const path = ['maintenance', index]
      checkIntervals([...path, 'time_intervals'], window.time_intervals, timeIntervals, report)
      const [startsAt, endsAt] = [window.starts_at ?? null, window.ends_at ?? null]
      if (startsAt !== null && endsAt !== null && endsAt <= startsAt)
        report([...path, 'ends_at'], 'ends_at is not after starts_at')
      return {
        name: window.name,
        matchers: buildMatchers([...path, 'matchers'], window.matchers, report),
        startsAt,
        endsAt,
        intervals: window.time_intervals,
        note: window.note,
      }
    }),
    annotations: {
      bucketRatio: incidents.annotations.bucket_ratio,
      graph: incidents.annotations.graph,
      runbook: incidents.annotations.runbook,
    },
    summaryLabels: incidents.summary_labels ?? incidents.correlate_by,
    heartbeat: {
      alertname: config.alertmanager.heartbeat?.alertname ?? 'Watchdog',
      timeout: config.alertmanager.heartbeat?.timeout ?? 300_000,
      forgetAfter: config.alertmanager.heartbeat?.forget_after ?? 7 * 24 * HOUR,
      expected: config.alertmanager.heartbeat !== undefined,
    },
    remediation: config.remediation.map(({ name, when, with: given, ...rest }) => ({
      name,
      when: {
        class: when.class ?? null,
        below: when.below ?? null,
        above: when.above ?? null,
        for: when.for,
        after: when.after ?? null,
      },
      action: rest.action,
      with: {
        policy: given.policy ?? null,
        replicas: given.replicas ?? null,
        factor: given.factor ?? null,
        lasts: given.lasts ?? null,
        region: given.region ?? null,
        to: given.to ?? null,
      },
      mode: rest.mode,
      coolDown: rest.cool_down,
      budget: rest.budget,
      verify: rest.verify,
      holdPage: rest.hold_page,
    })),
    automation: { leads: config.automation.leads ?? null, maxUnhelpful: config.automation.max_unhelpful },
    slo: config.slo
      ? {
          objective: config.slo.objective,
          window: config.slo.window,
          burnLimit: config.slo.burn_limit,
          query: config.slo.query ?? null,
        }
      : null,
    actions: buildActions(config),
  }
}

function buildActions({ actions, failover, prometheus }: Config): ActionSettings {
  return {
    bucketMetric: prometheus?.metrics.bucket_ratio ?? 'openclaw_token_bucket_available',
    failover: {
      propagationWait: failover.propagation_wait,
      soak: failover.soak,
      minBucket: failover.min_bucket,
      headroom: failover.headroom,
    },
    reconcile: actions.reconcile,
    revert: {
      capacityFactor: actions.revert.capacity_factor,
      capacityFor: actions.revert.capacity_for,
      watch: actions.revert.watch,
    },
    scale: { ...actions.scale, standby: actions.scale.standby ?? null },
  }
}

function buildReceiver(config: ReceiverConfig): Receiver {
  const destinations: DestinationSpec[] = []
  const { name, pagerduty, slack, telegram, webhook } = config
  // where PagerDuty does the waking, the other messages are silent (system.md, section 3)
  const loud = pagerduty === undefined
  if (pagerduty !== undefined)
    destinations.push({ kind: 'pagerduty', lane: 'pagerduty', target: pagerdutyTarget(config), settings: {} })
  if (slack !== undefined) {
    const { channel, mention } = slack
    const settings: Record<string, Json> = { channel, notify: slack.notify ?? (loud || mention !== undefined) }
    if (mention !== undefined) settings.mention = mention
    destinations.push({ kind: 'slack', lane: 'slack', target: channel, settings })
  }
  if (telegram !== undefined) {
    const { chat, thread } = telegram
    const target = thread === undefined ? chat : `${chat}/${thread}`
    const settings = { chat, thread: thread ?? null, notify: telegram.notify ?? loud }
    destinations.push({ kind: 'telegram', lane: 'telegram', target, settings })
  }
  if (webhook !== undefined) destinations.push({ kind: 'webhook', lane: `webhook:${name}`, target: name, settings: {} })
  return { name, destinations, fallback: config.fallback ?? null }
}

/** How deliveries name a PagerDuty service: never by its key, which is a secret. */
function pagerdutyTarget(config: ReceiverConfig): string {
  return config.pagerduty?.name ?? (config.pagerduty?.routing_key === undefined ? 'default' : config.name)
}

/**
 * PagerDuty targets, as deliveries name them, and their routing keys. Secret: for the adapter only.
 */
export function pagerdutyKeys(config: Config): Map<string, string> {
  const keys = new Map<string, string>()
  for (const receiver of config.receivers) {
    if (receiver.pagerduty === undefined) continue
    const key = receiver.pagerduty.routing_key ?? config.pagerduty.routing_key
    if (key !== undefined) keys.set(pagerdutyTarget(receiver), key)
  }
  return keys
}

function buildMatchers(path: Path, texts: readonly string[], report: Report): Matcher[] {
  return texts.flatMap((text, index) => {
    const read = readMatchers(text)
    if (read.problem !== null) {
      report([...path, index], `matcher, column ${read.problem.column}: ${read.problem.message}`, {
        column: read.problem.column,
      })
      return []
    }
    if (read.matchers.length === 0) report([...path, index], 'this matcher is empty and would match everything')
    return read.matchers
  })
}

function buildIntervals(config: Config, report: Report): Map<string, TimeInterval[]> {
  const found = new Map<string, TimeInterval[]>()
  for (const [index, { name, time_intervals }] of config.time_intervals.entries()) {
    if (found.has(name)) report(['time_intervals', index, 'name'], `time interval "${name}" is defined twice`)
    const parsed = time_intervals.flatMap((input, inner) => {
      try {
        return [parseTimeInterval(input satisfies TimeIntervalInput)]
      } catch (error) {
        if (!(error instanceof ClawError)) throw error
        const field = /^(\w+):/.exec(error.message)?.[1] ?? ''
        report(['time_intervals', index, 'time_intervals', inner, field], error.message)
        return []
      }
    })
    found.set(name, parsed)
  }
  return found
}

function checkIntervals(
  path: Path,
  names: readonly string[],
  known: ReadonlyMap<string, unknown>,
  report: Report,
): void {
  for (const [index, name] of names.entries())
    if (!known.has(name))
      report([...path, index], `time interval "${name}" does not exist${suggestion(name, known.keys())}`)
}

function buildRoot(
  config: Config,
  receivers: ReadonlyMap<string, Receiver>,
  intervals: ReadonlyMap<string, unknown>,
  report: Report,
): Route {
  const root = config.route
  if (root === undefined) return emptyRoot(config, receivers, report)
  if (root.receiver === undefined)
    report(['route'], 'the root route needs a receiver, for whatever no other route takes', { key: true })
  for (const key of ['matchers', 'mute_time_intervals', 'active_time_intervals'] as const)
    if ((root[key] ?? []).length > 0) report(['route', key], `the root route must not have ${key}`, { key: true })
  if (root.continue) report(['route', 'continue'], 'the root route must not have continue', { key: true })

  const build = (route: RouteConfig, path: Path, text: string, inherited: string): Route => {
    const receiver = route.receiver ?? inherited
    if (route.receiver !== undefined && !receivers.has(route.receiver))
      report(
        [...path, 'receiver'],
        `receiver "${route.receiver}" does not exist${suggestion(route.receiver, receivers.keys())}`,
      )
    checkIntervals([...path, 'mute_time_intervals'], route.mute_time_intervals, intervals, report)
    checkIntervals([...path, 'active_time_intervals'], route.active_time_intervals, intervals, report)
    return {
      path: text,
      receiver,
      matchers: buildMatchers([...path, 'matchers'], route.matchers ?? [], report),
      continue: route.continue,
      muteTimeIntervals: route.mute_time_intervals,
      activeTimeIntervals: route.active_time_intervals,
      routes: route.routes.map((child, index) =>
        build(child, [...path, 'routes', index], `${text}.routes[${index}]`, receiver),
      ),
    }
  }
  return build(root, ['route'], 'route', root.receiver ?? DEFAULT_RECEIVER)
}

function emptyRoot(config: Config, receivers: ReadonlyMap<string, Receiver>, report: Report): Route {
  const only = config.receivers.length === 1 ? config.receivers[0]?.name : undefined
  const receiver = receivers.has(DEFAULT_RECEIVER) ? DEFAULT_RECEIVER : only
  if (receiver === undefined)
    report(['receivers'], 'there are receivers but no route; add route: { receiver: … }', { key: true })
  return {
    path: 'route',
    receiver: receiver ?? DEFAULT_RECEIVER,
    matchers: [],
    continue: false,
    muteTimeIntervals: [],
    activeTimeIntervals: [],
    routes: [],
  }
}

function buildInhibition(config: Config, report: Report): InhibitRule[] {
  return config.inhibit_rules.map((rule, index) =>
    inhibitRule(
      buildMatchers(['inhibit_rules', index, 'source_matchers'], rule.source_matchers, report),
      buildMatchers(['inhibit_rules', index, 'target_matchers'], rule.target_matchers, report),
      rule.equal,
    ),
  )
}

/** Whether a host is this machine only. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}
