import type { AuditRow } from './audit.ts'
import { SECOND } from './clock.ts'
import type { Incident } from './incident.ts'
import type { Remediation } from './remediation.ts'
import type { Delivery, OccurrenceRow, Reads } from './store.ts'
import type { StoryEvent } from './view.ts'
import { runName, type WorkflowRun } from './workflow.ts'

export type TimelineEntry = {
  /** ISO 8601, UTC */
  at: string | null
  kind: string
  /** who did it; null when Claw or an alert did */
  actor: string | null
  /** one line; may quote labels */
  text: string
}

/** What a timeline is made from; what is left out is not told. */
export type TimelineSources = {
  story: readonly StoryEvent[]
  alerts: readonly OccurrenceRow[]
  deliveries: readonly Delivery[]
  incident?: Pick<Incident, 'triage'>
  audit?: readonly AuditRow[]
  runs?: readonly WorkflowRun[]
  remediations?: readonly Remediation[]
}

type Entry = { at: number; kind: string; actor: string | null; text: string }

const MAX_STORY = 1000
const MAX_ALERTS = 1000
const MAX_AUDIT = 200
const MAX_RUNS = 50
const MAX_REMEDIATIONS = 100

/** Two records of one act are stored in one transaction, or at most this far apart. */
const SAME = 2 * SECOND
/** A step shorter than this has no beginning and end worth two lines. */
const LONG_STEP = SECOND

/** Reads all that is known of an incident's course, the newest of each kind where there is very much. */
export async function readTimeline(
  reads: Pick<Reads, 'story' | 'alertsOf' | 'deliveriesOf' | 'newestAudit' | 'workflows' | 'remediations'>,
  incident: Incident,
): Promise<Required<TimelineSources>> {
  const { id } = incident
  const [story, alerts, deliveries, audit, runs, remediations] = await Promise.all([
    reads.story(id, MAX_STORY),
    reads.alertsOf(id, MAX_ALERTS),
    reads.deliveriesOf([id]),
    reads.newestAudit(`incident ${id}`, MAX_AUDIT),
    reads.workflows({ incident: id, limit: MAX_RUNS }),
    reads.remediations({ incident: id, limit: MAX_REMEDIATIONS }),
  ])
  return { incident, story, alerts, deliveries, audit, runs, remediations }
}

/**
 * All that happened, oldest first: the story, each alert's start and end, each destination's first and latest message, commands
 * from the audit trail, steps of operations, what was measured and changed. What the story tells already is told once. What
 * happened in the same millisecond keeps that order.
 */
export function timelineOf(from: TimelineSources): TimelineEntry[] {
  const entries: Entry[] = [
    ...from.story.map(({ at, kind, actor, text }) => ({ at, kind, actor, text: oneLine(text, 1000) })),
    ...changes(from),
    ...from.alerts.flatMap(alertEntries),
    ...from.deliveries.flatMap(deliveryEntries),
    ...(from.audit ?? []).filter((row) => !told(row, from.story)).map(auditEntry),
    ...(from.runs ?? []).flatMap((run) => stepEntries(run, from.story)),
    ...measures(from),
    ...(from.remediations ?? []).flatMap((one) => remediationEntries(one, from.story)),
  ]
  // The sort is stable.
  return entries.sort((a, b) => a.at - b.at).map((entry) => ({ ...entry, at: iso(entry.at) }))
}

function alertEntries(row: OccurrenceRow): Entry[] {
  const where = row.region === '' ? '' : ` in ${row.region}`
  const what = oneLine(`${row.name || 'An alert without a name'}${where}`, 300)
  const why = row.suppressed === null ? '' : `, suppressed: ${oneLine(row.suppressed, 100)}`
  const began = { at: row.firstSeen, kind: 'alert_firing', actor: null, text: `${what} fires (${row.level})${why}.` }
  if (row.state !== 'resolved' || row.endsAt === null) return [began]
  return [began, { at: row.endsAt, kind: 'alert_resolved', actor: null, text: `${what} ended.` }]
}

function deliveryEntries(delivery: Delivery): Entry[] {
  const destination = oneLine(destinationOf(delivery), 200)
  const receiver = oneLine(delivery.receiver, 100)
  const created = {
    at: delivery.createdAt,
    kind: 'delivery_created',
    actor: null,
    text: `${destination} is to be told, for receiver ${receiver}.`,
  }
  if (delivery.deliveredAt === null) return [created]
  return [created, { at: delivery.deliveredAt, kind: 'delivered', actor: null, text: `${destination} was told.` }]
}

/** Done, and in the story as well: by the same person at the same time, or an operation that ended. */
function told(row: AuditRow, story: readonly StoryEvent[]): boolean {
  const at = Date.parse(row.at)
  const run = /^o\d+(?= )/.exec(row.detail)?.[0]
  return story.some((line) => {
    if (Math.abs(line.at - at) > SAME) return false
    if (run !== undefined && line.text.startsWith(`${run}:`) && /^operation_(done|failed)$/.test(line.kind)) return true
    // What a policy started: its line of the story names it as well.
    if (row.outcome === 'started' && line.actor === row.actor && line.kind === 'operation') return true
    return row.outcome === 'done' && line.actor !== null && line.actor === row.actor
  })
}

