import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createAlertmanagerApi } from '../../../../src/adapters/alertmanager/api.ts'
import { parseMatchers } from '../../../../src/core/matchers.ts'
import { deadAddress, json, serve } from '../serve.ts'

const signal = new AbortController().signal
const START = Date.parse('2026-05-04T02:17:00.123Z')

const alert = (fields: object = {}) => ({
  fingerprint: '0123456789abcdef',
  startsAt: '2026-05-04T02:17:00.123456789Z',
  status: { state: 'suppressed', silencedBy: ['x'], inhibitedBy: [] },
  labels: { alertname: 'TokenBucketDepleted' },
  annotations: { summary: 's' },
  receivers: [{ name: 'claw.prod' }],
  generatorURL: 'http://p/g',
  ...fields,
})

const silence = (fields: object = {}) => ({
  id: 'abc',
  status: { state: 'active' },
  startsAt: '2026-05-04T02:17:00.123Z',
  endsAt: '2026-05-04T03:17:00.123Z',
  comment: 'c',
  createdBy: 'Dana',
  matchers: [],
  ...fields,
})

const NEW = {
  id: null,
  matchers: parseMatchers('service="rating-api", region!~"B|C"'),
  startsAt: START,
  endsAt: START + 60_000,
  createdBy: 'Dana',
  comment: 'quiet',
}

async function api(t: TestContext, status: number, body: unknown) {
  const server = await serve(t, (response) => json(response, status, body))
  return { api: createAlertmanagerApi({ url: `${server.url}/am/`, auth: { token: 'secret' } }), server }
}

test('alerts: all that fires, with receivers and state', async (t) => {
  const { api: made, server } = await api(t, 200, [alert()])
  assert.deepEqual(await made.alerts(signal), {
    ok: true,
    alerts: [
      {
        fingerprint: '0123456789abcdef',
        labels: { alertname: 'TokenBucketDepleted' },
        annotations: { summary: 's' },
        startsAt: START,
        generatorURL: 'http://p/g',
        receivers: ['claw.prod'],
        state: 'suppressed',
      },
    ],
  })
  assert.equal(server.seen[0]?.url, '/am/api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true')
  assert.equal(server.seen[0]?.headers.authorization, 'Bearer secret')
  assert.equal(made.address, `${server.url}/am`)
})

test('one malformed alert makes the listing unusable: nothing may seem to be over', async (t) => {
  const { api: made } = await api(t, 200, [alert(), { fingerprint: 'f' }])
  assert.equal((await made.alerts(signal)).ok, false)
})

test('an answer that is too long, an error page, nobody there: a failure, without address or token', async (t) => {
  const long = await serve(t, (response) => json(response, 200, [alert({ annotations: { x: 'y'.repeat(3000) } })]))
  const bounded = await createAlertmanagerApi({ url: long.url, maxBytes: 2000 }).alerts(signal)
  assert.deepEqual(bounded, { ok: false, refused: false, reason: 'Alertmanager: answer is longer than 2 KiB' })
  const { api: page } = await api(t, 401, 'no')
  const refused = await page.alerts(signal)
  assert.deepEqual(refused, {
    ok: false,
    refused: false,
    reason: 'Alertmanager: answered 401; check alertmanager.api_auth',
  })
  const dead = await createAlertmanagerApi({ url: await deadAddress() }).alerts(signal)
  assert.deepEqual(dead, { ok: false, refused: false, reason: 'Alertmanager: connection refused' })
})

test('startedAt: `uptime` is the time of its start; unknown when it is missing', async (t) => {
  const { api: one } = await api(t, 200, { uptime: '2026-05-04T02:17:00.123Z', cluster: {} })
  assert.deepEqual(await one.startedAt(signal), { ok: true, at: START })
  const { api: none } = await api(t, 200, { cluster: {} })
  assert.deepEqual(await none.startedAt(signal), { ok: true, at: null })
})

test('silences: read, and one of them; 404 is none', async (t) => {
  const expected = { id: 'abc', state: 'active', startsAt: START, endsAt: START + 3_600_000, comment: 'c' }
  const { api: list } = await api(t, 200, [silence()])
  assert.deepEqual(await list.silences(signal), { ok: true, silences: [expected] })
  const { api: one, server } = await api(t, 200, silence())
  assert.deepEqual(await one.silence('a/b', signal), { ok: true, silence: expected })
  assert.equal(server.seen[0]?.url, '/am/api/v2/silence/a%2Fb')
  const { api: gone } = await api(t, 404, '')
  assert.deepEqual(await gone.silence('abc', signal), { ok: true, silence: null })
})

test('a silence is made with matchers in the words of the API', async (t) => {
  const { api: made, server } = await api(t, 200, { silenceID: 'new' })
  assert.deepEqual(await made.saveSilence(NEW, signal), { ok: true, id: 'new' })
  const [seen] = server.seen
  assert.deepEqual([seen?.method, seen?.url], ['POST', '/am/api/v2/silences'])
  assert.deepEqual(JSON.parse(seen?.body ?? ''), {
    matchers: [
      { name: 'service', value: 'rating-api', isRegex: false, isEqual: true },
      { name: 'region', value: 'B|C', isRegex: true, isEqual: false },
    ],
    startsAt: '2026-05-04T02:17:00.123Z',
    endsAt: '2026-05-04T02:18:00.123Z',
    createdBy: 'Dana',
    comment: 'quiet',
  })
})

test('refused for good (400) and failed for now (503) are told apart', async (t) => {
  const { api: bad } = await api(t, 400, 'silence invalid:\nno matcher')
  assert.deepEqual(await bad.saveSilence(NEW, signal), {
    ok: false,
    refused: true,
    reason: 'Alertmanager: answered 400: silence invalid: no matcher',
  })
  const { api: down } = await api(t, 503, 'x')
  assert.deepEqual(await down.saveSilence(NEW, signal), {
    ok: false,
    refused: false,
    reason: 'Alertmanager: answered 503',
  })
})

test('ending a silence: one that is gone or over is as good', async (t) => {
  const { api: good, server } = await api(t, 200, '')
  assert.deepEqual(await good.endSilence('abc', signal), { ok: true })
  assert.deepEqual([server.seen[0]?.method, server.seen[0]?.url], ['DELETE', '/am/api/v2/silence/abc'])
  for (const [status, body] of [
    [404, ''],
    [500, 'silence not found'],
    [500, 'silence abc already expired'],
  ] as const) {
    const { api: made } = await api(t, status, body)
    assert.deepEqual(await made.endSilence('abc', signal), { ok: true }, `${status} ${body}`)
  }
  const { api: broken } = await api(t, 500, 'disk full')
  assert.equal((await broken.endSilence('abc', signal)).ok, false)
})
