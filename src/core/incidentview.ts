import type { AlertClass, Labels } from './alert.ts'
import { wholeChecklist } from './checklist.ts'
import type { Button } from './command.ts'
import type { Incident } from './incident.ts'
import type { Policy } from './policy.ts'
import type { OccurrenceRow } from './store.ts'
import { type AlertView, type IncidentView, operationView, type ProposalView, type StoryEvent } from './view.ts'
import { runName, type WorkflowRun } from './workflow.ts'

type Level = { ratio: number; trend: IncidentView['bucket']['trend']; source: 'edge' | 'prometheus' } | null

/** The first this many characters are all that a lock screen shows (system.md, section 3). */
const HEADLINE = 120

/** Turns what is stored into what people read. Pure. */
export function buildView(from: {
  incident: Incident
  alerts: readonly OccurrenceRow[]
  story: StoryEvent[]
  level: Level
  policy: Policy
  publicUrl: string | null
  /** its operations on the edge, those that are over included; newest first */
  runs?: readonly WorkflowRun[]
}): IncidentView {
  const { incident, policy, runs = [] } = from
  const alerts = from.alerts.map(alertView)
  const bucket = bucketOf(incident, from.level)
  const regions = named(Object.keys(incident.regions))
  const allRegions = named(incident.allRegions)
  const what = whatOf(incident, regions.length > 0 ? regions : allRegions)
  return {
    id: String(incident.id),
    version: incident.version,
    state: incident.state,
    level: incident.level,
    levelReason: incident.levelReason,
    what,
    headline: headlineOf(incident, what, bucket),
    key: incident.keyLabels,
    classes: incident.classes,
    alertNames: namesOf(incident),
    regions,
    allRegions,
    openedAt: incident.openedAt,
    updatedAt: incident.updatedAt,
    acknowledgedAt: incident.acknowledgedAt,
    acknowledgedBy: incident.acknowledgedBy,
    resolvedAt: incident.resolvedAt,
    resolvedBy: incident.resolvedBy,
    recurrences: incident.recurrences,
    flapping: incident.flapping,
    signalLost: incident.signalLost,
    counts: {
      firing: incident.firing,
      resolved: Math.max(0, incident.total - incident.firing - incident.suppressed),
      total: incident.total,
      suppressed: incident.suppressed,
    },
    alerts,
    bucket,
    graphUrl:
      firstUrl(alerts, policy.annotations.graph) ?? alerts.map((a) => strictUrl(a.generatorURL)).find(Boolean) ?? null,
    runbookUrl: firstUrl(alerts, policy.annotations.runbook),
    incidentUrl: from.publicUrl === null ? null : `${from.publicUrl.replace(/\/+$/, '')}/incidents/${incident.id}`,
    alertmanagerUrl: strictUrl(incident.externalURL),
    onCall: [],
    nextStep: nextStepOf(incident, runs),
    pages: incident.pages,
    story: from.story,
    triage: incident.triage ?? null,
    checklist: wholeChecklist(incident.checklist, incident.openedAt),
    operations: runs
      .filter(({ state }) => state === 'running')
      .reverse()
      .map(operationView),
    proposals: proposalsOf(incident),
    actions: actionsOf(incident, runs),
    synthetic: incident.synthetic,
  }
}

function alertView(row: OccurrenceRow): AlertView {
  return {
    fingerprint: row.fingerprint,
    name: row.name,
    state: row.state,
    level: row.level,
    region: row.region,
    labels: row.payload.labels,
    annotations: row.payload.annotations,
    startsAt: row.startsAt,
    endsAt: row.endsAt,
    timesSeen: row.timesSeen,
    generatorURL: row.payload.generatorURL,
  }
}

function bucketOf(incident: Incident, level: Level): IncidentView['bucket'] {
  if (level !== null) return { ratio: level.ratio, trend: level.trend, source: level.source }
  const { ratio, source, previous } = incident.bucket
  if (ratio === null || source === 'unknown') return { ratio: null, trend: null, source: 'unknown' }
  const trend = previous === null ? null : ratio < previous ? 'falling' : ratio > previous ? 'rising' : 'steady'
  return { ratio, trend, source: 'annotation' }
}

const named = (regions: readonly string[]): string[] => regions.filter((region) => region !== '').sort()

