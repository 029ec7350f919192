import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { createEdge } from '../../../src/sandbox/edge.ts'
import { renderMetrics } from '../../../src/sandbox/metrics.ts'

type Series = { name: string; labels: Record<string, string>; value: number }

/** A strict reader of the text format, version 0.0.4: families in one piece, HELP and TYPE first, no series twice. */
function parse(text: string): { types: Map<string, string>; series: Series[] } {
  assert.ok(text.endsWith('\n'))
  const types = new Map<string, string>()
  const series: Series[] = []
  const seen = new Set<string>()
  let family = ''
  for (const line of text.slice(0, -1).split('\n')) {
    const [, help] = /^# HELP ([a-z_]+) \S.*$/.exec(line) ?? []
    if (help !== undefined) {
      assert.ok(!types.has(help), `${help} in two pieces`)
      family = help
      continue
    }
    const [, typed, type] = /^# TYPE ([a-z_]+) (gauge|counter|histogram)$/.exec(line) ?? []
    if (typed !== undefined && type !== undefined) {
      assert.equal(typed, family)
      types.set(typed, type)
      continue
    }
    const [, name = '', inner = '', number = ''] = /^([a-z_]+)\{(.*)\} (\S+)$/.exec(line) ?? []
    const suffixes = types.get(family) === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']
    assert.ok(
      suffixes.some((suffix) => name === family + suffix),
      `${line} is no part of ${family}`,
    )
    const pairs = [...inner.matchAll(/([a-z_]+)="([^"\\\n]*)"(?:,|$)/g)]
    assert.equal(pairs.map((pair) => pair[0]).join(''), inner)
    assert.ok(!seen.has(`${name}{${inner}}`), `${line} twice`)
    seen.add(`${name}{${inner}}`)
    assert.ok(number !== '' && Number.isFinite(Number(number)), line)
    const labels = Object.fromEntries(pairs.map(([, key = '', value = '']) => [key, value]))
    series.push({ name, labels, value: Number(number) })
  }
  return { types, series }
}

function busy() {
  const edge = createEdge({ now: 1_700_000_000_000 })
  edge.press(['A'], { demandFactor: 5, errorRatio: 0.02 })
  edge.step(20_000)
  return edge
}

test('every metric of the rules is there, with its type, its unit in the name, service and region', () => {
  const { types, series } = parse(renderMetrics(busy()) ?? '')
  const wanted = {
    openclaw_token_bucket_available: 'gauge',
    openclaw_bucket_utilization: 'gauge',
    openclaw_bucket_capacity_tokens: 'gauge',
    openclaw_token_bucket_refill_rate: 'gauge',
    openclaw_requests_total: 'counter',
    openclaw_request_duration_seconds: 'histogram',
    openclaw_crdt_sync_lag_seconds: 'gauge',
    openclaw_replication_jitter_seconds: 'gauge',
    openclaw_crdt_conflicts_total: 'counter',
    openclaw_token_delta_variance: 'gauge',
    openclaw_rating_score: 'gauge',
    openclaw_canary_weight: 'gauge',
    openclaw_build_info: 'gauge',
  }
  assert.deepEqual(Object.fromEntries(types), wanted)
  for (const { name, labels } of series) {
    assert.equal(labels.service, 'rating-api', name)
    assert.ok(labels.region === 'A' || labels.region === 'B', name)
  }
  const codes = new Set(series.filter((one) => one.name === 'openclaw_requests_total').map((one) => one.labels.code))
  assert.deepEqual([...codes].sort(), ['200', '429', '503'])
})

test('histograms are cumulative, end in +Inf, and agree with their count and with the requests', () => {
  const { series } = parse(renderMetrics(busy()) ?? '')
  const of = (name: string, node: string) => series.filter((one) => one.name === name && one.labels.node === node)
  for (const node of ['a-1', 'a-2', 'a-3', 'b-1', 'b-2', 'b-3']) {
    const buckets = of('openclaw_request_duration_seconds_bucket', node)
    const values = buckets.map((one) => one.value)
    assert.deepEqual(
      values,
      [...values].sort((x, y) => x - y),
    )
    assert.equal(buckets.at(-1)?.labels.le, '+Inf')
    assert.equal(values.at(-1), of('openclaw_request_duration_seconds_count', node)[0]?.value)
    const requests = of('openclaw_requests_total', node).reduce((sum, one) => sum + one.value, 0)
    assert.ok(Math.abs(requests - (values.at(-1) ?? 0)) <= 3, `${requests} requests, ${values.at(-1)} durations`)
  }
})

test('counters never fall while a region lives, and begin anew when it comes back', () => {
  const edge = busy()
  const total = () =>
    parse(renderMetrics(edge, 'A') ?? '')
      .series.filter((one) => one.name === 'openclaw_requests_total')
      .reduce((sum, one) => sum + one.value, 0)
  const before = total()
  edge.step(5_000)
  const after = total()
  assert.ok(after > before)
  edge.press(['A'], { down: true })
  edge.press(['A'], { down: false })
  edge.step(1_000)
  assert.ok(total() < before)
})

test('a region that is down has no series and no page of its own', () => {
  const edge = busy()
  edge.press(['A'], { down: true })
  assert.equal(renderMetrics(edge, 'A'), null)
  assert.equal(renderMetrics(edge, 'nowhere'), null)
  const { series } = parse(renderMetrics(edge) ?? '')
  assert.deepEqual([...new Set(series.map((one) => one.labels.region))], ['B'])
})

test('promtool finds nothing to complain about, where it is installed', (t) => {
  const answer = spawnSync('promtool', ['check', 'metrics'], { input: renderMetrics(busy()) ?? '', encoding: 'utf8' })
  if (answer.error) {
    t.diagnostic('promtool is not on the PATH; the strict reader of the other tests stands alone')
    return
  }
  assert.equal(`${answer.stdout}${answer.stderr}`, '')
  assert.equal(answer.status, 0)
})
