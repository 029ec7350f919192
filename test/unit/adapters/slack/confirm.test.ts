import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type CommandRequest, type Reply, refusal, reply } from '../../../../src/core/command.ts'
import type { SlackResponse } from '../../../../src/sandbox/slack.ts'
import { CHANNEL, DANA, world } from './rig.ts'

type World = Awaited<ReturnType<typeof world>>

/** An answer of Claw's with one dangerous button, as its reader sees it. */
function shown(w: World, value = 'resolve 12'): SlackResponse {
  const blocks = [
    {
      type: 'actions',
      elements: [{ type: 'button', action_id: 'claw:x', value, text: { type: 'plain_text', text: 'Resolve' } }],
    },
  ]
  const ts = w.state.nextTs(CHANNEL)
  return { url: '', body: {}, at: w.clock.now, channel: CHANNEL, user: DANA, ts, text: '', blocks }
}

const asks =
  (summary: string, note = true) =>
  async ({ text }: CommandRequest): Promise<Reply | null> =>
    note || !text.endsWith(' note')
      ? reply(summary, { lines: ['2 alerts still fire in A and B.'] })
      : refusal('invalid', 'reset does not take "note".')

const text = (thing: unknown) => JSON.stringify(thing)

test('a dangerous button opens a modal that says what will happen; Confirm runs it once', async (t) => {
  const w = await world(t)
  w.inbox.answer = asks('Resolve incident 12 <!channel>')
  assert.deepEqual(await w.state.click(DANA, shown(w), 'claw:x', w.to), { status: 200, body: '' })
  assert.equal(w.inbox.submits, 0, 'not before it is confirmed')
  const [view] = w.state.views
  assert.ok(view)
  assert.match(text(view.view.blocks), /\*Resolve incident 12 &lt;!channel&gt;\*/)
  assert.match(text(view.view.blocks), /2 alerts still fire in A and B/)
  assert.match(text(view.view.blocks), /This runs: resolve 12/)
  assert.match(text([view.view.submit, view.view.close]), /Confirm.*Cancel/)

  const id = `slack:${view.id}:${view.hash}`
  const answer = await w.state.submit(DANA, view, { 'claw:note': { 'claw:note': ' false\nalarm ' } }, w.to)
  assert.deepEqual(answer, { status: 200, body: '' })
  assert.equal(view.open, false)
  await w.state.again(1)
  await w.state.again()
  assert.equal(w.inbox.requests.length, 1)
  const [request] = w.inbox.requests
  assert.deepEqual(
    [request?.id, request?.text, request?.confirmed, request?.incident, request?.user],
    [id, 'resolve 12 false alarm', true, 12, DANA],
  )
  const address = request?.replyTo?.address as { responseUrl: string; channel: string } | undefined
  assert.match(address?.responseUrl ?? '', /\/response\/R/, 'the answer goes where the button was')
  assert.equal(address?.channel, CHANNEL)
})

test('a note is asked for only where it changes nothing about what happens', async (t) => {
  const w = await world(t)
  w.inbox.answer = asks('Reset the bucket in A', false)
  await w.state.click(DANA, shown(w, 'reset A'), 'claw:x', w.to)
  w.inbox.answer = async (request) => reply(`Reconcile ${request.text.split(' ').slice(1).join(' and ')}`)
  await w.state.click(DANA, shown(w, 'reconcile A'), 'claw:x', w.to)
  for (const view of w.state.views) assert.doesNotMatch(text(view.view.blocks), /claw:note/)
  assert.equal(w.state.views.length, 2)
})

test('a refusal opens nothing: it is submitted, so that the engine says and records it', async (t) => {
  const w = await world(t)
  w.inbox.answer = async () => refusal('forbidden', 'You may not run resolve: responder may.')
  await w.state.click(DANA, shown(w), 'claw:x', w.to)
  assert.equal(w.state.views.length, 0)
  assert.deepEqual(
    w.inbox.requests.map(({ text: said, confirmed }) => [said, confirmed]),
    [['resolve 12', false]],
  )
})

test('when the modal cannot be opened the engine asks by message instead', async (t) => {
  const w = await world(t)
  w.inbox.answer = asks('Resolve incident 12')
  w.slack.faults.set({
    match: 'views.open',
    kind: 'status',
    status: 200,
    body: { ok: false, error: 'expired_trigger_id' },
  })
  assert.equal((await w.state.click(DANA, shown(w), 'claw:x', w.to)).status, 200)
  assert.equal(w.inbox.requests[0]?.confirmed, false)
  w.inbox.answer = async () => {
    throw new Error('the edge is on fire')
  }
  await w.state.click(DANA, shown(w), 'claw:x', w.to)
  assert.equal(w.inbox.requests.length, 2)
  w.inbox.answer = asks('Long')
  await w.state.click(DANA, shown(w, `resolve 12 ${'"'.repeat(1_900)}`), 'claw:x', w.to)
  assert.equal(w.inbox.requests.length, 3, 'a command that a modal cannot carry whole')
})

test('the same press, sent twice by Slack, opens one modal and asks nothing twice', async (t) => {
  const w = await world(t)
  w.inbox.answer = asks('Resolve incident 12')
  await w.state.click(DANA, shown(w), 'claw:x', w.to)
  assert.equal((await w.state.again(1)).status, 200)
  assert.equal(w.state.views.length, 1)
  assert.equal(w.inbox.submits, 0)
})

test('a confirmation that cannot be stored stays open, and can be confirmed again', async (t) => {
  const w = await world(t)
  w.inbox.answer = asks('Resolve incident 12')
  await w.state.click(DANA, shown(w), 'claw:x', w.to)
  const [view] = w.state.views
  assert.ok(view)
  w.inbox.down = true
  const answer = await w.state.submit(DANA, view, {}, w.to)
  assert.match(answer.body, /"response_action":"update"/)
  assert.equal(view.open, true)
  assert.match(text(view.view.blocks), /could not store this, so nothing was done/)
  assert.match(text(view.view.blocks), /claw:note/)
  w.inbox.down = false
  await w.state.submit(DANA, view, { 'claw:note': { 'claw:note': 'now' } }, w.to)
  assert.deepEqual(
    w.inbox.requests.map((one) => one.text),
    ['resolve 12 now'],
  )
})

test('a confirmation that is too old, or of somebody else, runs nothing', async (t) => {
  const w = await world(t)
  w.inbox.answer = asks('Resolve incident 12')
  await w.state.click(DANA, shown(w), 'claw:x', w.to)
  const [view] = w.state.views
  assert.ok(view)
  const copy = { ...view }
  assert.match((await w.state.submit('U0EVE', copy, {}, w.to)).body, /could not read/)
  w.clock.now += 15 * 60_000 + 1
  assert.match((await w.state.submit(DANA, view, {}, w.to)).body, /too old: press the button again/)
  assert.equal(w.inbox.submits, 0)
})
