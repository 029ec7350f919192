import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createTelegramDestination } from '../../../../src/adapters/telegram/destination.ts'
import type { Json, StepResult } from '../../../../src/core/delivery.ts'
import type { FaultRule } from '../../../../src/sandbox/faults.ts'
import { listen } from '../../../../src/sandbox/listen.ts'
import { createFakeTelegram } from '../../../../src/sandbox/telegram.ts'
import { assertReason, closeAfter, renderer, TestLane } from '../../../fixtures/step.ts'
import { OPENED_AT, sampleEvent, sampleView } from '../../../fixtures/view.ts'

const TOKEN = '900001:very-secret'
const CHAT = -1001

async function world(t: TestContext, options: { timeoutMs?: number; token?: string; settings?: object } = {}) {
  const clock = { now: OPENED_AT }
  const telegram = createFakeTelegram({ clock: () => clock.now, token: TOKEN })
  const server = closeAfter(t, await listen(telegram.router))
  const destination = createTelegramDestination({
    token: options.token ?? TOKEN,
    apiRoot: server.url,
    renderer,
    timeoutMs: options.timeoutMs ?? 5_000,
  })
  closeAfter(t, destination)
  const lanes: TestLane[] = []
  /** Lanes of one chat know each other's ids, as the store tells them. */
  const laneOf = (view = sampleView()) => {
    const lane = new TestLane(destination, { chat: CHAT, ...options.settings }, view)
    lanes.push(lane)
    Object.defineProperty(lane, 'known', { get: () => lanes.flatMap((l) => idsOf(l.state)) })
    return lane
  }
  const own = () => telegram.state.messages.filter((m) => m.own)
  return { telegram, server, destination, lane: laneOf(), laneOf, own }
}

function idsOf(state: Json): string[] {
  const { messageId, replies } = (state ?? {}) as { messageId?: number | null; replies?: number[] }
  return [...(messageId ? [messageId] : []), ...(replies ?? [])].map(String)
}

const pushed = (seq: number, text = 'Worse: also in C.') => sampleEvent(seq, { kind: 'worsened', text, push: true })

test('an incident is one message: headline first, what to do last, no preview', async (t) => {
  const { lane, own, telegram } = await world(t)
  assert.equal((await lane.step()).outcome, 'done')
  const [message] = own()
  assert.match(message?.text ?? '', /^🔴 P1 · Bucket empty in A and B · 4 % left, falling · rating-api\n/)
  assert.match(message?.text ?? '', /\nNext: Acknowledge, then [^\n]*$/)
  assert.equal(message?.silent, false)
  assert.equal(lane.reference, String(message?.id))
  const body = telegram.state.requests[0]?.body as Record<string, unknown>
  assert.deepEqual(body.link_preview_options, { is_disabled: true })
  assert.equal((await lane.step()).outcome, 'done')
  assert.equal(telegram.state.requests.length, 1, 'what is shown already costs no request')
})

test('a quiet change is a silent edit; a push is an edit and a reply', async (t) => {
  const { lane, own } = await world(t)
  await lane.settle()
  lane.change({ state: 'acknowledged', acknowledgedBy: 'Dana', story: [sampleEvent(1), sampleEvent(2)] })
  assert.equal((await lane.step()).outcome, 'done')
  assert.equal(own().length, 1)
  assert.match(own()[0]?.text ?? '', /Acknowledged by Dana/)
  lane.change({ story: [sampleEvent(1), sampleEvent(2), pushed(3)] })
  assert.equal((await lane.step()).outcome, 'progress')
  assert.equal((await lane.step()).outcome, 'done')
  assert.equal(own().length, 2)
  assert.equal(own()[1]?.replyTo, own()[0]?.id)
  assert.match(own()[1]?.text ?? '', /^Worse: also in C\.\nP1/)
  assert.deepEqual((lane.state as { replies: number[] }).replies, [own()[1]?.id])
  assert.equal(lane.reference, String(own()[0]?.id))
})

