import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HOSTILE, night, POLICY, pageOf, words } from './reader.ts'
import { START, startRig } from './rig.ts'

test('whoever is not signed in gets the form and nothing else, without a redirect', async (t) => {
  const { rig } = await night(t)
  const html = await pageOf(await rig.browse('/'))
  assert.match(html, /<form method="post" action="\/signin"/)
  assert.doesNotMatch(html, /rating-api|http-equiv="refresh"/)
  const incident = await pageOf(await rig.browse('/incidents/2'), 401)
  assert.match(incident, /name="back" value="\/incidents\/2"/)
  assert.doesNotMatch(incident, /rating-api/)
  assert.equal((await rig.browse('/commands', '', { command: 'status' })).status, 401)
  for (const path of [
    '/deliveries',
    '/audit',
    '/silences',
    '/config',
    '/charts',
    '/console-data/charts',
    '/answers/x',
    '/events',
  ]) {
    const res = await rig.browse(path)
    assert.equal(res.status, 401, path)
    assert.doesNotMatch(await res.text(), /rating-api|C0CRITICAL/)
  }
})

test('a token signs in for twelve hours, with a cookie that scripts and other sites cannot use', async (t) => {
  const rig = await startRig(t)
  const res = await rig.browse('/signin', '', { token: ' dana-token ', back: '/incidents/12' })
  assert.equal(res.status, 303)
  assert.equal(res.headers.get('location'), '/incidents/12')
  const set = res.headers.getSetCookie()[0] ?? ''
  assert.match(set, /^claw_session=[^;]+; Path=\/; HttpOnly; SameSite=Lax; Max-Age=43200$/)
  assert.doesNotMatch(set, /dana-token/)
  const cookie = set.split(';')[0] ?? ''
  assert.match(words(await pageOf(await rig.browse('/', cookie))), /Nothing is wrong/)
  rig.time.now += 12 * 3_600_000 - 1
  assert.match(await pageOf(await rig.browse('/', cookie)), /Nothing is wrong/)
  rig.time.now += 1
  assert.match(await pageOf(await rig.browse('/', cookie)), /action="\/signin"/)
})

test('a cookie ends with its token, and cannot be made up or lent to another person', async (t) => {
  const rig = await startRig(t)
  const cookie = await rig.signIn()
  const [, value = ''] = cookie.split('=')
  const [name = '', expiry = '', signature = ''] = value.split('.')
  const kim = Buffer.from('Kim').toString('base64url')
  for (const forged of [
    `${kim}.${expiry}.${signature}`,
    `${name}.${Number(expiry) + 1}.${signature}`,
    `${name}.${expiry}.`,
    `${name}.${expiry}.${signature}.x`,
    `${Buffer.from('__proto__').toString('base64url')}.${expiry}.${signature}`,
    '',
  ]) {
    assert.equal((await rig.browse('/incidents/1', `claw_session=${forged}`)).status, 401, forged)
  }
  assert.equal((await rig.browse('/incidents/1', `claw_session=junk; ${cookie}`)).status, 404)
  rig.tokens.Dana = 'another'
  assert.equal((await rig.browse('/incidents/1', cookie)).status, 401)
})

test('the cookie is Secure where the public address is https', async (t) => {
  const rig = await startRig(t, { publicUrl: 'https://claw.example.com' })
  const res = await rig.browse('/signin', '', { token: 'kim-token' }, { origin: 'https://claw.example.com' })
  assert.match(res.headers.getSetCookie()[0] ?? '', /; Secure$/)
})

test('a wrong token is told so, and after ten of them the address must wait a minute', async (t) => {
  const rig = await startRig(t)
  for (let n = 0; n < 10; n++) {
    const html = await pageOf(await rig.browse('/signin', '', { token: n === 0 ? '' : 'guess' }), 401)
    assert.match(words(html), /not one of the tokens/)
  }
  const html = await pageOf(await rig.browse('/signin', '', { token: 'dana-token' }), 429)
  assert.match(words(html), /Try again in a minute/)
  rig.time.now += 60_000
  assert.equal((await rig.browse('/signin', '', { token: 'dana-token' })).status, 303)
})

test('signing in leads back only to pages of ours, and only from them', async (t) => {
  const rig = await startRig(t)
  for (const back of [
    '//evil.example',
    'https://evil.example/',
    '/incidents/1/../..',
    '/incidents/x',
    '/\\evil.example',
  ]) {
    assert.equal((await rig.browse('/signin', '', { token: 'dana-token', back })).headers.get('location'), '/')
  }
  const res = await rig.browse('/signin', '', { token: 'dana-token' }, { origin: 'https://evil.example' })
  await pageOf(res, 403)
  assert.deepEqual(res.headers.getSetCookie(), [])
})

