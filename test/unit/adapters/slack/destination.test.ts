import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createSlackDestination } from '../../../../src/adapters/slack/destination.ts'
import type { StepResult } from '../../../../src/core/delivery.ts'
import type { FaultRule } from '../../../../src/sandbox/faults.ts'
import { listen } from '../../../../src/sandbox/listen.ts'
import { createFakeSlack } from '../../../../src/sandbox/slack.ts'
import { assertReason, closeAfter, renderer, TestLane } from '../../../fixtures/step.ts'
import { OPENED_AT, sampleEvent, sampleView } from '../../../fixtures/view.ts'

const TOKEN = 'xoxb-very-secret'
const CHANNEL = 'C0CRITICAL'

async function world(t: TestContext, options: { timeoutMs?: number; token?: string; settings?: object } = {}) {
  const clock = { now: OPENED_AT }
  const slack = createFakeSlack({ clock: () => clock.now, token: TOKEN })
  const server = closeAfter(t, await listen(slack.router))
  const destination = createSlackDestination({
    token: options.token ?? TOKEN,
    apiUrl: `${server.url}/api/`,
    renderer,
    timeoutMs: options.timeoutMs ?? 5_000,
  })
  closeAfter(t, destination)
  const lane = new TestLane(destination, { channel: CHANNEL, ...options.settings }, sampleView())
  const top = () => slack.state.inChannel(CHANNEL).filter((m) => m.threadTs === null)
  const replies = () => slack.state.replies(CHANNEL, lane.reference ?? '')
  const names = () => slack.state.requests.map((r) => r.name)
  return { slack, server, lane, top, replies, names }
}

const refusal = (error: string): FaultRule => ({ kind: 'status', status: 200, body: { ok: false, error } })
const pushed = (seq: number, text = 'Worse: also in C.') => sampleEvent(seq, { kind: 'worsened', text, push: true })

test('an incident is one message: text for the lock screen, metadata to find it again', async (t) => {
  const { lane, top, slack } = await world(t)
  assert.equal((await lane.step()).outcome, 'done')
  const [message] = top()
  assert.equal(top().length, 1)
  assert.equal(message?.text, '🔴 P1 · Bucket empty in A and B · 4 % left, falling · rating-api')
  assert.equal(lane.reference, message?.ts)
  assert.deepEqual(message?.metadata, {
    event_type: 'claw_incident',
    event_payload: { installation: 'test', incident: '12', version: 1, upto: 1, part: 'message' },
  })
  const body = slack.state.requests[0]?.body as Record<string, unknown>
  assert.equal(body.unfurl_links, 'false')
  assert.equal((await lane.step()).outcome, 'done')
  assert.equal(slack.state.requests.length, 1, 'what is shown already costs no request')
})

test('a change edits the message in place, its story goes into the thread as one reply', async (t) => {
  const { lane, top, replies } = await world(t)
  await lane.settle()
  lane.change({ state: 'acknowledged', story: [sampleEvent(1), sampleEvent(2), pushed(3)] })
  assert.equal((await lane.step()).outcome, 'progress')
  assert.equal(top()[0]?.edits, 1)
  assert.equal(replies().length, 0)
  assert.equal((await lane.step()).outcome, 'done')
  assert.equal(replies().length, 1)
  const text = JSON.stringify(replies()[0]?.blocks)
  assert.match(text, /One more alert/)
  assert.match(text, /Worse: also in C/)
  assert.doesNotMatch(text, /Opened as P1/, 'the message itself tells of the opening')
  assert.match(replies()[0]?.text ?? '', /^Worse: also in C\. · P1 · Bucket empty/)
  assert.equal(replies()[0]?.broadcast, false)
})

test('pushes are at most one a minute, and ride together', async (t) => {
  const { lane, replies } = await world(t)
  lane.change({ story: [sampleEvent(1)] })
  await lane.settle()
  lane.change({ story: [sampleEvent(1), pushed(2)] })
  await lane.settle()
  lane.change({ story: [sampleEvent(1), pushed(2), pushed(3, 'Worse: also in D.'), pushed(4, 'Worse: also in E.')] })
  lane.now += 20_000
  const result = await lane.settle()
  assert.equal(result.outcome, 'later')
  assert.equal((result as { at: number }).at, OPENED_AT + 61_000)
  assert.equal(replies().length, 1)
  lane.now = OPENED_AT + 61_000
  assert.equal((await lane.settle()).outcome, 'done')
  assert.equal(replies().length, 2)
  assert.match(JSON.stringify(replies()[1]?.blocks), /also in D.*also in E/)
})

