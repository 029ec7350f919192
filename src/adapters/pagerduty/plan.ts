import { z } from 'zod'
import type { Json } from '../../core/delivery.ts'
import type { Page } from '../../core/view.ts'

export type EventAction = 'trigger' | 'acknowledge' | 'resolve'

/** The last thing PagerDuty accepted for one page. */
export type SentPage = { generation: number; revision: number; state: Page['state'] }

export type PagerDutyState = {
  sent: { [pageKey: string]: SentPage }
  /** an event whose fate is unknown was begun since PagerDuty last showed the incident as wanted */
  doubt?: true
  /** `seq` of the newest line of the story that was written there as a note */
  noted?: number
}

/** Why an event is due; each names one rule. */
export type PlanReason =
  | 'never sent'
  | 'new generation'
  | 'reopened'
  | 'new text'
  | 'acknowledged here'
  | 'resolved here'
  | 'trigger in doubt'

export type NextEvent = { page: Page; action: EventAction; reason: PlanReason; after: SentPage }

const stateSchema = z.object({
  sent: z.record(
    z.string(),
    z.object({
      generation: z.number(),
      revision: z.number(),
      state: z.enum(['triggered', 'acknowledged', 'resolved']),
    }),
  ),
  doubt: z.literal(true).optional(),
  noted: z.number().optional(),
})

/**
 * The adapter's stored state; anything unreadable counts as nothing sent, since a repeated trigger under the same dedup
 * key wakes nobody twice while the incident is open.
 */
export function readState(state: Json): PagerDutyState {
  const parsed = stateSchema.safeParse(state)
  if (!parsed.success) return { sent: {} }
  const { sent, doubt, noted } = parsed.data
  return { sent, ...(doubt === undefined ? {} : { doubt }), ...(noted === undefined ? {} : { noted }) }
}

/** The first event that PagerDuty still needs, in the order of `pages`; null when it shows every page as wanted. */
export function nextEvent(pages: readonly Page[], state: PagerDutyState): NextEvent | null {
  for (const page of pages) {
    const next = nextOfPage(page, Object.hasOwn(state.sent, page.key) ? state.sent[page.key] : undefined, state)
    if (next !== null) return next
  }
  return null
}

function nextOfPage(page: Page, sent: SentPage | undefined, state: PagerDutyState): NextEvent | null {
  const { generation, revision } = page
  const event = (action: EventAction, reason: PlanReason, after: SentPage): NextEvent => ({
    page,
    action,
    reason,
    after,
  })
  const trigger = (reason: PlanReason) => event('trigger', reason, { generation, revision, state: 'triggered' })
  const current = sent !== undefined && sent.generation === generation

  if (page.state === 'resolved') {
    const after: SentPage = { generation, revision, state: 'resolved' }
    if (sent !== undefined && sent.state !== 'resolved') return event('resolve', 'resolved here', after)
    // a trigger that may have arrived is closed; PagerDuty drops a resolve for a key it does not know
    if (!current && state.doubt === true) return event('resolve', 'trigger in doubt', after)
    return null
  }
  if (sent === undefined) return trigger('never sent')
  if (!current) return trigger('new generation')
  if (sent.state === 'resolved') return trigger('reopened')
  if (page.state === 'acknowledged' && sent.state === 'triggered') {
    // before any new text: the acknowledgement stops an escalation
    return event('acknowledge', 'acknowledged here', { ...sent, state: 'acknowledged' })
  }
  if (sent.revision !== revision) {
    // a trigger on an acknowledged key changes the text and leaves it acknowledged
    return event('trigger', 'new text', { generation, revision, state: sent.state })
  }
  return null
}

/** `state` after PagerDuty accepted `event`. */
export function accepted(state: PagerDutyState, event: NextEvent): PagerDutyState {
  // fromEntries: a page key such as `__proto__` stays a plain key
  const sent = Object.fromEntries([...Object.entries(state.sent), [event.page.key, event.after]])
  return { ...state, sent }
}

/** `state` when every page is as wanted: pages that never had to be sent count as shown, and nothing is in doubt. */
export function settled(state: PagerDutyState, pages: readonly Page[]): PagerDutyState {
  const unsent = pages
    .filter((page) => !Object.hasOwn(state.sent, page.key) || state.sent[page.key]?.generation !== page.generation)
    .map(({ key, generation, revision, state: shown }): [string, SentPage] => [
      key,
      { generation, revision, state: shown },
    ])
  const sent = Object.fromEntries([...Object.entries(state.sent), ...unsent])
  return state.noted === undefined ? { sent } : { sent, noted: state.noted }
}
