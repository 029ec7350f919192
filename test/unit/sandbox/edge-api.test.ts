import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, beforeEach, test } from 'node:test'
import express from 'express'
import { createEdgeApi } from '../../../src/sandbox/edge/api.ts'
import { createEdge, type Edge } from '../../../src/sandbox/edge.ts'

let edge: Edge
let api: ReturnType<typeof createEdgeApi>
let url = ''
const app = express()
app.use('/edge', (req, res, next) => api.router(req, res, next))
const server = createServer(app)

before(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/edge`
})
beforeEach(() => {
  edge = createEdge({ now: 1_700_000_000_000 })
  edge.step(5_000)
  api = createEdgeApi({ edge, token: 'sandbox' })
})
after(() => {
  server.closeAllConnections()
  server.close()
})

let keys = 0
async function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const answer = await fetch(`${url}${path}`, {
    method,
    headers: {
      Authorization: 'Bearer sandbox',
      'Content-Type': 'application/json',
      ...(method === 'GET' ? {} : { 'Idempotency-Key': `key-${++keys}` }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await answer.text()
  return { status: answer.status, headers: answer.headers, body: text === '' ? {} : JSON.parse(text) }
}

function problem(answer: Awaited<ReturnType<typeof call>>, status: number): void {
  assert.equal(answer.status, status)
  assert.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json/)
  assert.equal(answer.body.status, status)
  assert.ok(answer.body.detail.length > 10)
}

test('regions have every member of the contract', async () => {
  const { status, body } = await call('GET', '/admin/v1/regions')
  assert.equal(status, 200)
  assert.equal(new Date(body.at).getTime(), edge.now())
  assert.deepEqual(
    body.regions.map((region: { region: string }) => region.region),
    ['A', 'B'],
  )
  const members =
    'region healthy receiving bucket sync_lag_seconds conflicts_per_minute p95_latency_seconds error_ratio canary_weight version request_rate refused_ratio refill_rate nodes'
  for (const member of members.split(' ')) assert.notEqual(body.regions[0][member], undefined, member)
  assert.ok(body.regions[0].bucket.ratio > 0.9)
})

test('a region that is down is listed without figures, has no health and no metrics', async () => {
  edge.press(['A'], { down: true })
  const { body } = await call('GET', '/admin/v1/regions')
  const { region, healthy, receiving, bucket, error_ratio } = body.regions[0]
  assert.deepEqual(
    { region, healthy, receiving, bucket, error_ratio },
    { region: 'A', healthy: false, receiving: true, bucket: null, error_ratio: null },
  )
  problem(await call('GET', '/health?region=A'), 503)
  assert.equal((await call('GET', '/health?region=B')).status, 200)
  assert.equal((await call('GET', '/health')).status, 200)
  await assert.rejects(fetch(`${url}/regions/A/metrics`))
  const metrics = await fetch(`${url}/regions/B/metrics`)
  assert.equal(metrics.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  assert.match(await metrics.text(), /openclaw_token_bucket_available\{service="rating-api",region="B"\} 0\.9/)
  assert.doesNotMatch(await (await fetch(`${url}/metrics`)).text(), /region="A"/)
})

test('the admin API wants the token; metrics and health do not', async () => {
  for (const Authorization of ['', 'Bearer wrong', 'Bearer sandboxx', 'Basic sandbox']) {
    const answer = await call('GET', '/admin/v1/regions', undefined, { Authorization })
    problem(answer, 401)
    assert.match(answer.headers.get('www-authenticate') ?? '', /^Bearer/)
  }
  assert.equal((await fetch(`${url}/metrics`)).status, 200)
})

test('a change needs a key; a repeated key returns the first answer and acts once', async () => {
  const body = { region: 'A', by: 'Dana', incident: '12' }
  problem(await call('POST', '/admin/v1/buckets/reset', body, { 'Idempotency-Key': '' }), 400)
  const first = await call('POST', '/admin/v1/buckets/reset', body, { 'Idempotency-Key': 'one' })
  const again = await call('POST', '/admin/v1/buckets/reset', body, { 'Idempotency-Key': 'one' })
  const other = await call('POST', '/admin/v1/buckets/reset', body, { 'Idempotency-Key': 'two' })
  assert.deepEqual([first.status, again.status], [202, 202])
  assert.deepEqual(again.body, first.body)
  assert.equal(again.headers.get('idempotency-replayed'), 'true')
  assert.notDeepEqual(other.body, first.body)
  assert.equal(edge.operations.list().length, 2)
})

test('wrong bodies, regions, paths and operations are problems, and a refused key may be used again', async () => {
  const key = { 'Idempotency-Key': 'again' }
  problem(await call('POST', '/admin/v1/buckets/reset', { by: 'Dana' }, key), 400)
  problem(await call('POST', '/admin/v1/buckets/reset', '{"region":', key), 400)
  problem(await call('POST', '/admin/v1/buckets/reset', { region: 'Z', by: 'Dana' }, key), 404)
  assert.equal((await call('POST', '/admin/v1/buckets/reset', { region: 'A', by: 'Dana' }, key)).status, 202)
  problem(await call('POST', '/admin/v1/reconcile', { regions: [], policy: 'loudest', by: 'Dana' }), 400)
  problem(await call('POST', '/admin/v1/failover', { from: 'A', to: 'A', by: 'Dana' }), 400)
  problem(await call('PUT', '/admin/v1/canary', { weight: 101, by: 'Dana' }), 400)
  problem(await call('GET', '/admin/v1/operations/op_99'), 404)
  problem(await call('GET', '/admin/v1/nothing'), 404)
  problem(await call('GET', '/health?region=Z'), 404)
  problem(await call('GET', '/admin/v1/conflicts?limit=many'), 400)
})

test('a reset is an operation that takes time and then fills the bucket', async () => {
  edge.press(['A'], { demandFactor: 6 })
  edge.step(20_000)
  const { body } = await call('POST', '/admin/v1/buckets/reset', { region: 'A', by: 'policy:low', incident: '1' })
  const poll = async () => (await call('GET', `/admin/v1/operations/${body.operation}`)).body
  assert.deepEqual(
    [await poll()].map(({ id, kind, state, ended_at }) => ({ id, kind, state, ended_at })),
    [{ id: 'op_1', kind: 'reset', state: 'running', ended_at: null }],
  )
  edge.step(1_500)
  const half = await poll()
  assert.ok(half.progress > 0.4 && half.progress < 0.6)
  edge.step(1_500)
  const done = await poll()
  assert.deepEqual([done.state, done.progress], ['succeeded', 1])
  assert.equal(Date.parse(done.ended_at) - Date.parse(done.started_at), 3_000)
  assert.ok((edge.view()[0]?.bucket.ratio ?? 0) > 0.85)
})

test('conflicts name diverged keys, and every other change answers as the contract says', async () => {
  edge.deploy(['A', 'B'], { name: '1.9.0', dropsUpdates: true })
  edge.press(['A', 'B'], { jitterSeconds: 0.3 })
  edge.step(20_000)
  const { body } = await call('GET', '/admin/v1/conflicts?region=A&limit=5')
  assert.equal(body.conflicts.length, 5)
  assert.notEqual(body.conflicts[0].values.A, body.conflicts[0].values.B)
  assert.ok(Date.parse(body.conflicts[0].since) <= edge.now())
  const by = { by: 'Dana', incident: '7' }
  const answers = [
    await call('POST', '/admin/v1/acknowledgements', { ...by, alerts: ['8c76e22284536c92'], note: 'looking' }),
    await call('POST', '/admin/v1/snapshots', { ...by, regions: ['A', 'B'] }),
    await call('POST', '/admin/v1/reconcile', { ...by, regions: ['A'], policy: 'reset-and-reseed' }),
    await call('POST', '/admin/v1/versions/revert', { ...by, region: 'A' }),
    await call('POST', '/admin/v1/buckets/capacity', { by: 'Dana', region: 'A', factor: 2, ttl_seconds: 60 }),
    await call('POST', '/admin/v1/scale', { ...by, region: 'B', replicas: 6, ttl_seconds: 60 }),
    await call('POST', '/admin/v1/failover', { ...by, from: 'A', to: 'B' }),
    await call('PUT', '/admin/v1/canary', { weight: 0, by: 'Dana' }),
  ]
  assert.deepEqual(
    answers.map((answer) => answer.status),
    [201, 201, 202, 202, 202, 202, 202, 200],
  )
  assert.equal(answers[1]?.body.snapshot, 'snap_1')
  assert.equal(answers[2]?.body.operation, 'op_1')
  assert.equal(api.records().length, 8)
})

test('a synthetic load answers 200 when it passes and 503 when not; a snapshot can be read', async () => {
  const passed = await call('GET', '/load?region=A', undefined, { Authorization: '' })
  assert.equal(passed.status, 200)
  assert.deepEqual(Object.keys(passed.body), ['sent', 'ok', 'refused', 'errors', 'p95_seconds'])
  assert.deepEqual([passed.body.sent, passed.body.ok], [100, 100])
  assert.equal((await call('POST', '/load?region=A', { requests: 250 })).body.sent, 250)
  problem(await call('POST', '/load?region=Z', { requests: 1 }), 404)
  problem(await call('POST', '/load?region=A', { requests: 0 }), 400)
  problem(await call('POST', '/load', { requests: 1 }), 400)
  edge.press(['A'], { drainPerSecond: 50_000 })
  edge.step(2_000)
  const failed = await call('POST', '/load?region=A', { requests: 100 })
  problem(failed, 503)
  assert.deepEqual([failed.body.sent, failed.body.refused], [100, 100])
  const { body } = await call('POST', '/admin/v1/snapshots', { regions: [], by: 'Dana' })
  const stored = await call('GET', `/admin/v1/snapshots/${body.snapshot}`)
  assert.deepEqual(
    stored.body.regions.map((region: { region: string }) => region.region),
    ['A', 'B'],
  )
  problem(await call('GET', '/admin/v1/snapshots/snap_9'), 404)
})

test('a call that a fault refuses leaves its key free, and a canary at weight 0 is not rated any more', async () => {
  edge.canary(['A'], { version: '1.10.0', weight: 10, rating: 0.5 })
  edge.step(10_000)
  assert.ok((edge.view()[0]?.rating_score ?? 1) < 0.7)
  edge.faults.add({ kind: 'canary', mode: 'refuse' })
  edge.faults.add({ kind: 'snapshot', mode: 'missing' })
  const key = { 'Idempotency-Key': 'canary' }
  problem(await call('PUT', '/admin/v1/canary', { weight: 0, by: 'Dana' }, key), 503)
  problem(await call('POST', '/admin/v1/snapshots', { regions: [], by: 'Dana' }), 404)
  assert.equal((await call('PUT', '/admin/v1/canary', { weight: 0, by: 'Dana' }, key)).status, 200)
  assert.equal(edge.view()[0]?.rating_score, 0.97)
})
