import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { Router } from 'express'
import { Faults } from '../../../src/sandbox/faults.ts'
import { createFront } from '../../../src/sandbox/front.ts'
import { type Listening, listen } from '../../../src/sandbox/listen.ts'
import { Recorder, RING } from '../../../src/sandbox/recorder.ts'

/** A platform of one method that counts. */
function counter() {
  const state = new Recorder(() => 1_000)
  const faults = new Faults((status, retryAfter) => ({ status, retryAfter }), 7)
  const router = Router()
  let effects = 0
  const nameOf = (req: { path: string }) => req.path.slice(1)
  const snapshot = () => ({ effects })
  router.use(createFront({ state, faults, nameOf, snapshot, reset: () => faults.reset(), limit: 1_000 }))
  router.post('/:method', (_req, res) => {
    effects++
    state.tell('effect')
    res.json({ effects })
  })
  return { state, faults, router, effects: () => effects }
}

describe('faults', () => {
  let fake: ReturnType<typeof counter>
  let server: Listening
  const call = (name = 'add', body: unknown = {}) =>
    fetch(`${server.url}/${name}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })

  beforeEach(async () => {
    fake = counter()
    server = await listen(fake.router)
  })
  afterEach(async () => {
    fake.faults.reset()
    await server.close()
  })

  it('answers status and rate_limit in the platform’s words, without processing', async () => {
    fake.faults.set({ kind: 'status', status: 502, times: 1 })
    const broken = await call()
    assert.equal(broken.status, 502)
    assert.deepEqual(await broken.json(), { status: 502, retryAfter: null })
    fake.faults.set({ kind: 'rate_limit', retryAfter: 7, times: 1 })
    const limited = await call()
    assert.equal(limited.status, 429)
    assert.equal(limited.headers.get('retry-after'), '7')
    assert.equal(fake.effects(), 0)
    assert.equal((await call()).status, 200)
    assert.deepEqual(
      fake.state.requests.map((r) => r.fault),
      ['status', 'rate_limit', null],
    )
  })

  it('tells a reset before processing from a lost answer', async () => {
    fake.faults.set({ kind: 'reset', times: 1 })
    await assert.rejects(call())
    assert.equal(fake.effects(), 0)
    fake.faults.set({ kind: 'reset_after', times: 1 })
    await assert.rejects(call())
    assert.equal(fake.effects(), 1)
    await fake.state.waitFor((s) => s.requests.length === 2)
    assert.deepEqual(
      fake.state.requests.map((r) => [r.fault, r.status]),
      [
        ['reset', null],
        ['reset_after', null],
      ],
    )
  })

  it('answers HTML with 200', async () => {
    fake.faults.set({ kind: 'html' })
    const response = await call()
    assert.equal(response.status, 200)
    assert.match(response.headers.get('content-type') ?? '', /text\/html/)
    assert.equal(fake.effects(), 0)
  })

  it('holds slow requests until clear() lets them go on', async () => {
    fake.faults.set({ kind: 'slow', delayMs: 600_000 })
    const pending = call()
    await fake.state.waitFor(() => fake.faults.held === 1)
    assert.equal(fake.effects(), 0)
    fake.faults.clear()
    assert.equal((await pending).status, 200)
    assert.equal(fake.effects(), 1)
  })

  it('cuts hanging and slow requests on reset()', async () => {
    fake.faults.set({ kind: 'slow', delayMs: 600_000, match: 'slow' })
    fake.faults.set({ kind: 'hang', match: 'hang' })
    const pending = [call('hang'), call('slow')]
    const outcome = Promise.allSettled(pending)
    await fake.state.waitFor(() => fake.faults.held === 2)
    fake.faults.reset()
    assert.deepEqual(
      (await outcome).map((o) => o.status),
      ['rejected', 'rejected'],
    )
    assert.equal(fake.faults.held, 0)
    assert.equal(fake.effects(), 0)
  })

  it('forgets a held request whose client went away', async () => {
    fake.faults.set({ kind: 'hang' })
    const abort = new AbortController()
    const pending = fetch(`${server.url}/add`, { method: 'POST', signal: abort.signal })
    const outcome = Promise.allSettled([pending])
    await fake.state.waitFor(() => fake.faults.held === 1)
    abort.abort()
    await outcome
    await fake.state.waitFor(() => fake.faults.held === 0)
  })

  it('tries the newest rule first, and only where it matches', async () => {
    fake.faults.set({ kind: 'status', status: 500 })
    fake.faults.set({ kind: 'status', status: 504, match: /^edit$/ })
    fake.faults.set({ kind: 'status', status: 507, match: (r) => (r.body as { n?: number }).n === 3 })
    const statuses = [(await call()).status, (await call('edit')).status, (await call('add', { n: 3 })).status]
    assert.deepEqual(statuses, [500, 504, 507])
  })

  it('draws the same probabilities after a reset', async () => {
    const round = async () => {
      fake.faults.set({ kind: 'status', probability: 0.5 })
      const statuses: number[] = []
      for (let i = 0; i < 16; i++) statuses.push((await call()).status)
      fake.faults.reset()
      return statuses
    }
    const first = await round()
    assert.deepEqual(await round(), first)
    assert.ok(first.includes(200) && first.includes(503))
  })

  it('is driven over HTTP, unrecorded and unhit', async () => {
    const json = { 'content-type': 'application/json' }
    const post = (body: string, headers = json) => fetch(`${server.url}/faults`, { method: 'POST', headers, body })
    assert.equal((await post('[{"kind":"status","times":1},{"kind":"html","match":"x"}]')).status, 201)
    assert.equal((await post('{"kind":"explode"}')).status, 400)
    assert.equal((await post('{"kind":"status"', json)).status, 400)
    // Text is what a foreign page could send without a pre-flight.
    assert.equal((await post('{"kind":"status"}', { 'content-type': 'text/plain' })).status, 400)
    assert.equal(fake.faults.rules.length, 2)
    assert.equal((await call()).status, 503)
    const state = (await (await fetch(`${server.url}/state`)).json()) as {
      effects: number
      requests: unknown[]
      hits: number
    }
    assert.deepEqual([state.effects, state.requests.length, state.hits], [0, 1, 1])
    assert.equal((await fetch(`${server.url}/faults`, { method: 'DELETE' })).status, 204)
    assert.equal(fake.faults.rules.length, 0)
  })

  it('refuses a body over the limit', async () => {
    assert.equal((await call('add', 'x'.repeat(2_000))).status, 413)
    assert.equal(fake.effects(), 0)
  })
})

describe('recorder', () => {
  const request = { name: 'a', method: 'POST', path: '/a', body: {} }

  it('keeps a bounded ring of requests', () => {
    const recorder = new Recorder(() => 0)
    for (let i = 0; i < RING + 5; i++) recorder.record(request)
    assert.equal(recorder.requests.length, RING)
    assert.equal(recorder.requests[0]?.seq, 6)
  })

  it('waits for what events bring, and says what it saw when nothing comes', async () => {
    const recorder = new Recorder(() => 0)
    const two = recorder.waitFor((s) => s.requests.length === 2 && 'two')
    recorder.record(request)
    recorder.record(request)
    assert.equal(await two, 'two')
    await assert.rejects(
      recorder.waitFor(() => false, 1),
      { code: 'timeout', message: /last requests: a unanswered/ },
    )
    assert.equal(recorder.events.listenerCount('change'), 0)
  })
})

describe('listen', () => {
  it('closes sockets in use', async () => {
    const router = Router()
    let arrived = () => {}
    const there = new Promise<void>((resolve) => {
      arrived = resolve
    })
    router.get('/', () => arrived())
    const server = await listen(router)
    const outcome = Promise.allSettled([fetch(server.url)])
    await there
    await server.close()
    assert.equal((await outcome)[0]?.status, 'rejected')
    await assert.rejects(fetch(server.url))
    await server.close()
  })
})
