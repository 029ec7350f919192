import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createEdge, type EdgeOptions } from '../../../../src/adapters/edge/edge.ts'
import { deadAddress, json, serve } from '../serve.ts'

const TOKEN = 'token-secret'
const signal = new AbortController().signal

const region = (name: string, fields: object = {}) => ({
  region: name,
  healthy: true,
  receiving: true,
  bucket: { capacity: 1_000, available: 40, ratio: 0.04 },
  sync_lag_seconds: 0.2,
  conflicts_per_minute: 3,
  p95_latency_seconds: 0.05,
  error_ratio: 0,
  canary_weight: 10,
  version: 'v1',
  ...fields,
})

async function edgeOf(t: TestContext, body: unknown, options: Partial<EdgeOptions> = {}, status = 200) {
  const server = await serve(t, (response) => json(response, status, body))
  return { edge: createEdge({ url: `${server.url}/sandbox/edge`, token: TOKEN, ...options }), server }
}

test('regions: everything the edge says, null for what it leaves out', async (t) => {
  const { edge, server } = await edgeOf(t, {
    regions: [region('A', { request_rate: 5, rating_score: 0.9, jitter_seconds: 0.02, replicas: 3 }), { region: 'B' }],
    at: 'now',
  })
  const answer = await edge.regions(signal)
  const unknown = {
    healthy: null,
    receiving: null,
    bucket: null,
    syncLagSeconds: null,
    conflictsPerMinute: null,
    p95LatencySeconds: null,
    errorRatio: null,
    canaryWeight: null,
    version: null,
    requestRate: null,
    refusedRatio: null,
    refillRate: null,
    ratingScore: null,
    jitterSeconds: null,
    replicas: null,
    nodes: null,
  }
  assert.deepEqual(answer, {
    ok: true,
    regions: [
      {
        ...unknown,
        region: 'A',
        healthy: true,
        receiving: true,
        bucket: { capacity: 1_000, available: 40, ratio: 0.04 },
        syncLagSeconds: 0.2,
        conflictsPerMinute: 3,
        p95LatencySeconds: 0.05,
        errorRatio: 0,
        canaryWeight: 10,
        version: 'v1',
        requestRate: 5,
        ratingScore: 0.9,
        jitterSeconds: 0.02,
        replicas: 3,
      },
      { ...unknown, region: 'B' },
    ],
  })
  assert.equal(server.seen[0]?.url, '/sandbox/edge/admin/v1/regions')
  assert.equal(server.seen[0]?.headers.authorization, `Bearer ${TOKEN}`)
})

test('presence and level', async (t) => {
  const { edge } = await edgeOf(t, {
    regions: [
      region('A', { healthy: false }),
      region('B', { bucket: { capacity: 200, available: 100 } }),
      region('C', { bucket: null }),
      region('D', { bucket: {} }),
      region('E', { bucket: { ratio: 7 }, sync_lag_seconds: 'odd' }),
      { healthy: true },
      'odd',
    ],
  })
  const rows = await Promise.all(
    ['A', 'B', 'C', 'D', 'E', 'F', ''].map(async (name) => [
      name,
      await edge.presence(name, signal),
      await edge.bucketRatio(name, signal),
    ]),
  )
  assert.deepEqual(rows, [
    ['A', 'present', 0.04],
    ['B', 'present', 0.5],
    ['C', 'gone', null],
    ['D', 'gone', null],
    ['E', 'present', 1],
    ['F', 'gone', null],
    ['', 'present', 0.04],
  ])
})

test('no regions at all: any region is gone', async (t) => {
  const { edge } = await edgeOf(t, { regions: [] })
  assert.equal(await edge.presence('', signal), 'gone')
})

test('anything but an answer is unreachable; reasons hold neither address nor token', async (t) => {
  const silent = await serve(t, () => {})
  const edges = [
    (await edgeOf(t, { error: TOKEN }, {}, 401)).edge,
    (await edgeOf(t, {}, {}, 503)).edge,
    (await edgeOf(t, { regions: 'none' })).edge,
    createEdge({ url: silent.url, token: TOKEN, timeoutMs: 30 }),
    createEdge({ url: await deadAddress(), token: TOKEN }),
  ]
  const reasons = []
  for (const edge of edges) {
    assert.equal(await edge.presence('A', signal), 'unreachable')
    assert.equal(await edge.bucketRatio('A', signal), null)
    const answer = await edge.regions(signal)
    reasons.push(answer.ok ? '' : answer.reason)
  }
  assert.deepEqual(reasons, [
    'Edge: answered 401; check edge.token',
    'Edge: answered 503',
    'Edge: the answer has no list of regions',
    'Edge: no answer within 30 ms',
    'Edge: connection refused',
  ])
})

test('one request serves everyone for a second', async (t) => {
  let now = 1_000
  const { edge, server } = await edgeOf(t, { regions: [region('A')] }, { clock: () => now })
  await Promise.all(Array.from({ length: 50 }, () => edge.presence('A', signal)))
  assert.equal(server.seen.length, 1)
  now += 999
  await edge.bucketRatio('A', signal)
  assert.equal(server.seen.length, 1)
  now += 1
  await edge.regions(signal)
  assert.equal(server.seen.length, 2)
  now -= 500_000
  await edge.regions(signal)
  assert.equal(server.seen.length, 3, 'a clock set back does not freeze the cache')
})

test('who gives up does not take the answer from the others', async (t) => {
  const stop = new AbortController()
  const server = await serve(t, (response) => {
    stop.abort()
    json(response, 200, { regions: [region('A')] })
  })
  const edge = createEdge({ url: server.url, token: TOKEN })
  const answers = await Promise.all([edge.presence('A', stop.signal), edge.presence('A', signal)])
  assert.deepEqual(answers, ['unreachable', 'present'])
  assert.equal(server.seen.length, 1)
  assert.equal(await edge.presence('A', AbortSignal.abort()), 'present', 'from the cache')
})

test('a region’s own API is asked first; when it is silent, the edge as a whole', async (t) => {
  const own = await serve(t, (response) => json(response, 200, { regions: [region('B', { bucket: { ratio: 0.9 } })] }))
  const regions = { B: { url: own.url }, C: { url: await deadAddress() } }
  const { edge } = await edgeOf(t, { regions: [region('A'), region('B'), region('C')] }, { regions })
  assert.equal(await edge.bucketRatio('A', signal), 0.04)
  assert.equal(await edge.bucketRatio('B', signal), 0.9)
  assert.equal(await edge.presence('C', signal), 'present')
})

test('names that nobody can type are skipped, figures below 0 say nothing, texts keep to their line', async (t) => {
  const { edge } = await edgeOf(t, {
    regions: [
      ...['nul\u0000', 'A\nB', ' ', '', 'x'.repeat(201), '\ud800'].map((name) => region(name)),
      region('__proto__', { version: '1.9\u0000\n.0', request_rate: -1, bucket: { ratio: -5 } }),
      region('😀'),
    ],
  })
  const answer = await edge.regions(signal)
  assert.ok(answer.ok)
  assert.deepEqual(
    answer.regions.map(({ region: name }) => name),
    ['__proto__', '😀'],
  )
  const [odd] = answer.regions
  assert.deepEqual([odd?.version, odd?.requestRate, odd?.bucket], ['1.9  .0', null, null])
})
