import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createEdgeRig } from './edge-rig.ts'
import { shown } from './rig.ts'

test('the checklist shows every phase; in the thread its number may be left out', async (t) => {
  const { say } = await createEdgeRig(t)
  const all = await say('checklist', { as: 'Vic', incident: 1 })
  assert.match(all.summary, /^Checklist of incident 1: \d of 6 closed\.$/)
  assert.deepEqual(
    all.table?.rows.map(([phase]) => phase),
    ['detection', 'alerting', 'switch', 'validation', 'automation', 'post-mortem'],
  )
  assert.match(all.lines[0] ?? '', /^Next: alerting; \/claw checklist 1 alerting done ticks it\.$/)
  assert.match((await say('checklist 1 detection')).summary, /^detection of incident 1: done by claw at 02:15 UTC/)
  assert.equal((await say('checklist 9')).code, 'not_found')
})

test('a phase is ticked, skipped, opened again and given to somebody, with a note and a line in the story', async (t) => {
  const { say, world, store } = await createEdgeRig(t)
  const item = async (phase: string) => (await world.only()).checklist?.find((one) => one.phase === phase)
  const done = await say('checklist switch done looks stable', { incident: 1 })
  assert.match(done.summary, /^switch of incident 1: done by Dana at 02:15 UTC, nobody owns it \(looks stable\)\.$/)
  assert.deepEqual(await item('switch'), {
    phase: 'switch',
    state: 'done',
    owner: null,
    by: 'Dana',
    at: world.now(),
    note: 'looks stable',
  })
  assert.equal((await store.story(1, 9)).at(-1)?.text, 'Dana: switch: done (looks stable).')
  await say('checklist 1 postmortem owner Bob')
  assert.equal((await item('post-mortem'))?.owner, 'Bob')
  await say('checklist 1 post-mortem owner me')
  assert.equal((await item('post-mortem'))?.owner, 'Dana')
  await say('checklist 1 switch open')
  assert.deepEqual([(await item('switch'))?.state, (await item('switch'))?.by], ['open', null])
  await say('checklist 1 validation skip')
  assert.equal((await item('validation'))?.state, 'skipped')
  const again = await say('checklist 1 validation skip')
  assert.deepEqual([again.code, /is so already/.test(again.summary)], ['conflict', true])
})

test('changing it takes a role that may acknowledge; nonsense is refused with what there is', async (t) => {
  const { say, world } = await createEdgeRig(t)
  const no = await say('checklist 1 switch done', { as: 'Vic' })
  assert.deepEqual(
    [no.code, no.summary],
    ['forbidden', 'You may not change the checklist: it takes a role that may run ack.'],
  )
  assert.equal((await world.only()).checklist?.some((one) => one.phase === 'switch') ?? false, false)
  for (const [text, why] of [
    ['checklist 1 swich done', /no phase "swich"; did you mean "switch"\? it is one of detection, alerting/],
    ['checklist 1 switch finished', /done, skip, open or owner NAME, not "finished"/],
    ['checklist 1 switch owner', /name the owner/],
    [`checklist 1 switch done ${'x'.repeat(201)}`, /at most 200/],
  ] as const) {
    const wrong = await say(text)
    assert.equal(wrong.code, 'invalid', text)
    assert.match(wrong.summary, why)
  }
  assert.match(shown(await say('checklist', { incident: 1 })), /Phase \| State/)
})
