import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MINUTE, SECOND } from '../../../src/core/clock.ts'
import type { AlertLookup } from '../../../src/core/signal.ts'
import { createWorld, firing, resolved, START } from '../../support/engine.ts'

const lookup = (answer: Awaited<ReturnType<AlertLookup['lookup']>>): AlertLookup => ({ lookup: async () => answer })

test('repeats change counters and nothing that people see', async (t) => {
  const world = await createWorld(t)
  await world.send(firing())
  const before = await world.only()
  for (let n = 0; n < 3; n++) {
    world.wait(4 * 60 * MINUTE)
    await world.send(firing())
  }
  assert.deepEqual(await world.only(), before)
  const [alert] = (await world.view()).alerts
  assert.equal(alert?.timesSeen, 4)
  assert.deepEqual(await world.pages(), ['1/#1 triggered'])
  assert.equal((await world.store.occurrences([firing().fingerprint]))[0]?.lastSeen, world.now())
})

test('a repeat brings new annotations', async (t) => {
  const world = await createWorld(t)
  await world.send(firing({}, { annotations: { summary: 'old' } }))
  await world.send(firing({}, { annotations: { summary: 'new' } }))
  assert.equal((await world.view()).alerts[0]?.annotations.summary, 'new')
})

test('twins of an HA pair that post in parallel are one alert, one incident, one page', async (t) => {
  const world = await createWorld(t)
  await world.together(
    [firing({}, { externalURL: 'http://am-1:9093' })],
    [firing({}, { externalURL: 'http://am-2:9093' })],
  )
  assert.equal((await world.only()).total, 1)
  assert.equal((await world.view()).alerts[0]?.timesSeen, 2)
  await world.together([resolved()], [resolved()])
  assert.deepEqual(await world.story(), ['opened', 'resolved'])
  assert.deepEqual(await world.pages(), ['1/#1 resolved'])
})

test('a real HA pair: a stale firing 3 s after the end, another resolve 15 s later: nothing reopens', async (t) => {
  const world = await createWorld(t)
  await world.send(firing())
  await world.pass(20 * SECOND)
  await world.send(resolved({}, { endsAt: world.now() }))
  const end = await world.only()
  await world.pass(3 * SECOND)
  await world.send(firing())
  for (let n = 0; n < 12; n++) await world.pass(SECOND)
  await world.send(resolved({}, { endsAt: START + 20 * SECOND }))
  for (let n = 0; n < 20; n++) await world.pass(10 * SECOND)
  assert.deepEqual(await world.only(), end)
  assert.deepEqual(await world.pages(), ['1/#1 resolved'])
  assert.deepEqual([world.decisions.get('doubted'), world.decisions.get('again')], [1, undefined])
})

test('the same start that honestly comes back reopens once the doubt is over, not before', async (t) => {
  const world = await createWorld(t)
  await world.send(firing())
  await world.send(resolved())
  world.wait(MINUTE)
  await world.send(firing())
  await world.pass(59 * SECOND)
  await world.send(firing())
  await world.tick()
  assert.equal((await world.only()).state, 'resolved')
  await world.pass(SECOND)
  const back = await world.only()
  assert.deepEqual([back.state, back.firing, back.recurrences], ['open', 1, 1])
  assert.deepEqual(await world.pages(), ['1/#2 triggered'])
  await world.pass(10 * MINUTE)
  assert.deepEqual(await world.only(), back, 'believed once')
})

test('an Alertmanager that can be asked and says "active" is believed at once', async (t) => {
  const world = await createWorld(t, undefined, { lookup: lookup('active') })
  await world.send(firing())
  await world.send(resolved())
  await world.send(firing())
  await world.pass(SECOND)
  assert.deepEqual(await world.pages(), ['1/#2 triggered'])
})

test('… says "absent": the stale firing is dropped for good', async (t) => {
  const world = await createWorld(t, undefined, { lookup: lookup('absent') })
  await world.send(firing())
  await world.send(resolved())
  await world.send(firing())
  await world.pass(SECOND)
  assert.deepEqual(await world.store.doubted(9), [])
  await world.pass(10 * MINUTE)
  assert.equal((await world.only()).state, 'resolved')
})

