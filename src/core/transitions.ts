import type { AlertClass, Level } from './alert.ts'
import { MINUTE } from './clock.ts'
import { type Draft, MAX_TRACKED, tell } from './incident.ts'
import { raise, worse } from './severity.ts'
import type { Page } from './view.ts'

/** What joining needs to know of one alert, already judged by the policy. */
export type Joining = {
  name: string
  region: string
  level: Level
  levelReason: string
  alertClass: AlertClass | null
  /** null when it counts, else why it is kept quiet */
  suppressed: string | null
  /** the incident had this very alert before (a recurrence, not a newcomer) */
  known: boolean
}

/** The part of the policy that transitions read. Durations in milliseconds. */
export type TransitionRules = {
  raiseAtRegions: number
  flapping: { recurrences: number; within: number; quiet: number }
  recheckAfterResolve: number
  /** a source can say whether a region answers: resolves are checked before they are believed */
  believes: boolean
}

function count(map: Record<string, number>, key: string, by: number): boolean {
  const now = Object.hasOwn(map, key) ? (map[key] ?? 0) : 0
  if (now === 0 && by > 0 && Object.keys(map).length >= MAX_TRACKED) return false
  if (now + by <= 0) delete map[key]
  // Not an assignment: a label may be called __proto__.
  else Object.defineProperty(map, key, { value: now + by, enumerable: true, configurable: true, writable: true })
  return now === 0 && by > 0
}

/** One more alert fires in this incident. Reopens it when it was resolved. `settle` tells the story afterwards. */
export function joinAlert(draft: Draft, joining: Joining, rules: TransitionRules, now: number): void {
  const { incident } = draft
  if (!joining.known) {
    incident.total += 1
    count(incident.names, joining.name, 1)
  }
  draft.visible = true
  if (joining.suppressed !== null) {
    incident.suppressed += 1
    return
  }
  if (incident.state === 'resolved') reopen(draft, joining, rules, now)
  const newRegion = count(incident.regions, joining.region, 1) && !incident.allRegions.includes(joining.region)
  if (newRegion && incident.allRegions.length < MAX_TRACKED) incident.allRegions.push(joining.region)
  incident.firing += 1
  if (joining.alertClass && !incident.classes.includes(joining.alertClass)) incident.classes.push(joining.alertClass)
  if (incident.check === 'believe' || incident.check === 'quiet' || incident.check === 'suppressed') {
    incident.check = null
    incident.nextCheckAt = null
    incident.signalLost = false
  }
  if (incident.baseReason === '' || worse(joining.level, incident.baseLevel)) {
    incident.baseLevel = joining.level
    incident.baseReason = joining.levelReason
  }
  const first = incident.pages.length === 0
  const before = incident.level
  raiseLevel(draft, rules)
  if (first) {
    addPage(draft, 'first page')
  } else if (incident.state !== 'resolved') {
    if (worse(incident.level, before)) draft.worse.level = incident.level
    // An alert without a region says nothing about where else it burns.
    if (
      newRegion &&
      joining.region !== '' &&
      incident.allRegions.some((region) => region !== '' && region !== joining.region)
    )
      draft.worse.regions.push(joining.region)
  }
}

function raiseLevel(draft: Draft, rules: TransitionRules): void {
  const { incident } = draft
  if (incident.levelSetBy !== null) return
  const regions = Object.keys(incident.regions).filter((region) => region !== '')
  let level = incident.baseLevel
  let reason = incident.baseReason
  if (rules.raiseAtRegions > 0 && regions.length >= rules.raiseAtRegions && raise(level) !== level) {
    reason = `${reason}; raised from ${level}: ${regions.length} regions at once`
    level = raise(level)
  }
  const first = incident.levelReason === ''
  if (first || worse(level, incident.level)) {
    if (!first) draft.reroute = true
    incident.level = level
    incident.levelReason = reason
  }
}

function reopen(draft: Draft, joining: Joining, rules: TransitionRules, now: number): void {
  const { incident } = draft
  incident.recurrences += 1
  incident.recurredAt = [...incident.recurredAt.filter((at) => now - at < rules.flapping.within), now].slice(-20)
  const flapping = incident.recurredAt.length >= rules.flapping.recurrences
  wakeAgain(draft, `${joining.name} fires again`)
  const times = incident.recurredAt.length
  const text = flapping
    ? `Flapping: back for the ${ordinal(times)} time within ${minutes(rules.flapping.within)}. Stays open until it has been quiet for ${minutes(rules.flapping.quiet)}.`
    : `Back after it was resolved: ${joining.name} fires.`
  incident.flapping = flapping
  tell(draft, now, flapping ? 'flapping' : 'recurred', text, true)
}

