import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { z } from 'zod'
import { START, startRig } from '../console/rig.ts'

const HOSTILE = '</td><script>alert(1)</script>|[x](http://evil.example) @here `a` *b* \u202e\n# h'

const text = z.string().nullable()
const Delivery = z.strictObject({
  id: z.string(),
  incident_id: z.string(),
  destination: z.string(),
  receiver: z.string(),
  state: z.enum(['pending', 'waiting', 'delivered', 'dead']),
  attempts: z.number(),
  reference: text,
  reason: text,
  due_at: text,
  created_at: z.string(),
  delivered_at: text,
})
const Incident = z.looseObject({
  id: z.string(),
  state: z.string(),
  level: z.string(),
  level_reason: z.string(),
  title: z.string(),
  regions: z.array(z.string()),
  alerts: z.array(z.looseObject({ fingerprint: z.string(), labels: z.record(z.string(), z.string()) })),
  alert_count: z.number(),
  deliveries: z.array(Delivery),
})
const Incidents = z.strictObject({ incidents: z.array(Incident), next_cursor: text })
const Deliveries = z.strictObject({ deliveries: z.array(Delivery), next_cursor: text })
const Timeline = z.strictObject({
  timeline: z.array(z.strictObject({ at: z.string(), kind: z.string(), actor: text, text: z.string() })),
})
const Problem = z.looseObject({ status: z.number(), code: z.string(), detail: z.string() })

async function problem(res: Response, status: number): Promise<string> {
  const body = await res.text()
  assert.equal(res.status, status, body)
  assert.match(res.headers.get('content-type') ?? '', /^application\/problem\+json/)
  return Problem.parse(JSON.parse(body)).detail
}

async function twoRegions(t: TestContext) {
  const rig = await startRig(t)
  await rig.fire(
    { labels: { service: 'rating-api', region: 'A' }, annotations: { bucket_ratio: '0.04' }, startsAt: START - 5_000 },
    { labels: { service: 'rating-api', region: 'B' }, generatorURL: 'http://prometheus:9090/graph' },
  )
  return rig
}

