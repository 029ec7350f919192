import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MINUTE, SECOND } from '../../../src/core/clock.ts'
import type { PagerDutyEvent } from '../../../src/core/pagerduty.ts'
import { signPagerDuty } from '../../../src/sandbox/pagerduty.ts'
import { firing, resolved } from '../../support/engine.ts'
import { KEY, type Rig, rig } from './pagerduty-rig.ts'

/** One P1 that PagerDuty has paged for, a minute ago. */
async function paged(world: Rig): Promise<void> {
  await world.send(firing())
  await world.deliver()
  await world.shown()
  world.wait(MINUTE)
}

const LEE = { id: 'PLEE002', name: 'Lee', person: true }

function event(world: Rig, more: Partial<PagerDutyEvent>): PagerDutyEvent {
  return {
    id: `E${Math.round(world.now())}`,
    type: 'incident.acknowledged',
    incidentKey: KEY,
    pdIncidentId: 'Q1',
    status: null,
    agent: LEE,
    at: world.now(),
    createdAt: null,
    note: null,
    priority: null,
    assignees: [],
    policyId: null,
    merged: false,
    ...more,
  }
}

test('acknowledged on the phone: the incident is, as the linked person, and every other place is told at once', async (t) => {
  const world = await rig(t)
  await paged(world)
  world.hear()
  assert.equal(await world.pagerduty.state.acknowledge(KEY, 'Dana'), 200)
  const incident = await world.only()
  assert.deepEqual(
    [incident.state, incident.acknowledgedBy, incident.acknowledgedAt],
    ['acknowledged', 'Dana', world.now()],
  )
  assert.equal((await world.lines()).at(-1), 'Acknowledged by Dana in PagerDuty.')
  assert.deepEqual(
    (await world.others()).map(({ kind, priority, dueAt, wanted }) => [kind, priority, dueAt, wanted]),
    ['slack', 'telegram'].map((kind) => [kind, 0, world.now(), incident.version]),
  )
  assert.equal(world.stored, 1)
  assert.deepEqual(await world.audit(), ['Dana pagerduty ack incident 1 done'])
})

test('a person who is not linked is named as PagerDuty does', async (t) => {
  const world = await rig(t)
  await paged(world)
  world.hear()
  await world.pagerduty.state.acknowledge(KEY, 'Lee')
  assert.equal((await world.only()).acknowledgedBy, 'Lee (PagerDuty)')
})

test('nothing goes round in circles: our own events come back and change nothing', async (t) => {
  const world = await rig(t)
  world.hear()
  await paged(world)
  await world.acknowledge()
  await world.deliver()
  const { version } = await world.only()
  assert.deepEqual(world.events(), [`trigger ${KEY}`, `acknowledge ${KEY}`])
  await world.poll()
  await world.deliver()
  assert.equal((await world.only()).version, version)
  await world.send(resolved())
  await world.deliver()
  await world.poll()
  await world.deliver()
  await world.poll()
  assert.deepEqual(world.events(), [`trigger ${KEY}`, `acknowledge ${KEY}`, `resolve ${KEY}`])
  assert.equal((await world.only()).version, version + 1)
  const heard = world.pagerduty.state.webhooks.deliveries.map((one) => one.event.event_type)
  assert.deepEqual(heard, ['incident.triggered', 'incident.acknowledged', 'incident.resolved'])
  assert.deepEqual([await world.audit(), world.writes()], [[], []])
})

test('after an acknowledgement on the phone we say so once, and never again', async (t) => {
  const world = await rig(t)
  world.hear()
  await paged(world)
  await world.pagerduty.state.acknowledge(KEY, 'Dana')
  for (let round = 0; round < 3; round++) {
    await world.deliver()
    await world.poll()
  }
  assert.deepEqual(world.events(), [`trigger ${KEY}`, `acknowledge ${KEY}`])
  assert.equal(world.pagerduty.state.pages.length, 1)
  assert.equal((await world.only()).acknowledgedBy, 'Dana')
})

