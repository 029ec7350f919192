import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { createTelegramDestination } from '../../../../src/adapters/telegram/destination.ts'
import { htmlLength, splitHtml } from '../../../../src/adapters/telegram/html.ts'
import { replyParts, tableRows } from '../../../../src/adapters/telegram/reply.ts'
import { type Reply, refusal, reply } from '../../../../src/core/command.ts'
import type { Json, StepResult } from '../../../../src/core/delivery.ts'
import { listen } from '../../../../src/sandbox/listen.ts'
import { parseHtml, tidy } from '../../../../src/sandbox/telegram/html.ts'
import { buttonsOf } from '../../../../src/sandbox/telegram/keyboard.ts'
import { createFakeTelegram } from '../../../../src/sandbox/telegram.ts'
import { assertReason, closeAfter, renderer, TestLane } from '../../../fixtures/step.ts'
import { OPENED_AT, sampleEvent, sampleView } from '../../../fixtures/view.ts'
import { DANA, GROUP, TOKEN } from './rig.ts'

async function world(t: TestContext) {
  const telegram = createFakeTelegram({ clock: () => OPENED_AT, token: TOKEN })
  t.after(() => telegram.reset())
  const server = closeAfter(t, await listen(telegram.router))
  const make = () =>
    closeAfter(t, createTelegramDestination({ token: TOKEN, apiRoot: server.url, renderer, timeoutMs: 5_000 }))
  const destination = make()
  const own = () => telegram.state.messages.filter((m) => m.own)
  /** One answer as the lane says it, step by step; `state` as the store keeps it. */
  const answer = (
    content: Reply,
    address: Json = { chat: String(GROUP), thread: null, replyTo: 1, callback: null },
  ) => {
    const lane = { state: null as Json, inDoubt: false }
    return async (): Promise<StepResult> => {
      const signal = new AbortController().signal
      const input = { target: String(GROUP), address, reply: content, now: OPENED_AT, signal, ...lane }
      const result = (await destination.reply?.(input)) as StepResult
      if ('state' in result && result.state !== undefined) lane.state = JSON.parse(JSON.stringify(result.state)) as Json
      lane.inDoubt = result.outcome === 'retry' && result.inDoubt
      return result
    }
  }
  return { telegram, state: telegram.state, destination, make, own, answer }
}

const BUTTONS = [
  { label: 'Confirm', command: 'approve a7', style: 'danger' as const },
  { label: 'Cancel', command: 'deny a7', style: 'plain' as const },
]

test('an answer: summary in bold, lines, table in columns, buttons, as a reply in its topic', async (t) => {
  const { state, own, answer } = await world(t)
  const { message } = state.userSays(GROUP, DANA, '/claw status', { threadId: 5 })
  const content = reply('Two regions, one is in trouble.', {
    lines: ['Data is 2 s old.', '', 'Confirm it: /claw approve a7 (or /claw deny a7).'],
    table: {
      head: ['region', 'bucket'],
      rows: [
        ['A', '█░░░ 4 %'],
        ['B', '████ 93 %'],
      ],
    },
    buttons: BUTTONS,
  })
  const address = { chat: String(GROUP), thread: 5, replyTo: message.id, callback: null }
  const result = await answer(content, address)()
  const [said] = own()
  assert.deepEqual(result, {
    outcome: 'done',
    state: { chat: '-1001', parts: 1, replies: [said?.id ?? 0] },
    reference: String(said?.id),
  })
  assert.equal(
    said?.text,
    [
      'Two regions, one is in trouble.',
      '',
      'region  bucket',
      '──────  ─────────',
      'A       █░░░ 4 %',
      'B       ████ 93 %',
      '',
      'Data is 2 s old.',
      '',
      'Confirm it: /claw approve a7 (or /claw deny a7).',
    ].join('\n'),
  )
  assert.deepEqual(
    said?.entities.map((e) => [e.type, said.text.slice(e.offset, e.offset + e.length).slice(0, 16)]),
    [
      ['bold', 'Two regions, one'],
      ['pre', 'region  bucket\n─'],
      ['code', '/claw approve a7'],
      ['code', '/claw deny a7'],
    ],
  )
  assert.deepEqual([said?.threadId, said?.replyTo, said?.silent], [5, message.id, false])
  assert.deepEqual(buttonsOf(said?.markup ?? null), [
    { text: 'Confirm', callback_data: 'approve a7' },
    { text: 'Cancel', callback_data: 'deny a7' },
  ])
})

