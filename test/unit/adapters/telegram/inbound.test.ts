import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClawError } from '../../../../src/core/errors.ts'
import { DANA, GROUP, rig, TOKEN } from './rig.ts'

const asked = (requests: { name: string; body: unknown }[]) =>
  requests.filter((r) => r.name === 'getUpdates').map((r) => r.body as { offset?: number; timeout: number })

test('a command typed in a topic is a request with the address of its answer', async (t) => {
  const { state, inbound, inbox } = await rig(t)
  const { update, message } = state.userSays(GROUP, DANA, '/claw ack 12 looking', { threadId: 5 })
  assert.equal(await inbound.tick(), 1)
  assert.deepEqual(inbox.taken, [
    {
      id: `telegram:${update.update_id}`,
      via: 'telegram',
      person: null,
      user: '4711',
      text: 'ack 12 looking',
      incident: null,
      confirmed: false,
      override: null,
      replyTo: {
        lane: 'telegram',
        target: '-1001',
        address: { chat: '-1001', thread: 5, replyTo: message.id, callback: null },
      },
    },
  ])
  assert.equal(await inbound.tick(), 0)
  assert.deepEqual(state.updates.queue, [], 'the next poll confirms it')
})

test('private chats, groups and bot names; chatter, edits and other bots are ignored', async (t) => {
  const { state, inbound, inbox } = await rig(t)
  state.userSays(DANA, DANA, '/status')
  state.userSays(DANA, DANA, 'incidents')
  state.userSays(GROUP, DANA, '/ack@claw_sandbox_bot 12')
  state.userSays(GROUP, DANA, '/ack@weather_bot 12')
  state.userSays(GROUP, DANA, 'shall we ack 12?')
  const { message } = state.userSays(GROUP, DANA, 'hm')
  state.updates.add('edited_message', { ...state.show(message), text: '/resolve 12' })
  state.updates.add('message', { ...state.show(message), text: '/resolve 12', from: { id: 1, is_bot: true } })
  state.updates.add('message', { ...state.show(message), text: '/resolve 12', forward_origin: { type: 'user' } })
  state.updates.add('message', { nonsense: true })
  state.updates.add('poll_answer', {})
  await inbound.tick()
  assert.deepEqual(inbox.texts, ['status', 'incidents', 'ack 12'])
  assert.equal(await inbound.tick(), 0)
  assert.equal(state.updates.queue.length, 0, 'what is ignored is confirmed, too')
})

test('a number of replies outside a forum is no topic', async (t) => {
  const { state, inbound, inbox } = await rig(t)
  const { message } = state.userSays(GROUP, DANA, 'hm')
  state.updates.add('message', { ...state.show(message), text: '/status', message_thread_id: 3 })
  await inbound.tick()
  const address = { chat: '-1001', thread: null, replyTo: message.id, callback: null }
  assert.deepEqual(inbox.taken[0]?.replyTo?.address, address)
})

test('a reply to an incident’s message says which incident is meant', async (t) => {
  const { state, inbound, inbox, incidents } = await rig(t)
  const { message } = state.userSays(GROUP, DANA, 'stands for the message of incident 12')
  incidents.set(`${GROUP} ${message.id}`, 12)
  state.userSays(GROUP, DANA, '/ack', { replyTo: message.id })
  state.userSays(GROUP, DANA, '/ack')
  await inbound.tick()
  assert.deepEqual(
    inbox.taken.map(({ incident }) => incident),
    [12, null],
  )
})

test('a pressed button runs its command, and its spinner ends at once', async (t) => {
  const { state, inbound, inbox, incidents } = await rig(t)
  const keyboard = { inline_keyboard: [[{ text: 'Acknowledge', callback_data: 'ack 12' }]] }
  const shown = state.add({
    chat: GROUP,
    from: 900_001,
    own: true,
    text: 'P1',
    source: 'P1',
    entities: [],
    markup: keyboard,
    threadId: 5,
    replyTo: null,
    silent: false,
  })
  incidents.set(`${GROUP} ${shown.id}`, 12)
  const { update, queryId } = state.press(GROUP, shown.id, 'ack 12', DANA)
  await inbound.tick()
  const [request] = inbox.taken
  assert.equal(request?.id, `telegram:${update.update_id}`)
  assert.deepEqual([request?.text, request?.user, request?.incident], ['ack 12', '4711', 12])
  const address = { chat: '-1001', thread: 5, replyTo: shown.id, callback: queryId }
  assert.deepEqual(request?.replyTo, { lane: 'telegram', target: '-1001', address })
  assert.deepEqual(
    state.answers.map(({ id, text }) => [id, text]),
    [[queryId, 'On it']],
  )
})

test('a button whose press is too old to be answered still runs, once', async (t) => {
  const { state, telegram, inbound, inbox } = await rig(t)
  telegram.faults.set({ kind: 'status', status: 400, match: 'answerCallbackQuery' })
  const press = {
    id: 'q1',
    from: { id: DANA, is_bot: false },
    message: { message_id: 3, date: 0, chat: { id: GROUP, type: 'supergroup' } },
    data: 'ack 12',
  }
  const update = state.updates.add('callback_query', press)
  await inbound.tick()
  await inbound.handle(update)
  assert.deepEqual(inbox.texts, ['ack 12'])
  assert.equal(inbox.tries, 2)
})