test('a quiet line waits its minute, a push does not wait for a quiet line', async (t) => {
  const { lane, replies } = await world(t)
  await lane.settle()
  const story = [sampleEvent(1), sampleEvent(2)]
  lane.change({ story })
  assert.equal((await lane.settle()).outcome, 'done')
  lane.change({ story: [...story, sampleEvent(3)] })
  assert.equal((await lane.settle()).outcome, 'later')
  lane.change({ story: [...story, sampleEvent(3), pushed(4)] })
  assert.equal((await lane.settle()).outcome, 'done')
  assert.equal(replies().length, 2)
})

test('only a P1 mentions, only whom the receiver names, and no one when it is over or told before', async (t) => {
  const { lane, top, replies } = await world(t, { settings: { mention: '<!subteam^S012>' } })
  lane.change({ level: 'P2' })
  await lane.settle()
  assert.doesNotMatch(JSON.stringify(top()), /subteam/)
  lane.change({ level: 'P1', story: [sampleEvent(1), pushed(2)] })
  await lane.settle()
  assert.match(replies()[0]?.text ?? '', /^<!subteam\^S012> Worse/)
  lane.now += 60_000
  lane.change({
    state: 'resolved',
    story: [...lane.incident.story, sampleEvent(3, { kind: 'resolved', text: 'All alerts are resolved.', push: true })],
  })
  await lane.settle()
  assert.doesNotMatch(JSON.stringify(replies()[1]), /subteam/)
  const late = await world(t, { settings: { mention: '<!here>' } })
  late.lane.change({ story: [sampleEvent(1), pushed(2)] })
  await late.lane.settle()
  assert.match(late.top()[0]?.text ?? '', /^<!here> /)
  assert.doesNotMatch(JSON.stringify(late.replies()), /!here/)
  const silent = await world(t, { settings: { mention: '<!here>', notify: false } })
  await silent.lane.settle()
  assert.doesNotMatch(JSON.stringify(silent.top()), /!here/)
})

test('settings that make no sense are dead at once, nothing is asked of Slack', async (t) => {
  for (const settings of [{ channel: '' }, { mention: '@everyone' }, { mention: '<!here> <!channel>' }]) {
    const { lane, slack } = await world(t, { settings })
    assert.equal((await lane.step()).outcome, 'dead')
    assert.equal(slack.state.requests.length, 0)
  }
})

test('a message that somebody deleted is posted anew, its story is not told again', async (t) => {
  const { lane, top, slack, replies } = await world(t)
  await lane.settle()
  const [first] = top()
  assert.ok(first)
  slack.state.remove(first)
  lane.change({ story: [sampleEvent(1), pushed(2)] })
  const gone = await lane.step()
  assert.deepEqual([gone.outcome, gone.outcome === 'progress' && gone.reference], ['progress', null])
  await lane.settle()
  assert.equal(top().length, 1)
  assert.notEqual(top()[0]?.ts, first.ts)
  assert.equal(replies().length, 1, 'only what was not told yet')
})

for (const lost of ['chat.postMessage', 'chat.update'] as const) {
  test(`a lost answer to ${lost} leaves one message and one reply`, async (t) => {
    const { lane, top, replies, slack } = await world(t)
    slack.faults.set({ kind: 'reset_after', match: lost, times: 1 })
    for (let i = 0; i < 3; i++) await lane.settle()
    lane.change({ story: [sampleEvent(1), pushed(2)] })
    slack.faults.set({ kind: 'reset_after', match: lost, times: 1 })
    for (let i = 0; i < 3; i++) await lane.settle()
    assert.equal((await lane.settle()).outcome, 'done')
    assert.equal(top().length, 1)
    assert.equal(replies().length, 1)
    assert.match(JSON.stringify(top()[0]?.metadata), /"version":2/)
  })
}