test('pushes are at most one a minute, and ride together', async (t) => {
  const { lane, own } = await world(t)
  await lane.settle()
  lane.change({ story: [sampleEvent(1), pushed(2)] })
  await lane.settle()
  lane.change({ story: [sampleEvent(1), pushed(2), pushed(3, 'Worse: also in D.'), pushed(4, 'Worse: also in E.')] })
  lane.now += 20_000
  const result = await lane.settle()
  assert.equal(result.outcome === 'later' && result.at, OPENED_AT + 61_000)
  assert.equal(own().length, 2)
  lane.now = OPENED_AT + 61_000
  assert.equal((await lane.settle()).outcome, 'done')
  assert.equal(own().length, 3)
  assert.match(own()[2]?.text ?? '', /^Worse: also in E[\s\S]*also in D/)
})

test('a receiver that another one wakes is silent, in its topic', async (t) => {
  const { lane, own } = await world(t, { settings: { notify: false, thread: 5 } })
  await lane.settle()
  lane.change({ story: [sampleEvent(1), pushed(2)] })
  await lane.settle()
  assert.deepEqual(
    own().map((m) => [m.silent, m.threadId]),
    [
      [true, 5],
      [true, 5],
    ],
  )
})

test('settings that make no sense are dead at once, nothing is asked of Telegram', async (t) => {
  for (const settings of [{ chat: 'no name' }, { chat: 1.5 }, { thread: -1 }]) {
    const { lane, telegram } = await world(t, { settings })
    assert.equal((await lane.step()).outcome, 'dead')
    assert.equal(telegram.state.requests.length, 0)
  }
})

test('a message that somebody deleted is sent anew', async (t) => {
  const { lane, own, telegram } = await world(t)
  await lane.settle()
  const [first] = own()
  assert.ok(first)
  telegram.state.remove(first)
  lane.change({ story: [sampleEvent(1), pushed(2)] })
  assert.equal((await lane.settle()).outcome, 'done')
  assert.equal(own().length, 1, 'the new message notifies and tells all, so nothing replies to it')
})

test('a group that became a supergroup is followed', async (t) => {
  const { lane, own, telegram } = await world(t)
  telegram.state.migrate(CHAT, -100_200)
  assert.equal((await lane.settle()).outcome, 'done')
  lane.change({ state: 'acknowledged' })
  assert.equal((await lane.settle()).outcome, 'done')
  assert.deepEqual(
    own().map((m) => [m.chat, m.edits]),
    [[-100_200, 1]],
  )
})

test('a lost answer is found again by editing, between messages of others', async (t) => {
  const { lane, laneOf, own, telegram } = await world(t)
  const before = laneOf(sampleView({ id: '7' }))
  await before.settle()
  telegram.state.userSays(CHAT, 4711, 'what is this?')
  telegram.faults.set({ kind: 'reset_after', match: 'sendMessage', times: 1 })
  assert.equal((await lane.step()).outcome, 'retry')
  telegram.state.userSays(CHAT, 4711, 'hello?')
  // Another incident is told meanwhile: its id is higher than the lost one.
  const after = laneOf(sampleView({ id: '8', headline: 'P2 · Sync lag in A · rating-api' }))
  await after.settle()
  lane.change({ state: 'acknowledged' })
  assert.equal((await lane.settle()).outcome, 'done')
  assert.deepEqual(
    own().map((m) => [m.id, m.edits]),
    [
      [1, 0],
      [3, 1],
      [5, 0],
    ],
  )
  assert.equal(lane.reference, '3')
  assert.match(own()[2]?.text ?? '', /Sync lag/)
})

test('after a crash the search starts behind the newest known id', async (t) => {
  const { lane, laneOf, own, destination } = await world(t)
  await laneOf(sampleView({ id: '7' })).settle()
  // Sent, and killed before it was stored: nothing remembers it.
  const lost = new TestLane(destination, lane.settings, lane.incident)
  await lost.settle()
  lane.inDoubt = true
  assert.equal((await lane.settle()).outcome, 'done')
  assert.equal(own().length, 2)
  assert.equal(lane.reference, lost.reference)
})