/** Puts a resolved incident back to open and pages under the same key again. */
function wakeAgain(draft: Draft, reason: string): void {
  const { incident } = draft
  const first = incident.pages.find((page) => page.key === '')
  const generation = (first?.generation ?? 0) + 1
  incident.state = 'open'
  incident.resolvedAt = null
  incident.resolvedBy = null
  incident.acknowledgedAt = null
  incident.acknowledgedBy = null
  incident.signalLost = false
  incident.check = null
  incident.nextCheckAt = null
  // It may never have paged, when all that it had was suppressed.
  incident.pageCount = Math.max(1, incident.pageCount)
  incident.pages = [
    ...incident.pages.filter((page) => page.key !== ''),
    { key: '', generation, revision: 0, state: 'triggered', reason },
  ]
  draft.push = true
}

function addPage(draft: Draft, reason: string): void {
  const { incident } = draft
  const key = incident.pageCount === 0 ? '' : String(incident.pageCount)
  incident.pageCount += 1
  incident.pages.push({ key, generation: 1, revision: 0, state: 'triggered', reason })
  draft.push = true
}

/** One alert of this incident stopped firing. */
export function endAlert(draft: Draft, ended: { region: string; suppressed: string | null }): void {
  const { incident } = draft
  draft.visible = true
  draft.resolvedSome = true
  if (ended.suppressed !== null) {
    incident.suppressed = Math.max(0, incident.suppressed - 1)
    return
  }
  incident.firing = Math.max(0, incident.firing - 1)
  count(incident.regions, ended.region, -1)
}

/** A suppressed alert counts from now on (the inhibiting alert ended, the window is over). */
export function releaseAlert(draft: Draft, joining: Joining, rules: TransitionRules, now: number): void {
  draft.incident.suppressed = Math.max(0, draft.incident.suppressed - 1)
  joinAlert(draft, { ...joining, known: true, suppressed: null }, rules, now)
}

/** Call once per webhook, after all its alerts: tells what changed and decides whether the incident is over. */
export function settle(draft: Draft, rules: TransitionRules, now: number): void {
  const { incident } = draft
  if (draft.isNew && incident.seq === 0) {
    tell(
      draft,
      now,
      'opened',
      incident.firing > 0
        ? `Opened as ${incident.level}: ${incident.levelReason}.`
        : 'Opened quietly: all alerts are suppressed.',
      false,
    )
  } else if (draft.worse.level !== null || draft.worse.regions.length > 0) {
    tellWorse(draft, now)
  }
  draft.worse = { level: null, regions: [] }
  if (draft.resolvedSome) {
    draft.resolvedSome = false
    settleResolves(draft, rules, now)
  }
}

function tellWorse(draft: Draft, now: number): void {
  const { incident, worse } = draft
  const parts: string[] = []
  if (worse.level !== null) parts.push(`now ${worse.level} (${incident.levelReason})`)
  if (worse.regions.length > 0) parts.push(`also in ${worse.regions.slice(0, 5).join(', ')}`)
  const text = `Worse: ${parts.join(', ')}.`
  worsen(draft, text)
  tell(draft, now, 'worsened', text, true)
}

/**
 * Somebody must hear that it got worse. While a page is still ringing only its text changes; when all are acknowledged,
 * PagerDuty would stay silent on their keys, so a new one is opened (system.md, section 3).
 */
export function worsen(draft: Draft, reason: string): void {
  const { incident } = draft
  const ringing = incident.pages.findLast((page) => page.state === 'triggered')
  if (ringing) ringing.revision += 1
  else addPage(draft, reason)
}

function settleResolves(draft: Draft, rules: TransitionRules, now: number): void {
  const { incident } = draft
  if (incident.firing > 0) return
  if (incident.state === 'resolved') {
    incident.check = null
    incident.nextCheckAt = null
    return
  }
  if (incident.pages.length === 0 && incident.suppressed > 0) return
  if (incident.suppressed > 0) schedule(draft, 'suppressed', now)
  else if (incident.flapping) schedule(draft, 'quiet', now + rules.flapping.quiet)
  else if (rules.believes) schedule(draft, 'believe', now)
  else resolve(draft, null, now, 'All alerts are resolved.')
}

function schedule(draft: Draft, check: 'believe' | 'quiet' | 'suppressed', at: number): void {
  draft.incident.check = check
  draft.incident.nextCheckAt = at
  draft.incident.checks = 0
}

/** The incident is over: every page resolves together. */
export function resolve(draft: Draft, by: string | null, now: number, text: string): void {
  const { incident } = draft
  incident.state = 'resolved'
  incident.resolvedAt = now
  incident.resolvedBy = by
  incident.signalLost = false
  incident.flapping = false
  incident.check = null
  incident.nextCheckAt = null
  for (const page of incident.pages) page.state = 'resolved'
  tell(draft, now, 'resolved', text, true, by)
}

/**
 * A person resolves. While alerts still fire Claw warns, and looks again later.
 * @returns false when it was resolved already (nothing changed)
 */
