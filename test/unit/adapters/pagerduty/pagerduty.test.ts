import assert from 'node:assert/strict'
import type http from 'node:http'
import { type TestContext, test } from 'node:test'
import { createPagerDutyDestination } from '../../../../src/adapters/pagerduty/pagerduty.ts'
import type { Destination, Renderer, StepResult } from '../../../../src/core/delivery.ts'
import { ClawError } from '../../../../src/core/errors.ts'
import { listen } from '../../../../src/sandbox/listen.ts'
import { createFakePagerDuty } from '../../../../src/sandbox/pagerduty.ts'
import { incidentView, NOW, page, stepInput } from '../sample.ts'
import { deadAddress, json, type Seen, serve } from '../serve.ts'

const KEY = 'R0123456789012345678901234567890'
const renderer: Renderer = { render: (name) => name }

function destination(t: TestContext, eventsUrl: string, timeoutMs = 5_000): Destination {
  const made = createPagerDutyDestination({ routingKeys: new Map([['critical', KEY]]), eventsUrl, renderer, timeoutMs })
  t.after(() => made.close())
  return made
}

const accept = (response: http.ServerResponse) =>
  json(response, 202, { status: 'success', message: 'Event processed', dedup_key: 'x' })

const actions = (seen: Seen[]) =>
  seen.map(({ body }) => {
    const { event_action, dedup_key } = JSON.parse(body)
    return `${event_action} ${dedup_key}`
  })

/** Takes steps until one is not `progress`. */
async function run(made: Destination, fields: Parameters<typeof stepInput>[0]): Promise<StepResult[]> {
  const results: StepResult[] = []
  let state = fields?.state ?? null
  for (;;) {
    const result = await made.step(stepInput({ ...fields, state }))
    results.push(result)
    if (result.outcome !== 'progress') return results
    state = result.state
  }
}

test('a page travels to /v2/enqueue below the path prefix of events_url', async (t) => {
  const server = await serve(t, accept)
  const made = destination(t, `${server.url}/sandbox/pagerduty/`)
  const result = await made.step(stepInput())
  assert.equal(result.outcome, 'done')
  assert.equal(result.outcome === 'done' && result.reference, 'claw/prod/12')
  const [seen] = server.seen
  assert.equal(seen?.method, 'POST')
  assert.equal(seen?.url, '/sandbox/pagerduty/v2/enqueue')
  assert.match(seen?.headers['content-type'] ?? '', /^application\/json/)
  assert.equal(seen?.headers.authorization, undefined)
  const event = JSON.parse(seen?.body ?? '')
  assert.equal(event.routing_key, KEY)
  assert.equal(event.payload.summary, 'pagerduty/summary')
  assert.equal(event.payload.custom_details.description, 'pagerduty/description')
})

test('one event per step, until every page is as wanted; then nothing more is sent', async (t) => {
  const server = await serve(t, accept)
  const made = destination(t, server.url)
  const incident = incidentView({ pages: [page({ state: 'acknowledged' }), page({ key: '1' })] })
  const results = await run(made, { incident })
  assert.deepEqual(
    results.map(({ outcome }) => outcome),
    ['progress', 'progress', 'done'],
  )
  assert.deepEqual(actions(server.seen), ['trigger claw/prod/12', 'acknowledge claw/prod/12', 'trigger claw/prod/12/1'])
  const last = results.at(-1)
  const state = last?.outcome === 'done' ? last.state : null
  assert.deepEqual(await made.step(stepInput({ incident, state })), last)
  assert.equal(server.seen.length, 3)

  const over = incidentView({ pages: incident.pages.map((one) => ({ ...one, state: 'resolved' as const })) })
  await run(made, { incident: over, state })
  assert.deepEqual(actions(server.seen).slice(3), ['resolve claw/prod/12', 'resolve claw/prod/12/1'])
})

test('connections are used again', async (t) => {
  const server = await serve(t, accept)
  const made = destination(t, server.url)
  for (let revision = 1; revision <= 5; revision += 1) {
    await made.step(stepInput({ incident: incidentView({ pages: [page({ revision })] }) }))
  }
  assert.equal(server.seen.length, 5)
  assert.ok(server.connections() < 5, `${server.connections()} connections for 5 events`)
})

test('a trigger in doubt is repeated; one whose page is over by now is resolved', async (t) => {
  const server = await serve(t, accept)
  const made = destination(t, server.url)
  await made.step(stepInput({ inDoubt: true }))
  await made.step(stepInput({ inDoubt: true, incident: incidentView({ pages: [page({ state: 'resolved' })] }) }))
  await made.step(stepInput({ inDoubt: false, incident: incidentView({ pages: [page({ state: 'resolved' })] }) }))
  assert.deepEqual(actions(server.seen), ['trigger claw/prod/12', 'resolve claw/prod/12'])
})

