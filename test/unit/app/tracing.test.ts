import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { type TestContext, test } from 'node:test'
import { Router } from 'express'
import { pino } from 'pino'
import { commandRoutes } from '../../../handlers/api/commands.ts'
import { start } from '../../../src/app.ts'
import { SECOND } from '../../../src/core/clock.ts'
import { createApi } from '../../../src/http/api.ts'
import { createSession } from '../../../src/http/session.ts'
import { createEdgeApi } from '../../../src/sandbox/edge/api.ts'
import { createEdge } from '../../../src/sandbox/edge.ts'
import { listen } from '../../../src/sandbox/listen.ts'
import { temporaryFolder } from '../../support/app.ts'
import { START } from '../../support/engine.ts'
import { loadedOf } from '../../support/policy.ts'
import { type Collector, collector, type SeenSpan, treeOf } from '../adapters/otel/collector.ts'
import { deadAddress, json, type Server, serve } from '../adapters/serve.ts'

const REMOTE = { trace: '0af7651916cd43dd8448eb211c80319c', span: 'b7ad6b7169203331' }
const TRACEPARENT = `00-${REMOTE.trace}-${REMOTE.span}-01`
const SECRETS = ['token-of-alertmanager', 'token-of-the-edge', 'token-of-Dana', 'value-of-a-label']

const ROUTES = (urls: readonly string[]) => `
receivers:
${urls.map((url, n) => `  - { name: team${n}, webhook: { url: ${url}/hook } }`).join('\n')}
  - { name: default }
route:
  receiver: default
  routes:
${urls.map((_, n) => `    - { receiver: team${n}, matchers: ['severity="critical"'], continue: true }`).join('\n')}
`

/** Claw as the program starts it, with an edge of the sandbox's, under a clock that moves by hand. */
async function setUp(t: TestContext, yaml: string, folder = temporaryFolder(t)) {
  let now = START
  const clock = () => now
  const edge = createEdge({ now: START, seed: 1 })
  const heard: { call: string; traceparent: string | undefined }[] = []
  const router = Router()
  router.use((req, _res, next) => {
    heard.push({ call: `${req.method} ${req.path}`, traceparent: req.get('traceparent') })
    next()
  })
  router.use(createEdgeApi({ edge, token: 'token-of-the-edge' }).router)
  const server = await listen(router)
  t.after(() => server.close())
  const logged: string[] = []
  const text = `
listen: 127.0.0.1:0
installation: prod
store: ${JSON.stringify(`sqlite:${folder}/claw.db`)}
alertmanager: { token: token-of-alertmanager }
edge: { url: ${server.url}, token: token-of-the-edge }
actions: { reconcile: { settle: 1s } }
people: [{ name: Dana, roles: [commander] }]
api: { tokens: { Dana: token-of-Dana } }
${yaml}`
  const tokens = () => ({ Dana: 'token-of-Dana' })
  const claw = await start(loadedOf(text), {
    log: pino({ level: 'debug' }, { write: (line: string) => void logged.push(line) }),
    clock,
    random: () => 1,
    pages: (_parts, run) =>
      Router().use(
        '/api/v1',
        createApi({ session: createSession({ tokens, clock, publicUrl: () => null }), routes: commandRoutes({ run }) }),
      ),
  })
  let stopped: Promise<void> | null = null
  const stop = () => {
    stopped ??= claw.stop()
    return stopped
  }
  t.after(stop)

  async function post(path: string, token: string, body: unknown, traceparent?: string): Promise<string> {
    const answer = await fetch(`${claw.url}${path}`, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        Authorization: `Bearer ${token}`,
        ...(traceparent === undefined ? {} : { traceparent }),
      },
      body: JSON.stringify(body),
    })
    const said = await answer.text()
    assert.equal(answer.status, 200, said)
    return said
  }
  return {
    ...claw,
    stop,
    heard,
    logged,
    pass(ms: number) {
      now += ms
      edge.step(ms)
    },
    alert: (fingerprint: string, traceparent?: string) =>
      post('/webhooks/alertmanager', 'token-of-alertmanager', webhook(fingerprint), traceparent),
    say: (text: string, traceparent?: string) =>
      post('/api/v1/commands', 'token-of-Dana', { text, confirm: true }, traceparent),
    async settle() {
      await claw.tick()
      for (;;) {
        let begun = 0
        for (const lane of claw.lanes()) begun += await lane.tick()
        if (begun === 0) return
      }
    },
  }
}

