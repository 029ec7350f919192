import { z } from 'zod'
import { PHASES } from '../../src/core/checklist.ts'
import { type ErrorCode, HTTP_STATUS } from '../../src/core/errors.ts'

/*
 * The shape of every answer of the HTTP API, field by field. `openapi.ts` makes the document of them, and a test holds real
 * answers against them: a field that is not here fails it, because these objects are strict.
 */

const time = z.iso.datetime()
const timeOrNull = time.nullable()
const count = z.int().nonnegative()
const decimal = z.string().regex(/^[1-9]\d*$/)
const level = z.enum(['P1', 'P2', 'P3'])
const region = z.string().describe('Region; empty where the alert names none')

const labels = z.record(z.string(), z.string())

const CODES = Object.keys(HTTP_STATUS) as ErrorCode[]
const ALERT_STATES = ['firing', 'resolved'] as const
export const INCIDENT_STATES = ['open', 'acknowledged', 'resolved'] as const
export const DELIVERY_STATES = ['pending', 'waiting', 'delivered', 'dead'] as const
const CLASSES = ['exhaustion', 'divergence', 'sync lag', 'latency', 'errors', 'canary', 'capacity', 'region'] as const

/** RFC 9457, as `src/http/problem.ts` writes it. */
export const Problem = z
  .strictObject({
    type: z.literal('about:blank'),
    title: z.string().describe('What the status means'),
    status: z.int().min(400).max(599).describe('The HTTP status'),
    code: z.enum(CODES).describe('The same for programs'),
    detail: z.string().describe('What happened and what to do, for people'),
  })
  .describe('An error (RFC 9457). `detail` holds nothing internal and no secret.')

/** As `src/adapters/slack/verify.ts` writes it. */
export const SlackProblem = z
  .strictObject({ type: z.literal('about:blank'), status: z.int(), detail: z.string() })
  .describe('Why a request to `/slack/events` was refused.')

export const Alert = z
  .strictObject({
    fingerprint: z.string().describe('Identity of the alert: a hash of its labels, as Alertmanager gives it'),
    name: z.string().describe('The label `alertname`'),
    state: z.enum(ALERT_STATES),
    level: level.describe('What this alert alone would be'),
    region,
    labels: labels.describe('As they arrived; any string may stand there'),
    annotations: labels.describe('As they arrived; any string may stand there'),
    starts_at: time.describe('When it began to fire, as its sender says'),
    ends_at: timeOrNull.describe('When it ended; null while it fires'),
    first_seen: time.describe('When Claw first received it'),
    last_seen: time.describe('When Claw last received it'),
    times_seen: count.describe('How often it was received while it fired'),
    suppressed: z.string().nullable().describe('Why nobody is told of it, such as `inhibited`; null when it counts'),
    generator_url: z.string().describe('Where its expression can be seen; empty when unknown, and not checked'),
  })
  .describe('One alert of an incident.')

export const Delivery = z
  .strictObject({
    id: decimal,
    incident_id: z
      .string()
      .regex(/^-?[1-9]\d*$/)
      .describe('The incident it shows; negative for an answer to a chat command'),
    destination: z.string().describe('Platform and target, such as `slack:C0CRITICAL`'),
    receiver: z.string().describe('The receiver that it belongs to'),
    state: z
      .enum(DELIVERY_STATES)
      .describe(
        '`pending`: its turn will come; `waiting`: held back for `reason`; `delivered`: in step with the incident; ' +
          '`dead`: a person must look, then redeliver',
      ),
    attempts: count.describe('Failures in a row'),
    reference: z.string().nullable().describe('What the platform calls the message; null before there is one'),
    reason: z.string().nullable().describe('Why it waits or died'),
    due_at: timeOrNull.describe('Not before this time; null when nothing is to be sent'),
    created_at: time,
    delivered_at: timeOrNull.describe('When it was last in step; null for never'),
  })
  .describe('What one destination shows of one incident.')

