import type { StoryEvent } from './view.ts'

/** Whoever did something in PagerDuty. */
export type PagerDutyAgent = {
  id: string
  name: string
  /** false: a service, an integration or PagerDuty itself; our own events come back like that */
  person: boolean
}

export type PagerDutyStatus = 'triggered' | 'acknowledged' | 'resolved'

/** One event of a v3 webhook in normal form. Names and texts are hostile input. Times are milliseconds since the epoch. */
export type PagerDutyEvent = {
  /** PagerDuty's own id of the event: a repeat has the same */
  id: string
  /** e.g. `incident.acknowledged`; unknown ones are tolerated */
  type: string
  /** our dedup key; null where the event does not tell it (notes) */
  incidentKey: string | null
  pdIncidentId: string | null
  /** of the PagerDuty incident after the event; null when not told */
  status: PagerDutyStatus | null
  agent: PagerDutyAgent | null
  at: number
  /** when the PagerDuty incident was opened; null when not told */
  createdAt: number | null
  /** text of a note, a status update or a request for help */
  note: string | null
  /** name of the priority; null for none */
  priority: string | null
  /** to whom it is assigned now */
  assignees: string[]
  /** escalation policy that it follows */
  policyId: string | null
  /** resolved only because it was merged into another incident of PagerDuty */
  merged: boolean
}

/** An incident as PagerDuty's REST API shows it. */
export type PagerDutyIncident = {
  id: string
  key: string | null
  status: PagerDutyStatus
  createdAt: number
  /** to the second */
  statusChangedAt: number
  /** who acknowledged or resolved it last; null when not told */
  changedBy: PagerDutyAgent | null
  policyId: string | null
  merged: boolean
}

export type OnCall = {
  /** of the escalation policy; 1 is called first */
  level: number
  name: string
  policy: string
  /** end of the shift, milliseconds since the epoch; null for none */
  until: number | null
}

/**
 * PagerDuty's REST API, as far as it is used. Everything throws ClawError('unavailable') when it cannot be asked, 'not_found' for
 * an unknown incident, 'conflict' when PagerDuty refuses; texts hold no secret. `from` is the e-mail address of the
 * person who acts; where PagerDuty does not know it, `pagerduty.from` stands in.
 */
export type PagerDutyRest = {
  /** incidents of a dedup key, newest first, at most 10 */
  incidentsByKey(key: string): Promise<PagerDutyIncident[]>
  incident(id: string): Promise<PagerDutyIncident>
  note(id: string, text: string, from?: string | null): Promise<void>
  /** already acknowledged (or resolved) is success */
  acknowledge(id: string, from?: string | null): Promise<void>
  /** already resolved is success */
  resolve(id: string, from?: string | null): Promise<void>
  /** hands it to a level of its escalation policy, 1 or more */
  escalate(id: string, level: number, from?: string | null): Promise<void>
  /** of these escalation policies, or of all that the token may see; lowest level first */
  onCall(policyIds?: readonly string[]): Promise<OnCall[]>
  /** id of the user in whose name Claw writes; null when `pagerduty.from` is not set or nobody */
  self(): Promise<string | null>
}

/**
 * The incident and page behind a dedup key `claw/<installation>/<incident>[/<page>]` (contract.md, section 8); null when it is
 * not one of this installation.
 */
export function parseDedupKey(installation: string, key: string): { incident: number; page: string } | null {
  const prefix = `claw/${installation}/`
  if (!key.startsWith(prefix)) return null
  const match = /^([1-9]\d{0,14})(?:\/([1-9]\d{0,8}))?$/.exec(key.slice(prefix.length))
  return match ? { incident: Number(match[1]), page: match[2] ?? '' } : null
}

/** Notes that Claw writes begin so: what comes back is known, and not told again. */
export const OWN_NOTE = 'Claw: '

const WHERE = ' in PagerDuty'
/** Behind the name of somebody whom only PagerDuty knows. */
export const UNLINKED = ' (PagerDuty)'

/** Puts the place into a line such as `Acknowledged by Dana.`, so that it is not told to PagerDuty again. */
export function placed(text: string, by: string): string {
  const end = text.indexOf(by) + by.length
  return text.indexOf(by) < 0 || by.endsWith(UNLINKED) ? text : `${text.slice(0, end)}${WHERE}${text.slice(end)}`
}

/** Whether a line tells what a person did in PagerDuty itself. */
export function isPlaced(event: StoryEvent): boolean {
  if (event.actor === null) return false
  if (event.actor.endsWith(UNLINKED)) return true
  const at = event.text.indexOf(event.actor)
  return at >= 0 && event.text.startsWith(WHERE, at + event.actor.length)
}
