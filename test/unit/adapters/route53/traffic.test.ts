import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createRoute53Traffic, type Route53Options } from '../../../../src/adapters/route53/traffic.ts'
import type { Json } from '../../../../src/core/delivery.ts'
import type { TrafficChange } from '../../../../src/core/edge.ts'
import { ClawError } from '../../../../src/core/errors.ts'
import { deadAddress } from '../serve.ts'
import { type FakeSet, fakeRoute53, refuse } from './fake.ts'

const SECRET = 'aws-secret-access-key'
const KEY_ID = 'AKIAEXAMPLE'
const signal = new AbortController().signal
const NAME = 'rating.example.com'
const SIMPLE: FakeSet = { name: NAME, type: 'A', ttl: 60, values: ['192.0.2.1'], healthCheck: 'h1' }
const ADDRESSES = { A: { address: '192.0.2.1' }, B: { address: '192.0.2.2' }, six: { address: '2001:db8::1' } }
const WEIGHTED: FakeSet[] = [
  { name: NAME, type: 'A', set: 'eu-a', weight: 70, ttl: 120, values: ['192.0.2.1'] },
  { name: NAME, type: 'A', set: 'eu-b', weight: 30, ttl: 120, values: ['192.0.2.2'] },
  { name: NAME, type: 'AAAA', set: 'eu-a', weight: 200, alias: 'a.elb.example.com.' },
  { name: NAME, type: 'AAAA', set: 'eu-b', weight: 100, alias: 'b.elb.example.com.' },
]
const SETS = { A: { set_identifier: 'eu-a' }, B: { set_identifier: 'eu-b' }, C: { set_identifier: 'eu-c' } }

const change = (expected: Json, fields: Partial<TrafficChange> = {}): TrafficChange => ({
  from: 'A',
  to: 'B',
  expected,
  key: 'o9-switch',
  by: 'Dana',
  incident: null,
  ...fields,
})

async function rig(t: TestContext, sets: FakeSet[], options: Partial<Route53Options> = {}) {
  const fake = await fakeRoute53(t)
  fake.sets = [...sets, { name: 'sibling.example.com', type: 'A', ttl: 5, values: ['192.0.2.7'] }]
  const traffic = createRoute53Traffic({
    endpoint: fake.server.url,
    region: 'us-east-1',
    accessKeyId: KEY_ID,
    secretAccessKey: SECRET,
    zone: 'Z1',
    record: NAME,
    regions: ADDRESSES,
    ...options,
  })
  return { fake, traffic }
}

async function failureOf(promise: Promise<unknown>): Promise<[string, string]> {
  const error = await promise.then(
    () => assert.fail('it did not fail'),
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof ClawError, String(error))
  for (const secret of [SECRET, KEY_ID, '127.0.0.1']) assert.ok(!error.message.includes(secret), error.message)
  return [error.code, error.message]
}

test('a simple record: read, moved, moved again without a change, restored; the rest of it stays', async (t) => {
  const { fake, traffic } = await rig(t, [SIMPLE])
  const before = await traffic.read(signal)
  assert.deepEqual(before, { records: [{ type: 'A', set: null, weight: null, values: ['192.0.2.1'] }] })
  assert.deepEqual([traffic.kind, traffic.settlesWithin], ['route53', 60_000])
  assert.equal(await traffic.move(change(before), signal), null)
  assert.equal(await traffic.move(change(before), signal), null)
  assert.deepEqual(fake.batches, [['DELETE A 192.0.2.1', 'CREATE A 192.0.2.2']])
  assert.deepEqual(
    fake.sets.find((set) => set.name === NAME),
    { ...SIMPLE, values: ['192.0.2.2'] },
  )
  assert.equal(await traffic.restore(change(before), signal), null)
  assert.equal(await traffic.restore(change(before), signal), null)
  assert.deepEqual(fake.batches[1], ['DELETE A 192.0.2.2', 'CREATE A 192.0.2.1'])
  assert.equal(fake.batches.length, 2)
  const authorization = fake.server.seen[0]?.headers.authorization
  assert.match(authorization ?? '', /^AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE\/\d+\/us-east-1\/route53\/aws4_request/)
})

