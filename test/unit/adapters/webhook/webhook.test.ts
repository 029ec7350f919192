import assert from 'node:assert/strict'
import type http from 'node:http'
import { type TestContext, test } from 'node:test'
import { createWebhookDestination, type WebhookOptions } from '../../../../src/adapters/webhook/webhook.ts'
import type { StepResult } from '../../../../src/core/delivery.ts'
import { ClawError } from '../../../../src/core/errors.ts'
import { incidentView, NOW, stepInput } from '../sample.ts'
import { deadAddress, serve } from '../serve.ts'

const TOKEN = 'token-secret'

function destination(t: TestContext, url: string, fields: Partial<WebhookOptions> = {}) {
  const made = createWebhookDestination({ lane: 'webhook:ops', url, token: TOKEN, ...fields })
  t.after(() => made.close())
  return made
}

test('the body is the incident in the words of the HTTP API', async (t) => {
  const server = await serve(t, (response) => response.end())
  const result = await destination(t, `${server.url}/hook/path-secret?k=1`).step(stepInput())
  assert.deepEqual(result, { outcome: 'done', state: null, reference: null })
  const [seen] = server.seen
  assert.equal(`${seen?.method} ${seen?.url}`, 'POST /hook/path-secret?k=1')
  assert.equal(seen?.headers.authorization, `Bearer ${TOKEN}`)
  assert.equal(seen?.headers['idempotency-key'], 'prod-12-3')
  assert.equal(seen?.headers['content-type'], 'application/json; charset=utf-8')
  const { version, event, incident } = JSON.parse(seen?.body ?? '')
  assert.deepEqual([version, event], ['1', 'incident'])
  assert.equal(incident.level_reason, 'severity="critical"')
  assert.equal(incident.title, 'Bucket empty in A and B')
  assert.equal(incident.opened_at, '2026-05-04T02:17:00.000Z')
  assert.equal(incident.resolved_at, null)
  assert.equal(incident.alert_count, 2)
  assert.deepEqual(Object.keys(incident.alerts[0]), [
    'fingerprint',
    'name',
    'state',
    'level',
    'region',
    'labels',
    'annotations',
    'starts_at',
    'ends_at',
    'times_seen',
  ])
  assert.ok(!('pages' in incident) && !('story' in incident), 'bookkeeping stays inside')
})

test('without a token there is no authorization', async (t) => {
  const server = await serve(t, (response) => response.end())
  const made = createWebhookDestination({ lane: 'webhook:ops', url: server.url })
  t.after(() => made.close())
  await made.step(stepInput())
  assert.equal(server.seen[0]?.headers.authorization, undefined)
})

test('hostile text is sent as valid JSON, and the key as a valid header', async (t) => {
  const server = await serve(t, (response) => response.end())
  const incident = incidentView({ what: '\u0000\ud800"</script>', openedAt: Number.MAX_VALUE })
  assert.equal(
    (await destination(t, server.url).step(stepInput({ incident, installation: 'é\r\nX: 1' }))).outcome,
    'done',
  )
  const [seen] = server.seen
  assert.equal(JSON.parse(seen?.body ?? '').incident.title, '\u0000\ud800"</script>')
  assert.equal(JSON.parse(seen?.body ?? '').incident.opened_at, null)
  assert.equal(seen?.headers['idempotency-key'], '%C3%A9%0D%0AX%3A%201-12-3')
})

type Expected = Partial<Extract<StepResult, { outcome: 'retry' }>> | { outcome: 'done' } | { outcome: 'dead' }
const inHalfAMinute = new Date(NOW + 30_000).toUTCString()
const statuses: { status: number; headers?: http.OutgoingHttpHeaders; expected: Expected }[] = [
  { status: 200, expected: { outcome: 'done' } },
  { status: 202, expected: { outcome: 'done' } },
  { status: 204, expected: { outcome: 'done' } },
  { status: 301, headers: { Location: '/' }, expected: { outcome: 'dead' } },
  { status: 400, expected: { outcome: 'dead' } },
  { status: 401, expected: { outcome: 'dead' } },
  { status: 404, expected: { outcome: 'dead' } },
  { status: 410, expected: { outcome: 'dead' } },
  { status: 408, expected: { outcome: 'retry', inDoubt: true } },
  { status: 429, expected: { outcome: 'retry', retryAfterMs: null, inDoubt: false, scope: 'target' } },
  { status: 429, headers: { 'Retry-After': '9' }, expected: { outcome: 'retry', retryAfterMs: 9_000 } },
  { status: 500, expected: { outcome: 'retry', retryAfterMs: null, inDoubt: true } },
  { status: 503, headers: { 'Retry-After': inHalfAMinute }, expected: { outcome: 'retry', retryAfterMs: 30_000 } },
]

