import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MINUTE } from '../../../src/core/clock.ts'
import { firing } from '../../support/engine.ts'
import { createRig, shown } from './rig.ts'

async function asked(t: { after(done: () => Promise<void>): void }, needed = 1) {
  const rig = await createRig(t)
  rig.approvals.needed.escalate = needed
  await rig.world.send(firing())
  const answer = await rig.say('escalate 1 help', {
    replyTo: { lane: 'slack', target: 'C1', address: { ts: '1' } },
    incident: 1,
  })
  return { ...rig, answer }
}

test('another person agrees, once each, and it runs for the one who asked', async (t) => {
  const { say, world, answer, audit } = await asked(t, 2)
  assert.match(shown(answer), /2 other people must agree: \/claw approve a1/)
  assert.equal((await say('approve a1')).code, 'forbidden')
  const first = await say('approve a1', { as: 'Bob' })
  assert.match(first.summary, /You agreed to a1: escalate 1 help\. 1 more person must agree\./)
  assert.equal((await say('approve 1', { as: 'Bob' })).code, 'conflict')
  assert.deepEqual(await world.story(), ['opened'])
  const second = await say('approve A1', { as: 'Cleo' })
  assert.match(second.summary, /^You agreed to a1, it ran for Dana: You asked for more hands/)
  assert.deepEqual(await world.story(), ['opened', 'escalated'])
  assert.equal((await say('approve a1', { as: 'Cleo' })).code, 'conflict')
  assert.equal((await say('deny a1', { as: 'Cleo' })).code, 'conflict')
  assert.deepEqual(await audit(), [
    'Dana escalate asked',
    'Dana approve forbidden',
    'Bob approve done',
    'Bob approve refused',
    'Dana escalate done',
    'Cleo approve done',
    'Cleo approve refused',
    'Cleo deny refused',
  ])
})

test('who may not run it may not agree, unless on call', async (t) => {
  const { say, services, world } = await asked(t)
  const no = await say('approve a1', { as: 'Otto' })
  assert.equal(no.summary, 'You may not agree to a1: it takes a role that may run escalate, or being on call.')
  services.onCall = async () => [{ level: 1, name: 'Otto', policy: 'edge', until: null }]
  assert.equal((await say('approve a1', { as: 'Otto' })).ok, true)
  assert.deepEqual(await world.story(), ['opened', 'escalated'])
})

test('a no ends it and tells the asker; the asker may take it back', async (t) => {
  const { say, world, store } = await asked(t)
  const before = (await store.listDeliveries({ state: null, limit: 99, before: null })).length
  assert.match(shown(await say('deny a1 "not now"', { as: 'Bob' })), /^Denied: a1 .*\nDana is told/)
  const [told, ...rest] = await store.listDeliveries({ state: null, limit: 99, before: null })
  assert.equal(rest.length, before)
  assert.match(JSON.stringify(told?.settings), /Bob denied a1 \(escalate 1 help\): not now/)
  assert.equal((await say('approve a1', { as: 'Bob' })).summary, 'a1 was denied; it did not run.')
  await say('escalate 1')
  assert.match((await say('deny a2')).summary, /^Taken back/)
  assert.deepEqual(await world.story(), ['opened'])
})

test('after its time a question is expired, and says how to ask again', async (t) => {
  const { say, world, store } = await asked(t)
  world.wait(15 * MINUTE)
  const late = await say('approve a1', { as: 'Bob' })
  assert.equal(late.code, 'conflict')
  assert.equal(shown(late), 'a1 expired at 02:30 UTC; nothing was changed.\nAsk again: /claw escalate 1 help')
  assert.equal((await store.approval(1))?.state, 'expired')
  assert.equal((await say('approve a1 --break-glass now')).code, 'conflict')
  assert.deepEqual(await world.story(), ['opened'])
})

test('break-glass: by the asker, after 5 min, with a reason, and loudly', async (t) => {
  const { say, world, store } = await asked(t)
  assert.match(shown(await say('approve a1 --break-glass "all asleep"')), /can be broken from 02:20 UTC on/)
  world.wait(5 * MINUTE)
  assert.equal((await say('approve a1 --break-glass')).code, 'invalid')
  assert.equal((await say('approve a1 --break-glass "me too"', { as: 'Bob' })).code, 'invalid')
  assert.equal((await say('approve a1 please')).code, 'invalid')
  assert.match(shown(await say('approve a1')), /--break-glass "reason" runs it at once/)
  assert.deepEqual(await world.story(), ['opened'])
  const broken = await say('approve a1 —break-glass "all asleep"')
  assert.match(broken.summary, /^BREAK-GLASS: Dana ran "escalate 1 help" without .*: all asleep$/)
  assert.equal((broken.data as { break_glass: boolean }).break_glass, true)
  assert.deepEqual(await world.story(), ['opened', 'escalated', 'break_glass'])
  const loud = (await store.story(1, 9)).at(-1)
  assert.deepEqual([loud?.push, loud?.actor], [true, 'Dana'])
})

test('a confirmation is for the asker alone, and runs once', async (t) => {
  const { say, world } = await createRig(t)
  await world.send(firing())
  const ask = await say('resolve 1')
  assert.deepEqual(
    ask.buttons.map((button) => button.command),
    ['approve a1', 'deny a1'],
  )
  assert.equal((await say('approve a1', { as: 'Bob' })).code, 'forbidden')
  assert.match((await say('approve a1')).summary, /^Resolved incident 1/)
  assert.equal((await say('approve a1')).code, 'conflict')
  assert.deepEqual(await world.story(), ['opened', 'resolved'])
  assert.equal((await say('approve a9')).code, 'not_found')
})

test('what makes no sense any more when it is agreed to does not run, and nobody hears that it did', async (t) => {
  const { say, world } = await asked(t)
  await world.resolve(1)
  world.wait(5 * MINUTE)
  const glass = await say('approve a1 --break-glass "all asleep"')
  assert.deepEqual([glass.code, glass.summary], ['conflict', 'Incident 1 is resolved: there is nothing to escalate.'])
  assert.deepEqual(await world.story(), ['opened', 'resolved'])
  assert.equal((await say('approve a1', { as: 'Bob' })).code, 'conflict')
})