const Triage = z
  .strictObject({
    at: time,
    verdict: z.strictObject({
      limiter: z.enum(['right', 'wrong', 'unknown']).describe('Whether refusing requests is what it should do'),
      cause: z.enum([
        'overload',
        'abuse',
        'divergence',
        'partition',
        'stalled refill',
        'bad version',
        'bad canary',
        'region down',
        'unknown',
      ]),
      confidence: z.number().min(0).max(1),
      summary: z.string().describe('One short sentence'),
      evidence: z.array(z.string()).describe('Short lines with figures'),
      act: z
        .strictObject({ label: z.string(), command: z.string(), risk: z.string() })
        .nullable()
        .describe('What is recommended; null when nothing should be done yet'),
    }),
    regions: z.array(z.string()).describe('A line per region, with figures'),
    diverged: z.strictObject({ keys: count, examples: z.array(z.string()) }).describe('Keys whose copies differ'),
    changes: z
      .array(
        z.strictObject({
          at: time,
          region: z.string(),
          what: z.enum(['version', 'canary weight', 'capacity', 'replicas', 'receiving', 'configuration']),
          from: z.string(),
          to: z.string(),
        }),
      )
      .describe('What changed on the edge shortly before'),
  })
  .describe('What Claw found on the edge in the first minute, and its verdict.')

const ChecklistItem = z
  .strictObject({
    phase: z.enum(PHASES),
    state: z.enum(['open', 'done', 'skipped']),
    owner: z.string().nullable(),
    by: z.string().nullable().describe('Who or what ticked it: a name, `claw`, `policy:NAME`; null while open'),
    at: timeOrNull.describe('When it was ticked'),
    note: z.string().describe('Why, one short sentence; may be empty'),
  })
  .describe('One phase of the runbook.')

const Operation = z
  .strictObject({
    id: z
      .string()
      .regex(/^o[1-9]\d*$/)
      .describe('As chat commands take it, such as `o9`'),
    kind: z.string().describe('Such as `reconcile`, `reset`, `failover`, `rollback`'),
    title: z.string(),
    by: z.string().describe("A person's name, or `policy:NAME`"),
    started_at: time,
    steps_done: count,
    step: z.string().nullable().describe('The step that it is at; null between two'),
    stopping: z.boolean().describe('Somebody asked it to stop'),
  })
  .describe('An operation on the edge that is under way.')

const Proposal = z
  .strictObject({
    label: z.string(),
    command: z.string().describe('The chat command that does it'),
    policy: z.string(),
    at: time,
  })
  .describe('What a remediation policy proposes and nobody has decided yet.')

const Page = z
  .strictObject({
    key: z.string().describe('Empty for the own page of the incident; `1`, `2` … for each time it got worse'),
    generation: count.describe('Rises when the same page is triggered again after a resolve'),
    state: z.enum(['triggered', 'acknowledged', 'resolved']),
    reason: z.string(),
  })
  .describe('Something that must wake somebody.')

const url = z.string().nullable()

export const Incident = z
  .strictObject({
    id: decimal.describe('Short, as one types it in chat'),
    state: z.enum(INCIDENT_STATES),
    level: level.describe('The highest that it reached, unless a person set it'),
    level_reason: z.string().describe('Why it has this level'),
    title: z.string().describe('What and where, on one line'),
    regions: z.array(z.string()).describe('Where it fires now; where it fired, once nothing does'),
    alerts: z.array(Alert).describe('Most important first; complete up to 1000'),
    alert_count: count.describe('All alerts that it ever had'),
    firing_count: count,
    suppressed_count: count.describe('Alerts that fire without telling anyone'),
    opened_at: time,
    updated_at: time,
    acknowledged_at: timeOrNull,
    acknowledged_by: z.string().nullable(),
    resolved_at: timeOrNull,
    resolved_by: z.string().nullable().describe('Null also where the alerts ended by themselves'),
    flapping: z.boolean().describe('It keeps coming back, and resolves only after a quiet time'),
    signal_lost: z.boolean().describe('Reported resolved, but the region gives no sign of life'),
    recurrences: count.describe('How often it came back after a resolve'),
    synthetic: z.boolean().describe('A self-test'),
    correlation_key: labels.describe('The values of `incidents.correlate_by`, or the alert name'),
    classes: z.array(z.enum(CLASSES)).describe('What its alerts are about'),
    receivers: z
      .array(z.strictObject({ name: z.string(), why: z.string().describe('The route that leads there') }))
      .describe('Who hears of it, and why'),
    pages: z.array(Page),
    bucket: z
      .strictObject({
        ratio: z.number().nullable().describe('Tokens left, 0..1; null when nobody knows'),
        source: z.enum(['edge', 'prometheus', 'annotation', 'unknown']),
        trend: z.enum(['falling', 'rising', 'steady']).nullable(),
      })
      .describe('The emptiest bucket of its regions'),
    next_step: z.string().describe('What the reader should do next, one sentence'),
    triage: Triage.nullable().describe('Null before it was done, and where no edge is configured'),
    checklist: z.array(ChecklistItem).describe('All phases of the runbook, in order'),
    operations: z.array(Operation).describe('What is under way on the edge for it, oldest first'),
    proposals: z.array(Proposal),
    links: z.strictObject({ incident: url, graph: url, runbook: url, alertmanager: url }),
    deliveries: z.array(Delivery),
  })
  .describe('All alerts of one correlation key: what people deal with.')

