import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { SCENARIOS } from '../../../src/sandbox/scenarios.ts'
import { createWorld, type WorldOptions } from '../../../src/sandbox/world.ts'
import { capture, handClock } from './world-capture.ts'

/** A world with a capture server instead of Claw. */
async function stage(t: TestContext, options: Partial<WorldOptions> = {}) {
  const clock = handClock()
  const claw = await capture(clock)
  const world = createWorld({ clock, clawUrl: () => claw.url, ...options })
  t.after(async () => {
    await world.stop()
    await claw.close()
  })
  const start = clock()
  /** Lets `seconds` pass and answers all that fired meanwhile, as `name/region/severity`. */
  const pass = async (seconds: number) => {
    const seen = new Set<string>()
    for (let i = 0; i < seconds * 4; i++) {
      clock.add(250)
      await world.tick()
      for (const { labels } of world.alerts.active()) {
        if (labels.alertname !== 'Watchdog') seen.add(`${labels.alertname}/${labels.region}/${labels.severity}`)
      }
    }
    return seen
  }
  await pass(5)
  return { clock, claw, world, pass, seconds: () => (clock() - start) / 1_000 }
}

test('the contract’s scenarios are all there and each ends within three minutes', () => {
  assert.deepEqual(SCENARIOS.map((scenario) => scenario.name).sort(), [
    'alert-storm',
    'bad-canary',
    'merge-bug',
    'partition',
    'region-outage',
    'traffic-spike',
  ])
  for (const { name, lasts, steps } of SCENARIOS) {
    assert.ok(lasts < 180, name)
    assert.ok(
      steps.every((step, i) => step.at < lasts && step.at >= (steps[i - 1]?.at ?? 0)),
      name,
    )
  }
})

for (const { name, lasts } of SCENARIOS) {
  test(`${name} ends by itself, back to health, with everything reported resolved`, async (t) => {
    const { claw, world, pass } = await stage(t)
    world.start(name)
    const fired = await pass(lasts)
    assert.ok(fired.size > 0)
    assert.deepEqual((world.state() as { scenario: unknown }).scenario, null)
    await pass(180 - lasts)
    assert.deepEqual(
      world.alerts.active().map((alert) => alert.labels.alertname),
      ['Watchdog'],
    )
    for (const region of world.edge.view()) {
      assert.ok(region.healthy && region.bucket.ratio > 0.9 && region.refused_ratio < 0.01, JSON.stringify(region))
      assert.equal(region.version, '1.8.2')
    }
    const last = new Map<string, string>()
    for (const hook of claw.hooks()) for (const alert of hook.alerts) last.set(alert.fingerprint, alert.status)
    assert.ok(last.size > 0)
    assert.deepEqual([...new Set(last.values())], ['resolved'])
  })
}

test('region-outage: the bucket collapses, its alerts resolve because the region dies, and RegionDown fires', async (t) => {
  const { claw, world, pass } = await stage(t)
  world.start('region-outage')
  await pass(29)
  const collapse = claw.hooks().flatMap((hook) => hook.alerts)
  const names = new Set(collapse.map((alert) => alert.labels.alertname))
  for (const name of ['TokenBucketDepletionFast', 'TokenBucketCollapsing', 'TokenBucketDepleted']) {
    assert.ok(names.has(name), name)
  }
  assert.ok(collapse.every((alert) => alert.status === 'firing' && alert.labels.region === 'A'))
  assert.ok((claw.hooks()[0]?.at ?? 0) - 1_700_000_005_000 <= 6_000, 'the first page within six seconds')

  const told = claw.hooks().length
  await pass(12)
  const after = claw.hooks().slice(told)
  const [gone, down] = after
  assert.equal(gone?.status, 'resolved')
  assert.deepEqual(new Set(gone?.alerts.map((alert) => alert.labels.alertname)), new Set([...names]))
  assert.deepEqual(
    down?.alerts.map((alert) => [alert.labels.alertname, alert.status]),
    [['RegionDown', 'firing']],
  )
  assert.equal(down?.alerts[0]?.annotations.bucket_ratio, undefined, 'nobody knows the bucket of a dead region')
  assert.equal(world.edge.isUp('A'), false)
})

