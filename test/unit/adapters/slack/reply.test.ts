import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createSlackDestination } from '../../../../src/adapters/slack/destination.ts'
import { topMessage } from '../../../../src/adapters/slack/message.ts'
import { replyMessage } from '../../../../src/adapters/slack/reply.ts'
import { type Reply, reply } from '../../../../src/core/command.ts'
import type { Json, ReplyInput } from '../../../../src/core/delivery.ts'
import type { FaultRule } from '../../../../src/sandbox/faults.ts'
import { listen } from '../../../../src/sandbox/listen.ts'
import { checkBlocks } from '../../../../src/sandbox/slack/blocks.ts'
import { createFakeSlack } from '../../../../src/sandbox/slack.ts'
import { assertReason, closeAfter, renderer } from '../../../fixtures/step.ts'
import { OPENED_AT, sampleView } from '../../../fixtures/view.ts'
import { CHANNEL, DANA, TOKEN } from './rig.ts'

async function world(t: TestContext) {
  const clock = { now: OPENED_AT }
  const slack = createFakeSlack({ clock: () => clock.now, token: TOKEN })
  const server = closeAfter(t, await listen(slack.router))
  const destination = closeAfter(
    t,
    createSlackDestination({ token: TOKEN, apiUrl: `${server.url}/api/`, renderer, timeoutMs: 5_000 }),
  )
  slack.state.responseUrls.set('R1', { at: clock.now, uses: 0, channel: CHANNEL, user: DANA, ts: null })
  const address = { responseUrl: `${server.url}/response/R1`, channel: CHANNEL, user: DANA }
  const say = async (said: Reply = reply('Acknowledged.'), more: Partial<ReplyInput> = {}) => {
    const signal = new AbortController().signal
    const input = {
      target: CHANNEL,
      address,
      reply: said,
      state: null,
      inDoubt: false,
      now: clock.now,
      signal,
      ...more,
    }
    const result = await destination.reply?.(input)
    assert.ok(result)
    assertReason(result, [TOKEN, 'response/R1'])
    return result
  }
  return { clock, slack, state: slack.state, address, say }
}

const refusing = (match: string, error: string): FaultRule => ({
  match,
  kind: 'status',
  status: 200,
  body: { ok: false, error },
})

test('a question to others is asked aloud; a link that signs in is the asker’s alone, even where it was asked aloud', async (t) => {
  const { state, say } = await world(t)
  await say(reply('Fail over from A to B.', { data: { approval: 'a1', needed: 1 } }))
  const asked = state.responses[0]?.body as Record<string, unknown>
  assert.equal(asked.response_type, 'in_channel')
  await say(reply('Your way in:', { link: { label: 'Open', url: 'https://claw.example.com/login/x' } }))
  const own = state.responses[1]?.body as Record<string, unknown>
  assert.equal(own.response_type, 'ephemeral')
  assert.match(JSON.stringify(own.blocks), /<https:\/\/claw\.example\.com\/login\/x\|Open>/)
  await say(reply('Your way in:', { link: { label: 'Open', url: 'javascript:alert(1)' } }))
  assert.doesNotMatch(JSON.stringify(state.responses[2]?.body), /javascript/)
})

test('an answer goes to the asker alone, by response URL, and replaces nothing', async (t) => {
  const { state, say } = await world(t)
  const said = reply('Incident 12 is acknowledged.', {
    lines: ['PagerDuty and Telegram are told.', 'Next: /claw show 12'],
    table: {
      head: ['region', 'bucket'],
      rows: [
        ['A', '4 %'],
        ['eu-west', '96 %'],
      ],
    },
    buttons: [
      { label: 'Show', command: 'show 12', style: 'plain' },
      { label: 'Resolve', command: 'resolve 12', style: 'danger' },
    ],
  })
  assert.deepEqual(await say(said), { outcome: 'done', state: { way: 'url' }, reference: null })
  const [response] = state.responses
  const body = response?.body as Record<string, unknown>
  assert.deepEqual([body.response_type, body.replace_original], ['ephemeral', false])
  assert.equal(body.text, 'Incident 12 is acknowledged.')
  assert.deepEqual(body.blocks, [
    {
      type: 'section',
      text: {
        type: 'mrkdwn',
        text: '*Incident 12 is acknowledged.*\nPagerDuty and Telegram are told.\nNext: /claw show 12',
        verbatim: true,
      },
    },
    {
      type: 'section',
      text: { type: 'mrkdwn', text: '```\nregion   bucket\nA        4 %\neu-west  96 %\n```', verbatim: true },
    },
    {
      type: 'actions',
      elements: [
        {
          type: 'button',
          action_id: 'claw:show',
          text: { type: 'plain_text', text: 'Show', emoji: false },
          value: 'show 12',
        },
        {
          type: 'button',
          action_id: 'claw:resolve',
          text: { type: 'plain_text', text: 'Resolve', emoji: false },
          value: 'resolve 12',
          style: 'danger',
        },
      ],
    },
  ])
  assert.equal(state.messages.length, 0)
})

