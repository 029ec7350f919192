import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import express from 'express'
import { pino } from 'pino'
import {
  parseTelegramUpdate,
  TELEGRAM_BODY_LIMIT,
  telegramAuthenticator,
} from '../../../../handlers/webhooks/telegram.ts'
import type { TelegramInbound } from '../../../../src/adapters/telegram/inbound.ts'
import { ClawError } from '../../../../src/core/errors.ts'
import { problemHandler } from '../../../../src/http/problem.ts'
import { receiver } from '../../../../src/http/webhook.ts'
import { listen } from '../../../../src/sandbox/listen.ts'
import { closeAfter } from '../../../fixtures/step.ts'
import { DANA, GROUP, rig, TOKEN } from './rig.ts'

const SECRET = 'sandbox_secret-1'

/** Claw's route as it is mounted, and Telegram posting to it. */
async function hooked(t: TestContext) {
  const world = await rig(t)
  const app = express()
  let inbound: TelegramInbound | null = null
  const handle = async (body: Buffer) => await inbound?.handle(parseTelegramUpdate(body))
  app.all(
    '/webhooks/telegram',
    receiver({ limit: TELEGRAM_BODY_LIMIT, authenticate: telegramAuthenticator(SECRET), handle }),
  )
  app.use(problemHandler(pino({ level: 'silent' })))
  const claw = closeAfter(t, await listen(app))
  inbound = world.make({ mode: 'webhook', webhookSecret: SECRET, publicUrl: `${claw.url}/` })
  await inbound.start()
  await world.state.waitFor((s) => s.updates.webhook)
  const post = async (body: unknown, headers: Record<string, string> = {}) => {
    const response = await fetch(`${claw.url}/webhooks/telegram`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
    return { status: response.status, text: await response.text() }
  }
  return { ...world, claw, inbound, post }
}

test('Telegram is told where to post, with the secret and what we want', async (t) => {
  const { state, claw } = await hooked(t)
  const { url, secret, allowed } = state.updates.webhook ?? {}
  assert.equal(url, `${claw.url}/webhooks/telegram`)
  assert.equal(secret, SECRET)
  assert.deepEqual(allowed, ['message', 'callback_query'])
  assert.equal(state.count('getUpdates'), 0)
})

test('a command arrives, and its repetition runs nothing', async (t) => {
  const { state, inbox } = await hooked(t)
  const { update } = state.userSays(GROUP, DANA, '/ack@claw_sandbox_bot 12')
  await state.updates.deliver()
  assert.deepEqual(state.updates.queue, [])
  assert.equal(await state.redeliver(update.update_id), 200)
  assert.deepEqual(inbox.texts, ['ack 12'])
  assert.equal(inbox.tries, 2)
})

test('a store that is away costs a 503 with nothing confirmed; Telegram sends it again', async (t) => {
  const { state, inbox } = await hooked(t)
  inbox.down = true
  state.userSays(GROUP, DANA, '/ack 12')
  await state.waitFor((s) => s.updates.deliveries.length === 1)
  assert.equal(state.updates.deliveries[0]?.status, 503)
  inbox.down = false
  // The round that was refused ends first.
  await state.updates.deliver()
  await state.updates.deliver()
  assert.deepEqual(state.updates.queue, [])
  assert.deepEqual(inbox.texts, ['ack 12'])
})

test('forged posts are 401 and run nothing', async (t) => {
  const { inbox, post, state } = await hooked(t)
  const { message } = state.userSays(GROUP, DANA, 'hm')
  await state.updates.deliver()
  const forged = { update_id: 99, message: { ...state.show(message), text: '/failover A B' } }
  const secrets = ['', 'wrong', SECRET.slice(0, -1), `${SECRET}x`, SECRET.toUpperCase(), `${SECRET}, ${SECRET}`]
  for (const secret of secrets) {
    const { status, text } = await post(forged, { 'x-telegram-bot-api-secret-token': secret })
    assert.equal(status, 401, secret)
    assert.doesNotMatch(text, /sandbox_secret/)
  }
  assert.equal((await post(forged)).status, 401)
  assert.deepEqual(inbox.taken, [])
})

test('without a configured secret nothing passes', () => {
  for (const secret of [null, '']) {
    for (const given of [undefined, '', 'x']) {
      const headers = given === undefined ? {} : { 'x-telegram-bot-api-secret-token': given }
      assert.throws(() => telegramAuthenticator(secret)({ headers }), { name: 'ClawError', code: 'unauthorized' })
    }
  }
})

test('bodies that are no updates are refused, unknown updates are taken', async (t) => {
  const { inbox, post, claw } = await hooked(t)
  const headers = { 'x-telegram-bot-api-secret-token': SECRET }
  for (const body of [
    '',
    '{',
    '[]',
    'null',
    '7',
    '{"update_id":"1"}',
    '{"update_id":1.5}',
    `{"a":${'['.repeat(9_000)}`,
  ])
    assert.equal((await post(body, headers)).status, 400, body.slice(0, 20))
  for (const body of [{ update_id: 1 }, { update_id: 2, message: null }, { update_id: 3, message: { text: 7 } }])
    assert.equal((await post(body, headers)).status, 200, JSON.stringify(body))
  assert.equal((await post('x'.repeat(TELEGRAM_BODY_LIMIT + 1), headers)).status, 413)
  assert.equal((await post({}, { ...headers, 'content-type': 'text/plain' })).status, 415)
  assert.equal((await fetch(`${claw.url}/webhooks/telegram`, { headers })).status, 405)
  assert.throws(() => parseTelegramUpdate(Buffer.from([0x7b, 0xff])), ClawError)
  assert.deepEqual(inbox.taken, [])
})

test('until Telegram told our name, a command that names a bot waits, others run', async (t) => {
  const { telegram, make, inbox, state } = await rig(t)
  telegram.faults.set({ kind: 'status', status: 502, match: 'getMe' })
  const options = { mode: 'webhook' as const, webhookSecret: SECRET, publicUrl: 'https://claw.example.com' }
  const inbound = make(options)
  await assert.rejects(inbound.tick(), /HTTP 502/)
  const { update } = state.userSays(GROUP, DANA, '/ack@claw_sandbox_bot 12')
  await assert.rejects(inbound.handle(update), /name of the bot is not known yet/)
  await inbound.handle(state.userSays(GROUP, DANA, '/status').update)
  telegram.faults.clear()
  await inbound.tick()
  await inbound.handle(update)
  assert.deepEqual(inbox.texts, ['status', 'ack 12'])
})

test('an address that Telegram does not take is said in words, and tried again', async (t) => {
  const { make, said } = await rig(t)
  let pauses = 0
  const { promise: thrice, resolve } = Promise.withResolvers<void>()
  const inbound = make({
    mode: 'webhook',
    webhookSecret: SECRET,
    publicUrl: 'http://claw.example.com',
    pause: async (_ms, signal) => {
      if (++pauses < 3) return
      resolve()
      await new Promise<void>((ended) => signal.addEventListener('abort', () => ended(), { once: true }))
    },
  })
  await inbound.start()
  await thrice
  assert.equal(said.filter((line) => line.includes('check public_url')).length, 1)
  assert.doesNotMatch(said.join('\n'), new RegExp(TOKEN))
})