test('nothing lost: after the search it is sent', async (t) => {
  const { lane, own, telegram } = await world(t)
  telegram.faults.set({ kind: 'reset', match: 'sendMessage', times: 1 })
  assert.equal((await lane.step()).outcome, 'retry')
  assert.equal((await lane.settle()).outcome, 'done')
  assert.equal(own().length, 1)
  assert.equal(telegram.state.requests.filter((r) => r.name === 'editMessageText').length, 30)
})

test('a search that is limited goes on where it stopped', async (t) => {
  const { lane, own, telegram } = await world(t)
  telegram.faults.set({ kind: 'reset', match: 'sendMessage', times: 1 })
  await lane.step()
  let edits = 0
  telegram.faults.set({ kind: 'rate_limit', retryAfter: 3, match: () => ++edits % 12 === 0 })
  const limited = await lane.step()
  const expected = { outcome: 'retry', reason: 'Telegram limits the rate', retryAfterMs: 3_000, inDoubt: true }
  assert.deepEqual({ ...limited, ...expected, scope: 'target' }, limited)
  assert.equal((await lane.settle()).outcome, 'retry')
  telegram.faults.clear()
  assert.equal((await lane.settle()).outcome, 'done')
  assert.equal(own().length, 1)
  const tried = telegram.state.requests.flatMap((r) =>
    r.name === 'editMessageText' && r.fault === null ? [(r.body as { message_id: number }).message_id] : [],
  )
  assert.deepEqual(tried, [...new Set(tried)], 'no id is tried twice')
})

test('a lost push reply is found again, also when the incident changed since', async (t) => {
  const { lane, own, telegram } = await world(t)
  await lane.settle()
  lane.change({ story: [sampleEvent(1), pushed(2)] })
  await lane.step()
  telegram.faults.set({ kind: 'reset_after', match: 'sendMessage', times: 1 })
  assert.equal((await lane.step()).outcome, 'retry')
  lane.change({ state: 'acknowledged', story: [sampleEvent(1), pushed(2), sampleEvent(3)] })
  assert.equal((await lane.settle()).outcome, 'done')
  assert.equal(own().length, 2)
  assert.deepEqual((lane.state as { replies: number[] }).replies, [2])
  assert.match(own()[0]?.text ?? '', /Acknowledged/)
})

test('a lost answer to an edit is no reason to search', async (t) => {
  const { lane, own, telegram } = await world(t)
  await lane.settle()
  lane.change({ story: [sampleEvent(1), pushed(2)] })
  telegram.faults.set({ kind: 'reset_after', match: 'editMessageText', times: 1 })
  assert.equal((await lane.step()).outcome, 'retry')
  assert.equal((await lane.settle()).outcome, 'done')
  assert.equal(own().length, 2)
  // Twice: "message is not modified" is success.
  assert.equal(telegram.state.requests.filter((r) => r.name === 'editMessageText').length, 2)
})

test('nor is a lost edit between a change and its reply', async (t) => {
  const { lane, own, telegram } = await world(t)
  await lane.settle()
  lane.change({ story: [sampleEvent(1), pushed(2)] })
  assert.equal((await lane.step()).outcome, 'progress')
  lane.change({ state: 'acknowledged' })
  telegram.faults.set({ kind: 'reset', match: 'editMessageText', times: 1 })
  assert.equal((await lane.settle()).outcome, 'retry')
  assert.equal((await lane.settle()).outcome, 'done')
  assert.equal(own().length, 2)
  assert.equal(telegram.state.requests.filter((r) => r.name === 'editMessageText').length, 3)
})

test('markup that Telegram refuses is sent as text', async (t) => {
  const { lane, own, telegram } = await world(t)
  const body = { ok: false, error_code: 400, description: "Bad Request: can't parse entities: x" }
  telegram.faults.set({ kind: 'status', status: 400, times: 1, body })
  assert.equal((await lane.step()).outcome, 'done')
  assert.match(own()[0]?.text ?? '', /^🔴 P1/)
  assert.deepEqual(own()[0]?.entities, [])
})