test('… does not answer: as if there were none', async (t) => {
  const world = await createWorld(t, undefined, { lookup: lookup('unreachable') })
  await world.send(firing())
  await world.send(resolved())
  await world.send(firing())
  await world.pass(59 * SECOND)
  assert.equal((await world.only()).state, 'resolved')
  await world.pass(SECOND)
  assert.equal((await world.only()).state, 'open')
})

test('a resolve that comes while Alertmanager is being asked ends the doubt', async (t) => {
  let asked = () => {}
  const asking = new Promise<void>((resolve) => {
    asked = resolve
  })
  let answer = () => {}
  const waits: AlertLookup = {
    lookup: () =>
      new Promise((resolve) => {
        answer = () => resolve('active')
        asked()
      }),
  }
  const world = await createWorld(t, undefined, { lookup: waits })
  await world.send(firing())
  await world.send(resolved())
  await world.send(firing())
  const round = world.tick()
  await asking
  await world.send(resolved())
  answer()
  await round
  assert.equal((await world.only()).state, 'resolved')
})

test('a resolve that overtakes its firing: the late firing is doubted, and dropped by the next resolve', async (t) => {
  const world = await createWorld(t)
  await world.send(resolved({}, { endsAt: START }))
  assert.deepEqual(await world.all(), [])
  await world.send(firing())
  await world.pass(30 * SECOND)
  assert.deepEqual(await world.all(), [])
  await world.send(resolved({}, { endsAt: START }))
  await world.pass(10 * MINUTE)
  assert.deepEqual(await world.all(), [])
})

test('… and when it persists it opens an incident', async (t) => {
  const world = await createWorld(t)
  await world.send(resolved())
  await world.send(firing())
  await world.pass(MINUTE)
  assert.deepEqual([(await world.only()).firing, (await world.only()).total], [1, 1])
  await world.send(resolved())
  assert.equal((await world.only()).state, 'resolved')
})

test('a firing that is older than the known occurrence is late and changes nothing', async (t) => {
  const world = await createWorld(t)
  await world.send(firing({}, { startsAt: START + 60_000 }))
  await world.send(resolved({}, { startsAt: START + 60_000 }))
  await world.send(firing({}, { startsAt: START }))
  await world.pass(10 * MINUTE)
  assert.equal((await world.only()).state, 'resolved')
  assert.equal(world.decisions.get('late'), 1)
})

test('a late resolve of an earlier occurrence does not end the one that fires', async (t) => {
  const world = await createWorld(t)
  await world.send(firing({}, { startsAt: START }))
  await world.send(resolved({}, { startsAt: START, endsAt: START + 5_000 }))
  await world.send(firing({}, { startsAt: START + 60_000 }))
  await world.send(resolved({}, { startsAt: START, endsAt: START + 5_000 }))
  assert.deepEqual([(await world.only()).state, (await world.only()).firing], ['open', 1])
})

test('a group that says resolved as a whole means nothing: each alert counts for itself', async (t) => {
  const world = await createWorld(t)
  await world.send(firing(), firing({ region: 'B' }))
  await world.send(resolved(), firing({ region: 'B' }))
  assert.deepEqual([(await world.only()).state, (await world.only()).firing], ['open', 1])
})

test('an old doubt is forgotten when the alert fires anew in another incident', async (t) => {
  const world = await createWorld(t)
  await world.send(firing())
  await world.send(resolved())
  world.wait(11 * MINUTE)
  await world.send(firing())
  world.wait(10 * SECOND)
  await world.send(firing({}, { startsAt: world.now() }))
  await world.pass(2 * MINUTE)
  const [, second] = await world.all()
  assert.deepEqual([second?.firing, second?.total], [1, 1])
  await world.send(resolved({}, { startsAt: world.now() }))
  assert.deepEqual(
    (await world.all()).map((incident) => incident.state),
    ['resolved', 'resolved'],
  )
})

test('webhooks that come together share a commit, and each is told when it is stored', async (t) => {
  const world = await createWorld(t)
  await world.together(...Array.from({ length: 50 }, (_, n) => [firing({ region: `R${n % 3}`, n: String(n) })]))
  const incident = await world.only()
  assert.deepEqual([incident.firing, incident.total, incident.version], [50, 50, 1])
})
