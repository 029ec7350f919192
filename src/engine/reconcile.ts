import type { Logger } from 'pino'
import type { AlertmanagerApi, ListedAlert } from '../core/alertmanager.ts'
import { type Clock, MINUTE, SECOND } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { Occurrence } from '../core/incident.ts'
import type { Policy } from '../core/policy.ts'
import type { OccurrenceRow, Reads, Store } from '../core/store.ts'
import type { Ingest } from './ingest.ts'
import { nameOf, type ReceivedAlert } from './judge.ts'

export type ReconcileDeps = {
  store: Store
  policy: () => Policy
  api: () => AlertmanagerApi | null
  /** `alertmanager.compare_interval`, milliseconds */
  every: () => number
  /** plain names of the Alertmanager receivers that our webhooks have named */
  receivers: () => Promise<readonly string[]>
  ingest: Pick<Ingest, 'accept' | 'flush'>
  clock: Clock
  log: Logger
  /** names this process in leases */
  owner: string
  onCompared?: (result: Compared) => void
}

/** What one comparison found; `problem` says why nothing could be compared. */
export type Compared = { received: number; resolved: number; problem: string | null }

/** An alert of Alertmanager's without a webhook for this long counts as received (contract.md, section 8). */
const UNHEARD_FOR = MINUTE
/**
 * Alertmanager keeps no alerts over a restart, and Prometheus sends them again within minutes (its `resend_delay` is 1 min): one
 * that started later than this ago knows too little to say that an alert is over.
 */
const SETTLED_AFTER = 5 * MINUTE
const PAGE = 500
/** Resolved incidents may still hold firing alerts (a person resolved them); the newest are looked at. */
const RESOLVED_LOOKED_AT = 200
const MAX_PAGES = 1000
const PATIENCE = 30 * SECOND
const LEASE = 'work:compare'
const LEASE_FOR = 30 * SECOND
const SOURCES = 'compared_sources'
const MAX_SOURCES = 50

type Gone = { fingerprint: string; startsAt: number; lastSeen: number; externalURL: string; row: ReceivedAlert }

export type Reconcile = {
  /** compares when it is due; called often */
  tick(): Promise<void>
}

/**
 * Comparing notes with Alertmanager (contract.md, section 8): what a lost webhook hid is repaired, in both directions.
 *
 * Received: an alert that is `active` there (not silenced, not inhibited) for over a minute, goes to a receiver that our webhooks
 * have named, and is not known here to fire. Resolved: one of ours that two comparisons in a row did not list, silenced and
 * inhibited ones being listed too. Absence is believed only
 * - when Alertmanager has run for 5 minutes: a restarted one is empty until Prometheus sends everything again;
 * - when no webhook told of the alert since the first of the two;
 * - of alerts whose webhook came from an Alertmanager (`externalURL`) that shares alerts with this one, as a listing once
 *   showed: several may report to Claw, and this one knows nothing of the others' alerts. The peers of an HA pair share theirs.
 * An Alertmanager that does not answer says nothing.
 */
