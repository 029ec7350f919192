import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HOUR, MINUTE, SECOND } from '../../../src/core/clock.ts'
import { createWorld, firing, resolved, type World, without } from '../../support/engine.ts'

const low = { alertname: 'TokenBucketLow', severity: 'warning' }

async function states(world: World) {
  return (await world.all()).map((incident) => incident.state)
}

/** Fires and ends after ten seconds, as a new occurrence. */
async function blip(world: World, labels = {}) {
  await world.send(firing(labels, { startsAt: world.now() }))
  await world.pass(10 * SECOND)
  await world.send(resolved(labels, { startsAt: world.now() - 10 * SECOND, endsAt: world.now() }))
}

test('other names, regions and Alertmanagers join the incident of the same service', async (t) => {
  const world = await createWorld(t)
  await world.send(firing({}, { externalURL: 'http://am-1' }))
  await world.send(
    firing({ alertname: 'CrdtDriftHigh', region: 'B', severity: 'warning' }, { externalURL: 'http://am-2' }),
  )
  await world.send(firing({ alertname: 'RegionDown', region: 'C', cluster: 'x' }))
  const incident = await world.only()
  assert.deepEqual(
    [incident.firing, incident.allRegions, incident.classes.sort()],
    [3, ['A', 'B', 'C'], ['divergence', 'exhaustion', 'region']],
  )
  assert.deepEqual(incident.keyLabels, { service: 'rating-api' })
  assert.deepEqual((await world.view()).regions, ['A', 'B', 'C'])
})

test('another service is another incident', async (t) => {
  const world = await createWorld(t)
  await world.send(firing(), firing({ service: 'billing' }))
  assert.deepEqual(
    (await world.all()).map(({ id, keyLabels }) => [id, keyLabels.service]),
    [
      [1, 'rating-api'],
      [2, 'billing'],
    ],
  )
})

test('without any of correlate_by it is the alert name that counts', async (t) => {
  const world = await createWorld(t)
  await world.send(without(firing(), 'service'))
  await world.send(without(firing({ region: 'B' }), 'service'))
  await world.send(without(firing({ alertname: 'LatencyHigh' }), 'service'))
  assert.deepEqual(
    (await world.all()).map(({ keyLabels, firing }) => [keyLabels.alertname, firing]),
    [
      ['TokenBucketDepleted', 2],
      ['LatencyHigh', 1],
    ],
  )
})

test('an alert joins the open incident however old that is', async (t) => {
  const world = await createWorld(t)
  await world.send(firing())
  await world.pass(30 * 24 * HOUR)
  await world.send(firing({ region: 'B' }))
  assert.equal((await world.only()).firing, 2)
})

test('the same alert comes back: within reopen_within it reopens, a moment later it is a new incident', async (t) => {
  for (const [after, expected] of [
    [10 * MINUTE, ['open']],
    [10 * MINUTE + 1, ['resolved', 'open']],
  ] as const) {
    const world = await createWorld(t)
    await world.send(firing())
    await world.send(resolved())
    world.wait(after)
    await world.send(firing({}, { startsAt: world.now() }))
    assert.deepEqual(await states(world), expected)
  }
})

test('another alert of the key: within correlation_window it reopens, a moment later it is a new incident', async (t) => {
  for (const [after, expected] of [
    [5 * MINUTE, ['open']],
    [5 * MINUTE + 1, ['resolved', 'open']],
  ] as const) {
    const world = await createWorld(t)
    await world.send(firing())
    await world.send(resolved())
    world.wait(after)
    await world.send(firing({ region: 'B' }))
    assert.deepEqual(await states(world), expected)
  }
})

test('the windows are those of the configuration', async (t) => {
  const world = await createWorld(t, 'incidents: { reopen_within: 1m, correlation_window: 10m }')
  await world.send(firing())
  await world.send(resolved())
  world.wait(2 * MINUTE)
  await world.send(firing({}, { startsAt: world.now() }))
  assert.deepEqual(await states(world), ['resolved', 'open'])
})

