import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { night, pageOf, words } from './reader.ts'
import { startRig } from './rig.ts'

const P1 = { labels: { service: 'rating-api', region: 'A' } }

test('a button acknowledges at the first press, once, and the answer stands where it was', async (t) => {
  const { rig, cookie } = await night(t)
  const form = { command: 'ack 2', back: '/incidents/2', incident: '2', ask: '1', request: randomUUID() }
  const res = await rig.press(cookie, form)
  assert.equal(res.status, 303)
  const to = res.headers.get('location') ?? ''
  assert.match(words(await pageOf(await rig.browse(to, cookie))), /ack 2 You have incident 2 /)
  const story = await rig.store.story(2, 50)
  assert.equal(story.filter(({ kind }) => kind === 'acknowledged').length, 1)
  assert.equal((await rig.press(cookie, form)).headers.get('location'), to, 'pressed twice, one answer')
  const rows = await rig.store.auditRows(0, 50)
  assert.deepEqual(
    rows.map(({ actor, via, action }) => [actor, via, action]),
    [['Dana', 'console', 'ack']],
  )
  const other = await rig.press(cookie, { ...form, command: 'note 2 looking' })
  assert.notEqual(other.headers.get('location'), to, 'another button of the same page is another request')
})

test('what changes more is asked about first, and runs only when its own form says yes', async (t) => {
  const { rig, cookie } = await night(t)
  const asked = await pageOf(await rig.press(cookie, { command: 'escalate 2', incident: '2', back: '/', ask: '1' }))
  assert.match(words(asked), /Run this\? escalate 2 .*In your name, Dana, in incident 2/)
  assert.equal((await rig.store.auditHead()).count, 0)
  assert.doesNotMatch(asked, /name="ask"/)
  await rig.press(cookie, { command: 'escalate 2', incident: '2', back: '/' })
  assert.equal((await rig.store.auditHead()).count, 1)
})

test('a dangerous command shows what it will do, and Confirm on that page does it', async (t) => {
  const rig = await startRig(t)
  await rig.fire(P1)
  const cookie = await rig.signIn()
  const res = await rig.press(cookie, { command: 'resolve 1', back: '/incidents/1', ask: '1' })
  const to = res.headers.get('location') ?? ''
  assert.match(to, /^\/answers\/[0-9a-f-]+\?back=%2Fincidents%2F1$/)
  const html = await pageOf(await rig.browse(to, cookie))
  assert.match(words(html), /Answer .*1 alert.*Confirm it: \/claw approve a1/)
  assert.equal((await rig.store.incidents([1]))[0]?.state, 'open')
  assert.match(html, /name="command" value="approve a1"/)
  const seen = words(await pageOf(await rig.browse('/incidents/1', cookie)))
  assert.match(seen, /To decide Dana asks: resolve 1/)
  const kim = await rig.signIn('kim-token')
  const others = await pageOf(await rig.browse('/incidents/1', kim))
  assert.match(words(others), /Only Dana can confirm it/)
  assert.doesNotMatch(others, /value="approve a1"/)
  const done = await rig.press(cookie, { command: 'approve a1', back: '/incidents/1', ask: '1' })
  assert.match(done.headers.get('location') ?? '', /^\/incidents\/1\?answer=/)
  assert.equal((await rig.store.incidents([1]))[0]?.state, 'resolved')
})

test('what needs another person is agreed to on their page, not on the asker’s', async (t) => {
  const rig = await startRig(t)
  const dana = await rig.signIn()
  const kim = await rig.signIn('kim-token')
  await rig.press(dana, { command: 'automation off' })
  await rig.press(dana, { command: 'automation on' })
  const own = await pageOf(await rig.browse('/', dana))
  assert.match(words(own), /Dana asks: automation on .*You asked: somebody else must agree/)
  assert.match(words(own), /Automation is off , by Dana/)
  assert.doesNotMatch(own, /value="approve a1"/)
  assert.match(await pageOf(await rig.browse('/', kim)), /name="command" value="approve a1"/)
  await rig.press(kim, { command: 'approve a1' }, 'Kim')
  const after = words(await pageOf(await rig.browse('/', kim)))
  assert.match(after, /Automation is on/)
  assert.doesNotMatch(after, /To decide/)
})

