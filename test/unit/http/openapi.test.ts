import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openApiDocument } from '../../../handlers/api/openapi.ts'
import { OPERATIONS, SECURITY } from '../../../handlers/api/openapi-operations.ts'
import { apiRoutes } from '../../../handlers/api/routes.ts'
import { REQUESTS } from '../../../handlers/api/schemas-requests.ts'
import { SECOND } from '../../../src/core/clock.ts'
import { mistakesOf, refusalsOf } from './openapi-lint.ts'
import {
  alertmanager,
  command,
  dana,
  end,
  enriched,
  full,
  pagerDutyEvent,
  pagerduty,
  type Rig,
  startRig,
  telegram,
  telegramUpdate,
  vic,
  webhook,
} from './openapi-rig.ts'

const EXAMPLES = fileURLToPath(new URL('../../../handlers/api/openapi.examples.json', import.meta.url))
const FORM = 'application/x-www-form-urlencoded'
const JSON_TYPE = 'application/json'

test('the document keeps the rules of OpenAPI 3.1', () => {
  assert.deepEqual(mistakesOf(openApiDocument()), [])
})

test('its examples are as its own schemas say', () => {
  assert.deepEqual(refusalsOf(openApiDocument()), [])
})

test('what breaks those rules is found', () => {
  const broken: [string, (paths: Paths) => unknown][] = [
    [
      '#/components/schemas/Nothing',
      ({ audit }) => Object.assign(audit.responses[200], { $ref: '#/components/schemas/Nothing' }),
    ],
    ['operationId', ({ audit }) => Object.assign(audit, { operationId: 'getIncident' })],
    ['no description', ({ audit }) => Object.assign(audit.responses[200], { description: '' })],
    ['parameters of the path', ({ incident }) => Object.assign(incident, { parameters: [] })],
    ['not declared', ({ incident }) => Object.assign(incident, { tags: ['others'] })],
    ['is not used', ({ audit }) => Object.assign(audit, { responses: { 200: { description: 'It.' } } })],
    ['no good answer', ({ audit }) => Object.assign(audit, { responses: {} })],
    ['no security scheme', ({ audit }) => Object.assign(audit, { security: [{ magic: [] }] })],
  ]
  for (const [said, spoil] of broken) {
    const document = openApiDocument()
    const paths = document.paths as Record<string, { get: Documented }>
    const [audit, incident] = [paths['/api/v1/audit']?.get, paths['/api/v1/incidents/{id}']?.get]
    assert.ok(audit && incident)
    spoil({ audit, incident })
    assert.ok(
      mistakesOf(document).some((one) => one.includes(said)),
      said,
    )
  }
  const document = JSON.parse(JSON.stringify(openApiDocument()).replaceAll('"state":"open"', '"state":"ajar"'))
  assert.ok(refusalsOf(document).some((one) => one.includes('incidents~1{id}')))
})

type Documented = { responses: { 200: object } }
type Paths = { audit: Documented; incident: Documented }

test('it names every route of the API, and no other', () => {
  const routes = apiRoutes({} as Parameters<typeof apiRoutes>[0]).map(
    ({ method, path }) => `${method.toLowerCase()} /api/v1${path.replaceAll(/:(\w+)/g, '{$1}')}`,
  )
  const documented = OPERATIONS.filter(({ path }) => path.startsWith('/api/')).map(
    ({ method, path }) => `${method} ${path}`,
  )
  assert.deepEqual(documented.toSorted(), routes.toSorted())
})