test('signing out takes the cookie away', async (t) => {
  const rig = await startRig(t)
  const res = await rig.browse('/signout', await rig.signIn(), {})
  assert.equal(res.status, 303)
  assert.match(res.headers.getSetCookie()[0] ?? '', /^claw_session=; .*Max-Age=0/)
})

test('the first page says what is going on, worst first, and what each destination got', async (t) => {
  const { rig, dead, cookie } = await night(t)
  const html = await pageOf(await rig.browse('/', cookie))
  assert.match(html, /<noscript><meta http-equiv="refresh" content="10"><\/noscript>/)
  const text = words(html)
  assert.match(text, /2 incidents open 1 × P1 critical · 1 × P2 high · 2 not acknowledged/)
  assert.match(text, /1 dead letter : not delivered, and no further try\. 1 message waits for another try\./)
  assert.match(text, /P1 critical Bucket nearly empty in A and B Incident 2 · rating-api/)
  assert.ok(text.indexOf('Bucket nearly empty') < text.indexOf('Replication jitters'), 'P1 before P2')
  assert.match(text, /4 % left \(when the alert was sent\)/)
  assert.match(text, /Slack C0CRITICAL Waiting, next try in 17 s: Slack answered 429\. Try now/)
  assert.match(text, /Telegram -1001 Dead letter: chat not found \(1 failed try\) Send again/)
  assert.match(text, /Slack C0ALERTS Delivered 02:15 UTC/)
  assert.match(text, /PagerDuty default On its way/)
  assert.ok(html.includes(`name="command" value="deliveries redeliver ${dead.id}"`))
  for (const table of html.match(/<table[\s\S]*?<\/table>/g) ?? []) assert.match(table, /<caption/)
  assert.doesNotMatch(html, /\/sandbox\//)
})

test('what is over stands below, and a quiet system says so', async (t) => {
  const rig = await startRig(t)
  await rig.fire({ labels: { service: 'rating-api', region: 'A' } })
  rig.time.now += 31 * 60_000
  await rig.fire({ labels: { service: 'rating-api', region: 'A' }, status: 'resolved', startsAt: START })
  const cookie = await rig.signIn()
  const before = words(await pageOf(await rig.browse('/', cookie)))
  assert.match(before, /Nothing is wrong No incident is open\. No heartbeat from Alertmanager has come yet\./)
  assert.match(before, /Recently resolved .* Bucket nearly empty in A rating-api P1 02:46 UTC after 31 min 0 of 3/)
  for (const { target } of await rig.store.deliveriesOf([1])) {
    await rig.deliver({ incident: 1, target }, { state: 'delivered' })
  }
  await rig.store.write((tx) => tx.beat('prometheus', rig.time.now - 180_000))
  const after = words(await pageOf(await rig.browse('/', cookie)))
  assert.match(
    after,
    /No incident is open\. Every message has reached its destination\. Alertmanager’s heartbeat: 3 min ago\./,
  )
  assert.match(after, /3 of 3/)
})

test('an incident has a page with story, alerts and reasons', async (t) => {
  const { rig, cookie } = await night(t)
  const html = await pageOf(await rig.browse('/incidents/2', cookie))
  assert.doesNotMatch(html, /http-equiv="refresh"/)
  const text = words(html)
  assert.match(text, /Why P1: .*critical/)
  assert.match(text, /Timeline .*Opened as P1/)
  assert.match(text, /TokenBucketDepleted Few tokens left\. Labels alertname TokenBucketDepleted/)
  assert.match(text, /critical Because route\.routes\[0\]: level="P1"/)
  assert.match(text, /Pages .*triggered first page/)
  assert.match(html, /href="\/api\/v1\/incidents\/2\/postmortem"/)
})

test('a dead letter is sent again by a plain form, from our own page only', async (t) => {
  const { rig, dead, cookie } = await night(t)
  const form = { command: `deliveries redeliver ${dead.id}`, back: '/incidents/2' }
  const token = rig.session.formToken('Dana')
  await pageOf(await rig.browse('/commands', cookie, { ...form, token }, { origin: 'https://evil.example' }), 403)
  await pageOf(await rig.browse('/commands', cookie, { ...form, token }, { 'sec-fetch-site': 'cross-site' }), 403)
  await pageOf(await rig.browse('/commands', cookie, form), 403)
  await pageOf(await rig.browse('/commands', cookie, { ...form, token: rig.session.formToken('Kim') }), 403)
  assert.equal((await rig.store.delivery(dead.id))?.state, 'dead')
  const res = await rig.press(cookie, form)
  assert.equal(res.status, 303)
  assert.match(res.headers.get('location') ?? '', /^\/incidents\/2\?answer=/)
  assert.equal((await rig.store.delivery(dead.id))?.state, 'pending')
  assert.equal(rig.woken.count, 1)
  const told = words(await pageOf(await rig.browse(res.headers.get('location') ?? '', cookie)))
  assert.match(told, /Sending delivery \d+ again: incident 2 to telegram:-1001/)
  const again = await rig.press(cookie, form)
  const no = words(await pageOf(await rig.browse(again.headers.get('location') ?? '', cookie)))
  assert.match(no, /That was not done .*is on its way already/)
})

test('a page that does not exist says so in words', async (t) => {
  const { rig, cookie } = await night(t)
  for (const path of ['/incidents/99', '/incidents/x', '/incidents/99999999999999999']) {
    assert.match(words(await pageOf(await rig.browse(path, cookie), 404)), /There is no such incident/)
  }
})

test('labels of a hostile author are text on every page', async (t) => {
  const rig = await startRig(t)
  await rig.fire({
    name: HOSTILE,
    labels: { service: HOSTILE, region: HOSTILE, [HOSTILE]: HOSTILE },
    annotations: { summary: HOSTILE, runbook_url: 'javascript:alert(1)', graph_url: 'http://x.example/"><b>' },
    generatorURL: 'javascript:alert(4)',
  })
  await rig.deliver({ incident: 1, target: '-1001' }, { state: 'dead', reason: HOSTILE })
  const cookie = await rig.signIn()
  await rig.press(cookie, { command: `note 1 ${HOSTILE}` })
  await rig.press(cookie, { command: HOSTILE })
  await rig.press(cookie, { command: `silence service=${JSON.stringify(HOSTILE)} 1h "${HOSTILE.slice(2)}"` })
  const where = `/config?labels=${encodeURIComponent(`service=${JSON.stringify(HOSTILE)}`)}`
  for (const path of ['/', '/incidents/1', '/deliveries', '/audit', where]) {
    const html = await pageOf(await rig.browse(path, cookie))
    assert.ok(html.includes('&lt;script&gt;alert(1)'), 'it is shown')
    assert.doesNotMatch(
      html,
      /<script(?! src="\/assets\/)|<img|<b>"|href="(?!\/|#|data:image\/svg|http:\/\/alertmanager\.test)/,
    )
    assert.ok(!words(html).includes('49'), 'template code is not run')
  }
})

test('the sandbox signs everybody in and shows what to try', async (t) => {
  const rig = await startRig(t, { sandbox: true })
  const res = await rig.browse('/')
  const cookie = (res.headers.getSetCookie()[0] ?? '').split(';')[0] ?? ''
  const html = await pageOf(res)
  assert.match(html, /<form method="post" action="\/sandbox\/scenarios\/merge-bug">/)
  assert.match(html, /href="\/sandbox\/state"/)
  assert.match(html, /href="\/sandbox\/"/)
  assert.equal((await rig.get('/incidents', { cookie })).status, 200)
  const first = await pageOf(await rig.browse('/silences'))
  assert.ok(first.includes(`name="token" value="${rig.session.formToken('Dana')}"`), 'its forms work at once')
})

test('styles and scripts are served for ever, and what goes wrong inside is a page that tells nothing of it', async (t) => {
  const { rig, cookie } = await night(t)
  const home = await pageOf(await rig.browse('/', cookie))
  const files = [...home.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map((match) => match[1] ?? '')
  assert.equal(files.length, 4)
  for (const file of files) {
    const res = await rig.browse(file)
    assert.equal(res.status, 200)
    assert.equal(res.headers.get('cache-control'), 'public, max-age=31536000, immutable')
    assert.equal(res.headers.get('content-security-policy'), POLICY)
    assert.match(res.headers.get('content-type') ?? '', /^text\/(css|javascript); charset=utf-8$/)
    assert.ok((await res.text()).length > 500)
  }
  await pageOf(await rig.browse('/assets/css.000000000000.css'), 404)
  await pageOf(await rig.browse('/assets/..%2f..%2fpackage.json'), 404)
  rig.store.countIncidents = () => Promise.reject(new Error('SQLITE_CORRUPT: secret detail'))
  const html = await pageOf(await rig.browse('/', cookie), 500)
  assert.match(words(html), /Claw could not make this page/)
  assert.doesNotMatch(html, /SQLITE/)
  assert.equal(rig.errors.length, 1)
})