const webhook = (fingerprint: string) => ({
  version: '4',
  receiver: 'claw',
  alerts: [
    {
      status: 'firing',
      labels: {
        alertname: 'BucketEmpty',
        service: 'rating-api',
        severity: 'critical',
        region: 'A',
        fingerprint,
        who: SECRETS[3],
      },
      annotations: {},
      startsAt: new Date(START).toISOString(),
      endsAt: '0001-01-01T00:00:00Z',
      fingerprint: fingerprint.padStart(16, '0'),
    },
  ],
})

function only(spans: readonly SeenSpan[], name: string): SeenSpan {
  const [span, ...others] = spans.filter((one) => one.name === name)
  assert.ok(span && others.length === 0, `${name}: ${others.length + (span ? 1 : 0)} spans`)
  return span
}

function nothingSecret(sink: Collector, urls: readonly string[]): void {
  for (const { body } of sink.seen)
    for (const secret of [...SECRETS, ...urls]) assert.ok(!body.includes(secret), `${secret} is in a trace`)
}

const sinks = (t: TestContext): Promise<Server[]> =>
  Promise.all([0, 1].map(() => serve(t, (response) => json(response, 200, {}))))

const loaded = () =>
  Object.keys(createRequire(import.meta.url).cache).filter((file) => /@opentelemetry.(sdk|exporter|otlp)/.test(file))

// First: what is loaded once stays loaded. The API without anything behind it comes with prom-client.
test('off: nothing of OpenTelemetry is loaded, nothing is stored, and nobody is told of a trace', async (t) => {
  const hooks = await sinks(t)
  const claw = await setUp(t, ROUTES(hooks.map(({ url }) => url)))
  await claw.alert('A', TRACEPARENT)
  await claw.settle()
  await claw.say('ack 1', TRACEPARENT)
  await claw.settle()
  const [incident] = await claw.parts.store.incidents([1])
  assert.equal(incident && 'traces' in incident, false)
  await claw.stop()
  assert.deepEqual(loaded(), [])
  assert.ok(hooks.every(({ seen }) => seen.length > 0 && seen.every(({ headers }) => !headers.traceparent)))
  assert.ok(claw.heard.length > 0 && claw.heard.every(({ traceparent }) => traceparent === undefined))
})

test('one webhook to two destinations is one trace, and it is the one that the webhook came with', async (t) => {
  const sink = await collector(t)
  const hooks = await sinks(t)
  const claw = await setUp(t, `tracing: { endpoint: ${sink.url} }\n${ROUTES(hooks.map(({ url }) => url))}`)
  await claw.alert('A', TRACEPARENT)
  await claw.settle()
  await claw.stop()
  assert.notDeepEqual(loaded(), [], 'the check above can fail')
  const ours = sink.spans.filter(({ traceId }) => traceId === REMOTE.trace)
  assert.deepEqual(treeOf(ours, REMOTE.span), {
    'webhook alertmanager': {
      store: { 'deliver webhook:team0': { 'POST webhook': {} }, 'deliver webhook:team1': { 'POST webhook': {} } },
    },
  })
  for (const [n, hook] of hooks.entries()) {
    const deliver = only(ours, `deliver webhook:team${n}`)
    assert.deepEqual(deliver.attributes, {
      'claw.incident': 1,
      'claw.destination': `webhook:team${n}`,
      'claw.version': 1,
      'claw.attempt': 1,
      'claw.doubted': false,
      'claw.outcome': 'done',
    })
    const call = ours.find(({ parentSpanId }) => parentSpanId === deliver.spanId)
    assert.equal(hook.seen[0]?.headers.traceparent, `00-${REMOTE.trace}-${call?.spanId}-01`)
  }
  nothingSecret(
    sink,
    hooks.map(({ url }) => url),
  )
})

test('the trace goes on after a restart', async (t) => {
  const sink = await collector(t)
  const [hook] = await sinks(t)
  const folder = temporaryFolder(t)
  const dead = await setUp(t, `tracing: { endpoint: ${sink.url} }\n${ROUTES([await deadAddress()])}`, folder)
  await dead.alert('A', TRACEPARENT)
  await dead.stop()
  const tried = sink.spans.filter(({ name }) => name.startsWith('deliver')).length
  const claw = await setUp(t, `tracing: { endpoint: ${sink.url} }\n${ROUTES([hook?.url ?? ''])}`, folder)
  claw.pass(60 * SECOND)
  await claw.settle()
  await claw.stop()
  const [last, ...more] = sink.spans.filter(({ name }) => name.startsWith('deliver')).slice(tried)
  assert.deepEqual(more, [])
  assert.equal(last?.attributes['claw.outcome'], 'done')
  assert.deepEqual([last?.traceId, last?.parentSpanId], [REMOTE.trace, only(sink.spans, 'store').spanId])
})

