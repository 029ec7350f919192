import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { START, startRig } from './rig.ts'

const HOSTILE = `"'><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 | times: 7 }} javascript:alert(3)`

/** Text of a page as a reader sees it. */
function words(html: string): string {
  return html
    .replace(/<(head|style)[\s\S]*?<\/\1>/g, ' ')
    .replace(/<[^>]+>/g, ' ')
    .replaceAll('&quot;', '"')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
    .replace(/\s+/g, ' ')
}

async function pageOf(res: Response, status = 200): Promise<string> {
  const html = await res.text()
  assert.equal(res.status, status, html)
  assert.equal(res.headers.get('content-type'), 'text/html; charset=utf-8')
  const policy = res.headers.get('content-security-policy') ?? ''
  for (const part of ["default-src 'none'", "style-src 'self'", "form-action 'self'", "frame-ancestors 'none'"]) {
    assert.ok(policy.includes(part), policy)
  }
  assert.equal(res.headers.get('x-content-type-options'), 'nosniff')
  assert.equal(res.headers.get('cache-control'), 'no-store')
  for (const tag of html.match(/<[^>]+>/g) ?? []) {
    assert.doesNotMatch(tag, /^<(script|img|iframe|object|base)|\s(on\w+|style)\s*=|=\s*"?\s*javascript:/i)
  }
  return html
}

async function night(t: TestContext) {
  const rig = await startRig(t)
  await rig.fire({ name: 'ReplicationJitterHigh', labels: { service: 'billing', severity: 'warning', region: 'C' } })
  await rig.fire(
    {
      labels: { service: 'rating-api', region: 'A' },
      annotations: { bucket_ratio: '0.04', summary: 'Few tokens left.' },
    },
    { labels: { service: 'rating-api', region: 'B' } },
  )
  await rig.deliver(
    { incident: 2, target: 'C0CRITICAL' },
    { state: 'waiting', reason: 'Slack answered 429.', dueAt: START + 17_000 },
  )
  const dead = await rig.deliver(
    { incident: 2, target: '-1001' },
    { state: 'dead', reason: 'chat not found', attempts: 1 },
  )
  await rig.deliver({ incident: 1, target: 'C0ALERTS' }, { state: 'delivered', reference: '1.2' })
  return { rig, dead, cookie: await rig.signIn() }
}

test('whoever is not signed in gets the form and nothing else, without a redirect', async (t) => {
  const { rig } = await night(t)
  const html = await pageOf(await rig.browse('/'))
  assert.match(html, /<form method="post" action="\/signin"/)
  assert.doesNotMatch(html, /rating-api|http-equiv="refresh"/)
  const incident = await pageOf(await rig.browse('/incidents/2'), 401)
  assert.match(incident, /name="back" value="\/incidents\/2"/)
  assert.doesNotMatch(incident, /rating-api/)
  assert.equal((await rig.browse('/deliveries/1/redeliver', '', {})).status, 401)
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
  assert.match(html, /<meta http-equiv="refresh" content="5">/)
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
  assert.ok(html.includes(`action="/deliveries/${dead.id}/redeliver"`))
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
  assert.match(text, /Story .*Opened as P1/)
  assert.match(text, /TokenBucketDepleted Few tokens left\. Labels alertname TokenBucketDepleted/)
  assert.match(text, /critical route\.routes\[0\]: level="P1"/)
  assert.match(text, /Pages .*triggered first page/)
  assert.match(html, /href="\/api\/v1\/incidents\/2\/postmortem"/)
})

test('a dead letter is sent again by a plain form, from our own page only', async (t) => {
  const { rig, dead, cookie } = await night(t)
  const path = `/deliveries/${dead.id}/redeliver`
  await pageOf(await rig.browse(path, cookie, { back: '/' }, { origin: 'https://evil.example' }), 403)
  await pageOf(await rig.browse(path, cookie, { back: '/' }, { 'sec-fetch-site': 'cross-site' }), 403)
  assert.equal((await rig.store.delivery(dead.id))?.state, 'dead')
  const res = await rig.browse(path, cookie, { back: '/incidents/2' })
  assert.equal(res.status, 303)
  assert.equal(res.headers.get('location'), '/incidents/2')
  assert.equal((await rig.store.delivery(dead.id))?.state, 'pending')
  assert.equal(rig.woken.count, 1)
  const again = words(await pageOf(await rig.browse(path, cookie, { back: '/' }), 409))
  assert.match(again, /only what is dead or waiting can be sent again/)
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
  for (const path of ['/', '/incidents/1']) {
    const html = await pageOf(await rig.browse(path, cookie))
    assert.ok(html.includes('&lt;script&gt;alert(1)'), 'it is shown')
    assert.doesNotMatch(html, /<script|<img|<b>"|href="(?!\/|#dead|data:image\/svg|http:\/\/alertmanager\.test)/)
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
  assert.equal((await rig.get('/incidents', { cookie })).status, 200)
})

test('the style sheet is served, and what goes wrong inside is a page that tells nothing of it', async (t) => {
  const { rig, cookie } = await night(t)
  const css = await rig.browse('/console.css')
  assert.equal(css.headers.get('content-type'), 'text/css; charset=utf-8')
  assert.match(await css.text(), /prefers-color-scheme: dark/)
  rig.store.countIncidents = () => Promise.reject(new Error('SQLITE_CORRUPT: secret detail'))
  const html = await pageOf(await rig.browse('/', cookie), 500)
  assert.match(words(html), /Claw could not make this page/)
  assert.doesNotMatch(html, /SQLITE/)
  assert.equal(rig.errors.length, 1)
})
