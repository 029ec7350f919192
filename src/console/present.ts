import type { Approval } from '../core/chatops.ts'
import { MINUTE } from '../core/clock.ts'
import type { CommandRequest, Reply } from '../core/command.ts'
import type { Incident } from '../core/incident.ts'
import type { Delivery } from '../core/store.ts'
import type { IncidentView } from '../core/view.ts'
import type { WorkflowRun } from '../core/workflow.ts'

/** A destination shows an older version for this long before the page calls it late. */
const LATE = MINUTE

const PLATFORMS: Readonly<Record<Delivery['kind'], string>> = {
  pagerduty: 'PagerDuty',
  slack: 'Slack',
  telegram: 'Telegram',
  webhook: 'Webhook',
  edge: 'Edge',
  grafana: 'Grafana',
}

const MEANING = { P1: 'critical', P2: 'high', P3: 'medium' } as const

/** Words that name a time: what the page shows, and the machine's form beside it. */
export type Moment = { at: number; iso: string }

/** A time for a page; null for none, and for one that no calendar has. */
export function moment(at: number | null): Moment | null {
  if (at === null) return null
  const date = new Date(at)
  return Number.isNaN(date.getTime()) ? null : { at, iso: date.toISOString() }
}

/** One destination of an incident in words; `tone` is one of ok, wait, bad. */
export function deliveryRow(delivery: Delivery, now: number) {
  const told = delivery.deliveredAt !== null
  const behind = delivery.changedAt !== null && now - delivery.changedAt > LATE
  const states = {
    delivered: { tone: 'ok', word: 'Delivered' },
    waiting: { tone: 'wait', word: 'Waiting' },
    pending: { tone: behind ? 'wait' : 'ok', word: told ? 'Update on its way' : 'On its way' },
    dead: { tone: 'bad', word: 'Dead letter' },
  } as const
  return {
    id: delivery.id,
    platform: PLATFORMS[delivery.kind],
    target: delivery.target,
    receiver: delivery.receiver,
    incidentId: delivery.incidentId > 0 ? delivery.incidentId : null,
    state: delivery.state,
    ...states[delivery.state],
    reason: delivery.state === 'delivered' ? null : delivery.reason,
    attempts: delivery.attempts,
    reference: delivery.reference,
    due: delivery.state === 'waiting' && delivery.dueAt > now ? moment(delivery.dueAt) : null,
    dueIn: Math.max(0, Math.ceil((delivery.dueAt - now) / 1000)),
    delivered: moment(delivery.deliveredAt),
    canRedeliver: delivery.state === 'dead' || delivery.state === 'waiting',
    created: moment(delivery.createdAt),
    behindSince: moment(delivery.changedAt),
  }
}

/** An incident as the first page shows it. */
export function incidentCard(view: IncidentView, deliveries: readonly Delivery[], now: number) {
  const rows = deliveries.map((delivery) => deliveryRow(delivery, now))
  const key = Object.hasOwn(view.key, 'alertname') ? [] : Object.values(view.key).filter((value) => value !== '')
  return {
    id: view.id,
    level: view.level,
    meaning: MEANING[view.level],
    levelReason: view.levelReason,
    state: view.state,
    what: view.what,
    key,
    synthetic: view.synthetic,
    regions: view.regions,
    allRegions: view.allRegions,
    opened: moment(view.openedAt),
    acknowledged: moment(view.acknowledgedAt),
    acknowledgedBy: view.acknowledgedBy,
    resolved: moment(view.resolvedAt),
    resolvedBy: view.resolvedBy,
    flapping: view.flapping,
    signalLost: view.signalLost,
    recurrences: view.recurrences,
    counts: view.counts,
    alertNames: view.alertNames,
    bucket: view.bucket,
    bucketPercent: view.bucket.ratio === null ? null : Math.round(view.bucket.ratio * 100),
    graphUrl: view.graphUrl,
    runbookUrl: view.runbookUrl,
    alertmanagerUrl: view.alertmanagerUrl,
    nextStep: view.nextStep,
    actions: view.actions.map(({ label, command, style }) => ({ label, command, style })),
    onCall: view.onCall,
    deliveries: rows,
    told: rows.filter((row) => row.state === 'delivered').length,
    dead: rows.filter((row) => row.state === 'dead').length,
    late: rows.filter((row) => row.tone === 'wait').length,
  }
}

const ORDER = { P1: 0, P2: 1, P3: 2 } as const

/** What matters most first: level, then what nobody has acknowledged, then the newest. */
export function byUrgency(a: Incident, b: Incident): number {
  const waits = (one: Incident): number => (one.state === 'open' ? 0 : 1)
  return ORDER[a.level] - ORDER[b.level] || waits(a) - waits(b) || b.id - a.id
}

/** What a command answered, as a page shows it. */
export type AnswerBox = ReturnType<typeof answerBox>

export function answerBox(reply: Reply, request: Pick<CommandRequest, 'text' | 'incident'>) {
  const { ok, code, summary, lines, table, buttons } = reply
  return {
    ok,
    code,
    summary,
    lines,
    table,
    buttons,
    command: request.text,
    incident: request.incident ?? reply.incident,
  }
}

/** A question that waits for somebody, as `person` sees it. */
export function questionRow(approval: Approval, person: string) {
  const own = approval.by === person
  return {
    id: `a${approval.id}`,
    command: approval.command,
    preview: approval.preview,
    by: approval.by,
    own,
    incident: approval.incident,
    confirms: approval.needed === 0,
    missing: approval.needed - approval.agreed.length,
    agreed: approval.agreed,
    asked: moment(approval.askedAt),
    expires: moment(approval.expiresAt),
    // Only the asker confirms; where others must agree, the asker cannot.
    canAgree: approval.needed === 0 ? own : !own && !approval.agreed.includes(person),
  }
}

const RUN_STATES: Readonly<Record<WorkflowRun['state'], { tone: string; word: string }>> = {
  running: { tone: 'wait', word: 'Under way' },
  succeeded: { tone: 'ok', word: 'Done' },
  failed: { tone: 'bad', word: 'Failed' },
  cancelled: { tone: 'wait', word: 'Cancelled' },
}
const STEP_STATES: Readonly<Record<WorkflowRun['steps'][number]['state'], { tone: string; word: string }>> = {
  running: { tone: 'wait', word: 'Under way' },
  done: { tone: 'ok', word: 'Done' },
  failed: { tone: 'bad', word: 'Failed' },
}

/** An operation on the edge with its steps. */
export function operationRow(run: WorkflowRun) {
  const stopping = run.state === 'running' && run.cancelledBy !== null
  return {
    id: `o${run.id}`,
    title: run.title,
    by: run.by,
    incident: run.incident,
    ...RUN_STATES[run.state],
    ...(stopping ? { word: `Being stopped by ${run.cancelledBy}` } : {}),
    running: run.state === 'running' && run.cancelledBy === null,
    started: moment(run.startedAt),
    ended: moment(run.endedAt),
    outcome: run.outcome,
    done: run.steps.filter(({ state }) => state === 'done').length,
    now: run.steps.findLast(({ state }) => state === 'running')?.name ?? null,
    steps: run.steps.slice(-40).map((step) => ({
      name: step.name,
      ...STEP_STATES[step.state],
      attempts: step.attempts,
      started: moment(step.startedAt),
      seconds: step.endedAt === null ? null : Math.max(0, Math.round((step.endedAt - step.startedAt) / 100) / 10),
      error: step.error?.message ?? null,
    })),
  }
}
