import type { Logger } from 'pino'
import type { AlertmanagerApi, ListedSilence } from '../core/alertmanager.ts'
import type { Silence } from '../core/chatops.ts'
import { type Clock, MINUTE, SECOND } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import { type Draft, draftOf, type Incident, tell } from '../core/incident.ts'
import { readMatchers } from '../core/matchers.ts'
import type { Policy } from '../core/policy.ts'
import type { Store, Tx } from '../core/store.ts'
import { storeDrafts } from './changes.ts'

export type SilencesDeps = {
  store: Store
  policy: () => Policy
  /** Alertmanager where it can be asked; null: silences are Claw's own */
  api: () => AlertmanagerApi | null
  clock: Clock
  log: Logger
  /** something was stored: wake the lanes */
  onStored: () => void
  installation: () => string
  /** names this process in leases */
  owner: string
}

export type Silences = { tick(): Promise<void> }

/** An incident's silence is extended when less than this is left … */
const EXTEND_BELOW = 5 * MINUTE
/** … by so little that it soon ends when Claw itself is gone. */
const EXTEND_BY = 15 * MINUTE
/** How often Alertmanager is asked whether somebody ended a silence there. */
const LOOK_EVERY = MINUTE
const RETRY_AFTER = 10 * SECOND
const PER_ROUND = 20
const LEASE = 'work:silences'
const LEASE_FOR = 30 * SECOND
const PATIENCE = 10 * SECOND

/**
 * Keeps silences: ends them when their time or their incident is over, extends those of incidents that last, and tells
 * Alertmanager of each. Alerts that match are kept quiet by Claw itself too (`judge`), so that nothing comes through before
 * Alertmanager knows, and without one.
 *
 * An incident lasts until it is resolved; while alerts of it that the silence hides still fire, the silence stays until its
 * end, so that ending it does not page at once for what was hidden.
 */
