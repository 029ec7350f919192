import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  authorization,
  exchange,
  getJson,
  networkFailure,
  requestOptions,
  resolveUrl,
  retryAfterMs,
  timeoutReason,
} from '../../../src/adapters/http.ts'
import { ClawError } from '../../../src/core/errors.ts'
import { NOW } from './sample.ts'
import { deadAddress, json, serve } from './serve.ts'

const signal = new AbortController().signal
const get = (url: string, fields: Partial<Parameters<typeof getJson>[1]> = {}) =>
  getJson(resolveUrl('test', url, ''), { timeoutMs: 5_000, signal, ...fields })

test('network failures: what happened, and whether the request may have arrived', () => {
  const table: [unknown, string, boolean][] = [
    [{ code: 'ECONNREFUSED' }, 'connection refused', false],
    [{ code: 'ENOTFOUND' }, 'host name not found', false],
    [{ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }, 'TLS certificate not accepted (DEPTH_ZERO_SELF_SIGNED_CERT)', false],
    [{ code: 'EPROTO' }, 'TLS handshake failed', false],
    [{ code: 'ECONNRESET' }, 'connection reset', true],
    [{ code: 'HPE_INVALID_CONSTANT' }, 'answer is not HTTP', true],
    [{ code: 'EWHATEVER' }, 'network error (EWHATEVER)', true],
    [new Error('to https://user:secret@host failed'), 'network error', true],
    [{ code: 'secret text' }, 'network error', true],
    [null, 'network error', true],
  ]
  for (const [error, reason, sent] of table) assert.deepEqual(networkFailure(error), { reason, sent })
})

test('Retry-After: seconds, an HTTP date, nonsense', () => {
  const table: [string | undefined, number | null][] = [
    ['7', 7_000],
    ['0', 0],
    [' 1.5 ', 1_500],
    ['999999999', 3_600_000],
    [new Date(NOW + 30_000).toUTCString(), 30_000],
    [new Date(NOW - 30_000).toUTCString(), 0],
    ['', null],
    ['soon', null],
    [undefined, null],
  ]
  for (const [header, expected] of table) assert.equal(retryAfterMs(header, NOW), expected, String(header))
})

test('authorization headers, time-outs in words', () => {
  assert.equal(authorization({ token: 'sandbox' }), 'Bearer sandbox')
  assert.equal(authorization({ username: 'ä', password: 'b:c' }), `Basic ${Buffer.from('ä:b:c').toString('base64')}`)
  assert.equal(timeoutReason(3_000), 'no answer within 3 s')
  assert.equal(timeoutReason(40), 'no answer within 40 ms')
})

test('resolveUrl keeps a path prefix and escapes the query', () => {
  const url = resolveUrl('x', 'http://h:1/prefix/', '/api', [
    ['filter', 'a="b&c"'],
    ['filter', 'd'],
  ])
  assert.equal(url.pathname, '/prefix/api')
  assert.deepEqual(url.searchParams.getAll('filter'), ['a="b&c"', 'd'])
  assert.equal(resolveUrl('x', 'http://h/hook?key=1', '').href, 'http://h/hook?key=1')
  for (const bad of ['', 'h:1', 'file:///etc/passwd', 'javascript:1']) {
    assert.throws(
      () => resolveUrl('edge.url', bad, ''),
      (error) => error instanceof ClawError && error.message === 'edge.url is not an http or https URL',
    )
  }
})

test('credentials in a URL become basic authentication; an IPv6 address loses its brackets', () => {
  assert.equal(requestOptions('GET', new URL('http://us%40er:p%3Aw@h/')).auth, 'us@er:p:w')
  assert.equal(requestOptions('GET', new URL('http://u:%zz@h/')).auth, 'u:%zz')
  const v6 = requestOptions('GET', new URL('https://[::1]/a?b'))
  assert.deepEqual([v6.hostname, v6.port, v6.path, v6.auth], ['::1', 443, '/a?b', undefined])
})

test('getJson: answers', async (t) => {
  const server = await serve(t, (response, { url }) => {
    if (url === '/ok') json(response, 200, { a: 'é' })
    else if (url === '/refused') json(response, 422, { error: 'why' })
    else if (url === '/moved') json(response, 302, {}, { Location: '/ok' })
    else if (url === '/long') response.end(JSON.stringify('x'.repeat(5_000)))
    else response.end('<html>')
  })
  assert.deepEqual(await get(`${server.url}/ok`), { ok: true, status: 200, body: { a: 'é' } })
  const refused = { ok: false, status: 422, reason: 'answered 422', body: { error: 'why' } }
  assert.deepEqual(await get(`${server.url}/refused`), refused)
  assert.deepEqual(await get(`${server.url}/moved`), { ok: false, status: 302, reason: 'answered 302', body: {} })
  const html = await get(`${server.url}/html`)
  assert.equal(!html.ok && html.reason, 'answered 200, but not with JSON')
  const long = await get(`${server.url}/long`, { maxBytes: 4_096 })
  assert.equal(!long.ok && long.reason, 'answer is longer than 4 KiB')
  assert.equal((await get(`${server.url}/long`)).ok, true)
  assert.equal(server.seen.length, 6, 'no redirect is followed')
})

test('getJson: hanging, refused, stopped, cut short', async (t) => {
  const silent = await serve(t, () => {})
  const started = await serve(t, (response) => response.write('{'))
  const cut = await serve(t, (response) => {
    response.writeHead(200, { 'Content-Length': 100 })
    response.write('{', () => response.socket?.resetAndDestroy())
  })
  const reason = async (url: string, fields = {}) => {
    const answer = await get(url, fields)
    return !answer.ok && answer.reason
  }
  assert.equal(await reason(silent.url, { timeoutMs: 30 }), 'no answer within 30 ms')
  assert.equal(await reason(started.url, { timeoutMs: 30 }), 'no answer within 30 ms')
  assert.equal(await reason(await deadAddress()), 'connection refused')
  assert.equal(await reason(cut.url), 'connection reset')
  assert.equal(await reason(silent.url, { signal: AbortSignal.abort() }), 'stopped before it was sent')
  const stop = new AbortController()
  const stopping = await serve(t, () => stop.abort())
  assert.equal(await reason(stopping.url, { signal: stop.signal }), 'stopped before the answer came')
})

test('getJson: a connection that the server dropped while idle is replaced', async (t) => {
  let dropped = false
  const server = await serve(t, (response) => {
    if (dropped) json(response, 200, {})
    else {
      dropped = true
      response.socket?.resetAndDestroy()
    }
  })
  assert.equal((await get(server.url)).ok, true)
  assert.equal(server.seen.length, 2)
})

test('exchange: a header that Node refuses is a failure, not an exception', async (t) => {
  const server = await serve(t, (response) => response.end())
  const options = requestOptions('GET', new URL(server.url))
  const answer = await exchange({ options, headers: { 'X-A': 'a\nb' }, timeoutMs: 1_000, signal, maxBytes: null })
  assert.deepEqual(answer, { reason: 'network error (ERR_INVALID_CHAR)', sent: false })
})

test('exchange: a time-out before the connection stands means nothing was sent', async () => {
  // a lookup that never answers stands in for a network that drops packets
  const options = { ...requestOptions('GET', new URL('http://h.invalid/')), lookup: () => {} }
  const answer = await exchange({ options, timeoutMs: 20, signal, maxBytes: null })
  assert.deepEqual(answer, { reason: 'no answer within 20 ms', sent: false })
})