test('a recurrence pages the same key again, one generation up, and counts the alert once', async (t) => {
  const world = await createWorld(t)
  await blip(world)
  await world.pass(MINUTE)
  await world.send(firing({}, { startsAt: world.now() }))
  assert.deepEqual(await world.pages(), ['1/#2 triggered'])
  assert.deepEqual(await world.story(), ['opened', 'resolved', 'recurred'])
  const incident = await world.only()
  assert.deepEqual([incident.total, incident.firing, incident.names], [1, 1, { TokenBucketDepleted: 1 }])
  assert.deepEqual([incident.resolvedAt, incident.resolvedBy, incident.acknowledgedBy], [null, null, null])
})

test('a recurrence after an acknowledgement wakes somebody: the acknowledgement is gone', async (t) => {
  const world = await createWorld(t)
  await world.send(firing())
  await world.acknowledge()
  await world.send(resolved())
  await world.pass(MINUTE)
  await world.send(firing({}, { startsAt: world.now() }))
  assert.equal((await world.only()).state, 'open')
  assert.deepEqual(await world.pages(), ['1/#2 triggered'])
})

test('the third recurrence within an hour is flapping: it stays open until it has been quiet', async (t) => {
  const world = await createWorld(t)
  for (let n = 0; n < 3; n++) {
    await blip(world)
    await world.pass(5 * MINUTE)
  }
  assert.deepEqual([(await world.only()).flapping, (await world.only()).state], [false, 'resolved'])
  await blip(world)
  let incident = await world.only()
  assert.deepEqual([incident.flapping, incident.state, incident.recurrences], [true, 'open', 3])
  assert.deepEqual((await world.story()).slice(-1), ['flapping'])
  assert.match((await world.view()).headline, /^Flapping · /)
  const pages = await world.pages()
  assert.deepEqual(pages, ['1/#4 triggered'])
  for (let n = 0; n < 4; n++) {
    await world.pass(9 * MINUTE)
    await blip(world)
  }
  incident = await world.only()
  assert.deepEqual([incident.state, await world.pages()], ['open', pages], 'no page and no resolve in turns')
  await world.pass(10 * MINUTE - 1)
  assert.equal((await world.only()).state, 'open')
  await world.pass(1)
  incident = await world.only()
  assert.deepEqual([incident.state, incident.flapping], ['resolved', false])
})

test('recurrences that are an hour apart are not flapping', async (t) => {
  const world = await createWorld(t, 'incidents: { reopen_within: 2h }')
  for (let n = 0; n < 6; n++) {
    await blip(world)
    await world.pass(61 * MINUTE)
  }
  const incident = await world.only()
  assert.deepEqual([incident.flapping, incident.recurrences, incident.state], [false, 5, 'resolved'])
})

test('all resolved is over; one left is not', async (t) => {
  const world = await createWorld(t)
  await world.send(firing(), firing(low))
  await world.send(resolved())
  assert.equal((await world.only()).state, 'open')
  await world.send(resolved(low))
  const view = await world.view()
  assert.deepEqual([view.state, view.counts], ['resolved', { firing: 0, resolved: 2, total: 2, suppressed: 0 }])
  assert.match(view.headline, /^Resolved · /)
  assert.deepEqual([view.regions, view.allRegions], [[], ['A']])
})

test('fires and ends within one webhook: opened and resolved, nothing left behind', async (t) => {
  const world = await createWorld(t)
  await world.together([firing()], [resolved()])
  const incident = await world.only()
  assert.deepEqual([incident.state, incident.firing, incident.regions], ['resolved', 0, {}])
  assert.deepEqual(await world.story(), ['opened', 'resolved'])
})

test('a changed correlate_by holds for new alerts only', async (t) => {
  const world = await createWorld(t)
  await world.send(firing())
  world.reload('incidents: { correlate_by: [region] }')
  await world.send(firing(), firing({ region: 'B' }))
  assert.deepEqual(
    (await world.all()).map(({ keyLabels, firing }) => [keyLabels, firing]),
    [
      [{ service: 'rating-api' }, 1],
      [{ region: 'B' }, 1],
    ],
  )
})