test('a lost reply is found also when the incident changed since', async (t) => {
  const { lane, replies, slack, top } = await world(t)
  await lane.settle()
  lane.change({ story: [sampleEvent(1), pushed(2)] })
  await lane.step()
  slack.faults.set({ kind: 'reset_after', match: 'chat.postMessage', times: 1 })
  assert.equal((await lane.step()).outcome, 'retry')
  lane.change({ state: 'acknowledged' })
  // Found nothing visible to do yet fails: the doubt must outlive it.
  slack.faults.set({ ...refusal('service_unavailable'), match: 'conversations.replies', times: 1 })
  assert.equal((await lane.step()).outcome, 'retry')
  assert.ok(lane.inDoubt)
  assert.equal((await lane.settle()).outcome, 'done')
  assert.equal(replies().length, 1)
  assert.equal(top()[0]?.edits, 2)
})

test('a message of another incident, installation or person is never adopted', async (t) => {
  const { lane, top, slack } = await world(t)
  const other = new TestLane(lane.destination, lane.settings, sampleView({ id: '13' }))
  await other.settle()
  await other.step({ state: null, installation: 'elsewhere', incident: sampleView() })
  slack.state.userSays(CHANNEL, 'U1', 'claw_incident 12')
  lane.inDoubt = true
  await lane.settle()
  assert.equal(top().filter((m) => m.own).length, 3)
})

test('a lost message is found on a later page', async (t) => {
  const { lane, top, slack } = await world(t)
  slack.faults.set({ kind: 'reset_after', match: 'chat.postMessage', times: 1 })
  await lane.step()
  for (let i = 0; i < 250; i++) slack.state.userSays(CHANNEL, 'U1', `chat ${i}`)
  await lane.settle()
  assert.equal(top().filter((m) => m.own).length, 1)
})

test('without the right to look, a message is posted rather than lost', async (t) => {
  const { lane, top, slack } = await world(t)
  slack.faults.set({
    kind: 'status',
    status: 200,
    match: 'conversations.history',
    body: { ok: false, error: 'missing_scope' },
  })
  lane.inDoubt = true
  assert.equal((await lane.settle()).outcome, 'done')
  assert.equal(top().length, 1)
})

test('blocks that Slack refuses are sent as text', async (t) => {
  const { lane, top, slack } = await world(t)
  slack.faults.set({ kind: 'status', status: 200, times: 1, body: { ok: false, error: 'invalid_blocks' } })
  assert.equal((await lane.step()).outcome, 'done')
  assert.match(top()[0]?.text ?? '', /P1 · Bucket empty[\s\S]*Next:/)
  slack.faults.set({
    kind: 'status',
    status: 200,
    times: 1,
    match: 'chat.update',
    body: { ok: false, error: 'msg_blocks_too_long' },
  })
  lane.change({})
  assert.equal((await lane.step()).outcome, 'done')
  slack.faults.set({ kind: 'status', status: 200, times: 2, body: { ok: false, error: 'msg_too_long' } })
  lane.change({})
  assert.equal((await lane.step()).outcome, 'dead')
})

test('a limit on edits holds edits only, and asks nothing while it lasts', async (t) => {
  const { lane, slack, top } = await world(t)
  await lane.settle()
  slack.faults.set({ kind: 'rate_limit', match: 'chat.update', retryAfter: 30, times: 1 })
  lane.change({})
  const limited = await lane.step()
  assert.deepEqual(limited, {
    outcome: 'retry',
    reason: 'Slack limits the rate',
    retryAfterMs: 30_000,
    inDoubt: false,
    scope: 'target',
  })
  const requests = slack.state.requests.length
  const later = await lane.step()
  assert.equal(later.outcome === 'later' && later.at, lane.now + 30_000)
  assert.equal(slack.state.requests.length, requests)
  const other = new TestLane(lane.destination, lane.settings, sampleView({ id: '13' }))
  assert.equal((await other.settle()).outcome, 'done')
  lane.now += 30_000
  assert.equal((await lane.step()).outcome, 'done')
  assert.equal(top()[0]?.edits, 1)
})

