import type { Logger } from 'pino'
import { type Access, personOf } from '../core/access.ts'
import { type Clock, HOUR, MINUTE } from '../core/clock.ts'
import { reply } from '../core/command.ts'
import { messageOf } from '../core/errors.ts'
import { draftOf, type Incident, tell } from '../core/incident.ts'
import {
  type PagerDutyEvent,
  type PagerDutyIncident,
  type PagerDutyRest,
  parseDedupKey,
  UNLINKED,
} from '../core/pagerduty.ts'
import type { Policy } from '../core/policy.ts'
import type { Delivery, Store, Tx } from '../core/store.ts'
import type { Page } from '../core/view.ts'
import { transitionRules } from './batch.ts'
import { storeDrafts } from './changes.ts'
import { applyEvent, type Decision, type Verdict } from './pagerduty-apply.ts'
import { readMemory, remember, rememberPolicy, writeMemory } from './pagerduty-memory.ts'

export type PagerDutySyncDeps = {
  store: Store
  policy: () => Policy
  /** tells our dedup keys from those of other installations */
  installation: () => string
  access: () => Access
  clock: Clock
  log: Logger
  /** resolves are checked against the outside before they are believed */
  believes: () => boolean
  /** something changed: wake the lanes */
  onStored: () => void
  /** null: only webhooks are heard */
  rest: () => PagerDutyRest | null
  /** between two polls, milliseconds (`pagerduty.poll_interval`) */
  every: () => number
  /** e-mail address of a person, in whose name repairs are made there; null when not known */
  emailOf?: (person: string) => string | null
}

export type PagerDutySync = {
  /**
   * Takes one verified event. Stored, with all that it changes, when it resolves; a repeated id changes nothing.
   * @returns what became of it
   * @throws ClawError('unavailable') when it cannot be stored: answer 503, PagerDuty sends it again
   */
  receive(event: PagerDutyEvent): Promise<Decision | 'repeated' | 'not ours'>
  /** Polls when it is time to. May take as long as PagerDuty does: do not wait for it in a loop that others need. */
  tick(): Promise<void>
}

type Place = { incident: number; page: string }

/** Incidents per poll, and requests at once: well below the 960 requests a minute of a token ("REST API Rate Limits"). */
const PER_POLL = 100
const AT_ONCE = 4
/** Resolved incidents are compared for so long. */
const COMPARE_FOR = HOUR
/** Our own events get so long to arrive before PagerDuty's different state is mended. */
const SETTLE = MINUTE
/** A page that PagerDuty took and shows nowhere after this is told. */
const MISSING_AFTER = 2 * MINUTE
const STORY = 200

