import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Router } from 'express'
import { z } from 'zod'
import { listen } from '../../../src/sandbox/listen.ts'
import { createWorld } from '../../../src/sandbox/world.ts'
import { capture, handClock } from './world-capture.ts'

const State = z.object({
  running: z.object({ name: z.string(), started_at: z.string(), ends_at: z.string() }).nullable(),
  speed: z.number(),
  tour: z.array(z.object({ done: z.boolean() })),
  edge: z.object({
    regions: z.array(z.object({ region: z.string(), up: z.boolean() })),
    history: z.array(z.object({ at: z.number(), levels: z.array(z.number().nullable()) })),
    faults: z.array(z.object({ mode: z.string() })),
  }),
  diary: z.array(z.object({ at: z.number(), who: z.string(), text: z.string(), times: z.number() })),
})

/** The world alone, a server in Claw's place. */
async function stage(t: TestContext) {
  const clock = handClock()
  const claw = await capture(clock)
  const world = createWorld({ clock, clawUrl: () => claw.url })
  const server = await listen(Router().use('/sandbox', world.router))
  t.after(async () => {
    await world.stop()
    await server.close()
    await claw.close()
  })
  const pass = async (seconds: number) => {
    for (let i = 0; i < seconds * 4; i++) {
      clock.add(250)
      await world.tick()
    }
  }
  const post = async (path: string, body: object) => {
    const headers = { 'Content-Type': 'application/json' }
    return (await fetch(`${server.url}/sandbox/${path}`, { method: 'POST', headers, body: JSON.stringify(body) }))
      .status
  }
  const look = async () => State.parse(await (await fetch(`${server.url}/sandbox/ui/state`)).json())
  return { clock, claw, world, pass, post, look }
}

const firstHook = (hooks: { at: number }[], since: number) => ((hooks[0]?.at ?? Number.NaN) - since) / 1_000

test('speed changes how long alerts take, at once', async (t) => {
  const slow = await stage(t)
  const fast = await stage(t)
  assert.equal(await slow.post('ui/speed', { factor: 5 }), 200)
  assert.equal(await fast.post('ui/speed', { factor: 20 }), 200)
  assert.deepEqual([(await slow.look()).speed, (await fast.look()).speed], [5, 20])
  const took = []
  for (const { clock, claw, world, pass } of [slow, fast]) {
    const since = clock()
    world.start('bad-canary')
    await pass(40)
    took.push(firstHook(claw.hooks(), since))
  }
  const [slowly = 0, quickly = 0] = took
  assert.ok(slowly > 1.5 * quickly, `${slowly} s at ×5, ${quickly} s at ×20`)
})

test('below ×10 a scenario is stretched, also one that runs; it goes on from where it is', async (t) => {
  const { clock, pass, post, look, world } = await stage(t)
  world.start('region-outage')
  await pass(20)
  await post('ui/speed', { factor: 5 })
  const { running } = await look()
  assert.equal((Date.parse(running?.ends_at ?? '') - Date.parse(running?.started_at ?? '')) / 1_000, 210)
  assert.equal((clock() - Date.parse(running?.started_at ?? '')) / 1_000, 40)
  await pass(18)
  assert.ok((await look()).edge.regions[0]?.up, 'the region dies at 30 of 105 s, so at 60 of 210 s')
  await pass(3)
  assert.equal((await look()).edge.regions[0]?.up, false)
  await post('ui/speed', { factor: 20 })
  const after = (await look()).running
  assert.equal((Date.parse(after?.ends_at ?? '') - Date.parse(after?.started_at ?? '')) / 1_000, 105)
})

test('the recorder tells of scenarios, webhooks and the edge in plain words, newest first', async (t) => {
  const { pass, look, world } = await stage(t)
  world.start('region-outage')
  await pass(45)
  world.edge.operations.reconcile(['B'], 'highest-capacity')
  await pass(6)
  const { diary, tour } = await look()
  const lines = diary.map(({ who, text }) => `${who} ${text}`)
  assert.match(lines.at(-1) ?? '', /^Scenario region-outage begins: A region’s bucket collapses/)
  assert.ok(lines.some((line) => /^Alertmanager sends \d+ alerts? firing \(.*TokenBucket.*stored on disk/.test(line)))
  assert.ok(lines.some((line) => /^The edge reconcile succeeded: /.test(line)))
  assert.ok(diary.every(({ at }, i) => i === 0 || at <= (diary[i - 1]?.at ?? 0) + 1_000))
  assert.equal(tour[0]?.done, true)
})

test('an edit that comes again is counted, not repeated', async (t) => {
  const { look, world } = await stage(t)
  const message = world.slack.state.userSays('C0CRITICAL', 'U0CLAW', 'one')
  for (let i = 0; i < 5; i++) world.slack.state.tell('edit', message)
  const edits = (await look()).diary.filter(({ text }) => text.startsWith('updates its message'))
  assert.deepEqual(
    edits.map(({ times }) => times),
    [5],
  )
})

test('the chart has a level a second for each region, none for one that is down, three minutes at most', async (t) => {
  const { pass, look, world } = await stage(t)
  world.start('region-outage')
  await pass(35)
  const { history } = (await look()).edge
  assert.ok(history.length >= 34 && history.length <= 36, String(history.length))
  assert.deepEqual(history.at(-1)?.levels[0], null)
  assert.ok((history.at(-1)?.levels[1] ?? 0) > 0.5)
  await pass(200)
  assert.equal((await look()).edge.history.length, 180)
})

test('a hostile text in the world stays one line of text', async (t) => {
  const { look, world } = await stage(t)
  world.slack.state.userSays('C0CRITICAL', 'U0DANA', '&lt;script&gt;\n\nalert(1) <https://a.example|<b>>'.repeat(50))
  const [line] = (await look()).diary
  assert.ok(line && !line.text.includes('\n') && line.text.length < 250)
})