test('an incident has every field of the contract, in snake_case, with times in UTC', async (t) => {
  const rig = await twoRegions(t)
  rig.time.now += 1_000
  await rig.deliver({ incident: 1, target: 'C0CRITICAL' }, { state: 'delivered', reference: '171.5' })
  const res = await rig.get('/incidents/1')
  assert.equal(res.status, 200)
  assert.equal(res.headers.get('cache-control'), 'no-store')
  const incident = (await res.json()) as Record<string, unknown>
  const { alerts, deliveries, level_reason, next_step, checklist, ...rest } = incident
  const phases = checklist as { phase: string; state: string; by: string | null; at: string | null }[]
  assert.deepEqual(
    phases.map(({ phase, state, by, at }) => [phase, state, by, at]),
    [
      ['detection', 'done', 'claw', '2026-05-04T02:15:00.000Z'],
      ['alerting', 'open', null, null],
      ['switch', 'open', null, null],
      ['validation', 'open', null, null],
      ['automation', 'open', null, null],
      ['post-mortem', 'open', null, null],
    ],
  )
  assert.deepEqual(rest, {
    id: '1',
    state: 'open',
    level: 'P1',
    title: 'Bucket nearly empty in A and B · rating-api',
    regions: ['A', 'B'],
    alert_count: 2,
    firing_count: 2,
    suppressed_count: 0,
    triage: null,
    operations: [],
    proposals: [],
    opened_at: '2026-05-04T02:15:00.000Z',
    updated_at: '2026-05-04T02:15:00.000Z',
    acknowledged_at: null,
    acknowledged_by: null,
    resolved_at: null,
    resolved_by: null,
    flapping: false,
    signal_lost: false,
    recurrences: 0,
    synthetic: false,
    correlation_key: { service: 'rating-api' },
    classes: ['exhaustion'],
    receivers: [{ name: 'critical', why: 'route.routes[0]: level="P1"' }],
    pages: [{ key: '', generation: 1, state: 'triggered', reason: 'first page' }],
    bucket: { ratio: 0.04, source: 'annotation', trend: null },
    links: {
      incident: 'http://claw.test/incidents/1',
      graph: 'http://prometheus:9090/graph',
      runbook: null,
      alertmanager: 'http://alertmanager.test:9093',
    },
  })
  assert.ok(typeof level_reason === 'string' && level_reason.includes('critical'))
  assert.ok(typeof next_step === 'string')
  const shown = z.array(z.record(z.string(), z.unknown())).parse(alerts)
  const { fingerprint, ...alert } = shown.find((one) => one.region === 'A') ?? {}
  assert.match(String(fingerprint), /^[0-9a-f]{16}$/)
  assert.deepEqual(alert, {
    name: 'TokenBucketDepleted',
    state: 'firing',
    level: 'P1',
    region: 'A',
    labels: { alertname: 'TokenBucketDepleted', severity: 'critical', service: 'rating-api', region: 'A' },
    annotations: { bucket_ratio: '0.04' },
    starts_at: '2026-05-04T02:14:55.000Z',
    ends_at: null,
    first_seen: '2026-05-04T02:15:00.000Z',
    last_seen: '2026-05-04T02:15:00.000Z',
    times_seen: 1,
    suppressed: null,
    generator_url: '',
  })
  const slack = z
    .array(Delivery)
    .parse(deliveries)
    .find((one) => one.destination === 'slack:C0CRITICAL')
  assert.equal(slack?.state, 'delivered')
  assert.equal(slack?.reference, '171.5')
  assert.equal(slack?.delivered_at, '2026-05-04T02:15:01.000Z')
  assert.deepEqual(
    z
      .array(Delivery)
      .parse(deliveries)
      .map((one) => one.destination.split(':')[0]),
    ['pagerduty', 'slack', 'telegram'],
  )
})

test('the list is newest first, filtered by state, and its cursor goes on where it ended', async (t) => {
  const rig = await startRig(t)
  for (let n = 1; n <= 5; n++) await rig.fire({ labels: { service: `s${n}` } })
  await rig.fire({ labels: { service: 's2' }, status: 'resolved', startsAt: START })
  const ids = async (query: string) => {
    const res = await rig.get(`/incidents${query}`)
    const page = Incidents.parse(await res.json())
    return { ids: page.incidents.map((one) => one.id), next: page.next_cursor }
  }
  assert.deepEqual(await ids(''), { ids: ['5', '4', '3', '2', '1'], next: null })
  assert.deepEqual(await ids('?state=&limit=&cursor='), { ids: ['5', '4', '3', '2', '1'], next: null })
  assert.deepEqual((await ids('?state=resolved')).ids, ['2'])
  assert.deepEqual((await ids('?state=open')).ids, ['5', '4', '3', '1'])
  assert.deepEqual((await ids('?state=open,resolved')).ids.length, 5)
  assert.deepEqual((await ids('?state=acknowledged&state=resolved')).ids, ['2'])
  const first = await ids('?limit=2')
  assert.deepEqual(first.ids, ['5', '4'])
  const second = await ids(`?limit=2&cursor=${first.next}`)
  assert.deepEqual(second.ids, ['3', '2'])
  assert.deepEqual(await ids(`?limit=2&cursor=${second.next}`), { ids: ['1'], next: null })
  assert.deepEqual((await ids('?limit=5')).next, null)
})

