import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MINUTE, SECOND } from '../../../src/core/clock.ts'
import { createWorld, firing, PLATFORMS, resolved, START, type World } from '../../support/engine.ts'

const INHIBIT = `${PLATFORMS}
receivers: [{ name: default, pagerduty: {} }]
inhibit_rules:
  - { source_matchers: ['alertname="RegionDown"'], target_matchers: ['severity="warning"'], equal: [service, region] }
`
const iso = (ms: number) => new Date(ms).toISOString()
const MAINTENANCE = `${PLATFORMS}
receivers: [{ name: default, pagerduty: {} }]
maintenance:
  - { name: upgrade, matchers: ['region="A"'], ends_at: ${iso(START + 10 * MINUTE)} }
`
const down = { alertname: 'RegionDown' }
const low = { alertname: 'TokenBucketLow', severity: 'warning' }

async function counts(world: World) {
  const { firing, suppressed, total } = await world.only()
  return { firing, suppressed, total }
}

for (const order of ['source first', 'target first'] as const) {
  test(`inhibition within one webhook, ${order}`, async (t) => {
    const world = await createWorld(t, INHIBIT)
    const alerts = [firing(down), firing(low)]
    await world.send(...(order === 'source first' ? alerts : alerts.reverse()))
    assert.deepEqual(await counts(world), { firing: 1, suppressed: 1, total: 2 })
    assert.deepEqual((await world.view()).counts, { firing: 1, resolved: 0, total: 2, suppressed: 1 })
  })
}

test('a source that fired before inhibits; of another region it does not', async (t) => {
  const world = await createWorld(t, INHIBIT)
  await world.send(firing(down))
  await world.send(firing(low), firing({ ...low, region: 'B' }))
  assert.deepEqual(await counts(world), { firing: 2, suppressed: 1, total: 3 })
})

test('when the source ends, what it kept quiet counts', async (t) => {
  const world = await createWorld(t, INHIBIT)
  await world.send(firing(down), firing(low))
  await world.send(resolved(down))
  await world.tick()
  assert.deepEqual([(await world.only()).state, await counts(world)], ['open', { firing: 1, suppressed: 0, total: 2 }])
  await world.send(resolved(low))
  assert.equal((await world.only()).state, 'resolved')
})

test('a suppressed alert alone opens quietly: nobody is paged, nothing is sent, and it ends quietly', async (t) => {
  const world = await createWorld(t, MAINTENANCE)
  await world.send(firing())
  const incident = await world.only()
  assert.deepEqual([incident.pages, incident.receivers, await world.deliveries()], [[], [], []])
  await world.send(resolved())
  assert.deepEqual([(await world.only()).state, await world.deliveries()], ['resolved', []])
})

test('a suppressed alert that ends takes nothing with it', async (t) => {
  const world = await createWorld(t, INHIBIT)
  await world.send(firing(down), firing(low))
  await world.send(resolved(low))
  assert.deepEqual(await counts(world), { firing: 1, suppressed: 0, total: 2 })
  assert.equal((await world.only()).state, 'open')
})

test('a source that began and ended in one batch inhibits nothing afterwards', async (t) => {
  const world = await createWorld(t, INHIBIT)
  await world.together([firing(down)], [resolved(down)])
  await world.send(firing(low))
  assert.deepEqual([(await world.only()).firing, (await world.only()).suppressed], [1, 0])
})

test('a source that ended and began again in one batch still inhibits', async (t) => {
  const world = await createWorld(t, INHIBIT)
  await world.send(firing(down))
  await world.together([resolved(down)], [firing(down, { startsAt: START + 1 })])
  await world.send(firing(low))
  assert.deepEqual([(await world.only()).firing, (await world.only()).suppressed], [1, 1])
})

test('a maintenance window that ends: what still fires counts, and pages', async (t) => {
  const world = await createWorld(t, MAINTENANCE)
  await world.send(firing(), firing({ n: '2' }))
  await world.pass(10 * MINUTE - 1)
  assert.deepEqual(await world.pages(), [])
  await world.pass(10 * SECOND)
  assert.deepEqual(
    [await counts(world), await world.pages()],
    [{ firing: 2, suppressed: 0, total: 2 }, ['1/#1 triggered']],
  )
  assert.equal((await world.deliveries()).length, 1)
})

test('what fires outside of the window pages although something within it is quiet', async (t) => {
  const world = await createWorld(t, MAINTENANCE)
  await world.send(firing())
  await world.send(firing({ region: 'B' }))
  assert.deepEqual(await world.pages(), ['1/#1 triggered'])
  await world.send(resolved({ region: 'B' }))
  await world.tick()
  const incident = await world.only()
  assert.deepEqual([incident.state, incident.suppressed], ['resolved', 1])
})

test('an incident that was quiet, ended, and comes back for real: its worsenings have keys of their own', async (t) => {
  const world = await createWorld(t, MAINTENANCE)
  await world.send(firing())
  await world.send(resolved())
  await world.pass(MINUTE)
  await world.send(firing({ region: 'B' }))
  await world.acknowledge()
  await world.send(firing({ region: 'C' }))
  const keys = (await world.only()).pages.map((page) => page.key)
  assert.deepEqual(keys, ['', '1'])
})

test('an alert that fires on when its window ends after the incident resolved reopens it', async (t) => {
  const world = await createWorld(t, MAINTENANCE)
  await world.send(firing(), firing({ region: 'B' }))
  await world.send(resolved({ region: 'B' }))
  await world.tick()
  assert.equal((await world.only()).state, 'resolved')
  await world.pass(11 * MINUTE)
  assert.deepEqual([(await world.only()).state, await counts(world)], ['open', { firing: 1, suppressed: 0, total: 2 }])
})

const MUTED = `${PLATFORMS}
receivers: [{ name: default, pagerduty: {} }, { name: night, slack: { channel: N } }]
route:
  receiver: default
  routes: [{ matchers: ['region="A"'], receiver: night, mute_time_intervals: [early] }]
time_intervals: [{ name: early, time_intervals: [{ times: [{ start_time: '00:00', end_time: '03:00' }] }] }]
`

test('a receiver that a mute interval keeps out joins when it is over, if the incident still lasts', async (t) => {
  const world = await createWorld(t, MUTED)
  await world.send(firing())
  assert.deepEqual(await world.deliveries(), [])
  await world.pass(44 * MINUTE)
  assert.deepEqual(await world.deliveries(), [])
  await world.pass(MINUTE)
  assert.deepEqual(
    (await world.deliveries()).map((one) => one.target),
    ['N'],
  )
  assert.deepEqual((await world.story()).slice(-1), ['unmuted'])
  await world.pass(MINUTE)
  assert.equal((await world.deliveries()).length, 1)
})

test('… and hears nothing of one that is over by then', async (t) => {
  const world = await createWorld(t, MUTED)
  await world.send(firing())
  await world.send(resolved())
  await world.pass(46 * MINUTE)
  assert.deepEqual(await world.deliveries(), [])
})