function auditEntry(row: AuditRow): Entry {
  const outcome = row.outcome === 'done' ? '' : ` (${row.outcome})`
  return {
    at: Date.parse(row.at),
    kind: 'command',
    actor: row.actor,
    text: oneLine(`${row.action}${outcome}: ${row.detail}`, 500),
  }
}

function stepEntries(run: WorkflowRun, story: readonly StoryEvent[]): Entry[] {
  const name = runName(run.id)
  return run.steps.flatMap((step) => {
    const entries: Entry[] = []
    const say = (at: number, kind: string, text: string) =>
      entries.push({ at, kind, actor: null, text: oneLine(`${name}: ${text}`, 500) })
    const long = step.endedAt === null || step.endedAt - step.startedAt >= LONG_STEP
    if (long) say(step.startedAt, 'step_begun', `${step.name} begins.`)
    const { endedAt } = step
    // A line of a step is stored in the same transaction as its end.
    const known = story.some(
      (line) =>
        endedAt !== null &&
        Math.abs(line.at - endedAt) <= SAME &&
        line.text.startsWith(`${name}: `) &&
        line.kind !== 'operation',
    )
    if (endedAt !== null && !known && (long || step.state === 'failed')) {
      const tries = step.attempts > 1 ? `, at the ${ordinal(step.attempts)} attempt` : ''
      if (step.state === 'failed')
        say(endedAt, 'step_failed', `${step.name} failed: ${step.error?.message ?? 'no reason'}`)
      else say(endedAt, 'step_ended', `${step.name} is done${tries}.`)
    }
    return entries
  })
}

/** What changed on the edge shortly before. */
function changes({ incident }: TimelineSources): Entry[] {
  return (incident?.triage?.changes ?? []).map(({ at, region, what, from, to }) => ({
    at,
    kind: 'edge_changed',
    actor: null,
    text: oneLine(`${region}: ${what} changed from ${from} to ${to}.`, 300),
  }))
}

/** What the regions were like when triage looked, and which keys differed. */
function measures({ incident }: TimelineSources): Entry[] {
  const triage = incident?.triage
  if (!triage) return []
  const { keys, examples } = triage.diverged
  const diverged = keys === 0 ? [] : [`${keys} keys differ: ${examples.join('; ')}`]
  return [...triage.regions, ...diverged].map((text) => ({
    at: triage.at,
    kind: 'measured',
    actor: null,
    text: oneLine(text, 500),
  }))
}

const HELPED: Readonly<Partial<Record<Remediation['state'], string>>> = {
  shadow: 'would have acted',
  helped: 'helped',
  not_helped: 'did not help',
  failed: 'failed',
  unclear: 'not clear whether it helped',
}

function remediationEntries(one: Remediation, story: readonly StoryEvent[]): Entry[] {
  const actor = `policy:${one.policy}`
  const known = story.some((line) => line.actor === actor && Math.abs(line.at - one.at) <= SAME)
  // The story has it all: that it acted, and later, in its place, whether that helped.
  const judged = story.some(
    (line) => line.actor === actor && line.at >= one.at && line.kind === `remediation_${one.state}`,
  )
  if (known && judged) return []
  const { measure } = one
  const figures = measure
    ? `${measure.name} ${measure.before} before${measure.after === null ? '' : `, ${measure.after} after`}`
    : ''
  const result = HELPED[one.state]
  // What the story tells needs only what came of it.
  if (known && result === undefined) return []
  const what = `${one.action}${one.region === '' ? '' : ` in ${one.region}`} (${one.mode})`
  const parts = [known ? null : one.reason, figures || null, result ?? one.state]
  const text = `${what}: ${parts.filter((part) => part !== null).join('; ')}`
  return [{ at: one.at, kind: 'remediation', actor, text: oneLine(text, 500) }]
}

function ordinal(n: number): string {
  return n === 2 ? '2nd' : n === 3 ? '3rd' : `${n}th`
}

/** ISO 8601, UTC, with milliseconds; null for none and for what is no time. */
export function iso(time: number | null): string | null {
  if (time === null) return null
  const date = new Date(time)
  return Number.isNaN(date.getTime()) ? null : date.toISOString()
}

/** Where a delivery goes, e.g. `slack:C0CRITICAL`. */
export function destinationOf(delivery: Delivery): string {
  return `${delivery.kind}:${delivery.target}`
}

/** Control and text-reordering characters become blanks; at most `limit` characters. */
export function oneLine(text: string, limit: number): string {
  const clean = text.toWellFormed().replace(/[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gu, ' ')
  const chars = Array.from(clean.slice(0, limit * 2))
  return chars.length <= limit ? chars.join('') : `${chars.slice(0, limit - 1).join('')}…`
}
