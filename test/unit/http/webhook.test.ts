import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { test } from 'node:test'
import { z } from 'zod'
import { basicHeader } from '../../../src/core/credentials.ts'
import { ClawError } from '../../../src/core/errors.ts'
import { startApp, type TestApp, TOKEN } from '../../support/app.ts'

const Problem = z.strictObject({
  type: z.literal('about:blank'),
  title: z.string().min(3),
  status: z.number(),
  code: z.string(),
  detail: z.string().min(5).max(400),
})
const alert = {
  status: 'firing',
  labels: { alertname: 'N', service: 's' },
  annotations: {},
  startsAt: '2026-05-04T02:15:00Z',
  endsAt: '0001-01-01T00:00:00Z',
  fingerprint: 'f1',
}
const good = JSON.stringify({ version: '4', alerts: [alert] })
const LIMIT = 16 * 1024 * 1024

/** Checks the shape of a refusal: status, problem+json, no secret. @returns its detail */
async function refusal(response: Response, status: number): Promise<string> {
  const text = await response.text()
  assert.equal(response.status, status, text)
  assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/)
  assert.ok(!text.includes(TOKEN), 'no secret in answers')
  const problem = Problem.parse(JSON.parse(text))
  assert.equal(problem.status, status)
  return problem.detail
}

async function nothingStored(app: TestApp): Promise<void> {
  assert.deepEqual(await app.parts.store.listIncidents({ states: [], limit: 9, before: null }), [])
  assert.deepEqual(await app.parts.store.occurrences(['f1']), [])
}

test('a good webhook is answered 200 with nothing in it, and is stored by then', async (t) => {
  const app = await startApp(t)
  const response = await app.post(good)
  assert.deepEqual([response.status, await response.text()], [200, ''])
  assert.equal((await app.parts.store.occurrences(['f1']))[0]?.state, 'firing')
  for (const type of ['application/json; charset=utf-8', 'Application/JSON;charset="UTF-8"', 'application/json; x=y'])
    assert.equal((await app.post(good, { 'content-type': type })).status, 200, type)
  const [incident] = await app.parts.store.listIncidents({ states: [], limit: 9, before: null })
  assert.equal(incident?.total, 1)
})

test('each refusal has its status and its reason, in the order of the checks', async (t) => {
  const app = await startApp(t)
  for (const method of ['GET', 'PUT', 'DELETE', 'PATCH']) {
    const response = await fetch(`${app.url}/webhooks/alertmanager`, {
      method,
      headers: { 'content-type': 'text/plain' },
    })
    assert.equal(response.headers.get('allow'), 'POST')
    assert.match(await refusal(response, 405), /POST/)
  }
  const anonymous = { authorization: null }
  for (const type of [
    null,
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/jsonp',
    'application/json/x',
  ]) {
    const headers = { ...anonymous, 'content-type': type ?? '' }
    assert.match(await refusal(await app.post('not json', headers), 415), /application\/json/)
  }
  const latin = { ...anonymous, 'content-type': 'application/json; charset=iso-8859-1' }
  assert.match(await refusal(await app.post('not json', latin), 415), /UTF-8/)
  const zipped = { ...anonymous, 'content-encoding': 'gzip' }
  assert.match(await refusal(await app.post('not gzip', zipped), 415), /Content-Encoding/)
  const huge = Buffer.alloc(LIMIT + 1, 0x20)
  assert.match(await refusal(await app.post(huge, anonymous), 413), /larger than 16777216 bytes|too large/)
  const wrong = [
    null,
    '',
    'Bearer',
    'Bearer wrong',
    TOKEN,
    `Basic ${TOKEN}`,
    basicHeader('', TOKEN),
    `Bearer ${TOKEN}x`,
  ]
  for (const authorization of wrong) {
    const response = await app.post('not json', { authorization })
    assert.equal(response.headers.get('www-authenticate'), 'Bearer')
    assert.match(await refusal(response, 401), /missing or wrong/)
  }
  const bodies: [string | Buffer, RegExp][] = [
    ['', /empty/],
    ['{', /not JSON/],
    ['\ufeff{}', /not JSON/],
    [Buffer.concat([Buffer.from('{"version":"4","x":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')]), /UTF-8/],
    [JSON.stringify({ version: '3', alerts: [alert] }), /version/],
    [JSON.stringify({ version: '4', alerts: [alert, { ...alert, status: 'x' }] }), /alerts\.1\.status/],
    [`${'['.repeat(100_000)}`, /not JSON/],
    [`${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`, /version|not JSON/],
  ]
  for (const [body, reason] of bodies) assert.match(await refusal(await app.post(body), 400), reason)
  await nothingStored(app)
  assert.equal((await app.post(good)).status, 200, 'unharmed')
})