/** Good answers of everything, in an order in which one thing leads to another. */
async function everythingGood(rig: Rig): Promise<void> {
  const { call, store } = rig
  await call('receiveAlertmanager', 200, alertmanager(webhook()))
  const message = (await store.deliveriesOf([1])).find(({ kind }) => kind === 'slack')
  assert.ok(message)
  await store.write((tx) => end(tx, message.id, { state: 'delivered', reference: '1777860901.000100', reason: null }))
  await rig.meanwhile(store, enriched(store), async () => {
    await call('getIncident', 200, { path: '/api/v1/incidents/1', headers: dana })
    await call('getTimeline', 200, { path: '/api/v1/incidents/1/timeline', headers: dana })
  })
  await call('getIncident', 200, { path: '/api/v1/incidents/1', headers: dana })
  await call('runCommand', 200, command({ text: 'ack 1 looking' }, { ...dana, 'idempotency-key': 'one' }))
  await call('runCommand', 200, command({ text: 'incidents', as: 'Dana', confirm: true, via: 'terminal' }))
  // Less than it takes until somebody else is told of a page that nobody confirmed.
  rig.pass(20 * SECOND)
  await call('receiveAlertmanager', 200, alertmanager(webhook('firing', 'search')))
  await call('receiveAlertmanager', 200, alertmanager(webhook('resolved', 'search')))
  await call('listIncidents', 200, { path: '/api/v1/incidents?state=acknowledged,resolved&limit=1', headers: dana })
  await call('listIncidents', 200, { path: '/api/v1/incidents', headers: dana })
  await call('getTimeline', 200, { path: '/api/v1/incidents/1/timeline', headers: dana })
  await call('getPostmortem', 200, { path: '/api/v1/incidents/1/postmortem', headers: dana })
  const [one] = await store.listDeliveries({ state: 'pending', limit: 1, before: null })
  assert.ok(one)
  await store.write((tx) => end(tx, one.id, { state: 'dead', reference: null, reason: 'The channel is archived.' }))
  await call('listDeliveries', 200, { path: '/api/v1/deliveries?state=dead', headers: dana })
  await call('listDeliveries', 200, { path: '/api/v1/deliveries', headers: dana })
  await call('redeliver', 202, { path: `/api/v1/deliveries/${one.id}/redeliver`, headers: dana })
  await call('redeliver', 409, { path: `/api/v1/deliveries/${one.id}/redeliver`, headers: dana })
  await call('listAudit', 200, { path: '/api/v1/audit?limit=1', headers: dana })
  await call('listAudit', 200, { path: '/api/v1/audit', headers: dana })
  await call('receivePagerDuty', 200, pagerduty(pagerDutyEvent))
  await call('receiveTelegram', 200, telegram(telegramUpdate))
  await call(
    'receiveSlack',
    200,
    rig.slack('command=%2Fclaw&text=status&trigger_id=1.2&user_id=U0DANA&channel_id=C0', FORM),
  )
  await call(
    'receiveSlack',
    200,
    rig.slack(JSON.stringify({ type: 'url_verification', challenge: '3eZbrw1a' }), JSON_TYPE),
  )
  await call('getHealth', 200, { path: '/healthz' })
  await call('getReadiness', 200, { path: '/readyz' })
  await call('getMetrics', 200, { path: '/metrics' })
  const { body } = await call('getOpenApi', 200, { path: '/openapi.json' })
  assert.deepEqual(body, openApiDocument())
}

async function everythingRefused(rig: Rig): Promise<void> {
  const { call } = rig
  for (const [id, path] of LISTS) await call(id, 400, { path: `${path}?limit=0`, headers: dana })
  for (const [id, path] of ABOUT_ONE) {
    await call(id, 400, { path: path('x'), headers: dana })
    await call(id, 404, { path: path('999'), headers: dana })
  }
  for (const { id, method, path } of OPERATIONS.filter(({ path }) => path.startsWith('/api/'))) {
    const body = method === 'post' ? { body: '{}' } : {}
    await call(id, 401, { path: path.replace('{id}', '1'), headers: { authorization: 'Bearer wrong' }, ...body })
  }
  // The console's cookie opens the API as well.
  const { name, header } = rig.cookie()
  assert.equal(name, SECURITY.consoleCookie.name)
  await call('listAudit', 200, { path: '/api/v1/audit', headers: { cookie: header } })
  for (const [id, path] of CHANGES) {
    const crossSite = { cookie: header, 'sec-fetch-site': 'cross-site' }
    await call(id, 403, { path, headers: crossSite, body: '{}' })
    await call(id, 413, { path, headers: dana, body: 'x'.repeat(65_537) })
    await call(id, 415, { path, headers: { ...dana, 'content-encoding': 'gzip' }, body: '{}' })
  }

  await call('runCommand', 400, command({ text: '' }))
  await call('runCommand', 400, command({ text: 'reconsile A' }))
  await call('runCommand', 403, command({ text: 'ack 1', as: 'Vic' }))
  await call('runCommand', 403, command({ text: 'ack 1' }, vic))
  await call('runCommand', 404, command({ text: 'ack 999' }))
  await call('runCommand', 409, command({ text: 'ack 2' }))
  await call('runCommand', 503, command({ text: 'oncall' }))

  const large = { text: 'x'.repeat(17 * 1024 * 1024) }
  for (const [id, request, wrong] of WEBHOOKS) {
    await call(id, 400, request({ version: '3' }))
    await call(id, 401, request({}, wrong))
    await call(id, 413, request(large))
    await call(id, 415, request({}, { 'content-type': 'text/plain' }))
  }
  await call('receiveSlack', 401, rig.slack('text=status', FORM, { 'x-slack-signature': `v0=${'0'.repeat(64)}` }))
  await call('receiveSlack', 413, rig.slack('x'.repeat(1_000_001), FORM))
  await call('receiveSlack', 415, rig.slack('text=status', FORM, { 'content-encoding': 'gzip' }))
}