type Row = [name: string, fault: FaultRule, expected: Partial<Extract<StepResult, { outcome: 'retry' | 'dead' }>>]
const ROWS: Row[] = [
  [
    '429',
    { kind: 'rate_limit', retryAfter: 7 },
    { outcome: 'retry', retryAfterMs: 7_000, inDoubt: false, scope: 'lane' },
  ],
  [
    '429 without Retry-After',
    { kind: 'status', status: 429, body: {} },
    { outcome: 'retry', inDoubt: false, scope: 'lane' },
  ],
  ['ratelimited in a 200', refusal('ratelimited'), { outcome: 'retry', inDoubt: false, scope: 'lane' }],
  ['500', { kind: 'status', status: 500 }, { outcome: 'retry', inDoubt: true, scope: 'target' }],
  ['502', { kind: 'html', status: 502 }, { outcome: 'retry', inDoubt: true }],
  ['503', { kind: 'status', status: 503 }, { outcome: 'retry', inDoubt: true }],
  [
    '403 of a proxy',
    { kind: 'html', status: 403 },
    { outcome: 'retry', inDoubt: false, scope: 'lane', retryAfterMs: 60_000 },
  ],
  ['404', { kind: 'status', status: 404 }, { outcome: 'retry', inDoubt: false, scope: 'lane' }],
  ['a page instead of JSON', { kind: 'html' }, { outcome: 'retry', inDoubt: true }],
  ['JSON of no form', { kind: 'status', status: 200, body: {} }, { outcome: 'retry', inDoubt: true }],
  ['ok without ts', { kind: 'status', status: 200, body: { ok: true } }, { outcome: 'retry', inDoubt: true }],
  ['null', { kind: 'status', status: 200, body: null }, { outcome: 'retry', inDoubt: true }],
  ['a reset', { kind: 'reset' }, { outcome: 'retry', inDoubt: true }],
  ['a lost answer', { kind: 'reset_after' }, { outcome: 'retry', inDoubt: true }],
  ['no answer', { kind: 'hang' }, { outcome: 'retry', inDoubt: true, retryAfterMs: 2_000 }],
  ...['internal_error', 'fatal_error'].map((e): Row => [e, refusal(e), { outcome: 'retry', inDoubt: true }]),
  ...['service_unavailable', 'request_timeout', 'something_new'].map(
    (e): Row => [e, refusal(e), { outcome: 'retry', inDoubt: false, scope: 'target' }],
  ),
  ...['invalid_auth', 'token_revoked', 'token_expired', 'account_inactive', 'not_authed', 'missing_scope'].map(
    (e): Row => [e, refusal(e), { outcome: 'retry', inDoubt: false, scope: 'lane', retryAfterMs: 60_000 }],
  ),
  ...['channel_not_found', 'not_in_channel', 'is_archived', 'restricted_action', 'invalid_blocks', 'msg_too_long'].map(
    (e): Row => [e, refusal(e), { outcome: 'dead' }],
  ),
]

for (const [name, fault, expected] of ROWS) {
  test(`a failure is judged: ${name}`, async (t) => {
    const { lane, slack, top } = await world(t, { timeoutMs: fault.kind === 'hang' ? 100 : 5_000 })
    slack.faults.set(fault)
    const result = await lane.step()
    assert.deepEqual({ ...result, ...expected }, result)
    assertReason(result, [TOKEN])
    slack.faults.reset()
    if (result.outcome !== 'retry') return
    assert.equal((await lane.settle()).outcome, 'done')
    assert.equal(top().length, 1, 'delivered once when the fault is over')
  })
}

test('a refused connection leaves no doubt', async (t) => {
  const { lane, server } = await world(t)
  await server.close()
  const result = await lane.step()
  assert.deepEqual(result, {
    outcome: 'retry',
    reason: 'Slack cannot be reached: ECONNREFUSED',
    retryAfterMs: null,
    inDoubt: false,
    scope: 'target',
  })
})

test('a wrong token waits for a right one; the reason says what to do', async (t) => {
  const { lane } = await world(t, { token: 'xoxb-old-secret' })
  const result = await lane.step()
  assert.match(result.outcome === 'retry' ? result.reason : '', /invalid_auth.*slack\.bot_token/)
  assertReason(result, ['xoxb-old-secret', TOKEN])
})

