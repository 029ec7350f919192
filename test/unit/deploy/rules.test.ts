import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { formatDuration, parseDuration } from '../../../src/core/duration.ts'
import { CLASSES, DEFAULT_CLASSES } from '../../../src/core/severity.ts'
import { createEdge } from '../../../src/sandbox/edge.ts'
import { renderMetrics } from '../../../src/sandbox/metrics.ts'
import { RULES } from '../../../src/sandbox/rules.ts'
import { run, skipped } from './programs.ts'
import { type AlertRule, deployed, readRules } from './rules-file.ts'

const { text, alerts, recordings } = readRules()

/** The table of system.md, section 2, row by row: what raises it, after which time, how badly, and the limits. */
const ROWS: readonly [row: string, alert: string, severity: string, wait: string, limits: readonly RegExp[]][] = [
  ['bucket nearly empty', 'TokenBucketDepleted', 'critical', '2m', [/token_bucket_available\) < 0\.10$/]],
  ['bucket collapsing', 'TokenBucketCollapsing', 'critical', '30s', [/token_bucket_available\) < 0\.05$/]],
  ['sudden drop', 'TokenBucketSuddenDrop', 'warning', '1m', [/available\) < 0\.20\b/, /available\[5m\]\)\) >= 0\.20/]],
  ['partial depletion', 'TokenBucketLow', 'warning', '15m', [/available\) >= 0\.20/, /available\) <= 0\.50/]],
  ['soft limit', 'TokenBucketSoftLimit', 'info', '10m', [/token_bucket_available\) <= 0\.30$/]],
  ['depletion speed', 'TokenBucketDepletionFast', 'critical', '0s', [/max_over_time\(.*\[5m\]\)/, /> 0\.90\b/]],
  ['wrong refusals', 'WrongRefusals', 'critical', '2m', [/wrong_refusals:ratio_rate1m > 0\.05$/]],
  ['unthrottled', 'Unthrottled', 'critical', '2m', [/admitted_to_refill:ratio > 1\.2$/]],
  ['traffic spike', 'TrafficSpike', 'info', '2m', [/offered:baseline > 0\) > 2$/]],
  ['sync lag', 'CrdtSyncLagHigh', 'info', '10m', [/lag_seconds\) >= 0\.5/, /lag_seconds\) <= 2/]],
  ['sync lag, worse', 'CrdtSyncLagHigh', 'warning', '1m', [/crdt_sync_lag_seconds\) > 2$/]],
  ['jitter', 'ReplicationJitterHigh', 'warning', '2m', [/jitter_seconds:p95_1m > 0\.15$/]],
  ['conflicts', 'CrdtConflictsHigh', 'warning', '2m', [/conflicts:per_minute > 10$/]],
  ['drift', 'CrdtDriftHigh', 'warning', '1m', [/token_delta_variance\) > 0\.05$/]],
  [
    'drift, worse',
    'CrdtDriftHigh',
    'critical',
    '1m',
    [/variance\) > 0\.05/, /and region:openclaw_wrong_refusals.* > 0\.05/],
  ],
  ['latency', 'LatencyHigh', 'critical', '2m', [/request_duration_seconds:p95_1m > 0\.2$/]],
  ['errors', 'ErrorRateHigh', 'critical', '2m', [/errors:ratio_rate1m > 0\.005$/]],
  ['region down', 'RegionDown', 'critical', '1m', [/\bup\{.*== 0/, /probe_success\{.*== 0/, /unless/]],
  ['canary quality', 'CanaryRatingLow', 'warning', '30s', [/openclaw_rating_score\) < 0\.70$/]],
  ['canary, inconclusive', 'CanaryRatingInconclusive', 'info', '10m', [/score\) >= 0\.70/, /score\) < 0\.85/]],
  ['no signal at all', 'Watchdog', 'none', '0s', [/^vector\(1\)$/]],
]

const keyOf = (alert: string, severity: string | undefined) => `${alert} ${severity}`
const nameOf = (rule: AlertRule) => keyOf(rule.alert, rule.labels.severity)
const waitOf = (rule: AlertRule) => formatDuration(parseDuration(rule.for ?? '0s'))

