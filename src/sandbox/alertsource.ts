import { type Clock, HOUR, SECOND } from '../core/clock.ts'
import type { RegionView } from './edge.ts'
import { createEvaluator, type SourceAlert } from './evaluator.ts'
import { createNotifier, type SourceRoute, type WebhookLogEntry } from './notifier.ts'
import { createRandom } from './random.ts'

/** Alertmanager's rhythm before the time factor (ms); group_wait and group_interval are shorter than its defaults. */
const RHYTHM = { groupWait: 10 * SECOND, groupInterval: 50 * SECOND, repeatInterval: 4 * HOUR } as const
/** The watchdog is repeated in real time: Claw's patience with it (`heartbeat.timeout`) is real too. */
const WATCHDOG_EVERY = 30 * SECOND

export type AlertSourceOptions = {
  clock: Clock
  /** the webhook's whole URL */
  url: () => string
  /** where links (graph, runbook, Alertmanager itself) point to, without a slash at the end */
  base: () => string
  token?: string
  /** how many times faster than in production `for`, waits and intervals pass; 10 */
  timeFactor?: number
  seed?: number
  receiver?: string
  /** act as an HA pair that is at odds, see createNotifier */
  ha?: boolean
  /** Alertmanager's max_alerts; 0 for no limit */
  maxAlerts?: number
  groupBy?: readonly string[]
  rhythm?: Partial<typeof RHYTHM>
}

/** Stands for Prometheus and Alertmanager where they are not installed. */
export type AlertSource = {
  /** Evaluates the rules when it is time to; nothing is sent yet. */
  observe(now: number, views: readonly RegionView[]): void
  /** Adds alerts that no rule makes; they fire until they are withdrawn. Labels must be distinct. */
  inject(alerts: readonly SourceAlert[]): void
  /** Resolves up to `limit` injected alerts, the oldest first. */
  withdraw(now: number, limit?: number): void
  /** Posts what is due and waits for the answers. */
  flush(): Promise<void>
  /** One round: observe and flush. */
  tick(now: number, views: readonly RegionView[]): Promise<void>
  /** how many injected alerts fire */
  injected(): number
  /** where links point to */
  base(): string
  /** what fires now */
  active(): SourceAlert[]
  history(region: string): readonly { at: number; ratio: number }[]
  log(): WebhookLogEntry[]
  heartbeat(): { sent: number; last_at: string | null; last_status: number | null }
  /** From now on alerts get ready `timeFactor` times faster than in production. */
  speed(timeFactor: number): void
  /** While muted nothing is evaluated nor sent, the watchdog included: Prometheus is dead. */
  mute(muted: boolean): void
  stop(): void
}

/** Makes an alert source that has seen nothing yet; its time begins at `clock()`. */
export function createAlertSource(options: AlertSourceOptions): AlertSource {
  const { clock, base, timeFactor = 10, seed = 1, ha = false } = options
  const evaluator = createEvaluator({ base, timeFactor, now: clock() })
  const rhythm = { ...RHYTHM, ...options.rhythm }
  const root: SourceRoute = {
    key: '{}',
    matches: () => true,
    groupBy: options.groupBy ?? ['service'],
    ...paced(rhythm, timeFactor),
  }
  const watchdog: SourceRoute = {
    key: '{}/{alertname="Watchdog"}',
    matches: (alert) => alert.labels.alertname === 'Watchdog',
    groupBy: ['alertname'],
    groupWait: 0,
    groupInterval: WATCHDOG_EVERY,
    repeatInterval: WATCHDOG_EVERY,
  }
  const notifier = createNotifier({
    clock,
    url: options.url,
    token: options.token ?? 'sandbox',
    externalURL: (peer) => (peer === 1 ? `${base()}/sandbox/alertmanager` : `${base()}/sandbox/alertmanager-2`),
    receiver: options.receiver ?? 'claw',
    routes: [watchdog, root],
    random: createRandom(seed ^ 0x5eed),
    ha,
    maxAlerts: options.maxAlerts ?? 0,
  })
  const injected = new Map<string, SourceAlert>()
  let muted = false

  const source: AlertSource = {
    observe(now, views) {
      if (muted || !evaluator.observe(now, views)) return
      notifier.put(evaluator.takeResolved())
      notifier.put(evaluator.firing())
    },
    inject(alerts) {
      for (const alert of alerts) injected.set(alert.fingerprint, alert)
      notifier.put(alerts)
    },
    withdraw(now, limit = Number.POSITIVE_INFINITY) {
      const leaving = [...injected.values()].slice(0, limit)
      for (const alert of leaving) injected.delete(alert.fingerprint)
      notifier.put(leaving.map((alert) => ({ ...alert, endsAt: now })))
    },
    flush: () => (muted ? Promise.resolve() : notifier.flush()),
    tick(now, views) {
      source.observe(now, views)
      return source.flush()
    },
    injected: () => injected.size,
    base,
    active: () => [...evaluator.firing(), ...injected.values()],
    history: evaluator.history,
    log: notifier.log,
    heartbeat: notifier.heartbeat,
    speed(factor) {
      evaluator.speed(factor)
      Object.assign(root, paced(rhythm, factor))
    },
    mute(value) {
      muted = value
    },
    stop: notifier.stop,
  }
  return source
}

function paced(rhythm: typeof RHYTHM, timeFactor: number) {
  return {
    groupWait: rhythm.groupWait / timeFactor,
    groupInterval: rhythm.groupInterval / timeFactor,
    repeatInterval: rhythm.repeatInterval / timeFactor,
  }
}
