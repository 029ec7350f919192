import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { HOUR, MINUTE, SECOND } from '../../../src/core/clock.ts'
import { signSlack } from '../../../src/sandbox/slack.ts'
import { firing } from '../../support/engine.ts'
import { CHANNEL, GROUP, KEY, type Rig, type RigOptions, readBlocks, SLACK, startRig, TELEGRAM, TEXTS } from './rig.ts'

async function opened(t: TestContext, options: RigOptions = {}): Promise<Rig> {
  const rig = await startRig(t, options)
  await rig.settle()
  await rig.alert(firing({}, TEXTS))
  await rig.settle()
  return rig
}

/** Nobody took the incident, and nothing of it is in the audit trail. */
async function untouched(rig: Rig): Promise<void> {
  await rig.settle()
  assert.equal((await rig.app.parts.store.incidents([1]))[0]?.state, 'open')
  assert.deepEqual(await rig.audit(), [])
  assert.deepEqual(await rig.app.parts.store.waitingRequests(9), [])
}

/** `note` ran this often: it is the command that a second run would show. */
async function notes(rig: Rig): Promise<string[]> {
  await rig.settle()
  return (await rig.app.parts.store.story(1, 99)).filter(({ kind }) => kind === 'note').map(({ text }) => text)
}

test('Slack: forged, stale and future requests are refused', async (t) => {
  const rig = await opened(t)
  const { slack, to } = rig
  for (const wrong of [
    { secret: 'guessed' },
    { secret: '' },
    { skewSeconds: -301 },
    { skewSeconds: 301 },
    { skewSeconds: 3_600 },
    { skewSeconds: -86_400 },
  ]) {
    const said = await slack.command(SLACK.dana, CHANNEL, 'ack 1', { ...to, ...wrong })
    assert.equal(said.status, 401, JSON.stringify(wrong))
    const pressed = await slack.click(SLACK.dana, rig.slackMessage(), 'claw:ack', { ...to, ...wrong })
    assert.equal(pressed.status, 401, JSON.stringify(wrong))
    const mentioned = await slack.mention(SLACK.dana, CHANNEL, 'ack 1', null, { ...to, ...wrong })
    assert.equal(mentioned.status, 401, JSON.stringify(wrong))
  }
  await untouched(rig)
  // A body that is not the one that was signed.
  const timestamp = String(Math.floor(rig.now() / SECOND))
  const signature = signSlack('sandbox', timestamp, 'text=status')
  for (const headers of [
    { 'x-slack-request-timestamp': timestamp, 'x-slack-signature': signature },
    { 'x-slack-request-timestamp': timestamp },
    { 'x-slack-signature': signature },
    { 'x-slack-request-timestamp': 'soon', 'x-slack-signature': signature },
    {},
  ] as Record<string, string>[]) {
    const answer = await fetch(to.url ?? '', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
      body: 'text=ack+1',
    })
    assert.equal(answer.status, 401)
    assert.doesNotMatch(await answer.text(), /sandbox/)
  }
  await untouched(rig)
})

for (const socket of [false, true]) {
  test(`Slack ${socket ? 'by Socket Mode' : 'over HTTP'}: retries and replays run a command once`, async (t) => {
    const rig = await opened(t, { socket })
    const answer = await rig.slackSays(SLACK.dana, 'note 1 only once')
    assert.match(answer.text, /Noted/)
    const again = await Promise.all([rig.slack.again(1), rig.slack.again(2), rig.slack.again(3), rig.slack.again(0)])
    for (const { status } of again) assert.equal(status, 200)
    rig.pass(5 * SECOND)
    assert.deepEqual(await notes(rig), ['Dana: only once'])
    assert.equal(rig.slack.responses.length, 1)
    if (socket) return
    // The very same bytes, later than Slack would ever send them.
    rig.pass(6 * MINUTE)
    assert.equal((await rig.slack.again(0)).status, 401)
  })
}

test('Slack: a double click, a click twice delivered and a modal submitted twice run once', async (t) => {
  const rig = await opened(t)
  const { slack, to } = rig
  const message = rig.slackMessage()
  const first = slack.click(SLACK.lee, message, 'claw:escalate', to)
  rig.pass(300)
  const presses = await Promise.all([first, slack.click(SLACK.lee, message, 'claw:escalate', to)])
  assert.deepEqual(
    presses.map(({ status }) => status),
    [200, 200],
  )
  await slack.again(1)
  // The lane has room again after what it said by itself.
  rig.pass(5 * SECOND)
  await rig.settle()
  await slack.waitFor((state) => state.responses.length > 0)
  await rig.settle()
  const escalations = (await rig.audit()).filter(({ action }) => action === 'escalate')
  assert.equal(escalations.length, 1)

  const modal = await rig.slackAsks(SLACK.dana, message, 'claw:resolve')
  const done = await rig.slackConfirms(SLACK.dana, modal)
  assert.match(readBlocks(done.blocks), /Resolved incident 1/)
  assert.equal((await slack.again(1)).status, 200)
  await rig.settle()
  const resolves = (await rig.audit()).filter(({ action }) => action === 'resolve')
  assert.equal(resolves.length, 1)
})

