import type { AlertClass } from '../../src/core/alert.ts'
import { HOUR, MINUTE, SECOND } from '../../src/core/clock.ts'
import type { Json } from '../../src/core/delivery.ts'
import type { Incident } from '../../src/core/incident.ts'
import type { OccurrenceRow } from '../../src/core/store.ts'
import { type TimelineSources, timelineOf } from '../../src/core/timeline.ts'
import type { IncidentView } from '../../src/core/view.ts'
import { runName, type WorkflowRun } from '../../src/core/workflow.ts'
import { md, table } from './markdown.ts'
import { destinationOf, titleOf } from './present.ts'

/** Rows of a table that a person still reads; the API has all of them. */
const MAX_ROWS = 200
/** More alerts than this stand in their table only: in the timeline they would bury what people did. */
const TOLD_ALERTS = 40
/** The review is due within 48 hours (system.md, section 3). */
const REVIEW_WITHIN = 48 * HOUR

const QUESTIONS: Readonly<Record<AlertClass, string>> = {
  exhaustion: 'Was the limiter right (real overload, abuse) or wrong (divergence, stalled refill)? What shows it?',
  divergence: 'Which keys and nodes diverged, and which change or network event came shortly before?',
  'sync lag': 'Where did the lag arise: network, a node, or the merge itself? Why was it noticed only then?',
  latency: 'Which part of the request took the time, and what was different from the hour before?',
  errors: 'Which requests failed, with which status, and what did their callers see?',
  canary: 'What did the canary change, and would the rating have stopped it sooner?',
  capacity: 'Was the demand expected? Who knew of it, and how would the capacity have followed?',
  region: 'What took the region down, and did the others hold its traffic?',
}

/**
 * The draft of a post-mortem in Markdown, from what is stored. Labels and annotations are escaped.
 * @param now milliseconds since the epoch; an open incident's duration counts up to it
 */
export function postmortem(from: TimelineSources & { incident: Incident; view: IncidentView }, now: number): string {
  const { view, alerts } = from
  const end = view.resolvedAt ?? now
  const status =
    view.resolvedAt === null
      ? `Draft: the incident is still ${view.state}.`
      : `Draft. The review is due by ${time(view.resolvedAt + REVIEW_WITHIN)}.`
  const regions = view.allRegions.map((region) => md(region, 60)).join(', ') || 'none named'
  const facts: [string, string][] = [
    ['Level', `${view.level}: ${md(view.levelReason)}`],
    ['Regions', regions],
    ['Opened', time(view.openedAt)],
    ['Acknowledged', moment(view.acknowledgedAt, view.acknowledgedBy, view.openedAt)],
    ['Resolved', moment(view.resolvedAt, view.resolvedBy, view.openedAt)],
    ['Duration', `${duration(end - view.openedAt)}${view.resolvedAt === null ? ' so far' : ''}`],
    ['Alerts', `${view.counts.total}, of which ${view.counts.firing} fire now`],
    ['Came back', view.recurrences === 0 ? 'never' : `${view.recurrences} times${view.flapping ? ', flapping' : ''}`],
    ['Pages', String(view.pages.length)],
  ]
  const timeline = timelineOf(alerts.length > TOLD_ALERTS ? { ...from, alerts: [] } : from)
  const skipped = timeline.length - MAX_ROWS
  const questions = view.classes.map((name) => `- ${QUESTIONS[name]}`)
  const sections = [
    `# Post-mortem of incident ${view.id}: ${md(titleOf(view))}`,
    `Status: ${status}`,
    `## Impact\n\n${table(
      ['', ''],
      facts.map(([name, value]) => [name, value]),
    )}\n\nWho noticed, what did they see, and how much of the traffic was it? _To be filled in._`,
    ...triageSection(view),
    `## Timeline\n\n${table(
      ['Time', 'What', 'Who'],
      timeline
        .slice(0, MAX_ROWS)
        .map((entry) => [
          entry.at === null ? '' : time(Date.parse(entry.at)),
          md(entry.text),
          md(entry.actor ?? '', 80),
        ]),
    )}${skipped > 0 ? `\n\nAnd ${skipped} more, see the timeline in the API.` : ''}`,
    `## Alerts\n\n${table(
      ['Alert', 'Region', 'Level', 'From', 'To', 'Seen', 'Summary'],
      alerts
        .slice(0, MAX_ROWS)
        .map((row) => [
          md(row.name, 80),
          md(row.region, 40),
          row.level,
          time(row.startsAt),
          row.endsAt === null ? 'still firing' : time(row.endsAt),
          String(row.timesSeen),
          md(summaryOf(row), 200),
        ]),
    )}${view.counts.total > MAX_ROWS ? `\n\nAnd ${view.counts.total - Math.min(alerts.length, MAX_ROWS)} more.` : ''}`,
    `## Who was told\n\n${table(
      ['Destination', 'Receiver', 'State', 'Last told'],
      from.deliveries.map((delivery) => [
        md(destinationOf(delivery), 100),
        md(delivery.receiver, 80),
        `${delivery.state}${delivery.reason === null ? '' : `: ${md(delivery.reason, 200)}`}`,
        delivery.deliveredAt === null ? 'never' : time(delivery.deliveredAt),
      ]),
    )}`,
    ...failedSections(from.runs ?? []),
    `## Checklist\n\n${table(
      ['Phase', 'State', 'Owner', 'When', 'Note'],
      view.checklist.map((item) => [
        item.phase,
        `${item.state}${item.by === null ? '' : ` (${md(item.by, 60)})`}`,
        md(item.owner ?? '', 60),
        item.at === null ? '' : time(item.at),
        md(item.note),
      ]),
    )}`,
    `## Root cause\n\n${[
      ...questions,
      '- What changed shortly before: version, canary weight, capacity, configuration, traffic?',
      '- Why did it become possible, and why did nothing stop it earlier?',
      '- What ended it, and how do we know that it did?',
    ].join('\n')}`,
    '## What went well, what did not\n\n- Detection: _to be filled in_\n- Response: _to be filled in_\n- Luck: _to be filled in_',
    `## Action items\n\n${table(
      ['Done', 'Action', 'Owner', 'Due'],
      [
        ['no', 'Prevent: ', '', ''],
        ['no', 'Detect sooner: ', '', ''],
        ['no', 'Recover faster: ', '', ''],
      ],
    )}`,
  ]
  return `${sections.join('\n\n')}\n`
}