test('presses of bots and of buttons without a command do nothing', async (t) => {
  const { inbound, inbox } = await rig(t)
  const message = { message_id: 3, chat: { id: GROUP, type: 'supergroup' } }
  const from = { id: DANA, is_bot: false }
  await inbound.handle({
    update_id: 1,
    callback_query: { id: 'a', from: { ...from, is_bot: true }, message, data: 'x' },
  })
  await inbound.handle({ update_id: 2, callback_query: { id: 'b', from, message } })
  await inbound.handle({ update_id: 3, callback_query: { id: 'c', from, data: 'x' } })
  await inbound.handle({ update_id: 4, callback_query: 7 })
  assert.deepEqual(inbox.taken, [])
  await assert.rejects(inbound.handle('nonsense'), new ClawError('invalid', 'This is not a Telegram update.'))
})

test('what cannot be stored is not confirmed, and comes again in order', async (t) => {
  const { state, inbound, inbox, saved } = await rig(t)
  const first = state.userSays(GROUP, DANA, '/status').update
  await inbound.tick()
  assert.equal(saved.next, first.update_id + 1)
  state.userSays(GROUP, DANA, '/ack 12')
  state.userSays(GROUP, DANA, '/resolve 12')
  inbox.down = true
  const reason = 'A command could not be stored: The database cannot be written.'
  await assert.rejects(inbound.tick(), new ClawError('unavailable', reason))
  await assert.rejects(inbound.tick())
  assert.equal(saved.next, first.update_id + 1)
  assert.equal(state.updates.queue.length, 2, 'Telegram keeps both')
  inbox.down = false
  assert.equal(await inbound.tick(), 2)
  assert.deepEqual(inbox.texts, ['status', 'ack 12', 'resolve 12'])
})

test('an update that fails in Claw itself is passed over in the end, so that others are heard', async (t) => {
  const { state, inbound, inbox, said } = await rig(t)
  state.userSays(GROUP, DANA, '/ack 12')
  inbox.error = new TypeError('a bug')
  for (let i = 0; i < 4; i++) await assert.rejects(inbound.tick(), /see the log/)
  assert.equal(await inbound.tick(), 1)
  assert.match(said.join('\n'), /passed over/)
  inbox.error = null
  state.userSays(GROUP, DANA, '/status')
  await inbound.tick()
  assert.deepEqual(inbox.texts, ['status'])
})

test('after a restart nothing runs twice, and nothing is missed', async (t) => {
  const { state, inbound, inbox, saved, make } = await rig(t)
  state.userSays(GROUP, DANA, '/status')
  await inbound.tick()
  state.userSays(GROUP, DANA, '/ack 12')
  // Stored and answered; killed before the next poll could confirm it.
  assert.equal(await make().tick(), 1)
  assert.deepEqual(inbox.texts, ['status', 'ack 12'])
  assert.equal(inbox.tries, 2, 'known by the stored offset, without asking the store')
  saved.next = 0
  // The offset was lost as well: the store knows them by their ids.
  await make().tick()
  assert.deepEqual(inbox.texts, ['status', 'ack 12'])
})

test('an old offset never throws updates away, although their ids start anew', async (t) => {
  const { state, inbound, inbox, saved, clock } = await rig(t)
  saved.next = 900_000_000
  state.userSays(GROUP, DANA, '/status')
  await inbound.tick()
  assert.deepEqual(inbox.texts, ['status'])
  await inbound.tick()
  assert.deepEqual(
    asked(state.requests).map(({ offset }) => offset),
    [undefined, 2],
  )
  clock.now += 8 * 24 * 3_600_000
  await inbound.tick()
  assert.equal(asked(state.requests).at(-1)?.offset, undefined)
})

test('only the replica whose turn it is polls; a take-over goes on where the other stopped', async (t) => {
  const turn = { of: 'a' }
  const { state, inbox, make } = await rig(t)
  const a = make({ holdPolling: async () => turn.of === 'a' })
  const b = make({ holdPolling: async () => turn.of === 'b' })
  state.userSays(GROUP, DANA, '/status')
  assert.deepEqual([await b.tick(), await a.tick()], [0, 1])
  assert.equal(asked(state.requests).length, 1)
  turn.of = 'b'
  state.userSays(GROUP, DANA, '/ack 12')
  assert.deepEqual([await a.tick(), await b.tick()], [0, 1])
  assert.deepEqual(inbox.texts, ['status', 'ack 12'])
})

test('a lease or offset that cannot be asked is Claw’s trouble, not Telegram’s', async (t) => {
  const { make, state } = await rig(t)
  const down = async () => {
    throw new Error('no database')
  }
  await assert.rejects(make({ holdPolling: down }).tick(), /Claw cannot reach the lease of polling: no database/)
  await assert.rejects(make({ offset: { load: down, save: down } }).tick(), /the offset of polling/)
  assert.equal(asked(state.requests).length, 0)
})

