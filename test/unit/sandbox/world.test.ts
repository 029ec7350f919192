import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Router } from 'express'
import { listen } from '../../../src/sandbox/listen.ts'
import { createWorld } from '../../../src/sandbox/world.ts'
import { capture, handClock } from './world-capture.ts'

async function stage(t: TestContext) {
  const clock = handClock()
  const claw = await capture(clock)
  const world = createWorld({ clock, clawUrl: () => claw.url })
  const mounted = Router()
  mounted.use('/sandbox', world.router)
  const server = await listen(mounted)
  t.after(async () => {
    await world.stop()
    await server.close()
    await claw.close()
  })
  const call = async (method: string, path: string, headers: Record<string, string> = {}) => {
    const answer = await fetch(`${server.url}/sandbox${path}`, { method, headers })
    const text = await answer.text()
    const type = answer.headers.get('content-type') ?? ''
    return { status: answer.status, type, text, json: type.includes('json') ? JSON.parse(text) : null }
  }
  return { clock, claw, world, call, url: `${server.url}/sandbox` }
}

test('a scenario starts with 202; an unknown one is a 404 that names those there are', async (t) => {
  const { call, clock } = await stage(t)
  const started = await call('POST', '/scenarios/region-outage')
  assert.equal(started.status, 202)
  assert.equal(started.json.name, 'region-outage')
  assert.equal(Date.parse(started.json.ends_at) - clock(), 105_000)
  assert.equal((await call('GET', '/scenarios')).json.running.name, 'region-outage')
  assert.equal((await call('POST', '/scenarios/alert-storm')).status, 202)
  assert.equal((await call('GET', '/state')).json.scenario.name, 'alert-storm', 'a new one takes over')
  const unknown = await call('POST', '/scenarios/meteor')
  assert.equal(unknown.status, 404)
  assert.match(unknown.type, /^application\/problem\+json/)
  assert.deepEqual(unknown.json.scenarios.length, 6)
  assert.equal((await call('GET', '/nowhere')).status, 404)
})

test('somebody else’s page may not start or reset anything', async (t) => {
  const { call } = await stage(t)
  const foreign = { 'Sec-Fetch-Site': 'cross-site' }
  assert.equal((await call('POST', '/scenarios/partition', foreign)).status, 403)
  assert.equal((await call('POST', '/reset', foreign)).status, 403)
  assert.equal((await call('GET', '/state')).json.scenario, null)
  assert.equal((await call('POST', '/scenarios/partition', { 'Sec-Fetch-Site': 'same-origin' })).status, 202)
})

test('the state shows regions, messages with threads, chats, pages and webhooks', async (t) => {
  const { call, clock, world } = await stage(t)
  const parent = world.slack.state.userSays('C0CRITICAL', 'U012', 'hello')
  world.slack.state.userSays('C0CRITICAL', 'U012', 'in the thread', parent.ts)
  world.start('region-outage')
  for (let i = 0; i < 40; i++) {
    clock.add(250)
    await world.tick()
  }
  const { json } = await call('GET', '/state')
  assert.deepEqual(
    json.regions.map((region: { region: string }) => region.region),
    ['A', 'B'],
  )
  assert.equal(json.slack.channels[0].messages.length, 1)
  assert.equal(json.slack.channels[0].messages[0].thread[0].text, 'in the thread')
  assert.deepEqual([json.telegram.chats, json.pagerduty.incidents, json.pagerduty.pages], [[], [], []])
  assert.equal(json.webhooks[0].status, 200)
  assert.ok(json.alerts.firing >= 2)
  assert.equal(json.heartbeat.last_status, 200)
})