test('Telegram: a wrong or missing secret is 401, a repeated update runs once', async (t) => {
  const rig = await opened(t)
  const url = `${rig.app.url}/webhooks/telegram`
  const update = {
    update_id: 900,
    message: {
      message_id: 77,
      date: Math.floor(rig.now() / SECOND),
      from: { id: TELEGRAM.dana, is_bot: false, first_name: 'Dana' },
      chat: { id: GROUP, type: 'group', title: 'on call' },
      text: '/note 1 only once',
      entities: [{ type: 'bot_command', offset: 0, length: 5 }],
    },
  }
  const send = async (secret: string | null) => {
    const header: Record<string, string> = secret === null ? {} : { 'x-telegram-bot-api-secret-token': secret }
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...header },
      body: JSON.stringify(update),
    })
    await answer.arrayBuffer()
    return answer.status
  }
  for (const secret of [null, '', 'guessed', 'sandbox2', 'Sandbox']) assert.equal(await send(secret), 401)
  await untouched(rig)
  assert.deepEqual(await Promise.all([send('sandbox'), send('sandbox'), send('sandbox')]), [200, 200, 200])
  assert.equal(await send('sandbox'), 200)
  await rig.telegram.waitFor((state) => state.inChat(GROUP).some(({ own, text }) => own && /Noted/.test(text)))
  assert.deepEqual(await notes(rig), ['Dana: only once'])
  assert.equal(rig.telegram.inChat(GROUP).filter(({ own, text }) => own && /Noted/.test(text)).length, 1)
})

test('Telegram: an update posted again after its answer runs once, by webhook and by polling', async (t) => {
  const rig = await opened(t)
  await rig.telegramSays(TELEGRAM.dana, '/note 1 only once')
  const [last] = rig.telegram.updates.made.slice(-1)
  assert.ok(last)
  assert.equal(await rig.telegram.redeliver(last.update_id), 200)
  assert.deepEqual(await notes(rig), ['Dana: only once'])

  const polled = await opened(t, { polling: true })
  await polled.telegramSays(TELEGRAM.dana, '/note 1 only once')
  const [update] = polled.telegram.updates.made.slice(-1)
  assert.ok(update)
  // Not confirmed after all: handed out once more with the next poll.
  polled.telegram.updates.queue.unshift(update)
  await polled.telegramSays(TELEGRAM.dana, '/status')
  assert.deepEqual(await notes(polled), ['Dana: only once'])
})

test('PagerDuty: forged, missing and foreign signatures are refused, repeats and old events change nothing', async (t) => {
  const rig = await opened(t)
  const { pagerduty } = rig
  const url = `${rig.app.url}/webhooks/pagerduty`
  // What PagerDuty would say, caught before it reaches Claw.
  pagerduty.webhooks.target = { url: 'http://127.0.0.1:1/', secret: 'sandbox' }
  await pagerduty.acknowledge(KEY, 'Dana')
  const body = pagerduty.webhooks.deliveries.at(-1)?.body ?? ''
  const mac = (secret: string, text = body) => `v1=${createHmac('sha256', secret).update(text).digest('hex')}`
  const send = async (signature: string | null, text = body, id = 'W1') => {
    const header: Record<string, string> = signature === null ? {} : { 'x-pagerduty-signature': signature }
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-webhook-id': id, ...header },
      body: text,
    })
    await answer.arrayBuffer()
    return answer.status
  }
  for (const wrong of [
    null,
    '',
    'v1=',
    mac('guessed'),
    mac('sandbox', `${body} `),
    mac('sandbox').replace('v1=', 'v2='),
    mac('sandbox').replace('v1=', ''),
    `${mac('guessed')},${mac('other')}`,
  ]) {
    assert.equal(await send(wrong), 401, String(wrong))
  }
  assert.equal((await rig.app.parts.store.incidents([1]))[0]?.state, 'open')
  assert.deepEqual(await rig.audit(), [])
  // While a secret is being replaced there are two signatures; one that matches is enough.
  assert.equal(await send(`${mac('old')},${mac('sandbox')}`), 200)
  for (let n = 0; n < 3; n++) assert.equal(await send(mac('sandbox'), body, `W${n}`), 200)
  await rig.settle()
  const acks = async () => (await rig.audit()).filter(({ action }) => action === 'ack')
  assert.equal((await acks()).length, 1)
  assert.deepEqual(
    (await rig.app.parts.store.story(1, 99)).map(({ kind }) => kind).filter((kind) => kind !== 'triage'),
    ['opened', 'acknowledged'],
  )
  // Hours later, and over: the same event, under a new id as well, opens nothing.
  rig.pass(HOUR)
  const told = await rig.terminal('Dana', 'resolve 1', { confirm: true })
  assert.equal(told.ok, true)
  await rig.settle()
  assert.equal(await send(mac('sandbox')), 200)
  const renamed = body.replace(/"id":"[^"]+"/, '"id":"01REPLAYED"')
  assert.notEqual(renamed, body)
  assert.equal(await send(mac('sandbox', renamed), renamed), 200)
  await rig.settle()
  assert.equal((await rig.app.parts.store.incidents([1]))[0]?.state, 'resolved')
})

test('HTTP: the same key gives the first answer, another person never gets it; no token, no answer', async (t) => {
  const rig = await opened(t)
  const first = await rig.terminal('Dana', 'note 1 only once', {}, 'k1')
  const second = await rig.terminal('Dana', 'note 1 only once', {}, 'k1')
  assert.deepEqual(second, first)
  const other = await rig.terminal('Vic', 'note 1 mine', {}, 'k1')
  assert.equal(other.status, 403)
  assert.deepEqual(await notes(rig), ['Dana: only once'])
  assert.equal((await rig.terminal('Nobody', 'ack 1')).status, 401)
  assert.equal((await rig.terminal('Vic', 'ack 1', { as: 'Dana' })).status, 403)
  assert.equal((await rig.app.parts.store.incidents([1]))[0]?.state, 'open')
})
