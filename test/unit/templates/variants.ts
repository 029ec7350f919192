import type { IncidentView } from '../../../src/core/view.ts'
import { OPENED_AT, sampleAlert, sampleEvent, sampleView } from '../../fixtures/view.ts'

const MINUTE = 60_000

const triage: IncidentView['triage'] = {
  at: OPENED_AT + 5_000,
  regions: ['A: 4 % left, 1 380/s offered (2.3×), 1 500/s refilled, lag 0.7 s, 2 nodes off, 1.9.0'],
  diverged: { keys: 50, examples: ['tenant-1001: A 12, B 7'] },
  changes: [{ at: OPENED_AT - 2 * MINUTE, region: 'A', what: 'version', from: '1.8.2', to: '1.9.0' }],
  verdict: {
    limiter: 'wrong',
    cause: 'bad version',
    confidence: 0.93,
    summary: 'The limiter is wrong: 3 nodes diverge since 1.9.0 went out.',
    evidence: ['A: 1.8.2 to 1.9.0, 2 min before', '3 nodes are off by up to 80 % of capacity', '12 % refused in A'],
    act: { label: 'Revert 1.9.0', command: 'revert', risk: 'Back to 1.8.2: what the new version brought is gone.' },
  },
}

/** Every kind of incident that a message must be able to tell of, as people would meet it. */
export const VARIANTS: Record<string, IncidentView> = {
  open: sampleView(),
  judged: sampleView({
    triage,
    checklist: [
      { phase: 'detection', state: 'done', owner: null, by: 'claw', at: OPENED_AT, note: 'An alert was received.' },
      { phase: 'switch', state: 'open', owner: 'Dana', by: null, at: null, note: '' },
    ],
    operations: [
      {
        id: 'o9',
        kind: 'reconcile',
        title: 'Reconcile A and B (highest capacity)',
        by: 'policy:conflicts',
        startedAt: OPENED_AT + 6_000,
        done: 2,
        step: 'snapshot',
        stopping: false,
      },
    ],
    story: [sampleEvent(1), sampleEvent(2, { kind: 'triage', text: 'The limiter is wrong.' })],
  }),
  'worse while open': sampleView({
    version: 3,
    regions: ['A', 'B', 'C'],
    allRegions: ['A', 'B', 'C'],
    headline: 'P1 · Bucket empty in A, B and C · 2 % left, falling · rating-api',
    story: [
      sampleEvent(1),
      sampleEvent(2),
      sampleEvent(3, { kind: 'worsened', text: 'Worse: also in C.', push: true }),
    ],
  }),
  acknowledged: sampleView({
    state: 'acknowledged',
    acknowledgedAt: OPENED_AT + 3 * MINUTE,
    acknowledgedBy: 'Dana',
    bucket: { ratio: 0.31, trend: 'rising', source: 'prometheus' },
    story: [
      sampleEvent(1),
      sampleEvent(2, { kind: 'acknowledged', actor: 'Dana', text: 'Acknowledged by Dana: looking.' }),
    ],
  }),
  resolved: sampleView({
    state: 'resolved',
    headline: 'Resolved · P1 · Bucket empty in A and B · rating-api',
    regions: [],
    resolvedAt: OPENED_AT + 31 * MINUTE,
    counts: { firing: 0, resolved: 2, total: 2, suppressed: 0 },
    alerts: ['A', 'B'].map((region) => sampleAlert({ region, state: 'resolved', endsAt: OPENED_AT + 30 * MINUTE })),
    bucket: { ratio: 0.93, trend: 'steady', source: 'edge' },
    nextStep: 'Nothing to do now. The review is due within 48 hours.',
    story: [sampleEvent(1), sampleEvent(2, { kind: 'resolved', text: 'All alerts are resolved.', push: true })],
  }),
  'resolved by hand': sampleView({
    state: 'resolved',
    headline: 'Resolved · P1 · Bucket empty in A and B · rating-api',
    regions: [],
    resolvedAt: OPENED_AT + 25 * 60 * MINUTE,
    resolvedBy: 'Max',
    counts: { firing: 0, resolved: 2, total: 2, suppressed: 0 },
  }),
  flapping: sampleView({
    headline: 'Flapping · P1 · Bucket empty in A and B · 4 % left, falling · rating-api',
    recurrences: 3,
    flapping: true,
  }),
  'signal lost': sampleView({
    signalLost: true,
    headline: 'Signal lost · P1 · Bucket empty in A · rating-api',
    regions: [],
    allRegions: ['A'],
    counts: { firing: 0, resolved: 2, total: 2, suppressed: 0 },
    bucket: { ratio: null, trend: null, source: 'unknown' },
    nextStep: 'Check whether region A is up: it gives no sign of life.',
  }),
  'self-test': sampleView({ synthetic: true, level: 'P3', headline: 'TEST · P3 · Self-test of the way to the page' }),
  'P2, little known': sampleView({
    level: 'P2',
    levelReason: 'severity is missing, so P2',
    headline: 'P2 · Something · unknown',
    key: {},
    regions: [],
    allRegions: [],
    alerts: [sampleAlert({ name: '', region: '', level: 'P2', annotations: {} })],
    alertNames: [],
    counts: { firing: 1, resolved: 0, total: 1, suppressed: 3 },
    bucket: { ratio: null, trend: null, source: 'unknown' },
    graphUrl: null,
    runbookUrl: null,
    incidentUrl: null,
    alertmanagerUrl: null,
    onCall: [],
    story: [],
  }),
  storm: sampleView({
    headline: 'P1 · Bucket empty in 100 regions · 0 % left · rating-api',
    regions: Array.from({ length: 100 }, (_, i) => `region-${i}`),
    allRegions: Array.from({ length: 100 }, (_, i) => `region-${i}`),
    alertNames: ['TokenBucketDepleted', 'CrdtDriftHigh', 'LatencyHigh', 'ErrorRateHigh', 'RegionDown', 'WrongRefusals'],
    counts: { firing: 4_812, resolved: 188, total: 5_000, suppressed: 12 },
    alerts: Array.from({ length: 10 }, (_, i) => sampleAlert({ region: `region-${i}` })),
    bucket: { ratio: 0, trend: 'steady', source: 'edge' },
    story: Array.from({ length: 50 }, (_, i) => sampleEvent(i + 900, { text: `40 more alerts in region-${i}.` })),
  }),
}