test('the look-alikes and the edge answer under their paths', async (t) => {
  const { call } = await stage(t)
  assert.equal((await call('POST', '/slack/api/auth.test', { Authorization: 'Bearer sandbox' })).json.ok, true)
  assert.equal((await call('POST', '/telegram/botsandbox/getMe')).json.ok, true)
  assert.equal((await call('POST', '/pagerduty/v2/enqueue')).status, 400)
  assert.equal((await call('GET', '/edge/health')).status, 200)
  assert.match((await call('GET', '/edge/metrics')).text, /^# HELP openclaw_/)
  assert.equal((await call('GET', '/edge/admin/v1/regions')).status, 401)
})

test('reset brings the beginning back, and what fired is reported resolved', async (t) => {
  const { call, claw, clock, world } = await stage(t)
  const pass = async (seconds: number) => {
    for (let i = 0; i < seconds * 4; i++) {
      clock.add(250)
      await world.tick()
    }
  }
  world.start('alert-storm')
  world.edge.operations.failover('A', 'B')
  world.slack.state.userSays('C0CRITICAL', 'U012', 'hello')
  await pass(15)
  assert.equal((await call('POST', '/reset')).status, 204)
  await pass(10)
  const { json } = await call('GET', '/state')
  assert.deepEqual([json.scenario, json.alerts.firing, json.slack.channels], [null, 1, []])
  assert.ok(json.regions.every((region: { receiving: boolean }) => region.receiving))
  const last = new Map(claw.hooks().flatMap((hook) => hook.alerts.map((alert) => [alert.fingerprint, alert.status])))
  assert.deepEqual([...new Set(last.values())], ['resolved'])
})

test('links in alerts lead to pages that exist and show hostile input as text', async (t) => {
  const { call, clock, world, claw } = await stage(t)
  world.start('region-outage')
  for (let i = 0; i < 40; i++) {
    clock.add(250)
    await world.tick()
  }
  const alert = claw.hooks()[0]?.alerts[0]
  assert.ok(alert)
  for (const link of [alert.generatorURL, alert.annotations.runbook_url, alert.annotations.dashboard]) {
    const { pathname, search } = new URL(link ?? '')
    const answer = await call('GET', `${pathname.replace('/sandbox', '')}${search}`)
    assert.equal(answer.status, 200, pathname)
    assert.match(answer.type, /^text\/html/)
  }
  const firing = await call('GET', '/alertmanager')
  assert.match(firing.text, /TokenBucket/)
  const hostile = await call('GET', `/graph?g0.expr=${encodeURIComponent('<script>alert(1)</script>"')}`)
  assert.ok(!hostile.text.includes('<script'))
  assert.equal((await call('GET', '/runbooks/%3Cscript%3E')).status, 404)
})

test('faults of the edge are set, listed and taken back; not by somebody else’s page', async (t) => {
  const { url, call, world } = await stage(t)
  const set = (body: object, headers: Record<string, string> = {}) =>
    fetch(`${url}/edge-faults`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headers },
      body: JSON.stringify(body),
    })
  assert.equal((await set({ kind: 'reconcile', mode: 'refuse' }, { 'Sec-Fetch-Site': 'cross-site' })).status, 403)
  assert.equal((await set({ kind: 'reconcile', mode: 'explode' })).status, 400)
  assert.equal((await set({ mode: 'unhealthy-after-failover' })).status, 201)
  assert.equal((await set({ kind: 'reconcile', mode: 'refuse', times: 2 })).status, 201)
  assert.throws(() => world.edge.operations.reconcile([], 'highest-capacity'), /a fault was set/)
  const { json } = await call('GET', '/edge-faults')
  assert.deepEqual(json.faults, [
    { kind: 'failover', mode: 'unhealthy-after-failover', times: 1 },
    { kind: 'reconcile', mode: 'refuse', times: 1 },
  ])
  assert.deepEqual((await call('GET', '/state')).json.edge_faults, json.faults)
  assert.equal((await call('DELETE', '/edge-faults')).status, 204)
  assert.deepEqual(world.edge.faults.list(), [])
})

test('the alertmanager answers what is active, by matchers', async (t) => {
  const { call, world } = await stage(t)
  world.start('alert-storm')
  const all = await call('GET', '/alertmanager/api/v2/alerts')
  assert.deepEqual(all.json, [{ ...all.json[0], labels: { alertname: 'Watchdog', severity: 'none' } }])
  assert.equal(all.json[0].status.state, 'active')
  const filtered = async (...filters: string[]) => {
    const query = filters.map((filter) => `filter=${encodeURIComponent(filter)}`).join('&')
    return (await call('GET', `/alertmanager/api/v2/alerts?${query}`)).json.length
  }
  assert.equal(await filtered('alertname="Watchdog"'), 1)
  assert.equal(await filtered('alertname="Watchdog"', 'severity!="none"'), 0)
  assert.equal(await filtered('alertname=~"Watch.*"'), 1)
  assert.equal((await call('GET', '/alertmanager/api/v2/alerts?filter=%3D')).status, 400)
})

test('a machine that slept wakes up in the present', async (t) => {
  const { clock, world } = await stage(t)
  clock.add(24 * 3_600_000)
  await world.tick()
  assert.ok(clock() - world.edge.now() < 250)
  assert.ok(world.edge.view().every((region) => region.healthy))
})

test('a receiver that hangs holds up its own group, never the model nor other groups; stop breaks it off', async (t) => {
  const clock = handClock()
  const posted = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  let requests = 0
  const server = await listen((req) => {
    req.resume()
    posted[requests++]?.resolve()
  })
  t.after(() => server.close())
  const world = createWorld({ clock, clawUrl: () => server.url })
  clock.add(1_000)
  const first = world.tick()
  await posted[0]?.promise
  world.start('alert-storm')
  clock.add(5_000)
  const second = world.tick()
  assert.equal(world.edge.now(), clock())
  await posted[1]?.promise
  await world.stop()
  await Promise.all([first, second])
  assert.equal(world.alerts.heartbeat().last_status, null)
})
