import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MINUTE } from '../../../src/core/clock.ts'
import { firing, resolved } from '../../support/engine.ts'
import { startPlatforms } from './platforms.ts'

const NASTY = [
  '<!channel> <!here> <!subteam^S012345> <@U0DANA> <#C0CRITICAL>',
  '<http://evil.example|click> [click](http://evil.example) http://evil.example',
  '<a href="http://evil.example">click</a><b>bold</b></b></i>&lt;script&gt;',
  '@channel @everyone @dana_bot *bold* _it_ ~no~ `code` ```pre```',
  '{{ 7 | times: 7 }}{% include "secrets" %}{{ incident.pages }}{% raw %}',
  'nul \u0000 rtl \u202egnp.exe bell \u0007 half \ud800 zero\u200bwidth line\nbreak\r\n',
  '"><img src=x onerror=alert(1)>',
  'x'.repeat(20_000),
]

test('nothing that labels and annotations hold becomes a mention, a link, markup or template code', async (t) => {
  const { slack, telegram, pagerduty, pass, ...platforms } = await startPlatforms(t)
  const claw = await platforms.claw()
  for (const [n, nasty] of NASTY.entries()) {
    const labels = { alertname: nasty, service: `${nasty}${n}`, region: nasty, instance: nasty, [`n${n}`]: nasty }
    const annotations = {
      summary: nasty,
      description: nasty,
      runbook_url: `http://evil.example/|${nasty}`,
      graph_url: 'javascript:alert(1)',
    }
    assert.equal(await claw.send(firing(labels, { annotations, generatorURL: nasty })), 200)
    await claw.send(firing({ ...labels, region: `${nasty}2` }, { annotations, generatorURL: nasty }))
  }
  // Less than the 5 minutes after which the fallback joins.
  for (let n = 0; n < 50; n++) {
    await claw.settle()
    pass(5_000)
  }
  for (const [n, nasty] of NASTY.entries()) {
    const labels = { alertname: nasty, service: `${nasty}${n}`, region: nasty, instance: nasty, [`n${n}`]: nasty }
    await claw.send(resolved(labels), resolved({ ...labels, region: `${nasty}2` }))
  }
  for (let n = 0; n < 60; n++) {
    await claw.settle()
    pass(5_000)
  }
  pass(MINUTE)
  await claw.settle()

  const deliveries = await claw.deliveries()
  assert.equal(deliveries.length, NASTY.length * 3)
  for (const { kind, state, reason } of deliveries) assert.equal(state, 'delivered', `${kind}: ${reason}`)
  assert.equal(slack.state.messages.filter((one) => one.threadTs === null).length, NASTY.length)
  assert.equal(telegram.state.messages.filter((one) => one.replyTo === null).length, NASTY.length)
  assert.equal(pagerduty.state.pages.length, NASTY.length)

  for (const { text, blocks } of slack.state.messages) {
    for (const part of [text, ...strings(blocks)]) {
      for (const [special] of part.matchAll(/<[^>]*>/g)) {
        assert.match(special, /^<http:\/\/alertmanager:9093[^|]*\|/, `Slack would act on ${special}`)
      }
      assert.doesNotMatch(part, /(^|[\s(])@(channel|everyone|here)\b/, 'a mention')
      assert.doesNotMatch(part, /\b49\b/, 'a template ran')
    }
  }
  for (const { text, entities } of telegram.state.messages) {
    for (const entity of entities) {
      assert.ok(['bold', 'text_link'].includes(entity.type), entity.type)
      if (entity.type === 'text_link')
        assert.match(String((entity as { url?: string }).url), /^http:\/\/alertmanager:9093/)
    }
    assert.doesNotMatch(text, /(^|\s)@[a-z]\w{4,}/i, 'Telegram would mention')
    assert.doesNotMatch(text, /\bhttps?:\/\/evil/, 'Telegram would link')
    assert.doesNotMatch(text, /\b49\b/, 'a template ran')
  }
  for (const { event, title } of pagerduty.state.incidents) {
    assert.ok(title.length <= 1_024)
    assert.doesNotMatch(JSON.stringify(event.links ?? []), /evil|javascript/)
    assert.doesNotMatch(title, /\p{Cc}|[\u202a-\u202e]/u)
  }
})

function strings(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  if (typeof value !== 'object' || value === null) return []
  return Object.values(value).flatMap(strings)
}