test('in doubt it is said again', async (t) => {
  const { state, slack, say } = await world(t)
  slack.faults.set({ match: '/response/', kind: 'reset_after', times: 1 })
  const lost = await say()
  assert.equal(lost.outcome === 'retry' && lost.inDoubt, true)
  assert.equal((await say(undefined, { inDoubt: true, state: { way: 'url' } })).outcome, 'done')
  assert.equal(state.responses.length, 2)
})

test('an expired or used-up response URL gives way to an ephemeral message', async (t) => {
  for (const spend of ['uses', 'age', 'known age'] as const) {
    const { state, clock, address, say } = await world(t)
    if (spend === 'uses') for (let i = 0; i < 5; i++) await say()
    else clock.now += 31 * 60_000
    const at = spend === 'known age' ? OPENED_AT : null
    const result = await say(undefined, { address: { ...address, at } })
    assert.deepEqual(result, { outcome: 'done', state: { way: 'whisper' }, reference: null })
    assert.deepEqual([state.ephemerals[0]?.user, state.ephemerals[0]?.text], [DANA, 'Acknowledged.'])
    assert.equal(state.count('response/R1'), spend === 'uses' ? 6 : spend === 'age' ? 1 : 0, spend)
  }
})

test('where Slack takes no ephemeral message the thread gets it, else the person', async (t) => {
  const { state, slack, address, say } = await world(t)
  const { ts } = state.userSays(CHANNEL, DANA, 'hello')
  slack.faults.set(refusing('chat.postEphemeral', 'user_not_in_channel'))
  const gone = { ...address, responseUrl: null, thread: ts }
  assert.equal((await say(undefined, { address: gone })).outcome, 'done')
  assert.equal(state.replies(CHANNEL, ts)[0]?.text, 'Acknowledged.')
  assert.equal((await say(undefined, { address: { ...gone, thread: null } })).outcome, 'done')
  assert.equal(state.messages.at(-1)?.channel, 'D0DANA')
  assert.equal((await say(undefined, { address: { ...gone, channel: null, thread: null } })).outcome, 'done')
  assert.equal(state.messages.length, 4)
})

test('what was asked aloud in a thread is answered aloud there', async (t) => {
  const { state, address, say } = await world(t)
  const { ts } = state.userSays(CHANNEL, DANA, '@claw status')
  await say(undefined, { address: { ...address, responseUrl: null, thread: ts, inThread: true, aloud: true } })
  assert.equal(state.replies(CHANNEL, ts).length, 1)
  assert.equal(state.ephemerals.length, 0)
})

test('failures are judged as for messages', async (t) => {
  const cases: Array<[FaultRule, object]> = [
    [
      { match: '/response/', kind: 'status', status: 503 },
      { outcome: 'retry', inDoubt: true, scope: 'target' },
    ],
    [
      { match: '/response/', kind: 'rate_limit', retryAfter: 7 },
      { outcome: 'retry', retryAfterMs: 7_000, inDoubt: false },
    ],
    [
      { match: '/response/', kind: 'reset' },
      { outcome: 'retry', inDoubt: true },
    ],
  ]
  for (const [fault, expected] of cases) {
    const { slack, say } = await world(t)
    slack.faults.set(fault)
    assert.partialDeepStrictEqual(await say(), { ...expected, state: { way: 'url' } })
  }
  const { slack, say } = await world(t)
  slack.faults.set(refusing('chat.postEphemeral', 'ratelimited'))
  const whisper = await say(undefined, { state: { way: 'whisper' }, inDoubt: true })
  assert.partialDeepStrictEqual(whisper, { outcome: 'retry', inDoubt: true, state: { way: 'whisper' } })
  for (const address of [null, {}, { responseUrl: 'file:///etc/passwd', channel: CHANNEL, user: DANA }] as Json[])
    assert.equal((await say(undefined, { address })).outcome, 'dead')
})

test('blocks that Slack refuses are said as text', async (t) => {
  const { state, slack, say } = await world(t)
  slack.faults.set({ ...refusing('/response/', 'invalid_blocks'), times: 1 })
  assert.equal((await say(reply('Yes.', { lines: ['And more.'] }))).outcome, 'done')
  assert.deepEqual([state.responses[0]?.text, state.responses[0]?.blocks], ['Yes.\nAnd more.', null])
})