export function resolveByPerson(draft: Draft, by: string, note: string, rules: TransitionRules, now: number): boolean {
  const { incident } = draft
  if (incident.state === 'resolved') return false
  const firing = incident.firing
  const warning =
    firing > 0
      ? ` ${firing} ${firing === 1 ? 'alert still fires' : 'alerts still fire'}: looking again in ${minutes(rules.recheckAfterResolve)}.`
      : ''
  resolve(draft, by, now, `Resolved by ${by}${note ? `: ${note}${warning === '' ? '' : '.'}` : '.'}${warning}`)
  if (firing > 0) {
    incident.check = 'still_firing'
    incident.nextCheckAt = now + rules.recheckAfterResolve
  }
  return true
}

/**
 * A person takes it. Every page that rings is acknowledged.
 * @returns false when nothing rang, or it is resolved
 */
export function acknowledge(draft: Draft, by: string, note: string, now: number): boolean {
  const { incident } = draft
  const ringing = incident.pages.filter((page: Page) => page.state === 'triggered')
  if (incident.state === 'resolved' || (incident.state === 'acknowledged' && ringing.length === 0)) return false
  for (const page of ringing) page.state = 'acknowledged'
  incident.state = 'acknowledged'
  incident.acknowledgedAt = now
  incident.acknowledgedBy = by
  tell(draft, now, 'acknowledged', `Acknowledged by ${by}${note ? `: ${note}` : '.'}`, false, by)
  draft.push = true
  return true
}

/**
 * An acknowledgement is taken back (in PagerDuty, by a person or because its time was over): the page rings again. Its
 * generation rises, so that whoever shows pages knows it as a ringing one whatever was shown last.
 * @returns false when the page was not acknowledged (nothing changed)
 */
export function unacknowledge(draft: Draft, key: string, by: string | null, text: string, now: number): boolean {
  const { incident } = draft
  const page = incident.pages.find((one) => one.key === key)
  if (incident.state === 'resolved' || page?.state !== 'acknowledged') return false
  page.state = 'triggered'
  page.generation += 1
  incident.state = 'open'
  incident.acknowledgedAt = null
  incident.acknowledgedBy = null
  tell(draft, now, 'unacknowledged', text, false, by)
  draft.push = true
  return true
}

/** What a look at the outside said when the check of an incident came due. */
export type CheckAnswer = 'region answers' | 'region silent' | 'nothing changed'

/** Longest pause between two looks at a region that gave no sign of life. */
const MAX_LOOK_PAUSE = MINUTE

/** The check of an incident is due. Decides what follows; reschedules itself while it must look again. */
export function checkDue(draft: Draft, answer: CheckAnswer, rules: TransitionRules, now: number): void {
  const { incident } = draft
  const { check } = incident
  incident.check = null
  incident.nextCheckAt = null
  if (check === 'still_firing') {
    if (incident.firing === 0 || incident.state !== 'resolved') return
    const by = incident.resolvedBy ?? 'a person'
    wakeAgain(draft, 'resolved by a person, still firing')
    tell(draft, now, 'reopened', `Reopened: ${by} resolved it, but ${incident.firing} still firing.`, true)
    return
  }
  if (incident.state === 'resolved' || incident.firing > 0) return
  if (check === 'suppressed' && incident.suppressed > 0) {
    resolve(draft, null, now, `All alerts that count are resolved; ${incident.suppressed} suppressed remain.`)
    return
  }
  if (!rules.believes || answer === 'region answers') {
    resolve(
      draft,
      null,
      now,
      check === 'quiet' ? `Quiet for ${minutes(rules.flapping.quiet)}: resolved.` : 'All alerts are resolved.',
    )
    return
  }
  if (answer === 'nothing changed') {
    // Asked before anybody could look (quiet is over, or suppression changed): look at the region first.
    incident.check = 'believe'
    incident.nextCheckAt = now
    return
  }
  incident.check = 'believe'
  incident.checks += 1
  incident.nextCheckAt = now + Math.min(MAX_LOOK_PAUSE, 5_000 * 2 ** Math.min(incident.checks, 5))
  if (!incident.signalLost) {
    incident.signalLost = true
    tell(
      draft,
      now,
      'signal_lost',
      'Signal lost: Alertmanager says resolved, but the region gives no sign of life. Stays open.',
      false,
    )
  }
}

function minutes(ms: number): string {
  return ms % (60 * MINUTE) === 0
    ? `${ms / (60 * MINUTE)} h`
    : ms >= MINUTE
      ? `${Math.round(ms / MINUTE)} min`
      : `${Math.round(ms / 1000)} s`
}

function ordinal(n: number): string {
  return n === 1 ? '1st' : n === 2 ? '2nd' : n === 3 ? '3rd' : `${n}th`
}