test('a body of exactly the limit is read', async (t) => {
  const app = await startApp(t)
  assert.equal((await app.post(good + ' '.repeat(LIMIT - good.length))).status, 200)
})

test('a body that streams past the limit without saying how long it is: 413', async (t) => {
  const app = await startApp(t)
  const sending = request(`${app.url}/webhooks/alertmanager`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` },
  })
  const answered = once(sending, 'response') as Promise<[IncomingMessage]>
  const chunk = Buffer.alloc(1024 * 1024, 0x20)
  for (let n = 0; n <= 16; n++) sending.write(chunk)
  sending.end()
  const [response] = await answered
  assert.equal(response.statusCode, 413)
  response.resume()
  await nothingStored(app)
  assert.equal((await app.post(good)).status, 200)
})

test('a body that never ends: 413 while it is still being sent', async (t) => {
  const app = await startApp(t)
  const sending = request(`${app.url}/webhooks/alertmanager`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` },
  })
  sending.on('error', () => {})
  const answered = once(sending, 'response') as Promise<[IncomingMessage]>
  const chunk = Buffer.alloc(1024 * 1024, 0x20)
  for (let n = 0; n <= 16; n++) sending.write(chunk)
  const [response] = await answered
  assert.equal(response.statusCode, 413)
  assert.equal(response.headers.connection, 'close')
  sending.destroy()
  assert.equal((await app.post(good)).status, 200)
})

test('basic authentication, and a list of tokens while rotating', async (t) => {
  const basic = await startApp(t, 'alertmanager: { username: am, password: "p:w" }')
  assert.equal((await basic.post(good, { authorization: basicHeader('am', 'p:w') })).status, 200)
  await refusal(await basic.post(good, { authorization: basicHeader('am', 'p') }), 401)
  await refusal(await basic.post(good, { authorization: 'Bearer p:w' }), 401)
  const rotating = await startApp(t, 'alertmanager: { token: [old-token, new-token] }')
  for (const token of ['old-token', 'new-token'])
    assert.equal((await rotating.post(good, { authorization: `Bearer ${token}` })).status, 200)
  await refusal(await rotating.post(good, { authorization: 'Bearer other-token' }), 401)
})

test('without a configured token nothing is accepted, and the answer says what to do', async (t) => {
  const app = await startApp(t, 'alertmanager: {}')
  for (const authorization of [null, 'Bearer ', 'Bearer undefined'])
    assert.match(await refusal(await app.post(good, { authorization }), 401), /alertmanager\.token/)
  await nothingStored(app)
})

/** Sends raw bytes and says no more; @returns what came back until the server closed */
async function raw(app: TestApp, text: string, end: 'half-close' | 'reset'): Promise<string> {
  const socket = connect(Number(new URL(app.url).port), '127.0.0.1')
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk
  })
  socket.on('error', () => {})
  await once(socket, 'connect')
  await new Promise((resolve) => socket.write(text, resolve))
  if (end === 'half-close') socket.end()
  else socket.resetAndDestroy()
  if (!socket.closed) await once(socket, 'close')
  return answer
}

