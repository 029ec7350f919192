import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Incident, newIncident } from '../../../src/core/incident.ts'
import { buildView, strictUrl } from '../../../src/core/incidentview.ts'
import type { OccurrenceRow } from '../../../src/core/store.ts'
import type { WorkflowRun } from '../../../src/core/workflow.ts'
import { policyOf } from '../../support/policy.ts'

const policy = policyOf()

function view(incident: Partial<Incident>, more: Partial<Parameters<typeof buildView>[0]> = {}) {
  const whole: Incident = {
    ...newIncident(12, 'k', { service: 'rating-api' }, 1000),
    level: 'P1',
    names: { TokenBucketDepleted: 2, CrdtDriftHigh: 1 },
    classes: ['divergence', 'exhaustion'],
    regions: { B: 1, A: 2 },
    allRegions: ['B', 'A'],
    firing: 3,
    total: 3,
    ...incident,
  }
  return buildView({ incident: whole, alerts: [], story: [], level: null, policy, publicUrl: 'https://claw/', ...more })
}

const alert = (annotations: Record<string, string>, generatorURL = ''): OccurrenceRow => ({
  fingerprint: 'f',
  incidentId: 12,
  name: 'N',
  region: 'A',
  level: 'P1',
  state: 'firing',
  startsAt: 0,
  endsAt: null,
  firstSeen: 0,
  lastSeen: 0,
  timesSeen: 1,
  suppressed: null,
  doubtUntil: null,
  digest: 0,
  payload: { labels: {}, annotations, generatorURL },
})

test('the lock-screen line of system.md', () => {
  const level = { ratio: 0.04, trend: 'falling', source: 'edge' } as const
  assert.equal(view({}, { level }).headline, 'P1 · Bucket empty in A and B · 4 % left, falling · rating-api')
})

test('never 0 % of what is not empty; no level where nobody knows one', () => {
  const at = (ratio: number) => view({}, { level: { ratio, trend: null, source: 'edge' } }).headline
  assert.match(at(0.004), / · < 1 % left · /)
  assert.match(at(0), / · 0 % left · /)
  assert.doesNotMatch(view({}).headline, /left/)
  assert.deepEqual(view({}).bucket, { ratio: null, trend: null, source: 'unknown' })
})

test('what an annotation says is used where no source knows, with its trend', () => {
  const bucket = { ratio: 0.1, source: 'annotation', at: 0, previous: 0.3 } as const
  assert.deepEqual(view({ bucket }).bucket, { ratio: 0.1, trend: 'falling', source: 'annotation' })
})

test('the line never exceeds 120 characters, whatever the labels; what matters is first', () => {
  const long = 'Ж🔥'.repeat(2000)
  const { headline } = view({
    names: { [long]: 1 },
    classes: [],
    regions: { [long]: 1, b: 1, c: 1, d: 1 },
    keyLabels: { service: long },
  })
  assert.ok(Array.from(headline).length <= 120)
  assert.match(headline, /^P1 · Ж🔥/)
  assert.ok(headline.isWellFormed())
})

test('control characters, lone surrogates and bidi overrides cannot break the line', () => {
  const { headline } = view({ keyLabels: { service: 'a\n\0\u202eb\ud800c' } })
  assert.match(headline, /a b\ufffdc$/)
})

test('an unknown alert is called by its name; several by the most frequent and how many more', () => {
  const what = (names: Record<string, number>) => view({ names, classes: [], regions: { A: 1 } }).what
  assert.equal(what({ DiskFull: 1 }), 'DiskFull in A')
  assert.equal(what({ DiskFull: 1, CpuHot: 5, FanDead: 2 }), 'CpuHot and 2 more in A')
  assert.equal(view({ names: { OpenClawTrafficSpike: 1 }, regions: {}, allRegions: [] }).what, 'Traffic spike')
})

test('many regions are counted, not listed; a missing one is not named', () => {
  const regions = { D: 1, C: 1, B: 1, A: 1, '': 3 }
  assert.match(view({ regions }).what, / in A, B, C and 1 more$/)
  assert.deepEqual(view({ regions }).regions, ['A', 'B', 'C', 'D'])
})

test('state comes first: resolved, signal lost, flapping, test', () => {
  const start = (incident: Partial<Incident>) => view(incident).headline.split(' · ').slice(0, 2)
  assert.deepEqual(start({ state: 'resolved' }), ['Resolved', 'P1'])
  assert.deepEqual(start({ signalLost: true }), ['Signal lost', 'P1'])
  assert.deepEqual(start({ flapping: true }), ['Flapping', 'P1'])
  assert.deepEqual(start({ synthetic: true }), ['TEST', 'P1'])
})

test('a key made of the alert name is not said twice', () => {
  assert.equal(
    view({ keyLabels: { alertname: 'DiskFull' }, names: { DiskFull: 1 }, classes: [] }).headline,
    'P1 · DiskFull in A and B',
  )
})

test('links: annotations in the configured order, else the generator; only strict http(s) URLs', () => {
  const alerts = [
    alert({ dashboard: 'https://d/', graph: 'javascript:alert(1)' }, 'http://p/g'),
    alert({ runbook_url: 'https://r/' }),
  ]
  const made = view({ externalURL: 'http://am:9093' }, { alerts })
  assert.deepEqual(
    [made.graphUrl, made.runbookUrl, made.alertmanagerUrl, made.incidentUrl],
    ['https://d/', 'https://r/', 'http://am:9093', 'https://claw/incidents/12'],
  )
  assert.equal(view({}, { alerts: [alert({}, 'http://p/g')] }).graphUrl, 'http://p/g')
  assert.equal(view({}, { publicUrl: null }).incidentUrl, null)
})

