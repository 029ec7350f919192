import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  bucketText,
  cut,
  dedupKey,
  type EventInput,
  plainEvent,
  safeText,
  triggerEvent,
} from '../../../../src/adapters/pagerduty/event.ts'
import { LIMITS } from '../../../../src/adapters/pagerduty/limits.ts'
import type { Renderer } from '../../../../src/core/delivery.ts'
import { alertView, incidentView, NOW, page } from '../sample.ts'

const KEY = 'R0123456789012345678901234567890'
const texts: Renderer = { render: (name) => (name === 'pagerduty/summary' ? 'the summary' : 'the description') }

function input(fields: Partial<EventInput> = {}): EventInput {
  return {
    incident: incidentView(),
    page: page(),
    routingKey: KEY,
    installation: 'prod',
    renderer: texts,
    clientUrl: undefined,
    now: NOW,
    ...fields,
  }
}

const details = (fields: Partial<EventInput> = {}) => triggerEvent(input(fields)).payload?.custom_details ?? {}

test('dedup key: claw/<installation>/<incident>, and the page key of a worsening', () => {
  assert.equal(dedupKey('prod', '12', ''), 'claw/prod/12')
  assert.equal(dedupKey('prod', '12', '2'), 'claw/prod/12/2')
})

test('dedup key: one that is too long is hashed, and still tells pages apart', () => {
  const [main, second] = [dedupKey('x'.repeat(400), '12', ''), dedupKey('x'.repeat(400), '12', '1')]
  assert.ok(main.length <= LIMITS.dedupKey)
  assert.notEqual(main, second)
  assert.equal(main, dedupKey('x'.repeat(400), '12', ''))
})

test('acknowledge and resolve carry key and action only', () => {
  assert.deepEqual(plainEvent('resolve', input({ page: page({ key: '1' }) })), {
    routing_key: KEY,
    event_action: 'resolve',
    dedup_key: 'claw/prod/12/1',
  })
})

test('trigger: the whole event', () => {
  assert.deepEqual(triggerEvent(input()), {
    routing_key: KEY,
    event_action: 'trigger',
    dedup_key: 'claw/prod/12',
    client: 'Claw',
    client_url: 'https://claw.example.com/incidents/12',
    links: [
      { href: 'http://prometheus:9090/graph?g0.expr=openclaw_token_bucket_available', text: 'Prometheus graph' },
      { href: 'https://runbooks.example.com/bucket', text: 'Runbook' },
      { href: 'https://claw.example.com/incidents/12', text: 'Incident 12 in Claw' },
    ],
    payload: {
      summary: 'the summary',
      source: 'A, B',
      severity: 'critical',
      timestamp: '2026-05-04T02:17:00.000Z',
      component: 'rating-api',
      group: 'service=rating-api',
      class: 'exhaustion',
      custom_details: {
        summary: 'the summary',
        description: 'the description',
        region: 'A, B',
        bucket_level: '4 % (edge), falling',
        level: 'P1',
        level_reason: 'severity="critical"',
        page_reason: 'opened as P1',
        next_step: 'Acknowledge, then reconcile A and B.',
        graph_url: 'http://prometheus:9090/graph?g0.expr=openclaw_token_bucket_available',
        runbook_url: 'https://runbooks.example.com/bucket',
        alerts: { firing: 2, resolved: 0, total: 2, suppressed: 0 },
        alert_names: ['TokenBucketDepleted'],
        labels: { alertname: 'TokenBucketDepleted', region: 'A', service: 'rating-api' },
      },
    },
  })
})

test('trigger: severity by level', () => {
  const severity = (level: 'P1' | 'P2' | 'P3') =>
    triggerEvent(input({ incident: incidentView({ level }) })).payload?.severity
  assert.deepEqual([severity('P1'), severity('P2'), severity('P3')], ['critical', 'error', 'info'])
})

test('trigger: a broken template costs its text, not the page', () => {
  const renderer: Renderer = {
    render() {
      throw new Error('broken')
    },
  }
  const { summary, description } = details({ renderer })
  assert.equal(summary, 'P1 · Bucket empty in A and B · 4 % left, falling · rating-api')
  assert.equal(description, summary)
})

test('trigger: templates are given the incident, the page it is for, and the time', () => {
  const rendered: unknown[] = []
  const renderer: Renderer = {
    render(name, data) {
      rendered.push([name, data])
      return 'x'
    },
  }
  const given = input({ renderer, page: page({ key: '1' }) })
  triggerEvent(given)
  const data = { incident: given.incident, page: given.page, now: NOW }
  assert.deepEqual(rendered, [
    ['pagerduty/summary', data],
    ['pagerduty/description', data],
  ])
})

