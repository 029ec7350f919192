import type { StoryEvent } from './view.ts'

/** Phases of the runbook (system.md, section 3), in order. */
export const PHASES = ['detection', 'alerting', 'switch', 'validation', 'automation', 'post-mortem'] as const
export type Phase = (typeof PHASES)[number]

/** One phase of an incident's checklist, as stored in its document. */
export type ChecklistItem = {
  phase: Phase
  state: 'open' | 'done' | 'skipped'
  owner: string | null
  /** who or what ticked it: a person's name, `claw`, `policy:NAME`; null while open */
  by: string | null
  /** ms since the epoch; null while open */
  at: number | null
  /** why, one short sentence */
  note: string
}

/** What of a checklist may be set at once; what is left out stays as it is. */
export type ChecklistChange = Partial<Omit<ChecklistItem, 'phase'>>

/** What ticks by itself says so. */
export const CLAW = 'claw'

const NOTE = 200

const fresh = (phase: Phase): ChecklistItem => ({ phase, state: 'open', owner: null, by: null, at: null, note: '' })

/** The item of a phase; an open one where nothing was stored. */
function itemOf(list: readonly ChecklistItem[] | undefined, phase: Phase): ChecklistItem {
  return list?.find((item) => item.phase === phase) ?? fresh(phase)
}

/**
 * All phases in order. Only what was ticked is stored; that it was detected follows from the incident being there.
 * @param openedAt ms since the epoch
 */
export function wholeChecklist(list: readonly ChecklistItem[] | undefined, openedAt: number): ChecklistItem[] {
  return PHASES.map((phase) => {
    const item = itemOf(list, phase)
    if (phase !== 'detection' || item.state !== 'open' || item.by !== null) return item
    return { ...item, state: 'done', by: CLAW, at: openedAt, note: 'An alert was received.' }
  })
}

/**
 * Sets one phase, as a person or an event does. An open phase keeps who is to do it; `by` null and `at` null belong to it.
 * @returns a new list, phases in order
 */
export function setItem(
  list: readonly ChecklistItem[] | undefined,
  phase: Phase,
  change: ChecklistChange,
): ChecklistItem[] {
  const next = { ...itemOf(list, phase), ...change }
  const item = { ...next, note: next.note.slice(0, NOTE) }
  return PHASES.flatMap((name) => {
    if (name === phase) return [item]
    const known = list?.find((one) => one.phase === name)
    return known ? [known] : []
  })
}

type Event = Pick<StoryEvent, 'kind' | 'at' | 'actor' | 'text'>

/**
 * What a line of the story ticks. Phases that are closed stay so, except that a recurrence opens again what Claw itself had
 * closed; an owner is never taken from somebody else.
 * @returns the same list when the line ticks nothing
 */
export function tick(list: readonly ChecklistItem[] | undefined, event: Event): readonly ChecklistItem[] | undefined {
  switch (event.kind) {
    case 'acknowledged':
    case 'taken':
      return event.actor === null ? list : acknowledged(list, event, event.actor)
    case 'operation':
      return operationBegan(list, event)
    case 'operation_done':
      return operationDone(list, event)
    case 'automation_stopped':
      return close(list, 'automation', event, 'done', event.text)
    case 'resolved':
      return resolved(list, event)
    case 'recurred':
    case 'flapping':
    case 'reopened':
      return reopened(list)
    case 'postmortem':
      return close(list, 'post-mortem', event, 'done', event.text)
    default:
      return list
  }
}

/** All lines of a change, in order. @returns the same list when none of them ticks anything */
export function tickAll(
  list: readonly ChecklistItem[] | undefined,
  events: readonly Event[],
): readonly ChecklistItem[] | undefined {
  return events.reduce(tick, list)
}

/** A page, or a message where nobody is paged, reached somebody. @returns the same list when that was known */
export function paged(
  list: readonly ChecklistItem[] | undefined,
  at: number,
  destination: string,
): readonly ChecklistItem[] | undefined {
  return close(list, 'alerting', { at, actor: null }, 'done', `Told ${destination}.`)
}