const head = (more: string) =>
  `POST /webhooks/alertmanager HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer ${TOKEN}\r\n${more}\r\n\r\n`

test('half-sent bodies store nothing, even where the half is valid JSON', async (t) => {
  const app = await startApp(t)
  const longer = head(`Content-Length: ${good.length + 10}`) + good
  const chunked = `${head('Transfer-Encoding: chunked')}${good.length.toString(16)}\r\n${good}\r\n`
  for (const text of [longer, chunked, head(`Content-Length: ${good.length}`), 'POST /webhooks/alert'])
    for (const end of ['half-close', 'reset'] as const) {
      const answer = await raw(app, text, end)
      assert.doesNotMatch(answer, /^HTTP\/1\.1 [25]/)
      assert.ok(!answer.includes(TOKEN))
    }
  await nothingStored(app)
  assert.equal((await app.post(good)).status, 200)
})

test('a store that fails: 503 with Retry-After, nothing internal in the answer, and 200 again afterwards', async (t) => {
  const app = await startApp(t)
  const broken = t.mock.method(app.parts.store, 'write', () => {
    const cause = new Error('/var/lib/claw.db: disk I/O error')
    return Promise.reject(new ClawError('unavailable', 'The database cannot store: /var/lib/claw.db', { cause }))
  })
  const response = await app.post(good)
  assert.ok(Number(response.headers.get('retry-after')) > 0)
  const detail = await refusal(response, 503)
  assert.match(detail, /Send it again/)
  assert.doesNotMatch(detail, /claw\.db/)
  assert.match(app.logged.join(''), /disk I\/O error/, 'the log has the cause')
  broken.mock.restore()
  await nothingStored(app)
  assert.equal((await app.post(good)).status, 200)
})

test('not ready when it cannot store; alive all the same', async (t) => {
  const app = await startApp(t)
  assert.equal((await fetch(`${app.url}/readyz`)).status, 200)
  t.mock.method(app.parts.store, 'ping', () => Promise.reject(new ClawError('unavailable', 'no', { cause: 1 })))
  await refusal(await fetch(`${app.url}/readyz`), 503)
  assert.equal((await fetch(`${app.url}/healthz`)).status, 200)
})

test('a fault of ours is a 500 that says nothing about it', async (t) => {
  const app = await startApp(t)
  t.mock.method(app.parts.store, 'ping', () => Promise.reject(new TypeError('x is undefined at /src/secret.ts')))
  assert.equal(await refusal(await fetch(`${app.url}/readyz`), 500), 'Claw made a mistake. It is in the log.')
})

test('webhooks, alerts and duplicates are counted; unknown paths are a problem too', async (t) => {
  const app = await startApp(t)
  await app.post(good)
  await app.post(good)
  await app.post('{')
  await app.post(good, { authorization: null })
  const text = await (await fetch(`${app.url}/metrics`)).text()
  const lines = [
    'claw_webhooks_total{source="alertmanager",code="200"} 2',
    'claw_webhooks_total{source="alertmanager",code="400"} 1',
    'claw_webhooks_total{source="alertmanager",code="401"} 1',
    'claw_alerts_total{status="firing"} 2',
    'claw_alerts_deduplicated_total 1',
    'claw_incidents{state="open",level="P2"} 1',
    'claw_config_reload_success 1',
  ]
  for (const line of lines) assert.ok(text.includes(`${line}\n`), line)
  await refusal(await fetch(`${app.url}/nowhere`), 404)
})

test('the credentials reach neither log nor metrics', async (t) => {
  const app = await startApp(t)
  await app.post('{')
  await app.post(good)
  await app.post(good, { authorization: `Bearer almost-${TOKEN}` })
  const everything = app.logged.join('') + (await (await fetch(`${app.url}/metrics`)).text())
  assert.ok(!everything.includes(TOKEN))
})
