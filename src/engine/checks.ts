import type { Logger } from 'pino'
import { type Clock, HOUR, MINUTE, SECOND } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import { draftOf, tell } from '../core/incident.ts'
import { muted, type Policy } from '../core/policy.ts'
import type { AlertLookup } from '../core/signal.ts'
import type { Delivery, OccurrenceRow, Store, Tx } from '../core/store.ts'
import { type CheckAnswer, checkDue } from '../core/transitions.ts'
import { Batch, transitionRules } from './batch.ts'
import { storeDrafts } from './changes.ts'
import type { Ingest } from './ingest.ts'
import type { Signals } from './signals.ts'

export type ChecksDeps = {
  store: Store
  policy: () => Policy
  signals: Signals
  /** Alertmanager's own opinion, where it can be asked */
  lookup: () => AlertLookup | null
  ingest: Ingest
  clock: Clock
  log: Logger
  /** incidents resolved longer ago than this are deleted; milliseconds */
  retention: () => number
  /** something was stored: wake the lanes */
  onStored: () => void
  /** when this process began to listen: a heartbeat can be missed only from then on */
  startedAt: number
  /** whatever else has a schedule of its own */
  everyRound: () => Promise<void>
}

const PER_ROUND = 200
/** Story lines among which the push is looked for that a page waits for. */
const LOOK_BACK = 50
const SLOW_EVERY = 10 * SECOND
const PRUNE_EVERY = 10 * MINUTE

export type Checks = {
  /** one round of everything that is due; also called by `run` every second */
  tick(): Promise<void>
  run(): void
  stop(): Promise<void>
}