test('a repeated webhook runs once', async (t) => {
  const world = await rig(t)
  await paged(world)
  world.hear()
  await world.pagerduty.state.annotate(KEY, 'rolling back', 'Lee')
  const [delivery] = world.pagerduty.state.webhooks.deliveries
  assert.ok(delivery)
  assert.deepEqual(
    [await world.pagerduty.state.redeliver(delivery), await world.pagerduty.state.redeliver(delivery)],
    [200, 200],
  )
  assert.equal((await world.lines()).filter((line) => line.includes('rolling back')).length, 1)
  assert.equal((await world.audit()).length, 1)
  assert.equal(await world.sync.receive(event(world, { id: delivery.event.id })), 'repeated')
})

test('forged webhooks are refused and leave nothing behind', async (t) => {
  const world = await rig(t)
  await paged(world)
  const body = JSON.stringify({
    event: {
      id: '01X',
      event_type: 'incident.acknowledged',
      occurred_at: new Date(world.now()).toISOString(),
      agent: { id: 'PDANA01', type: 'user_reference', summary: 'Dana' },
      data: { id: 'Q1', incident_key: KEY, status: 'acknowledged' },
    },
  })
  const post = async (signature: string | null, text = body) => {
    const headers = {
      'content-type': 'application/json',
      ...(signature === null ? {} : { 'x-pagerduty-signature': signature }),
    }
    return (await fetch(world.url, { method: 'POST', headers, body: text })).status
  }
  assert.equal(await post(null), 401)
  assert.equal(await post(signPagerDuty(body, 'guess')), 401)
  assert.equal(await post(signPagerDuty(body, 'sandbox'), `${body} `), 401)
  assert.equal((await world.only()).state, 'open')
  assert.equal(await world.store.request('pagerduty:01X'), null)
  assert.deepEqual(await world.audit(), [])
  assert.equal(await post(signPagerDuty('nonsense', 'sandbox'), 'nonsense'), 400)
  assert.equal(await post(signPagerDuty(body, 'old', 'sandbox')), 200)
  assert.equal((await world.only()).state, 'acknowledged')
})

test('without a secret every webhook is refused', async (t) => {
  const world = await rig(t, { secrets: [] })
  await paged(world)
  world.hear()
  assert.equal(await world.pagerduty.state.acknowledge(KEY), 401)
  assert.equal((await world.only()).state, 'open')
})

test('while secrets are rotated, either signature will do', async (t) => {
  const world = await rig(t, { secrets: ['new'] })
  await paged(world)
  world.pagerduty.state.webhooks.target = { url: world.url, secret: 'sandbox', rotated: 'new' }
  assert.equal(await world.pagerduty.state.acknowledge(KEY), 200)
  assert.equal((await world.only()).state, 'acknowledged')
})

test('what belongs to others is ignored, and so are unknown types', async (t) => {
  const world = await rig(t)
  await paged(world)
  for (const incidentKey of ['claw/other/1', 'claw/test/1x', 'claw/test/0', 'claw/test', 'somebody', 'claw/test/1/a']) {
    assert.equal(await world.sync.receive(event(world, { id: incidentKey, incidentKey })), 'not ours')
  }
  assert.equal(await world.sync.receive(event(world, { id: 'x', incidentKey: 'claw/test/99' })), 'ignored')
  assert.equal(await world.sync.receive(event(world, { id: 'y', type: 'incident.danced' })), 'ignored')
  assert.equal(
    await world.sync.receive(event(world, { id: 'z', type: 'pagey.ping', incidentKey: null, pdIncidentId: null })),
    'not ours',
  )
  const incident = await world.only()
  assert.deepEqual([incident.state, incident.version], ['open', 1])
})

