import type { Logger } from 'pino'
import { type Clock, HOUR, MINUTE, SECOND } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import { type Attention, type Draft, draftOf, type Incident, tell } from '../core/incident.ts'
import type { Policy } from '../core/policy.ts'
import type { Reads, Store, Tx } from '../core/store.ts'
import { worsen } from '../core/transitions.ts'
import type { Page } from '../core/view.ts'
import { storeDrafts } from './changes.ts'

export type EscalationDeps = {
  store: Store
  policy: () => Policy
  clock: Clock
  log: Logger
  /** something was stored: wake the lanes */
  onStored: () => void
}

export type Escalation = { tick(): Promise<void> }

const LOOK_EVERY = 10 * SECOND
const PER_PAGE = 200
const MAX_PAGES = 100
/** Reminders of one page; after them PagerDuty's own escalation is all that goes on. */
const MAX_NUDGES = 6
/** Story lines and audit entries that are searched for a sign of life. */
const LOOK_BACK = 50
/** How a page begins that asks whether anybody is still there. */
const ASKING = 'No sign of life'

/**
 * An acknowledgement is a promise, not an end (system.md, section 3). A page that rings unanswered for its level's time is said
 * aloud, the receiver's fallback joins, and it is said again after pauses that grow (1, 2, 3 … times that time, six times at
 * most). An acknowledged P1 without a sign of life asks again under a page of its own. Any sign of life of a person (a line in the
 * story, a command about the incident, something done in PagerDuty) starts the clock anew and answers such a page. While an
 * incident is silenced, nobody is reminded. Every decision is made in the transaction that stores it, so that replicas agree.
 */
export function createEscalation(deps: EscalationDeps): Escalation {
  const { store, clock, log } = deps
  let lookAt = 0

  async function tick(): Promise<void> {
    const now = clock()
    if (now < lookAt) return
    lookAt = now + LOOK_EVERY
    const policy = deps.policy()
    let before: number | null = null
    for (let page = 0; page < MAX_PAGES; page++) {
      const incidents = await store.listIncidents({ states: ['open', 'acknowledged'], limit: PER_PAGE, before })
      const due = incidents.filter((incident) => wants(incident, policy, now) !== 'nothing').map(({ id }) => id)
      if (due.length > 0) await act(due, policy, now)
      before = incidents.at(-1)?.id ?? null
      if (incidents.length < PER_PAGE) break
    }
  }

  async function act(ids: readonly number[], policy: Policy, now: number): Promise<void> {
    const said = await store.write(async (tx) => {
      const silenced = new Set(
        (await tx.activeSilences()).flatMap((one) => (one.endsAt > now ? (one.incident ?? []) : [])),
      )
      const drafts: Draft[] = []
      for (const incident of await tx.incidents(ids)) {
        const draft = draftOf(incident)
        if (await decide(tx, draft, policy, silenced.has(incident.id), now)) drafts.push(draft)
      }
      await storeDrafts(tx, drafts, policy, now)
      return drafts.flatMap((draft) => draft.story.map((event) => ({ incident: draft.incident.id, text: event.text })))
    })
    for (const { incident, text } of said) log.warn({ incident }, text)
    if (said.length > 0) deps.onStored()
  }

  /** @returns whether the incident has to be stored */
  async function decide(tx: Tx, draft: Draft, policy: Policy, silenced: boolean, now: number): Promise<boolean> {
    const { incident } = draft
    const wanted = wants(incident, policy, now)
    if (wanted === 'nothing') return false
    if (wanted === 'mark') {
      incident.attention = marked(incident)
      return true
    }
    const attention = attentionOf(incident)
    const sign = await signOfLife(tx, incident)
    const from = wanted === 'ask' ? lastSign(incident) : Math.max(attention.since, attention.nudgedAt ?? 0)
    if (sign !== null && sign > from) {
      // Somebody is there: the clock starts anew, and what asked for a sign of life is answered.
      incident.attention = {
        ...attention,
        since: Math.max(attention.since, sign),
        nudges: 0,
        nudgedAt: null,
        signAt: sign,
      }
      answerAsking(draft)
      return true
    }
    if (silenced) return false
    if (wanted === 'nudge') nudge(draft, attention, policy, now)
    else ask(draft, policy, now)
    return true
  }

  function nudge(draft: Draft, attention: Attention, policy: Policy, now: number): void {
    const { incident } = draft
    const joining = fallbacksOf(incident, policy)
    for (const { name, why } of joining) incident.receivers.push({ name, why })
    const whom = joining.length > 0 ? ` Telling ${joining.map(({ name }) => name).join(', ')}.` : ''
    const text = `Nobody has acknowledged for ${duration(now - attention.since)}.${whom}`
    incident.attention = { ...attention, nudges: attention.nudges + 1, nudgedAt: now }
    worsen(draft, text)
    tell(draft, now, 'reminded', text, true)
  }

  function ask(draft: Draft, policy: Policy, now: number): void {
    const { incident } = draft
    const silent = now - lastSign(incident)
    const by = incident.acknowledgedBy ?? 'whoever acknowledged'
    const text = `${ASKING} for ${duration(Math.max(silent, policy.signOfLife))} since ${by} took it: is anybody on it?`
    worsen(draft, text)
    incident.attention = { ...marked(incident), since: now, signAt: incident.attention?.signAt ?? null }
    tell(draft, now, 'no_sign_of_life', text, true)
  }

  return {
    async tick() {
      try {
        await tick()
      } catch (error) {
        log.error({ err: error }, `the escalation check failed, trying again: ${messageOf(error)}`)
      }
    },
  }
}

