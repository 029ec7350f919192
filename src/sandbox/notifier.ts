import type { Clock } from '../core/clock.ts'
import { SECOND } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { SourceAlert } from './evaluator.ts'
import type { Random } from './random.ts'
import { type GroupIdentity, groupKeyOf, type WebhookBody, webhookBody } from './webhook-body.ts'

/** A route: which alerts, grouped by what, in which rhythm (ms). The first that matches takes an alert. */
export type SourceRoute = {
  /** Alertmanager's name of it, e.g. `{}` or `{}/{alertname="Watchdog"}` */
  key: string
  matches(alert: SourceAlert): boolean
  groupBy: readonly string[]
  groupWait: number
  groupInterval: number
  repeatInterval: number
}

export type WebhookLogEntry = {
  at: string
  group: string
  firing: number
  resolved: number
  /** of an HA pair, which one sent it */
  peer: 1 | 2
  attempt: number
  /** HTTP status; null when nothing answered */
  status: number | null
  error: string | null
}

type Group = {
  identity: GroupIdentity
  route: SourceRoute
  alerts: Map<string, SourceAlert>
  nextFlush: number
  pending: { alerts: SourceAlert[]; attempt: number; at: number; deadline: number } | null
  busy: boolean
}
type Logged = { firing: Set<string>; resolved: Set<string>; at: number }
type Later = { at: number; group: Group; alerts: SourceAlert[] }

export type Notifier = {
  /** Takes alerts as Prometheus sends them, again and again while they fire, and once when they are resolved. */
  put(alerts: readonly SourceAlert[]): void
  /** Posts what is due and waits for the answers. Never throws for what the receiver does. */
  flush(): Promise<void>
  /** the last 20 posts, oldest first, the watchdog's left out */
  log(): WebhookLogEntry[]
  heartbeat(): { sent: number; last_at: string | null; last_status: number | null }
  /** breaks off what is under way */
  stop(): void
}

/** A request that gets no answer is given up after this time, as with Alertmanager (protocols.md, section 1). */
const POST_TIMEOUT = 10 * SECOND
/** First pause before a retry and its growth: 0.28, 0.86, 1.30 s … were measured (protocols.md, section 1). */
const RETRY = { first: 0.5 * SECOND, factor: 1.5 }
/** When the second peer of a pair posts the stale firing, and when its resolve (protocols.md, section 1). */
const STALE = { firing: 3 * SECOND, resolved: 15 * SECOND }

/**
 * Stands for Alertmanager: groups, waits, posts, repeats, and retries like the real one. With `ha` it is a pair at odds:
 * both post, copies differ in `externalURL`, and after a resolve the second peer sends a stale firing and a second resolve.
 * @param options.url the webhook's whole URL
 */