const WHAT: Readonly<Record<AlertClass, string>> = {
  region: 'Region down',
  exhaustion: 'Bucket empty',
  errors: 'Errors',
  latency: 'Latency high',
  divergence: 'Buckets diverge',
  'sync lag': 'Sync lags',
  canary: 'Canary rated low',
  capacity: 'Capacity short',
}

/** Alert names that say more than their class. */
const NAMED: Readonly<Record<string, string>> = {
  TokenBucketDepleted: 'Bucket nearly empty',
  TokenBucketCollapsing: 'Bucket collapsing',
  TokenBucketLow: 'Bucket low',
  WrongRefusals: 'Wrong refusals',
  TrafficSpike: 'Traffic spike',
  BucketUtilizationHigh: 'Bucket filling up',
  ReplicationJitterHigh: 'Replication jitters',
  ClawHeartbeatMissing: 'No heartbeat from Alertmanager',
  ClawSelfTest: 'Self-test page',
}

function namesOf(incident: Incident): string[] {
  return Object.entries(incident.names)
    .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
    .map(([name]) => name)
}

function whatOf(incident: Incident, regions: readonly string[]): string {
  const names = namesOf(incident)
  const first = names[0] ?? 'Alert'
  const bare = first.replace(/^OpenClaw/, '')
  const known = Object.keys(WHAT) as AlertClass[]
  const worst = known.find((name) => incident.classes.includes(name))
  let what: string
  if (names.length === 1 && Object.hasOwn(NAMED, bare)) what = NAMED[bare] ?? bare
  else if (worst !== undefined) what = WHAT[worst]
  else what = cut(first, 60)
  const more = names.length > 1 && worst === undefined ? ` and ${names.length - 1} more` : ''
  return `${what}${more}${regions.length > 0 ? ` in ${listOf(regions)}` : ''}`
}

function listOf(regions: readonly string[]): string {
  const shown = regions.slice(0, 3).map((region) => cut(region, 20))
  const more = regions.length - shown.length
  if (more > 0) return `${shown.join(', ')} and ${more} more`
  return shown.length > 1 ? `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}` : (shown[0] ?? '')
}

/** `P1 · Bucket empty in A and B · 4 % left, falling · rating-api`, at most 120 characters, the end cut first. */
function headlineOf(incident: Incident, what: string, bucket: IncidentView['bucket']): string {
  const state =
    incident.state === 'resolved'
      ? 'Resolved · '
      : incident.signalLost
        ? 'Signal lost · '
        : incident.flapping
          ? 'Flapping · '
          : ''
  const parts = [`${incident.synthetic ? 'TEST · ' : ''}${state}${incident.level} · ${what}`]
  // A bucket that is more full than not is no news; the alerts are about something else then.
  if (incident.state !== 'resolved' && bucket.ratio !== null && bucket.ratio <= 0.5) {
    parts.push(`${percent(bucket.ratio)} left${bucket.trend ? `, ${bucket.trend}` : ''}`)
  }
  const values = Object.values(incident.keyLabels).filter((value) => value !== '')
  if (values.length > 0 && !('alertname' in incident.keyLabels)) parts.push(cut(values.join(' '), 60))
  return cut(clean(parts.join(' · ')), HEADLINE)
}

/** A whole percent, but never 0 % for something that is not empty. */
function percent(ratio: number): string {
  const value = ratio * 100
  return value > 0 && value < 1 ? '< 1 %' : `${Math.round(value)} %`
}

/** One sentence: what to do, the recommended act by its name. */
function nextStepOf(incident: Incident, runs: readonly WorkflowRun[]): string {
  if (incident.synthetic) return 'Nothing to do: this proves that pages arrive.'
  if (incident.state === 'resolved') {
    return incident.check === 'still_firing'
      ? 'Alerts still fire: Claw looks again and reopens it if they stay.'
      : 'Nothing to do.'
  }
  if (incident.signalLost) return 'Check whether the region is alive: its alerts ended because its data vanished.'
  const then = adviceOf(incident, runs)
  if (ringing(incident)) {
    const worse = incident.state === 'acknowledged'
    if (then === null && worse) {
      return 'It got worse after the acknowledgement: acknowledge again, then look at the graph.'
    }
    if (then === null) return 'Acknowledge it, then look at the graph and the runbook.'
    return `${worse ? 'It got worse after the acknowledgement: acknowledge again.' : 'Acknowledge it.'} ${then}`
  }
  if (then !== null) return then
  return incident.acknowledgedBy
    ? `${cut(incident.acknowledgedBy, 40)} is on it.`
    : 'Look at the graph and the runbook.'
}

