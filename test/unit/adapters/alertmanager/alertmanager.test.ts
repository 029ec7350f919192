import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createAlertLookup, filters } from '../../../../src/adapters/alertmanager/alertmanager.ts'
import { deadAddress, json, serve } from '../serve.ts'

const signal = new AbortController().signal
const START = Date.parse('2026-05-04T02:17:00.123Z')
const LABELS = { region: 'A', alertname: 'TokenBucketDepleted' }
const alert = (fields: object = {}) => ({
  fingerprint: '0123456789abcdef',
  startsAt: '2026-05-04T02:17:00.123456789Z',
  status: { state: 'suppressed', silencedBy: ['x'], inhibitedBy: [] },
  labels: LABELS,
  ...fields,
})

async function lookup(t: TestContext, status: number, body: unknown) {
  const server = await serve(t, (response) => json(response, status, body))
  return await createAlertLookup({ url: server.url }).lookup('0123456789abcdef', LABELS, START, signal)
}

test('the question: everything that fires, narrowed by labels', async (t) => {
  const server = await serve(t, (response) => json(response, 200, []))
  const made = createAlertLookup({ url: `${server.url}/am/`, auth: { username: 'u', password: 'p' } })
  assert.equal(await made.lookup('0123456789abcdef', LABELS, START, signal), 'absent')
  const [seen] = server.seen
  const url = new URL(seen?.url ?? '', server.url)
  assert.equal(url.pathname, '/am/api/v2/alerts')
  assert.deepEqual(
    [...url.searchParams],
    [
      ['active', 'true'],
      ['silenced', 'true'],
      ['inhibited', 'true'],
      ['unprocessed', 'true'],
      ['filter', 'alertname="TokenBucketDepleted"'],
      ['filter', 'region="A"'],
    ],
  )
  assert.equal(seen?.headers.authorization, `Basic ${Buffer.from('u:p').toString('base64')}`)
})

test('active: the same fingerprint with this start or a later one', async (t) => {
  assert.equal(await lookup(t, 200, [alert({ fingerprint: 'f'.repeat(16) }), alert()]), 'active')
  assert.equal(
    await lookup(t, 200, [alert({ startsAt: '2026-05-04T02:17:00.122Z' })]),
    'active',
    'a millisecond of grace',
  )
  assert.equal(await lookup(t, 200, [alert({ startsAt: '2026-05-04T04:17:00.123+02:00' })]), 'active')
  assert.equal(await lookup(t, 200, [alert({ startsAt: '2026-05-04T03:00:00Z' })]), 'active')
  assert.equal(await lookup(t, 200, [alert({ startsAt: '2026-05-04T02:17:00.121Z' })]), 'absent')
  assert.equal(await lookup(t, 200, [alert({ fingerprint: 'f'.repeat(16) })]), 'absent')
})

test('anything but a clear answer is unreachable', async (t) => {
  assert.equal(await lookup(t, 400, 'bad matcher format'), 'unreachable')
  assert.equal(await lookup(t, 503, []), 'unreachable')
  assert.equal(await lookup(t, 200, { alerts: [] }), 'unreachable')
  assert.equal(await lookup(t, 200, [{ fingerprint: 1 }]), 'unreachable')
  const silent = await serve(t, () => {})
  const endless = await serve(t, (response) => {
    const more = () => {
      while (!response.destroyed && response.write(' '.repeat(65_536)));
    }
    response.on('drain', more)
    more()
  })
  assert.equal(
    await createAlertLookup({ url: silent.url, timeoutMs: 30 }).lookup('a', LABELS, START, signal),
    'unreachable',
  )
  assert.equal(await createAlertLookup({ url: endless.url }).lookup('a', LABELS, START, signal), 'unreachable')
  const dead = createAlertLookup({ url: await deadAddress() })
  assert.equal(await dead.lookup('a', LABELS, START, signal), 'unreachable')
})

test('filters: quoting, and leaving out what parsers disagree on', () => {
  assert.deepEqual(filters({ a: 'x"y\\z', alertname: 'N' }), ['alertname="N"', 'a="x\\"y\\\\z"'])
  assert.deepEqual(
    filters({ 'my.label': 'x', b: '', c: 'a\nb', d: '\u0000', e: '\ud800', g: '\ufffd', f: 'é{},=~😀' }),
    ['f="é{},=~😀"'],
  )
  assert.deepEqual(filters({ alertname: 'N', huge: 'x'.repeat(20_000) }), ['alertname="N"'])
  assert.ok(filters(Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`l${n}`, 'v']))).length < 200)
})
