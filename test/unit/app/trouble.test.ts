import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MINUTE, SECOND } from '../../../src/core/clock.ts'
import { firing, resolved } from '../../support/engine.ts'
import { RECEIVERS, startPlatforms } from './platforms.ts'

test('a page that PagerDuty does not confirm within 60 s goes to the fallback, once', async (t) => {
  const { slack, pagerduty, pass, ...platforms } = await startPlatforms(t)
  const claw = await platforms.claw()
  pagerduty.faults.set({ kind: 'status', status: 503 })
  await claw.send(firing())
  await claw.settle()
  pass(59 * SECOND)
  await claw.settle()
  assert.equal(slack.state.inChannel('C0ALERTS').length, 0)
  pass(SECOND)
  await claw.settle()
  await claw.settle()
  assert.equal(slack.state.inChannel('C0ALERTS').filter((one) => one.threadTs === null).length, 1)
  assert.match(JSON.stringify(slack.state.messages), /PagerDuty has not confirmed the page within 60 s/)

  pagerduty.faults.clear()
  pass(MINUTE)
  await claw.settle()
  assert.equal(pagerduty.state.pages.length, 1, 'the page itself is not given up')
  pass(MINUTE)
  await claw.settle()
  assert.equal(slack.state.inChannel('C0ALERTS').filter((one) => one.threadTs === null).length, 1)
})

test('a page that was confirmed tells no fallback, however long it rings', async (t) => {
  const { slack, pass, ...platforms } = await startPlatforms(t)
  const claw = await platforms.claw()
  await claw.send(firing())
  await claw.settle()
  pass(10 * MINUTE)
  await claw.settle()
  assert.equal(slack.state.inChannel('C0ALERTS').length, 0)
})

for (const kind of ['hang', 'status', 'rate_limit', 'reset'] as const) {
  test(`Slack answering with ${kind} delays neither page nor Telegram`, async (t) => {
    const { slack, telegram, pagerduty, ...platforms } = await startPlatforms(t)
    const claw = await platforms.claw()
    slack.faults.set({ kind, retryAfter: 30 })
    await claw.send(firing())
    await pagerduty.state.waitFor((state) => state.pages.length === 1)
    await telegram.state.waitFor((state) => state.messages.length === 1)
    await claw.send(firing({ service: 'other' }))
    await pagerduty.state.waitFor((state) => state.pages.length === 2)
    await telegram.state.waitFor((state) => state.messages.length === 2)
    assert.equal(slack.state.messages.length, 0)
  })
}

test('a message that somebody deleted is posted anew at the next change', async (t) => {
  const { slack, telegram, pass, ...platforms } = await startPlatforms(t)
  const claw = await platforms.claw()
  await claw.send(firing())
  await claw.settle()
  slack.state.remove(slack.state.messages[0] ?? assert.fail())
  telegram.state.remove(telegram.state.messages[0] ?? assert.fail())
  await claw.send(firing({ region: 'B' }))
  pass(SECOND)
  await claw.settle()
  pass(10 * SECOND)
  await claw.settle()
  const [message, ...others] = slack.state.messages.filter((one) => one.threadTs === null)
  assert.deepEqual(others, [])
  assert.match(message?.text ?? '', /A and B/)
  const [chat, ...rest] = telegram.state.messages.filter((one) => one.replyTo === null)
  assert.deepEqual(rest, [])
  assert.match(chat?.text ?? '', /A and B/)
})

test('a reload keeps incidents, messages and dedup; what it routes elsewhere is only what is new', async (t) => {
  const { slack, pagerduty, pass, ...platforms } = await startPlatforms(t)
  const claw = await platforms.claw()
  await claw.send(firing())
  await claw.settle()
  slack.faults.set({ kind: 'status', status: 503 })
  await claw.send(firing({ region: 'B' }))
  await claw.settle()
  await claw.reload(platforms.config(RECEIVERS.replaceAll('C0CRITICAL', 'C0OTHER')))
  slack.faults.clear()
  pass(MINUTE)
  await claw.settle()
  assert.equal(slack.state.inChannel('C0OTHER').length, 0)
  const [message] = slack.state.inChannel('C0CRITICAL')
  assert.match(message?.text ?? '', /A and B/, 'what waited at the reload was delivered after it')
  await claw.send(firing())
  await claw.settle()
  assert.equal(pagerduty.state.pages.length, 1)
  await claw.send(firing({ service: 'new' }))
  await claw.settle()
  assert.equal(slack.state.inChannel('C0OTHER').length, 1)
  assert.equal(slack.state.inChannel('C0CRITICAL').filter((one) => one.threadTs === null).length, 1)
})

