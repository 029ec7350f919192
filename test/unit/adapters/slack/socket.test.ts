import assert from 'node:assert/strict'
import { test } from 'node:test'
import { reply } from '../../../../src/core/command.ts'
import { CHANNEL, DANA, gate, TOKEN, world } from './rig.ts'

/** The fake knows one token, for bots and apps alike. */
const SOCKET = { signingSecret: null, appToken: TOKEN }

async function connected(t: Parameters<typeof world>[0]) {
  const w = await world(t, SOCKET)
  await w.inbound.start()
  await w.state.waitFor((s) => s.sockets.connections === 1)
  return w
}

test('Socket Mode: a command is stored, then acknowledged; again is the same request', async (t) => {
  const w = await connected(t)
  const store = gate()
  const asked = gate()
  w.inbox.gate = store.promise
  w.inbox.onSubmit = asked.open
  const events: string[] = []
  const answered = w.state.command(DANA, CHANNEL, 'ack 12', w.to).then((answer) => {
    events.push('answered')
    return answer
  })
  await asked.promise
  events.push('stored')
  store.open()
  assert.deepEqual(await answered, { status: 200, body: '' })
  assert.deepEqual(events, ['stored', 'answered'])
  await w.state.again(1)
  assert.equal(w.inbox.requests.length, 1)
})

test('Socket Mode: unavailable is said, buttons open modals, Home and mentions work', async (t) => {
  const w = await connected(t)
  w.inbox.down = true
  assert.match((await w.state.command(DANA, CHANNEL, 'ack 12', w.to)).body, /could not store this/)
  w.inbox.down = false
  w.inbox.answer = async ({ text }) => (text.startsWith('resolve') ? reply('Resolve incident 12') : null)
  const blocks = [{ type: 'actions', elements: [{ type: 'button', action_id: 'claw:resolve', value: 'resolve 12' }] }]
  const message = { channel: CHANNEL, user: DANA, ts: w.state.nextTs(CHANNEL), text: '', blocks }
  assert.equal((await w.state.click(DANA, message, 'claw:resolve', w.to)).status, 200)
  const [view] = w.state.views
  assert.ok(view)
  assert.equal((await w.state.submit(DANA, view, {}, w.to)).status, 200)
  assert.deepEqual(
    w.inbox.requests.map(({ text, confirmed }) => [text, confirmed]),
    [['resolve 12', true]],
  )
  assert.equal((await w.state.home(DANA, w.to)).status, 200)
  await w.state.waitFor((s) => s.views.some((one) => one.kind === 'home'))
  assert.equal((await w.state.mention(DANA, CHANNEL, 'status', null, w.to)).status, 200)
  assert.equal(w.inbox.requests.at(-1)?.text, 'status')
})

test('Socket Mode: a recycled connection is replaced at once', async (t) => {
  const w = await connected(t)
  w.state.sockets.recycle()
  await w.state.waitFor((s) => s.count('apps.connections.open') === 2 && s.sockets.connections === 1)
  assert.equal((await w.state.command(DANA, CHANNEL, 'status', w.to)).status, 200)
})

test('Socket Mode: a cut line is mended', async (t) => {
  const w = await connected(t)
  w.state.sockets.cut()
  await w.state.waitFor((s) => s.count('apps.connections.open') === 2 && s.sockets.connections === 1)
  assert.equal((await w.state.command(DANA, CHANNEL, 'status', w.to)).status, 200)
})

test('Socket Mode: start does not wait for Slack, stop ends it in the middle of connecting', async (t) => {
  const w = await world(t, SOCKET)
  w.slack.faults.set({ match: 'apps.connections.open', kind: 'hang' })
  await w.inbound.start()
  await w.state.waitFor((s) => s.count('apps.connections.open') === 1)
  await w.inbound.stop()
  w.slack.faults.reset()
  assert.equal(w.state.sockets.connections, 0)
  const never = await world(t, SOCKET)
  await never.inbound.stop()
})

test('Socket Mode: stop closes the connection, and none follows', async (t) => {
  const w = await connected(t)
  await w.inbound.stop()
  await w.state.waitFor((s) => s.sockets.connections === 0)
  assert.equal(w.state.count('apps.connections.open'), 1)
})

test('Socket Mode: HTTP is refused, even what is signed', async (t) => {
  const w = await world(t, { ...SOCKET, signingSecret: 'sandbox' })
  assert.equal((await w.state.command(DANA, CHANNEL, 'status', { ...w.to, url: w.url })).status, 401)
  assert.equal(w.inbox.submits, 0)
})

test('Socket Mode: a wrong token is said without the token', async (t) => {
  const w = await world(t, { ...SOCKET, appToken: 'xapp-secret' })
  await w.inbound.start()
  await w.state.waitFor((s) => s.requests.some((r) => r.status === 200))
  await w.inbound.stop()
  const logged = w.logged.join('\n')
  assert.doesNotMatch(logged, /xapp-secret/)
})