test('webhooks that one message shows are linked; who began without a trace gets one', async (t) => {
  const sink = await collector(t)
  const [hook] = await sinks(t)
  const claw = await setUp(t, `tracing: { endpoint: ${sink.url} }\n${ROUTES([hook?.url ?? ''])}`)
  await claw.alert('A')
  await claw.settle()
  await claw.alert('B', TRACEPARENT)
  await claw.alert('C')
  claw.pass(5 * SECOND)
  await claw.settle()
  await claw.stop()
  const stores = sink.spans.filter(({ name }) => name === 'store')
  const [first, ...more] = sink.spans.filter(({ name }) => name === 'deliver webhook:team0')
  assert.equal(first?.parentSpanId, stores[0]?.spanId)
  assert.notEqual(first?.traceId, REMOTE.trace)
  const shown = more.find(({ links }) => links.length > 0)
  assert.equal(shown?.traceId, REMOTE.trace)
  assert.equal(shown?.parentSpanId, stores[1]?.spanId)
  assert.deepEqual(shown?.links, [{ traceId: stores[2]?.traceId, spanId: stores[2]?.spanId }])
})

test('a command, its transaction, the steps of its operation and their calls of the edge are one trace', async (t) => {
  const sink = await collector(t)
  const claw = await setUp(t, `tracing: { endpoint: ${sink.url} }`)
  await claw.alert('A')
  await claw.settle()
  const before = claw.heard.length
  assert.match(await claw.say('reconcile A', TRACEPARENT), /o1/)
  for (let n = 0; n < 60; n++) {
    await claw.settle()
    claw.pass(SECOND)
  }
  const run = await claw.parts.store.workflow(1)
  assert.equal(run?.state, 'succeeded', run?.outcome ?? '')
  await claw.stop()
  const ours = sink.spans.filter(({ traceId }) => traceId === REMOTE.trace)
  const command = only(ours, 'command reconcile')
  assert.equal(command.parentSpanId, REMOTE.span)
  assert.deepEqual(command.attributes, {
    'claw.command': 'reconcile',
    'claw.via': 'http',
    'claw.outcome': 'done',
    'claw.incident': 1,
  })
  const store = only(ours, 'store')
  assert.equal(store.parentSpanId, command.spanId)
  const steps = ours.filter(({ name }) => name === 'step reconcile')
  assert.ok(steps.every(({ parentSpanId }) => parentSpanId === store.spanId))
  const begun = steps.find(({ attributes }) => attributes['claw.step'] === 'reconcile: start')
  assert.deepEqual(begun?.attributes, {
    'claw.operation': 'reconcile',
    'claw.run': 'o1',
    'claw.step': 'reconcile: start',
    'claw.attempt': 1,
    'claw.incident': 1,
  })
  const call = ours.find(({ parentSpanId }) => parentSpanId === begun?.spanId)
  assert.equal(call?.name, 'POST edge')
  const asked = claw.heard.slice(before).find((one) => one.call === 'POST /admin/v1/reconcile')
  assert.equal(asked?.traceparent, `00-${REMOTE.trace}-${call?.spanId}-01`)
  nothingSecret(sink, [])
})

test('an acknowledgement reaches the edge in the trace of who acknowledged', async (t) => {
  const sink = await collector(t)
  const claw = await setUp(t, `tracing: { endpoint: ${sink.url} }`)
  await claw.alert('A')
  await claw.settle()
  claw.pass(SECOND)
  await claw.say('ack 1', TRACEPARENT)
  await claw.settle()
  await claw.stop()
  const ours = sink.spans.filter(({ traceId }) => traceId === REMOTE.trace)
  assert.deepEqual(treeOf(ours, REMOTE.span), {
    'command ack': { store: { 'deliver edge': { 'POST edge': {} } } },
  })
  const told = claw.heard.find(({ call }) => call === 'POST /admin/v1/acknowledgements')
  assert.equal(told?.traceparent, `00-${REMOTE.trace}-${only(ours, 'POST edge').spanId}-01`)
})

test('a collector that is away is told of once, and nothing waits for it', async (t) => {
  const sink = await collector(t)
  sink.refuse.push(...Array(50).fill(400))
  const [hook] = await sinks(t)
  const claw = await setUp(t, `tracing: { endpoint: ${sink.url} }\n${ROUTES([hook?.url ?? ''])}`)
  await claw.alert('A')
  await claw.settle()
  assert.equal(hook?.seen.length, 1)
  await claw.stop()
  const said = claw.logged.filter((line) => line.includes('tracing.endpoint'))
  assert.equal(said.length, 1)
  assert.match(said[0] ?? '', /answered 400/)
})
