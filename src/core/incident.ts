import { createHash } from 'node:crypto'
import type { AlertClass, Labels, Level } from './alert.ts'
import type { ChecklistItem } from './checklist.ts'
import { isSampled, noteTraces, type TraceNotes } from './trace.ts'
import type { Triage } from './triage.ts'
import type { Page, StoryEvent } from './view.ts'

/**
 * What is known of one alert (fingerprint) inside one incident: its current occurrence. One occurrence is a fingerprint
 * and a start (protocols.md, section 1). Times are milliseconds since the epoch.
 */
export type Occurrence = {
  fingerprint: string
  /** 0: resolved before it was ever seen firing, belongs to no incident */
  incidentId: number
  name: string
  region: string
  level: Level
  state: 'firing' | 'resolved'
  startsAt: number
  endsAt: number | null
  firstSeen: number
  lastSeen: number
  /** firing receptions, the first included */
  timesSeen: number
  /** checksum of what may change from one firing reception to the next (annotations, generator) */
  digest: number
  /** why it fires without telling anyone (`inhibited`, a maintenance window); null when it counts */
  suppressed: string | null
  /** a firing of this resolved occurrence came again: believed at this time unless a resolve comes first */
  doubtUntil: number | null
}

/** Why an incident waits to be looked at again. */
export type Check =
  /** all alerts resolved: believed once the region answers */
  | 'believe'
  /** flapping: resolves after this much quiet */
  | 'quiet'
  /** a person resolved it while alerts fired: look whether they still do */
  | 'still_firing'
  /** only suppressed alerts are left: look whether they still are */
  | 'suppressed'

/** Everything that decisions about an incident need. Stored as one JSON document; bounded, whatever the storm. */
export type Incident = {
  id: number
  /** correlation key as JSON, see `correlationKey` */
  key: string
  keyLabels: Labels
  state: 'open' | 'acknowledged' | 'resolved'
  /** rises with every change that people can see */
  version: number
  level: Level
  levelReason: string
  /** highest level of an alert, before the blast radius raised it, and why */
  baseLevel: Level
  baseReason: string
  /** set by a person: rules no longer change it */
  levelSetBy: string | null
  /** receivers that a mute interval keeps out for now: they join when it is over */
  muted: { name: string; why: string; mute: string[]; active: string[] }[]
  /** alert names with the number of alerts, at most `MAX_TRACKED` */
  names: Record<string, number>
  classes: AlertClass[]
  /** alerts firing per region, at most `MAX_TRACKED`; a missing region is '' */
  regions: Record<string, number>
  allRegions: string[]
  firing: number
  suppressed: number
  total: number
  openedAt: number
  updatedAt: number
  acknowledgedAt: number | null
  acknowledgedBy: string | null
  resolvedAt: number | null
  resolvedBy: string | null
  /** times of recurrences within the flapping span, newest last */
  recurredAt: number[]
  recurrences: number
  flapping: boolean
  signalLost: boolean
  check: Check | null
  nextCheckAt: number | null
  checks: number
  pages: Page[]
  /** never falls, so that the key of a worsening's page is never used twice */
  pageCount: number
  /** receivers that hear of it, in the order they joined, and the route that brought each */
  receivers: { name: string; why: string }[]
  seq: number
  bucket: {
    ratio: number | null
    source: 'edge' | 'prometheus' | 'annotation' | 'unknown'
    at: number
    previous: number | null
  }
  externalURL: string
  synthetic: boolean
  /** it goes on there: later alerts of its key join that incident while it may be joined */
  mergedInto?: number
  /** how long nobody has answered; absent before anybody looked, and in documents of older versions */
  attention?: Attention
  /** the first minute's checks and their verdict; absent before they ran */
  triage?: Triage
  /** what was ticked so far, by events and people; absent: nothing yet */
  checklist?: ChecklistItem[]
  /** automation ended for this incident, and why; absent while it may act */
  automationStopped?: { at: number; why: string }
  /** what policies propose and nobody has decided yet, newest last, at most 3; absent: nothing */
  proposals?: Proposal[]
  /** its page waits until this time, because a policy may heal it before anybody has to be woken; absent: it does not wait */
  pageHeld?: number
  /** traces that brought its newest versions; absent where nothing is traced */
  traces?: TraceNotes
}

/** What a policy proposes: one button. Times are milliseconds since the epoch. */
export type Proposal = { label: string; command: string; policy: string; at: number; region: string }

