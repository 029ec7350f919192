import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type AlertSourceOptions, createAlertSource } from '../../../src/sandbox/alertsource.ts'
import { createEdge } from '../../../src/sandbox/edge.ts'
import type { SourceAlert } from '../../../src/sandbox/evaluator.ts'
import { fingerprintOf } from '../../../src/sandbox/fingerprint.ts'
import { goTime } from '../../../src/sandbox/webhook-body.ts'
import { capture, handClock } from './world-capture.ts'

async function bench(t: TestContext, options: Partial<AlertSourceOptions> = {}) {
  const clock = handClock()
  const claw = await capture(clock)
  const source = createAlertSource({
    clock,
    url: () => `${claw.url}/webhooks/alertmanager`,
    base: () => claw.url,
    ...options,
  })
  t.after(async () => {
    source.stop()
    await claw.close()
  })
  /** Rounds of 250 ms; alerts by hand only. */
  const pass = async (seconds: number) => {
    for (let i = 0; i < seconds * 4; i++) {
      clock.add(250)
      await source.flush()
    }
  }
  return { clock, claw, source, pass }
}

function alert(clock: () => number, labels: Record<string, string>): SourceAlert {
  return {
    fingerprint: fingerprintOf(labels),
    labels,
    annotations: { summary: `Bucket of ${labels.region}`, shared: 'yes' },
    startsAt: clock(),
    endsAt: null,
    generatorURL: 'http://127.0.0.1/graph',
  }
}

const EMPTY = { alertname: 'TokenBucketDepleted', region: 'A', service: 'rating-api', severity: 'critical' }
const OTHER = { ...EMPTY, region: 'B' }

test('fingerprints are those that Alertmanager 0.25 gave the same labels', () => {
  assert.equal(fingerprintOf(EMPTY), '8c76e22284536c92')
  assert.equal(fingerprintOf({ severity: 'none', alertname: 'Watchdog' }), '448881ef475b9b26')
  assert.equal(fingerprintOf({ alertname: 'Ümlaut', zone: 'é\u0001x', a: 'b' }), '074d1cdc2c0624ca')
  // the offset basis: an empty label set
  assert.equal(fingerprintOf({}), 'cbf29ce484222325')
})

test('times carry nanoseconds as Go prints them', () => {
  assert.equal(goTime(Date.UTC(2026, 0, 2, 3, 4, 5, 678), 901_234), '2026-01-02T03:04:05.678901234Z')
  assert.equal(goTime(Date.UTC(2026, 0, 2, 3, 4, 5, 670), 0), '2026-01-02T03:04:05.67Z')
  assert.equal(goTime(Date.UTC(2026, 0, 2, 3, 4, 5), 0), '2026-01-02T03:04:05Z')
})

test('a group waits, is posted whole with what is common, and is resolved with the same start', async (t) => {
  const { clock, claw, source, pass } = await bench(t)
  source.inject([alert(clock, EMPTY), alert(clock, OTHER)])
  await pass(0.75)
  assert.equal(claw.hooks().length, 0, 'group_wait of 10 s is one second here')
  await pass(0.5)
  const [first] = claw.hooks()
  assert.ok(first)
  assert.equal(first.path, '/webhooks/alertmanager')
  assert.equal(first.authorization, 'Bearer sandbox')
  assert.deepEqual(
    { ...first, alerts: first.alerts.length, at: 0, authorization: '', path: '' },
    {
      receiver: 'claw',
      status: 'firing',
      alerts: 2,
      groupLabels: { service: 'rating-api' },
      commonLabels: { alertname: 'TokenBucketDepleted', service: 'rating-api', severity: 'critical' },
      commonAnnotations: { shared: 'yes' },
      externalURL: `${claw.url}/sandbox/alertmanager`,
      version: '4',
      groupKey: '{}:{service="rating-api"}',
      truncatedAlerts: 0,
      at: 0,
      authorization: '',
      path: '',
    },
  )
  assert.match(first.alerts[0]?.startsAt ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{4,9}Z$/)
  assert.equal(first.alerts[0]?.endsAt, '0001-01-01T00:00:00Z')

  source.withdraw(clock(), 1)
  await pass(5)
  const second = claw.hooks()[1]
  assert.deepEqual(second?.alerts.map((one) => one.status).sort(), ['firing', 'resolved'])
  assert.equal(second?.status, 'firing')
  source.withdraw(clock())
  await pass(5)
  const third = claw.hooks()[2]
  assert.equal(third?.status, 'resolved')
  assert.deepEqual(
    third?.alerts.map((one) => one.labels.region),
    ['B'],
  )
  const starts = claw.hooks().flatMap((hook) => hook.alerts.map((one) => one.startsAt))
  assert.equal(new Set(starts).size, 1)
  await pass(30)
  assert.equal(claw.hooks().length, 3)
})

test('nothing new is repeated only after repeat_interval, byte for byte', async (t) => {
  const { clock, claw, source, pass } = await bench(t, { rhythm: { repeatInterval: 600_000 } })
  source.inject([alert(clock, EMPTY)])
  await pass(50)
  assert.equal(claw.hooks().length, 1)
  await pass(20)
  const [first, second, ...more] = claw.hooks()
  assert.equal(more.length, 0)
  assert.deepEqual({ ...second, at: 0 }, { ...first, at: 0 })
})

