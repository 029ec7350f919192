import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HOUR, MINUTE, SECOND } from '../../../src/core/clock.ts'
import type { OnCall, PagerDutyRest } from '../../../src/core/pagerduty.ts'
import { createOnCall } from '../../../src/engine/oncall.ts'
import { firing, resolved } from '../../support/engine.ts'
import { KEY, type Rig, rig } from './pagerduty-rig.ts'

async function paged(world: Rig): Promise<void> {
  await world.send(firing())
  await world.deliver()
  world.wait(MINUTE)
}

test('polling finds an acknowledgement whose webhook was lost, and tells it once', async (t) => {
  const world = await rig(t)
  await paged(world)
  await world.pagerduty.state.acknowledge(KEY, 'Dana')
  await world.poll()
  assert.deepEqual([(await world.only()).state, (await world.only()).acknowledgedBy], ['acknowledged', 'Dana'])
  await world.deliver()
  const { version } = await world.only()
  await world.poll()
  await world.poll()
  assert.equal((await world.only()).version, version)
  assert.deepEqual(await world.audit(), ['Dana pagerduty ack incident 1 done'])
  // the webhook comes after all
  world.hear()
  assert.equal(
    await world.sync.receive({
      id: 'late',
      type: 'incident.acknowledged',
      incidentKey: KEY,
      pdIncidentId: world.pagerduty.state.byKey(KEY)?.id ?? '',
      status: 'acknowledged',
      agent: { id: 'PDANA01', name: 'Dana', person: true },
      at: (await world.only()).acknowledgedAt ?? 0,
      createdAt: null,
      note: null,
      priority: null,
      assignees: [],
      policyId: null,
      merged: false,
    }),
    'already so',
  )
})

test('polling finds that an acknowledgement ran out, and a resolve by a person', async (t) => {
  const world = await rig(t)
  await paged(world)
  await world.pagerduty.state.acknowledge(KEY, 'Dana')
  await world.poll()
  await world.deliver()
  world.wait(10 * MINUTE)
  await world.pagerduty.state.unacknowledge(KEY)
  await world.poll()
  assert.equal((await world.only()).state, 'open')
  await world.deliver()
  await world.pagerduty.state.resolve(KEY, 'Lee')
  await world.poll()
  assert.deepEqual([(await world.only()).state, (await world.only()).resolvedBy], ['resolved', 'Lee (PagerDuty)'])
})

test('what is on its way to PagerDuty is not taken for a change there', async (t) => {
  const world = await rig(t)
  await paged(world)
  await world.acknowledge()
  await world.poll()
  assert.equal((await world.only()).state, 'acknowledged')
  assert.deepEqual(world.writes(), [])
})

test('one poll per interval, over all replicas; none without pages', async (t) => {
  const world = await rig(t)
  const asked = () => world.pagerduty.state.requests.filter(({ name }) => name === 'GET /incidents').length
  await world.poll()
  assert.equal(asked(), 0)
  await paged(world)
  await world.poll()
  assert.equal(asked(), 1)
  await world.poll(29 * SECOND)
  assert.equal(asked(), 1)
  await world.poll(SECOND)
  assert.equal(asked(), 2)
  await world.store.write((tx) => tx.setMeta('pagerduty_polled_at', String(world.now() + 29 * SECOND)))
  await world.poll()
  assert.equal(asked(), 2)
})

test('a PagerDuty that cannot be asked costs one line in the log, and changes nothing', async (t) => {
  const world = await rig(t)
  await paged(world)
  world.pagerduty.faults.set({ kind: 'rate_limit', match: '/incidents', times: 2 })
  await world.poll()
  await world.poll()
  await world.poll()
  assert.deepEqual(
    world.logged.map((line) => (JSON.parse(line) as { msg: string }).msg),
    [
      "PagerDuty cannot be polled, trying again: PagerDuty's REST API: too many requests (429).",
      'PagerDuty can be polled again',
    ],
  )
  assert.equal((await world.only()).version, 1)
})

test('a resolve that PagerDuty lost is made over REST, once', async (t) => {
  const world = await rig(t)
  await paged(world)
  await world.send(resolved())
  await world.deliver()
  // as if the event had been accepted and dropped
  const incident = world.pagerduty.state.byKey(KEY)
  assert.ok(incident)
  incident.status = 'triggered'
  incident.changedAt = incident.createdAt
  await world.poll()
  assert.deepEqual(world.writes(), [])
  await world.poll()
  await world.poll()
  await world.poll()
  assert.deepEqual(world.writes(), [`PUT /incidents/${incident.id}`])
  assert.equal(incident.status, 'resolved')
})

test('an acknowledgement that PagerDuty lost is made over REST, and its echo changes nothing', async (t) => {
  const world = await rig(t)
  world.hear()
  await paged(world)
  await world.acknowledge()
  await world.deliver()
  const incident = world.pagerduty.state.byKey(KEY)
  assert.ok(incident)
  incident.status = 'triggered'
  incident.changedAt = incident.createdAt
  await world.poll(MINUTE)
  await world.pagerduty.state.webhooks.settled()
  assert.equal(incident.status, 'acknowledged')
  const { version } = await world.only()
  await world.poll()
  assert.deepEqual(world.writes(), [`PUT /incidents/${incident.id}`])
  assert.deepEqual([(await world.only()).version, (await world.only()).acknowledgedBy], [version, 'Dana'])
  assert.equal((await world.lines()).at(-1), 'Acknowledged by Dana.')
})

test('a page that was accepted and is shown nowhere is told, once', async (t) => {
  const world = await rig(t)
  await paged(world)
  world.pagerduty.state.incidents.length = 0
  await world.poll()
  assert.equal((await world.lines()).length, 1)
  await world.poll(MINUTE)
  await world.deliver()
  await world.poll(HOUR)
  assert.deepEqual((await world.lines()).slice(1), [
    'PagerDuty took the page but shows no open incident for it: check the service and its event rules.',
  ])
})

test('who is on call is asked every five minutes at most, and outlives a PagerDuty that is down', async (t) => {
  const world = await rig(t)
  const calls: string[][] = []
  let down = false
  const list: OnCall[] = [
    { level: 1, name: 'Dana', policy: 'Default', until: null },
    { level: 2, name: 'Lee', policy: 'Default', until: world.now() + 10 * MINUTE },
  ]
  const rest = {
    async onCall(policies: readonly string[] = []) {
      calls.push([...policies])
      if (down) throw new Error('down')
      return list
    },
  } as Partial<PagerDutyRest> as PagerDutyRest
  const onCall = createOnCall({ rest: () => rest, store: world.store, clock: world.now })
  assert.deepEqual(onCall.names(), [])
  assert.deepEqual(await onCall.list(), list)
  assert.deepEqual(onCall.names(), ['Dana', 'Lee'])
  world.wait(5 * MINUTE)
  await onCall.list()
  assert.equal(calls.length, 1)
  down = true
  world.wait(6 * MINUTE)
  assert.deepEqual(
    (await onCall.list())?.map(({ name }) => name),
    ['Dana'],
  )
  await onCall.list()
  assert.equal(calls.length, 2)
  world.wait(HOUR)
  assert.equal(await onCall.list(), null)
  assert.equal(await createOnCall({ rest: () => null, store: world.store, clock: world.now }).list(), null)
})
