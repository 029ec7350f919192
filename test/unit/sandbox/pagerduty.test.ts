import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { api as pdApi } from '@pagerduty/pdjs'
import express, { Router } from 'express'
import { type Listening, listen } from '../../../src/sandbox/listen.ts'
import { createFakePagerDuty, type FakePagerDuty, signPagerDuty } from '../../../src/sandbox/pagerduty.ts'

const KEY = 'claw/test/1'
const payload = { summary: 'P1 · Bucket empty in A', source: 'claw', severity: 'critical' }
const trigger = (more: object = {}) => ({
  routing_key: 'sandbox',
  event_action: 'trigger',
  dedup_key: KEY,
  payload,
  ...more,
})

type RestBody = {
  error?: { code: number; errors?: string[] }
  incidents?: Array<{ id: string; status: string; incident_number: number }>
  incident?: { id: string; status: string }
  note?: { content: string }
  log_entries?: Array<{ type: string }>
  oncalls?: Array<{ user: { summary: string }; escalation_level: number }>
  users?: Array<{ email: string }>
  more?: boolean
}

describe('fake PagerDuty', () => {
  let now = 1_700_000_000_000
  let fake: FakePagerDuty
  let server: Listening

  beforeEach(async () => {
    now = 1_700_000_000_000
    fake = createFakePagerDuty({ clock: () => now })
    server = await listen(Router().use('/sandbox/pagerduty', fake.router))
  })
  afterEach(async () => {
    fake.reset()
    await server.close()
  })
  const enqueue = async (event: unknown) => {
    const response = await fetch(`${server.url}/sandbox/pagerduty/v2/enqueue`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: typeof event === 'string' ? event : JSON.stringify(event),
    })
    const body = (await response.json()) as { status: string; message: string; dedup_key?: string; errors?: string[] }
    return { status: response.status, body, headers: response.headers }
  }
  const act = (event_action: string, dedup_key = KEY) => enqueue({ routing_key: 'sandbox', event_action, dedup_key })
  const rest = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const response = await fetch(`${server.url}/sandbox/pagerduty${path}`, {
      method,
      headers: {
        authorization: 'Token token=sandbox',
        'content-type': 'application/json',
        from: 'dana@example.com',
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return { status: response.status, body: (await response.json()) as RestBody, headers: response.headers }
  }
  const change = (status: string) => ({ incident: { type: 'incident_reference', status } })

  it('accepts an event and pages once', async () => {
    const { status, body } = await enqueue(trigger())
    assert.equal(status, 202)
    assert.deepEqual(body, { status: 'success', message: 'Event processed', dedup_key: KEY })
    await enqueue(trigger({ payload: { ...payload, summary: 'worse' } }))
    assert.equal(fake.state.pagesOf(KEY), 1)
    const [incident] = fake.state.incidents
    assert.deepEqual([incident?.triggers, incident?.title, incident?.status], [2, payload.summary, 'triggered'])
    assert.equal((await enqueue(trigger({ routing_key: 'R'.repeat(32), dedup_key: undefined }))).status, 202)
    assert.equal(fake.state.pages.length, 2)
  })

  it('opens a new incident after a resolve, but wakes nobody on an acknowledged one', async () => {
    await enqueue(trigger())
    await act('acknowledge')
    await enqueue(trigger())
    assert.deepEqual([fake.state.pages.length, fake.state.incidents[0]?.status], [1, 'acknowledged'])
    await act('resolve')
    assert.equal(fake.state.incidents[0]?.status, 'resolved')
    await enqueue(trigger())
    assert.deepEqual([fake.state.pages.length, fake.state.incidents.length], [2, 2])
    assert.equal(fake.state.byKey(KEY)?.incident_number, 2)
  })

  it('drops silently what concerns no open incident', async () => {
    assert.equal((await act('acknowledge')).status, 202)
    await enqueue(trigger())
    await act('resolve')
    assert.equal((await act('resolve')).status, 202)
    assert.equal((await act('acknowledge')).status, 202)
    assert.equal(fake.state.dropped.length, 3)
    assert.equal(fake.state.incidents[0]?.status, 'resolved')
  })

  const BAD: Array<[string, unknown, RegExp]> = [
    ['a short routing key', trigger({ routing_key: 'short' }), /Length of 'routing_key' is incorrect/],
    ['no routing key', trigger({ routing_key: undefined }), /'routing_key' is missing/],
    ['no action', trigger({ event_action: undefined }), /'event_action' is missing/],
    ['an unknown action', trigger({ event_action: 'page' }), /'event_action' is invalid/],
    ['a dedup key of 256', trigger({ dedup_key: 'x'.repeat(256) }), /'dedup_key'/],
    ['resolve without dedup key', { routing_key: 'sandbox', event_action: 'resolve' }, /'dedup_key' is missing/],
    ['no payload', trigger({ payload: undefined }), /'payload' is missing/],
    ['no summary', trigger({ payload: { ...payload, summary: '' } }), /'payload.summary' is missing/],
    [
      'a summary of 1025',
      trigger({ payload: { ...payload, summary: 'x'.repeat(1_025) } }),
      /'payload.summary' is too long/,
    ],
    ['no source', trigger({ payload: { ...payload, source: undefined } }), /'payload.source' is missing/],
    ['a made-up severity', trigger({ payload: { ...payload, severity: 'P1' } }), /'payload.severity' is invalid/],
    ['a bad timestamp', trigger({ payload: { ...payload, timestamp: 'now' } }), /'payload.timestamp'/],
    ['an image over http', trigger({ images: [{ src: 'http://x.example/a.png' }] }), /'images.src'/],
    ['a link without href', trigger({ links: [{ text: 'x' }] }), /'links.href'/],
    ['a script as client_url', trigger({ client_url: 'javascript:alert(1)' }), /'client_url'/],
    ['a lone surrogate', '{"routing_key":"sandbox","event_action":"resolve","dedup_key":"\\ud800"}', /UTF-8/],
    ['no JSON', 'routing_key=sandbox', /not valid JSON/],
    ['a list', [], /not a JSON object/],
  ]
  for (const [what, event, error] of BAD) {
    it(`refuses ${what}`, async () => {
      const { status, body } = await enqueue(event)
      assert.deepEqual([status, body.status, body.message], [400, 'invalid event', 'Event object is invalid'])
      assert.equal(body.errors?.length, 1)
      assert.match(body.errors?.[0] ?? '', error)
      assert.equal(fake.state.accepted.length, 0)
    })
  }

  it('takes events at their limits, up to 512 KB', async () => {
    const big = (n: number) => trigger({ payload: { ...payload, custom_details: { x: 'x'.repeat(n) } } })
    const limits = { dedup_key: 'x'.repeat(255), payload: { ...payload, summary: 'x'.repeat(1_024) } }
    assert.equal((await enqueue(trigger(limits))).status, 202)
    assert.equal((await enqueue(big(512 * 1_024 - 300))).status, 202)
    assert.equal((await enqueue(big(512 * 1_024))).status, 413)
  })

  it('limits events per routing key when asked to', async () => {
    fake.state.rateLimits = true
    for (let i = 0; i < 120; i++) assert.equal((await act('acknowledge')).status, 202)
    const limited = await act('acknowledge')
    assert.deepEqual([limited.status, limited.body.status], [429, 'throttle exceeded'])
    assert.equal((await enqueue(trigger({ routing_key: 'R'.repeat(32) }))).status, 202)
    now += 60_000
    assert.equal((await act('acknowledge')).status, 202)
  })

  it('changes incidents over REST, with the real error codes', async () => {
    await enqueue(trigger())
    const id = fake.state.incidents[0]?.id
    assert.equal((await rest('GET', '/incidents', undefined, { authorization: 'Token token=no' })).status, 401)
    const found = await rest('GET', `/incidents?incident_key=${encodeURIComponent(KEY)}&statuses[]=triggered`)
    assert.deepEqual(
      found.body.incidents?.map((i) => [i.id, i.incident_number]),
      [[id, 1]],
    )
    assert.equal((await rest('GET', '/incidents?incident_key=other')).body.incidents?.length, 0)
    const anonymous = await rest('PUT', `/incidents/${id}`, change('acknowledged'), { from: '' })
    assert.deepEqual([anonymous.status, anonymous.body.error?.code], [400, 2001])
    const stranger = await rest('PUT', `/incidents/${id}`, change('acknowledged'), { from: 'who@example.com' })
    assert.equal(stranger.body.error?.code, 1008)
    assert.equal((await rest('PUT', `/incidents/${id}`, change('acknowledged'))).body.incident?.status, 'acknowledged')
    assert.equal((await rest('PUT', `/incidents/${id}`, change('acknowledged'))).body.error?.code, 1002)
    assert.equal((await rest('PUT', `/incidents/${id}`, change('snoozed'))).body.error?.code, 2001)
    const bulk = { incidents: [{ id, type: 'incident_reference', status: 'resolved' }] }
    assert.equal((await rest('PUT', '/incidents', bulk)).body.incidents?.[0]?.status, 'resolved')
    assert.equal((await rest('PUT', `/incidents/${id}`, change('resolved'))).body.error?.code, 1001)
    assert.equal((await rest('GET', '/incidents/nope')).status, 404)
    assert.equal(fake.state.incidents[0]?.resolvedBy?.name, 'Dana')
  })

  it('keeps notes and the log, newest first, in pages', async () => {
    await enqueue(trigger())
    const id = fake.state.incidents[0]?.id
    const noted = await rest('POST', `/incidents/${id}/notes`, { note: { content: 'looking' } })
    assert.deepEqual([noted.status, noted.body.note?.content], [201, 'looking'])
    assert.equal((await rest('POST', `/incidents/${id}/notes`, { note: {} })).status, 400)
    const log = await rest('GET', `/incidents/${id}/log_entries?limit=2`)
    assert.deepEqual(
      [log.body.log_entries?.map((e) => e.type), log.body.more],
      [['annotate_log_entry', 'notify_log_entry'], true],
    )
    const rest2 = await rest('GET', `/incidents/${id}/log_entries?limit=2&offset=2`)
    assert.deepEqual([rest2.body.log_entries?.[0]?.type, rest2.body.more], ['trigger_log_entry', false])
    const calls = (await rest('GET', '/oncalls')).body.oncalls ?? []
    assert.deepEqual(
      calls.map((c) => [c.user.summary, c.escalation_level]),
      [
        ['Dana', 1],
        ['Lee', 2],
      ],
    )
    assert.equal((await rest('GET', '/users?query=lee')).body.users?.[0]?.email, 'lee@example.com')
  })

  it('works with pdjs’ REST client', async () => {
    await enqueue(trigger())
    const pd = pdApi({ token: 'sandbox', url: `${server.url}/sandbox/pagerduty/incidents`, method: 'GET' } as never)
    const response = (await pd) as { status: number; data: { incidents: unknown[] } }
    assert.deepEqual([response.status, response.data.incidents.length], [200, 1])
  })

  it('tells a signed webhook what people do on the phone', async () => {
    const seen: Array<{ id: unknown; good: boolean; type: string; agent: string; key: string }> = []
    const claw = await listen(
      Router().use(express.text({ type: () => true }), (req, res) => {
        const { event } = JSON.parse(req.body)
        const good = req.headers['x-pagerduty-signature'] === signPagerDuty(req.body, 'sandbox')
        const { incident_key: key } = event.data
        seen.push({ id: req.headers['x-webhook-id'], good, type: event.event_type, agent: event.agent.summary, key })
        res.sendStatus(200)
      }),
    )
    await enqueue(trigger())
    assert.equal(await fake.state.acknowledge(KEY, 'Dana'), null)
    fake.state.webhooks.target = { url: claw.url, secret: 'sandbox' }
    assert.equal(await fake.state.resolve(KEY, 'Lee'), 200)
    assert.deepEqual(
      seen.map((s) => [s.good, s.type, s.agent, s.key]),
      [[true, 'incident.resolved', 'Lee', KEY]],
    )
    const [delivery] = fake.state.webhooks.deliveries
    assert.ok(delivery)
    await fake.state.redeliver(delivery)
    assert.equal(seen[1]?.id, seen[0]?.id)
    await assert.rejects(fake.state.acknowledge(KEY), { code: 'not_found' })
    await claw.close()
    await enqueue(trigger())
    assert.equal(await fake.state.acknowledge(KEY), 0)
  })

  it('words a rate limit for each of its APIs, and can lose an answer', async () => {
    fake.faults.set({ kind: 'rate_limit', retryAfter: 2, times: 2 })
    const limited = await enqueue(trigger())
    assert.deepEqual([limited.status, limited.headers.get('retry-after')], [429, '2'])
    assert.equal((await rest('GET', '/incidents')).body.error?.code, 2020)
    const paged = fake.state.waitFor((s) => s.pages[0])
    fake.faults.set({ kind: 'reset_after', match: '/v2/enqueue', times: 1 })
    await assert.rejects(enqueue(trigger()))
    assert.equal((await paged).dedup_key, KEY)
    assert.deepEqual(
      fake.state.requests.map((r) => r.name),
      ['POST /v2/enqueue', 'GET /incidents', 'POST /v2/enqueue'],
    )
  })
})