test('nothing to page is done without a request', async (t) => {
  const server = await serve(t, accept)
  const result = await destination(t, server.url).step(stepInput({ incident: incidentView({ pages: [] }) }))
  assert.deepEqual(result, { outcome: 'done', state: { sent: {} }, reference: null })
  assert.equal(server.seen.length, 0)
})

test('a target without a key is a dead letter that says what to do', async (t) => {
  const server = await serve(t, accept)
  const result = await destination(t, server.url).step(stepInput({ target: 'gone' }))
  assert.equal(result.outcome, 'dead')
  assert.match(result.outcome === 'dead' ? result.reason : '', /"gone".*pagerduty\.routing_key/)
  assert.equal(server.seen.length, 0)
})

type Expected = Partial<Extract<StepResult, { outcome: 'retry' }>> | { outcome: 'done' } | { outcome: 'dead' }
const refused = { status: 'invalid event', message: 'Event object is invalid', errors: [`'routing_key' ${KEY} is bad`] }
const statuses: {
  status: number
  headers?: http.OutgoingHttpHeaders
  body?: string
  expected: Expected
  says?: RegExp
}[] = [
  { status: 202, body: '<html>fine</html>', expected: { outcome: 'done' } },
  { status: 202, body: '', expected: { outcome: 'done' } },
  { status: 200, body: '{}', expected: { outcome: 'done' } },
  {
    status: 200,
    headers: { 'Content-Type': 'text/html' },
    body: '<html>sign in</html>',
    expected: { outcome: 'retry', inDoubt: true },
    says: /events_url/,
  },
  {
    status: 400,
    body: JSON.stringify(refused),
    expected: { outcome: 'dead' },
    says: /400.*'routing_key' \[routing key\] is bad/,
  },
  { status: 400, body: `<b>${KEY}</b>`, expected: { outcome: 'dead' }, says: /400/ },
  { status: 413, body: '', expected: { outcome: 'dead' }, says: /413/ },
  { status: 401, body: '{}', expected: { outcome: 'retry', retryAfterMs: 60_000, scope: 'lane', inDoubt: false } },
  { status: 403, body: JSON.stringify(refused), expected: { outcome: 'retry', retryAfterMs: 60_000, scope: 'lane' } },
  {
    status: 404,
    body: 'nothing',
    expected: { outcome: 'retry', retryAfterMs: 60_000, scope: 'lane' },
    says: /events_url/,
  },
  {
    status: 307,
    headers: { Location: '/elsewhere' },
    expected: { outcome: 'retry', scope: 'lane' },
    says: /events_url/,
  },
  { status: 408, expected: { outcome: 'retry', inDoubt: true } },
  { status: 429, expected: { outcome: 'retry', retryAfterMs: 10_000, scope: 'target', inDoubt: false } },
  {
    status: 429,
    headers: { 'Retry-After': '7' },
    expected: { outcome: 'retry', retryAfterMs: 7_000, scope: 'target' },
  },
  { status: 429, body: KEY.repeat(10_000), expected: { outcome: 'retry', retryAfterMs: 10_000 } },
  { status: 500, body: '{"error":"x"}', expected: { outcome: 'retry', retryAfterMs: null, inDoubt: true } },
  {
    status: 503,
    headers: { 'Retry-After': '3' },
    body: 'x',
    expected: { outcome: 'retry', retryAfterMs: 3_000, inDoubt: true },
  },
]

for (const { status, headers = {}, body = '', expected, says = /./ } of statuses) {
  test(`answer ${status} ${JSON.stringify(headers)} "${body.slice(0, 12)}": ${expected.outcome}`, async (t) => {
    const server = await serve(t, (response) => {
      response.writeHead(status, headers)
      response.end(body)
    })
    const result = await destination(t, server.url).step(stepInput())
    for (const [name, value] of Object.entries(expected)) {
      assert.deepEqual(result[name as keyof StepResult], value, name)
    }
    if ('reason' in result) assert.match(result.reason, says)
    assert.ok(!JSON.stringify(result).includes(KEY), 'the routing key leaked')
    assert.equal(server.seen.length, 1)
  })
}

