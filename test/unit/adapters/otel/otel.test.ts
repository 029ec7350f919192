import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { SpanExporter } from '@opentelemetry/sdk-trace-base'
import { exchange, requestOptions } from '../../../../src/adapters/http.ts'
import { quietly } from '../../../../src/adapters/otel/exporter.ts'
import { createOtelTracer, type OtelTracerOptions } from '../../../../src/adapters/otel/tracer.ts'
import { MINUTE } from '../../../../src/core/clock.ts'
import { ClawError } from '../../../../src/core/errors.ts'
import { json, serve } from '../serve.ts'
import { collector, treeOf } from './collector.ts'

const REMOTE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const SECRET = 'Bearer secret-of-the-collector'

function tracerOf(t: TestContext, endpoint: string, more: Partial<OtelTracerOptions> = {}) {
  const trouble: string[] = []
  const tracer = createOtelTracer({
    endpoint,
    headers: { Authorization: SECRET },
    sample: 1,
    installation: 'prod',
    version: '1.2.3',
    clock: () => 0,
    onTrouble: (reason, spans) => void trouble.push(`${reason}: ${spans}`),
    ...more,
  })
  t.after(() => tracer.stop(0))
  return { tracer, trouble }
}

/** One request as adapters make it. */
function get(url: string, traced?: string) {
  const { signal } = new AbortController()
  return exchange({ options: requestOptions('GET', new URL(url)), timeoutMs: 1_000, signal, maxBytes: null, traced })
}

test('a span goes on in the trace that it is given, and calls outside go on in it', async (t) => {
  const sink = await collector(t)
  const outside = await serve(t, (response) => json(response, 503, {}))
  const { tracer } = tracerOf(t, sink.url)
  assert.equal(tracer.current(), null)
  await tracer.span('command ack', { command: 'ack', incident: 12 }, REMOTE, async (span) => {
    assert.equal(tracer.current(), span.traceparent)
    assert.match(span.traceparent ?? '', /^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/)
    await get(`${outside.url}/secret-path`, 'edge')
    await get(outside.url)
    await tracer.apart(() => get(outside.url, 'edge'))
    span.set({ outcome: 'done' })
  })
  await tracer.stop(2_000)
  assert.equal(sink.seen[0]?.headers.authorization, SECRET)
  const [call, command, ...others] = sink.spans
  assert.deepEqual([others, call?.name, command?.name], [[], 'GET edge', 'command ack'])
  assert.equal(command?.parentSpanId, 'b7ad6b7169203331')
  assert.deepEqual(command?.attributes, { 'claw.command': 'ack', 'claw.incident': 12, 'claw.outcome': 'done' })
  assert.deepEqual([call?.traceId, call?.parentSpanId], [command?.traceId, command?.spanId])
  assert.deepEqual(
    [call?.kind, call?.status.code, call?.attributes],
    [3, 2, { 'http.request.method': 'GET', 'claw.peer': 'edge', 'http.response.status_code': 503 }],
  )
  assert.deepEqual(
    outside.seen.map(({ headers }) => headers.traceparent),
    [`00-${call?.traceId}-${call?.spanId}-01`, undefined, undefined],
  )
  assert.deepEqual(sink.resource(), {
    'service.name': 'claw',
    'service.instance.id': 'prod',
    'service.version': '1.2.3',
  })
})

test('what fails is thrown on, and told by its code alone', async (t) => {
  const sink = await collector(t)
  const { tracer } = tracerOf(t, `${sink.url}/v1/traces`)
  for (const error of [new ClawError('conflict', 'secret words'), new TypeError('secret words')])
    await assert.rejects(
      tracer.span('store', {}, null, () => Promise.reject(error)),
      error,
    )
  await tracer.stop(2_000)
  assert.deepEqual(
    sink.spans.map(({ attributes, status }) => [attributes['error.type'], status.code]),
    [
      ['conflict', 2],
      ['internal', 2],
    ],
  )
  assert.ok(!sink.seen.some(({ body }) => body.includes('secret words')))
})

test('what is not sampled is not recorded, and says so to whoever is asked; of a given trace its beginner decided', async (t) => {
  const sink = await collector(t)
  const outside = await serve(t, (response) => json(response, 200, {}))
  const { tracer } = tracerOf(t, sink.url, { sample: 0 })
  const ask = () => get(outside.url, 'edge').then(() => {})
  await tracer.span('ours', {}, null, ask)
  await tracer.span('theirs', {}, REMOTE, ask)
  await tracer.span('theirs, unsampled', {}, REMOTE.replace(/01$/, '00'), ask)
  await tracer.stop(2_000)
  assert.deepEqual(treeOf(sink.spans, 'b7ad6b7169203331'), { theirs: { 'GET edge': {} } })
  assert.equal(sink.spans.length, 2)
  assert.deepEqual(
    outside.seen.map(({ headers }) => String(headers.traceparent).slice(-2)),
    ['00', '01', '00'],
  )
})

test('a collector that refuses is told of without what it said, and nothing is in the way', async (t) => {
  const sink = await collector(t)
  sink.refuse.push(400)
  const { tracer, trouble } = tracerOf(t, sink.url)
  for (let n = 0; n < 5; n++) await tracer.span('x', {}, null, async () => {})
  await tracer.stop(2_000)
  assert.deepEqual(trouble, ['answered 400: 5'])
})

test('trouble is told once a minute, with what was lost meanwhile', () => {
  let now = 0
  const told: string[] = []
  let result: Parameters<Parameters<SpanExporter['export']>[1]>[0] = { code: 1, error: new Error('secret words') }
  const inner: SpanExporter = { export: (_spans, done) => done(result), shutdown: async () => {} }
  const exporter = quietly(
    inner,
    () => now,
    (reason, spans) => void told.push(`${reason}: ${spans}`),
  )
  const send = (spans: number) =>
    exporter.export(new Array(spans), ({ code }) => assert.equal(code, 0, 'nobody else is to report it'))
  send(3)
  assert.deepEqual(told, ['no answer in time: 3'])
  now = MINUTE - 1
  send(4)
  now = MINUTE
  result = { code: 1, error: Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:4318'), { code: 'ECONNREFUSED' }) }
  send(5)
  assert.deepEqual(told.slice(1), ['connection refused: 9'])
  now = 3 * MINUTE
  result = { code: 0 }
  send(6)
  assert.equal(told.length, 2)
})

test('a collector that hangs does not hold up the end', async (t) => {
  const sink = await collector(t)
  sink.refuse.push(0)
  const { tracer } = tracerOf(t, sink.url)
  await tracer.span('x', {}, null, async () => {})
  const began = performance.now()
  await tracer.stop(50)
  assert.ok(performance.now() - began < 1_000)
})

test('credentials in the endpoint become a header, and are not sent twice', async (t) => {
  const sink = await collector(t)
  const endpoint = sink.url.replace('http://', 'http://me:p%40ss@')
  const { tracer } = tracerOf(t, endpoint, { headers: {} })
  await tracer.span('x', {}, null, async () => {})
  await tracer.stop(2_000)
  assert.equal(sink.seen[0]?.headers.authorization, `Basic ${Buffer.from('me:p@ss').toString('base64')}`)
})