export function createSilences(deps: SilencesDeps): Silences {
  const { store, clock, log } = deps
  let tellAt = 0
  let lookAt = 0

  async function tick(): Promise<void> {
    const now = clock()
    if (await keep(now)) deps.onStored()
    const api = deps.api()
    if (!api) return forget()
    if (now >= tellAt && (await store.pendingSilences(1)).length > 0 && (await leased(now))) {
      const told = await tellAll(api)
      tellAt = told ? now : now + RETRY_AFTER
    }
    if (now >= lookAt) {
      lookAt = now + LOOK_EVERY
      if ((await store.activeSilences()).some(known) && (await leased(now))) await look(api, now)
    }
  }

  const leased = async (now: number): Promise<boolean> =>
    (await store.write((tx) => tx.takeLane(LEASE, deps.owner, now, now + LEASE_FOR, store.exclusive))) !== null

  /** What the time and the incidents bring. @returns whether anything changed */
  async function keep(now: number): Promise<boolean> {
    const active = await store.activeSilences()
    const incidents = await incidentsOf(store, active)
    const due = active.filter((silence) => fate(silence, incidents, now) !== 'stays').map((silence) => silence.id)
    if (due.length === 0) return false
    return store.write(async (tx) => {
      const fresh = (await tx.activeSilences()).filter((silence) => due.includes(silence.id))
      const byId = await incidentsOf(tx, fresh)
      const drafts = new Map<number, Draft>()
      for (const silence of fresh) {
        const becomes = fate(silence, byId, now)
        if (becomes === 'stays') continue
        if (becomes === 'extended') {
          const pending = silence.alertmanagerId === null ? silence.pending : 'extend'
          await tx.saveSilence({ ...silence, endsAt: now + EXTEND_BY, pending })
          continue
        }
        const pending = silence.alertmanagerId !== null || silence.pending === 'create' ? 'end' : null
        await tx.saveSilence({ ...silence, state: 'ended', endsAt: Math.min(silence.endsAt, now), pending })
        const why = becomes === 'over' ? 'its time is over' : 'the incident is over'
        log.info({ silence: silence.id, incident: silence.incident }, `silence ended: ${why}`)
        tellIncident(drafts, byId, silence, `Silence s${silence.id} of ${silence.by} ended: ${why}.`, now)
      }
      await storeDrafts(tx, [...drafts.values()], deps.policy(), now)
      return true
    })
  }

  /** Without Alertmanager there is nobody to tell of an end. */
  async function forget(): Promise<void> {
    const ended = (await store.pendingSilences(PER_ROUND)).filter((silence) => silence.pending === 'end')
    if (ended.length === 0) return
    await store.write(async (tx) => {
      for (const silence of ended) await tx.saveSilence({ ...silence, pending: null })
    })
  }

  /** @returns false when Alertmanager could not be told: try again later */
  async function tellAll(api: AlertmanagerApi): Promise<boolean> {
    for (const silence of await store.pendingSilences(PER_ROUND)) {
      try {
        if (!(await leased(clock()))) return true
        const failure = await tellOne(api, silence)
        if (failure !== null) {
          log.warn({ silence: silence.id, pending: silence.pending }, `${failure}; will be tried again`)
          return false
        }
      } catch (error) {
        log.warn({ err: error, silence: silence.id }, `a silence could not be told: ${messageOf(error)}`)
        return false
      }
    }
    return true
  }

  /** @returns why it must be tried again; null when it is settled */
  async function tellOne(api: AlertmanagerApi, silence: Silence): Promise<string | null> {
    let id = silence.alertmanagerId
    if (id === null) {
      // Its answer may have been lost: it is looked for by its marker before it is made anew.
      const listed = await api.silences(AbortSignal.timeout(PATIENCE))
      if (!listed.ok) return listed.reason
      id = listed.silences.find((one) => one.state !== 'expired' && one.comment.endsWith(marker(silence)))?.id ?? null
    }
    if (silence.pending === 'end') {
      const ended = id === null ? ({ ok: true } as const) : await api.endSilence(id, AbortSignal.timeout(PATIENCE))
      if (!ended.ok && !ended.refused) return ended.reason
      if (!ended.ok) log.warn({ silence: silence.id }, `${ended.reason}; it ends there by itself`)
      await note(silence, { alertmanagerId: id, pending: null })
      return null
    }
    let startsAt = silence.startsAt
    if (id !== null) {
      const found = await api.silence(id, AbortSignal.timeout(PATIENCE))
      if (!found.ok) return found.reason
      if (found.silence === null || found.silence.state === 'expired') return endedThere(silence, found.silence)
      // Alertmanager changes a silence in place only under the start that it has itself.
      startsAt = found.silence.startsAt
      if (Math.abs(found.silence.endsAt - silence.endsAt) < SECOND) {
        await note(silence, { alertmanagerId: id, pending: null })
        return null
      }
    }
    const read = readMatchers(silence.matchers)
    if (read.problem !== null) return refused(silence, `its matchers cannot be read: ${read.problem.message}`)
    const saved = await api.saveSilence(
      {
        id,
        matchers: read.matchers,
        startsAt,
        endsAt: silence.endsAt,
        createdBy: silence.by,
        comment: `${silence.note === '' ? '' : `${silence.note} `}${marker(silence)}`,
      },
      AbortSignal.timeout(PATIENCE),
    )
    if (!saved.ok) return saved.refused ? refused(silence, saved.reason) : saved.reason
    log.info({ silence: silence.id, alertmanagerId: saved.id }, 'Alertmanager knows the silence')
    await note(silence, { alertmanagerId: saved.id, pending: null })
    return null
  }

  /** Names a silence in Alertmanager, for this installation and for good. */
  const marker = (silence: Silence): string => `[claw ${deps.installation()} s${silence.id} ${silence.startsAt}]`

  /** Stores what Alertmanager said; what changed here meanwhile still has to be told. */
  async function note(told: Silence, learnt: Pick<Silence, 'alertmanagerId' | 'pending'>): Promise<void> {
    await store.write(async (tx) => {
      const fresh = await tx.silence(told.id)
      if (!fresh) return
      const same = fresh.state === told.state && fresh.endsAt === told.endsAt
      const late = fresh.state === 'ended' ? 'end' : 'extend'
      await tx.saveSilence({ ...fresh, ...learnt, pending: same ? learnt.pending : late })
    })
  }

  /** Alertmanager will not have it: it stays Claw's own. */
  async function refused(silence: Silence, reason: string): Promise<null> {
    log.warn({ silence: silence.id }, `Alertmanager refused the silence: ${reason}`)
    await change(
      silence.id,
      `Silence s${silence.id} is Claw's own, Alertmanager does not have it: ${reason}`,
      (fresh) => ({
        ...fresh,
        pending: null,
      }),
    )
    return null
  }

  /** Somebody ended it in Alertmanager, or it ran out there. */
  async function endedThere(silence: Silence, found: ListedSilence | null): Promise<null> {
    log.info({ silence: silence.id, found: found !== null }, 'silence ended in Alertmanager')
    await change(silence.id, `Silence s${silence.id} of ${silence.by} was ended in Alertmanager.`, (fresh) => ({
      ...fresh,
      state: 'ended',
      endsAt: Math.min(fresh.endsAt, clock()),
      pending: null,
    }))
    return null
  }

  async function change(id: number, text: string, changed: (fresh: Silence) => Silence): Promise<void> {
    const now = clock()
    await store.write(async (tx) => {
      const fresh = await tx.silence(id)
      if (!fresh) return
      await tx.saveSilence(changed(fresh))
      const drafts = new Map<number, Draft>()
      tellIncident(drafts, await incidentsOf(tx, [fresh]), fresh, text, now)
      await storeDrafts(tx, [...drafts.values()], deps.policy(), now)
    })
    deps.onStored()
  }

  /** Silences that somebody ended in Alertmanager itself are over here too. */
  async function look(api: AlertmanagerApi, now: number): Promise<void> {
    const listed = await api.silences(AbortSignal.timeout(PATIENCE))
    if (!listed.ok) return log.warn(`silences are not compared: ${listed.reason}`)
    const byId = new Map(listed.silences.map((silence) => [silence.id, silence]))
    for (const silence of await store.activeSilences()) {
      const found = byId.get(silence.alertmanagerId ?? '')
      // One that is missing altogether may belong to a peer that has not caught up: only a plain "expired" counts.
      if (known(silence) && found?.state === 'expired' && silence.endsAt > now) await endedThere(silence, found)
    }
  }

  return { tick }
}