test('the advice names the command that helps', async (t) => {
  const { lane, slack } = await world(t)
  slack.state.addChannel(CHANNEL, { member: false })
  const result = await lane.step()
  assert.match(result.outcome === 'dead' ? result.reason : '', /\/invite @claw/)
})

test('an aborted step ends at once and leaves a doubt', { timeout: 10_000 }, async (t) => {
  const { lane, slack } = await world(t, { timeoutMs: 60_000 })
  slack.faults.set({ kind: 'hang' })
  const abort = new AbortController()
  lane.signal = abort.signal
  const pending = lane.step()
  await slack.state.waitFor((s) => s.requests.length === 1)
  abort.abort()
  const result = await pending
  assert.equal(result.outcome === 'retry' && result.inDoubt, true)
})

test('broken templates cost the looks, not the message', async (t) => {
  const { server, top } = await world(t)
  const broken = { render: () => assert.fail('broken') }
  const destination = createSlackDestination({ token: TOKEN, apiUrl: `${server.url}/api`, renderer: broken })
  const lane = new TestLane(destination, { channel: CHANNEL }, sampleView({ headline: 'P1 · <!channel> *x*' }))
  lane.change({ story: [sampleEvent(1), pushed(2)] })
  assert.equal((await lane.settle()).outcome, 'done')
  assert.doesNotMatch(JSON.stringify(top()), /<!/)
  assert.match(top()[0]?.text ?? '', /P1/)
})

const step = (seq: number, text = `o9: step ${seq}.`) => sampleEvent(seq, { kind: 'step', text })

test('progress goes into the thread within seconds, several lines at once, and mentions nobody', async (t) => {
  const { lane, top, replies } = await world(t, { settings: { mention: '<!here>' } })
  await lane.settle()
  const story = [sampleEvent(1), step(2)]
  lane.change({ story })
  assert.equal((await lane.settle()).outcome, 'done')
  lane.now += 1_000
  lane.change({ story: [...story, step(3)] })
  const held = await lane.settle()
  assert.equal(held.outcome === 'later' && held.at, OPENED_AT + 6_000)
  assert.equal(top()[0]?.edits, 1, 'the message waits with it')
  lane.change({ story: [...story, step(3), step(4)] })
  lane.now = OPENED_AT + 6_000
  assert.equal((await lane.settle()).outcome, 'done')
  assert.equal(replies().length, 2)
  assert.match(JSON.stringify(replies()[1]?.blocks), /step 3[\s\S]*step 4/)
  assert.ok(replies().every(({ broadcast, text }) => !broadcast && !text.includes('!here')))
  assert.equal(top()[0]?.edits, 2)
})

test('a push that must wait holds up no progress before it, and tells its own line later', async (t) => {
  const { lane, replies } = await world(t)
  await lane.settle()
  lane.change({ story: [sampleEvent(1), pushed(2)] })
  await lane.settle()
  lane.now += 10_000
  const story = [sampleEvent(1), pushed(2), step(3), pushed(4, 'o9 failed.'), step(5)]
  lane.change({ story })
  assert.equal((await lane.settle()).outcome, 'later')
  assert.equal(replies().length, 2)
  assert.doesNotMatch(JSON.stringify(replies()[1]?.blocks), /failed/)
  lane.now += 60_000
  assert.equal((await lane.settle()).outcome, 'done')
  assert.match(JSON.stringify(replies()[2]?.blocks), /o9 failed[\s\S]*step 5/)
})

test('lost progress is found again by its metadata', async (t) => {
  const { lane, replies, slack } = await world(t)
  await lane.settle()
  lane.change({ story: [sampleEvent(1), step(2)] })
  await lane.step()
  slack.faults.set({ kind: 'reset_after', match: 'chat.postMessage', times: 1 })
  assert.equal((await lane.step()).outcome, 'retry')
  lane.change({ story: [sampleEvent(1), step(2), step(3)] })
  lane.now += 10_000
  await lane.settle()
  lane.now += 10_000
  assert.equal((await lane.settle()).outcome, 'done')
  assert.equal(replies().filter(({ blocks }) => JSON.stringify(blocks).includes('step 2')).length, 1)
  assert.equal(replies().length, 2)
})