for (const [row, alert, severity, wait, limits] of ROWS) {
  test(`the row «${row}» has its rule, ${alert}`, () => {
    const rules = alerts.filter((rule) => nameOf(rule) === keyOf(alert, severity))
    assert.equal(rules.length, 1)
    const [rule] = rules
    assert.ok(rule)
    assert.equal(waitOf(rule), wait)
    for (const limit of limits) assert.match(rule.expr, limit)
  })
}

test('no alert stands outside the table, and the fill level raises none', () => {
  assert.deepEqual(alerts.map(nameOf).sort(), ROWS.map(([, alert, severity]) => keyOf(alert, severity)).sort())
  assert.ok(recordings.some((rule) => rule.expr.includes('openclaw_bucket_utilization')))
  for (const rule of alerts) assert.doesNotMatch(rule.expr, /bucket_utilization/)
})

/** A function for counters around one of the gauges, with or without `sum(…)`-like wrapping or a subquery. */
const COUNTER_FUNCTION_OVER_GAUGE =
  /\b(?:i?rate|increase|resets)\s*\([^()[\]]*\b\w*(?:token_bucket_available|rating_score|crdt_sync_lag|token_delta_variance|bucket_utilization)\b/

test('gauges are never treated as counters, in rules, tests and configuration alike', () => {
  assert.match('rate(openclaw_token_bucket_available[5m])', COUNTER_FUNCTION_OVER_GAUGE)
  assert.match('irate( openclaw_rating_score{region="A"}[5m] )', COUNTER_FUNCTION_OVER_GAUGE)
  const folder = deployed('prometheus')
  for (const file of readdirSync(folder)) {
    assert.doesNotMatch(readFileSync(`${folder}/${file}`, 'utf8'), COUNTER_FUNCTION_OVER_GAUGE, file)
  }
})

test('each alert says which class it is of, by its name or by a label', () => {
  for (const { alert, labels } of alerts) {
    if (alert === 'Watchdog') continue
    const known = DEFAULT_CLASSES[alert] ?? labels.class
    assert.ok(
      CLASSES.some((name) => name === known),
      `${alert} has the class ${known}`,
    )
    if (labels.class) assert.equal(DEFAULT_CLASSES[alert] ?? labels.class, labels.class)
  }
})

test('each alert keeps region and service, and no label of a node, an instance or a Prometheus', () => {
  for (const { alert, expr, labels } of alerts) {
    if (alert === 'Watchdog') continue
    const bare = expr
      .replace(/\b(?:min|max) by \(region, service\) \((?:\w+_over_time\()?[^()]*\)+/g, 'AGGREGATED')
      .replace(/\bregion:openclaw_\w+:\w+/g, 'AGGREGATED')
    assert.match(bare, /AGGREGATED/, alert)
    assert.doesNotMatch(bare, /openclaw_|\bup\{|probe_success|ALERTS/, `${alert} reads a series of a node`)
    for (const label of Object.keys(labels)) assert.match(label, /^(?:severity|class|self_healing)$/)
  }
  for (const { record, expr } of recordings) {
    assert.match(record, /^region:/)
    assert.doesNotMatch(expr, /without|\bby \((?!region, service\b|region\))/, record)
  }
  const healing = alerts.filter((rule) => rule.labels.self_healing === 'true').map((rule) => rule.alert)
  assert.deepEqual(healing.sort(), ['CrdtConflictsHigh', 'TokenBucketCollapsing'])
})

test('each alert explains itself, on a lock screen too', () => {
  for (const rule of alerts) {
    const { summary = '', description = '', runbook_url = '', bucket_ratio } = rule.annotations
    const shown = summary
      .replace('{{ $labels.region }}', 'eu-central-1')
      .replace(/\{\{ \$value[^}]*\}\}|\{\{ printf[^}]*\}\}/, '99.99%')
    assert.doesNotMatch(shown, /[{}]/, `${rule.alert}: ${summary}`)
    // Claw puts `P1 · ` before it and ` · <service>` behind it, 120 characters in all.
    assert.ok(shown.length >= 10 && shown.length <= 80, `${rule.alert}: ${summary}`)
    if (rule.alert !== 'Watchdog') assert.match(summary, /\{\{ \$labels\.region \}\}/, rule.alert)
    assert.ok(description.endsWith('.') && description.length > 40, `${rule.alert}: ${description}`)
    const url = new URL(runbook_url)
    assert.equal(url.protocol, 'https:')
    assert.ok(url.pathname.endsWith(`/${rule.alert}`), runbook_url)
    assert.equal(bucket_ratio, rule.alert.startsWith('TokenBucket') ? '{{ $value }}' : undefined, rule.alert)
  }
})

test('the sandbox raises the same alerts after the same time and with the same labels', () => {
  const row = (alert: string, labels: Record<string, string>, wait: string) =>
    JSON.stringify([alert, wait, Object.entries(labels).sort()])
  assert.deepEqual(
    RULES.map((rule) => row(rule.alert, { severity: rule.severity, ...rule.labels }, formatDuration(rule.for))).sort(),
    alerts
      .filter((rule) => rule.alert !== 'Watchdog')
      .map((rule) => row(rule.alert, rule.labels, waitOf(rule)))
      .sort(),
  )
})

test("the sandbox's edge exports every metric that the rules read, with region and service", () => {
  const exported = renderMetrics(createEdge({ now: 0 })) ?? ''
  const read = new Set(
    [...alerts, ...recordings].flatMap((rule) => rule.expr.match(/(?<![:\w])openclaw_\w+(?![:\w])/g) ?? []),
  )
  assert.ok(read.size >= 10)
  // the jitter is a gauge there; the rules also understand a histogram
  read.delete('openclaw_replication_jitter_seconds_bucket')
  for (const metric of read) assert.match(exported, new RegExp(`^${metric}\\{service="[^"]+",region="[^"]+"`, 'm'))
})

for (const file of ['claw.rules.test.yaml', 'traffic.rules.test.yaml']) {
  test(`promtool test rules ${file}`, (t) => {
    const done = run('promtool', ['test', 'rules', deployed(`prometheus/${file}`)])
    if (!done) return t.skip(skipped('promtool'))
    assert.equal(done.code, 0, done.output)
    assert.match(done.output, /SUCCESS/)
  })
}

test('each alert has a promtool test in which it fires', () => {
  const tests = ['claw.rules.test.yaml', 'traffic.rules.test.yaml']
    .map((file) => readFileSync(deployed(`prometheus/${file}`), 'utf8'))
    .join('\n')
  for (const { alert, labels } of alerts) {
    const samples = tests.match(new RegExp(`^ *- labels: ALERTS\\{alertname="${alert}", alertstate="firing".*$`, 'gm'))
    const blocks = tests.match(new RegExp(`alertname: ${alert}\\n +exp_alerts:\\n.*$`, 'gm'))
    const fired = [...(samples ?? []), ...(blocks ?? [])].join('\n')
    assert.match(fired, new RegExp(`severity(?:="|: )${labels.severity}\\b`), `${alert} ${labels.severity}`)
  }
})

test('the rules, Prometheus and Alertmanager examples are valid for the programs themselves', (t) => {
  const rules = run('promtool', ['check', 'rules', '--lint=all', deployed('prometheus/claw.rules.yaml')])
  const prometheus = run('promtool', ['check', 'config', deployed('prometheus/prometheus.yaml')])
  const alertmanager = run('amtool', ['check-config', deployed('alertmanager/alertmanager.yaml')])
  if (!rules || !prometheus || !alertmanager) return t.skip(skipped('promtool or amtool'))
  for (const done of [rules, prometheus, alertmanager]) assert.equal(done.code, 0, done.output)
  assert.match(rules.output, new RegExp(`SUCCESS: ${alerts.length + recordings.length} rules found`))
  assert.ok(text.includes('promtool test rules'))
})
