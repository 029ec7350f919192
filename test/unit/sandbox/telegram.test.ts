import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import express, { Router } from 'express'
import { Telegram } from 'telegraf'
import { type Listening, listen } from '../../../src/sandbox/listen.ts'
import { parseHtml } from '../../../src/sandbox/telegram/html.ts'
import { createFakeTelegram, type FakeTelegram } from '../../../src/sandbox/telegram.ts'

const CHAT = -1001
const HTML = { parse_mode: 'HTML' as const }
const keyboard = (...row: object[]) => ({ reply_markup: { inline_keyboard: [row] } })

type Answer = {
  ok: boolean
  result?: unknown
  error_code?: number
  description?: string
  parameters?: { retry_after?: number; migrate_to_chat_id?: number }
}

describe('fake Telegram', () => {
  let now = 1_700_000_000_000
  let fake: FakeTelegram
  let server: Listening

  beforeEach(async () => {
    now = 1_700_000_000_000
    fake = createFakeTelegram({ clock: () => now })
    server = await listen(Router().use('/sandbox/telegram', fake.router))
  })
  afterEach(async () => {
    fake.reset()
    await server.close()
  })
  const api = async (method: string, params: unknown = {}, token = 'sandbox', signal?: AbortSignal) => {
    const response = await fetch(`${server.url}/sandbox/telegram/bot${token}/${method}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: typeof params === 'string' ? params : JSON.stringify(params),
      ...(signal ? { signal } : {}),
    })
    const answer = (await response.json()) as Answer
    assert.equal(response.status, answer.error_code ?? 200)
    return answer
  }
  const send = async (text: string, more = {}) => {
    const answer = await api('sendMessage', { chat_id: CHAT, text, ...more })
    assert.equal(answer.description, undefined)
    return (answer.result as { message_id: number }).message_id
  }
  const refusal = async (method: string, params: unknown) => (await api(method, params)).description

  it('works with telegraf’s client', async () => {
    // Without the slash at the end telegraf would cut the last part of the path off.
    const telegram = new Telegram('sandbox', { apiRoot: `${server.url}/sandbox/telegram/` })
    assert.equal((await telegram.getMe()).username, 'claw_sandbox_bot')
    const sent = await telegram.sendMessage(CHAT, '<b>P1</b> a &lt; b', { ...HTML, disable_notification: true })
    assert.equal(sent.text, 'P1 a < b')
    assert.deepEqual(sent.entities, [{ type: 'bold', offset: 0, length: 2 }])
    const message = fake.state.messages[0]
    assert.deepEqual([message?.source, message?.silent], ['<b>P1</b> a &lt; b', true])
    await telegram.editMessageText(CHAT, sent.message_id, undefined, 'over')
    await assert.rejects(telegram.editMessageText(CHAT, sent.message_id, undefined, 'over'), /message is not modified/)
    assert.deepEqual([message?.text, message?.edits], ['over', 1])
  })

  it('refuses a wrong token, an unknown method, broken JSON', async () => {
    assert.deepEqual(await api('getMe', {}, 'other'), { ok: false, error_code: 401, description: 'Unauthorized' })
    assert.equal((await api('getMoney')).error_code, 404)
    assert.equal((await api('constructor')).error_code, 404)
    assert.equal((await api('getMe', '{')).error_code, 400)
    assert.equal((await api('GETME')).ok, true)
  })

  const TEXTS: Array<[string, object, string]> = [
    ['nothing', { text: '' }, 'message text is empty'],
    ['blanks', { text: ' \n\t ' }, 'message text is empty'],
    ['only tags', { text: '<b> </b>', ...HTML }, 'message text is empty'],
    ['4097 characters', { text: 'x'.repeat(4_097) }, 'message is too long'],
    ['4097 after entities', { text: '&lt;'.repeat(4_097), ...HTML }, 'message is too long'],
    ['a lone surrogate', { text: 'x\ud800' }, 'strings must be encoded in UTF-8'],
    ['Markdown', { text: 'x', parse_mode: 'Markdwon' }, 'unsupported parse_mode'],
    ['a bare <', { text: 'a < b', ...HTML }, 'can\'t parse entities: Unsupported start tag "" at byte offset 2'],
    ['a bare &', { text: 'é & b', ...HTML }, 'can\'t parse entities: Unescaped "&" at byte offset 3'],
    ['an unknown entity', { text: '&nbsp;', ...HTML }, 'can\'t parse entities: Unescaped "&" at byte offset 0'],
    [
      'an unknown tag',
      { text: '<script>', ...HTML },
      'can\'t parse entities: Unsupported start tag "script" at byte offset 0',
    ],
    [
      'an unclosed tag',
      { text: '<b>x', ...HTML },
      'can\'t parse entities: Can\'t find end tag corresponding to start tag "b"',
    ],
    [
      'crossed tags',
      { text: '<b><i>x</b></i>', ...HTML },
      'can\'t parse entities: Unmatched end tag at byte offset 7, expected "</i>", found "</b>"',
    ],
    ['a stray end tag', { text: 'x</b>', ...HTML }, "can't parse entities: Unexpected end tag at byte offset 1"],
    ['a cut tag', { text: 'x <a href="http', ...HTML }, "can't parse entities: Unclosed start tag at byte offset 2"],
    [
      'a tag within code',
      { text: '<code><b>x</b></code>', ...HTML },
      'can\'t parse entities: Tag "b" within code at byte offset 6',
    ],
    [
      'a quote in a quote',
      { text: '<blockquote><blockquote>x</blockquote></blockquote>', ...HTML },
      "can't parse entities: Nested blockquote at byte offset 12",
    ],
  ]
  for (const [what, params, description] of TEXTS) {
    it(`refuses text: ${what}`, async () => {
      assert.equal(await refusal('sendMessage', { chat_id: CHAT, ...params }), `Bad Request: ${description}`)
      assert.equal(fake.state.messages.length, 0)
    })
  }

  it('takes text at its limits', async () => {
    await send('x'.repeat(4_096))
    await send('&lt;'.repeat(4_096), HTML)
    await send(`<b>${'x'.repeat(4_096)}</b>`, HTML)
    assert.equal(fake.state.messages.length, 3)
  })

  it('reads allowed tags, links and nesting', () => {
    const all =
      '<b>a<i>b</i></b><u>c</u><s>d</s><pre><code class="language-ts">e</code></pre><tg-spoiler>f</tg-spoiler>'
    const read = parseHtml(
      `${all}<blockquote expandable>g</blockquote><a href="https://e.x/?a=1&amp;b=2">h</a> &#33;&quot;`,
    )
    assert.ok(typeof read !== 'string')
    assert.equal(read.text, 'abcdefgh !"')
    assert.deepEqual(
      read.entities.map((e) => e.type),
      ['bold', 'italic', 'underline', 'strikethrough', 'code', 'pre', 'spoiler', 'expandable_blockquote', 'text_link'],
    )
    assert.equal(read.entities.at(-1)?.url, 'https://e.x/?a=1&b=2')
    const script = parseHtml('<a href="javascript:alert(1)">x</a>')
    assert.deepEqual(script, { text: 'x', entities: [] })
  })

  it('refuses bad buttons', async () => {
    const p = (button: object) => refusal('sendMessage', { chat_id: CHAT, text: 'x', ...keyboard(button) })
    assert.equal(await p({ text: 'a', callback_data: 'é'.repeat(33) }), 'Bad Request: BUTTON_DATA_INVALID')
    assert.equal(await p({ text: 'a', callback_data: '' }), 'Bad Request: BUTTON_DATA_INVALID')
    assert.match(String(await p({ text: 'a' })), /Text buttons are unallowed/)
    assert.match(String(await p({ text: '', callback_data: 'a' })), /Field "text"/)
    assert.match(String(await p({ text: 'a', url: 'javascript:alert(1)' })), /Wrong HTTP URL/)
    assert.match(String(await p({ text: 'a', url: 'http://localhost/' })), /Wrong HTTP URL/)
    assert.match(String(await p({ text: 'a', url: 'http://127.0.0.1/', callback_data: 'a' })), /exactly one/)
    await send('x', keyboard({ text: 'a', callback_data: 'é'.repeat(32) }, { text: 'b', url: 'http://127.0.0.1:1/' }))
    assert.equal(fake.state.messages.length, 1)
  })

  it('knows chats, kicks and migrations', async () => {
    const to = (chat_id: unknown) => api('sendMessage', { chat_id, text: 'x' })
    assert.equal((await to('@nobody')).description, 'Bad Request: chat not found')
    assert.equal((await to('')).description, 'Bad Request: chat_id is empty')
    assert.equal((await to('-1001')).ok, true)
    fake.state.kick(CHAT)
    assert.deepEqual(await to(CHAT), {
      ok: false,
      error_code: 403,
      description: 'Forbidden: bot was kicked from the group chat',
    })
    fake.state.kick(CHAT, false)
    fake.state.migrate(CHAT, -1_001_234_567_890)
    const moved = await to(CHAT)
    assert.deepEqual([moved.error_code, moved.parameters], [400, { migrate_to_chat_id: -1_001_234_567_890 }])
    assert.equal((await to(-1_001_234_567_890)).ok, true)
    fake.state.addChat(5, {})
    assert.equal((await to(6)).description, 'Bad Request: chat not found')
    fake.state.addChat(-7, { topics: [3] })
    const topic = (message_thread_id: number) => api('sendMessage', { chat_id: -7, text: 'x', message_thread_id })
    assert.equal((await topic(4)).description, 'Bad Request: message thread not found')
    assert.equal((await topic(3)).ok, true)
    assert.equal(fake.state.inChat(-7)[0]?.threadId, 3)
  })

  it('numbers messages per chat, and edits and deletes its own', async () => {
    assert.deepEqual([await send('a'), await send('b')], [1, 2])
    const edit = (message_id: number, more = {}) =>
      refusal('editMessageText', { chat_id: CHAT, message_id, text: 'c', ...more })
    assert.equal(await edit(9), 'Bad Request: message to edit not found')
    const { message } = fake.state.userSays(CHAT, 42, 'hi')
    assert.equal(await edit(message.id), "Bad Request: message can't be edited")
    assert.equal(await edit(1, keyboard({ text: 'x', callback_data: 'x' })), undefined)
    assert.match(String(await edit(1, keyboard({ text: 'x', callback_data: 'x' }))), /message is not modified/)
    assert.equal(await refusal('editMessageReplyMarkup', { chat_id: CHAT, message_id: 1 }), undefined)
    assert.equal(fake.state.find(CHAT, 1)?.markup, null)
    assert.match(String(await refusal('editMessageReplyMarkup', { chat_id: CHAT, message_id: 1 })), /not modified/)
    assert.equal(await refusal('deleteMessage', { chat_id: CHAT, message_id: 1 }), undefined)
    assert.equal(
      await refusal('deleteMessage', { chat_id: CHAT, message_id: 1 }),
      'Bad Request: message to delete not found',
    )
    now += 49 * 3_600_000
    assert.equal(
      await refusal('deleteMessage', { chat_id: CHAT, message_id: 2 }),
      "Bad Request: message can't be deleted",
    )
  })

  it('replies only to what is there, unless told not to mind', async () => {
    const id = await send('parent')
    const reply = await send('reply', { reply_parameters: { message_id: id } })
    assert.equal(fake.state.find(CHAT, reply)?.replyTo, id)
    const unknown = { chat_id: CHAT, text: 'x', reply_parameters: { message_id: 99 } }
    assert.equal(await refusal('sendMessage', unknown), 'Bad Request: message to be replied not found')
    const lenient = await send('x', { reply_parameters: { message_id: 99, allow_sending_without_reply: true } })
    assert.equal(fake.state.find(CHAT, lenient)?.replyTo, null)
  })

  it('hands updates to one long poll, and confirms by offset', async () => {
    const first = api('getUpdates', { timeout: 50 })
    await fake.state.waitFor((s) => s.updates.polled)
    const second = api('getUpdates', { timeout: 50 })
    assert.equal((await first).error_code, 409)
    await fake.state.waitFor((s) => s.updates.polled)
    fake.state.userSays(CHAT, 42, '/claw status')
    const [update] = (await second).result as Array<{ update_id: number; message: Record<string, unknown> }>
    assert.deepEqual(update?.message.entities, [{ type: 'bot_command', offset: 0, length: 5 }])
    assert.equal(((await api('getUpdates')).result as unknown[]).length, 1)
    const offset = (update?.update_id ?? 0) + 1
    assert.deepEqual((await api('getUpdates', { offset })).result, [])
    assert.deepEqual((await api('getUpdates')).result, [])
  })

  it('frees the poll of a client that went away', async () => {
    const abort = new AbortController()
    const outcome = Promise.allSettled([api('getUpdates', { timeout: 50 }, 'sandbox', abort.signal)])
    await fake.state.waitFor((s) => s.updates.polled)
    abort.abort()
    await outcome
    await fake.state.waitFor((s) => !s.updates.polled)
  })

  it('turns a press into a callback query that is answered once', async () => {
    const id = await send('x', keyboard({ text: 'Ack', callback_data: 'ack 1' }))
    assert.throws(() => fake.state.press(CHAT, id, 'ack 2', 42), { code: 'not_found' })
    const { queryId } = fake.state.press(CHAT, id, 'ack 1', 42)
    const [update] = (await api('getUpdates')).result as Array<{ callback_query: { id: string; data: string } }>
    assert.deepEqual([update?.callback_query.id, update?.callback_query.data], [queryId, 'ack 1'])
    assert.equal((await api('answerCallbackQuery', { callback_query_id: queryId, text: 'ok' })).ok, true)
    assert.equal(fake.state.answers[0]?.text, 'ok')
    assert.match(String(await refusal('answerCallbackQuery', { callback_query_id: queryId })), /query is too old/)
  })

  it('posts updates to the webhook with its secret, in order, and keeps what is refused', async () => {
    const seen: Array<[unknown, unknown]> = []
    let status = 200
    const claw = await listen(
      Router().use(express.json(), (req, res) => {
        seen.push([req.body.update_id, req.headers['x-telegram-bot-api-secret-token']])
        res.status(status).end()
      }),
    )
    assert.match(String(await refusal('setWebhook', { url: 'http://claw.example.com/' })), /HTTPS URL must be provided/)
    assert.match(String(await refusal('setWebhook', { url: claw.url, secret_token: 'a b' })), /unallowed characters/)
    assert.equal((await api('setWebhook', { url: claw.url, secret_token: 'sandbox' })).ok, true)
    assert.equal((await api('getUpdates')).error_code, 409)
    const { update } = fake.state.userSays(CHAT, 42, 'one')
    await fake.state.updates.deliver()
    status = 500
    const late = fake.state.userSays(CHAT, 42, 'two').update
    await fake.state.updates.deliver()
    type Info = { pending_update_count: number; last_error_message: string }
    const info = (await api('getWebhookInfo')).result as Info
    assert.deepEqual([info.pending_update_count, info.last_error_message.includes('500')], [1, true])
    status = 200
    await fake.state.updates.deliver()
    assert.equal(await fake.state.redeliver(update.update_id), 200)
    const ids = [update.update_id, late.update_id, late.update_id, update.update_id]
    assert.deepEqual(
      seen,
      ids.map((id) => [id, 'sandbox']),
    )
    await api('deleteWebhook')
    assert.equal((await api('getUpdates')).ok, true)
    await claw.close()
  })

  it('answers the small methods', async () => {
    const commands = [{ command: 'claw', description: 'Ask Claw' }]
    assert.equal((await api('setMyCommands', { commands })).ok, true)
    assert.deepEqual((await api('getMyCommands')).result, commands)
    const bad = { commands: [{ command: 'Claw!', description: 'x' }] }
    assert.equal(await refusal('setMyCommands', bad), 'Bad Request: BOT_COMMAND_INVALID')
    assert.deepEqual((await api('getChat', { chat_id: CHAT })).result, { id: CHAT, type: 'group', title: 'Chat -1001' })
    assert.equal((await api('sendChatAction', { chat_id: CHAT, action: 'typing' })).ok, true)
  })

  it('limits rates like the real one when asked to', async () => {
    fake.state.rateLimits = true
    for (let i = 0; i < 3; i++) await send('x')
    const limited = await api('sendMessage', { chat_id: CHAT, text: 'x' })
    assert.deepEqual(limited, {
      ok: false,
      error_code: 429,
      description: 'Too Many Requests: retry after 1',
      parameters: { retry_after: 1 },
    })
    now += 1_000
    await send('x')
  })

  it('words faults as Telegram does, and can lose an answer', async () => {
    fake.faults.set({ kind: 'rate_limit', retryAfter: 3, times: 1 })
    assert.deepEqual((await api('getMe')).parameters, { retry_after: 3 })
    fake.faults.set({ kind: 'reset_after', match: 'sendMessage', times: 1 })
    await assert.rejects(send('once'))
    assert.equal(fake.state.messages.length, 1)
  })
})