/** What is under way, to be decided, or advised; null when nobody knows of anything. */
function adviceOf(incident: Incident, runs: readonly WorkflowRun[]): string | null {
  const running = runs.find(({ state }) => state === 'running')
  if (running) return `${runName(running.id)} is under way (${cut(running.title, 80)}): watch the thread.`
  const [proposal] = proposalsOf(incident)
  if (proposal)
    return `Decide: ${cut(proposal.label, 80)} (${cut(proposal.command, 80)}), proposed by ${cut(proposal.policy, 40)}.`
  const { triage } = incident
  if (!triage) return null
  const act = openAct(incident, runs)
  if (act !== null) return `${cut(act.label, 80)}: press the button, or type ${cut(act.command, 80)}.`
  if (triage.verdict.limiter !== 'right') return null
  return triage.verdict.cause === 'abuse'
    ? 'The limiter is right: find the tenant and block it, leave the buckets alone.'
    : 'The limiter is right: scale out or lower the demand, leave the buckets alone.'
}

/** The verdict's act, unless somebody does it or has done it since. */
function openAct(incident: Incident, runs: readonly WorkflowRun[]) {
  const { triage } = incident
  if (!triage?.verdict.act || incident.state === 'resolved') return null
  const { act } = triage.verdict
  const taken = runs.some(
    ({ kind, state, startedAt }) =>
      (act.command === kind || act.command.startsWith(`${kind} `)) &&
      (state === 'running' || (state === 'succeeded' && startedAt >= triage.at)),
  )
  return taken ? null : act
}

/** The newest first. */
function proposalsOf({ proposals = [], state }: Incident): ProposalView[] {
  if (state === 'resolved') return []
  return proposals.map(({ label, command, policy, at }) => ({ label, command, policy, at })).reverse()
}

const ringing = (incident: Incident): boolean => incident.pages.some((page) => page.state === 'triggered')

/** Buttons under a message, and how many proposals may take the place of others. */
const MAX_ACTIONS = 5
const MAX_PROPOSALS = 2

/** Two taps to acknowledged, four to the cure (system.md, section 3). Permission is checked at the click, not here. */
function actionsOf(incident: Incident, runs: readonly WorkflowRun[]): Button[] {
  const { id } = incident
  if (incident.synthetic || incident.state === 'resolved') return []
  const ack: Button[] = ringing(incident) ? [{ label: 'Acknowledge', command: `ack ${id}`, style: 'primary' }] : []
  const act = openAct(incident, runs)
  const cures: Button[] = proposalsOf(incident)
    .slice(0, MAX_PROPOSALS)
    .map(({ label, command }) => ({ label: cut(label, 40), command, style: 'danger' }))
  if (act !== null && !cures.some(({ command }) => command === act.command)) {
    cures.push({ label: cut(act.label, 40), command: act.command, style: 'danger' })
  }
  const all: Button[] = [
    ...ack,
    ...cures,
    { label: 'Silence 1 h', command: `silence ${id} 1h`, style: 'plain' },
    { label: 'Escalate', command: `escalate ${id}`, style: 'plain' },
    { label: 'Resolve', command: `resolve ${id}`, style: 'danger' },
    { label: 'Status', command: 'status', style: 'plain' },
  ]
  return all.slice(0, MAX_ACTIONS)
}

function firstUrl(alerts: readonly AlertView[], names: readonly string[]): string | null {
  for (const alert of alerts) {
    for (const name of names) {
      const url = Object.hasOwn(alert.annotations as Labels, name) ? strictUrl(alert.annotations[name] ?? '') : null
      if (url) return url
    }
  }
  return null
}

/** A link is made only of a strict http(s) URL without `<`, `>`, `|`, blanks or controls (contract.md, section 8). */
export function strictUrl(text: string): string | null {
  if (text.length > 2000 || !/^https?:\/\/[^\s<>|"'`\\\p{C}]+$/iu.test(text)) return null
  return URL.canParse(text) ? text : null
}

/** Control characters and lone surrogates must not break a line on a lock screen; the adapters escape the rest. */
function clean(text: string): string {
  return text.toWellFormed().replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]+/gu, ' ')
}

function cut(text: string, length: number): string {
  const chars = Array.from(text.slice(0, length * 4))
  return chars.length <= length && text.length <= length * 4 ? text : `${chars.slice(0, length - 1).join('')}…`
}