/** What time brings about rather than a webhook: doubts, believed resolves, quiet, windows that end, silence itself. */
export function createChecks(deps: ChecksDeps): Checks {
  const { store, clock, log } = deps
  let slowAt = 0
  let pruneAt = 0
  let timer: NodeJS.Timeout | undefined
  let round: Promise<void> | null = null
  let stopped = false

  const context = (now: number) => ({ policy: deps.policy(), now, believes: deps.signals.configured })

  async function step(name: string, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      log.error({ err: error, check: name }, `the ${name} check failed, trying again: ${messageOf(error)}`)
    }
  }

  async function tick(): Promise<void> {
    const now = clock()
    await step('doubted firing', () => doubts(now))
    await step('incident', () => incidents(now))
    await step('page confirmation', () => fallbacks(now))
    await step('retired heartbeat', () => retired(now))
    await step('heartbeat', () => heartbeats(now))
    await step('schedule', deps.everyRound)
    if (now >= slowAt) {
      slowAt = now + SLOW_EVERY
      await step('suppression', () => suppressed(now))
      await step('mute interval', () => mutes(now))
    }
    if (now >= pruneAt) {
      pruneAt = now + PRUNE_EVERY
      await step('retention', async () => {
        await store.write((tx) => tx.prune(now - deps.retention(), PER_ROUND))
      })
    }
  }

  /** Contract.md, section 8: held up to a minute; with Alertmanager's address it is asked at once. */
  async function doubts(now: number): Promise<void> {
    const rows = await store.doubted(PER_ROUND)
    if (rows.length === 0) return
    const lookup = deps.lookup()
    const verdicts = new Map<string, 'believe' | 'drop'>()
    await Promise.all(
      rows.map(async (row) => {
        const due = (row.doubtUntil ?? 0) <= now
        const answer = lookup
          ? await lookup.lookup(row.fingerprint, row.payload.labels, row.startsAt, AbortSignal.timeout(5 * SECOND))
          : 'unreachable'
        if (answer === 'active') verdicts.set(row.fingerprint, 'believe')
        else if (answer === 'absent') verdicts.set(row.fingerprint, 'drop')
        else if (due) verdicts.set(row.fingerprint, 'believe')
      }),
    )
    if (verdicts.size === 0) return
    await store.write(async (tx) => {
      const batch = new Batch(tx, context(now))
      // Read again: a resolve may have ended the doubt while Alertmanager was asked.
      for (const row of await tx.doubted(PER_ROUND)) {
        const verdict = verdicts.get(row.fingerprint)
        if (verdict === 'drop') batch.drop(row)
        else if (verdict === 'believe') await batch.believe(row, '')
      }
      batch.settle()
      return batch.store()
    })
    deps.onStored()
  }

  async function incidents(now: number): Promise<void> {
    const due = await store.incidentsToCheck(now, PER_ROUND)
    if (due.length === 0) return
    const answers = new Map<number, CheckAnswer>()
    await Promise.all(
      due.map(async (incident) => {
        if (incident.check === 'suppressed') await store.write((tx) => release(tx, incident.id, now))
        if (incident.check !== 'believe') return
        const alive = await deps.signals.answers(incident.allRegions)
        answers.set(incident.id, alive ? 'region answers' : 'region silent')
      }),
    )
    await store.write(async (tx) => {
      const drafts = (await tx.incidents(due.map((incident) => incident.id)))
        .filter((incident) => incident.nextCheckAt !== null && incident.nextCheckAt <= now)
        .map((incident) => draftOf(incident))
      const policy = deps.policy()
      const latest = await tx.latestIncidents([...new Set(drafts.map((draft) => draft.incident.key))])
      for (const draft of drafts) {
        // It went on in a newer incident: two open ones for the same thing would page twice.
        const newer = latest.find(({ key, id }) => key === draft.incident.key && id > draft.incident.id)
        if (newer && newer.state !== 'resolved' && draft.incident.state === 'resolved') {
          draft.incident.check = null
          draft.incident.nextCheckAt = null
          tell(draft, now, 'went_on', `It went on in incident ${newer.id}.`, false)
          continue
        }
        const answer = answers.get(draft.incident.id) ?? 'nothing changed'
        checkDue(draft, answer, transitionRules(policy, deps.signals.configured), now)
      }
      await storeDrafts(tx, drafts, policy, now)
    })
    deps.onStored()
  }

  async function release(tx: Tx, incidentId: number, now: number): Promise<void> {
    const rows = (await tx.alertsOf(incidentId, 1000)).filter(isSuppressed)
    await judgeAgain(tx, rows, now)
  }

  async function judgeAgain(tx: Tx, rows: readonly OccurrenceRow[], now: number): Promise<boolean> {
    const batch = new Batch(tx, context(now))
    await batch.loadInhibitorsOf(rows)
    for (const row of rows) await batch.release(row)
    batch.settle()
    return (await batch.store()).changed
  }

  /** Alerts that an inhibition or a maintenance window kept quiet count once it is over. */
  async function suppressed(now: number): Promise<void> {
    let after: { fingerprint: string; incidentId: number } | null = null
    let changed = false
    for (let page = 0; page < 1000; page++) {
      const from: { fingerprint: string; incidentId: number } | null = after
      const rows: OccurrenceRow[] = await store.suppressedFiring(PER_ROUND, from)
      if (rows.length > 0) {
        const did = await store.write(async (tx) => judgeAgain(tx, await tx.suppressedFiring(PER_ROUND, from), now))
        changed ||= did
      }
      const last = rows.at(-1)
      if (rows.length < PER_ROUND || !last) break
      after = { fingerprint: last.fingerprint, incidentId: last.incidentId }
    }
    if (changed) deps.onStored()
  }

  /** Receivers that a mute interval kept out join when it is over, if the incident still lasts. */
  async function mutes(now: number): Promise<void> {
    if (deps.policy().timeIntervals.size === 0) return
    let before: number | null = null
    for (let page = 0; page < 1000; page++) {
      const open = await store.listIncidents({ states: ['open', 'acknowledged'], limit: PER_ROUND, before })
      const waiting = open.filter((incident) => incident.muted.length > 0).map((incident) => incident.id)
      if (waiting.length > 0) await store.write((tx) => unmute(tx, waiting, now))
      before = open.at(-1)?.id ?? null
      if (open.length < PER_ROUND) break
    }
  }

  async function unmute(tx: Tx, ids: readonly number[], now: number): Promise<void> {
    const policy = deps.policy()
    const drafts = (await tx.incidents(ids)).map((incident) => draftOf(incident))
    const changed = drafts.filter((draft) => {
      const { incident } = draft
      if (incident.state === 'resolved') return false
      const free = incident.muted.filter(
        ({ name, why, mute, active }) =>
          muted(
            policy,
            { receiver: name, path: '', why, muteTimeIntervals: mute, activeTimeIntervals: active },
            now,
          ) === null,
      )
      if (free.length === 0) return false
      incident.muted = incident.muted.filter((entry) => !free.includes(entry))
      for (const { name, why } of free) {
        if (!incident.receivers.some((receiver) => receiver.name === name)) incident.receivers.push({ name, why })
      }
      tell(
        draft,
        now,
        'unmuted',
        `No longer muted: ${free.map((entry) => entry.name).join(', ')} now hears of it.`,
        false,
      )
      return true
    })
    await storeDrafts(tx, changed, policy, now)
    deps.onStored()
  }

  /** A page that is not confirmed in time goes to the receiver's fallback (contract.md, section 2). */
  async function fallbacks(now: number): Promise<void> {
    const policy = deps.policy()
    if (![...policy.receivers.values()].some((receiver) => receiver.fallback !== null)) return
    const late = await store.unconfirmedPages(now - policy.fallbackAfter, PER_ROUND)
    if (late.length === 0) return
    let changed = false
    await store.write(async (tx) => {
      const byId = new Map((await tx.incidents(late.map((row) => row.incidentId))).map((i) => [i.id, draftOf(i)]))
      for (const row of late) {
        const draft = byId.get(row.incidentId)
        const fallback = policy.receivers.get(row.receiver)?.fallback ?? null
        if (!draft || fallback === null || draft.incident.receivers.some(({ name }) => name === fallback)) continue
        if (now - (await pagedSince(tx, row)) < policy.fallbackAfter) continue
        const why = `fallback of ${row.receiver}: PagerDuty had not confirmed the page`
        draft.incident.receivers.push({ name: fallback, why })
        const text = `PagerDuty has not confirmed the page within ${Math.round(policy.fallbackAfter / SECOND)} s: telling ${fallback}.`
        tell(draft, now, 'fallback', text, true)
        log.warn({ incident: draft.incident.id, receiver: row.receiver, fallback, reason: row.reason }, text)
        changed = true
      }
      await storeDrafts(
        tx,
        [...byId.values()].filter((draft) => draft.visible),
        policy,
        now,
      )
    })
    if (changed) deps.onStored()
  }

  /** When the oldest page that is not confirmed yet was asked for: a silent edit that waited before it does not count. */
  async function pagedSince(tx: Tx, row: Delivery): Promise<number> {
    if (row.deliveredAt === null) return row.createdAt
    const confirmedAt = row.deliveredAt
    const pushes = (await tx.story(row.incidentId, LOOK_BACK)).filter((line) => line.push && line.at > confirmedAt)
    return pushes[0]?.at ?? row.changedAt ?? row.createdAt
  }

  /** The dead-man's switch: silence of a Prometheus is an incident of its own. */
  async function heartbeats(now: number): Promise<void> {
    const policy = deps.policy()
    const { timeout, expected } = policy.heartbeat
    const beats = await store.heartbeats()
    const since = (lastAt: number) => now - Math.max(lastAt, deps.startedAt)
    const silent = beats.filter((beat) => !beat.missing && since(beat.lastAt) > timeout)
    if (beats.length === 0 && expected && now - deps.startedAt > timeout) {
      silent.push({ source: NEVER_HEARD, lastAt: 0, missing: false })
    }
    const back = await resolvedHeartbeats(beats)
    if (silent.length === 0 && back.length === 0) return
    const started = (lastAt: number) => Math.max(lastAt, deps.startedAt) + timeout
    await deps.ingest.accept({
      alerts: [
        ...silent.map((beat) => heartbeatAlert(beat.source, 'firing', started(beat.lastAt), beat.lastAt, now)),
        ...back.map((beat) => heartbeatAlert(beat.source, 'resolved', beat.startsAt, beat.lastAt, now)),
      ],
    })
    await store.write(async (tx) => {
      for (const beat of silent) if (beat.lastAt === 0) await tx.beat(beat.source, 0)
      await tx.markHeartbeats(
        silent.map((beat) => beat.source),
        true,
      )
      await tx.setMeta(
        'heartbeats_missing',
        JSON.stringify([
          ...(await missingNow(tx)).filter((known) => !back.some((beat) => beat.source === known.source)),
          ...silent.map((beat) => ({ source: beat.source, startsAt: started(beat.lastAt) })),
        ]),
      )
    })
    for (const beat of silent)
      log.error({ source: beat.source }, 'no heartbeat: this Prometheus or its Alertmanager is silent')
    for (const beat of back) log.info({ source: beat.source }, 'the heartbeat is back')
  }

  /**
   * A Prometheus that has been silent for very long was taken away: its incident would stay open for ever. The last one that is
   * left is no such case, because then nobody would notice that Claw is blind.
   */
  async function retired(now: number): Promise<void> {
    const { timeout, forgetAfter } = deps.policy().heartbeat
    // Claw may have been away itself: whatever still lives has had its time to say so.
    if (now - deps.startedAt <= timeout) return
    const beats = await store.heartbeats()
    const gone = beats.filter(({ lastAt }) => lastAt > 0 && now - lastAt > forgetAfter)
    if (gone.length === 0 || !beats.some(({ missing, lastAt }) => !missing && now - lastAt <= timeout)) return
    const named = new Set(gone.map(({ source }) => source))
    const [over, left] = split(await missingNow(store), ({ source }) => named.has(source))
    await deps.ingest.accept({
      alerts: over.map(({ source, startsAt }) => {
        const lastAt = gone.find((beat) => beat.source === source)?.lastAt ?? 0
        return heartbeatAlert(source, 'resolved', startsAt, lastAt, now)
      }),
    })
    await store.write(async (tx) => {
      await tx.forgetHeartbeats([...named], now - forgetAfter)
      await tx.setMeta('heartbeats_missing', JSON.stringify(left))
    })
    for (const { source, lastAt } of gone) {
      const days = Math.floor((now - lastAt) / (24 * HOUR))
      log.warn({ source, days }, 'no heartbeat for so long that this Prometheus counts as retired: it is forgotten')
    }
  }

  async function resolvedHeartbeats(
    beats: readonly { source: string; lastAt: number; missing: boolean }[],
  ): Promise<{ source: string; startsAt: number; lastAt: number }[]> {
    const missing = await missingNow(store)
    return missing.flatMap(({ source, startsAt }) => {
      const beat = source === NEVER_HEARD ? beats.find((b) => b.lastAt > 0) : beats.find((b) => b.source === source)
      return beat && !beat.missing && beat.lastAt > startsAt ? [{ source, startsAt, lastAt: beat.lastAt }] : []
    })
  }

  async function guarded(): Promise<void> {
    await step('round', tick)
  }

  return {
    tick,
    run() {
      const next = () => {
        if (stopped) return
        timer = setTimeout(() => {
          round = guarded().finally(next)
        }, SECOND)
        timer.unref()
      }
      next()
    },
    async stop() {
      stopped = true
      clearTimeout(timer)
      await round
    },
  }
}