test('several addresses in one record: only that of A is replaced', async (t) => {
  const { fake, traffic } = await rig(t, [{ ...SIMPLE, values: ['192.0.2.3', '192.0.2.1', '192.0.2.2'] }])
  await traffic.move(change(await traffic.read(signal)), signal)
  assert.deepEqual(fake.sets.find((set) => set.name === NAME)?.values, ['192.0.2.2', '192.0.2.3'])
})

test('weighted records: what A weighed goes to B, of both types, in one batch; and back', async (t) => {
  const { fake, traffic } = await rig(t, WEIGHTED, { regions: SETS })
  fake.pageSize = 2
  const before = await traffic.read(signal)
  assert.equal(fake.server.seen.length, 2, 'page by page, until another name comes')
  assert.equal(traffic.settlesWithin, 120_000)
  assert.equal(await traffic.move(change(before), signal), null)
  assert.equal(await traffic.move(change(before), signal), null)
  const weights = () =>
    fake.sets
      .filter((set) => set.name === NAME)
      .map((set) => `${set.type} ${set.set} ${set.weight}`)
      .sort()
  assert.deepEqual(weights(), ['A eu-a 0', 'A eu-b 100', 'AAAA eu-a 0', 'AAAA eu-b 255'])
  assert.equal(fake.sets.find((set) => set.type === 'AAAA')?.alias, 'a.elb.example.com.')
  assert.equal(fake.batches.length, 1)
  await traffic.restore(change(before), signal)
  assert.deepEqual(weights(), ['A eu-a 70', 'A eu-b 30', 'AAAA eu-a 200', 'AAAA eu-b 100'])
})

test('weighted records: nothing to move, and nowhere to move it', async (t) => {
  const [a, b] = WEIGHTED
  assert.ok(a !== undefined && b !== undefined)
  const { fake, traffic } = await rig(t, [{ ...a, weight: 0 }, b], { regions: SETS })
  const before = await traffic.read(signal)
  assert.equal(await traffic.move(change(before), signal), null)
  assert.equal((await failureOf(traffic.move(change(before, { to: 'C' }), signal)))[0], 'invalid')
  assert.equal((await failureOf(traffic.move(change(before, { from: 'C' }), signal)))[0], 'not_found')
  assert.deepEqual(fake.batches, [])
})

test('changed by somebody else before we looked, or between our look and our change: left alone', async (t) => {
  const { fake, traffic } = await rig(t, [SIMPLE])
  const before = await traffic.read(signal)
  const theirs = () => {
    fake.sets = fake.sets.map((set) => (set.name === NAME ? { ...SIMPLE, values: ['192.0.2.9'] } : set))
  }
  theirs()
  const conflict = [
    'conflict',
    `Route 53, record ${NAME}: changed by somebody else meanwhile (192.0.2.9); look at it, then ask again`,
  ]
  assert.deepEqual(await failureOf(traffic.move(change(before), signal)), conflict)
  assert.deepEqual(await failureOf(traffic.restore(change(before), signal)), conflict)
  fake.sets = [SIMPLE]
  fake.before = (_response, seen) => {
    if (seen.method === 'POST') theirs()
    return false
  }
  assert.deepEqual(await failureOf(traffic.move(change(before), signal)), conflict)
  assert.deepEqual([fake.batches, fake.sets[0]?.values], [[], ['192.0.2.9']])
})

test('a lost answer: tried again by the caller, it is done and not done twice', async (t) => {
  const { fake, traffic } = await rig(t, [SIMPLE])
  const before = await traffic.read(signal)
  fake.before = (response, seen) => {
    if (seen.method !== 'POST') return false
    fake.sets = [{ ...SIMPLE, values: ['192.0.2.2'] }]
    response.socket?.destroy()
    return true
  }
  const posts = () => fake.server.seen.filter((seen) => seen.method === 'POST').length
  assert.equal((await failureOf(traffic.move(change(before), signal)))[0], 'unavailable')
  assert.equal(posts(), 1, 'the SDK does not try again by itself')
  assert.equal(await traffic.move(change(before), signal), null)
  assert.equal(posts(), 1)
})