test('answers are their asker’s alone, and nothing is answered twice or to nobody', async (t) => {
  const rig = await startRig(t)
  const dana = await rig.signIn()
  const res = await rig.press(dana, { command: 'status' })
  const to = res.headers.get('location') ?? ''
  const number = /[0-9a-f-]{36,}/.exec(to)?.[0] ?? ''
  assert.match(words(await pageOf(await rig.browse(`/answers/${number}`, dana))), /All quiet/)
  const kim = await rig.signIn('kim-token')
  await pageOf(await rig.browse(`/answers/${number}`, kim), 404)
  assert.doesNotMatch(await pageOf(await rig.browse(`/?answer=${number}`, kim)), /All quiet/)
  for (const path of ['/answers/1', `/answers/${randomUUID()}`]) await pageOf(await rig.browse(path, dana), 404)
})

test('a role is checked at the press, and a refusal is said', async (t) => {
  const rig = await startRig(t, { tokens: { Vic: 'vic-token' } })
  await rig.fire(P1)
  const cookie = await rig.signIn('vic-token')
  const res = await rig.press(cookie, { command: 'ack 1', back: '/' }, 'Vic')
  const html = await pageOf(await rig.browse(res.headers.get('location') ?? '', cookie))
  assert.match(words(html), /That was not done .*Not done: You may not run ack/)
  assert.match(html, /role="alert"/)
  assert.equal((await rig.store.incidents([1]))[0]?.state, 'open')
})

test('a form of several fields is one command; an empty or endless one is refused', async (t) => {
  const rig = await startRig(t)
  await rig.fire(P1)
  const cookie = await rig.signIn()
  const body = new URLSearchParams({ token: rig.session.formToken('Dana'), command: 'silence', back: '/silences' })
  for (const arg of ['service="rating-api"', ' 2h ', '', 'deploying']) body.append('arg', arg)
  const res = await fetch(`${rig.url}/commands`, {
    method: 'POST',
    redirect: 'manual',
    headers: { cookie, origin: rig.url },
    body,
  })
  assert.equal(res.status, 303)
  const [question] = await rig.store.openApprovals(5)
  if (question) await rig.press(cookie, { command: `approve a${question.id}` })
  const [silence] = await rig.store.activeSilences()
  assert.deepEqual([silence?.matchers, silence?.note], ['service="rating-api"', 'deploying'])
  await pageOf(await rig.press(cookie, { command: ' ' }), 400)
  await pageOf(await rig.press(cookie, { command: 'x'.repeat(5000) }), 400)
})

test('a commander’s reason to pass a refusal is no part of the command', async (t) => {
  const rig = await startRig(t)
  await rig.fire(P1)
  const cookie = await rig.signIn()
  const number = randomUUID()
  const res = await rig.press(cookie, { command: 'note 1 looking --override the lag is known', request: number })
  const id = /answer=([0-9a-f-]+)/.exec(res.headers.get('location') ?? '')?.[1]
  const stored = await rig.store.request(`console:Dana:${id}`)
  assert.deepEqual([stored?.request.text, stored?.request.override], ['note 1 looking', 'the lag is known'])
})

test('a label that says --override is no reason to pass a refusal', async (t) => {
  const rig = await startRig(t)
  const cookie = await rig.signIn()
  const command = 'reset "A --override because" --override seen by "Kim"'
  const res = await rig.press(cookie, { command })
  const stored = await rig.store.request(
    `console:Dana:${/answers\/([0-9a-f-]+)/.exec(res.headers.get('location') ?? '')?.[1]}`,
  )
  assert.deepEqual([stored?.request.text, stored?.request.override], ['reset "A --override because"', 'seen by "Kim"'])
})

test('GET changes nothing', async (t) => {
  const { rig, cookie } = await night(t)
  const before = await rig.store.auditHead()
  assert.equal((await rig.browse('/commands?command=ack+2', cookie)).status, 404)
  for (const path of ['/', '/incidents/2', '/deliveries', '/audit', '/silences', '/config', '/charts']) {
    await pageOf(await rig.browse(path, cookie))
  }
  assert.deepEqual(await rig.store.auditHead(), before)
})
