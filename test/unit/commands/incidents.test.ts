import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MINUTE } from '../../../src/core/clock.ts'
import { firing, resolved } from '../../support/engine.ts'
import { createRig, shown } from './rig.ts'

test('ack takes it, a second person hears who has it, take makes it theirs', async (t) => {
  const { say, world } = await createRig(t)
  await world.send(firing())
  const first = await say('ack 1 "looking at it"')
  assert.equal(first.summary, 'You have incident 1 (P1 · Bucket nearly empty in A · rating-api).')
  assert.deepEqual(await world.pages(), ['1/#1 acknowledged'])
  world.wait(4 * MINUTE)
  const second = await say('ack 1', { as: 'Bob' })
  assert.deepEqual(
    [second.code, second.summary, second.lines],
    ['conflict', 'Incident 1 was acknowledged already by Dana, 4 min ago.', ['take 1 makes it yours.']],
  )
  assert.equal((await say('ack 1')).summary, 'You acknowledged incident 1 already, 4 min ago.')
  assert.match((await say('take 1', { as: 'Bob' })).summary, /^Incident 1 .* is yours\. It was Dana's\.$/)
  assert.equal((await world.only()).acknowledgedBy, 'Bob')
  assert.equal((await say('take 1', { as: 'Bob' })).code, 'conflict')
  assert.deepEqual(await world.story(), ['opened', 'acknowledged', 'taken'])
})

test('ack takes over what rings again after it got worse', async (t) => {
  const { say, world } = await createRig(t)
  await world.send(firing())
  await say('ack 1')
  await world.send(firing({ region: 'B' }))
  assert.deepEqual(await world.pages(), ['1/#1 acknowledged', '1/1#1 triggered'])
  const again = await say('ack 1', { as: 'Bob' })
  assert.match(shown(again), /It was Dana's before/)
  assert.deepEqual(await world.pages(), ['1/#1 acknowledged', '1/1#1 acknowledged'])
})

test('take of what nobody has acknowledges it', async (t) => {
  const { say, world } = await createRig(t)
  await world.send(firing())
  assert.equal((await say('take 1')).ok, true)
  assert.deepEqual([(await world.only()).state, await world.pages()], ['acknowledged', ['1/#1 acknowledged']])
})

test('a resolved incident: ack changes nothing and says so; so do take, escalate and resolve', async (t) => {
  const { say, world } = await createRig(t)
  await world.send(firing())
  await world.send(resolved())
  const before = await world.only()
  const late = await say('ack 1')
  assert.deepEqual(
    [late.code, late.summary],
    ['conflict', 'Incident 1 was resolved already at 02:15 UTC; nothing was changed.'],
  )
  for (const text of ['take 1', 'escalate 1', 'resolve 1', 'silence 1 1h']) {
    assert.equal((await say(text, { confirmed: true })).code, 'conflict', text)
  }
  assert.deepEqual(await world.only(), before)
})

test('resolve asks back with what will happen, and reopens while alerts still fire', async (t) => {
  const { say, world } = await createRig(t)
  await world.send(firing(), firing({ instance: '2' }), firing({ instance: '3' }))
  const asked = await say('resolve 1 done')
  assert.equal(
    asked.summary,
    'Resolve incident 1 (P1 · Bucket nearly empty in A · rating-api): its pages end in PagerDuty and all its messages say resolved. 3 alerts still fire: Claw looks again in 10 min, and reopens it and pages if they still do.',
  )
  assert.equal((await world.only()).state, 'open')
  const done = await say('approve a1')
  assert.match(shown(done), /^Resolved incident 1 .*\n3 alerts still fire\.\n.*10 min \(02:25 UTC\)/)
  assert.equal((await world.only()).resolvedBy, 'Dana')
  await world.pass(11 * MINUTE)
  assert.equal((await world.only()).state, 'open')
})

test('a confirmed resolve runs at once', async (t) => {
  const { say, world, commands } = await createRig(t)
  await world.send(firing())
  assert.equal((await say('resolve 1', { confirmed: true })).ok, true)
  assert.equal((await world.only()).state, 'resolved')
  assert.equal((await commands.approval(1)) === null, true)
})

test('level: a raise reaches the receivers of the new level, wakes again when acknowledged, and stays', async (t) => {
  const { say, world } = await createRig(t)
  await world.send(firing({ severity: 'warning' }))
  await say('ack 1')
  const raised = await say('level 1 p1', { as: 'Cleo' })
  assert.match(shown(raised), /^Incident 1 is now P1 \(was P2\)\.\nIt was acknowledged: a new page goes out/)
  assert.deepEqual(await world.pages(), ['1/#1 acknowledged', '1/1#1 triggered'])
  assert.deepEqual((await world.deliveries()).map((one) => one.target).sort(), ['ALL', 'CRIT'])
  const { level, levelReason } = await world.only()
  assert.deepEqual([level, levelReason], ['P1', 'set by Cleo'])
  assert.equal((await say('level 1 P1', { as: 'Cleo' })).code, 'conflict')
  assert.equal((await say('level 1 P3', { as: 'Cleo' })).ok, true)
  await world.send(firing({ severity: 'critical', instance: '9' }))
  assert.equal((await world.only()).level, 'P3')
})

test('escalate: the page that rings says so; an acknowledged incident pages again', async (t) => {
  const { say, world, store } = await createRig(t)
  await world.send(firing())
  assert.match(shown(await say('escalate 1')), /still rings/)
  await say('ack 1')
  assert.match(shown(await say('escalate 1 "need a network person"')), /A new page goes out/)
  assert.deepEqual(await world.pages(), ['1/#1 acknowledged', '1/1#1 triggered'])
  const last = (await store.story(1, 9)).at(-1)
  assert.deepEqual([last?.text, last?.push], ['Dana asks for more hands: need a network person', true])
})

test('merge moves the alerts: a later resolve ends the other incident', async (t) => {
  const { say, world } = await createRig(t)
  await world.send(firing({ severity: 'warning' }))
  await world.send(
    firing({ service: 'other', region: 'B' }),
    firing({ service: 'other', region: 'C', severity: 'info' }),
  )
  await say('silence 2 1h', { confirmed: true })
  const asked = await say('merge 2 1', { as: 'Cleo' })
  assert.match(
    asked.summary,
    /^Merge incident 2 .* into incident 1 .*: its 2 alerts and receivers .*cannot be undone\.$/,
  )
  const done = await say('approve a1', { as: 'Cleo' })
  assert.match(done.summary, /^Merged incident 2 into incident 1 .*: 2 alerts moved\.$/)
  const [into, from] = await world.all()
  assert.deepEqual(
    [into?.firing, into?.total, into?.level, Object.keys(into?.regions ?? {}).sort()],
    [3, 3, 'P1', ['A', 'B', 'C']],
  )
  assert.deepEqual([from?.state, from?.firing, from?.resolvedBy], ['resolved', 0, 'Cleo'])
  assert.deepEqual((await world.deliveries(1)).map((one) => one.target).sort(), ['ALL', 'CRIT'])
  assert.equal((await world.store.alertsOf(1, 9)).length, 3)
  await world.send(firing({ service: 'other', region: 'D' }))
  assert.equal((await world.all()).length, 2, 'a later alert of the merged key joins where it went on')
  assert.equal((await world.store.alertsOf(1, 9)).length, 4)
  assert.equal((await world.store.activeSilences())[0]?.incident, 1)
  assert.deepEqual((await world.story(2)).at(-1), 'resolved')
  await world.send(
    resolved({ service: 'other', region: 'B' }),
    resolved({ service: 'other', region: 'C', severity: 'info' }),
    resolved({ service: 'other', region: 'D' }),
  )
  assert.deepEqual([(await world.all())[0]?.firing, (await world.all())[0]?.state], [1, 'open'])
  await world.send(resolved({ severity: 'warning' }))
  assert.equal((await world.all())[0]?.state, 'resolved')
})

test('merge refuses what makes no sense and changes nothing then', async (t) => {
  const { say, world } = await createRig(t)
  await world.send(firing())
  await world.send(firing({ service: 'other' }))
  await world.send(resolved({ service: 'other' }))
  const before = await world.all()
  const merge = (text: string) => say(text, { as: 'Cleo', confirmed: true })
  assert.equal((await merge('merge 1 1')).code, 'invalid')
  assert.equal((await merge('merge 2 1')).code, 'conflict')
  assert.equal((await merge('merge 1 2')).code, 'conflict')
  assert.equal((await merge('merge 1 99')).code, 'not_found')
  assert.deepEqual(await world.all(), before)
})

test('a merge into an older incident that would hide an alert is refused whole', async (t) => {
  const { say, world } = await createRig(t)
  await world.send(firing({ service: 'first' }))
  await world.send(firing())
  await world.send(resolved())
  world.wait(60 * MINUTE)
  await world.send(firing({}, { startsAt: world.now() }))
  assert.equal((await world.all()).length, 3)
  const refused = await say('merge 3 1', { as: 'Cleo', confirmed: true })
  assert.deepEqual([refused.code, (await world.store.alertsOf(3, 9)).length], ['conflict', 1])
  assert.match(refused.summary, /merge 1 3 works instead/)
  assert.equal((await say('merge 1 3', { as: 'Cleo', confirmed: true })).ok, true)
  assert.equal((await world.store.alertsOf(3, 9)).length, 2)
})

test('an incident that is not there is not found, whatever is asked of it', async (t) => {
  const { say } = await createRig(t)
  for (const text of [
    'show 7',
    'ack 7',
    'resolve 7',
    'take 7',
    'note 7 x',
    'level 7 P1',
    'escalate 7',
    'silence 7 1h',
    'postmortem 7',
    'merge 7 8',
  ])
    assert.equal((await say(text, { as: 'Cleo', confirmed: true })).code, 'not_found', text)
})
