import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MINUTE, SECOND } from '../../../src/core/clock.ts'
import { firing, resolved } from '../../support/engine.ts'
import { startPlatforms } from './platforms.ts'

const tops = (messages: { threadTs: string | null }[]) => messages.filter((message) => message.threadTs === null)

test('one incident is one page, one Slack message and one Telegram message, edited in place to its end', async (t) => {
  const { slack, telegram, pagerduty, pass, ...platforms } = await startPlatforms(t)
  const claw = await platforms.claw()
  assert.equal(await claw.send(firing()), 200)
  await claw.settle()
  assert.equal(pagerduty.state.pages.length, 1)
  assert.equal(pagerduty.state.pages[0]?.dedup_key, 'claw/claw/1')
  const [message] = slack.state.inChannel('C0CRITICAL')
  const [chat] = telegram.state.inChat(-1001)
  assert.match(message?.text ?? '', /P1 · .*A.* · rating-api/)
  assert.match(chat?.text.split('\n')[0] ?? '', /P1 · .*A.* · rating-api/)
  assert.equal(slack.state.inChannel('C0ALERTS').length, 0)

  await claw.send(firing({ alertname: 'CrdtDriftHigh', severity: 'warning' }))
  pass(SECOND)
  await claw.settle()
  await claw.send(firing({ region: 'B' }))
  await claw.settle()
  pass(MINUTE)
  await claw.send(resolved(), resolved({ region: 'B' }), resolved({ alertname: 'CrdtDriftHigh', severity: 'warning' }))
  await claw.settle()
  pass(MINUTE)
  await claw.settle()

  assert.equal(tops(slack.state.messages).length, 1)
  assert.equal(telegram.state.messages.filter((one) => one.replyTo === null).length, 1)
  assert.ok((message?.edits ?? 0) >= 2)
  assert.match(message?.text ?? '', /Resolved/)
  assert.match(chat?.text ?? '', /Resolved/)
  assert.equal(pagerduty.state.pages.length, 1)
  assert.equal(pagerduty.state.byKey('claw/claw/1')?.status, 'resolved')
  const replies = slack.state.replies('C0CRITICAL', message?.ts ?? '')
  assert.ok(replies.length >= 2, 'worse, and over')
  assert.ok(replies.every((reply) => !reply.broadcast))
  assert.equal((await claw.incidents()).length, 1)
  for (const { state } of await claw.deliveries()) assert.equal(state, 'delivered')
})

test('twins, repeats and stale copies after the resolve send nothing', async (t) => {
  const { pagerduty, pass, ...platforms } = await startPlatforms(t)
  const claw = await platforms.claw()
  await claw.send(firing())
  await claw.settle()
  const before = platforms.requests()
  for (let n = 0; n < 5; n++) assert.equal(await claw.send(firing()), 200)
  // Less than the time to acknowledge, after which it would rightly be said again.
  pass(4 * MINUTE)
  await claw.send(firing())
  await claw.settle()
  assert.equal(platforms.requests(), before)
  await claw.send(resolved())
  await claw.settle()
  pass(MINUTE)
  await claw.settle()
  const end = platforms.requests()
  await claw.send(firing())
  pass(15 * SECOND)
  await claw.send(resolved())
  pass(2 * MINUTE)
  await claw.settle()
  assert.equal(platforms.requests(), end)
  assert.equal(pagerduty.state.pages.length, 1)
})

test('a recurrence pages again under the same key, and stays one message', async (t) => {
  const { slack, telegram, pagerduty, pass, ...platforms } = await startPlatforms(t)
  const claw = await platforms.claw()
  await claw.send(firing())
  await claw.settle()
  await claw.send(resolved())
  await claw.settle()
  pass(3 * MINUTE)
  await claw.send(firing({}, { startsAt: platforms.now() }))
  await claw.settle()
  pass(MINUTE)
  await claw.settle()
  assert.deepEqual(
    pagerduty.state.pages.map((page) => page.dedup_key),
    ['claw/claw/1', 'claw/claw/1'],
  )
  assert.equal(pagerduty.state.byKey('claw/claw/1')?.status, 'triggered')
  assert.equal(tops(slack.state.messages).length, 1)
  assert.equal(telegram.state.messages.filter((one) => one.replyTo === null).length, 1)
  assert.doesNotMatch(slack.state.messages[0]?.text ?? '', /Resolved/)
})

test('worse while acknowledged pages under a key of its own, and all keys resolve together', async (t) => {
  const { slack, pagerduty, pass, ...platforms } = await startPlatforms(t)
  const claw = await platforms.claw()
  await claw.send(firing())
  await claw.settle()
  await claw.acknowledge(1)
  await claw.settle()
  assert.equal(pagerduty.state.byKey('claw/claw/1')?.status, 'acknowledged')
  assert.match(JSON.stringify(slack.state.messages[0]), /Dana/)

  pass(MINUTE)
  await claw.send(firing({ alertname: 'ErrorRateHigh' }))
  pass(SECOND)
  await claw.settle()
  assert.equal(pagerduty.state.pages.length, 1, 'no worse, no page')

  await claw.send(firing({ region: 'B' }))
  await claw.settle()
  assert.deepEqual(
    pagerduty.state.pages.map((page) => page.dedup_key),
    ['claw/claw/1', 'claw/claw/1/1'],
  )
  pass(MINUTE)
  await claw.send(resolved(), resolved({ region: 'B' }), resolved({ alertname: 'ErrorRateHigh' }))
  await claw.settle()
  for (const key of ['claw/claw/1', 'claw/claw/1/1']) assert.equal(pagerduty.state.byKey(key)?.status, 'resolved')
  assert.equal(tops(slack.state.messages).length, 1)
})

test('worse while the page still rings changes its text only', async (t) => {
  const { pagerduty, ...platforms } = await startPlatforms(t)
  const claw = await platforms.claw()
  await claw.send(firing())
  await claw.settle()
  await claw.send(firing({ region: 'B' }))
  await claw.settle()
  assert.equal(pagerduty.state.pages.length, 1)
  assert.equal(pagerduty.state.byKey('claw/claw/1')?.triggers, 2)
  assert.match(pagerduty.state.byKey('claw/claw/1')?.event.payload?.summary ?? '', /A and B/)
})

test('a storm of 5 000 distinct alerts is ten incidents, ten pages and ten messages', async (t) => {
  const { slack, pagerduty, telegram, pass, ...platforms } = await startPlatforms(t)
  const claw = await platforms.claw()
  const alerts = Array.from({ length: 5_000 }, (_, n) => firing({ service: `svc-${n % 10}`, instance: `node-${n}` }))
  await Promise.all(Array.from({ length: 50 }, (_, n) => claw.send(...alerts.slice(n * 100, n * 100 + 100)))).then(
    (codes) => assert.deepEqual([...new Set(codes)], [200]),
  )
  for (let n = 0; n < 30; n++) {
    await claw.settle()
    pass(5 * SECOND)
  }
  assert.equal((await claw.incidents()).length, 10)
  assert.deepEqual(
    (await claw.incidents()).map(({ firing: count }) => count),
    Array.from({ length: 10 }, () => 500),
  )
  assert.equal(pagerduty.state.pages.length, 10)
  assert.equal(tops(slack.state.messages).length, 10)
  assert.equal(telegram.state.messages.filter((one) => one.replyTo === null).length, 10)
  assert.ok(platforms.requests() < 100, `${platforms.requests()} requests for ten incidents`)
  for (const { text } of telegram.state.messages) assert.match(text, /500/)
})
