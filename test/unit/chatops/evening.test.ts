import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { SECOND } from '../../../src/core/clock.ts'
import { firing, resolved } from '../../support/engine.ts'
import {
  CHANNEL,
  configOf,
  GROUP,
  KEY,
  MINUTE,
  type Rig,
  readBlocks,
  readTelegram,
  SLACK,
  startRig,
  TELEGRAM,
  TEXTS,
} from './rig.ts'

const MAIN = fileURLToPath(new URL('../../../src/main.ts', import.meta.url))

/** What both chats say of the incident now. */
function shown(rig: Rig): { slack: string; telegram: string } {
  const message = rig.slackMessage()
  return { slack: `${message.text}\n${readBlocks(message.blocks)}`, telegram: readTelegram(rig.telegramMessage()) }
}

function both(rig: Rig, expected: RegExp): void {
  const { slack, telegram } = shown(rig)
  assert.match(slack, expected)
  assert.match(telegram, expected)
}

/** `claw audit verify` on this Claw's database. */
function verify(rig: Rig): Promise<{ code: number; said: string }> {
  const config = `${rig.folder}/claw.yaml`
  writeFileSync(config, configOf('http://127.0.0.1:1', rig.database, {}))
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, 'audit', 'verify', '--config', config], (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), said: stdout + stderr }),
    )
  })
}

async function opened(t: TestContext, rigged: Parameters<typeof startRig>[1] = {}): Promise<Rig> {
  const rig = await startRig(t, rigged)
  await rig.settle()
  await rig.alert(firing({}, TEXTS))
  await rig.settle()
  return rig
}