const NEVER_HEARD = '(none heard since Claw started)'

async function missingNow(store: Pick<Store, 'meta'>): Promise<{ source: string; startsAt: number }[]> {
  const text = await store.meta('heartbeats_missing')
  return text === null ? [] : (JSON.parse(text) as { source: string; startsAt: number }[])
}

function split<T>(list: readonly T[], first: (one: T) => boolean): [T[], T[]] {
  return [list.filter(first), list.filter((one) => !first(one))]
}

function isSuppressed(row: OccurrenceRow): boolean {
  return row.state === 'firing' && row.suppressed !== null
}

function heartbeatAlert(source: string, status: 'firing' | 'resolved', startsAt: number, lastAt: number, now: number) {
  const labels = { alertname: 'ClawHeartbeatMissing', severity: 'critical', heartbeat: source }
  return {
    fingerprint: fingerprintOf(`heartbeat ${source}`),
    status,
    labels,
    annotations: {
      summary: `No heartbeat from ${source}${lastAt > 0 ? ` since ${new Date(lastAt).toISOString().slice(11, 19)} UTC` : ''}`,
      description:
        'The alert that always fires no longer arrives. Alerts of that Prometheus would not arrive either: check Prometheus, Alertmanager and the way to Claw.',
    },
    startsAt,
    endsAt: status === 'resolved' ? now : null,
    generatorURL: '',
    externalURL: '',
  }
}

/** FNV-1a over the text, 16 hex digits: shaped like Alertmanager's, for alerts that Claw raises itself. */
export function fingerprintOf(text: string): string {
  let hash = 0xcbf29ce484222325n
  for (const byte of Buffer.from(text)) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn
  return hash.toString(16).padStart(16, '0')
}
