import type { AlertClass, Labels, Level } from './alert.ts'
import type { ChecklistItem } from './checklist.ts'
import type { Button } from './command.ts'
import type { Triage } from './triage.ts'
import type { WorkflowRun } from './workflow.ts'

/** One line of an incident's story, oldest first by `seq`. */
export type StoryEvent = {
  /** rises within an incident, never reused */
  seq: number
  /** milliseconds since the epoch */
  at: number
  /** machine name of what happened, e.g. `opened`, `worsened`, `recurred`, `acknowledged`, `resolved` */
  kind: string
  /** who did it; null when Claw or an alert did */
  actor: string | null
  /** plain text, already short; may quote labels, so escape it */
  text: string
  /** whether people should be notified of it, or only find it in the story */
  push: boolean
}

/** Lines that tell how work on the edge goes: threads show them within seconds, and nobody is notified of them. */
const PROGRESS: ReadonlySet<string> = new Set(['operation', 'step', 'step_failed', 'operation_done', 'triage'])

/** Whether a line tells of progress: it goes into the thread soon, silently. A push line notifies and is none. */
export const isProgress = (event: StoryEvent): boolean => !event.push && PROGRESS.has(event.kind)

/** One page that somebody must get. All pages of an incident resolve together. */
export type Page = {
  /** '' for the incident's own page, '1', '2' … for worsenings while acknowledged */
  key: string
  /** rises when the same key must be triggered afresh after a resolve */
  generation: number
  /** rises when the page's text should be sent again although nobody is woken by it */
  revision: number
  state: 'triggered' | 'acknowledged' | 'resolved'
  /** why this page exists, one short sentence */
  reason: string
}

export type AlertView = {
  fingerprint: string
  name: string
  state: 'firing' | 'resolved'
  level: Level
  region: string
  labels: Labels
  annotations: Labels
  startsAt: number
  endsAt: number | null
  timesSeen: number
  generatorURL: string
}

/** An operation on the edge that is under way for this incident. */
export type OperationView = {
  /** `o9` */
  id: string
  kind: string
  title: string
  by: string
  startedAt: number
  /** steps that are done */
  done: number
  /** the step that it is at; null between two */
  step: string | null
  /** somebody asked it to stop */
  stopping: boolean
}

/** What a policy proposes: one button. */
export type ProposalView = { label: string; command: string; policy: string; at: number }

/** Everything a message can say about an incident. Pure data: rendering it needs nothing else. */
export type IncidentView = {
  /** decimal, typeable in chat */
  id: string
  /** rises with every change that people can see */
  version: number
  state: 'open' | 'acknowledged' | 'resolved'
  level: Level
  levelReason: string
  /** what and where and how bad, without level and service, e.g. `Bucket empty in A and B` */
  what: string
  /** the whole lock-screen line, at most 120 characters: `P1 · Bucket empty in A and B · 4 % left, falling · rating-api` */
  headline: string
  /** the values of `correlate_by`, or of the alert name where all of them are missing */
  key: Labels
  classes: AlertClass[]
  /** names of the alerts, most frequent first, bounded */
  alertNames: string[]
  /** regions now firing, sorted; `allRegions` also those that fired before */
  regions: string[]
  allRegions: string[]
  openedAt: number
  updatedAt: number
  acknowledgedAt: number | null
  acknowledgedBy: string | null
  resolvedAt: number | null
  resolvedBy: string | null
  /** how often it came back after a resolve */
  recurrences: number
  flapping: boolean
  /** everything was reported resolved, but the region gives no sign of life */
  signalLost: boolean
  counts: { firing: number; resolved: number; total: number; suppressed: number }
  /** the most important alerts first, at most 10 */
  alerts: AlertView[]
  bucket: {
    /** 0..1, null when nobody knows */
    ratio: number | null
    trend: 'falling' | 'rising' | 'steady' | null
    source: 'edge' | 'prometheus' | 'annotation' | 'unknown'
  }
  /** strict http(s) URLs or null */
  graphUrl: string | null
  runbookUrl: string | null
  incidentUrl: string | null
  alertmanagerUrl: string | null
  onCall: string[]
  /** what the reader should do next, one sentence */
  nextStep: string
  pages: Page[]
  /** the newest 50 story events, oldest first */
  story: StoryEvent[]
  /** the first minute's checks and their verdict; null before they ran, or where no edge is configured */
  triage: Triage | null
  /** all phases of the runbook, in order */
  checklist: ChecklistItem[]
  /** what is under way on the edge for it, oldest first */
  operations: OperationView[]
  /** what policies propose and nobody has decided yet */
  proposals: ProposalView[]
  /** what can be done from here, most likely first; at most 5 */
  actions: Button[]
  /** a self-test: every message says so */
  synthetic: boolean
}

/** How a run is shown while it is under way. */
export function operationView(run: WorkflowRun): OperationView {
  return {
    id: `o${run.id}`,
    kind: run.kind,
    title: run.title,
    by: run.by,
    startedAt: run.startedAt,
    done: run.steps.filter((step) => step.state === 'done').length,
    step: run.steps.findLast((step) => step.state === 'running')?.name ?? null,
    stopping: run.cancelledBy !== null,
  }
}