export function createNotifier(options: {
  clock: Clock
  url: () => string
  token: string
  externalURL: (peer: 1 | 2) => string
  receiver: string
  routes: readonly SourceRoute[]
  random: Random
  ha: boolean
  maxAlerts: number
}): Notifier {
  const { clock, random, routes } = options
  const groups = new Map<string, Group>()
  const logged = new Map<string, Logged>()
  const log: WebhookLogEntry[] = []
  const heartbeat = { sent: 0, last_at: null as string | null, last_status: null as number | null }
  const nanos = Math.floor(random() * 1_000_000)
  let later: Later[] = []
  let aborter = new AbortController()

  function groupOf(alert: SourceAlert): Group | null {
    const route = routes.find((one) => one.matches(alert))
    if (!route) return null
    const labels = Object.fromEntries(
      route.groupBy.flatMap((name) => (alert.labels[name] === undefined ? [] : [[name, alert.labels[name]]])),
    )
    const identity = { route: route.key, labels }
    const key = groupKeyOf(identity)
    const known = groups.get(key)
    if (known) return known
    const now = clock()
    // An alert that is older than group_wait has waited already.
    const nextFlush = alert.startsAt + route.groupWait < now ? now : now + route.groupWait
    const group: Group = { identity, route, alerts: new Map(), nextFlush, pending: null, busy: false }
    groups.set(key, group)
    return group
  }

  /** Alertmanager's dedup stage: is there anything that the receiver has not been told? */
  function isNews(group: Group, alerts: readonly SourceAlert[]): boolean {
    const before = logged.get(groupKeyOf(group.identity))
    const firing = alerts.filter((alert) => alert.endsAt === null)
    const resolved = alerts.filter((alert) => alert.endsAt !== null)
    if (!before) return firing.length > 0
    if (firing.some((alert) => !before.firing.has(alert.fingerprint))) return true
    if (firing.length === 0) return before.firing.size > 0
    if (resolved.some((alert) => !before.resolved.has(alert.fingerprint))) return true
    return before.at + group.route.repeatInterval <= clock()
  }

  function forget(group: Group, alerts: readonly SourceAlert[]): void {
    for (const alert of alerts) {
      if (alert.endsAt !== null && group.alerts.get(alert.fingerprint) === alert) group.alerts.delete(alert.fingerprint)
    }
    if (group.alerts.size === 0) groups.delete(groupKeyOf(group.identity))
  }

  function bodyOf(group: Group, alerts: readonly SourceAlert[], peer: 1 | 2): WebhookBody {
    const { receiver, maxAlerts } = options
    return webhookBody({
      group: group.identity,
      alerts,
      receiver,
      externalURL: options.externalURL(peer),
      maxAlerts,
      nanos,
    })
  }

  async function post(group: Group, alerts: readonly SourceAlert[], peer: 1 | 2, attempt: number) {
    const at = new Date(clock()).toISOString()
    const body = JSON.stringify(bodyOf(group, alerts, peer))
    let status: number | null = null
    let error: string | null = null
    try {
      const answer = await fetch(options.url(), {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          'User-Agent': 'Alertmanager/0.28.0',
          Authorization: `Bearer ${options.token}`,
        },
        body,
        redirect: 'manual',
        signal: AbortSignal.any([aborter.signal, AbortSignal.timeout(POST_TIMEOUT)]),
      })
      status = answer.status
      await answer.arrayBuffer()
    } catch (thrown) {
      error = messageOf(thrown instanceof Error && thrown.cause ? thrown.cause : thrown)
    }
    if (group.identity.labels.alertname === 'Watchdog') {
      Object.assign(heartbeat, { sent: heartbeat.sent + 1, last_at: at, last_status: status })
    } else {
      const firing = alerts.filter((alert) => alert.endsAt === null).length
      const key = groupKeyOf(group.identity)
      log.push({ at, group: key, firing, resolved: alerts.length - firing, peer, attempt, status, error })
      if (log.length > 20) log.shift()
    }
    return status
  }

  async function attempt(group: Group): Promise<void> {
    const { pending } = group
    if (!pending) return
    pending.attempt += 1
    const posts = [post(group, pending.alerts, 1, pending.attempt)]
    if (options.ha) posts.push(post(group, pending.alerts, 2, pending.attempt))
    const statuses = await Promise.all(posts)
    const now = clock()
    if (statuses.some((status) => status !== null && status >= 200 && status < 300)) {
      group.pending = null
      accepted(group, pending.alerts, now)
      return
    }
    // Only 5xx and silence are tried again; anything else waits for the group's next turn.
    const retry = statuses.every((status) => status === null || status >= 500)
    const pause = RETRY.first * RETRY.factor ** (pending.attempt - 1) * (0.5 + random())
    if (retry && now + pause <= pending.deadline) pending.at = now + pause
    else group.pending = null
  }

  function accepted(group: Group, alerts: SourceAlert[], now: number): void {
    const prints = (ended: boolean) =>
      new Set(alerts.filter((alert) => (alert.endsAt !== null) === ended).map((alert) => alert.fingerprint))
    logged.set(groupKeyOf(group.identity), { firing: prints(false), resolved: prints(true), at: now })
    if (options.ha && prints(true).size > 0) {
      const stale = alerts.map((alert) => ({ ...alert, endsAt: null }))
      later.push({ at: now + STALE.firing, group, alerts: stale })
      later.push({ at: now + STALE.resolved, group, alerts })
    }
    forget(group, alerts)
  }

  async function turn(group: Group): Promise<void> {
    const now = clock()
    if (group.pending) {
      if (now >= group.pending.at) await attempt(group)
      return
    }
    if (now < group.nextFlush) return
    group.nextFlush = now + group.route.groupInterval
    const alerts = [...group.alerts.values()]
    if (!isNews(group, alerts)) return forget(group, alerts)
    const deadline = now + Math.max(group.route.groupInterval, 10 * SECOND)
    group.pending = { alerts, attempt: 0, at: now, deadline }
    await attempt(group)
  }

  return {
    put(alerts) {
      for (const alert of alerts) groupOf(alert)?.alerts.set(alert.fingerprint, alert)
    },
    async flush() {
      const now = clock()
      const due = later.filter((one) => one.at <= now)
      later = later.filter((one) => one.at > now)
      const turns = [...groups.values()]
        .filter((group) => !group.busy)
        .map(async (group) => {
          group.busy = true
          await turn(group).finally(() => {
            group.busy = false
          })
        })
      await Promise.all([...turns, ...due.map((one) => post(one.group, one.alerts, 2, 1))])
    },
    log: () => [...log],
    heartbeat: () => ({ ...heartbeat }),
    stop() {
      aborter.abort()
      aborter = new AbortController()
    },
  }
}
