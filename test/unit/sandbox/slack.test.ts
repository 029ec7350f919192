import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { LogLevel, webApi } from '@slack/bolt'
import express, { Router } from 'express'
import { type Listening, listen } from '../../../src/sandbox/listen.ts'
import { createFakeSlack, type FakeSlack, signSlack } from '../../../src/sandbox/slack.ts'

const C = 'C0ALERTS'
const section = (text: string, type = 'mrkdwn') => ({ type: 'section', text: { type, text } })
const button = (id: string, more = {}) => ({
  type: 'button',
  action_id: id,
  text: { type: 'plain_text', text: 'Ack' },
  ...more,
})

describe('fake Slack', () => {
  let now = 1_700_000_000_000
  let fake: FakeSlack
  let server: Listening
  let client: webApi.WebClient

  beforeEach(async () => {
    now = 1_700_000_000_000
    fake = createFakeSlack({ clock: () => now })
    server = await listen(Router().use('/sandbox/slack', fake.router))
    client = connect('sandbox')
  })
  afterEach(async () => {
    fake.reset()
    await server.close()
  })
  const connect = (token: string) =>
    new webApi.WebClient(token, {
      logLevel: LogLevel.ERROR,
      slackApiUrl: `${server.url}/sandbox/slack/api/`,
      retryConfig: { retries: 0 },
      rejectRateLimitedCalls: true,
    })
  const raw = async (method: string, body: unknown, headers: Record<string, string> = {}) => {
    const response = await fetch(`${server.url}/sandbox/slack/api/${method}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json; charset=utf-8', authorization: 'Bearer sandbox', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
    return (await response.json()) as { ok: boolean; error?: string; ts?: string; errors?: string[] }
  }
  const post = async (text = 'hello', more = {}) => {
    const { ts } = await client.chat.postMessage({ channel: C, text, ...more })
    assert.ok(ts)
    return ts
  }
  const refuses = (promise: Promise<unknown>, error: string) =>
    assert.rejects(promise, (e: { data?: { error?: string } }) => {
      assert.equal(e.data?.error, error)
      return true
    })

  it('knows its own token only, in header or form', async () => {
    assert.equal((await client.auth.test()).user_id, 'U0CLAW')
    await refuses(connect('xoxb-other').auth.test(), 'invalid_auth')
    assert.equal((await raw('auth.test', {}, { authorization: '' })).error, 'not_authed')
    const form = { 'content-type': 'application/x-www-form-urlencoded', authorization: '' }
    assert.equal((await raw('auth.test', 'token=sandbox', form)).ok, true)
    assert.equal((await raw('chat.unheardOf', {})).error, 'unknown_method')
    assert.equal((await raw('auth.test', '{')).error, 'invalid_json')
    assert.equal((await raw('__proto__', {})).error, 'unknown_method')
  })

  it('gives unique, rising ts per channel, also when the clock goes back', async () => {
    const first = await post()
    now -= 60_000
    const second = await post()
    assert.match(first, /^1700000000\.\d{6}$/)
    assert.ok(second > first)
    assert.deepEqual(
      fake.state.inChannel(C).map((m) => m.ts),
      [first, second],
    )
  })

  it('keeps text, blocks and metadata as sent', async () => {
    const text = 'look <!channel> <@U123> <https://evil.example|here> &amp;'
    const metadata = { event_type: 'claw_incident', event_payload: { incident: '12', n: 1 } }
    const ts = await post(text, { blocks: [section(text)], metadata })
    assert.equal(fake.state.find(C, ts)?.text, text)
    assert.deepEqual(fake.state.find(C, ts)?.blocks, [section(text)])
    const plain = await client.conversations.history({ channel: C })
    assert.equal(plain.messages?.[0]?.metadata, undefined)
    const full = await client.conversations.history({ channel: C, include_all_metadata: true })
    assert.deepEqual(full.messages?.[0]?.metadata, metadata)
  })

  it('refuses what Slack refuses of a post', async () => {
    const p = (more: object) => client.chat.postMessage({ channel: C, text: 'x', ...more } as never)
    await refuses(p({ channel: 'general' }), 'channel_not_found')
    await refuses(p({ text: '' }), 'no_text')
    await refuses(p({ text: 'x'.repeat(40_001) }), 'msg_too_long')
    await refuses(p({ thread_ts: 'yesterday' }), 'invalid_thread_ts')
    await refuses(p({ thread_ts: '1700000000.000001' }), 'thread_not_found')
    await refuses(p({ metadata: { event_type: 'x' } }), 'invalid_metadata_schema')
    await refuses(p({ metadata: { event_type: 'x', event_payload: { a: 'x'.repeat(8_200) } } }), 'metadata_too_large')
    await refuses(p({ blocks: 'no' }), 'invalid_blocks_format')
    await refuses(p({ blocks: Array.from({ length: 6 }, () => section('x'.repeat(2_900))) }), 'msg_blocks_too_long')
    fake.state.addChannel('C0OLD', { archived: true })
    await refuses(p({ channel: C }), 'channel_not_found')
    await refuses(p({ channel: 'C0OLD' }), 'is_archived')
    assert.equal(fake.state.messages.length, 0)
  })

  const BAD: Array<[string, unknown[]]> = [
    ['51 blocks', Array.from({ length: 51 }, () => ({ type: 'divider' }))],
    ['section text of 3001', [section('x'.repeat(3_001))]],
    ['empty section text', [section('')]],
    ['section without text', [{ type: 'section' }]],
    ['11 fields', [{ type: 'section', fields: Array.from({ length: 11 }, () => ({ type: 'mrkdwn', text: 'x' })) }]],
    ['a field of 2001', [{ type: 'section', fields: [{ type: 'mrkdwn', text: 'x'.repeat(2_001) }] }]],
    ['header of 151', [{ type: 'header', text: { type: 'plain_text', text: 'x'.repeat(151) } }]],
    ['header in mrkdwn', [{ type: 'header', text: { type: 'mrkdwn', text: 'x' } }]],
    ['26 elements', [{ type: 'actions', elements: Array.from({ length: 26 }, (_, i) => button(`a${i}`)) }]],
    ['button value of 2001', [{ type: 'actions', elements: [button('a', { value: 'x'.repeat(2_001) })] }]],
    [
      'button text of 76',
      [{ type: 'actions', elements: [button('a', { text: { type: 'plain_text', text: 'x'.repeat(76) } })] }],
    ],
    ['action_id of 256', [{ type: 'actions', elements: [button('a'.repeat(256))] }]],
    ['action_id twice in a block', [{ type: 'actions', elements: [button('a'), button('a')] }]],
    ['button URL with javascript:', [{ type: 'actions', elements: [button('a', { url: 'javascript:alert(1)' })] }]],
    [
      'block_id twice',
      [
        { type: 'divider', block_id: 'a' },
        { type: 'divider', block_id: 'a' },
      ],
    ],
    ['block_id of 256', [{ type: 'divider', block_id: 'a'.repeat(256) }]],
    ['unknown block', [{ type: 'marquee' }]],
    ['unknown property', [{ type: 'divider', colour: 'red' }]],
    ['empty actions', [{ type: 'actions', elements: [] }]],
    [
      '11 context elements',
      [{ type: 'context', elements: Array.from({ length: 11 }, () => ({ type: 'mrkdwn', text: 'x' })) }],
    ],
    ['emoji on mrkdwn', [{ type: 'section', text: { type: 'mrkdwn', text: 'x', emoji: true } }]],
  ]
  for (const [what, blocks] of BAD) {
    it(`refuses blocks: ${what}`, async () => {
      const reply = await raw('chat.postMessage', { channel: C, text: 'x', blocks })
      assert.equal(reply.error, 'invalid_blocks')
      assert.match(reply.errors?.[0] ?? '', /\[json-pointer:\/blocks/)
      assert.equal(fake.state.messages.length, 0)
    })
  }

  it('takes blocks at their limits', async () => {
    const elements = Array.from({ length: 25 }, (_, i) => button(`a${i}`))
    const blocks = [
      { type: 'header', text: { type: 'plain_text', text: 'h'.repeat(150), emoji: true } },
      section('x'.repeat(3_000)),
      { type: 'section', fields: Array.from({ length: 2 }, () => ({ type: 'mrkdwn', text: 'f'.repeat(2_000) })) },
      { type: 'context', elements: [{ type: 'mrkdwn', text: 'c' }] },
      { type: 'divider', block_id: 'd'.repeat(255) },
      { type: 'actions', elements },
    ]
    const reply = await raw('chat.postMessage', { channel: C, text: 'x', blocks })
    assert.deepEqual([reply.ok, reply.errors], [true, undefined])
  })

  it('edits its own messages only, keeping what an edit does not name', async () => {
    const ts = await post('one', { blocks: [section('one')], metadata: { event_type: 'e', event_payload: { a: 1 } } })
    const edited = fake.state.waitFor((s) => s.messages[0]?.edits === 1)
    await client.chat.update({ channel: C, ts, text: 'two' })
    await edited
    const message = fake.state.find(C, ts)
    assert.deepEqual([message?.text, message?.blocks, message?.metadata?.event_type], ['two', [section('one')], 'e'])
    await refuses(client.chat.update({ channel: C, ts: '1700000000.999999', text: 'x' }), 'message_not_found')
    const theirs = fake.state.userSays(C, 'U1', 'hi')
    await refuses(client.chat.update({ channel: C, ts: theirs.ts, text: 'x' }), 'cant_update_message')
    await refuses(client.chat.delete({ channel: C, ts: theirs.ts }), 'cant_delete_message')
    fake.state.addChannel(C, { archived: true })
    await refuses(client.chat.update({ channel: C, ts, text: 'x' }), 'is_inactive')
    await client.chat.delete({ channel: C, ts })
    assert.equal(fake.state.find(C, ts), null)
  })

  it('pages through history and threads', async () => {
    const parent = await post('parent')
    for (const n of ['a', 'b', 'c']) await post(n, { thread_ts: parent, reply_broadcast: n === 'c' })
    await post('last')
    const texts: unknown[] = []
    for await (const page of client.paginate('conversations.history', { channel: C, limit: 1 })) {
      texts.push(...((page as { messages?: Array<{ text: string }> }).messages ?? []).map((m) => m.text))
    }
    assert.deepEqual(texts, ['last', 'c', 'parent'])
    const first = await client.conversations.replies({ channel: C, ts: parent, limit: 3 })
    assert.deepEqual(
      first.messages?.map((m) => m.text),
      ['parent', 'a', 'b'],
    )
    assert.equal(first.messages?.[0]?.reply_count, 3)
    const cursor = first.response_metadata?.next_cursor ?? ''
    const rest = await client.conversations.replies({ channel: C, ts: parent, limit: 3, cursor })
    assert.deepEqual([rest.messages?.map((m) => m.text), rest.has_more], [['c'], false])
    await refuses(client.conversations.history({ channel: C, cursor: 'bm8=' }), 'invalid_cursor')
    await refuses(client.conversations.replies({ channel: C, ts: '1' }), 'thread_not_found')
    const since = await client.conversations.history({ channel: C, oldest: parent })
    assert.deepEqual(
      since.messages?.map((m) => m.text),
      ['last', 'c'],
    )
  })

  it('answers the small methods', async () => {
    const ts = await post()
    const link = await client.chat.getPermalink({ channel: C, message_ts: ts })
    assert.equal(link.permalink, `https://sandbox.slack.com/archives/${C}/p${ts.replace('.', '')}`)
    await client.reactions.add({ channel: C, timestamp: ts, name: 'eyes' })
    await refuses(client.reactions.add({ channel: C, timestamp: ts, name: 'eyes' }), 'already_reacted')
    assert.equal((await client.users.info({ user: 'U1' })).user?.id, 'U1')
    await refuses(client.users.info({ user: 'nobody' }), 'user_not_found')
    assert.equal((await client.conversations.info({ channel: C })).channel?.id, C)
    await client.chat.postEphemeral({ channel: C, user: 'U1', text: 'psst' })
    assert.equal(fake.state.ephemerals[0]?.text, 'psst')
    assert.equal(fake.state.messages.length, 1)
    const home = { type: 'home' as const, blocks: [section('hi')] }
    await client.views.publish({ user_id: 'U1', view: home as never })
    await refuses(client.views.open({ trigger_id: 'no', view: home as never }), 'invalid_trigger_id')
    assert.equal(fake.state.views.length, 1)
  })

  it('limits rates like the real one when asked to', async () => {
    fake.state.rateLimits = true
    for (let i = 0; i < 3; i++) await post()
    await assert.rejects(post(), { code: 'slack_webapi_rate_limited_error', retryAfter: 1 })
    assert.equal((await raw('chat.postMessage', { channel: 'C0OTHER', text: 'x' })).ok, true)
    now += 1_000
    await post()
    assert.equal(fake.state.inChannel(C).length, 4)
  })

  it('loses an answer but not the message', async () => {
    fake.faults.set({ kind: 'reset_after', match: 'chat.postMessage', times: 1 })
    await assert.rejects(post('once'))
    assert.deepEqual(
      fake.state.messages.map((m) => m.text),
      ['once'],
    )
    fake.faults.set({ kind: 'html', times: 1 })
    await assert.rejects(post())
    fake.reset()
    assert.equal(fake.state.messages.length, 0)
  })

  it('signs what people do, and serves their response URLs five times', async () => {
    const seen: Array<{ body: string; good: boolean }> = []
    const claw = await listen(
      Router().use(express.text({ type: () => true }), (req, res) => {
        const at = String(req.headers['x-slack-request-timestamp'])
        seen.push({ body: req.body, good: signSlack('sandbox', at, req.body) === req.headers['x-slack-signature'] })
        res.send('done')
      }),
    )
    const to = { url: claw.url, base: `${server.url}/sandbox/slack` }
    assert.deepEqual(await fake.state.command('U1', C, 'status A', to), { status: 200, body: 'done' })
    await fake.state.command('U1', C, 'status A', { ...to, secret: 'forged' })
    assert.deepEqual(
      seen.map((s) => s.good),
      [true, false],
    )
    const form = new URLSearchParams(seen[0]?.body)
    assert.deepEqual([form.get('command'), form.get('text'), form.get('user_id')], ['/claw', 'status A', 'U1'])
    const statuses: number[] = []
    for (let i = 0; i < 6; i++) {
      const url = String(form.get('response_url'))
      const body = JSON.stringify({ text: 'hi' })
      statuses.push(
        (await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })).status,
      )
    }
    assert.deepEqual(statuses, [200, 200, 200, 200, 200, 404])
    assert.equal(fake.state.responses.length, 5)

    const ts = await post('x', {
      blocks: [{ type: 'actions', block_id: 'b', elements: [button('ack', { value: '12' })] }],
    })
    const message = fake.state.find(C, ts)
    assert.ok(message)
    await fake.state.click('U1', message, 'ack', to)
    const payload = JSON.parse(new URLSearchParams(seen[2]?.body).get('payload') ?? '')
    assert.deepEqual([payload.actions[0].value, payload.actions[0].block_id, seen[2]?.good], ['12', 'b', true])
    const view = { type: 'modal', title: { type: 'plain_text', text: 'Sure?' }, blocks: [section('x')] }
    await client.views.open({ trigger_id: payload.trigger_id, view: view as never })
    await refuses(client.views.open({ trigger_id: payload.trigger_id, view: view as never }), 'exchanged_trigger_id')
    await assert.rejects(fake.state.click('U1', message, 'nope', to), { code: 'not_found' })
    await claw.close()
  })
})