test('bad queries and ids are refused and say what is right', async (t) => {
  const rig = await startRig(t)
  assert.match(await problem(await rig.get('/incidents?state=closed'), 400), /open, acknowledged or resolved/)
  for (const limit of ['0', '1001', '-1', '1.5', 'x', '1e2']) {
    assert.match(await problem(await rig.get(`/incidents?limit=${limit}`), 400), /1 to 1000/)
  }
  const foreign = Buffer.from('deliveries:3').toString('base64url')
  for (const cursor of ['3', 'aW5jaWRlbnRzOjM=', foreign, `${Buffer.from('incidents:0').toString('base64url')}`]) {
    assert.match(await problem(await rig.get(`/incidents?cursor=${cursor}`), 400), /next_cursor/)
  }
  for (const id of ['x', '0', '-1', '1.0', '01', '9999999999999999', '%00', '%zz']) {
    await problem(await rig.get(`/incidents/${id}`), 400)
  }
  await problem(await rig.get('/incidents/7'), 404)
  await problem(await rig.get('/incidents/7/timeline'), 404)
  await problem(await rig.get('/incidents/7/postmortem'), 404)
  await problem(await rig.get('/nothing'), 404)
  await problem(await rig.get('/deliveries?state=open'), 400)
  await problem(await rig.post('/deliveries/x/redeliver'), 400)
  await problem(await rig.post('/deliveries/7/redeliver'), 404)
})

test('another method is 405 and says which are allowed', async (t) => {
  const rig = await startRig(t)
  const posted = await rig.post('/incidents')
  assert.equal(posted.headers.get('allow'), 'GET, HEAD')
  await problem(posted, 405)
  const got = await rig.get('/deliveries/1/redeliver')
  assert.equal(got.headers.get('allow'), 'POST')
  await problem(got, 405)
})

test('only a configured token opens the API, whatever the path', async (t) => {
  const rig = await startRig(t, { tokens: { Dana: 'dana-token', Nobody: '' } })
  const bad = [
    {},
    { authorization: 'Bearer ' },
    { authorization: 'Bearer wrong' },
    { authorization: 'Basic ZGFuYS10b2tlbg==' },
  ]
  for (const headers of bad) {
    for (const path of ['/incidents', '/nothing']) {
      const res = await rig.get(path, headers as Record<string, string>)
      assert.equal(res.headers.get('www-authenticate'), 'Bearer')
      await problem(res, 401)
    }
  }
  assert.equal((await rig.get('/incidents', { authorization: 'bearer dana-token' })).status, 200)
  rig.tokens.Dana = 'changed'
  await problem(await rig.get('/incidents'), 401)
})

test('the console cookie opens it too, and changes things only from our own pages', async (t) => {
  const rig = await twoRegions(t)
  const { id } = await rig.deliver({ incident: 1, target: '-1001' }, { state: 'dead', reason: 'chat not found' })
  const cookie = await rig.signIn()
  assert.equal((await rig.get('/incidents', { cookie })).status, 200)
  const path = `/deliveries/${id}/redeliver`
  for (const headers of [
    {},
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site', origin: rig.url },
    { 'sec-fetch-site': 'same-site', origin: rig.url },
  ]) {
    await problem(await rig.post(path, { cookie, ...headers } as Record<string, string>), 403)
  }
  assert.equal((await rig.store.delivery(id))?.state, 'dead')
  assert.equal((await rig.post(path, { cookie, origin: rig.url })).status, 202)
})

test('a dead or waiting delivery is sent again, once, and the lanes are told', async (t) => {
  const rig = await twoRegions(t)
  const { id } = await rig.deliver(
    { incident: 1, target: '-1001' },
    { state: 'dead', reason: 'chat not found', attempts: 3 },
  )
  const dead = Deliveries.parse(await (await rig.get('/deliveries?state=dead')).json())
  assert.deepEqual(
    dead.deliveries.map((one) => [one.destination, one.incident_id, one.reason, one.attempts]),
    [['telegram:-1001', '1', 'chat not found', 3]],
  )
  const res = await rig.post(`/deliveries/${id}/redeliver`)
  assert.equal(res.status, 202)
  const again = Delivery.parse(await res.json())
  assert.deepEqual([again.state, again.reason, again.attempts], ['pending', null, 0])
  assert.equal(rig.woken.count, 1)
  assert.match(await problem(await rig.post(`/deliveries/${id}/redeliver`), 409), /pending/)
  assert.equal(rig.woken.count, 1)
  await rig.deliver({ incident: 1, target: '-1001' }, { state: 'waiting', reason: 'HTTP 503', dueAt: START + 9_000 })
  assert.equal((await rig.post(`/deliveries/${id}/redeliver`)).status, 202)
  await rig.deliver({ incident: 1, target: '-1001' }, { state: 'delivered' })
  await problem(await rig.post(`/deliveries/${id}/redeliver`), 409)
})

