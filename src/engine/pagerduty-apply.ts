import { type Draft, tell } from '../core/incident.ts'
import { OWN_NOTE, type PagerDutyEvent, type PagerDutyStatus, placed, UNLINKED } from '../core/pagerduty.ts'
import { acknowledge, resolveByPerson, type TransitionRules, unacknowledge } from '../core/transitions.ts'
import type { StoryEvent } from '../core/view.ts'

/** The last that is known of one PagerDuty incident; `at` is PagerDuty's own time. */
export type Seen = { incident: number; page: string; at: number; status: PagerDutyStatus | null }

/** Every outcome of an event has a name. The first group changes the incident. */
export type Decision =
  | 'acknowledged'
  | 'unacknowledged'
  | 'resolved'
  | 'told'
  /** our own act, or PagerDuty's answer to it, comes back */
  | 'ours'
  | 'already so'
  /** older than what is known */
  | 'stale'
  /** nothing that Claw follows */
  | 'ignored'

export type Verdict = {
  decision: Decision
  /** for the audit trail, e.g. `ack` */
  action: string
  /** PagerDuty's status is known to be this now; null where the event says nothing about it */
  status: PagerDutyStatus | null
}

export type Circumstances = {
  page: string
  /** name of whoever did it: a linked person's, else `Kim (PagerDuty)`; null for PagerDuty itself */
  who: string | null
  /** the agent is the user in whose name Claw itself writes */
  own: boolean
  seen: Seen | undefined
  /** newest lines of the story */
  story: readonly StoryEvent[]
  rules: TransitionRules
  now: number
}

/** Lines after which a page rings that was over before. */
const RINGS = new Set(['opened', 'recurred', 'flapping', 'reopened'])
/** A person who resolved before one of these did not know of it. */
const NEWS = new Set([...RINGS, 'worsened'])

const HANDED_ON = new Set(['incident.reassigned', 'incident.delegated', 'incident.escalated'])

const MAX_TEXT = 500

/**
 * What one event of PagerDuty means for the incident. Pure. What is older than our own knowledge changes nothing, so that events in any
 * order, repeated, or found by polling as well, come to the same end: rather a page too many than one lost.
 */
export function applyEvent(draft: Draft, event: PagerDutyEvent, about: Circumstances): Verdict {
  const { incident } = draft
  const { who, seen, now } = about
  const page = incident.pages.find((one) => one.key === about.page)
  // PagerDuty's REST API tells times to the second: such a time may be anywhere within it.
  const grain = event.at % 1000 === 0 ? 999 : 0
  const before = (at: number): boolean => event.at + grain < at
  const since = (kinds: ReadonlySet<string>): number =>
    about.story.findLast((line) => kinds.has(line.kind))?.at ?? incident.openedAt
  const outdated =
    seen !== undefined && (before(seen.at) || (seen.status === 'resolved' && event.type !== 'incident.reopened'))
  const rings = since(RINGS)
  const when = Math.max(Math.min(event.at, now), Math.min(rings, now))
  const person = who !== null && !about.own

  switch (event.type) {
    case 'incident.triggered':
      return outdated ? stale('') : { decision: 'ignored', action: '', status: 'triggered' }

    case 'incident.acknowledged': {
      if (outdated || before(rings)) return stale('ack')
      const said = (decision: Decision): Verdict => ({ decision, action: 'ack', status: 'acknowledged' })
      if (!person) return said('ours')
      if (page?.state === 'triggered') {
        acknowledge(draft, who, '', when)
        place(draft, who)
        return said('acknowledged')
      }
      if (incident.state !== 'acknowledged' || incident.acknowledgedBy === who) return said('already so')
      // acknowledged here and there at once: the first stands, the second is told
      tell(draft, when, 'acknowledged_too', placed(`Also acknowledged by ${who}.`, who), false, who)
      return said('told')
    }

    case 'incident.unacknowledged': {
      if (outdated || before(rings) || before(incident.acknowledgedAt ?? 0)) return stale('unack')
      const text = person
        ? placed(`Acknowledgement taken back by ${who}.`, who)
        : 'No longer acknowledged in PagerDuty: the page rings again.'
      const changed = unacknowledge(draft, about.page, person ? who : null, text, when)
      return { decision: changed ? 'unacknowledged' : 'already so', action: 'unack', status: 'triggered' }
    }

    case 'incident.resolved': {
      if (outdated || before(rings)) return stale('resolve')
      const said = (decision: Decision): Verdict => ({ decision, action: 'resolve', status: 'resolved' })
      if (page === undefined || page.state === 'resolved') return said(person ? 'already so' : 'ours')
      if (event.merged) {
        tell(
          draft,
          when,
          'page_merged',
          `PagerDuty merged the page into another incident${by(person, who)}.`,
          false,
          who,
        )
        return said('told')
      }
      if (!person) {
        // Our own resolve of a page that rang before; else PagerDuty ended it by itself while it still burns.
        if (event.createdAt !== null && event.createdAt + 999 < rings) return said('ours')
        tell(draft, when, 'page_closed', 'PagerDuty closed its page by itself; the incident stays open.', true)
        return said('told')
      }
      if (before(since(NEWS))) return { ...stale('resolve'), status: 'resolved' }
      resolveByPerson(draft, who, '', about.rules, when)
      place(draft, who)
      return said('resolved')
    }

    case 'incident.reopened': {
      if (outdated) return stale('reopen')
      tell(draft, when, 'page_reopened', `Page reopened in PagerDuty${by(person, who)}.`, false, who)
      // somebody doubts the resolve: look now whether alerts still fire
      if (incident.check === 'still_firing') incident.nextCheckAt = now
      return { decision: 'told', action: 'reopen', status: 'triggered' }
    }
  }

  const line = lineOf(event, who)
  if (line === null) return { decision: 'ignored', action: '', status: null }
  if (line.text === '') return { decision: 'ours', action: line.action, status: null }
  // Handed to somebody else, an acknowledged page rings for them.
  const rang = event.status === 'triggered' && HANDED_ON.has(event.type) && !outdated
  if (rang && page?.state === 'acknowledged' && !before(Math.max(rings, incident.acknowledgedAt ?? 0))) {
    unacknowledge(draft, about.page, who, `${line.text} The page rings again.`, when)
    return { decision: 'unacknowledged', action: line.action, status: 'triggered' }
  }
  tell(draft, when, line.kind, line.text, false, who)
  return { decision: 'told', action: line.action, status: null }
}

