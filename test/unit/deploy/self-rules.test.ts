import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, type TestContext, test } from 'node:test'
import { parse } from 'yaml'
import { z } from 'zod'
import { configSchema } from '../../../src/config/index.ts'
import { clawSeries, labelsOf, missingFrom, type Series } from './exported.ts'
import { run, skipped } from './programs.ts'
import { readsOf } from './promql.ts'
import { deployed } from './rules-file.ts'

const Rule = z.strictObject({
  alert: z.string(),
  expr: z.string(),
  for: z.string().optional(),
  labels: z.strictObject({ severity: z.enum(['critical', 'warning']), claw_self: z.literal('true') }),
  annotations: z.strictObject({ summary: z.string(), description: z.string(), runbook_url: z.string() }),
})
const RulesFile = z.strictObject({ groups: z.array(z.strictObject({ name: z.string(), rules: z.array(Rule) })) })

const read = (path: string) => readFileSync(deployed(path), 'utf8')
const FILE = 'prometheus/claw-self.rules.yaml'
const text = read(FILE)
const rules = RulesFile.parse(parse(text)).groups.flatMap((group) => group.rules)
const tests = read('prometheus/claw-self.rules.test.yaml')

let series: Series[] = []
before(async (t) => {
  series = await clawSeries(t as TestContext)
})

/** What can go wrong with Claw, and the rules that say so. */
const FAILURES: readonly [failure: string, alert: string, severities: string, expr: RegExp][] = [
  ['down', 'ClawDown', 'critical', /^max by \(job\) \(up\{job="claw"\}\) == 0$/],
  ['not scraped', 'ClawNotScraped', 'critical', /^absent\(up\{job="claw"\}\)$/],
  ['one replica down', 'ClawReplicaDown', 'warning', /up\{job="claw"\} == 0\) and/],
  ['restart loop', 'ClawRestarting', 'critical', /changes\(process_start_time_seconds\{job="claw"\}\[15m\]\)\) > 2$/],
  ['configuration refused', 'ClawConfigRefused', 'warning', /claw_config_reload_success\) == 0$/],
  ['refuses alerts', 'ClawRefusesAlerts', 'critical', /\{source="alertmanager", code=~"4\.\."\}\[5m\]\)\) > 0$/],
  ['refuses a platform', 'ClawRefusesPlatform', 'warning', /\{source!="alertmanager", code=~"4\.\."\}/],
  ['cannot store', 'ClawCannotStore', 'critical', /claw_webhooks_total\{code=~"5\.\."\}/],
  ['blind', 'ClawBlind', 'critical', /claw_heartbeat_age_seconds\) > 300$/],
  ['never heard', 'ClawNeverHeard', 'warning', /unless on \(\) claw_heartbeat_age_seconds$/],
  [
    'nothing gets through',
    'ClawDeliveryStuck',
    'critical warning',
    /claw_delivery_pending\{destination!?="pagerduty"\}/,
  ],
  ['slow', 'ClawDeliverySlow', 'critical warning', /histogram_quantile\(0\.95,/],
  ['backlog grows', 'ClawBacklogGrows', 'warning', /claw_delivery_pending offset 10m\)$/],
  ['dead letters', 'ClawDeadLetters', 'critical warning', /claw_dead_letters\{destination!?="pagerduty"\}\) > 0$/],
]

for (const [failure, alert, severities, expr] of FAILURES) {
  test(`«${failure}» raises ${alert}`, () => {
    const found = rules.filter((rule) => rule.alert === alert)
    assert.deepEqual(found.map((rule) => rule.labels.severity).sort(), severities.split(' '))
    for (const rule of found) assert.match(rule.expr, expr)
  })
}

test('no rule stands outside this table', () => {
  assert.deepEqual([...new Set(rules.map((rule) => rule.alert))].sort(), FAILURES.map(([, alert]) => alert).sort())
})

test('Claw exports every metric and label that the rules read', () => {
  const exported = labelsOf(series)
  for (const { expr } of rules) assert.deepEqual(missingFrom(exported, readsOf(expr)), [], expr)
})

test('each alert says what to do, briefly, and where it is written down', () => {
  for (const { alert, annotations } of rules) {
    const shown = annotations.summary.replace(/\{\{[^}]*\}\}/g, 'pagerduty')
    assert.ok(shown.length >= 10 && shown.length <= 80, shown)
    assert.ok(annotations.description.endsWith('.') && annotations.description.length > 60, alert)
    assert.equal(new URL(annotations.runbook_url).pathname, `/claw/${alert}`)
  }
})

