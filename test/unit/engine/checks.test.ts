import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HOUR, MINUTE, SECOND } from '../../../src/core/clock.ts'
import type { SignalSource } from '../../../src/core/signal.ts'
import { createWorld, firing, PLATFORMS, resolved, type World } from '../../support/engine.ts'

/** A source whose regions live and die as the test says. */
function source(gone = new Set<string>()): SignalSource & { gone: Set<string> } {
  return {
    name: 'edge',
    gone,
    presence: async (region) => (gone.has(region) ? 'gone' : 'present'),
    bucketRatio: async () => null,
  }
}

test('a person resolves while alerts fire: warned, looked at again after 10 minutes, reopened and paged', async (t) => {
  const world = await createWorld(t)
  await world.send(firing(), firing({ n: '2' }))
  await world.pass(MINUTE)
  await world.resolve()
  const [, told] = await world.store.story(1, 9)
  assert.match(told?.text ?? '', /^Resolved by Dana\. 2 alerts still fire: looking again in 10 min\.$/)
  assert.match((await world.view()).nextStep, /still fire/)
  assert.deepEqual(await world.pages(), ['1/#1 resolved'])
  await world.send(firing())
  await world.pass(10 * MINUTE - 1)
  assert.equal((await world.only()).state, 'resolved', 'a repeat does not reopen it')
  await world.pass(1)
  assert.deepEqual([(await world.only()).state, await world.pages()], ['open', ['1/#2 triggered']])
  assert.deepEqual((await world.story()).slice(-1), ['reopened'])
})

test('… and when they have ended by then, it stays resolved', async (t) => {
  const world = await createWorld(t)
  await world.send(firing())
  await world.resolve()
  await world.pass(MINUTE)
  await world.send(resolved())
  await world.pass(20 * MINUTE)
  assert.deepEqual([(await world.only()).state, (await world.only()).resolvedBy], ['resolved', 'Dana'])
  assert.deepEqual(await world.story(), ['opened', 'resolved'])
})

test('a resolve is believed when the region answers', async (t) => {
  const world = await createWorld(t, undefined, { sources: [source()] })
  await world.send(firing())
  await world.send(resolved())
  assert.equal((await world.only()).state, 'open', 'not before anybody looked')
  await world.tick()
  assert.equal((await world.only()).state, 'resolved')
})

test('a silent region: signal lost, it stays open; when the region answers again it is over', async (t) => {
  const edge = source(new Set(['A']))
  const world = await createWorld(t, undefined, { sources: [edge] })
  await world.send(firing(), firing({ region: 'B' }))
  await world.send(resolved(), resolved({ region: 'B' }))
  for (let n = 0; n < 30; n++) await world.pass(10 * SECOND)
  const lost = await world.only()
  assert.deepEqual([lost.state, lost.signalLost], ['open', true])
  assert.deepEqual(await world.story(), ['opened', 'signal_lost'], 'told once')
  assert.match((await world.view()).headline, /^Signal lost · P1/)
  assert.ok((lost.nextCheckAt ?? 0) - world.now() <= MINUTE)
  edge.gone.clear()
  await world.pass(MINUTE)
  assert.deepEqual([(await world.only()).state, (await world.only()).signalLost], ['resolved', false])
})

test('an alert that fires while the signal is lost ends the doubt about the region', async (t) => {
  const edge = source(new Set(['A']))
  const world = await createWorld(t, undefined, { sources: [edge] })
  await world.send(firing())
  await world.send(resolved())
  await world.tick()
  assert.equal((await world.only()).signalLost, true)
  await world.send(firing({}, { startsAt: world.now() }))
  const incident = await world.only()
  assert.deepEqual([incident.signalLost, incident.check, incident.recurrences], [false, null, 0])
})

const PAGED = `${PLATFORMS}
incidents: { fallback_after: 60s }
receivers:
  - { name: critical, pagerduty: {}, fallback: backup }
  - { name: backup, slack: { channel: B } }
route: { receiver: critical }
`

test('a page that is not confirmed in time goes to the fallback, once', async (t) => {
  const world = await createWorld(t, PAGED)
  await world.send(firing())
  await world.pass(59 * SECOND)
  assert.equal((await world.deliveries()).length, 1)
  await world.pass(SECOND)
  assert.deepEqual(
    (await world.deliveries()).map((one) => one.target),
    ['default', 'B'],
  )
  assert.match((await world.store.story(1, 9)).at(-1)?.text ?? '', /not confirmed the page within 60 s: telling backup/)
  const before = await world.only()
  await world.pass(MINUTE)
  assert.deepEqual(await world.only(), before)
})

test('a confirmed page does not', async (t) => {
  const world = await createWorld(t, PAGED)
  await world.send(firing())
  const [row] = await world.deliveries()
  assert.ok(row)
  await world.store.write(async (tx) => {
    await tx.beginSteps([row.id], 1)
    await tx.recordOutcomes([{ ...row, fence: 1, state: 'delivered', shown: 1, deliveredAt: world.now() }])
  })
  await world.pass(5 * MINUTE)
  assert.equal((await world.deliveries()).length, 1)
})