test('refused although nothing changed: Route 53’s own words', async (t) => {
  const { fake, traffic } = await rig(t, [SIMPLE])
  const before = await traffic.read(signal)
  fake.before = (response, seen) => {
    if (seen.method !== 'POST') return false
    refuse(response, 400, 'InvalidChangeBatch', '[FATAL problem: a\n CNAME exists]')
    return true
  }
  assert.deepEqual(await failureOf(traffic.move(change(before), signal)), [
    'conflict',
    `Route 53, record ${NAME}: answered 400, InvalidChangeBatch: [FATAL problem: a CNAME exists]`,
  ])
})

test('what cannot be switched is said before anything is written', async (t) => {
  const where = `Route 53, record ${NAME}:`
  const { fake, traffic } = await rig(t, [SIMPLE])
  const before = await traffic.read(signal)
  const table: [TrafficChange, string, string][] = [
    [
      change(before, { to: 'C' }),
      'invalid',
      'failover.regions.A and failover.regions.C need address, or both set_identifier',
    ],
    [change(before, { to: 'six' }), 'invalid', 'is of type A, failover.regions.six.address needs AAAA'],
    [change(before, { from: 'six' }), 'conflict', 'holds 192.0.2.1, not the address of six (2001:db8::1)'],
    [change('odd'), 'invalid', 'what it is to be compared with is not known'],
  ]
  for (const [wanted, code, text] of table) {
    assert.deepEqual(await failureOf(traffic.move(wanted, signal)), [code, `${where} ${text}`])
  }
  for (const [sets, code] of [
    [[SIMPLE, { ...SIMPLE, type: 'AAAA' }], 'invalid'],
    [[{ name: NAME, type: 'A', alias: 'x.example.com.' }], 'invalid'],
  ] as const) {
    fake.sets = [...sets]
    assert.equal((await failureOf(traffic.move(change(await traffic.read(signal)), signal)))[0], code)
  }
  fake.sets = [{ ...SIMPLE, type: 'TXT' }]
  assert.deepEqual(await failureOf(traffic.read(signal)), [
    'not_found',
    `${where} the zone has no A, AAAA or CNAME record of that name`,
  ])
  assert.deepEqual(fake.batches, [])
})

test('what Route 53 answers, and what it means', async (t) => {
  const { fake, traffic } = await rig(t, [SIMPLE])
  const credentials = '; check failover.route53, or the credentials that the AWS SDK finds'
  const table: [number, string, string, string, string][] = [
    [400, 'Throttling', 'Rate exceeded', 'unavailable', ': Rate exceeded'],
    [400, 'PriorRequestNotComplete', 'Wait', 'unavailable', ': Wait'],
    [400, 'InvalidInput', `no ${SECRET}`, 'invalid', ': no …'],
    [403, 'AccessDenied', `User ${KEY_ID} may not`, 'unauthorized', credentials],
    [403, 'SignatureDoesNotMatch', 'The Canonical String …', 'unauthorized', credentials],
    [404, 'NoSuchHostedZone', 'No zone', 'not_found', ': No zone'],
    [500, 'InternalFailure', 'Oops', 'unavailable', ': Oops'],
  ]
  for (const [status, code, message, wanted, text] of table) {
    fake.before = (response) => {
      refuse(response, status, code, message)
      return true
    }
    const asked = fake.server.seen.length
    assert.deepEqual(await failureOf(traffic.read(signal)), [
      wanted,
      `Route 53, record ${NAME}: answered ${status}, ${code}${text}`,
    ])
    assert.equal(fake.server.seen.length, asked + 1, 'asked once')
  }
})

test('no answer: not in time, stopped, unreachable; credentials come whole', async (t) => {
  const { fake, traffic } = await rig(t, [SIMPLE], { timeoutMs: 40 })
  fake.before = () => true
  assert.deepEqual(await failureOf(traffic.read(signal)), [
    'timeout',
    `Route 53, record ${NAME}: no answer within 40 ms`,
  ])
  assert.deepEqual(await failureOf(traffic.read(AbortSignal.abort())), [
    'timeout',
    `Route 53, record ${NAME}: stopped before the answer came`,
  ])
  const { traffic: dead } = await rig(t, [], { endpoint: await deadAddress() })
  assert.deepEqual(await failureOf(dead.read(signal)), ['unavailable', `Route 53, record ${NAME}: connection refused`])
  await assert.rejects(rig(t, [], { secretAccessKey: undefined }), { code: 'invalid' })
  await assert.rejects(rig(t, [], { endpoint: 'nowhere' }), { code: 'invalid' })
})