test('trigger: source and region are never empty', () => {
  const nowhere = { regions: [], allRegions: [] }
  const byKey = triggerEvent(input({ incident: incidentView(nowhere) })).payload
  assert.equal(byKey?.source, 'rating-api')
  assert.equal(byKey?.custom_details.region, 'unknown')
  const nothing = triggerEvent(input({ incident: incidentView({ ...nowhere, key: { service: '' } }) })).payload
  assert.equal(nothing?.source, 'claw')
  const gone = triggerEvent(input({ incident: incidentView({ regions: [], allRegions: ['B'] }) })).payload
  assert.equal(gone?.source, 'B')
})

test('trigger: only strict http(s) URLs become links', () => {
  for (const bad of [
    'javascript:alert(1)',
    'http://x/<b>',
    'http://x/a|b',
    'http://x/a b',
    'http://x/\u0000',
    'ftp://x/',
  ]) {
    const incident = incidentView({ graphUrl: bad, runbookUrl: bad, incidentUrl: bad })
    const event = triggerEvent(input({ incident }))
    assert.deepEqual(event.links, [], bad)
    assert.equal(event.client_url, undefined, bad)
    assert.equal(event.payload?.custom_details.graph_url, null, bad)
  }
})

test('trigger: Claw’s own address stands in for an incident without a page', () => {
  const incident = incidentView({ incidentUrl: null })
  assert.equal(
    triggerEvent(input({ incident, clientUrl: 'https://claw.example.com/' })).client_url,
    'https://claw.example.com/',
  )
})

test('trigger: hostile text arrives well-formed, in one line and within the limits', () => {
  const nasty = `\u0000\ud800 a\nb\u202e \u001b[31m ${'€😀'.repeat(20_000)}`
  const renderer: Renderer = { render: () => nasty }
  const labels = Object.fromEntries([
    ...Array.from({ length: 500 }, (_, n): [string, string] => [`l${n}${nasty}`, nasty]),
    ['__proto__', nasty],
  ])
  const incident = incidentView({
    headline: nasty,
    what: nasty,
    levelReason: nasty,
    nextStep: nasty,
    regions: Array.from({ length: 300 }, () => nasty),
    key: { service: nasty },
    alertNames: Array.from({ length: 300 }, () => nasty),
    alerts: [alertView({ labels })],
  })
  const event = triggerEvent(input({ incident, renderer, page: page({ reason: nasty }) }))
  const wire = JSON.stringify(event)
  assert.ok(Buffer.byteLength(wire) < LIMITS.eventBytes, `${Buffer.byteLength(wire)} bytes`)
  assert.ok(wire.isWellFormed())
  assert.doesNotMatch(wire, /\\u0000|\\ud8|\\u001b|\u202e/)
  const summary = event.payload?.summary ?? ''
  assert.ok(summary.length <= LIMITS.summary && summary.length > 1_000)
  assert.doesNotMatch(summary, /\n/)
  assert.ok(summary.isWellFormed())
  assert.ok((event.payload?.source.length ?? 0) <= LIMITS.source)
  assert.equal(event.dedup_key, 'claw/prod/12')
})

test('trigger: what matters least is cut first', () => {
  const labels = Object.fromEntries(Array.from({ length: 64 }, (_, n) => [`label${n}`, '€'.repeat(4_000)]))
  const incident = incidentView({ alerts: [alertView({ labels })] })
  const cutLabels = details({ incident })
  assert.ok(Object.values(cutLabels.labels as object).every((value) => value.length === 256))
  assert.equal(cutLabels.description, 'the description')
  assert.equal(cutLabels.graph_url, incident.graphUrl)
})

test('bucket level in words', () => {
  const text = (ratio: number | null, trend: 'falling' | null = null, source: 'edge' | 'unknown' = 'edge') =>
    bucketText({ ratio, trend, source })
  assert.equal(text(0.04, 'falling'), '4 % (edge), falling')
  assert.equal(text(0.004), '0.4 % (edge)')
  assert.equal(text(0), '0 % (edge)')
  assert.equal(text(1, null, 'unknown'), '100 %')
  assert.equal(text(null, null, 'unknown'), 'unknown')
  assert.equal(text(Number.NaN), 'unknown')
})

test('cut never halves a character; safeText keeps line breaks', () => {
  assert.equal(cut('ab😀cd', 4), 'ab…')
  assert.equal(cut('abcd', 4), 'abcd')
  assert.equal(safeText('a\r\nb\tc\u0000'), 'a\nb\tc\ufffd')
})