const LISTS = [
  ['listIncidents', '/api/v1/incidents'],
  ['listDeliveries', '/api/v1/deliveries'],
  ['listAudit', '/api/v1/audit'],
] as const
const ABOUT_ONE = [
  ['getIncident', (id: string) => `/api/v1/incidents/${id}`],
  ['getTimeline', (id: string) => `/api/v1/incidents/${id}/timeline`],
  ['getPostmortem', (id: string) => `/api/v1/incidents/${id}/postmortem`],
  ['redeliver', (id: string) => `/api/v1/deliveries/${id}/redeliver`],
] as const
const CHANGES = [
  ['redeliver', '/api/v1/deliveries/1/redeliver'],
  ['runCommand', '/api/v1/commands'],
] as const
const WEBHOOKS = [
  ['receiveAlertmanager', alertmanager, { authorization: 'Bearer wrong' }],
  ['receivePagerDuty', pagerduty, { 'x-pagerduty-signature': `v1=${'0'.repeat(64)}` }],
  ['receiveTelegram', telegram, { 'x-telegram-bot-api-secret-token': 'wrong' }],
] as const

/** Whatever uses the store, while that fails: by our own mistake (500), and because the disk is full (503). */
async function everythingBroken(rig: Rig): Promise<void> {
  const { call, app, store } = rig
  // About an incident of ours, so that it changes something.
  const data = { ...pagerDutyEvent.event.data, incident_key: 'claw/claw/1' }
  const event = (id: string) => ({ event: { ...pagerDutyEvent.event, id, data } })
  const said = (id: number) => ({ update_id: id, message: { ...telegramUpdate.message, text: '/claw status' } })
  const mention = { type: 'app_mention', user: 'U0DANA', channel: 'C0', text: 'status', ts: '1.2' }
  for (const [status, error] of [
    [500, new Error('a mistake of ours')],
    [503, full()],
  ] as const) {
    const fails = async () => {
      throw error
    }
    await rig.meanwhile(store, { write: fails }, async () => {
      await call('receiveAlertmanager', status, alertmanager(webhook('firing', `s${status}`)))
      await call('receivePagerDuty', status, pagerduty(event(`e${status}`)))
      await call('receiveTelegram', status, telegram(said(status)))
      await call('runCommand', status, command({ text: 'status' }))
      await call('redeliver', status, { path: '/api/v1/deliveries/1/redeliver', headers: dana })
      const body = JSON.stringify({ type: 'event_callback', team_id: 'T0', event_id: `Ev${status}`, event: mention })
      await call('receiveSlack', 500, rig.slack(body, JSON_TYPE))
    })
    const gets = async () => {
      for (const [id, path] of LISTS) await call(id, status, { path, headers: dana })
      for (const [id, path] of ABOUT_ONE.slice(0, 3)) await call(id, status, { path: path('1'), headers: dana })
    }
    // Reading fails; or counters that are still in memory cannot be written before somebody reads them.
    const reads = { incidents: fails, listIncidents: fails, listDeliveries: fails, auditRows: fails }
    if (status === 500) await rig.meanwhile(store, reads, gets)
    else await rig.meanwhile(app.parts, { settle: fails }, gets)
  }
  const fails = async () => {
    throw full()
  }
  await rig.meanwhile(store, { ping: fails, countIncidents: fails, countDeliveries: fails }, async () => {
    await call('getReadiness', 503, { path: '/readyz' })
    await call('getMetrics', 200, { path: '/metrics' })
  })
  assert.ok(
    app.logged.some((line) => line.includes('a mistake of ours')),
    'it is in the log',
  )
}