const watchdog = (labels = {}) => {
  const { fingerprint, ...rest } = firing({ alertname: 'Watchdog', severity: 'none' })
  return { ...rest, fingerprint, labels: { alertname: 'Watchdog', severity: 'none', prometheus: 'p1', ...labels } }
}
const WEEK = 7 * 24 * HOUR
const titles = async (world: World) => (await world.all()).map(({ id, state }) => `${id} ${state}`)

test('the heartbeat opens no incident; its silence does, and its return resolves that', async (t) => {
  const world = await createWorld(t)
  await world.send(watchdog())
  await world.pass(5 * MINUTE)
  assert.deepEqual(await titles(world), [])
  await world.pass(1)
  const missing = await world.only()
  assert.deepEqual([missing.state, missing.level, missing.firing], ['open', 'P1', 1])
  assert.match((await world.view()).headline, /^P1 · No heartbeat from Alertmanager/)
  await world.pass(MINUTE)
  assert.deepEqual(await world.only(), missing, 'once')
  await world.send(watchdog())
  await world.pass(SECOND)
  assert.equal((await world.only()).state, 'resolved')
  await world.pass(20 * MINUTE)
  assert.deepEqual(await titles(world), ['1 resolved', '2 open'], 'silent again')
})

test('one heartbeat per Prometheus: the other one still beating hides nothing', async (t) => {
  const world = await createWorld(t)
  await world.send(watchdog(), watchdog({ prometheus: 'p2' }))
  for (let n = 0; n < 6; n++) {
    await world.pass(MINUTE)
    await world.send(watchdog({ prometheus: 'p2' }))
  }
  assert.match((await world.view()).alerts[0]?.annotations.summary ?? '', /prometheus="p1"/)
})

test('a heartbeat that is configured but was never heard is missing; when it comes the incident is over', async (t) => {
  const world = await createWorld(t, 'alertmanager: { heartbeat: { alertname: Watchdog, timeout: 2m } }')
  await world.pass(2 * MINUTE)
  assert.deepEqual(await titles(world), [])
  await world.pass(SECOND)
  assert.deepEqual(await titles(world), ['1 open'])
  await world.pass(MINUTE)
  await world.send(watchdog())
  await world.pass(SECOND)
  assert.deepEqual(await titles(world), ['1 resolved'])
  await world.pass(MINUTE)
  assert.deepEqual(await titles(world), ['1 resolved'])
})

test('a Prometheus silent for over a week is forgotten and its incident ends, if another one is heard', async (t) => {
  const world = await createWorld(t)
  const sources = async () => (await world.store.heartbeats()).map(({ source }) => source)
  await world.send(watchdog(), watchdog({ prometheus: 'p2' }))
  await world.pass(6 * MINUTE)
  await world.send(watchdog({ prometheus: 'p2' }))
  await world.pass(SECOND)
  const [p1 = '', p2 = ''] = await sources()
  const firing = async () => (await world.all()).map((incident) => incident.firing)
  assert.deepEqual(await firing(), [1], 'p1 is missed')
  world.wait(WEEK - 6 * MINUTE - SECOND)
  await world.send(watchdog({ prometheus: 'p2' }))
  await world.pass(0)
  assert.deepEqual(await sources(), [p1, p2], 'a week is not over a week')
  await world.pass(1)
  assert.deepEqual(await sources(), [p2])
  assert.deepEqual(await titles(world), ['1 resolved'])
  await world.pass(MINUTE)
  assert.deepEqual(await titles(world), ['1 resolved'], 'it is not missed any more')
  await world.send(watchdog(), watchdog({ prometheus: 'p2' }))
  await world.pass(SECOND)
  assert.deepEqual(await sources(), [p1, p2], 'it may come back')
})

test('the last Prometheus is never forgotten, and a shorter time can be configured', async (t) => {
  const heartbeat = '{ alertname: Watchdog, timeout: 2m, forget_after: 1h }'
  const world = await createWorld(t, `alertmanager: { heartbeat: ${heartbeat} }`)
  await world.send(watchdog(), watchdog({ prometheus: 'p2' }))
  await world.pass(2 * WEEK)
  assert.equal((await world.store.heartbeats()).length, 2, 'all are silent: Claw is blind, and says so')
  assert.deepEqual(await titles(world), ['1 open'])
  await world.send(watchdog())
  await world.pass(SECOND)
  assert.equal((await world.store.heartbeats()).length, 1)
  assert.deepEqual(await titles(world), ['1 resolved'])
})

test('without a configured heartbeat and without ever hearing one there is nothing to miss', async (t) => {
  const world = await createWorld(t, 'receivers: []')
  await world.pass(60 * MINUTE)
  assert.deepEqual(await titles(world), [])
})

test('a resolved Watchdog is not a sign of life', async (t) => {
  const world = await createWorld(t)
  await world.send(watchdog())
  await world.pass(4 * MINUTE)
  await world.send({ ...watchdog(), status: 'resolved' })
  await world.pass(2 * MINUTE)
  assert.deepEqual(await titles(world), ['1 open'])
})

test('incidents that are long over are removed', async (t) => {
  const world = await createWorld(t)
  await world.send(firing())
  await world.send(resolved())
  await world.send(firing({ service: 'other' }))
  await world.pass(89 * 24 * 60 * MINUTE)
  assert.equal((await world.all()).length, 2)
  await world.pass(2 * 24 * 60 * MINUTE)
  assert.deepEqual(await titles(world), ['2 open'])
})