for (const status of [429, 307]) {
  test(`pdjs does nothing more after a ${status}: every later request is ours, and no timer of its stays`, async (t) => {
    const server = await serve(t, (response, { body }) => {
      if (body.includes('claw/prod/12"')) json(response, status, {}, { Location: '/elsewhere' })
      else accept(response)
    })
    const made = destination(t, server.url)
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const before = timers()
    assert.equal((await made.step(stepInput())).outcome, 'retry')
    // many round trips, so that whatever pdjs would send next is among them
    const others = Array.from({ length: 100 }, (_, n) => `${n + 100}`)
    for (const id of others) {
      assert.equal((await made.step(stepInput({ incident: incidentView({ id }) }))).outcome, 'done')
    }
    assert.deepEqual(
      actions(server.seen),
      ['12', ...others].map((id) => `trigger claw/prod/${id}`),
    )
    // the deadline of the last event may stand until its body is read
    assert.ok(timers() - before <= 1, `${timers() - before} timers left`)
  })
}

test('a server that never answers: in doubt after the time-out', async (t) => {
  const server = await serve(t, () => {})
  const result = await destination(t, server.url, 40).step(stepInput())
  const reason = 'PagerDuty: no answer within 40 ms'
  assert.deepEqual(result, { outcome: 'retry', reason, retryAfterMs: null, inDoubt: true, scope: 'target' })
})

test('an answer whose body never ends: its status counts', async (t) => {
  for (const [status, outcome] of [
    [202, 'done'],
    [400, 'dead'],
  ] as const) {
    const server = await serve(t, (response) => {
      response.writeHead(status, { 'Content-Type': 'application/json' })
      response.write('{')
    })
    assert.equal((await destination(t, server.url, 40).step(stepInput())).outcome, outcome)
  }
})

test('refused, reset and stopped connections', async (t) => {
  const dead = await destination(t, await deadAddress()).step(stepInput())
  assert.deepEqual(dead, {
    outcome: 'retry',
    reason: 'PagerDuty: connection refused',
    retryAfterMs: null,
    inDoubt: false,
    scope: 'target',
  })
  const server = await serve(t, (response) => response.socket?.resetAndDestroy())
  const reset = await destination(t, server.url).step(stepInput())
  assert.equal(reset.outcome === 'retry' && reset.inDoubt, true)
  assert.match('reason' in reset ? reset.reason : '', /connection reset/)
  const stopped = await destination(t, server.url).step(stepInput({ signal: AbortSignal.abort() }))
  assert.equal(stopped.outcome === 'retry' && stopped.inDoubt, false)
})

test('stopped while waiting for the answer: in doubt', async (t) => {
  const stop = new AbortController()
  const server = await serve(t, () => stop.abort())
  const result = await destination(t, server.url).step(stepInput({ signal: stop.signal }))
  assert.equal(result.outcome === 'retry' && result.inDoubt, true)
})

test('https goes to TLS: a server without it is told apart', async (t) => {
  const server = await serve(t, accept)
  const result = await destination(t, server.url.replace('http:', 'https:')).step(stepInput())
  assert.match('reason' in result ? result.reason : '', /TLS handshake failed/)
  assert.equal(server.seen.length, 0)
})

test('an events_url that is none is refused at once', () => {
  for (const eventsUrl of ['', 'events', 'ftp://x/', 'javascript:1']) {
    assert.throws(() => createPagerDutyDestination({ routingKeys: new Map(), eventsUrl, renderer }), ClawError)
  }
})

test('a strict PagerDuty takes all of it, and its faults page nobody twice', async (t) => {
  const fake = createFakePagerDuty({ clock: () => NOW })
  const server = await listen(fake.router)
  t.after(async () => {
    fake.reset()
    await server.close()
  })
  const made = destination(t, server.url, 100)
  const kinds = ['status', 'rate_limit', 'reset', 'reset_after', 'hang', 'html'] as const
  let state: StepResult | null = null
  for (const kind of kinds) {
    fake.faults.set({ kind, times: 1 })
    state = await made.step(stepInput({ inDoubt: state?.outcome === 'retry' && state.inDoubt }))
    assert.equal(state.outcome, 'retry', kind)
  }
  const hostile = incidentView({
    what: '\u0000\ud800',
    headline: '\u0000\ud800',
    regions: ['\u0000'],
    key: { service: '\ud800'.repeat(20_000) },
    pages: [page({ revision: 2, state: 'acknowledged' }), page({ key: '1' })],
  })
  const shown = await run(made, { incident: hostile })
  assert.equal(shown.at(-1)?.outcome, 'done')
  assert.deepEqual(
    fake.state.pages.map((woken) => woken.dedup_key),
    ['claw/prod/12', 'claw/prod/12/1'],
  )
  assert.deepEqual(
    fake.state.incidents.map((one) => [one.incident_key, one.status]),
    [
      ['claw/prod/12', 'acknowledged'],
      ['claw/prod/12/1', 'triggered'],
    ],
  )
})
