import assert from 'node:assert/strict'
import type http from 'node:http'
import { type TestContext, test } from 'node:test'
import { createEdgeAdmin, type EdgeAdminOptions } from '../../../../src/adapters/edge/admin.ts'
import type { EdgeAct } from '../../../../src/core/edge.ts'
import { ClawError } from '../../../../src/core/errors.ts'
import { deadAddress, json, type Seen, serve } from '../serve.ts'

const TOKEN = 'edge-token-secret'
const signal = new AbortController().signal
const WHO = { by: 'Dana', incident: '12' }
const RESET: EdgeAct = { kind: 'reset', region: 'A', ...WHO }

async function adminOf(
  t: TestContext,
  answer: (response: http.ServerResponse, seen: Seen) => void,
  options: Partial<EdgeAdminOptions> = {},
) {
  const server = await serve(t, answer)
  return { admin: createEdgeAdmin({ url: `${server.url}/edge`, token: TOKEN, ...options }), server }
}

/** The error's code and message, which must hold no secret. */
async function failureOf(promise: Promise<unknown>): Promise<[string, string]> {
  const error = await promise.then(
    () => assert.fail('it did not fail'),
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof ClawError, String(error))
  assert.ok(!error.message.includes(TOKEN) && !error.message.includes('127.0.0.1'), error.message)
  return [error.code, error.message]
}

test('each act: its call, its body, its key', async (t) => {
  const { admin, server } = await adminOf(t, (response) => json(response, 202, { operation: 'op_1' }))
  const acts: [EdgeAct, string, object][] = [
    [
      { kind: 'reconcile', regions: ['A', 'B'], policy: 'highest-capacity', ...WHO },
      'reconcile',
      { regions: ['A', 'B'], policy: 'highest-capacity', ...WHO },
    ],
    [RESET, 'buckets/reset', { region: 'A', ...WHO }],
    [
      { kind: 'capacity', region: 'A', factor: 1.5, ttlSeconds: 1_800, ...WHO },
      'buckets/capacity',
      { region: 'A', factor: 1.5, ttl_seconds: 1_800, by: 'Dana' },
    ],
    [
      { kind: 'scale', region: 'B', replicas: 6, ttlSeconds: 60, by: 'policy:standby', incident: null },
      'scale',
      { region: 'B', replicas: 6, ttl_seconds: 60, by: 'policy:standby', incident: null },
    ],
    [{ kind: 'revert', region: 'A', ...WHO }, 'versions/revert', { region: 'A', ...WHO }],
    [{ kind: 'failover', from: 'A', to: 'B', ...WHO }, 'failover', { from: 'A', to: 'B', ...WHO }],
  ]
  for (const [act, path, body] of acts) {
    assert.equal(await admin.start(act, `o9/${act.kind} é`, signal), 'op_1')
    const seen = server.seen.at(-1)
    assert.deepEqual([seen?.method, seen?.url], ['POST', `/edge/admin/v1/${path}`])
    assert.deepEqual(JSON.parse(seen?.body ?? ''), body)
    assert.equal(seen?.headers.authorization, `Bearer ${TOKEN}`)
    assert.equal(seen?.headers['idempotency-key'], `o9%2F${encodeURIComponent(act.kind)}%20%C3%A9`)
  }
})

test('what the edge answers, and what it means: code, its own words, advice', async (t) => {
  const table: [number, unknown, string, string][] = [
    [400, { detail: 'factor must be positive' }, 'invalid', 'answered 400: factor must be positive'],
    [401, { detail: `no ${TOKEN}` }, 'unauthorized', 'answered 401: no …; check edge.token'],
    [403, {}, 'unauthorized', 'answered 403; check edge.token'],
    [404, { title: 'No such region' }, 'not_found', 'answered 404: No such region'],
    [408, {}, 'unavailable', 'answered 408'],
    [409, { detail: 'a reset\n is\u0007 under\u202e way' }, 'conflict', 'answered 409: a reset is under way'],
    [422, 'text', 'invalid', 'answered 422'],
    [429, {}, 'unavailable', 'answered 429'],
    [500, {}, 'unavailable', 'answered 500'],
    [501, {}, 'unsupported', 'answered 501'],
    [503, { detail: 'x'.repeat(400) }, 'unavailable', `answered 503: ${'x'.repeat(299)}…`],
    [302, {}, 'invalid', 'answered 302; redirects are not followed, give the final address in edge.url'],
    [202, {}, 'unavailable', 'answered 202, but gave no operation to wait for'],
    [200, 'a page of some proxy', 'unavailable', 'answered 200, but gave no operation to wait for'],
  ]
  let next = table[0]
  const { admin } = await adminOf(t, (response) => json(response, next?.[0] ?? 500, next?.[1]))
  for (const row of table) {
    next = row
    assert.deepEqual(await failureOf(admin.start(RESET, 'k', signal)), [row[2], `Edge, reset of A: ${row[3]}`])
  }
})