test('a scripted evening reads well in both chats, and the audit trail tells the same story', async (t) => {
  const rig = await startRig(t)
  const { pagerduty, slack, telegram } = rig
  await rig.settle()

  // -- nothing is wrong
  const quiet = await rig.slackSays(SLACK.dana, '')
  assert.equal(quiet.text, 'All quiet: no incident is open.')

  // -- 02:15 the page
  await rig.alert(firing({}, TEXTS))
  await rig.settle()
  assert.deepEqual(
    pagerduty.pages.map((page) => page.dedup_key),
    [KEY],
  )
  both(rig, /P1 · Bucket nearly empty in A · rating-api/)
  both(rig, /not acknowledged yet/)
  both(rig, /Next:\*? Acknowledge it, then look at the graph/)
  both(rig, /\[Acknowledge\]/)

  // -- 02:16 acknowledged on the phone: both chats say who within one round
  rig.pass(MINUTE)
  assert.equal(await pagerduty.acknowledge(KEY, 'Dana'), 200)
  await rig.settle()
  both(rig, /Acknowledged by Dana at 02:16 UTC/)
  both(rig, /Dana is on it/)
  assert.doesNotMatch(shown(rig).slack, /\[Acknowledge\]/)
  assert.doesNotMatch(shown(rig).telegram, /\[Acknowledge\]/)

  // -- what is going on?
  rig.pass(20 * SECOND)
  const status = readBlocks((await rig.slackSays(SLACK.dana, 'status')).blocks)
  assert.match(status, /^\*1 incident open, worst P1: Bucket nearly empty in A · rating-api\.\*$/m)
  assert.match(status, /^Incident 1 · since 02:15 UTC · Dana is on it$/m)
  assert.match(status, /^A +healthy +█████ \d+ % /m)
  assert.equal(status.split('Bucket nearly empty').length, 2, 'said once')
  const asked = await rig.telegramSays(TELEGRAM.lee, '/status')
  assert.match(asked.text, /1 incident open, worst P1: Bucket nearly empty in A/)
  assert.match(asked.text, /Dana is on it/)

  // -- silenced by a button; the modal says exactly what will happen
  rig.pass(20 * SECOND)
  const modal = await rig.slackAsks(SLACK.dana, rig.slackMessage(), 'claw:silence')
  assert.match(
    readBlocks(modal.view.blocks),
    /Silence incident 1 .* for 1h \(until 03:16 UTC\): mutes 1 alert in 1 region, one critical\. A region that joins later still pages\. It still resolves in PagerDuty\./,
  )
  const silenced = await rig.slackConfirms(SLACK.dana, modal, 'known, fix is rolling out')
  assert.equal(silenced.text, 'Silenced incident 1 until 03:16 UTC (s1).')
  rig.pass(SECOND)
  await rig.settle()
  assert.match(shown(rig).telegram, /Silenced until 03:16 UTC by Dana: known, fix is rolling out/)
  // At most one reply a minute in Slack's thread.
  rig.pass(MINUTE)
  await rig.settle()
  const thread = () => slack.replies(CHANNEL, rig.slackMessage().ts).map(({ blocks }) => readBlocks(blocks))
  assert.ok(thread().some((text) => /Silenced until 03:16 UTC by Dana/.test(text)))

  // -- a repeat of the silenced alert says nothing; a second region wakes somebody, under a page of its own
  await rig.alert(firing({}, TEXTS))
  await rig.settle()
  assert.equal(pagerduty.pages.length, 1)
  await rig.alert(firing({ region: 'B' }, { ...TEXTS, startsAt: rig.now() - SECOND }))
  await rig.settle()
  assert.deepEqual(
    pagerduty.pages.map((page) => page.dedup_key),
    [KEY, `${KEY}/1`],
  )
  both(rig, /Bucket nearly empty in A and B/)
  both(rig, /It got worse after the acknowledgement/)

  // -- taken in Telegram by the button
  rig.pass(10 * SECOND)
  const taken = await rig.telegramPresses(TELEGRAM.lee, rig.telegramMessage(), 'ack 1')
  assert.match(taken.text, /^You have incident 1 /)
  assert.match(taken.text, /It was Dana's before\./)
  await rig.settle()
  both(rig, /Acknowledged by Lee at 02:18 UTC/)
  assert.equal(pagerduty.byKey(`${KEY}/1`)?.status, 'acknowledged')

  // -- over: typed in the terminal, which asks back first
  rig.pass(5 * MINUTE)
  await rig.alert(resolved({}, TEXTS))
  await rig.settle()
  const question = await rig.terminal('Dana', 'resolve 1 rolled back')
  assert.equal(question.status, 200)
  assert.match(question.summary, /1 alert still fires: Claw looks again in 10 min/)
  assert.match(question.lines.join('\n'), /\/claw approve a1/)
  assert.equal(pagerduty.byKey(KEY)?.status, 'acknowledged', 'asked, not done')
  const done = await rig.terminal('Dana', 'approve a1')
  assert.equal(done.ok, true, done.summary)
  await rig.settle()
  rig.pass(MINUTE)
  await rig.alert(resolved({ region: 'B' }, TEXTS))
  await rig.settle()
  rig.pass(MINUTE)
  await rig.settle()

  // -- resolved on all three, one message each
  both(rig, /✅ Resolved · P1/)
  both(rig, /Resolved by Dana at 02:23 UTC/)
  both(rig, /Next:\*? Nothing to do\./)
  for (const key of [KEY, `${KEY}/1`]) assert.equal(pagerduty.byKey(key)?.status, 'resolved')
  assert.equal(slack.inChannel(CHANNEL).filter((one) => one.own && one.threadTs === null).length, 1)
  assert.equal(telegram.inChat(GROUP).filter((one) => one.own && one.replyTo === null).length, 1)
  assert.equal(slack.inChannel('C0ALERTS').length, 0, 'no fall-back was needed')

  // -- no loop: PagerDuty hears of each page and act once, of what was done on the phone too (a no-op there)
  assert.deepEqual(
    pagerduty.accepted.map(({ event_action, dedup_key }) => `${event_action} ${dedup_key}`),
    [
      `trigger ${KEY}`,
      `acknowledge ${KEY}`,
      `trigger ${KEY}/1`,
      `acknowledge ${KEY}/1`,
      `resolve ${KEY}`,
      `resolve ${KEY}/1`,
    ],
  )
  assert.equal(pagerduty.dropped.length, 1)

  // -- the audit trail, in order
  const trail = await rig.audit()
  assert.deepEqual(
    trail.map(({ actor, via, action, target, outcome }) => [actor, via, action, target, outcome].join(' ')),
    [
      'Dana slack status  done',
      'Dana pagerduty ack incident 1 done',
      'Dana slack status  done',
      'Lee telegram status  done',
      'Dana slack silence incident 1 done',
      'Lee telegram ack incident 1 done',
      'Dana terminal resolve incident 1 asked',
      'Dana terminal resolve incident 1 done',
      'Dana terminal approve incident 1 done',
    ],
  )
  const times = trail.map(({ at }) => at)
  assert.deepEqual(times, times.toSorted())

  // -- and nobody can change it unseen
  const whole = await verify(rig)
  assert.equal(whole.code, 0, whole.said)
  assert.match(whole.said, /is whole: 9 rows/)
  const database = new DatabaseSync(rig.database)
  database.exec("UPDATE audit SET actor = 'Lee' WHERE id = '5'")
  database.close()
  const broken = await verify(rig)
  assert.equal(broken.code, 1, broken.said)
  assert.match(broken.said, /row 5 was changed after it was written/)
})

test('an acknowledgement made anywhere shows everywhere within one round, once', async (t) => {
  const ways: Record<string, (rig: Rig) => Promise<unknown>> = {
    'Slack, typed': (rig) => rig.slackSays(SLACK.dana, 'ack 1 looking'),
    'Slack, button': (rig) => rig.slackClicks(SLACK.dana, rig.slackMessage(), 'claw:ack'),
    'Telegram, typed': (rig) => rig.telegramSays(TELEGRAM.dana, '/ack 1 looking'),
    'Telegram, button': (rig) => rig.telegramPresses(TELEGRAM.dana, rig.telegramMessage(), 'ack 1'),
    'Telegram, reply to the message': (rig) => rig.telegramSays(TELEGRAM.dana, '/ack', rig.telegramMessage().id),
    PagerDuty: (rig) => rig.pagerduty.acknowledge(KEY, 'Dana'),
    terminal: (rig) => rig.terminal('Dana', 'ack 1'),
  }
  for (const [way, act] of Object.entries(ways)) {
    await t.test(way, async (t) => {
      const rig = await opened(t)
      rig.pass(30 * SECOND)
      await rig.settle()
      const { edits } = rig.slackMessage()
      await act(rig)
      await rig.settle()
      both(rig, /Acknowledged by Dana at 02:15 UTC/)
      assert.equal(rig.pagerduty.byKey(KEY)?.status, 'acknowledged')
      // PagerDuty tells us of our own acknowledgement; that must bring nothing forth.
      for (let round = 0; round < 5; round++) {
        rig.pass(40 * SECOND)
        await rig.settle()
      }
      const events = rig.pagerduty.accepted.map((event) => event.event_action)
      assert.deepEqual(events, ['trigger', 'acknowledge'])
      assert.equal(rig.slackMessage().edits - edits, 1)
      const acks = (await rig.audit()).filter(({ action, outcome }) => action === 'ack' && outcome === 'done')
      assert.deepEqual(
        acks.map(({ actor }) => actor),
        ['Dana'],
      )
    })
  }
})

test('buttons: the linked are served, the unknown are told how to be linked, and nothing is done', async (t) => {
  const rig = await opened(t)
  const refused = await rig.slackClicks(SLACK.stranger, rig.slackMessage(), 'claw:ack')
  assert.match(readBlocks(refused.blocks), /add slack: U0STRANGER to you under people/)
  const silent = await rig.slackClicks(SLACK.stranger, rig.slackMessage(), 'claw:silence')
  assert.match(readBlocks(silent.blocks), /I do not know you yet/)
  const told = await rig.telegramPresses(TELEGRAM.stranger, rig.telegramMessage(), 'ack 1')
  assert.match(told.text, /add telegram: 666 to you under people/)
  const viewer = await rig.slackClicks(SLACK.vic, rig.slackMessage(), 'claw:ack')
  assert.match(viewer.text, /You may not run ack: responder or commander may\./)
  await rig.settle()
  both(rig, /not acknowledged yet/)
  assert.deepEqual(
    (await rig.audit()).map(({ actor, outcome }) => `${actor} ${outcome}`),
    [
      'unknown slack user U0STRANGER forbidden',
      'unknown slack user U0STRANGER forbidden',
      'unknown telegram user 666 forbidden',
      'Vic forbidden',
    ],
  )
  const escalated = await rig.slackClicks(SLACK.lee, rig.slackMessage(), 'claw:escalate')
  assert.match(escalated.text, /You asked for more hands on incident 1/)
  const status = await rig.slackClicks(SLACK.vic, rig.slackMessage(), 'claw:status')
  assert.match(status.text, /^1 incident open/)
  const acked = await rig.slackClicks(SLACK.lee, rig.slackMessage(), 'claw:ack')
  assert.match(acked.text, /^You have incident 1/)
})

test('App Home shows what is open with its buttons; the unknown read how to be linked', async (t) => {
  const rig = await opened(t)
  const { slack } = rig
  const home = async (user: string) => {
    const find = () => slack.views.findLast((one) => one.user === user && one.kind === 'home')
    const before = find()?.hash
    assert.equal((await slack.home(user, rig.to)).status, 200)
    return await slack.waitFor(() => (find()?.hash === before ? undefined : find()))
  }
  const view = await home(SLACK.dana)
  const text = readBlocks(view.view.blocks)
  assert.match(text, /^Incidents: 1 open/)
  assert.match(text, /P1 · Bucket nearly empty in A · rating-api/)
  assert.match(text, /Nobody has acknowledged it/)
  rig.pass(3 * SECOND)
  assert.equal((await slack.click(SLACK.dana, view, 'claw:ack', rig.to)).status, 200)
  // Nobody gave an address for the answer: it comes as a direct message.
  await slack.waitFor((state) => state.messages.find((one) => one.channel.startsWith('D') && /You have/.test(one.text)))
  await rig.settle()
  both(rig, /Acknowledged by Dana/)
  assert.match(readBlocks((await home(SLACK.dana)).view.blocks), /Acknowledged by Dana/)
  assert.match(readBlocks((await home(SLACK.stranger)).view.blocks), /add slack: U0STRANGER/)
  assert.doesNotMatch(readBlocks((await home(SLACK.stranger)).view.blocks), /Bucket/)
})

test('who is on call is named from the first message on, and not mentioned where nobody can be asked', async (t) => {
  const rig = await opened(t)
  both(rig, /On call:\*? Dana and Lee/)
  const alone = await startRig(t, { yaml: '', edge: false })
  alone.world.pagerduty.faults.set({ match: 'GET /oncalls', kind: 'status', status: 503 })
  await alone.settle()
  await alone.alert(firing({}, TEXTS))
  await alone.settle()
  assert.doesNotMatch(shown(alone).slack, /On call/)
  assert.doesNotMatch(shown(alone).telegram, /On call/)
})