const stale = (action: string): Verdict => ({ decision: 'stale', action, status: null })

const by = (person: boolean, who: string | null): string => (person && who !== null ? ` by ${who}` : '')

/** The line that was just told says where it was done. */
function place(draft: Draft, who: string): void {
  const line = draft.story.at(-1)
  if (line) line.text = placed(line.text, who)
}

/** What happened on the other side, for the story; null for what is not told, an empty text for what is our own. */
function lineOf(event: PagerDutyEvent, who: string | null): { kind: string; action: string; text: string } | null {
  const to = event.assignees.slice(0, 3).map(short).join(', ')
  const whose = who === null ? '' : ` by ${who.endsWith(UNLINKED) ? who.slice(0, -UNLINKED.length) : who}`
  const note = event.note === null ? '' : cut(event.note.trim(), MAX_TEXT)
  switch (event.type) {
    case 'incident.reassigned':
    case 'incident.delegated':
      return {
        kind: 'reassigned',
        action: 'reassign',
        text: `Reassigned${to === '' ? '' : ` to ${to}`} in PagerDuty${whose}.`,
      }
    case 'incident.escalated':
      return {
        kind: 'escalated',
        action: 'escalate',
        text: `Escalated${to === '' ? '' : ` to ${to}`} in PagerDuty${whose}.`,
      }
    case 'incident.annotated':
      if (note === '') return null
      return {
        kind: 'note',
        action: 'note',
        text: note.startsWith(OWN_NOTE.trim()) ? '' : `Note in PagerDuty${whose}: ${note}`,
      }
    case 'incident.priority_updated': {
      const priority = event.priority === null ? 'removed' : `set to ${short(event.priority)}`
      return { kind: 'priority', action: 'priority', text: `Priority ${priority} in PagerDuty${whose}.` }
    }
    case 'incident.status_update_published':
      return note === ''
        ? null
        : { kind: 'status_update', action: 'status update', text: `Status update in PagerDuty${whose}: ${note}` }
    case 'incident.responder.added':
    case 'incident.responder.replied': {
      const what = event.type.endsWith('added') ? 'was asked to help' : 'answered the call for help'
      return to === '' ? null : { kind: 'responder', action: 'responder', text: `${to} ${what} in PagerDuty.` }
    }
    default:
      return null
  }
}

const short = (text: string): string => cut(text.replace(/\s+/g, ' ').trim(), 60)

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1).replace(/[\ud800-\udbff]$/, '')}…`
}