type Row = [name: string, fault: FaultRule, expected: Partial<Extract<StepResult, { outcome: 'retry' | 'dead' }>>]
const refusal = (code: number, description: string): FaultRule => ({
  kind: 'status',
  status: code,
  body: { ok: false, error_code: code, description },
})
const ROWS: Row[] = [
  [
    '429',
    { kind: 'rate_limit', retryAfter: 7 },
    { outcome: 'retry', retryAfterMs: 7_000, inDoubt: false, scope: 'target' },
  ],
  ['401', refusal(401, 'Unauthorized'), { outcome: 'retry', retryAfterMs: 60_000, inDoubt: false, scope: 'lane' }],
  ['404', refusal(404, 'Not Found'), { outcome: 'retry', retryAfterMs: 60_000, inDoubt: false, scope: 'lane' }],
  ['500', { kind: 'status', status: 500 }, { outcome: 'retry', inDoubt: true, scope: 'target' }],
  ['502', { kind: 'html', status: 502 }, { outcome: 'retry', inDoubt: true }],
  ['a page instead of JSON', { kind: 'html' }, { outcome: 'retry', inDoubt: true }],
  [
    'ok without a message',
    { kind: 'status', status: 200, body: { ok: true, result: {} } },
    { outcome: 'retry', inDoubt: true },
  ],
  ['JSON of no form', { kind: 'status', status: 200, body: {} }, { outcome: 'retry', inDoubt: true }],
  ['null', { kind: 'status', status: 200, body: null }, { outcome: 'retry', inDoubt: true }],
  ['a reset', { kind: 'reset' }, { outcome: 'retry', inDoubt: true }],
  ['a lost answer', { kind: 'reset_after' }, { outcome: 'retry', inDoubt: true }],
  ['no answer', { kind: 'hang' }, { outcome: 'retry', inDoubt: true, retryAfterMs: 2_000 }],
  ...[
    'Bad Request: chat not found',
    'Bad Request: message thread not found',
    'Bad Request: not enough rights to send text messages to the chat',
    'Bad Request: TOPIC_CLOSED',
    'Bad Request: something new',
    'Bad Request: message is too long',
  ].map((d): Row => [d, refusal(400, d), { outcome: 'dead' }]),
  ...['Forbidden: bot was blocked by the user', 'Forbidden: bot was kicked from the group chat', 'Forbidden: x'].map(
    (d): Row => [d, refusal(403, d), { outcome: 'dead' }],
  ),
]

for (const [name, fault, expected] of ROWS) {
  test(`a failure is judged: ${name}`, async (t) => {
    const { lane, telegram, own } = await world(t, { timeoutMs: fault.kind === 'hang' ? 100 : 5_000 })
    telegram.faults.set(fault)
    const result = await lane.step()
    assert.deepEqual({ ...result, ...expected }, result)
    assertReason(result, [TOKEN, 'very-secret'])
    telegram.faults.reset()
    if (result.outcome !== 'retry') return
    assert.equal((await lane.settle()).outcome, 'done')
    assert.equal(own().length, 1, 'delivered once when the fault is over')
  })
}

test('a refused connection leaves no doubt', async (t) => {
  const { lane, server } = await world(t)
  await server.close()
  const result = await lane.step()
  assert.equal(result.outcome === 'retry' && result.reason, 'Telegram cannot be reached: ECONNREFUSED')
  assert.equal(result.outcome === 'retry' && result.inDoubt, false)
  assertReason(result, [TOKEN, 'very-secret'])
})

test('a wrong token waits for a right one and is never named', async (t) => {
  const { lane } = await world(t, { token: '900001:old-secret' })
  const result = await lane.step()
  assert.equal(result.outcome === 'retry' && result.scope, 'lane')
  assertReason(result, ['old-secret', TOKEN])
})