const NASTY =
  '<!channel> <@U1|x> @here &amp; ```code``` *b* _i_ ~s~ :boom: > http://evil.example \ud800 \u202e\u0000 a\nb|c "q" \\'

test('hostile text stays text, in every part of a reply, and within all limits', () => {
  const long = (unit: string, n: number) => unit.repeat(Math.ceil(n / unit.length))
  const nasty: Reply[] = [
    reply(NASTY, {
      lines: [NASTY, '', NASTY],
      table: { head: [NASTY], rows: [[NASTY], ['']] },
      buttons: [{ label: NASTY, command: `note 12 ${NASTY}`, style: 'danger' }],
    }),
    reply(long(NASTY, 50_000), {
      lines: Array.from({ length: 400 }, () => long('"\\<', 2_000)),
      table: {
        head: Array.from({ length: 40 }, () => long('h`', 200)),
        rows: Array.from({ length: 500 }, () => Array.from({ length: 40 }, () => long('<"`&', 300))),
      },
      buttons: Array.from({ length: 60 }, (_, i) => ({
        label: i % 2 ? '' : long('\ud83d\udd25', 300),
        command: `note ${i} ${long('x', i * 100)}`,
        style: 'plain',
      })),
    }),
    reply('', { table: { head: [], rows: [] }, buttons: [{ label: 'x', command: ' ', style: 'plain' }] }),
  ]
  for (const one of nasty) {
    const { text, blocks, plain } = replyMessage(one)
    assert.deepEqual(checkBlocks(blocks), [])
    assert.ok(JSON.stringify(blocks).length <= 13_200)
    assert.ok(text !== '' && plain !== '' && plain.length <= 3_000)
    const shown = JSON.stringify([text, plain, blocks.filter((block) => block.type !== 'actions')])
    assert.doesNotMatch(shown, /<[!@#]|<http|@here|:\/\/evil|:boom:|\\ud800|\u202e/)
    for (const block of blocks) {
      if (block.type !== 'section') continue
      const body = block.text.text
      const fences = body.match(/```/g)?.length ?? 0
      assert.ok(fences === 0 || (fences === 2 && body.startsWith('```\n') && body.endsWith('\n```')), body)
      assert.equal(block.text.verbatim, true)
      if (fences === 0) assert.doesNotMatch(body.replace(/^\*.*\*$/m, ''), /[*~`]/)
    }
  }
})

test('a command is never cut, and each button is its own', () => {
  const command = `note 12 ${'x'.repeat(3_000)}`
  const buttons = ['approve a7', command, 'approve a8'].map((one) => ({
    label: one.slice(0, 200),
    command: one,
    style: 'primary' as const,
  }))
  const block = replyMessage(reply('Choose.', { buttons })).blocks.at(-1)
  assert.equal(block?.type, 'actions')
  assert.deepEqual(
    block.elements.map((element) => [element.action_id, element.value]),
    [
      ['claw:approve', 'approve a7'],
      ['claw:approve:2', 'approve a8'],
    ],
  )
})

test('what is left out of a long answer is counted, and its last line stays', () => {
  const lines = Array.from({ length: 300 }, (_, i) => `line ${i} ${'x'.repeat(60)}`)
  const rows = Array.from({ length: 900 }, (_, i) => [String(i), 'eu-west'])
  const { blocks } = replyMessage(reply('Long.', { lines, table: { head: ['n', 'region'], rows } }))
  const shown = JSON.stringify(blocks)
  assert.match(shown, /… \d+ more lines\\nline 299 x/)
  assert.match(shown, /… \d+ more rows/)
})

test("an incident's message carries its buttons until it is over", () => {
  const actions = [
    { label: 'Acknowledge', command: 'ack 12', style: 'primary' as const },
    { label: 'Resolve', command: 'resolve 12', style: 'danger' as const },
  ]
  const open = topMessage(renderer, sampleView({ actions }), OPENED_AT, null)
  const last = open.blocks.at(-1)
  assert.equal(last?.type, 'actions')
  assert.deepEqual(
    last.elements.map((one) => [one.action_id, one.value, one.style]),
    [
      ['claw:ack', 'ack 12', 'primary'],
      ['claw:resolve', 'resolve 12', 'danger'],
    ],
  )
  assert.deepEqual(checkBlocks(open.blocks), [])
  const over = topMessage(renderer, sampleView({ actions, state: 'resolved' }), OPENED_AT, null)
  assert.ok(over.blocks.every((block) => block.type !== 'actions'))
})