/** What the first minute's checks said, with the figures of that time; nothing where no edge was asked. */
function triageSection({ triage }: IncidentView): string[] {
  if (triage === null) return []
  const { verdict, changes, diverged } = triage
  const sure = `${Math.round(verdict.confidence * 100)} % sure`
  const lines = [
    `- Verdict: ${md(verdict.summary)} (${md(verdict.cause)}, ${sure})`,
    ...verdict.evidence.map((line) => `- Evidence: ${md(line)}`),
    ...(verdict.act === null ? [] : [`- Advised: ${md(verdict.act.command)}. ${md(verdict.act.risk)}`]),
    ...triage.regions.map((line) => `- Region ${md(line)}`),
    ...(diverged.keys > 0 ? [`- Diverged: ${diverged.keys} keys, such as ${md(diverged.examples.join('; '))}`] : []),
    ...changes.map(
      ({ at, region, what, from, to }) =>
        `- Changed: ${time(at)}, ${md(region, 60)}: ${md(what)} from ${md(from, 60)} to ${md(to, 60)}`,
    ),
  ]
  return [`## Triage\n\n${lines.join('\n')}`]
}

/** Each operation that failed, with the stub that it left for this review. */
function failedSections(runs: readonly WorkflowRun[]): string[] {
  const failed = runs
    .filter(({ state }) => state === 'failed')
    .slice(0, 10)
    .reverse()
  return failed.map((run) => {
    const { data } = run
    const stub = data !== null && typeof data === 'object' && !Array.isArray(data) ? data.postmortem : null
    const steps = run.steps
      .filter(({ state }) => state === 'failed')
      .map(({ name, error }) => `- ${md(name, 80)} failed: ${md(error?.message ?? 'no reason given')}`)
    const facts = [
      `- Started by ${md(run.by, 80)} at ${time(run.startedAt)}${run.endedAt === null ? '' : `, ended after ${duration(run.endedAt - run.startedAt)}`}`,
      `- Outcome: ${md(run.outcome ?? 'unknown', 600)}`,
      ...steps,
    ]
    const said = stub === null || stub === undefined ? [] : stubLines(stub)
    return `## Failed: ${runName(run.id)}, ${md(run.title, 120)}\n\n${[...facts, ...said].join('\n')}`
  })
}

/** A stub is text, a list, or named parts of both; all of it is quoted, none of it is markup. */
function stubLines(stub: Json, name = ''): string[] {
  if (stub === null || stub === '') return []
  const before = name === '' ? '- ' : `- ${md(name, 60)}: `
  if (typeof stub === 'string')
    return stub
      .split('\n')
      .filter(Boolean)
      .slice(0, 40)
      .map((line) => `${before}${md(line, 600)}`)
  if (Array.isArray(stub)) return stub.slice(0, 40).flatMap((one) => stubLines(one, name))
  if (typeof stub === 'object') {
    return Object.entries(stub)
      .slice(0, 40)
      .flatMap(([key, one]) => stubLines(one, name === '' ? key : `${name}, ${key}`))
  }
  // Milliseconds since the epoch are the only numbers of that size that a stub holds.
  return [`${before}${typeof stub === 'number' && stub > 1e12 ? time(stub) : String(stub)}`]
}

function summaryOf(row: OccurrenceRow): string {
  const { annotations } = row.payload
  for (const name of ['summary', 'description']) if (Object.hasOwn(annotations, name)) return annotations[name] ?? ''
  return ''
}

function moment(at: number | null, by: string | null, openedAt: number): string {
  if (at === null) return 'not yet'
  return `${time(at)}${by === null ? '' : ` by ${md(by, 80)}`}, after ${duration(at - openedAt)}`
}

/** `2026-05-04 02:15:03 UTC` */
function time(at: number): string {
  const date = new Date(at)
  return Number.isNaN(date.getTime()) ? 'unknown' : `${date.toISOString().replace('T', ' ').slice(0, -5)} UTC`
}

function duration(ms: number): string {
  if (ms < MINUTE) return `${Math.max(0, Math.round(ms / SECOND))} s`
  const minutes = Math.floor(ms / MINUTE)
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