test('no answer: unreachable, in time, stopped', async (t) => {
  const { admin: silent } = await adminOf(t, () => {}, { timeoutMs: 30 })
  assert.deepEqual(await failureOf(silent.start(RESET, 'k', signal)), [
    'timeout',
    'Edge, reset of A: no answer within 30 ms',
  ])
  assert.deepEqual(await failureOf(silent.regions(AbortSignal.abort())), [
    'timeout',
    'Edge, regions: stopped before it was sent',
  ])
  const dead = createEdgeAdmin({ url: await deadAddress(), token: TOKEN })
  assert.deepEqual(await failureOf(dead.operation('op_1', signal)), [
    'unavailable',
    'Edge, operation op_1: connection refused',
  ])
  assert.throws(() => createEdgeAdmin({ url: 'ftp://x', token: TOKEN }), /edge\.url is not an http/)
})

test('a lost answer: nothing is sent twice by itself; repeated by the caller, under the same key, it gives the first operation', async (t) => {
  const operations = new Map<string, string>()
  const { admin, server } = await adminOf(t, (response, seen) => {
    const key = String(seen.headers['idempotency-key'])
    const first = operations.get(key)
    if (first !== undefined) return json(response, 202, { operation: first })
    operations.set(key, `op_${operations.size + 1}`)
    response.socket?.destroy()
  })
  const [code] = await failureOf(admin.start(RESET, 'o9-reset', signal))
  assert.deepEqual([code, server.seen.length], ['unavailable', 1])
  assert.equal(await admin.start(RESET, 'o9-reset', signal), 'op_1')
  assert.deepEqual(
    server.seen.map((seen) => seen.headers['idempotency-key']),
    ['o9-reset', 'o9-reset'],
  )
})

test('an operation: state, progress, words', async (t) => {
  let body: object = { id: 'op/1', kind: 'reset', state: 'running', progress: 1.4, detail: 'filling\nA' }
  const { admin, server } = await adminOf(t, (response) => json(response, 200, body))
  assert.deepEqual(await admin.operation('op/1', signal), {
    id: 'op/1',
    kind: 'reset',
    state: 'running',
    progress: 1,
    detail: 'filling A',
    endedAt: null,
  })
  assert.equal(server.seen[0]?.url, '/edge/admin/v1/operations/op%2F1')
  body = { id: 'op_2', state: 'failed', ended_at: '2026-05-04T02:15:00Z' }
  assert.deepEqual(await admin.operation('op_2', signal), {
    id: 'op_2',
    kind: '',
    state: 'failed',
    progress: null,
    detail: '',
    endedAt: Date.UTC(2026, 4, 4, 2, 15),
  })
  body = { id: 'op_2', state: 'odd' }
  const [code, message] = await failureOf(admin.operation('op_2', signal))
  assert.deepEqual([code, message], ['unavailable', 'Edge, operation op_2: answered 200, but not with an operation'])
})

test('conflicts: bounded, with times; a malformed entry makes the list unusable', async (t) => {
  const one = { key: 'user:1', values: { A: 12, B: 7 }, since: '2026-05-04T02:15:00Z' }
  let conflicts: object[] = [one, { key: 'user:2', values: {}, since: null }, { ...one, key: 'user:3' }]
  const { admin, server } = await adminOf(t, (response) => json(response, 200, { conflicts }))
  assert.deepEqual(await admin.conflicts('A & B', 2, signal), [
    { key: 'user:1', values: { A: 12, B: 7 }, since: Date.UTC(2026, 4, 4, 2, 15) },
    { key: 'user:2', values: {}, since: null },
  ])
  assert.equal(server.seen[0]?.url, '/edge/admin/v1/conflicts?region=A+%26+B&limit=2')
  conflicts = []
  assert.deepEqual(await admin.conflicts(null, 5_000, signal), [])
  assert.equal(server.seen[1]?.url, '/edge/admin/v1/conflicts?limit=1000')
  conflicts = [one, { key: 'user:2', values: { A: 'many' } }]
  assert.equal((await failureOf(admin.conflicts(null, 10, signal)))[0], 'unavailable')
})