export function createReconcile(deps: ReconcileDeps): Reconcile {
  const { store, clock, log } = deps
  let dueAt = 0
  /** fingerprint to when it was first missing */
  let missing = new Map<string, number>()
  let problem: string | null = null

  async function tick(): Promise<void> {
    const api = deps.api()
    const now = clock()
    if (!api || now < dueAt) return
    dueAt = now + deps.every()
    const fence = await store.write((tx) => tx.takeLane(LEASE, deps.owner, now, now + LEASE_FOR, store.exclusive))
    if (fence === null) {
      missing = new Map()
      return
    }
    const result = await compare(api, now)
    if (result.problem !== null && result.problem !== problem) log.warn(`notes are not compared: ${result.problem}`)
    if (result.problem === null && problem !== null) log.info('notes are compared again')
    problem = result.problem
    if (result.received + result.resolved > 0) {
      log.warn(result, 'comparing notes with Alertmanager found what webhooks had not told')
    }
    deps.onCompared?.(result)
  }

  async function compare(api: AlertmanagerApi, now: number): Promise<Compared> {
    const signal = AbortSignal.timeout(PATIENCE)
    const [started, listing] = await Promise.all([api.startedAt(signal), api.alerts(signal)])
    if (!listing.ok) return { received: 0, resolved: 0, problem: listing.reason }
    // Counters of repeats are written late; what was heard last decides here.
    await deps.ingest.flush()
    const listed = new Map(listing.alerts.map((alert) => [alert.fingerprint, alert]))
    const settled = started.ok && started.at !== null && now - started.at >= SETTLED_AFTER
    const ours = new Set<string>()
    const gone: Gone[] = []
    const shared = new Set<string>()
    await eachFiring(store, (row) => {
      const externalURL = row.payload.externalURL ?? ''
      if (listed.has(row.fingerprint)) {
        ours.add(row.fingerprint)
        if (externalURL !== '') shared.add(externalURL)
      } else if (settled && externalURL !== '') gone.push(goneOf(row, externalURL, now))
      return true
    })
    const sources = await learn(shared, api.address)
    const over = settled ? believed(gone, sources, now) : []
    if (!settled) missing = new Map()
    const unheard = await unheardOf(listed.values(), ours, sources, api, now)
    await accept([...over, ...unheard])
    return { received: unheard.length, resolved: over.length, problem: null }
  }

  /** Remembers which Alertmanagers share alerts with this one; @returns all that do. */
  async function learn(shared: ReadonlySet<string>, address: string): Promise<ReadonlySet<string>> {
    const known = await readNames(store, SOURCES)
    const fresh = [...shared].filter((source) => !known.includes(source) && source !== address)
    const all = [...known, ...fresh].slice(-MAX_SOURCES)
    if (fresh.length > 0) await store.write((tx) => tx.setMeta(SOURCES, JSON.stringify(all)))
    return new Set([...all, address])
  }

  /** Those that the comparison before did not list either, and that no webhook spoke of since. */
  function believed(gone: readonly Gone[], sources: ReadonlySet<string>, now: number): ReceivedAlert[] {
    const before = missing
    missing = new Map()
    const over: ReceivedAlert[] = []
    for (const { fingerprint, lastSeen, externalURL, row } of gone) {
      if (!sources.has(externalURL)) continue
      const since = before.get(fingerprint)
      if (since !== undefined && lastSeen < since) over.push(row)
      else missing.set(fingerprint, now)
    }
    return over
  }

  async function unheardOf(
    listed: Iterable<ListedAlert>,
    ours: ReadonlySet<string>,
    sources: ReadonlySet<string>,
    api: AlertmanagerApi,
    now: number,
  ): Promise<ReceivedAlert[]> {
    const names = new Set(await deps.receivers())
    const heartbeat = deps.policy().heartbeat.alertname
    const candidates = [...listed].filter(
      (alert) =>
        alert.state === 'active' &&
        !ours.has(alert.fingerprint) &&
        now - alert.startsAt > UNHEARD_FOR &&
        // A heartbeat proves that webhooks arrive: it must not be made up.
        nameOf(alert.labels) !== heartbeat &&
        alert.receivers.some((receiver) => names.has(receiver)),
    )
    const known = new Map<string, Occurrence>()
    for (let from = 0; from < candidates.length; from += PAGE) {
      const some = candidates.slice(from, from + PAGE).map((alert) => alert.fingerprint)
      for (const occurrence of await store.occurrences(some)) known.set(occurrence.fingerprint, occurrence)
    }
    const externalURL = [...sources][0] ?? api.address
    return candidates
      .filter((alert) => isUnheard(alert, known.get(alert.fingerprint), now))
      .map((alert) => ({
        fingerprint: alert.fingerprint,
        status: 'firing',
        labels: alert.labels,
        annotations: alert.annotations,
        startsAt: alert.startsAt,
        endsAt: null,
        generatorURL: alert.generatorURL,
        externalURL,
      }))
  }

  async function accept(alerts: readonly ReceivedAlert[]): Promise<void> {
    for (let from = 0; from < alerts.length; from += PAGE) {
      await deps.ingest.accept({ alerts: alerts.slice(from, from + PAGE) })
    }
  }

  return {
    async tick() {
      try {
        await tick()
      } catch (error) {
        log.error({ err: error }, `comparing notes failed, trying again: ${messageOf(error)}`)
      }
    },
  }
}