test('who only looks sends nothing again, and the audit trail says who did', async (t) => {
  const rig = await twoRegions(t)
  Object.assign(rig.tokens, { Vic: 'vic-token', Rae: 'rae-token', Nobody: 'nobody-token' })
  const { id } = await rig.deliver({ incident: 1, target: '-1001' }, { state: 'dead', reason: 'chat not found' })
  const path = `/deliveries/${id}/redeliver`
  for (const who of ['vic', 'nobody']) {
    assert.match(
      await problem(await rig.post(path, { authorization: `Bearer ${who}-token` }), 403),
      /deliveries or ack/,
    )
  }
  assert.equal((await rig.store.delivery(id))?.state, 'dead')
  assert.equal((await rig.post(path, { authorization: 'Bearer rae-token' })).status, 202)
  const rows = await rig.store.auditRows(0, 10)
  assert.deepEqual(
    rows.map(({ actor, via, action, target, outcome }) => [actor, via, action, target, outcome]),
    [
      ['Vic', 'http', 'deliveries', '', 'forbidden'],
      ['Nobody', 'http', 'deliveries', '', 'forbidden'],
      ['Rae', 'http', 'deliveries', 'incident 1', 'done'],
    ],
  )
})

test('deliveries are listed newest first, page by page', async (t) => {
  const rig = await twoRegions(t)
  const first = Deliveries.parse(await (await rig.get('/deliveries?limit=2')).json())
  const second = Deliveries.parse(await (await rig.get(`/deliveries?limit=2&cursor=${first.next_cursor}`)).json())
  const ids = [...first.deliveries, ...second.deliveries].map((one) => Number(one.id))
  assert.equal(ids.length, 3)
  assert.deepEqual(
    ids,
    ids.toSorted((a, b) => b - a),
  )
  assert.equal(second.next_cursor, null)
})

test('the timeline tells story, alerts and deliveries in order', async (t) => {
  const rig = await twoRegions(t)
  rig.time.now += 5_000
  await rig.deliver({ incident: 1, target: 'C0CRITICAL' }, { state: 'delivered' })
  rig.time.now += 5_000
  await rig.fire({ labels: { service: 'rating-api', region: 'B' }, status: 'resolved', startsAt: START })
  const { timeline } = Timeline.parse(await (await rig.get('/incidents/1/timeline')).json())
  const times = timeline.map((one) => one.at)
  assert.deepEqual(times, times.toSorted())
  const kinds = timeline.map((one) => one.kind)
  assert.equal(kinds[0], 'opened')
  assert.equal(kinds.filter((kind) => kind === 'alert_firing').length, 2)
  const resolved = timeline.find((one) => one.kind === 'alert_resolved')
  assert.deepEqual(resolved?.at, '2026-05-04T02:15:10.000Z')
  assert.ok(resolved?.text.includes('TokenBucketDepleted in B'))
  const told = timeline.find((one) => one.kind === 'delivered')
  assert.equal(told?.at, '2026-05-04T02:15:05.000Z')
  assert.ok(told?.text.includes('slack:C0CRITICAL'))
})

