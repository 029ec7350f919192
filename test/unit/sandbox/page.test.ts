import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { z } from 'zod'
import { SECOND } from '../../../src/core/clock.ts'
import { FILES } from '../../../src/sandbox/page/page.ts'
import { firing } from '../../support/engine.ts'
import { CHANNEL, GROUP, KEY, type Rig, SLACK, startRig, TELEGRAM, TEXTS } from '../chatops/rig.ts'

const Message = z.object({ ts: z.string(), text: z.string(), blocks: z.array(z.unknown()).nullable() })
const State = z.object({
  speed: z.number(),
  automation: z.enum(['on', 'off']).nullable(),
  running: z.object({ name: z.string(), ends_at: z.string(), story: z.string() }).nullable(),
  tour: z.array(z.object({ text: z.string(), done: z.boolean() })),
  slack: z.object({
    channels: z.array(z.object({ id: z.string(), messages: z.array(Message) })),
    notes: z.array(Message.extend({ user: z.string(), typed: z.boolean() })),
    modals: z.array(z.object({ id: z.string(), user: z.string() })),
    homes: z.array(z.object({ user: z.string() })),
  }),
  telegram: z.object({
    chats: z.array(z.object({ id: z.number(), messages: z.array(z.object({ id: z.number(), text: z.string() })) })),
  }),
  phone: z.object({
    incidents: z.array(z.object({ key: z.string(), text: z.string(), status: z.string(), by: z.array(z.string()) })),
  }),
  diary: z.array(z.object({ who: z.string(), to: z.string().nullable(), text: z.string(), times: z.number() })),
})