/** Known as resolved only a moment ago, or doubted already: the webhook is on its way, or being looked into. */
function isUnheard(alert: ListedAlert, known: Occurrence | undefined, now: number): boolean {
  if (!known) return true
  if (known.state === 'firing' || known.doubtUntil !== null || known.startsAt > alert.startsAt) return false
  return now - known.lastSeen > UNHEARD_FOR
}

function goneOf(row: OccurrenceRow, externalURL: string, now: number): Gone {
  const { fingerprint, startsAt, lastSeen, payload } = row
  const alert: ReceivedAlert = {
    fingerprint,
    status: 'resolved',
    labels: payload.labels,
    annotations: payload.annotations,
    startsAt,
    endsAt: now,
    generatorURL: payload.generatorURL,
    externalURL,
  }
  return { fingerprint, startsAt, lastSeen, externalURL, row: alert }
}

/**
 * Every alert that fires, suppressed ones included, page by page and breathing in between: of all incidents that are not
 * resolved, and of the newest that are.
 * @param visit returns false to stop
 */
export async function eachFiring(
  store: Pick<Reads, 'listIncidents' | 'firingOf'>,
  visit: (row: OccurrenceRow) => boolean,
): Promise<void> {
  const open = ['open', 'acknowledged']
  for (const { states, pages } of [
    { states: open, pages: MAX_PAGES },
    { states: ['resolved'], pages: 1 },
  ]) {
    let before: number | null = null
    for (let page = 0; page < pages; page++) {
      const incidents = await store.listIncidents({ states, limit: RESOLVED_LOOKED_AT, before })
      for (const incident of incidents) {
        if (incident.firing + incident.suppressed === 0) continue
        if (!(await eachOf(store, incident.id, visit))) return
      }
      before = incidents.at(-1)?.id ?? null
      if (incidents.length < RESOLVED_LOOKED_AT) break
    }
  }
}

async function eachOf(
  store: Pick<Reads, 'firingOf'>,
  incident: number,
  visit: (row: OccurrenceRow) => boolean,
): Promise<boolean> {
  let after = ''
  for (;;) {
    const rows = await store.firingOf(incident, PAGE, after)
    for (const row of rows) if (!visit(row)) return false
    const last = rows.at(-1)
    if (rows.length < PAGE || !last) return true
    after = last.fingerprint
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
}

const RECEIVERS = 'webhook_receivers'
const MAX_RECEIVERS = 100

export type ReceiverNames = {
  /** A webhook named this receiver, regexp-escaped as Alertmanager sends it. Cheap; what is new is stored soon after. */
  note(name: string): void
  /** plain names, as Alertmanager's API gives them */
  all(): Promise<readonly string[]>
}

/** Remembers which of Alertmanager's receivers lead to Claw. */
export function createReceiverNames(deps: { store: Store; log: Logger }): ReceiverNames {
  const { store, log } = deps
  const noted = new Set<string>()

  async function keep(name: string): Promise<void> {
    await store.write(async (tx) => {
      const known = await readNames(tx, RECEIVERS)
      if (known.includes(name)) return
      await tx.setMeta(RECEIVERS, JSON.stringify([...known, name].slice(-MAX_RECEIVERS)))
    })
  }

  return {
    note(escaped) {
      if (escaped === '' || escaped.length > 1000 || noted.has(escaped)) return
      if (noted.size >= MAX_RECEIVERS) noted.clear()
      noted.add(escaped)
      keep(plainName(escaped)).catch((error) => {
        noted.delete(escaped)
        log.warn({ err: error }, 'the name of a receiver was not stored')
      })
    },
    all: () => readNames(store, RECEIVERS),
  }
}

/** Undoes Go's regexp.QuoteMeta: `claw\.prod` is the receiver `claw.prod` (protocols.md, section 1). */
export function plainName(escaped: string): string {
  return escaped.replace(/\\([\\.+*?()|[\]{}^$])/g, '$1')
}

async function readNames(reads: Pick<Reads, 'meta'>, key: string): Promise<string[]> {
  const text = await reads.meta(key)
  const names: unknown = text === null ? [] : JSON.parse(text)
  return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : []
}