test('alert-storm: thousands of distinct alerts, two regions, few services, few webhooks', async (t) => {
  const { claw, world, pass } = await stage(t)
  world.start('alert-storm')
  await pass(30)
  const alerts = claw.hooks().flatMap((hook) => hook.alerts)
  assert.equal(new Set(alerts.map((alert) => alert.fingerprint)).size, 3_000)
  assert.equal(new Set(alerts.map((alert) => JSON.stringify(alert.labels))).size, 3_000)
  assert.deepEqual([...new Set(alerts.map((alert) => alert.labels.region))].sort(), ['A', 'B'])
  assert.deepEqual([...new Set(alerts.map((alert) => alert.labels.service))].sort(), [
    'checkout-api',
    'login-api',
    'rating-api',
  ])
  assert.ok(alerts.every((alert) => alert.labels.ratelimit_key))
  assert.ok(claw.hooks().length <= 12, `${claw.hooks().length} webhooks`)
})

test('traffic-spike: the limiter is right, so nothing claims that it is wrong', async (t) => {
  const { world, pass } = await stage(t)
  world.start('traffic-spike')
  const fired = await pass(95)
  for (const region of ['A', 'B']) {
    for (const name of ['TrafficSpike', 'TokenBucketDepleted']) {
      assert.ok(
        [...fired].some((one) => one.startsWith(`${name}/${region}/`)),
        name,
      )
    }
  }
  assert.ok(![...fired].some((one) => /WrongRefusals|Unthrottled|Drift|Conflicts/.test(one)), [...fired].join(' '))
})

test('merge-bug: some 12 % fail wrongly; a revert and a reconcile cure it before the scenario does', async (t) => {
  const { world, pass } = await stage(t)
  world.start('merge-bug')
  const fired = await pass(40)
  for (const name of ['WrongRefusals/A/critical', 'CrdtDriftHigh/A/critical', 'CrdtConflictsHigh/B/warning']) {
    assert.ok(fired.has(name), name)
  }
  const views = world.edge.view()
  const refused = views.reduce((sum, view) => sum + view.refused_ratio * view.request_rate, 0)
  const share = refused / views.reduce((sum, view) => sum + view.request_rate, 0)
  assert.ok(Math.abs(share - 0.12) < 0.02, `refused ${share}`)
  world.edge.operations.reconcile([], 'highest-capacity')
  await pass(20)
  assert.ok(world.edge.conflicts().length > 0, 'it diverges again while the version is bad')
  for (const region of world.edge.regions) world.edge.operations.revert(region)
  await pass(10)
  world.edge.operations.reconcile([], 'highest-capacity')
  await pass(20)
  assert.deepEqual(world.edge.conflicts(), [])
  assert.ok(!world.alerts.active().some((alert) => alert.labels.alertname === 'WrongRefusals'))
  assert.ok(
    world.edge.view().every((view) => view.request_rate > 1_300 && view.jitter_seconds > 0.15),
    'it still goes on',
  )
  const later = await pass(15)
  assert.ok(![...later].some((one) => /WrongRefusals|Conflicts|Drift/.test(one)), [...later].join(' '))
})

test('partition: copies age and drift apart in both regions, and the conflicts come when the link heals', async (t) => {
  const { world, pass } = await stage(t)
  world.start('partition')
  const cut = await pass(54)
  for (const region of ['A', 'B']) {
    for (const name of ['CrdtSyncLagHigh', 'CrdtDriftHigh'])
      assert.ok(cut.has(`${name}/${region}/warning`), `${name} ${region}`)
  }
  assert.ok(![...cut].some((one) => /critical|Conflicts|Spike/.test(one)), [...cut].join(' '))
  const healed = await pass(20)
  for (const region of ['A', 'B']) assert.ok(healed.has(`CrdtConflictsHigh/${region}/warning`), region)
})

test('bad-canary: an aborted canary does no harm, a forgotten one does', async (t) => {
  const { world, pass } = await stage(t)
  world.start('bad-canary')
  assert.deepEqual([...(await pass(50))], ['CanaryRatingLow/A/warning'])
  world.edge.canary(['A'], { weight: 0, version: null, rating: 1 })
  await pass(5)
  assert.deepEqual([...(await pass(40))], [])
  world.start('bad-canary')
  assert.ok((await pass(90)).has('ErrorRateHigh/A/critical'))
})

test('the same seed plays the same webhooks', async (t) => {
  const play = async () => {
    const { claw, world, pass } = await stage(t, { seed: 7 })
    world.start('region-outage')
    await pass(100)
    return JSON.stringify(claw.all).replaceAll(claw.url, '')
  }
  assert.equal(await play(), await play())
})