test('at the start: who we are, our menu, and no webhook; each failure names no token', async (t) => {
  const { state, telegram, inbound, make, said } = await rig(t)
  await inbound.tick()
  assert.deepEqual(
    state.requests.map((r) => r.name),
    ['getMe', 'setMyCommands', 'deleteWebhook', 'getUpdates'],
  )
  assert.deepEqual(state.commands, [
    { command: 'claw', description: 'What is going on now' },
    { command: 'ack', description: 'Acknowledge an incident' },
  ])
  telegram.faults.set({ kind: 'html', match: 'setMyCommands' })
  await make().tick()
  assert.match(said.join('\n'), /did not take the menu/)
  telegram.faults.clear()
  for (const kind of ['html', 'reset', 'status', 'rate_limit'] as const) {
    telegram.faults.set({ kind, match: 'getUpdates', times: 1 })
    await assert.rejects(inbound.tick(), (error: Error) => error instanceof ClawError && error.code === 'unavailable')
  }
  await assert.rejects(make({ token: '900001:wrong-secret' }).tick(), /check telegram.bot_token/)
  assert.doesNotMatch(said.join('\n'), /very-secret|wrong-secret/)
})

test('the menu leaves out what Telegram would refuse', async (t) => {
  const { state, make } = await rig(t)
  const commands = [
    { command: 'Bad-Name', description: 'x' },
    { command: 'empty', description: ' ' },
    { command: 'long', description: 'é'.repeat(300) },
    ...Array.from({ length: 120 }, (_, i) => ({ command: `c${i}`, description: 'x' })),
  ]
  await make({ commands }).tick()
  assert.equal(state.commands.length, 100)
  assert.deepEqual(state.commands[0], { command: 'long', description: 'é'.repeat(256) })
})

test('started, it waits in a long poll, hears at once, and stops at once', { timeout: 10_000 }, async (t) => {
  const { state, inbound, inbox } = await rig(t)
  await inbound.start()
  await state.waitFor((s) => s.updates.polled)
  assert.equal(asked(state.requests)[0]?.timeout, 25)
  state.userSays(GROUP, DANA, '/status')
  await state.waitFor((s) => s.count('getUpdates') === 2 && s.updates.polled)
  assert.deepEqual(inbox.texts, ['status'])
  await inbound.stop()
  await state.waitFor((s) => !s.updates.polled)
})

test('trouble is waited out with growing pauses and said once', { timeout: 10_000 }, async (t) => {
  const pauses: number[] = []
  const { state, telegram, make, inbox, said } = await rig(t)
  telegram.faults.set({ kind: 'status', status: 502, match: 'getUpdates', times: 4 })
  const inbound = make({
    pause: async (ms) => {
      pauses.push(ms)
    },
  })
  state.userSays(GROUP, DANA, '/status')
  await inbound.start()
  await state.waitFor((s) => s.updates.polled)
  assert.deepEqual(inbox.texts, ['status'])
  assert.equal(pauses.length, 4)
  for (const [i, pause] of pauses.entries()) assert.ok(pause >= 500 * 2 ** i && pause <= 1_000 * 2 ** i, `${pauses}`)
  assert.equal(said.filter((line) => line.includes('HTTP 502')).length, 1)
})

test('a second poller: the first one waits and says so once', { timeout: 10_000 }, async (t) => {
  const { state, make, said } = await rig(t)
  const pauses: number[] = []
  let paused = () => {}
  const waiting = new Promise<void>((resolve) => {
    paused = resolve
  })
  const inbound = make({
    pause: (ms, signal) => {
      pauses.push(ms)
      paused()
      return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    },
  })
  await inbound.start()
  await state.waitFor((s) => s.updates.polled)
  const other = make()
  await other.start()
  await waiting
  assert.deepEqual(pauses, [10_000])
  assert.equal(said.filter((line) => line.includes('409')).length, 1)
  await state.waitFor((s) => s.updates.polled)
})

test('a webhook that somebody sets meanwhile is taken away again', async (t) => {
  const { state, inbound, inbox, server } = await rig(t)
  await inbound.tick()
  const form = JSON.stringify({ url: `${server.url}/nowhere` })
  const headers = { 'content-type': 'application/json' }
  await fetch(`${server.url}/bot${TOKEN}/setWebhook`, { method: 'POST', headers, body: form })
  await assert.rejects(inbound.tick(), /409/)
  state.userSays(GROUP, DANA, '/status')
  await inbound.tick()
  assert.deepEqual(inbox.texts, ['status'])
})

test('webhook mode without its secret or address does not start', async (t) => {
  const { make } = await rig(t)
  for (const more of [{ publicUrl: null }, { webhookSecret: null }, { webhookSecret: '' }]) {
    const options = { mode: 'webhook' as const, publicUrl: 'https://claw.example.com', webhookSecret: 's', ...more }
    assert.throws(() => make(options), /webhook needs public_url and telegram.webhook_secret/)
  }
})