test('5xx and dead sockets are retried with growing pauses, then it arrives once', async (t) => {
  const { clock, claw, source, pass } = await bench(t)
  claw.box.answer = 503
  source.inject([alert(clock, EMPTY)])
  await pass(4)
  const tries = claw.hooks().length
  assert.ok(tries >= 3 && tries <= 8, `${tries} tries in three seconds`)
  claw.box.answer = 'reset'
  await pass(3)
  assert.ok(claw.hooks().length > tries)
  claw.box.answer = 200
  const before = claw.hooks().length
  await pass(60)
  assert.equal(claw.hooks().length, before + 1)
  const log = source.log()
  assert.deepEqual([log[0]?.status, log.at(-1)?.status], [503, 200])
  assert.ok(log.some((entry) => entry.status === null && entry.error !== null))
  assert.ok(!JSON.stringify(log).includes('Bearer'))
})

test('4xx is tried once a turn, and an alert that ended meanwhile is never sent', async (t) => {
  const { clock, claw, source, pass } = await bench(t)
  claw.box.answer = 429
  source.inject([alert(clock, EMPTY)])
  await pass(5)
  assert.equal(claw.hooks().length, 1)
  await pass(5)
  assert.equal(claw.hooks().length, 2)
  claw.box.answer = 200
  source.withdraw(clock())
  await pass(30)
  assert.equal(claw.hooks().length, 2, 'neither firing nor resolved')
})

test('an HA pair posts copies that differ in externalURL, then stale firing and a second resolve', async (t) => {
  const { clock, claw, source, pass } = await bench(t, { ha: true })
  source.inject([alert(clock, EMPTY)])
  await pass(2)
  const [one, two] = claw.hooks()
  assert.notEqual(one?.externalURL, two?.externalURL)
  assert.deepEqual({ ...one, externalURL: '' }, { ...two, externalURL: '' })
  source.withdraw(clock())
  await pass(40)
  const told = claw.hooks().map((hook) => ({ status: hook.status, at: hook.at, start: hook.alerts[0]?.startsAt }))
  assert.deepEqual(
    told.map((hook) => hook.status),
    ['firing', 'firing', 'resolved', 'resolved', 'firing', 'resolved'],
  )
  const [, , resolved, , stale, last] = told
  assert.deepEqual([(stale?.at ?? 0) - (resolved?.at ?? 0), (last?.at ?? 0) - (resolved?.at ?? 0)], [3_000, 15_000])
  assert.equal(new Set(told.map((hook) => hook.start)).size, 1)
})

test('max_alerts cuts the list and says how many are missing', async (t) => {
  const { clock, claw, source, pass } = await bench(t, { maxAlerts: 1 })
  source.inject([alert(clock, EMPTY), alert(clock, OTHER)])
  await pass(2)
  assert.deepEqual(
    claw.hooks().map((hook) => [hook.alerts.length, hook.truncatedAlerts]),
    [[1, 1]],
  )
})

test('the watchdog beats from the start, in a group of its own, and stops while muted', async (t) => {
  const { clock, claw, source, pass } = await bench(t)
  const edge = createEdge({ now: clock() })
  await source.tick(clock(), edge.view())
  await pass(65)
  const beats = claw.all.filter((hook) => hook.groupLabels.alertname === 'Watchdog')
  assert.equal(beats.length, 3)
  assert.equal(beats[0]?.groupKey, '{}/{alertname="Watchdog"}:{alertname="Watchdog"}')
  assert.deepEqual([source.heartbeat().sent, source.heartbeat().last_status], [3, 200])
  assert.deepEqual(source.log(), [], 'heartbeats do not push alerts out of the log')
  source.mute(true)
  await pass(120)
  assert.equal(claw.all.length, 3)
})

test('a rule fires only after its time, with the value in words, and a series that vanishes resolves', async (t) => {
  const { clock, source } = await bench(t)
  const edge = createEdge({ now: clock() })
  const pass = (seconds: number) => {
    for (let i = 0; i < seconds; i++) {
      clock.add(1_000)
      edge.step(1_000)
      source.observe(clock(), edge.view())
    }
  }
  const names = () => source.active().map((one) => `${one.labels.alertname}/${one.labels.region}`)
  pass(5)
  edge.press(['A'], { drainPerSecond: 8_000 })
  pass(4)
  assert.ok(!names().includes('TokenBucketCollapsing/A'), 'for: 30s is three seconds')
  pass(2)
  const collapsing = source.active().find((one) => one.labels.alertname === 'TokenBucketCollapsing')
  assert.deepEqual(collapsing?.labels, {
    alertname: 'TokenBucketCollapsing',
    region: 'A',
    service: 'rating-api',
    severity: 'critical',
    self_healing: 'true',
  })
  assert.match(collapsing?.annotations.description ?? '', /has 0 % left/)
  assert.equal(collapsing?.annotations.bucket_ratio, '0')
  for (const key of ['summary', 'runbook_url', 'dashboard']) assert.ok(collapsing?.annotations[key], key)
  assert.ok(!names().includes('TokenBucketDepleted/A'))
  pass(10)
  assert.ok(names().includes('TokenBucketDepleted/A'))
  const startsAt = collapsing?.startsAt
  assert.equal(source.active().find((one) => one.fingerprint === collapsing?.fingerprint)?.startsAt, startsAt)

  edge.press(['A'], { down: true })
  pass(1)
  assert.deepEqual(names(), ['Watchdog/undefined'])
  pass(6)
  assert.deepEqual(names(), ['Watchdog/undefined', 'RegionDown/A'])
})