test('the job that the rules name is the one that prometheus.yaml scrapes', () => {
  const jobs = new Set(rules.flatMap(({ expr }) => [...expr.matchAll(/\bjob="([^"]*)"/g)].map((match) => match[1])))
  assert.deepEqual([...jobs], ['claw'])
  assert.match(read('prometheus/prometheus.yaml'), /^ {2}- job_name: claw$/m)
})

test('the file explains the switch outside, with keys that the configuration has', () => {
  const head = text.slice(0, text.indexOf('\ngroups:'))
  const [, keys = ''] = /^# {3}heartbeat: (\{.*\})$/m.exec(head) ?? []
  const given = parse(keys.replace(/\$\{file:[^}]*\}/, 'https://watchdog.example.com/abc'))
  assert.equal(configSchema.parse({ heartbeat: given }).heartbeat.ping_interval, 60_000)
  assert.match(head, /dead-man's switch/)
})

test('promtool test rules claw-self.rules.test.yaml', (t) => {
  const checked = run('promtool', ['check', 'rules', '--lint=all', deployed(FILE)])
  const tested = run('promtool', ['test', 'rules', deployed('prometheus/claw-self.rules.test.yaml')])
  if (!checked || !tested) return t.skip(skipped('promtool'))
  assert.equal(checked.code, 0, checked.output)
  assert.match(checked.output, new RegExp(`SUCCESS: ${rules.length} rules found`))
  assert.equal(tested.code, 0, tested.output)
})

test('each alert has a promtool test in which it fires, at each of its severities', () => {
  for (const { alert, labels } of rules) {
    const samples = tests.match(new RegExp(`^ *- labels: ALERTS\\{alertname="${alert}", alertstate="firing".*$`, 'gm'))
    const blocks = tests.match(new RegExp(`alertname: ${alert}\\n +exp_alerts:\\n(?:(?! {6}- )(?! {2}- ).*\\n)*`, 'g'))
    const fired = [...(samples ?? []), ...(blocks ?? [])].join('\n')
    assert.match(fired, new RegExp(`severity(?:="|: )${labels.severity}\\b`), `${alert} ${labels.severity}`)
  }
})

const Route = z.looseObject({ matchers: z.array(z.string()), receiver: z.string() })
const Alertmanager = z.looseObject({
  route: z.looseObject({ receiver: z.string(), routes: z.array(Route) }),
  receivers: z.array(z.looseObject({ name: z.string() })),
})

/** The example of Alertmanager as an operator leaves it who takes the `# ` off the prepared route and receiver. */
const withoutMarks = read('alertmanager/alertmanager.yaml').replace(/^( +)# ((?:- | {2}).*)$/gm, '$1$2')

test("Alertmanager's example has a route past Claw prepared, first in the tree, to a receiver that is not Claw", () => {
  const { route, receivers } = Alertmanager.parse(parse(withoutMarks))
  const [first] = route.routes
  assert.deepEqual(first?.matchers, ['claw_self = "true"'])
  assert.equal(first.continue, undefined, 'Claw is not asked as well')
  const receiver = receivers.find((one) => one.name === first.receiver)
  assert.ok(receiver)
  assert.doesNotMatch(JSON.stringify(receiver), /webhook|claw:8080/)
  const asShipped = Alertmanager.parse(parse(read('alertmanager/alertmanager.yaml')))
  assert.deepEqual(route.routes.slice(1), asShipped.route.routes, 'nothing else changes')
})

test('Alertmanager itself takes that route for the alerts about Claw, and for no others', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'claw-past-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'alertmanager.yaml')
  writeFileSync(file, withoutMarks)
  const lead = (...labels: string[]) =>
    run('amtool', ['config', 'routes', 'test', `--config.file=${file}`, ...labels])
      ?.output.trim()
      .split('\n')
      .at(0)
  const done = run('amtool', ['check-config', file])
  if (!done) return t.skip(skipped('amtool'))
  assert.equal(done.code, 0, done.output)
  const alert = (name: string) => [`alertname=${name}`, 'severity=critical']
  assert.equal(lead('claw_self=true', ...alert('ClawDown')), 'past-claw')
  assert.equal(lead(...alert('Watchdog')), 'claw-heartbeat')
  assert.equal(lead(...alert('TokenBucketDepleted')), 'claw')
})