test('alerts are complete up to 1000, and a list of large incidents is cut into pages that miss none', async (t) => {
  const rig = await startRig(t)
  const incidents = 22
  for (let n = 0; n < incidents; n++) {
    await rig.fire(
      ...Array.from({ length: n === 0 ? 1_005 : 1_000 }, (_, i) => ({
        labels: { service: `s${n}`, node: String(i) },
        fingerprint: `${n}-${i}`,
      })),
    )
  }
  const first = Incidents.parse(await (await rig.get('/incidents?limit=1000')).json())
  assert.equal(first.incidents.length, 20)
  assert.ok(first.incidents.every((one) => one.alerts.length === 1_000))
  const second = Incidents.parse(await (await rig.get(`/incidents?limit=1000&cursor=${first.next_cursor}`)).json())
  assert.deepEqual(
    second.incidents.map((one) => [one.id, one.alerts.length, one.alert_count]),
    [
      ['2', 1_000, 1_000],
      ['1', 1_000, 1_005],
    ],
  )
  assert.equal(second.next_cursor, null)
})

test('any string comes back as it was', async (t) => {
  const rig = await startRig(t)
  const odd = {
    ['__proto__']: 'p',
    '': 'empty',
    nul: '\u0000',
    lone: '\ud800',
    long: 'x'.repeat(20_000),
    hostile: HOSTILE,
  }
  await rig.fire({ labels: { service: 'odd' }, annotations: odd })
  const res = await rig.get('/incidents/1')
  const body = JSON.parse(await res.text()) as { alerts: { annotations: Record<string, string> }[] }
  assert.deepEqual(Object.entries(body.alerts[0]?.annotations ?? {}), Object.entries(odd))
})

test('the post-mortem is a draft in Markdown that says what happened', async (t) => {
  const rig = await twoRegions(t)
  rig.time.now += 31 * 60_000
  const res = await rig.get('/incidents/1/postmortem')
  assert.equal(res.headers.get('content-type'), 'text/markdown; charset=utf-8')
  const open = await res.text()
  assert.match(open, /^# Post-mortem of incident 1: Bucket nearly empty in A and B · rating-api\n/)
  assert.match(open, /Status: Draft: the incident is still open\./)
  assert.match(open, /\| Duration \| 31 min so far \|/)
  for (const region of ['A', 'B']) {
    await rig.fire({
      labels: { service: 'rating-api', region },
      status: 'resolved',
      startsAt: region === 'A' ? START - 5_000 : START,
    })
  }
  const closed = await (await rig.get('/incidents/1/postmortem')).text()
  assert.match(closed, /The review is due by 2026-05-06 02:46:00 UTC/)
  assert.match(closed, /\| Duration \| 31 min \|/)
  assert.match(closed, /Was the limiter right/)
  assert.match(closed, /\| slack:C0CRITICAL \| critical \| pending \| never \|/)
  assert.match(closed, /## Action items/)
})

test('a hostile label puts nothing into the post-mortem but text', async (t) => {
  const rig = await startRig(t)
  await rig.fire({ name: HOSTILE, labels: { service: HOSTILE, region: HOSTILE }, annotations: { summary: HOSTILE } })
  const markdown = await (await rig.get('/incidents/1/postmortem')).text()
  assert.ok(markdown.includes('alert(1)'), 'the text is there')
  assert.doesNotMatch(markdown, /<script|http:\/\/|@here|(?<!\\)\[x|(?<!\\)`a|(?<!\\)\*b|\u202e/)
  assert.doesNotMatch(markdown, /^# h/m)
  const rows = markdown.split('\n').filter((line) => line.includes('still firing'))
  assert.equal(rows.length, 1)
  assert.equal(rows[0]?.split('|').length, 9, 'seven cells')
})

test('nothing that the API answers holds a token', async (t) => {
  const rig = await twoRegions(t)
  for (const path of [
    '/incidents',
    '/incidents/1',
    '/incidents/1/timeline',
    '/incidents/1/postmortem',
    '/deliveries',
  ]) {
    const body = await (await rig.get(path)).text()
    assert.doesNotMatch(body, /dana-token|kim-token|xoxb|0123456789abcdef0123/)
  }
})