test('strict URLs', () => {
  for (const good of ['http://a', 'https://a.b/c?d=%20&e#f', 'http://[::1]:9090/']) assert.equal(strictUrl(good), good)
  const bad = [
    '',
    'a',
    '//a',
    'ftp://a',
    'javascript:x',
    'http://a b',
    'http://a<b',
    'http://a|b',
    'http://a>',
    'http://a\n',
  ]
  bad.push(
    'http://a\0',
    'http://a"b',
    "http://a'b",
    'http://',
    'http://a\u202eb',
    ' http://a',
    `http://${'a'.repeat(2000)}`,
  )
  for (const one of bad) assert.equal(strictUrl(one), null, JSON.stringify(one))
})

test('counts', () => {
  assert.deepEqual(view({ firing: 2, suppressed: 1, total: 7 }).counts, {
    firing: 2,
    suppressed: 1,
    resolved: 4,
    total: 7,
  })
})

const verdict = {
  limiter: 'wrong' as const,
  cause: 'bad version' as const,
  confidence: 0.9,
  summary: 'The limiter is wrong.',
  evidence: [],
  act: { label: 'Revert 1.9.0', command: 'revert A', risk: 'Back to 1.8.2.' },
}
const triage = { at: 2000, regions: [], diverged: { keys: 0, examples: [] }, changes: [], verdict }
const page = { key: '', generation: 1, revision: 0, state: 'triggered' as const, reason: '' }
const labels = (made: ReturnType<typeof view>) => made.actions.map(({ label }) => label)
const run = (more: Partial<WorkflowRun>): WorkflowRun => ({
  id: 9,
  kind: 'revert',
  input: null,
  title: 'Revert the version in A',
  regions: ['A'],
  incident: 12,
  by: 'Dana',
  via: 'slack',
  replyTo: null,
  state: 'running',
  steps: [],
  dueAt: 0,
  cancelledBy: null,
  startedAt: 3000,
  endedAt: null,
  outcome: null,
  data: null,
  ...more,
})

test('buttons: acknowledge first, then proposals, then what is advised; never more than five', () => {
  const proposals = [1, 2, 3].map((n) => ({
    label: `P${n}`,
    command: `reconcile ${n}`,
    policy: 'p',
    at: n,
    region: 'A',
  }))
  assert.deepEqual(labels(view({ pages: [page], triage })), [
    'Acknowledge',
    'Revert 1.9.0',
    'Silence 1 h',
    'Escalate',
    'Resolve',
  ])
  assert.deepEqual(labels(view({ pages: [page], triage, proposals })), [
    'Acknowledge',
    'P3',
    'P2',
    'Revert 1.9.0',
    'Silence 1 h',
  ])
  const same = [{ label: 'Revert', command: 'revert A', policy: 'p', at: 1, region: 'A' }]
  assert.equal(labels(view({ triage, proposals: same })).filter((label) => label.startsWith('Revert')).length, 1)
  assert.deepEqual(labels(view({ state: 'resolved', triage, proposals })), [])
})

test('what is under way or was done since is not advised again; what failed is', () => {
  const advised = (runs: WorkflowRun[]) => labels(view({ triage }, { runs })).includes('Revert 1.9.0')
  assert.equal(advised([]), true)
  assert.equal(advised([run({})]), false)
  assert.equal(advised([run({ state: 'succeeded' })]), false)
  assert.equal(advised([run({ state: 'succeeded', startedAt: 1000 })]), true, 'before the verdict')
  assert.equal(advised([run({ state: 'failed' })]), true)
  assert.equal(advised([run({ kind: 'reset' })]), true)
})

test('what to do next names the act, the proposal, or what is under way', () => {
  const next = (incident: Partial<Incident>, runs: WorkflowRun[] = []) => view(incident, { runs }).nextStep
  assert.equal(next({ pages: [page], triage }), 'Acknowledge it. Revert 1.9.0: press the button, or type revert A.')
  const proposals = [{ label: 'Reconcile A', command: 'reconcile A', policy: 'conflicts', at: 1, region: 'A' }]
  assert.equal(next({ triage, proposals }), 'Decide: Reconcile A (reconcile A), proposed by conflicts.')
  assert.match(next({ triage, proposals }, [run({})]), /^o9 is under way \(Revert the version in A\)/)
  const right = { ...triage, verdict: { ...verdict, limiter: 'right' as const, cause: 'overload' as const, act: null } }
  assert.match(next({ triage: right }), /^The limiter is right: scale out/)
})

test('operations under way are shown, oldest first, with the step that they are at', () => {
  const step = { attempts: 1, startedAt: 1, endedAt: null, result: null, error: null }
  const steps = [
    { ...step, name: 'snapshot', state: 'done' as const },
    { ...step, name: 'merge', state: 'running' as const },
  ]
  const made = view({}, { runs: [run({ id: 10 }), run({ steps }), run({ id: 8, state: 'failed' })] })
  assert.deepEqual(
    made.operations.map(({ id, done, step: at }) => [id, done, at]),
    [
      ['o9', 1, 'merge'],
      ['o10', 0, null],
    ],
  )
  assert.equal(made.checklist.length, 6)
})
