import type { StepInput } from '../../../src/core/delivery.ts'
import type { AlertView, IncidentView, Page } from '../../../src/core/view.ts'

export const NOW = Date.UTC(2026, 4, 4, 2, 18)

export function page(fields: Partial<Page> = {}): Page {
  return { key: '', generation: 1, revision: 1, state: 'triggered', reason: 'opened as P1', ...fields }
}

export function alertView(fields: Partial<AlertView> = {}): AlertView {
  return {
    fingerprint: '0123456789abcdef',
    name: 'TokenBucketDepleted',
    state: 'firing',
    level: 'P1',
    region: 'A',
    labels: { alertname: 'TokenBucketDepleted', region: 'A', service: 'rating-api' },
    annotations: { summary: 'Bucket nearly empty' },
    startsAt: NOW - 60_000,
    endsAt: null,
    timesSeen: 2,
    generatorURL: 'http://prometheus:9090/graph?g0.expr=1',
    ...fields,
  }
}

export function incidentView(fields: Partial<IncidentView> = {}): IncidentView {
  return {
    id: '12',
    version: 3,
    state: 'open',
    level: 'P1',
    levelReason: 'severity="critical"',
    what: 'Bucket empty in A and B',
    headline: 'P1 · Bucket empty in A and B · 4 % left, falling · rating-api',
    key: { service: 'rating-api' },
    classes: ['exhaustion'],
    alertNames: ['TokenBucketDepleted'],
    regions: ['A', 'B'],
    allRegions: ['A', 'B'],
    openedAt: NOW - 60_000,
    updatedAt: NOW,
    acknowledgedAt: null,
    acknowledgedBy: null,
    resolvedAt: null,
    resolvedBy: null,
    recurrences: 0,
    flapping: false,
    signalLost: false,
    counts: { firing: 2, resolved: 0, total: 2, suppressed: 0 },
    alerts: [alertView(), alertView({ region: 'B', fingerprint: 'fedcba9876543210' })],
    bucket: { ratio: 0.04, trend: 'falling', source: 'edge' },
    graphUrl: 'http://prometheus:9090/graph?g0.expr=openclaw_token_bucket_available',
    runbookUrl: 'https://runbooks.example.com/bucket',
    incidentUrl: 'https://claw.example.com/incidents/12',
    alertmanagerUrl: 'http://alertmanager:9093',
    onCall: ['Dana'],
    nextStep: 'Acknowledge, then reconcile A and B.',
    pages: [page()],
    story: [],
    triage: null,
    checklist: [],
    operations: [],
    proposals: [],
    actions: [],
    synthetic: false,
    ...fields,
  }
}

export function stepInput(fields: Partial<StepInput> = {}): StepInput {
  return {
    target: 'critical',
    settings: {},
    incident: incidentView(),
    installation: 'prod',
    state: null,
    inDoubt: false,
    knownReferences: async () => [],
    now: NOW,
    signal: new AbortController().signal,
    ...fields,
  }
}
