import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { SECOND } from '../../../src/core/clock.ts'
import { firing, resolved } from '../../support/engine.ts'
import { KEY, MINUTE, type Rig, readBlocks, readTelegram, SLACK, startRig, TEXTS } from './rig.ts'

async function opened(t: TestContext): Promise<Rig> {
  const rig = await startRig(t)
  await rig.settle()
  await rig.alert(firing({}, TEXTS))
  await rig.settle()
  rig.pass(30 * SECOND)
  return rig
}

/** Silent edits come a second after what they tell. */
async function shownSoon(rig: Rig): Promise<void> {
  await rig.settle()
  rig.pass(SECOND)
  await rig.settle()
}

function both(rig: Rig, expected: RegExp): void {
  const message = rig.slackMessage()
  assert.match(`${message.text}\n${readBlocks(message.blocks)}`, expected)
  assert.match(readTelegram(rig.telegramMessage()), expected)
}

const events = (rig: Rig): string[] => rig.pagerduty.accepted.map((event) => event.event_action)

test('a resolve on the phone resolves everywhere, and is not sent back', async (t) => {
  const rig = await opened(t)
  await rig.pagerduty.resolve(KEY, 'Lee')
  await rig.settle()
  both(rig, /Resolved by Lee/)
  rig.pass(MINUTE)
  await rig.alert(resolved({}, TEXTS))
  await shownSoon(rig)
  both(rig, /Nothing to do\./)
  for (let round = 0; round < 5; round++) {
    rig.pass(40 * SECOND)
    await rig.settle()
  }
  assert.equal(rig.pagerduty.pages.length, 1)
  assert.ok(events(rig).length <= 2, events(rig).join())
})

test('an acknowledgement taken back on the phone is open again everywhere', async (t) => {
  const rig = await opened(t)
  await rig.pagerduty.acknowledge(KEY, 'Dana')
  await rig.settle()
  both(rig, /Acknowledged by Dana/)
  rig.pass(MINUTE)
  await rig.pagerduty.unacknowledge(KEY, 'Dana')
  await shownSoon(rig)
  both(rig, /not acknowledged yet/)
  both(rig, /\[Acknowledge\]/)
  assert.equal(rig.pagerduty.byKey(KEY)?.status, 'triggered')
  assert.equal(rig.pagerduty.pages.length, 1)
  // Taken again in a chat, it stops ringing on the phone at once.
  await rig.slackSays(SLACK.lee, 'ack 1')
  await rig.settle()
  both(rig, /Acknowledged by Lee/)
  assert.equal(rig.pagerduty.byKey(KEY)?.status, 'acknowledged')
})

test('a note on the phone is read in both chats; ours in PagerDuty names who wrote it', async (t) => {
  const rig = await opened(t)
  // The first look at the edge is told in the threads before that; quiet lines wait a minute for each other.
  rig.pass(2 * MINUTE)
  await rig.settle()
  await rig.pagerduty.annotate(KEY, 'the deploy of 02:10 looks guilty', 'Lee')
  await shownSoon(rig)
  assert.match(rig.telegramMessage().text, /Lee.*the deploy of 02:10 looks guilty/)
  const thread = rig.slack.replies(rig.slackMessage().channel, rig.slackMessage().ts)
  assert.ok(thread.some(({ blocks }) => /Lee.*the deploy of 02:10 looks guilty/.test(readBlocks(blocks))))
  await rig.slackSays(SLACK.dana, 'ack 1 on it')
  await rig.pagerduty.waitFor((state) => state.byKey(KEY)?.notes.length === 2)
  const notes = rig.pagerduty.byKey(KEY)?.notes.map(({ content }) => content) ?? []
  assert.equal(notes.filter((text) => /Acknowledged by Dana/.test(text)).length, 1)
  assert.equal(notes.filter((text) => /looks guilty/.test(text)).length, 1, 'not written back')
})

test('resolved here while somebody acknowledges there: it stays resolved, on all three', async (t) => {
  const rig = await opened(t)
  await rig.alert(firing({}, TEXTS))
  const done = await rig.terminal('Dana', 'resolve 1', { confirm: true })
  assert.equal(done.ok, true)
  // The phone was quicker than our resolve.
  await rig.pagerduty.acknowledge(KEY, 'Lee').catch(() => null)
  await rig.settle()
  rig.pass(MINUTE)
  await rig.settle()
  both(rig, /Resolved by Dana/)
  assert.equal(rig.pagerduty.byKey(KEY)?.status, 'resolved')
})
