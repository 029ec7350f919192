import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createPrometheus, quoted, selector } from '../../../../src/adapters/prometheus/prometheus.ts'
import { deadAddress, json, serve } from '../serve.ts'

const signal = new AbortController().signal
const vector = (...values: string[]) => ({
  status: 'success',
  data: {
    resultType: 'vector',
    result: values.map((value) => ({ metric: { region: 'A' }, value: [1_777_861_080.5, value] })),
  },
})

async function answering(t: TestContext, status: number, body: unknown, metric?: string) {
  const server = await serve(t, (response) => json(response, status, body))
  return {
    prometheus: createPrometheus({ url: `${server.url}/prom/`, ...(metric === undefined ? {} : { metric }) }),
    asked: () => {
      const url = new URL(server.seen.at(-1)?.url ?? '', server.url)
      return { path: url.pathname, query: url.searchParams.get('query'), time: url.searchParams.get('time') }
    },
  }
}

test('presence: series of the region', async (t) => {
  const { prometheus, asked } = await answering(t, 200, vector('3'))
  assert.equal(await prometheus.presence('A', signal), 'present')
  assert.deepEqual(asked(), {
    path: '/prom/api/v1/query',
    query: 'count by (region) (openclaw_token_bucket_available{region="A"})',
    time: null,
  })
  assert.equal(await prometheus.presence('', signal), 'present')
  assert.equal(asked().query, 'count(openclaw_token_bucket_available)')
})

test('presence: none', async (t) => {
  const { prometheus } = await answering(t, 200, vector())
  assert.equal(await prometheus.presence('A', signal), 'gone')
  assert.equal(await prometheus.bucketRatio('A', signal), null)
})

test('presence: anything but an answer is unreachable, and the level unknown', async (t) => {
  for (const [status, body] of [
    [503, {}],
    [400, { status: 'error', errorType: 'bad_data', error: 'parse error' }],
    [200, { status: 'error', errorType: 'x', error: 'y' }],
    [200, { status: 'success', data: { resultType: 'matrix', result: [] } }],
    [200, []],
    [200, null],
  ] as const) {
    const { prometheus } = await answering(t, status, body)
    assert.equal(await prometheus.presence('A', signal), 'unreachable', JSON.stringify(body))
    assert.equal(await prometheus.bucketRatio('A', signal), null)
  }
  const silent = await serve(t, () => {})
  for (const url of [silent.url, await deadAddress()]) {
    const prometheus = createPrometheus({ url, timeoutMs: 30 })
    assert.equal(await prometheus.presence('A', signal), 'unreachable')
    assert.equal(await prometheus.bucketRatio('A', signal), null)
  }
})

test('bucket ratio: the smallest of the series', async (t) => {
  const { prometheus, asked } = await answering(t, 200, vector('0.04'))
  assert.equal(await prometheus.bucketRatio('A', signal), 0.04)
  assert.equal(asked().query, 'min((openclaw_token_bucket_available{region="A"} >= 0) <= 1)')
  for (const value of ['NaN', '+Inf', '2', '-1', 'x']) {
    assert.equal(await (await answering(t, 200, vector(value))).prometheus.bucketRatio('A', signal), null, value)
  }
})

test('query: samples, scalars, a point in time', async (t) => {
  const { prometheus, asked } = await answering(t, 200, vector('1', '+Inf', '-Inf'))
  const result = await prometheus.query('up', 1_777_861_080_500)
  const at = 1_777_861_080_500
  const labels = { region: 'A' }
  assert.deepEqual(result, {
    ok: true,
    samples: [
      { labels, value: 1, at },
      { labels, value: Infinity, at },
      { labels, value: -Infinity, at },
    ],
  })
  assert.deepEqual([asked().query, asked().time], ['up', '1777861080.5'])
  const scalar = await answering(t, 200, { status: 'success', data: { resultType: 'scalar', result: [2, '7'] } })
  assert.deepEqual(await scalar.prometheus.query('7'), { ok: true, samples: [{ labels: {}, value: 7, at: 2_000 }] })
})

test('query: a refusal says what Prometheus said', async (t) => {
  const { prometheus } = await answering(t, 400, { status: 'error', errorType: 'bad_data', error: 'parse error' })
  assert.deepEqual(await prometheus.query('('), { ok: false, reason: 'Prometheus: answered 400: parse error' })
})

test('figure: the first value, null for none, errors thrown', async (t) => {
  for (const [values, figure] of [
    [['0.83', '7'], 0.83],
    [[], null],
    [['NaN'], null],
    [['+Inf'], null],
  ] as const) {
    const { prometheus, asked } = await answering(t, 200, vector(...values))
    assert.equal(await prometheus.figure('min(x)', signal), figure)
    assert.deepEqual([asked().query, asked().time], ['min(x)', null])
  }
  const table: [number, unknown, string, string][] = [
    [
      400,
      { status: 'error', errorType: 'bad_data', error: 'parse\nerror' },
      'invalid',
      'Prometheus: answered 400: parse error',
    ],
    [503, {}, 'unavailable', 'Prometheus: answered 503'],
    [200, {}, 'unavailable', 'Prometheus: the answer is no instant vector or scalar'],
  ]
  for (const [status, body, code, message] of table) {
    const { prometheus } = await answering(t, status, body)
    await assert.rejects(prometheus.figure('(', signal), { code, message })
  }
})

test('any text can be a region or a metric', () => {
  assert.equal(quoted('a"b\\c\nd\u0000é😀'), '"a\\"b\\\\c\\u000ad\\u0000é😀"')
  assert.equal(quoted('\ud800'), '"\\ufffd"')
  assert.equal(selector('m', 'A"} or vector(1) #'), 'm{region="A\\"} or vector(1) #"}')
  assert.equal(selector('m:x_1', ''), 'm:x_1')
  assert.equal(selector('my.metric', ''), '{__name__="my.metric"}')
  assert.equal(selector('my.metric', 'A'), '{__name__="my.metric",region="A"}')
})