test('a link of Claw’s own can be tapped, one that is none stays text', async (t) => {
  const { own, answer } = await world(t)
  await answer(reply('Your way in:', { link: { label: 'Open', url: 'https://claw.example.com/login/x' } }))()
  assert.deepEqual(
    own()[0]
      ?.entities.filter(({ type }) => type === 'text_link')
      .map(({ url }) => url),
    ['https://claw.example.com/login/x'],
  )
  await answer(reply('Your way in:', { link: { label: 'Open', url: 'javascript:alert(1)' } }))()
  assert.equal(
    own()[1]?.entities.some(({ type }) => type === 'text_link'),
    false,
  )
})

test('the message that was answered may be gone', async (t) => {
  const { own, answer } = await world(t)
  assert.equal((await answer(reply('Acknowledged.'))()).outcome, 'done')
  assert.deepEqual([own()[0]?.text, own()[0]?.replyTo], ['Acknowledged.', null])
})

test('a long answer goes out in parts, one a step, with the buttons under the last', async (t) => {
  const { state, own, answer } = await world(t)
  state.userSays(GROUP, DANA, '/incidents')
  const lines = Array.from({ length: 200 }, (_, i) => `#${i} P1 · <Bucket> empty & falling in A, B and C · rating-api`)
  const step = answer(reply('200 incidents', { lines, buttons: BUTTONS }))
  const outcomes: string[] = []
  for (let i = 0; i < 10 && outcomes.at(-1) !== 'done'; i++) {
    const before = own().length
    outcomes.push((await step()).outcome)
    assert.equal(own().length, before + 1, 'one message a step')
  }
  assert.deepEqual(outcomes, ['progress', 'progress', 'progress', 'done'])
  assert.deepEqual(
    own().map((m) => [m.replyTo, m.silent, buttonsOf(m.markup).length]),
    [
      [1, false, 0],
      [1, true, 0],
      [1, true, 0],
      [1, true, 2],
    ],
  )
  const all = own()
    .map((m) => m.text)
    .join('\n')
  for (let i = 0; i < 200; i++)
    assert.match(all, new RegExp(`(^|\\n)＃${i} P1 · <Bucket> empty & falling in A, B and C`))
})

test('a lost answer: the part is sent again, the earlier ones are not', async (t) => {
  const { telegram, own, answer } = await world(t)
  const lines = Array.from({ length: 100 }, (_, i) => `${i} ${'x'.repeat(60)}`)
  const step = answer(reply('Long', { lines }))
  await step()
  telegram.faults.set({ kind: 'reset_after', match: 'sendMessage', times: 1 })
  const lost = await step()
  assert.equal(lost.outcome === 'retry' && lost.inDoubt, true)
  assertReason(lost, [TOKEN, 'very-secret'])
  assert.equal((await step()).outcome, 'done')
  assert.deepEqual(
    own().map((m) => m.text.slice(0, 4)),
    ['Long', own()[1]?.text.slice(0, 4), own()[1]?.text.slice(0, 4)],
  )
  assert.equal(telegram.state.count('editMessageText'), 0, 'nothing of others is touched')
})

test('failures are judged as those of messages are', async (t) => {
  const { telegram, answer, state, own } = await world(t)
  telegram.faults.set({ kind: 'rate_limit', retryAfter: 7, times: 1 })
  const step = answer(reply('x'))
  const limited = await step()
  assert.deepEqual([limited.outcome, limited.outcome === 'retry' && limited.retryAfterMs], ['retry', 7_000])
  state.kick(GROUP)
  assert.equal((await step()).outcome, 'dead')
  state.kick(GROUP, false)
  state.migrate(GROUP, -100_200)
  assert.deepEqual([(await step()).outcome, (await step()).outcome], ['progress', 'done'])
  assert.equal(own()[0]?.chat, -100_200)
  assert.equal((await answer(reply('x'), { chat: 7 })()).outcome, 'dead')
})

test('buttons that Telegram refuses cost the buttons, not the words', async (t) => {
  const { telegram, own, answer } = await world(t)
  const body = { ok: false, error_code: 400, description: 'Bad Request: BUTTON_DATA_INVALID' }
  telegram.faults.set({ kind: 'status', status: 400, times: 1, body })
  assert.equal((await answer(reply('x', { buttons: BUTTONS }))()).outcome, 'done')
  assert.deepEqual([own()[0]?.text, own()[0]?.markup], ['x', null])
})