const nextCursor = z.string().nullable().describe('Pass it as `cursor` for the next page; null on the last one')

export const IncidentList = z
  .strictObject({ incidents: z.array(Incident), next_cursor: nextCursor })
  .describe('A page of incidents, newest first. It may hold fewer than `limit` where incidents are very large.')

export const DeliveryList = z
  .strictObject({ deliveries: z.array(Delivery), next_cursor: nextCursor })
  .describe('A page of deliveries, newest first.')

const TimelineEntry = z.strictObject({
  at: time,
  kind: z
    .string()
    .describe('Such as `opened`, `acknowledged`, `alert_firing`, `delivered`, `command`; more kinds may follow'),
  actor: z.string().nullable().describe('Who did it; null when Claw or an alert did'),
  text: z.string().describe('One line; may quote labels, so escape it'),
})

export const Timeline = z
  .strictObject({ timeline: z.array(TimelineEntry) })
  .describe('All that happened to an incident, oldest first.')

export const CommandAnswer = z
  .strictObject({
    ok: z.boolean().describe('False: the answer is no, and `code` says why'),
    code: z.enum(['invalid', 'forbidden', 'not_found', 'conflict', 'unavailable']).nullable(),
    summary: z.string().describe('One line'),
    lines: z.array(z.string()).describe('Further lines'),
    table: z.strictObject({ head: z.array(z.string()), rows: z.array(z.array(z.string())) }).nullable(),
    data: z.unknown().describe('The same for programs; its shape is that of the command. Null for many.'),
    incident: decimal.nullable().describe('The incident that it is about'),
  })
  .describe('What a chat command answers.')

const hash = z.string().regex(/^[0-9a-f]{64}$/)

const AuditRow = z.strictObject({
  id: decimal.describe('1, 2, 3 … without a gap'),
  at: time,
  actor: z.string().describe("A person's name, `policy:NAME`, or `claw`"),
  via: z
    .string()
    .describe('Where it came from: `slack`, `telegram`, `pagerduty`, `terminal`, `http`, `console`, `claw`'),
  action: z.string(),
  target: z.string().describe('Such as `incident 12`; empty for nothing in particular'),
  outcome: z.string().describe('Such as `done`, `asked`, `refused`, `forbidden`, `failed`'),
  detail: z.string(),
  previous: hash.describe('Hash of the row before; 64 zeros for the first'),
  hash: hash.describe(
    'SHA-256 of the JSON text `[previous,id,at,actor,via,action,target,outcome,detail]`, in hexadecimal digits',
  ),
})

export const AuditTrail = z
  .strictObject({ audit: z.array(AuditRow), next_cursor: nextCursor })
  .describe('A stretch of the audit trail, oldest first.')

/** What has no further shape. */
export const PlainText = z.string()

export const SlackAnswer = z.looseObject({}).describe('What Slack asks for in answer to that kind of request.')

export const OpenApi = z.looseObject({ openapi: z.literal('3.1.0') }).describe('An OpenAPI document.')

/** What answers are made of, by the names that the document gives them. */
export const ANSWERS = {
  Alert,
  AuditRow,
  AuditTrail,
  ChecklistItem,
  CommandAnswer,
  Delivery,
  DeliveryList,
  Incident,
  IncidentList,
  OpenApi,
  Operation,
  Page,
  Problem,
  Proposal,
  SlackAnswer,
  SlackProblem,
  Timeline,
  TimelineEntry,
  Triage,
} as const