test('an acknowledgement that runs out rings again, and can be given again', async (t) => {
  const world = await rig(t)
  world.hear()
  await paged(world)
  await world.acknowledge()
  await world.deliver()
  world.wait(30 * MINUTE)
  await world.pagerduty.state.unacknowledge(KEY)
  const incident = await world.only()
  assert.deepEqual([incident.state, incident.acknowledgedBy], ['open', null])
  assert.deepEqual(await world.pages(), ['1/#2 triggered'])
  // before our lane has run, somebody takes it again in chat: PagerDuty must hear of that
  await world.acknowledge()
  await world.deliver()
  assert.equal(world.pagerduty.state.byKey(KEY)?.status, 'acknowledged')
  assert.equal(world.pagerduty.state.pages.length, 1)
  assert.equal((await world.only()).state, 'acknowledged')
  assert.deepEqual(await world.audit(), ['PagerDuty pagerduty unack incident 1 done'])
})

test('resolved on the phone while alerts fire: a warning, and after 10 minutes it is open and pages again', async (t) => {
  const world = await rig(t)
  world.hear()
  await paged(world)
  await world.pagerduty.state.resolve(KEY, 'Dana')
  let incident = await world.only()
  assert.deepEqual([incident.state, incident.resolvedBy, incident.check], ['resolved', 'Dana', 'still_firing'])
  assert.match(
    (await world.lines()).at(-1) ?? '',
    /^Resolved by Dana in PagerDuty\. 1 alert still fires: looking again in 10 min/,
  )
  await world.deliver()
  await world.pass(10 * MINUTE - 1)
  assert.equal((await world.only()).state, 'resolved')
  await world.pass(1)
  incident = await world.only()
  assert.equal(incident.state, 'open')
  await world.deliver()
  assert.equal(world.pagerduty.state.pagesOf(KEY), 2)
  assert.equal(world.pagerduty.state.byKey(KEY)?.status, 'triggered')
})

test('reassigned, escalated, annotated, priority: lines that say who; handing on makes an acknowledged page ring', async (t) => {
  const world = await rig(t)
  world.hear()
  await paged(world)
  await world.pagerduty.state.escalate(KEY)
  await world.pagerduty.state.annotate(KEY, 'looks like the\nmerge bug', 'Lee')
  await world.pagerduty.state.prioritise(KEY, 'P1', 'Dana')
  await world.pagerduty.state.prioritise(KEY, null, 'Dana')
  await world.pagerduty.state.acknowledge(KEY, 'Dana')
  world.wait(SECOND)
  await world.pagerduty.state.reassign(KEY, 'Lee', 'Dana')
  assert.deepEqual((await world.lines()).slice(1), [
    'Escalated to Lee in PagerDuty.',
    'Note in PagerDuty by Lee: looks like the\nmerge bug',
    'Priority set to P1 in PagerDuty by Dana.',
    'Priority removed in PagerDuty by Dana.',
    'Acknowledged by Dana in PagerDuty.',
    'Reassigned to Lee in PagerDuty by Dana. The page rings again.',
  ])
  assert.equal((await world.only()).state, 'open')
  assert.deepEqual(await world.audit(), [
    'PagerDuty pagerduty escalate incident 1 done',
    'Lee (PagerDuty) pagerduty note incident 1 done',
    'Dana pagerduty priority incident 1 done',
    'Dana pagerduty priority incident 1 done',
    'Dana pagerduty ack incident 1 done',
    'Dana pagerduty reassign incident 1 done',
  ])
})

test('a note finds its incident by asking PagerDuty when no event told it before; our own notes are not told again', async (t) => {
  const world = await rig(t)
  await paged(world)
  world.hear()
  await world.pagerduty.state.annotate(KEY, 'first', 'Lee')
  await world.pagerduty.state.annotate(KEY, 'Claw: Acknowledged by Dana.', 'Claw')
  assert.deepEqual((await world.lines()).slice(1), ['Note in PagerDuty by Lee: first'])
})