/** Closes a phase that is open. */
function close(
  list: readonly ChecklistItem[] | undefined,
  phase: Phase,
  { at, actor }: Pick<Event, 'at' | 'actor'>,
  state: 'done' | 'skipped',
  note: string,
): readonly ChecklistItem[] | undefined {
  if (itemOf(list, phase).state !== 'open') return list
  return setItem(list, phase, { state, by: actor ?? CLAW, at, note })
}

/** Whoever takes the incident owns all that is open; the one before them owned it only until then. */
function acknowledged(
  list: readonly ChecklistItem[] | undefined,
  event: Event,
  person: string,
): readonly ChecklistItem[] | undefined {
  const before = itemOf(list, 'alerting').owner
  let next = close(list, 'alerting', event, 'done', `Taken by ${person}.`)
  for (const phase of PHASES.slice(1)) {
    const { owner, state } = itemOf(next, phase)
    const free = owner === null || owner === before
    if (free && owner !== person && (state === 'open' || phase === 'alerting')) {
      next = setItem(next, phase, { owner: person })
    }
  }
  return next
}

/** Operations that move clients, by how their titles begin (`runOf`). */
const SWITCHES = /: (?:Fail over|Roll back) /

/** `Dana started o9: Fail over from A to B.`: the phase it belongs to waits for the end of `o9`. */
function operationBegan(
  list: readonly ChecklistItem[] | undefined,
  { text, actor }: Event,
): readonly ChecklistItem[] | undefined {
  const begun = / started (o\d+: .*)$/s.exec(text)?.[1]
  if (begun === undefined) return list
  let next = list
  if (SWITCHES.test(` ${begun}`)) next = wait(next, 'switch', begun, actor)
  if (actor?.startsWith('policy:')) next = wait(next, 'automation', begun, actor)
  return next
}

function wait(
  list: readonly ChecklistItem[] | undefined,
  phase: Phase,
  note: string,
  actor: string | null,
): readonly ChecklistItem[] | undefined {
  const item = itemOf(list, phase)
  return setItem(list, phase, { state: 'open', by: null, at: null, note, owner: item.owner ?? actor })
}

/** `o9: …`: what waited for it is done, and an operation ends only after it has seen that it helped. */
function operationDone(list: readonly ChecklistItem[] | undefined, event: Event): readonly ChecklistItem[] | undefined {
  const name = /^o\d+(?=:)/.exec(event.text)?.[0]
  if (name === undefined) return list
  let next = list
  for (const phase of ['switch', 'automation'] as const) {
    const { note, owner } = itemOf(next, phase)
    if (note.startsWith(`${name}:`)) next = close(next, phase, { at: event.at, actor: owner }, 'done', event.text)
  }
  // An outcome that names another act has not shown that it helped.
  if (/ Next: /.test(event.text)) return next
  return close(next, 'validation', { at: event.at, actor: null }, 'done', event.text)
}

function resolved(list: readonly ChecklistItem[] | undefined, event: Event): readonly ChecklistItem[] | undefined {
  const byClaw = { at: event.at, actor: null }
  let next = close(list, 'alerting', byClaw, 'skipped', 'It was over before anybody was reached.')
  next = close(next, 'switch', byClaw, 'skipped', 'Not needed.')
  next = close(next, 'validation', event, 'done', event.text)
  return close(next, 'automation', byClaw, 'skipped', 'No policy acted.')
}

/** The same trouble again: what Claw closed at the end counts no more. */
function reopened(list: readonly ChecklistItem[] | undefined): readonly ChecklistItem[] | undefined {
  let next = list
  for (const phase of ['alerting', 'switch', 'validation', 'automation'] as const) {
    const { state, by } = itemOf(next, phase)
    if (state !== 'open' && by === CLAW) next = setItem(next, phase, { state: 'open', by: null, at: null, note: '' })
  }
  return next
}