test('commands longer than 64 bytes and labels of nothing are left out', async (t) => {
  const { own, answer } = await world(t)
  const button = (label: string, command: string) => ({ label, command, style: 'plain' as const })
  const buttons = [
    button('long', `note 12 ${'é'.repeat(29)}`),
    button('fits', `note 12 ${'é'.repeat(28)}`),
    button(' \u200b', 'ack 12'),
    button('none', ''),
  ]
  assert.equal((await answer(reply('x', { buttons }))()).outcome, 'done')
  assert.deepEqual(
    buttonsOf(own()[0]?.markup ?? null).map((b) => b.text),
    ['fits'],
  )
})

test('the search for an incident’s lost message leaves answers alone, in other topics too', async (t) => {
  const { telegram, destination, make, answer, own, state } = await world(t)
  const lane = new TestLane(destination, { chat: GROUP }, sampleView())
  telegram.faults.set({ kind: 'reset', match: 'sendMessage', times: 1 })
  assert.equal((await lane.step()).outcome, 'retry')
  state.userSays(GROUP, DANA, '/status', { threadId: 9 })
  const address = { chat: String(GROUP), thread: 9, replyTo: 1, callback: null }
  const said = await answer(reply('All is well.'), address)()
  assert.equal((await lane.settle()).outcome, 'done')
  assert.deepEqual(
    own().map((m) => [m.text.slice(0, 12), m.edits]),
    [
      ['All is well.', 0],
      [own()[1]?.text.slice(0, 12), 0],
    ],
  )
  // After a restart only the store knows: by `state.replies`.
  const other = new TestLane(make(), { chat: GROUP }, sampleView({ id: '13' }))
  other.inDoubt = true
  const replies = 'state' in said && (said.state as { replies: number[] }).replies
  other.known = [...(replies || []), ...own().map((m) => m.id)].map(String)
  await other.settle()
  assert.equal(own()[0]?.text, 'All is well.')
})

const actions = [
  { label: 'Acknowledge', command: 'ack 12', style: 'primary' as const },
  { label: 'Reconcile', command: 'reconcile A B', style: 'plain' as const },
  { label: 'Fail over', command: 'failover A B', style: 'danger' as const },
]

test('an incident’s message carries its actions, and addresses that Telegram takes, until it is resolved', async (t) => {
  const { destination, own } = await world(t)
  const lane = new TestLane(destination, { chat: GROUP }, sampleView({ actions }))
  await lane.settle()
  const texts = () => buttonsOf(own()[0]?.markup ?? null).map((b) => b.callback_data ?? b.url)
  const urls = ['https://runbooks.example.com/bucket-empty', 'https://claw.example.com/incidents/12']
  assert.deepEqual(texts(), ['ack 12', 'reconcile A B', 'failover A B', ...urls], 'prometheus has no dot')
  lane.change({ state: 'acknowledged', acknowledgedBy: 'Dana', actions: actions.slice(1) })
  await lane.settle()
  assert.deepEqual(texts(), ['reconcile A B', 'failover A B', ...urls])
  lane.change({ state: 'resolved', story: [sampleEvent(1), sampleEvent(2, { kind: 'resolved', push: true })] })
  await lane.settle()
  assert.deepEqual(texts(), [])
  assert.equal(own().length, 2)
})

test('a lost message is found with its buttons', async (t) => {
  const { destination, own, telegram } = await world(t)
  const lane = new TestLane(destination, { chat: GROUP }, sampleView({ actions }))
  telegram.faults.set({ kind: 'reset_after', match: 'sendMessage', times: 1 })
  await lane.step()
  await lane.settle()
  assert.deepEqual([own().length, buttonsOf(own()[0]?.markup ?? null).length], [1, 5])
})

test('only addresses with a dotted host become buttons', async (t) => {
  const { destination, own } = await world(t)
  const urls = { graphUrl: 'http://localhost:9090/', runbookUrl: 'javascript:alert(1)', incidentUrl: 'https://a./x' }
  const lane = new TestLane(destination, { chat: GROUP }, sampleView(urls))
  await lane.settle()
  assert.equal(own()[0]?.markup, null)
})

test('a table stays in columns whatever its cells hold', () => {
  assert.deepEqual(
    tableRows({
      head: ['a', 'bb'],
      rows: [
        ['😀', 'x\ny'],
        ['long', ''],
      ],
    }),
    ['a     bb', '────  ───', '😀     x y', 'long'],
  )
})

