import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HOUR, MINUTE } from '../../../src/core/clock.ts'
import { createWorld, firing, PLATFORMS, resolved, TWO_RECEIVERS, without } from '../../support/engine.ts'

const warning = { severity: 'warning', alertname: 'TokenBucketLow' }
const info = { severity: 'info', alertname: 'TrafficSpike' }

test('a missing severity is P2, and says so; an unknown one too', async (t) => {
  const world = await createWorld(t)
  await world.send(without(firing(), 'severity'), firing({ severity: 'panic', service: 'other' }))
  const [missing, unknown] = await world.all()
  assert.deepEqual([missing?.level, unknown?.level], ['P2', 'P2'])
  assert.match(missing?.levelReason ?? '', /severity is missing/)
  assert.match(unknown?.levelReason ?? '', /"panic" is unknown/)
  const [opened] = await world.store.story(1, 9)
  assert.match(opened?.text ?? '', /^Opened as P2: severity is missing/)
})

test('two regions at once raise P2 to P1, and the reason says it', async (t) => {
  const world = await createWorld(t)
  await world.send(firing(warning))
  assert.equal((await world.only()).level, 'P2')
  await world.send(firing({ ...warning, region: 'B' }))
  const incident = await world.only()
  assert.equal(incident.level, 'P1')
  assert.match(incident.levelReason, /severity="warning" makes it P2 .*; raised from P2: 2 regions at once/)
  assert.deepEqual(await world.story(), ['opened', 'worsened'])
})

test('an info is never raised, a P1 stays one', async (t) => {
  const world = await createWorld(t)
  await world.send(firing(info), firing({ ...info, region: 'B' }), firing({ ...info, region: 'C' }))
  assert.equal((await world.only()).level, 'P3')
  await world.send(firing(), firing({ region: 'B' }))
  assert.equal((await world.only()).level, 'P1')
  assert.doesNotMatch((await world.only()).levelReason, /raised/)
})

test('regions one after the other are not "at once"; raise_at_regions 0 never raises', async (t) => {
  const world = await createWorld(t)
  await world.send(firing(warning), firing({ ...warning, n: '2' }))
  await world.send(resolved(warning), resolved({ ...warning, n: '2' }), firing({ ...info, region: 'A' }))
  await world.send(resolved({ ...info, region: 'A' }), firing({ ...warning, region: 'B' }))
  assert.equal((await world.only()).level, 'P2')
  const never = await createWorld(t, 'incidents: { raise_at_regions: 0 }')
  await never.send(firing(warning), firing({ ...warning, region: 'B' }), firing({ ...warning, region: 'C' }))
  assert.equal((await never.only()).level, 'P2')
})

test('alerts without a region are no region of their own', async (t) => {
  const world = await createWorld(t)
  await world.send(firing(warning))
  await world.acknowledge()
  await world.send(without(firing({ ...warning, alertname: 'ErrorRateHigh' }), 'region'))
  assert.equal((await world.only()).level, 'P2')
  assert.deepEqual(await world.pages(), ['1/#1 acknowledged'])
  assert.deepEqual((await world.view()).regions, ['A'])
})

test('the level is the highest so far: what ends does not lower it', async (t) => {
  const world = await createWorld(t)
  await world.send(firing(info))
  await world.send(firing())
  await world.send(resolved())
  await world.pass(HOUR)
  assert.deepEqual([(await world.only()).level, (await world.only()).state], ['P1', 'open'])
})

test('a level that a person set is theirs', async (t) => {
  const world = await createWorld(t)
  await world.send(firing(warning))
  await world.act(1, ({ incident }) => {
    incident.level = 'P3'
    incident.levelSetBy = 'Dana'
  })
  await world.send(firing(), firing({ region: 'B' }))
  assert.equal((await world.only()).level, 'P3')
})

test('worse while the page rings: only its text changes, and people are pushed once per webhook', async (t) => {
  const world = await createWorld(t)
  await world.send(firing(warning))
  await world.send(firing(), firing({ region: 'B' }), firing({ region: 'C' }))
  const { pages, version } = await world.only()
  assert.deepEqual(pages, [{ key: '', generation: 1, revision: 1, state: 'triggered', reason: 'first page' }])
  assert.equal(version, 2)
  const [, worse] = await world.store.story(1, 9)
  assert.match(worse?.text ?? '', /^Worse: now P1 \(.*\), also in B, C\.$/)
  assert.equal(worse?.push, true)
})

test('worse while acknowledged: a page of its own wakes somebody, then the next; all resolve together', async (t) => {
  const world = await createWorld(t)
  await world.send(firing())
  await world.acknowledge()
  await world.send(firing({ region: 'B' }))
  assert.deepEqual(await world.pages(), ['1/#1 acknowledged', '1/1#1 triggered'])
  assert.match((await world.view()).nextStep, /got worse after the acknowledgement/)
  await world.send(firing({ region: 'C' }))
  assert.deepEqual(await world.pages(), ['1/#1 acknowledged', '1/1#1 triggered'], 'it rings already')
  assert.equal((await world.only()).pages[1]?.revision, 1)
  await world.acknowledge()
  await world.send(firing({ region: 'D' }))
  assert.deepEqual(await world.pages(), ['1/#1 acknowledged', '1/1#1 acknowledged', '1/2#1 triggered'])
  await world.send(resolved(), ...['B', 'C', 'D'].map((region) => resolved({ region })))
  assert.deepEqual(await world.pages(), ['1/#1 resolved', '1/1#1 resolved', '1/2#1 resolved'])
})