/** How long a page has rung, and how often that was said. Times are milliseconds since the epoch. */
export type Attention = {
  /** the page that rings, `<key>#<generation>`; '' when none does */
  ring: string
  /** since when it rings, or somebody last gave a sign of life meanwhile */
  since: number
  /** reminders since then */
  nudges: number
  nudgedAt: number | null
  /** newest known sign of life of a person; null for none */
  signAt: number | null
}

/** Bound of the per-incident maps: a storm of hostile label values must not grow the document. */
export const MAX_TRACKED = 50

/**
 * The correlation key of an alert: the values of `correlateBy`, a missing label being empty; all missing: the alert name
 * (contract.md, section 8). `key` is JSON, so any string is safe in it; where that is long, its hash.
 */
export function correlationKey(labels: Labels, correlateBy: readonly string[]): { key: string; keyLabels: Labels } {
  let found = false
  const keyLabels: Record<string, string> = {}
  for (const name of correlateBy) {
    const value = Object.hasOwn(labels, name) ? (labels[name] ?? '') : ''
    if (value !== '') found = true
    keyLabels[name] = value
  }
  if (found) return { key: indexable(JSON.stringify(keyLabels)), keyLabels }
  const alertname = (Object.hasOwn(labels, 'alertname') && labels.alertname) || 'unnamed alert'
  return { key: indexable(JSON.stringify({ alertname })), keyLabels: { alertname } }
}

/** PostgreSQL refuses index entries of more than 2704 bytes (nbtree): a longer key is told apart by its hash. */
export function indexable(text: string): string {
  if (Buffer.byteLength(text) <= 1000) return text
  return `sha256:${createHash('sha256').update(text).digest('hex')}`
}

export type StoryLine = Omit<StoryEvent, 'seq'>

/** An incident being changed within one transaction, and what the change asks the engine to do. */
export type Draft = {
  incident: Incident
  /** not in the store yet */
  isNew: boolean
  /** people can see a difference */
  visible: boolean
  /** someone should hear of it at once */
  push: boolean
  /** the level rose: every firing alert must be routed again */
  reroute: boolean
  story: StoryEvent[]
  /** how many receivers it had before this transaction */
  receiversBefore: number
  /** gathered over one webhook, told once by `settle` */
  worse: { level: Level | null; regions: string[] }
  resolvedSome: boolean
  /** what changes it here, as `traceparent`s; absent where nothing is traced */
  traces?: string[]
}

export function draftOf(incident: Incident, isNew = false): Draft {
  return {
    incident,
    isNew,
    visible: isNew,
    push: false,
    reroute: false,
    story: [],
    receiversBefore: incident.receivers.length,
    worse: { level: null, regions: [] },
    resolvedSome: false,
  }
}

/** A fresh incident with nothing in it yet; `joinAlert` fills it. */
export function newIncident(id: number, key: string, keyLabels: Labels, now: number): Incident {
  return {
    id,
    key,
    keyLabels,
    state: 'open',
    version: 1,
    level: 'P3',
    levelReason: '',
    baseLevel: 'P3',
    baseReason: '',
    levelSetBy: null,
    names: {},
    classes: [],
    regions: {},
    allRegions: [],
    firing: 0,
    suppressed: 0,
    total: 0,
    openedAt: now,
    updatedAt: now,
    acknowledgedAt: null,
    acknowledgedBy: null,
    resolvedAt: null,
    resolvedBy: null,
    recurredAt: [],
    recurrences: 0,
    flapping: false,
    signalLost: false,
    check: null,
    nextCheckAt: null,
    checks: 0,
    pages: [],
    pageCount: 0,
    receivers: [],
    muted: [],
    seq: 0,
    bucket: { ratio: null, source: 'unknown', at: 0, previous: null },
    externalURL: '',
    synthetic: false,
  }
}

/** Adds a line to the story; a push line notifies people. */
export function tell(draft: Draft, at: number, kind: string, text: string, push: boolean, actor: string | null = null) {
  draft.incident.seq += 1
  draft.story.push({ seq: draft.incident.seq, at, kind, actor, text, push })
  draft.visible = true
  if (push) draft.push = true
}

/** Seals the draft: one version for all that happened, whoever caused it. */
export function seal(draft: Draft, now: number): void {
  if (!draft.visible) return
  if (!draft.isNew) draft.incident.version += 1
  draft.incident.updatedAt = now
  if (draft.traces === undefined) return
  const traces = draft.traces.filter(isSampled)
  if (traces.length > 0) draft.incident.traces = noteTraces(draft.incident.traces, draft.incident.version, now, traces)
}
