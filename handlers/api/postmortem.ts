import type { AlertClass } from '../../src/core/alert.ts'
import { HOUR, MINUTE, SECOND } from '../../src/core/clock.ts'
import type { Incident } from '../../src/core/incident.ts'
import type { Delivery, OccurrenceRow } from '../../src/core/store.ts'
import type { IncidentView, StoryEvent } from '../../src/core/view.ts'
import { md, table } from './markdown.ts'
import { destinationOf, titleOf } from './present.ts'
import { timelineOf } from './timeline.ts'

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
export function postmortem(
  from: {
    incident: Incident
    view: IncidentView
    alerts: readonly OccurrenceRow[]
    deliveries: readonly Delivery[]
    story: readonly StoryEvent[]
  },
  now: number,
): string {
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