test('a new alert that makes an acknowledged incident no worse is a silent edit', async (t) => {
  const world = await createWorld(t)
  await world.send(firing())
  await world.acknowledge()
  const before = await world.only()
  world.wait(MINUTE)
  await world.send(firing({ alertname: 'LatencyHigh' }))
  const after = await world.only()
  assert.deepEqual([after.pages, after.version], [before.pages, before.version + 1])
  assert.deepEqual(
    (await world.store.story(1, 9)).filter((event) => event.at === world.now()),
    [],
  )
})

test('after a recurrence a worsening has a key that was never used', async (t) => {
  const world = await createWorld(t)
  await world.send(firing())
  await world.acknowledge()
  await world.send(firing({ region: 'B' }))
  await world.send(resolved(), resolved({ region: 'B' }))
  world.wait(MINUTE)
  await world.send(firing({}, { startsAt: world.now() }))
  await world.acknowledge()
  await world.send(firing({ region: 'C' }))
  assert.deepEqual((await world.pages()).sort(), ['1/#2 acknowledged', '1/1#1 resolved', '1/2#1 triggered'])
})

test('routing: by the level of the incident, each destination once, and receivers only grow', async (t) => {
  const world = await createWorld(t)
  const targets = async () => (await world.deliveries()).map((one) => one.target)
  await world.send(firing(warning))
  assert.deepEqual(await targets(), ['ALL'])
  await world.send(firing({ ...warning, region: 'B' }))
  assert.deepEqual(await targets(), ['ALL', 'CRIT'], 'raised to P1: routed again')
  await world.send(firing(info), firing({ n: '1' }))
  await world.send(resolved(warning), resolved({ ...warning, region: 'B' }))
  assert.deepEqual(await targets(), ['ALL', 'CRIT'])
  assert.deepEqual(
    (await world.only()).receivers.map(({ name, why }) => `${name}: ${why}`),
    ['default: route: no other route matches', 'critical: route.routes[0]: level="P1"'],
  )
})

test('a webhook that opens a P1 in two regions is never routed as the P2 it might have been', async (t) => {
  const world = await createWorld(t)
  await world.send(firing(warning), firing({ ...warning, region: 'B' }))
  assert.deepEqual(
    (await world.deliveries()).map((one) => one.target),
    ['CRIT'],
  )
})

test('when the level rises, alerts that joined long before are routed again', async (t) => {
  const world = await createWorld(
    t,
    `${PLATFORMS}
receivers: [{ name: default }, { name: team-a, slack: { channel: A } }]
route:
  receiver: default
  routes: [{ matchers: ['level="P1"', 'team="a"'], receiver: team-a }]
`,
  )
  await world.send(firing({ ...warning, team: 'a' }))
  assert.deepEqual(await world.deliveries(), [])
  world.wait(HOUR)
  await world.send(firing())
  assert.deepEqual(
    (await world.deliveries()).map((one) => one.target),
    ['A'],
  )
})

test('a reload reroutes new incidents only', async (t) => {
  const world = await createWorld(t)
  await world.send(firing())
  world.reload(TWO_RECEIVERS.replace('CRIT', 'ELSEWHERE'))
  await world.send(firing({ region: 'B' }))
  assert.deepEqual(
    (await world.deliveries()).map((one) => one.target),
    ['CRIT'],
  )
  await world.send(firing({ service: 'billing' }))
  assert.deepEqual(
    (await world.deliveries(2)).map((one) => one.target),
    ['ELSEWHERE'],
  )
})

test('a push is due at once, a silent edit a moment later', async (t) => {
  const world = await createWorld(t)
  await world.send(firing())
  const [row] = await world.deliveries()
  assert.ok(row)
  await world.store.write(async (tx) => {
    await tx.beginSteps([row.id], 1)
    const done = { ...row, fence: 1, state: 'delivered' as const, shown: 1, deliveredAt: world.now() }
    await tx.recordOutcomes([done])
  })
  world.wait(MINUTE)
  await world.send(firing({ alertname: 'LatencyHigh' }))
  const [edit] = await world.deliveries()
  assert.deepEqual(
    [edit?.state, edit?.priority, edit?.wanted, (edit?.dueAt ?? 0) - world.now()],
    ['pending', 1, 2, 1000],
  )
  await world.send(firing({ region: 'B' }))
  const [push] = await world.deliveries()
  assert.deepEqual([push?.priority, push?.wanted, (push?.dueAt ?? 0) - world.now()], [0, 3, 0])
})
