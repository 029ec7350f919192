import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { listen } from '../../../src/sandbox/listen.ts'
import { createFakeSlack } from '../../../src/sandbox/slack.ts'
import { closeAfter } from '../../fixtures/step.ts'

const SECTION = [{ type: 'section', text: { type: 'plain_text', text: 'Sure?' } }]
const modal = (more: object = {}) => ({
  type: 'modal',
  title: { type: 'plain_text', text: 'T' },
  blocks: SECTION,
  ...more,
})
const home = { type: 'home', blocks: SECTION }

async function world(t: TestContext) {
  const clock = { now: 1_700_000_000_000 }
  const slack = createFakeSlack({ clock: () => clock.now })
  const server = closeAfter(t, await listen(slack.router))
  const call = async (method: string, body: object) => {
    const response = await fetch(`${server.url}/api/${method}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer sandbox' },
      body: JSON.stringify(body),
    })
    return (await response.json()) as { ok: boolean; error?: string; url?: string; view?: { id: string; hash: string } }
  }
  return { clock, state: slack.state, server, call }
}

async function connect(w: Awaited<ReturnType<typeof world>>, url?: string) {
  const socket = new WebSocket(url ?? (await w.call('apps.connections.open', {})).url ?? '')
  const frames: Array<Record<string, unknown>> = []
  socket.addEventListener('message', (event) => {
    frames.push(JSON.parse(String(event.data)))
    w.state.tell('frame')
  })
  return { socket, frames }
}

test('Socket Mode greets, passes on what people do, and waits for the acknowledgement', async (t) => {
  const w = await world(t)
  const { socket, frames } = await connect(w)
  await w.state.waitFor(() => frames.length === 1)
  assert.equal(frames[0]?.type, 'hello')
  const long = 'x'.repeat(70_000)
  const answer = w.state.command('U1', 'C1', long, { url: null })
  const envelope = await w.state.waitFor(() => frames[1])
  assert.equal(envelope.type, 'slash_commands')
  assert.equal((envelope.payload as { text: string }).text, long)
  socket.send(JSON.stringify({ envelope_id: 'another' }))
  socket.send(JSON.stringify({ envelope_id: envelope.envelope_id, payload: { text: long } }))
  assert.deepEqual(await answer, { status: 200, body: JSON.stringify({ text: long }) })
  const closed = once(socket, 'close')
  socket.close()
  const [event] = (await closed) as [CloseEvent]
  assert.equal(event.wasClean, true)
  await w.state.waitFor((s) => s.sockets.connections === 0)
  assert.equal((await w.state.command('U1', 'C1', 'status', { url: null })).status, 503)
})

test('an address of Socket Mode works once', async (t) => {
  const w = await world(t)
  const { url } = await w.call('apps.connections.open', {})
  const first = await connect(w, url)
  await w.state.waitFor(() => first.frames.length === 1)
  const second = await connect(w, url)
  await once(second.socket, 'error')
  assert.equal(w.state.sockets.connections, 1)
})

test('a server with an open Socket Mode connection closes', async (t) => {
  const w = await world(t)
  const { socket, frames } = await connect(w)
  await w.state.waitFor(() => frames.length === 1)
  const closed = once(socket, 'close')
  await w.server.close()
  await closed
})

test('views are updated by id, with the right hash, while they are open', async (t) => {
  const w = await world(t)
  const { view } = await w.call('views.publish', { user_id: 'U1', view: home })
  const id = view?.id
  assert.equal((await w.call('views.update', { view_id: id, hash: 'old', view: home })).error, 'hash_conflict')
  const updated = await w.call('views.update', { view_id: id, hash: view?.hash, view: home })
  assert.notEqual(updated.view?.hash, view?.hash)
  assert.equal((await w.call('views.update', { view_id: id, view: modal() })).error, 'invalid_arguments')
  assert.equal((await w.call('views.update', { view_id: 'V0', view: home })).error, 'not_found')
})

test('a response URL refuses blocks that Slack refuses', async (t) => {
  const w = await world(t)
  w.state.responseUrls.set('R1', { at: w.clock.now, uses: 0, channel: 'C1', user: 'U1', ts: null })
  const post = async (body: object) => {
    const headers = { 'content-type': 'application/json' }
    return (await fetch(`${w.server.url}/response/R1`, { method: 'POST', headers, body: JSON.stringify(body) })).status
  }
  assert.equal(await post({ blocks: [{ type: 'section' }] }), 400)
  assert.equal(await post({}), 400)
  assert.equal(await post({ text: 'fine', blocks: SECTION }), 200)
  assert.equal(w.state.responses.length, 1)
  assert.deepEqual([w.state.responses[0]?.channel, w.state.responses[0]?.user], ['C1', 'U1'])
})

test('a modal obeys the answer to its submission: stays, changes, or closes', async (t) => {
  const w = await world(t)
  w.state.triggers.set('t1', { at: w.clock.now, user: 'U1', used: false })
  const submit = { type: 'plain_text', text: 'Go' }
  await w.call('views.open', { trigger_id: 't1', view: modal({ submit }) })
  const [view] = w.state.views
  assert.ok(view)
  const { hash } = view
  w.state.afterSubmit(view, JSON.stringify({ response_action: 'errors', errors: { note: 'no' } }))
  assert.deepEqual([view.open, view.hash], [true, hash])
  w.state.afterSubmit(view, JSON.stringify({ response_action: 'update', view: modal({ close: submit }) }))
  assert.equal(view.open, true)
  assert.notEqual(view.hash, hash)
  await assert.rejects(w.state.submit('U1', view, {}, { url: null }), /cannot be submitted/)
  w.state.afterSubmit(view, '')
  assert.equal(view.open, false)
})