test('a reload while a message is being sent waits for it and does not send it again', async (t) => {
  const { slack, pass, ...platforms } = await startPlatforms(t)
  const claw = await platforms.claw()
  slack.faults.set({ kind: 'slow', delayMs: 150, match: 'chat.postMessage', times: 1 })
  await claw.send(firing())
  await slack.state.waitFor((state) => state.requests.length === 1)
  await claw.reload(platforms.config(RECEIVERS))
  assert.equal(slack.state.messages.length, 1)
  await claw.send(firing({ region: 'B' }))
  pass(SECOND)
  await claw.settle()
  assert.equal(slack.state.messages.filter((one) => one.threadTs === null).length, 1)
  assert.match(slack.state.messages[0]?.text ?? '', /A and B/)
})

test('stopping records what is being sent; the next start repeats nothing and goes on', async (t) => {
  const { slack, telegram, pagerduty, pass, ...platforms } = await startPlatforms(t)
  const claw = await platforms.claw()
  for (const { faults } of [slack, telegram, pagerduty]) faults.set({ kind: 'slow', delayMs: 150 })
  await claw.send(firing())
  await slack.state.waitFor((state) => state.requests.length === 1)
  await claw.stop()
  await assert.rejects(claw.send(firing()))
  for (const { faults } of [slack, telegram, pagerduty]) faults.clear()
  assert.equal(slack.state.messages.length, 1)

  const next = await platforms.claw()
  pass(SECOND)
  await next.settle()
  await next.send(resolved())
  await next.settle()
  assert.equal(slack.state.messages.filter((one) => one.threadTs === null).length, 1)
  assert.equal(telegram.state.messages.filter((one) => one.replyTo === null).length, 1)
  assert.equal(pagerduty.state.pages.length, 1)
  assert.equal(pagerduty.state.byKey('claw/claw/1')?.status, 'resolved')
  assert.equal(slack.state.count('conversations.history'), 0, 'nothing was in doubt')
})

test('an answer that got lost leads to no second message anywhere', async (t) => {
  const { slack, telegram, pagerduty, pass, ...platforms } = await startPlatforms(t)
  const claw = await platforms.claw()
  for (const { faults } of [slack, telegram, pagerduty]) faults.set({ kind: 'reset_after', times: 1 })
  await claw.send(firing())
  await claw.settle()
  for (let n = 0; n < 5; n++) {
    pass(30 * SECOND)
    await claw.settle()
  }
  assert.equal(slack.state.messages.length, 1)
  assert.equal(telegram.state.messages.length, 1)
  assert.equal(pagerduty.state.pages.length, 1)
  for (const { state } of await claw.deliveries()) assert.equal(state, 'delivered')
})

test('lost Telegram messages of several incidents in one chat all find their owners', async (t) => {
  const { telegram, pass, ...platforms } = await startPlatforms(t)
  const claw = await platforms.claw()
  telegram.faults.set({ kind: 'reset_after', match: 'sendMessage', times: 2 })
  for (const service of ['one', 'two', 'three']) await claw.send(firing({ service }))
  for (let n = 0; n < 20; n++) {
    await claw.settle()
    pass(10 * SECOND)
  }
  assert.equal(telegram.state.messages.length, 3)
  for (const { reference, target, incidentId } of (await claw.deliveries()).filter((d) => d.kind === 'telegram')) {
    const service = (await claw.incidents())[incidentId - 1]?.keyLabels.service ?? assert.fail()
    assert.match(telegram.state.find(Number(target), Number(reference))?.text ?? '', new RegExp(service))
  }
})
