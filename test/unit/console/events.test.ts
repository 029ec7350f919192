import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { test } from 'node:test'
import { createFeed } from '../../../src/console/events.ts'
import { POLICY, pageOf } from './reader.ts'
import { startRig } from './rig.ts'

type Rig = Awaited<ReturnType<typeof startRig>>

/** An open stream; `next` waits for the next text that comes. */
async function listen(rig: Rig, cookie: string, headers: Record<string, string> = {}) {
  const res = await rig.browse('/events', cookie, undefined, headers)
  const reader = res.body?.pipeThrough(new TextDecoderStream()).getReader()
  assert.ok(reader)
  return { res, next: async () => (await reader.read()).value ?? null, cancel: () => reader.cancel() }
}

test('a page hears that something changed, once for all that happened meanwhile', async (t) => {
  const rig = await startRig(t)
  const cookie = await rig.signIn()
  const { res, next } = await listen(rig, cookie)
  assert.equal(res.headers.get('content-type'), 'text/event-stream; charset=utf-8')
  assert.equal(res.headers.get('content-security-policy'), POLICY)
  assert.equal(await next(), 'retry: 2000\n: hello\n\n')
  await rig.feed.tick()
  await rig.fire({ labels: { service: 'a' } })
  await rig.fire({ labels: { service: 'b' } })
  await Promise.all([rig.feed.tick(), rig.feed.tick()])
  assert.match((await next()) ?? '', /^id: 1\nevent: changed\ndata: \d+\n\n$/)
  await rig.feed.tick()
  rig.time.now += 15_000
  await rig.feed.tick()
  assert.equal(await next(), ': still here\n\n', 'quiet: a comment, no event')
  rig.time.now += 15_000
  await rig.feed.tick()
  assert.match((await next()) ?? '', /event: changed/, 'ages are made anew')
})

test('who comes back after a break looks again at once', async (t) => {
  const rig = await startRig(t)
  const { next } = await listen(rig, await rig.signIn(), { 'last-event-id': '4' })
  assert.match((await next()) ?? '', /event: changed/)
})

test('many pages are told in turn, so that they do not all fetch themselves at once', async () => {
  let [digest, now] = ['old', 0]
  const feed = createFeed({
    digest: async () => digest,
    clock: () => now,
    onError: (error) => assert.fail(String(error)),
    timer: false,
  })
  const told: number[] = []
  const open = (n: number, headers: Record<string, string>) => {
    const write = (text: string) => text.includes('event: changed') && told.push(n)
    const res = { setHeader() {}, flushHeaders() {}, on() {}, end() {}, write, writableLength: 0 }
    assert.ok(feed.open({ headers } as IncomingMessage, res as unknown as ServerResponse, 'Dana', () => true))
  }
  const round = async () => {
    told.length = 0
    now += 1000
    await feed.tick()
    return [...told].sort((a, b) => a - b)
  }
  for (let n = 0; n < 12; n++) open(n, {})
  assert.deepEqual(await round(), [])
  digest = 'new'
  assert.deepEqual(await round(), [0, 1, 2, 3, 4])
  assert.deepEqual(await round(), [5, 6, 7, 8, 9])
  digest = 'newer'
  assert.deepEqual(
    await round(),
    [0, 10, 11, 1, 2].sort((a, b) => a - b),
    'who was told longest ago comes first',
  )
  // After a restart all come back together.
  told.length = 0
  for (let n = 12; n < 18; n++) open(n, { 'last-event-id': '4' })
  assert.deepEqual(told, [])
  const rest = [...(await round()), ...(await round()), ...(await round())]
  assert.deepEqual(
    rest.sort((a, b) => a - b),
    [3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 17],
  )
  assert.deepEqual(await round(), [])
})

test('connections are bounded, end with the session, and with Claw', async (t) => {
  const rig = await startRig(t)
  await pageOf(await rig.browse('/events'), 401)
  const dana = await rig.signIn()
  const kim = await rig.signIn('kim-token')
  const open = []
  for (let n = 0; n < 20; n++) open.push(await listen(rig, dana))
  const more = await rig.browse('/events', dana)
  assert.equal(more.headers.get('retry-after'), '30')
  await pageOf(more, 503)
  const other = await listen(rig, kim)
  await other.next()
  assert.equal(rig.feed.size, 21)
  rig.tokens.Dana = 'another'
  await rig.feed.tick()
  assert.equal(rig.feed.size, 1)
  for (const one of open) {
    await one.next()
    assert.equal(await one.next(), null)
  }
  rig.feed.close()
  assert.equal(await other.next(), null)
  assert.equal(rig.feed.size, 0)
  await pageOf(await rig.browse('/events', kim), 503)
})

test('a live page whose session is over loads itself anew instead of emptying itself', async (t) => {
  const rig = await startRig(t)
  const res = await rig.browse('/', '', undefined, { 'hx-request': 'true' })
  assert.deepEqual([res.status, res.headers.get('hx-refresh'), await res.text()], [401, 'true', ''])
})

test('a live page fetches itself without what was said once', async (t) => {
  const rig = await startRig(t)
  const cookie = await rig.signIn()
  const html = await pageOf(await rig.browse('/deliveries?state=dead&answer=x', cookie))
  assert.match(html, /hx-get="\/deliveries\?state=dead" hx-trigger="sse:changed" hx-target="#live"/)
  assert.match(html, /"allowEval":false,"includeIndicatorStyles":false/)
})