test('an aborted step ends at once and leaves a doubt', { timeout: 10_000 }, async (t) => {
  const { lane, telegram } = await world(t, { timeoutMs: 60_000 })
  telegram.faults.set({ kind: 'hang' })
  const abort = new AbortController()
  lane.signal = abort.signal
  const pending = lane.step()
  await telegram.state.waitFor((s) => s.requests.length === 1)
  abort.abort()
  const result = await pending
  assert.equal(result.outcome === 'retry' && result.inDoubt, true)
})

test('broken templates cost the looks, not the message', async (t) => {
  const { server, own } = await world(t)
  const broken = { render: () => assert.fail('broken') }
  const destination = closeAfter(t, createTelegramDestination({ token: TOKEN, apiRoot: server.url, renderer: broken }))
  const lane = new TestLane(destination, { chat: CHAT }, sampleView({ headline: 'P1 · <b>@all</b>' }))
  assert.equal((await lane.settle()).outcome, 'done')
  assert.match(own()[0]?.text ?? '', /^P1 · <b>＠all/)
})

const step = (seq: number, text = `o9: step ${seq}.`) => sampleEvent(seq, { kind: 'step', text })

test('progress is a silent reply, several lines at once, at most one in ten seconds', async (t) => {
  const { lane, own } = await world(t)
  await lane.settle()
  const story = [sampleEvent(1), step(2)]
  lane.change({ story })
  assert.equal((await lane.settle()).outcome, 'done')
  lane.now += 1_000
  lane.change({ story: [...story, step(3), step(4)] })
  const held = await lane.settle()
  assert.equal(held.outcome === 'later' && held.at, OPENED_AT + 11_000)
  assert.equal(own()[0]?.edits, 1, 'the message waits with it')
  lane.now = OPENED_AT + 11_000
  assert.equal((await lane.settle()).outcome, 'done')
  assert.deepEqual(
    own().map(({ silent, replyTo }) => [silent, replyTo]),
    [
      [false, null],
      [true, own()[0]?.id],
      [true, own()[0]?.id],
    ],
  )
  assert.match(own()[2]?.text ?? '', /step 3\.\n.*step 4\.$/)
})

test('a push rings although progress came before it; one that must wait lets the progress go ahead', async (t) => {
  const { lane, own } = await world(t)
  await lane.settle()
  const story = [sampleEvent(1), step(2), pushed(3)]
  lane.change({ story })
  assert.equal((await lane.settle()).outcome, 'done')
  assert.deepEqual([own().length, own()[1]?.silent], [2, false])
  assert.match(own()[1]?.text ?? '', /^Worse: also in C[\s\S]*step 2/)
  lane.now += 20_000
  lane.change({ story: [...story, step(4), pushed(5, 'o9 failed.')] })
  assert.equal((await lane.settle()).outcome, 'later')
  assert.deepEqual([own().length, own()[2]?.silent], [3, true])
  assert.doesNotMatch(own()[2]?.text ?? '', /failed/)
  lane.now += 60_000
  assert.equal((await lane.settle()).outcome, 'done')
  assert.deepEqual([own().length, own()[3]?.silent], [4, false])
  assert.match(own()[3]?.text ?? '', /^o9 failed/)
})

test('lost progress is found again, and a push that came meanwhile still rings', async (t) => {
  const { lane, own, telegram } = await world(t)
  await lane.settle()
  lane.change({ story: [sampleEvent(1), step(2)] })
  await lane.step()
  telegram.faults.set({ kind: 'reset_after', match: 'sendMessage', times: 1 })
  assert.equal((await lane.step()).outcome, 'retry')
  lane.change({ story: [sampleEvent(1), step(2), pushed(3)] })
  assert.equal((await lane.settle()).outcome, 'done')
  assert.deepEqual(
    own().map(({ silent }) => silent),
    [false, true, false],
  )
  assert.match(own()[1]?.text ?? '', /step 2/)
  assert.doesNotMatch(own()[1]?.text ?? '', /also in C/)
  assert.match(own()[2]?.text ?? '', /^Worse: also in C/)
})