test('every documented operation and status occurs, and every real answer is as its schema says, field by field', async (t) => {
  const rig = await startRig(t)
  await everythingGood(rig)
  await everythingRefused(rig)
  await everythingBroken(rig)
  const bare = await startRig(t, '')
  await bare.call('receiveSlack', 404, rig.slack('text=status', FORM))

  const seen = new Set([...rig.exercised, ...bare.exercised])
  const documented = OPERATIONS.flatMap(({ id, answers }) =>
    Object.entries(answers).flatMap(([status, { content }]) =>
      content.length === 0 ? [`${id} ${status}`] : content.map(({ type }) => `${id} ${status} ${type}`),
    ),
  )
  assert.deepEqual(
    documented.filter((one) => !seen.has(one)),
    [],
    'documented, but never seen',
  )

  // The examples of the document are what was just asked and answered.
  const real = JSON.parse(JSON.stringify({ ...rig.examples }))
  if (process.env.CLAW_UPDATE_EXAMPLES) writeFileSync(EXAMPLES, `${JSON.stringify(real, null, 2)}\n`)
  assert.deepEqual(
    JSON.parse(readFileSync(EXAMPLES, 'utf8')),
    real,
    'answers changed: run CLAW_UPDATE_EXAMPLES=1 npx node --test test/unit/http/openapi.test.ts, then npx biome check --write handlers/api',
  )
})

/** A body with each of its fields left out, null, a number and a text, one at a time. */
function variations(value: unknown): { path: string; body: unknown }[] {
  const found: { path: string; body: unknown }[] = []
  const walk = (at: unknown, path: (string | number)[]): void => {
    if (typeof at !== 'object' || at === null) return
    for (const key of Array.isArray(at) ? at.keys() : Object.keys(at)) {
      const here = [...path, key]
      for (const other of [undefined, null, 5, 'x', {}, []]) {
        const body = structuredClone(value)
        const parent = path.reduce((node, step) => Reflect.get(node, step) as object, body as object)
        if (other === undefined) Reflect.deleteProperty(parent, key)
        else Reflect.set(parent, key, other)
        // What JSON writes of a hole in a list is null.
        found.push({ path: `${here.join('.')} = ${JSON.stringify(other)}`, body: JSON.parse(JSON.stringify(body)) })
      }
      walk(Reflect.get(at, key), here)
    }
  }
  walk(value, [])
  return found
}

test('Claw takes exactly the webhooks and commands that the document describes', async (t) => {
  const rig = await startRig(t)
  const post = async (request: { path: string; headers?: Record<string, string>; body?: string }) => {
    const { path, headers = {}, body = '' } = request
    const answer = await fetch(`${rig.app.url}${path}`, { method: 'POST', headers, body })
    const text = await answer.text()
    return { status: answer.status, problem: text.includes('about:blank') }
  }
  const bodies = variations({ ...webhook(), alerts: webhook().alerts.slice(0, 1) })
  assert.ok(bodies.length > 50)
  for (const { path, body } of bodies) {
    const described = REQUESTS.AlertmanagerWebhook.safeParse(body).success
    const { status } = await post(alertmanager(body))
    assert.equal(status, described ? 200 : 400, path)
  }
  for (const { path, body } of variations({
    text: 'help',
    as: 'Dana',
    confirm: false,
    override: 'why',
    via: 'http',
    no: 1,
  })) {
    // Another person is refused for another reason.
    if (/^as = "x"/.test(path)) continue
    const described = REQUESTS.Command.safeParse(body).success
    const { problem } = await post(command(body))
    assert.equal(!problem, described, path)
  }
  // Of these two, Claw overlooks more than is described.
  for (const { path, body } of variations(pagerDutyEvent)) {
    if (REQUESTS.PagerDutyWebhook.safeParse(body).success) assert.equal((await post(pagerduty(body))).status, 200, path)
  }
  for (const { path, body } of variations(telegramUpdate)) {
    if (REQUESTS.TelegramUpdate.safeParse(body).success) assert.equal((await post(telegram(body))).status, 200, path)
  }
})

test('claw openapi prints it', () => {
  const main = fileURLToPath(new URL('../../../src/main.ts', import.meta.url))
  const printed = execFileSync(process.execPath, [main, 'openapi'], { encoding: 'utf8', maxBuffer: 8 * 1024 * 1024 })
  assert.deepEqual(JSON.parse(printed), JSON.parse(JSON.stringify(openApiDocument())))
})

test('it is served to everybody, may be kept for a while, and says which methods it takes', async (t) => {
  const { app } = await startRig(t, '')
  const got = await fetch(`${app.url}/openapi.json`)
  assert.equal(got.headers.get('content-type'), 'application/json; charset=utf-8')
  assert.equal(got.headers.get('cache-control'), 'public, max-age=300')
  assert.match(await got.text(), /^\{"openapi":"3\.1\.0"/)
  const head = await fetch(`${app.url}/openapi.json`, { method: 'HEAD' })
  assert.equal(head.status, 200)
  const posted = await fetch(`${app.url}/openapi.json`, { method: 'POST' })
  assert.equal(posted.status, 405)
  assert.equal(posted.headers.get('allow'), 'GET, HEAD')
})