test('out of order: what is older than what is known changes nothing', async (t) => {
  const world = await rig(t)
  await paged(world)
  const early = world.now()
  world.wait(MINUTE)
  await world.resolve()
  assert.equal(await world.sync.receive(event(world, { id: 'a', at: early })), 'already so')
  assert.equal((await world.only()).state, 'resolved')
  // it comes back: an acknowledgement and a resolve of the time before must not silence the new page
  await world.send(resolved())
  world.wait(MINUTE)
  await world.send(firing({}, { startsAt: world.now() }))
  assert.equal((await world.only()).state, 'open')
  assert.equal(await world.sync.receive(event(world, { id: 'b', at: early })), 'stale')
  assert.equal(await world.sync.receive(event(world, { id: 'c', at: early, type: 'incident.resolved' })), 'stale')
  assert.deepEqual((await world.pages()).at(-1), '1/#2 triggered')
  assert.deepEqual(await world.audit(), [
    'Lee (PagerDuty) pagerduty ack incident 1 refused',
    'Lee (PagerDuty) pagerduty resolve incident 1 refused',
  ])
})

test('an acknowledgement and its end come to the same in either order', async (t) => {
  for (const order of [
    [0, 1],
    [1, 0],
  ]) {
    const world = await rig(t)
    await paged(world)
    const events = [
      event(world, { id: 'ack', at: world.now() }),
      event(world, { id: 'unack', type: 'incident.unacknowledged', agent: null, at: world.now() + SECOND }),
    ]
    world.wait(MINUTE)
    for (const index of order) await world.sync.receive(events[index] as PagerDutyEvent)
    assert.deepEqual([(await world.only()).state, (await world.only()).acknowledgedBy], ['open', null])
    assert.match((await world.pages())[0] ?? '', /triggered$/)
  }
})

test('a resolve by somebody who did not know of the worsening does not end it', async (t) => {
  const world = await rig(t)
  await paged(world)
  const before = world.now()
  world.wait(MINUTE)
  await world.send(firing({ region: 'B' }))
  assert.equal(await world.sync.receive(event(world, { type: 'incident.resolved', at: before })), 'stale')
  assert.equal((await world.only()).state, 'open')
})

test('acknowledged here and there at once: the first stands, the second is told', async (t) => {
  const world = await rig(t)
  await paged(world)
  await world.acknowledge()
  assert.equal(await world.sync.receive(event(world, {})), 'told')
  assert.equal((await world.only()).acknowledgedBy, 'Dana')
  assert.equal((await world.lines()).at(-1), 'Also acknowledged by Lee (PagerDuty).')
})

test('the page of a worsening leads back to its incident', async (t) => {
  const world = await rig(t)
  world.hear()
  await paged(world)
  await world.acknowledge()
  await world.deliver()
  world.wait(MINUTE)
  await world.send(firing({ region: 'B' }))
  await world.deliver()
  assert.deepEqual(await world.pages(), ['1/#1 acknowledged', '1/1#1 triggered'])
  // what is acknowledged already says nothing about the new page
  await world.poll()
  assert.deepEqual(await world.pages(), ['1/#1 acknowledged', '1/1#1 triggered'])
  await world.pagerduty.state.acknowledge(`${KEY}/1`, 'Lee')
  assert.deepEqual(await world.pages(), ['1/#1 acknowledged', '1/1#1 acknowledged'])
  await world.pagerduty.state.resolve(`${KEY}/1`, 'Lee')
  assert.deepEqual(await world.pages(), ['1/#1 resolved', '1/1#1 resolved'])
  await world.deliver()
  assert.deepEqual(
    world.pagerduty.state.incidents.map(({ status }) => status),
    ['resolved', 'resolved'],
  )
})

test('a merge in PagerDuty is no resolve, and a page that PagerDuty closes by itself does not end the incident', async (t) => {
  const world = await rig(t)
  await paged(world)
  assert.equal(await world.sync.receive(event(world, { id: 'm', type: 'incident.resolved', merged: true })), 'told')
  world.wait(SECOND)
  const alone = {
    id: 'n',
    type: 'incident.resolved',
    pdIncidentId: 'Q2',
    agent: { id: 'PSERVICE', name: 's', person: false },
  }
  assert.equal(await world.sync.receive(event(world, alone)), 'told')
  assert.equal((await world.only()).state, 'open')
  assert.match(
    (await world.lines()).join('\n'),
    /merged the page into another incident by Lee.*\n.*closed its page by itself/,
  )
})
