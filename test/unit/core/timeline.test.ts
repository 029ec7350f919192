import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AuditRow } from '../../../src/core/audit.ts'
import type { Remediation } from '../../../src/core/remediation.ts'
import { timelineOf } from '../../../src/core/timeline.ts'
import type { StoryEvent } from '../../../src/core/view.ts'
import type { StepRecord, WorkflowRun } from '../../../src/core/workflow.ts'

const T = Date.UTC(2026, 4, 4, 2, 15)

const line = (at: number, kind: string, text: string, actor: string | null = null): StoryEvent => ({
  seq: at + 1,
  at: T + at,
  kind,
  actor,
  text,
  push: false,
})
const audit = (at: number, actor: string, more: Partial<AuditRow> = {}): AuditRow => ({
  id: '1',
  previous: '',
  hash: '',
  at: new Date(T + at).toISOString(),
  actor,
  via: 'slack',
  action: 'ack',
  target: 'incident 1',
  outcome: 'done',
  detail: 'ack 1',
  ...more,
})
const step = (name: string, from: number, to: number | null, more: Partial<StepRecord> = {}): StepRecord => ({
  name,
  state: to === null ? 'running' : 'done',
  attempts: 1,
  startedAt: T + from,
  endedAt: to === null ? null : T + to,
  result: null,
  error: null,
  ...more,
})
const run = (steps: StepRecord[]): WorkflowRun => ({
  id: 9,
  kind: 'reconcile',
  input: null,
  title: 'Reconcile A and B',
  regions: ['A', 'B'],
  incident: 1,
  by: 'Dana',
  via: 'slack',
  replyTo: null,
  state: 'running',
  steps,
  dueAt: 0,
  cancelledBy: null,
  startedAt: T,
  endedAt: null,
  outcome: null,
  data: null,
})
const none = { story: [], alerts: [], deliveries: [] }
const kinds = (from: Parameters<typeof timelineOf>[0]) => timelineOf(from).map(({ kind, text }) => `${kind}: ${text}`)

test('what the story tells is not told again by the audit trail; refusals and other commands are', () => {
  const story = [line(0, 'opened', 'Opened as P1.'), line(60_000, 'acknowledged', 'Acknowledged by Dana.', 'Dana')]
  const rows = [
    audit(60_004, 'Dana'),
    audit(61_000, 'Kim', { action: 'failover', outcome: 'forbidden', detail: 'failover A B' }),
    audit(90_000, 'Dana', { action: 'show', detail: 'show 1' }),
  ]
  assert.deepEqual(kinds({ ...none, story, audit: rows }), [
    'opened: Opened as P1.',
    'acknowledged: Acknowledged by Dana.',
    'command: failover (forbidden): failover A B',
    'command: show: show 1',
  ])
})

test('steps begin and end between the lines that they tell themselves', () => {
  const story = [
    line(0, 'operation', 'Dana started o9: Reconcile A and B.', 'Dana'),
    line(9_000, 'step', 'o9: Snapshot snap_1 taken.'),
    line(30_000, 'operation_done', 'o9: All copies agree.'),
  ]
  const steps = [
    step('snapshot', 1_000, 9_000),
    step('say', 9_500, 9_500),
    step('merge: start', 10_000, 10_100),
    step('merge', 12_000, 20_000, { attempts: 3 }),
    step('check', 21_000, 22_500, {
      state: 'failed',
      error: { code: 'timeout', message: 'no answer' },
    }),
    step('watch', 25_000, null),
  ]
  const done = audit(30_000, 'Dana', { action: 'reconcile', detail: 'o9 All copies agree.' })
  assert.deepEqual(kinds({ ...none, story, runs: [run(steps)], audit: [done] }), [
    'operation: Dana started o9: Reconcile A and B.',
    'step_begun: o9: snapshot begins.',
    'step: o9: Snapshot snap_1 taken.',
    'step_begun: o9: merge begins.',
    'step_ended: o9: merge is done, at the 3rd attempt.',
    'step_begun: o9: check begins.',
    'step_failed: o9: check failed: no answer',
    'step_begun: o9: watch begins.',
    'operation_done: o9: All copies agree.',
  ])
})

test('what changed before, what was measured, and what policies did stand in their place', () => {
  const triage = {
    at: T + 5_000,
    regions: ['A: 4 % left'],
    diverged: { keys: 2, examples: ['tenant-1: A 1, B 2'] },
    changes: [{ at: T - 60_000, region: 'A', what: 'version' as const, from: '1.8.2', to: '1.9.0' }],
    verdict: {
      limiter: 'wrong' as const,
      cause: 'divergence' as const,
      confidence: 0.9,
      summary: 's',
      evidence: [],
      act: null,
    },
  }
  const acted: Remediation = {
    id: 1,
    policy: 'conflicts',
    incident: 1,
    region: 'A',
    action: 'reconcile',
    mode: 'automatic',
    at: T + 6_000,
    reason: '31 conflicts/min',
    run: 9,
    state: 'helped',
    measure: { name: 'conflicts per minute', before: 31, threshold: 10, after: 2 },
    verifyAt: null,
  }
  const story = [line(0, 'opened', 'Opened.')]
  assert.deepEqual(kinds({ ...none, story, incident: { triage }, remediations: [acted] }), [
    'edge_changed: A: version changed from 1.8.2 to 1.9.0.',
    'opened: Opened.',
    'measured: A: 4 % left',
    'measured: 2 keys differ: tenant-1: A 1, B 2',
    'remediation: reconcile in A (automatic): 31 conflicts/min; conflicts per minute 31 before, 2 after; helped',
  ])
  const told = [line(6_000, 'operation', 'policy:conflicts started o9: Reconcile A.', 'policy:conflicts')]
  const running = { ...acted, state: 'running' as const }
  assert.equal(timelineOf({ ...none, story: told, remediations: [running] }).length, 1, 'once')
  const helped = line(90_000, 'remediation_helped', 'o9 helped in A.', 'policy:conflicts')
  const began = audit(6_000, 'policy:conflicts', { action: 'reconcile', outcome: 'started', detail: 'o9 Reconcile A' })
  assert.deepEqual(
    kinds({ ...none, story: [...told, helped], remediations: [acted], audit: [began] }),
    ['operation: policy:conflicts started o9: Reconcile A.', 'remediation_helped: o9 helped in A.'],
    'what came of it is not told before it was known',
  )
})

test('one line each, whatever the texts hold', () => {
  const story = [line(0, 'note', 'a\nb\u202ec', 'Dana')]
  assert.deepEqual(timelineOf({ ...none, story }), [
    { at: '2026-05-04T02:15:00.000Z', kind: 'note', actor: 'Dana', text: 'a b c' },
  ])
})