const NASTY = [
  '</b>',
  '</pre>',
  '<a href="https://evil.example">x</a>',
  '&lt; & "',
  '@everyone',
  'https://evil.example/x',
  '/resolve 12',
  '#tag $USD',
  '{{ 7 | times: 7 }}',
  '\0\u202e\ud800',
  'x'.repeat(9_000),
  '👩‍👩‍👧‍👦'.repeat(3_000),
  '&'.repeat(9_000),
  '/claw /claw status',
  'line\nline',
  '',
  ' ',
]
const nasty = fc.oneof(fc.constantFrom(...NASTY), fc.string({ unit: 'binary', maxLength: 40 }))
const hostile = fc
  .record({
    summary: nasty,
    lines: fc.array(nasty, { maxLength: 30 }),
    table: fc.option(
      fc.record({
        head: fc.array(nasty, { minLength: 1, maxLength: 4 }),
        rows: fc.array(fc.array(nasty, { maxLength: 5 }), { maxLength: 20 }),
      }),
    ),
  })
  .map(({ summary, ...more }) => reply(summary, more))

function assertParts(content: Reply): void {
  const parts = replyParts(renderer, content, OPENED_AT)
  assert.ok(parts.length >= 1 && parts.length <= 8)
  for (const part of parts) {
    const parsed = parseHtml(part)
    if (typeof parsed === 'string') assert.fail(`${parsed}: ${part.slice(0, 200)}`)
    const { text, entities } = tidy(parsed)
    assert.ok(text.length >= 1 && text.length <= 4_096, `${text.length} characters`)
    for (const { type } of entities) assert.match(type, /^(bold|pre|code|italic)$/)
    // Telegram finds nothing by itself in code.
    const bare = entities
      .filter((e) => e.type === 'pre' || e.type === 'code')
      .reduceRight((all, e) => all.slice(0, e.offset) + '.'.repeat(e.length) + all.slice(e.offset + e.length), text)
    assert.doesNotMatch(bare, /@|:\/\/|[#$](?=[A-Za-z])|(?<![\p{L}\p{N}_])\/[A-Za-z0-9_]/u)
    assert.doesNotMatch(bare, /[\p{L}\p{N}-]\.[\p{L}]{2,}/u)
  }
}

for (const value of NASTY) {
  test(`an answer shows it as it is: ${JSON.stringify(value.slice(0, 30))}`, () => {
    const lines = Array.from({ length: 40 }, () => value)
    const table = { head: [value, value], rows: lines.map((one) => [one, one, one]) }
    assertParts(reply(value, { lines, table }))
    assertParts(refusal('invalid', value, lines))
  })
}

test('whatever an answer holds, its parts are valid', () => {
  fc.assert(fc.property(hostile, assertParts), { numRuns: 60 })
})

test('a template that is broken does not cost the answer', () => {
  const broken = { render: () => assert.fail('broken') }
  const table = { head: ['a'], rows: [['<b>']] }
  const [part] = replyParts(broken, reply('No <one>', { lines: ['@all'], table }), OPENED_AT)
  assert.equal(part, '<b>No &lt;one&gt;</b>\na\n───\n&lt;b&gt;\n＠all')
})

test('splitting keeps every character, in valid parts within both limits', () => {
  const piece = fc.constantFrom(
    '<b>x y</b>',
    '<i>a<u>b\nc</u></i>',
    '&amp;',
    '\n',
    ' ',
    'word',
    '😀',
    '<pre>p\nq</pre>',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), fc.integer({ min: 4, max: 60 }), (pieces, limit) => {
      const html = pieces.join('')
      const parts = splitHtml(html, limit, 100)
      for (const part of parts) {
        assert.notEqual(typeof parseHtml(part), 'string', part)
        assert.ok(htmlLength(part) <= limit && part.length <= 100, part)
      }
      const plain = (text: string) => text.replace(/<[^>]*>|\s/g, '')
      assert.equal(plain(parts.join('')), plain(html))
    }),
  )
})

test('parts end at a line’s end where that leaves them half full', () => {
  const lines = Array.from({ length: 30 }, (_, i) => `line ${i}`)
  for (const part of splitHtml(lines.join('\n'), 50, 1_000)) assert.match(part.trim(), /^line \d+[\s\S]*line \d+$/)
})