/** What an incident may need, as far as it tells itself. */
function wants(incident: Incident, policy: Policy, now: number): 'nothing' | 'mark' | 'nudge' | 'ask' {
  if (incident.state === 'resolved' || incident.synthetic) return 'nothing'
  const ring = ringOf(incident)
  const attention = incident.attention
  if (ring !== '') {
    // Known by its first look, at most seconds after it began to ring.
    if (attention === undefined || attention.ring !== ring) return 'mark'
    if (attention.nudges >= MAX_NUDGES) return 'nothing'
    const within = policy.acknowledgeWithin[incident.level]
    const at = attention.nudgedAt === null ? attention.since + within : attention.nudgedAt + within * attention.nudges
    return now >= at ? 'nudge' : 'nothing'
  }
  if (incident.state !== 'acknowledged' || incident.level !== 'P1') return 'nothing'
  return now - lastSign(incident) >= policy.signOfLife ? 'ask' : 'nothing'
}

/** The page that rings, as `<key>#<generation>`: another one rings when it differs. */
function ringOf(incident: Incident): string {
  const page = incident.pages.findLast((one) => one.state === 'triggered')
  return page ? `${page.key}#${page.generation}` : ''
}

/** A new ringing: it began with the newest change, or what came after it was quiet. */
function marked(incident: Incident): Attention {
  return {
    ring: ringOf(incident),
    since: incident.updatedAt,
    nudges: 0,
    nudgedAt: null,
    signAt: incident.attention?.signAt ?? null,
  }
}

const attentionOf = (incident: Incident): Attention => incident.attention ?? marked(incident)

const lastSign = (incident: Incident): number =>
  Math.max(incident.acknowledgedAt ?? incident.openedAt, incident.attention?.signAt ?? 0)

/** The newest thing that a person said or did about the incident; null when there is none. */
async function signOfLife(reads: Pick<Reads, 'story' | 'newestAudit'>, incident: Incident): Promise<number | null> {
  const [story, audit] = await Promise.all([
    reads.story(incident.id, LOOK_BACK),
    reads.newestAudit(`incident ${incident.id}`, LOOK_BACK),
  ])
  const times = [
    ...story.filter((event) => event.actor !== null && isPerson(event.actor)).map((event) => event.at),
    ...audit.filter((row) => row.via !== 'claw' && isPerson(row.actor)).map((row) => Date.parse(row.at)),
  ].filter((at) => !Number.isNaN(at))
  return times.length === 0 ? null : Math.max(...times)
}

const isPerson = (actor: string): boolean => actor !== 'claw' && !/^(policy:|unknown )/.test(actor)

/** Pages that asked for a sign of life ring no more once there is one. */
function answerAsking(draft: Draft): void {
  for (const page of draft.incident.pages.filter(isAsking)) {
    page.state = 'acknowledged'
    draft.visible = true
  }
  if (draft.incident.attention) draft.incident.attention.ring = ringOf(draft.incident)
}

const isAsking = (page: Page): boolean => page.state === 'triggered' && page.reason.startsWith(ASKING)

function fallbacksOf(incident: Incident, policy: Policy): { name: string; why: string }[] {
  const found = new Map<string, string>()
  for (const { name } of incident.receivers) {
    const fallback = policy.receivers.get(name)?.fallback ?? null
    if (fallback === null || incident.receivers.some((receiver) => receiver.name === fallback)) continue
    found.set(fallback, `fallback of ${name}: nobody had acknowledged`)
  }
  return [...found].map(([name, why]) => ({ name, why }))
}

function duration(ms: number): string {
  if (ms >= 2 * HOUR) return `${Math.round(ms / HOUR)} h`
  return ms >= MINUTE ? `${Math.round(ms / MINUTE)} min` : `${Math.round(ms / SECOND)} s`
}