/** A running Claw in its world, and the page beside it as a browser would use it. */
async function stage(t: TestContext) {
  const rig = await startRig(t)
  const url = `${rig.to.base?.replace(/\/slack$/, '')}`
  const ask = async (path: string, body: object, headers: Record<string, string> = {}) => {
    const answer = await fetch(`${url}/ui/${path}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headers },
      body: JSON.stringify(body),
    })
    return { status: answer.status, json: (await answer.json()) as Record<string, unknown> }
  }
  const act = async (path: string, body: object) => {
    rig.pass(3 * SECOND)
    const { status, json } = await ask(path, body)
    assert.equal(status, 200, JSON.stringify(json))
    return json
  }
  const look = async () => State.parse(await (await fetch(`${url}/ui/state`)).json())
  const told = async (pattern: RegExp) => {
    const { diary } = await look()
    const lines = diary.map(({ who, to, text }) => `${who} → ${to}: ${text}`)
    assert.ok(
      lines.some((line) => pattern.test(line)),
      `${pattern} in\n${lines.join('\n')}`,
    )
  }
  return { rig, url, ask, act, look, told }
}

async function alarm(rig: Rig) {
  await rig.alert(firing({}, TEXTS))
  await rig.settle()
}

test('the page and its files come with a strict policy, nothing inline, and a slash at the end', async (t) => {
  const { url } = await stage(t)
  const bare = await fetch(url, { redirect: 'manual' })
  assert.deepEqual([bare.status, bare.headers.get('location')], [302, '/sandbox/'])
  for (const file of ['', ...FILES]) {
    const answer = await fetch(`${url}/${file}`)
    assert.equal(answer.status, 200, file)
    const policy = answer.headers.get('content-security-policy') ?? ''
    assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self'/)
    assert.match(policy, /frame-ancestors 'none'/)
    assert.doesNotMatch(policy, /unsafe|\*|https?:/)
    const text = await answer.text()
    if (file === '') {
      assert.doesNotMatch(text, /<script(?![^>]*\ssrc=)|\sstyle=|\son[a-z]+=|<style/i)
      for (const [, name] of text.matchAll(/(?:src|href)="([a-z.]+)"/g))
        assert.ok(
          FILES.some((one) => one === name),
          name,
        )
    }
    assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function/)
    for (const [, name] of text.matchAll(/from '\.\/([a-z.]+)'/g))
      assert.ok(
        FILES.some((one) => one === name),
        name,
      )
  }
  assert.equal((await fetch(`${url}/acts.ts`)).status, 404)
})

test('every act is refused to somebody else’s page, and to what is no JSON', async (t) => {
  const { url, ask, rig } = await stage(t)
  await alarm(rig)
  for (const [path, body] of [
    ['phone/acknowledge', { who: 'dana', key: KEY }],
    ['slack/say', { who: 'dana', channel: CHANNEL, text: '/claw ack 1' }],
    ['telegram/say', { who: 'dana', chat: GROUP, text: '/ack 1' }],
    ['speed', { factor: 1 }],
  ] as const) {
    assert.equal((await ask(path, body, { 'Sec-Fetch-Site': 'cross-site' })).status, 403, path)
    assert.equal((await ask(path, body, { 'Sec-Fetch-Site': 'same-site' })).status, 403, path)
    assert.equal((await ask(path, body, { 'Content-Type': 'text/plain' })).status, 400, path)
  }
  assert.equal((await ask('speed', { factor: 3 })).status, 400)
  assert.equal((await ask('slack/say', { who: 'mallory', channel: CHANNEL, text: 'x' })).status, 400)
  assert.equal((await fetch(`${url}/ui/speed`)).status, 404)
  assert.equal(rig.pagerduty.byKey(KEY)?.status, 'triggered')
})

test('the phone: acknowledged there, Claw knows; so do Slack and Telegram', async (t) => {
  const { rig, act, look, told } = await stage(t)
  await alarm(rig)
  const [page] = (await look()).phone.incidents
  assert.match(page?.text ?? '', /^P1 · /)
  assert.ok(Array.from(page?.text ?? '').length <= 120)
  await act('phone/acknowledge', { who: 'dana', key: KEY })
  await rig.settle()
  const seen = await look()
  assert.deepEqual([seen.phone.incidents[0]?.status, seen.phone.incidents[0]?.by], ['acknowledged', ['Dana']])
  assert.match(JSON.stringify(rig.slackMessage().blocks), /Acknowledged by Dana/)
  assert.match(rig.telegramMessage().text, /Acknowledged by Dana/)
  await told(/^PagerDuty → Dana: rings: P1 · /)
  await told(/^Dana → PagerDuty: acknowledges the page/)
  await told(/^Claw → Slack: updates its message in #incident-critical, silently/)
  await act('phone/resolve', { who: 'dana', key: KEY })
  assert.equal(rig.pagerduty.byKey(KEY)?.status, 'resolved')
})

test('Slack: a typed command and a pressed button go through Bolt; the answer is for the asker alone', async (t) => {
  const { rig, act, look, told } = await stage(t)
  await alarm(rig)
  await act('slack/say', { who: 'dana', channel: CHANNEL, text: '/claw status' })
  await rig.slack.waitFor((state) => state.responses.length === 1)
  const { slack } = await look()
  assert.deepEqual(
    slack.notes.map(({ user, typed }) => [user, typed]),
    [
      [SLACK.dana, true],
      [SLACK.dana, false],
    ],
  )
  assert.match(slack.notes[1]?.text ?? '', /^1 incident open, worst P1/)
  const { ts } = rig.slackMessage()
  await act('slack/click', { who: 'dana', channel: CHANNEL, ts, action: 'claw:ack' })
  await rig.slack.waitFor((state) => state.responses.length === 2)
  await rig.settle()
  assert.equal(rig.pagerduty.byKey(KEY)?.status, 'acknowledged')
  await told(/^Dana → Slack: types \/claw status/)
  await told(/^Dana → Slack: presses “Ack/)
})

test('Slack: a question opens as a modal, of its asker alone; it is cancelled, or submitted with a note', async (t) => {
  const { rig, act, ask, look } = await stage(t)
  await alarm(rig)
  const { ts } = rig.slackMessage()
  const open = async () => {
    const before = rig.slack.views.length
    await act('slack/click', { who: 'dana', channel: CHANNEL, ts, action: 'claw:resolve' })
    return await rig.slack.waitFor((state) => state.views[before])
  }
  const first = await open()
  assert.deepEqual(
    (await look()).slack.modals.map(({ user }) => user),
    [SLACK.dana],
  )
  assert.equal((await ask('slack/submit', { who: 'robin', view: first.id, values: {} })).status, 404)
  await act('slack/dismiss', { who: 'dana', view: first.id })
  assert.deepEqual((await look()).slack.modals, [])
  assert.equal((await ask('slack/submit', { who: 'dana', view: first.id, values: {} })).status, 409)
  assert.equal(rig.pagerduty.byKey(KEY)?.status, 'triggered')
  const second = await open()
  await act('slack/submit', { who: 'dana', view: second.id, values: { 'claw:note': { 'claw:note': 'tested' } } })
  await rig.slack.waitFor((state) => state.responses.length > 0)
  await rig.settle()
  assert.equal(rig.pagerduty.byKey(KEY)?.status, 'resolved')
  assert.match(JSON.stringify(await rig.audit()), /tested/)
})

test('Slack: Home, a mention and plain words; another slash command is not known', async (t) => {
  const { rig, act, ask, look } = await stage(t)
  await act('slack/home', { who: 'dana' })
  await rig.slack.waitFor((state) => state.views.some((view) => view.kind === 'home'))
  assert.deepEqual(
    (await look()).slack.homes.map(({ user }) => user),
    [SLACK.dana],
  )
  await act('slack/say', { who: 'dana', channel: CHANNEL, text: '@claw status' })
  await rig.slack.waitFor((state) => state.messages.some((message) => message.own))
  await act('slack/say', { who: 'dana', channel: CHANNEL, text: '<b>hello</b> & good night' })
  assert.equal(rig.slack.messages.at(-1)?.text, '&lt;b&gt;hello&lt;/b&gt; &amp; good night')
  assert.equal((await ask('slack/say', { who: 'dana', channel: CHANNEL, text: '/remind me' })).status, 400)
  assert.equal((await ask('slack/click', { who: 'dana', channel: CHANNEL, ts: '1.2', action: 'x' })).status, 404)
})

test('Telegram: what is typed and pressed reaches Claw as updates', async (t) => {
  const { rig, act, ask, look } = await stage(t)
  await alarm(rig)
  const answers = () => rig.telegram.inChat(GROUP).filter((one) => one.own && one.replyTo !== null && !one.silent)
  await act('telegram/say', { who: 'dana', chat: GROUP, text: '/claw status' })
  await rig.telegram.waitFor(() => answers().length === 1)
  const message = rig.telegramMessage()
  assert.equal(
    (await ask('telegram/press', { who: 'dana', chat: GROUP, message: message.id, data: 'nothing' })).status,
    404,
  )
  await act('telegram/press', { who: 'dana', chat: GROUP, message: message.id, data: 'ack 1' })
  await rig.telegram.waitFor(() => answers().length === 2)
  await rig.settle()
  assert.equal(rig.pagerduty.byKey(KEY)?.status, 'acknowledged')
  const chat = (await look()).telegram.chats.find(({ id }) => id === GROUP)
  assert.ok(chat?.messages.some(({ text }) => text === '/claw status'))
  await act('telegram/say', { who: 'dana', chat: TELEGRAM.dana, text: '/help' })
  await rig.telegram.waitFor((state) => state.inChat(TELEGRAM.dana).some((one) => one.own))
})

test('a person whom Claw does not know acts in vain', async (t) => {
  const { rig, act, ask } = await stage(t)
  await alarm(rig)
  await act('slack/click', { who: 'robin', channel: CHANNEL, ts: rig.slackMessage().ts, action: 'claw:ack' })
  await rig.slack.waitFor((state) => state.responses.length === 1)
  assert.equal((await ask('phone/acknowledge', { who: 'robin', key: KEY })).status, 404)
  assert.equal(rig.pagerduty.byKey(KEY)?.status, 'triggered')
})

test('automation is switched by the command, and the page shows what Claw said', async (t) => {
  const { rig, act, look } = await stage(t)
  await act('automation', { who: 'dana', state: 'off' })
  await rig.slack.waitFor((state) => state.responses.length === 1)
  assert.equal((await look()).automation, 'off')
  await act('automation', { who: 'dana', state: 'on' })
  await rig.slack.waitFor((state) => state.responses.length === 2)
  assert.equal((await look()).automation, 'on')
})

test('labels of a hostile author reach the page as text in JSON, cut for the lock screen', async (t) => {
  const { rig, look } = await stage(t)
  const evil = '<img src=x onerror=alert(1)>'
  await rig.alert(firing({ service: evil.repeat(12), region: evil }, TEXTS))
  await rig.settle()
  const { phone, diary } = await look()
  assert.ok(Array.from(phone.incidents[0]?.text ?? '').length <= 120)
  assert.ok(diary.some(({ text }) => text.includes('onerror')))
  assert.ok(diary.every(({ text }) => Array.from(text).length < 300))
})

test('reset forgets, and Claw is still told what people write', async (t) => {
  const { rig, url, act, look } = await stage(t)
  await alarm(rig)
  await act('slack/say', { who: 'dana', channel: CHANNEL, text: '/claw status' })
  await rig.slack.waitFor((state) => state.responses.length === 1)
  assert.ok((await look()).tour.some(({ done }) => done))
  assert.equal((await fetch(`${url}/reset`, { method: 'POST' })).status, 204)
  const seen = await look()
  assert.deepEqual([seen.diary, seen.phone.incidents, seen.slack.notes], [[], [], []])
  assert.ok(seen.tour.every(({ done }) => !done))
  await act('telegram/say', { who: 'dana', chat: GROUP, text: '/claw status' })
  await rig.telegram.waitFor((state) => state.inChat(GROUP).some((one) => one.own))
})