test('regions are fresh each time', async (t) => {
  let count = 0
  const { admin } = await adminOf(t, (response) => {
    count += 1
    json(response, 200, count > 2 ? {} : { regions: [{ region: 'A', canary_weight: count, receiving: true }] })
  })
  assert.equal((await admin.regions(signal))[0]?.canaryWeight, 1)
  assert.equal((await admin.regions(signal))[0]?.canaryWeight, 2)
  assert.equal((await failureOf(admin.regions(signal)))[0], 'unavailable')
})

test('a snapshot is taken, or this edge takes none', async (t) => {
  let status = 201
  const { admin, server } = await adminOf(t, (response) => json(response, status, { snapshot: 'snap_1' }))
  assert.equal(await admin.snapshot(['A'], 'Dana', null, 'k1', signal), 'snap_1')
  assert.deepEqual(JSON.parse(server.seen[0]?.body ?? ''), { regions: ['A'], by: 'Dana', incident: null })
  assert.equal(server.seen[0]?.headers['idempotency-key'], 'k1')
  status = 404
  assert.equal(await admin.snapshot(['A'], 'Dana', null, 'k2', signal), null)
  status = 500
  assert.equal((await failureOf(admin.snapshot(['A'], 'Dana', null, 'k3', signal)))[0], 'unavailable')
})

test('the canary weight: a PUT with a key; an empty answer will do', async (t) => {
  let status = 200
  const { admin, server } = await adminOf(t, (response) => response.writeHead(status).end())
  await admin.setCanary(0, 'policy:canary', 'o3-canary', signal)
  const [seen] = server.seen
  assert.deepEqual(
    [seen?.method, seen?.url, seen?.headers['idempotency-key']],
    ['PUT', '/edge/admin/v1/canary', 'o3-canary'],
  )
  assert.deepEqual(JSON.parse(seen?.body ?? ''), { weight: 0, by: 'policy:canary' })
  status = 409
  assert.deepEqual(await failureOf(admin.setCanary(0, 'Dana', 'k', signal)), [
    'conflict',
    'Edge, canary weight 0 %: answered 409',
  ])
})

test('health: of the whole edge, of a region by the edge, by itself first', async (t) => {
  const { admin, server } = await adminOf(t, (response, { url }) => {
    if (url.endsWith('region=A')) return json(response, 503, { detail: 'A does not serve' })
    if (url.endsWith('region=Z')) return json(response, 404, { detail: 'no region Z' })
    response.end('ok')
  })
  assert.deepEqual(await admin.health(null, signal), { serving: true, detail: 'answered 200' })
  assert.deepEqual(await admin.health('A', signal), { serving: false, detail: 'answered 503: A does not serve' })
  assert.deepEqual(await failureOf(admin.health('Z', signal)), [
    'not_found',
    'Edge, health of Z: answered 404: no region Z',
  ])
  assert.deepEqual(
    server.seen.map((seen) => seen.url),
    ['/edge/health', '/edge/health?region=A', '/edge/health?region=Z'],
  )
  const own = await serve(t, (response) => json(response, 200, {}))
  const regions = { A: { url: `${own.url}/a` }, B: { url: await deadAddress() } }
  const both = createEdgeAdmin({ url: `${server.url}/edge`, token: TOKEN, regions })
  assert.deepEqual(await both.health('A', signal), { serving: true, detail: 'answered 200' }, 'it says so itself')
  assert.equal(own.seen[0]?.url, '/a/health')
  assert.equal((await both.health('B', signal)).serving, true)
  assert.equal(server.seen.at(-1)?.url, '/edge/health?region=B', 'silent itself, so the edge is asked')
  const dead = createEdgeAdmin({ url: await deadAddress(), token: TOKEN })
  assert.equal((await failureOf(dead.health('A', signal)))[0], 'unavailable')
})