/** What people do in PagerDuty changes the incident here; webhooks tell at once, polling finds what they lost. */
export function createPagerDutySync(deps: PagerDutySyncDeps): PagerDutySync {
  const { store, clock, log } = deps
  let polledAt = Number.NEGATIVE_INFINITY
  let polling = false
  let after: number | null = null
  let own: string | null = null
  let failing = false
  /** resolved incidents that PagerDuty shows as resolved too */
  const settled = new Map<number, number>()

  async function locate(event: PagerDutyEvent): Promise<Place | null> {
    const key = event.incidentKey
    if (key !== null) return parseDedupKey(deps.installation(), key)
    if (event.pdIncidentId === null) return null
    const known = (await readMemory(store)).incidents[event.pdIncidentId]
    if (known) return { incident: known.incident, page: known.page }
    // A note tells only PagerDuty's own id. Not to find out is no reason to hold up the events behind it.
    const found = await deps
      .rest()
      ?.incident(event.pdIncidentId)
      .catch(() => null)
    return found?.key ? parseDedupKey(deps.installation(), found.key) : null
  }

  function nameOf(event: PagerDutyEvent): string | null {
    const { agent } = event
    if (agent === null || !agent.person) return null
    const person = personOf(deps.access(), 'pagerduty', agent.id)
    return person?.name ?? `${agent.name.replace(/\s+/g, ' ').trim().slice(0, 60) || agent.id}${UNLINKED}`
  }

  /** One event within one transaction: its effect, its identity and its audit entry. */
  async function take(tx: Tx, event: PagerDutyEvent, place: Place, heard: boolean): Promise<Verdict | null> {
    const now = clock()
    const id = `pagerduty:${event.id}`
    if (heard) {
      const request = {
        id,
        via: 'pagerduty' as const,
        person: null,
        user: event.agent?.id ?? '',
        text: event.type,
        incident: place.incident,
        confirmed: true,
        override: null,
        replyTo: null,
      }
      if (!(await tx.addRequest(request, now))) return null
    }
    const [incident] = await tx.incidents([place.incident])
    let verdict: Verdict = { decision: 'ignored', action: '', status: null }
    if (incident) {
      const memory = await readMemory(tx)
      const draft = draftOf(incident)
      const pd = event.pdIncidentId
      verdict = applyEvent(draft, event, {
        page: place.page,
        who: nameOf(event),
        own: own !== null && event.agent?.id === own,
        seen: pd === null ? undefined : memory.incidents[pd],
        story: await tx.story(incident.id, STORY),
        rules: transitionRules(deps.policy(), deps.believes()),
        now,
      })
      if (pd !== null && verdict.decision !== 'stale') remember(memory, pd, place, event.at, verdict.status)
      rememberPolicy(memory, event.policyId)
      await writeMemory(tx, memory)
      if (draft.visible) await storeDrafts(tx, [draft], deps.policy(), now)
      await record(tx, event, place, verdict, draft.story.at(-1)?.text ?? '')
    }
    if (heard) await tx.answerRequest(id, reply(verdict.decision, { incident: place.incident }))
    return verdict
  }

  async function record(tx: Tx, event: PagerDutyEvent, place: Place, verdict: Verdict, text: string): Promise<void> {
    const { decision, action } = verdict
    const actor = nameOf(event)
    const changed = ['acknowledged', 'unacknowledged', 'resolved', 'told'].includes(decision)
    if (action === '' || (!changed && (decision !== 'stale' || actor === null))) return
    await tx.appendAudit({
      at: new Date(clock()).toISOString(),
      actor: actor ?? 'PagerDuty',
      via: 'pagerduty',
      action,
      target: `incident ${place.incident}`,
      outcome: changed ? 'done' : 'refused',
      detail: changed ? text : `${event.type} of ${new Date(event.at).toISOString()}: older than what is known`,
    })
  }

  /** What polling found, told as the event that may have been lost; null when it says nothing new. */
  function asEvent(found: PagerDutyIncident, page: Page, incident: Incident): PagerDutyEvent | null {
    const { id, status, statusChangedAt: at, createdAt } = found
    const type = status === 'triggered' ? 'incident.unacknowledged' : `incident.${status}`
    if (page.state === 'resolved') return null
    if (status === 'acknowledged' && page.state !== 'triggered') return null
    if (status === 'triggered') {
      // never acknowledged there, or our acknowledgement is still on its way
      const changed = at > createdAt && at + 999 >= (incident.acknowledgedAt ?? 0)
      if (page.state !== 'acknowledged' || !changed) return null
    }
    return {
      id: `poll ${id} ${status} ${at}`,
      type,
      incidentKey: found.key,
      pdIncidentId: id,
      status,
      agent: status === 'triggered' ? null : found.changedBy,
      at,
      createdAt,
      note: null,
      priority: null,
      assignees: [],
      policyId: found.policyId,
      merged: found.merged,
    }
  }

  async function compare(rest: PagerDutyRest, incident: Incident, rows: readonly Delivery[]): Promise<void> {
    let agreed = incident.state === 'resolved'
    for (const page of incident.pages) {
      const key = `claw/${deps.installation()}/${incident.id}${page.key === '' ? '' : `/${page.key}`}`
      const found = await rest.incidentsByKey(key)
      const place = { incident: incident.id, page: page.key }
      for (const one of found) {
        const event = asEvent(one, page, incident)
        if (event === null) continue
        const verdict = await store.write((tx) => take(tx, event, place, false))
        if (verdict && ['acknowledged', 'unacknowledged', 'resolved', 'told'].includes(verdict.decision)) {
          log.info(
            { incident: incident.id, decision: verdict.decision },
            'polling PagerDuty found what no webhook told',
          )
          deps.onStored()
        }
      }
      if (found.some((one) => one.status !== 'resolved')) agreed = false
      // Read again: what changed meanwhile is on its way there.
      const [current] = await store.incidents([incident.id])
      const quiet = current?.version === incident.version
      if (quiet && rows.every((row) => row.state === 'delivered' || row.state === 'dead')) {
        await mend(rest, incident, page, found)
        await missing(incident, page, found, rows)
      }
    }
    if (agreed) settled.set(incident.id, incident.resolvedAt ?? 0)
  }

  /** PagerDuty took our event and does not show it: say it again, the other way. */
  async function mend(
    rest: PagerDutyRest,
    incident: Incident,
    page: Page,
    found: readonly PagerDutyIncident[],
  ): Promise<void> {
    const now = clock()
    const from = (person: string | null) => (person === null ? null : (deps.emailOf?.(person) ?? null))
    for (const one of found) {
      const late = (at: number | null): boolean =>
        at !== null && at + SETTLE <= now && one.statusChangedAt < at && one.status !== 'resolved'
      if (page.state === 'resolved' && incident.state === 'resolved' && late(incident.resolvedAt)) {
        await rest.resolve(one.id, from(incident.resolvedBy))
        log.warn({ incident: incident.id }, 'PagerDuty had lost our resolve: resolved over its REST API')
      } else if (page.state === 'acknowledged' && one.status === 'triggered' && late(incident.acknowledgedAt)) {
        await rest.acknowledge(one.id, from(incident.acknowledgedBy))
        log.warn({ incident: incident.id }, 'PagerDuty had lost our acknowledgement: repeated over its REST API')
      }
    }
  }

  /** Accepted is not paged: a service that is switched off, or an event rule, swallows a page without a word. */
  async function missing(
    incident: Incident,
    page: Page,
    found: readonly PagerDutyIncident[],
    rows: readonly Delivery[],
  ): Promise<void> {
    const now = clock()
    const delivered = Math.max(0, ...rows.map((row) => row.deliveredAt ?? now))
    if (page.state !== 'triggered' || delivered + MISSING_AFTER > now) return
    if (found.some((one) => one.status !== 'resolved')) return
    const mark = `${incident.id}/${page.key}/${page.generation}`
    const text = 'PagerDuty took the page but shows no open incident for it: check the service and its event rules.'
    const told = await store.write(async (tx) => {
      const memory = await readMemory(tx)
      const [current] = await tx.incidents([incident.id])
      if (memory.warned.includes(mark) || current?.version !== incident.version) return false
      memory.warned = [...memory.warned, mark].slice(-100)
      await writeMemory(tx, memory)
      const draft = draftOf(current)
      tell(draft, now, 'page_missing', text, true)
      await storeDrafts(tx, [draft], deps.policy(), now)
      return true
    })
    if (!told) return
    log.error({ incident: incident.id, page: page.key }, text)
    deps.onStored()
  }

  /** Incidents to compare, in turns: open ones, and those that were resolved a while ago. */
  async function due(now: number): Promise<{ incident: Incident; rows: Delivery[] }[]> {
    const open = await store.listIncidents({ states: ['open', 'acknowledged'], limit: PER_POLL, before: after })
    after = open.length < PER_POLL ? null : (open.at(-1)?.id ?? null)
    const over = (await store.listIncidents({ states: ['resolved'], limit: PER_POLL, before: null })).filter(
      ({ id, resolvedAt }) =>
        resolvedAt !== null &&
        resolvedAt + SETTLE <= now &&
        resolvedAt + COMPARE_FOR > now &&
        settled.get(id) !== resolvedAt,
    )
    const all = [...open, ...over].filter((incident) => incident.pages.length > 0)
    if (all.length === 0) return []
    const rows = (await store.deliveriesOf(all.map(({ id }) => id))).filter((row) => row.kind === 'pagerduty')
    return all.flatMap((incident) => {
      const its = rows.filter((row) => row.incidentId === incident.id)
      return its.length > 0 ? [{ incident, rows: its }] : []
    })
  }

  /** One replica polls at a time. */
  async function mine(now: number): Promise<boolean> {
    return store.write(async (tx) => {
      const last = Number((await tx.meta(POLLED)) ?? Number.NEGATIVE_INFINITY)
      if (last <= now && now - last < deps.every() * 0.9) return false
      await tx.setMeta(POLLED, String(now))
      return true
    })
  }

  async function poll(rest: PagerDutyRest, now: number): Promise<void> {
    const left = await due(now)
    if (left.length === 0 || !(await mine(now))) return
    own ??= await rest.self()
    let failed: unknown = null
    const worker = async () => {
      for (let next = left.shift(); next !== undefined && failed === null; next = left.shift()) {
        await compare(rest, next.incident, next.rows).catch((error) => {
          failed = error
        })
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
    if (failed !== null) throw failed
    for (const [id, at] of settled) if (at + COMPARE_FOR < now) settled.delete(id)
  }

  return {
    async receive(event) {
      const place = await locate(event)
      if (place === null) return 'not ours'
      const verdict = await store.write((tx) => take(tx, event, place, true))
      if (verdict === null) return 'repeated'
      if (verdict.decision !== 'ours' && verdict.decision !== 'ignored') deps.onStored()
      return verdict.decision
    },
    async tick() {
      const now = clock()
      const rest = deps.rest()
      if (rest === null || polling || (polledAt <= now && now - polledAt < deps.every())) return
      polling = true
      polledAt = now
      try {
        await poll(rest, now)
        if (failing) log.info('PagerDuty can be polled again')
        failing = false
      } catch (error) {
        if (!failing) log.warn({ err: error }, `PagerDuty cannot be polled, trying again: ${messageOf(error)}`)
        failing = true
      } finally {
        polling = false
      }
    },
  }
}

const POLLED = 'pagerduty_polled_at'