for (const { status, headers = {}, expected } of statuses) {
  test(`answer ${status} ${JSON.stringify(headers)}: ${expected.outcome}`, async (t) => {
    const server = await serve(t, (response) => {
      response.writeHead(status, headers)
      response.end(status === 204 ? undefined : `no thanks ${TOKEN}`)
    })
    const result = await destination(t, `${server.url}/path-secret`).step(stepInput())
    for (const [name, value] of Object.entries(expected)) {
      assert.deepEqual(result[name as keyof StepResult], value, name)
    }
    if ('reason' in result) assert.match(result.reason, new RegExp(String(status)))
    assert.doesNotMatch(JSON.stringify(result), /secret|127\.0\.0\.1/)
    assert.equal(server.seen.length, 1)
  })
}

test('hanging, refused, reset', async (t) => {
  const silent = await serve(t, () => {})
  const slow = await destination(t, `${silent.url}/path-secret`, { timeoutMs: 30 }).step(stepInput())
  const retry = { outcome: 'retry', retryAfterMs: null, scope: 'target' }
  assert.deepEqual(slow, { ...retry, reason: 'Webhook: no answer within 30 ms', inDoubt: true })
  const dead = await destination(t, await deadAddress()).step(stepInput())
  assert.deepEqual(dead, { ...retry, reason: 'Webhook: connection refused', inDoubt: false })
  const resetting = await serve(t, (response) => response.socket?.resetAndDestroy())
  const reset = await destination(t, resetting.url).step(stepInput())
  assert.deepEqual(reset, { ...retry, reason: 'Webhook: connection reset', inDoubt: true })
  assert.equal(resetting.seen.length, 1, 'the lane repeats, not the adapter')
})

test('a body that trickles for ever holds neither the delivery nor its connection', async (t) => {
  const closed = Promise.withResolvers<void>()
  const server = await serve(t, (response) => {
    response.on('close', closed.resolve)
    response.writeHead(200)
    response.write('.')
  })
  const result = await destination(t, server.url, { timeoutMs: 30 }).step(stepInput())
  assert.equal(result.outcome, 'done')
  await closed.promise
})

test('an endless body is cut off', async (t) => {
  const closed = Promise.withResolvers<void>()
  const server = await serve(t, (response) => {
    response.on('close', closed.resolve)
    const more = () => {
      while (!response.destroyed && response.write('x'.repeat(16_384)));
    }
    response.on('drain', more)
    more()
  })
  assert.equal((await destination(t, server.url).step(stepInput())).outcome, 'done')
  await closed.promise
})

test('connections are kept: 400 deliveries over at most 64', async (t) => {
  const server = await serve(t, (response) => response.end())
  const made = destination(t, server.url)
  assert.deepEqual(made.pacing, { concurrency: 64, perTarget: 64, lane: null, target: null, reserve: 0 })
  const results = await Promise.all(Array.from({ length: 400 }, () => made.step(stepInput())))
  assert.ok(results.every(({ outcome }) => outcome === 'done'))
  assert.ok(server.connections() <= 64, `${server.connections()} connections`)
})

test('a URL that is none is refused at once, without being quoted', () => {
  assert.throws(
    () => createWebhookDestination({ lane: 'webhook:ops', url: 'ftp://path-secret/' }),
    (error) => error instanceof ClawError && error.message === 'The URL of webhook:ops is not an http or https URL',
  )
})