const known = (silence: Silence): boolean => silence.alertmanagerId !== null && silence.pending === null

function fate(
  silence: Silence,
  incidents: ReadonlyMap<number, Incident>,
  now: number,
): 'stays' | 'extended' | 'over' | 'over with incident' {
  const incident = silence.incident === null ? undefined : incidents.get(silence.incident)
  if (incident?.state === 'resolved' && incident.suppressed === 0) return 'over with incident'
  if (incident !== undefined && incident.state !== 'resolved') {
    return silence.endsAt - now < EXTEND_BELOW ? 'extended' : 'stays'
  }
  return now >= silence.endsAt ? 'over' : 'stays'
}

async function incidentsOf(tx: Pick<Tx, 'incidents'>, silences: readonly Silence[]): Promise<Map<number, Incident>> {
  const ids = [...new Set(silences.flatMap((silence) => silence.incident ?? []))]
  return new Map((await tx.incidents(ids)).map((incident) => [incident.id, incident]))
}

function tellIncident(
  drafts: Map<number, Draft>,
  incidents: ReadonlyMap<number, Incident>,
  silence: Silence,
  text: string,
  now: number,
): void {
  const incident = silence.incident === null ? undefined : incidents.get(silence.incident)
  if (!incident) return
  const draft = drafts.get(incident.id) ?? draftOf(incident)
  drafts.set(incident.id, draft)
  tell(draft, now, 'silence', text, false)
}
