import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type CloudflareOptions, createCloudflareTraffic } from '../../../../src/adapters/cloudflare/traffic.ts'
import type { Json } from '../../../../src/core/delivery.ts'
import type { TrafficChange } from '../../../../src/core/edge.ts'
import { ClawError } from '../../../../src/core/errors.ts'
import { deadAddress, json } from '../serve.ts'
import { type Fake, fakeCloudflare, refuse, TOKEN } from './fake.ts'

const signal = new AbortController().signal
const NAME = 'rating.example.com'
const REGIONS = {
  A: { address: '192.0.2.1', pool: 'pool-a' },
  B: { address: '192.0.2.2', pool: 'pool-b' },
  six: { address: '2001:db8::1' },
}

const change = (expected: Json, fields: Partial<TrafficChange> = {}): TrafficChange => ({
  from: 'A',
  to: 'B',
  expected,
  key: 'o9-switch',
  by: 'Dana',
  incident: '12',
  ...fields,
})

const optionsOf = (fake: Fake, options: Partial<CloudflareOptions> = {}): CloudflareOptions => ({
  apiUrl: `${fake.server.url}/client/v4`,
  token: TOKEN,
  zone: 'z1',
  regions: REGIONS,
  ...options,
})

async function withRecord(t: TestContext, fields: object = {}, options: Partial<CloudflareOptions> = {}) {
  const fake = await fakeCloudflare(t)
  fake.records = [{ id: 'r1', type: 'A', name: NAME, content: '192.0.2.1', ttl: 60, proxied: false, ...fields }]
  return { fake, traffic: createCloudflareTraffic(optionsOf(fake, { record: NAME, ...options })) }
}

async function withBalancer(t: TestContext, fields: object = {}) {
  const fake = await fakeCloudflare(t)
  fake.balancer = { id: 'lb1', default_pools: ['pool-a', 'pool-b'], fallback_pool: 'pool-a', proxied: true, ...fields }
  return { fake, traffic: createCloudflareTraffic(optionsOf(fake, { loadBalancer: 'lb1' })) }
}

async function failureOf(promise: Promise<unknown>): Promise<[string, string]> {
  const error = await promise.then(
    () => assert.fail('it did not fail'),
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof ClawError, String(error))
  assert.ok(!error.message.includes(TOKEN) && !error.message.includes('127.0.0.1'), error.message)
  return [error.code, error.message]
}

test('a record: read, moved, moved again without a change, restored', async (t) => {
  const { fake, traffic } = await withRecord(t)
  assert.equal(traffic.kind, 'cloudflare')
  assert.equal(traffic.settlesWithin, 300_000, 'until the record is known')
  const before = await traffic.read(signal)
  assert.deepEqual(before, fake.records[0])
  assert.equal(traffic.settlesWithin, 60_000)
  assert.equal(await traffic.move(change(before), signal), null)
  assert.equal(fake.records[0]?.content, '192.0.2.2')
  assert.deepEqual(
    fake.server.seen.map((seen) => `${seen.method} ${seen.url}`).slice(1),
    [
      `GET /client/v4/zones/z1/dns_records?name=${NAME}&per_page=100`,
      'PATCH /client/v4/zones/z1/dns_records/r1',
      `GET /client/v4/zones/z1/dns_records?name=${NAME}&per_page=100`,
    ],
    'compared, written, verified',
  )
  assert.equal(await traffic.move(change(before), signal), null)
  assert.deepEqual(fake.patches, [{ type: 'A', name: NAME, ttl: 60, content: '192.0.2.2' }])
  assert.equal(await traffic.restore(change(before), signal), null)
  assert.equal(await traffic.restore(change(before), signal), null)
  assert.deepEqual([fake.records[0]?.content, fake.patches.length], ['192.0.2.1', 2])
})

test('what a client may keep: TTL, at least a minute; automatic and proxied 300 s', async (t) => {
  for (const [fields, ms] of [
    [{ ttl: 30 }, 60_000],
    [{ ttl: 900 }, 900_000],
    [{ ttl: 1 }, 300_000],
    [{ ttl: 60, proxied: true }, 300_000],
  ] as const) {
    const { traffic } = await withRecord(t, fields)
    await traffic.read(signal)
    assert.equal(traffic.settlesWithin, ms)
  }
})

test('a record that somebody else changed meanwhile is left alone', async (t) => {
  const { fake, traffic } = await withRecord(t)
  const before = await traffic.read(signal)
  const [record] = fake.records
  assert.ok(record !== undefined)
  record.content = '192.0.2.9'
  const conflict = [
    'conflict',
    `Cloudflare, record ${NAME}: changed by somebody else meanwhile, it holds 192.0.2.9; look at it, then ask again`,
  ]
  assert.deepEqual(await failureOf(traffic.move(change(before), signal)), conflict)
  assert.deepEqual(await failureOf(traffic.restore(change(before), signal)), conflict)
  assert.deepEqual(fake.patches, [])
  record.content = '192.0.2.1'
  record.ttl = 120
  await traffic.move(change(before), signal)
  assert.equal(record.ttl, 120, 'a TTL changed meanwhile is kept')
})

test('a change that is overwritten right after ours is noticed', async (t) => {
  const { fake, traffic } = await withRecord(t)
  const before = await traffic.read(signal)
  fake.before = (_response, seen) => {
    const [record] = fake.records
    if (seen.method === 'GET' && fake.patches.length > 0 && record !== undefined) record.content = '192.0.2.9'
    return false
  }
  assert.equal((await failureOf(traffic.move(change(before), signal)))[0], 'conflict')
})

test('a lost answer: tried again by the caller, it is done and not done twice', async (t) => {
  const { fake, traffic } = await withRecord(t)
  const before = await traffic.read(signal)
  fake.before = (response, seen) => {
    if (seen.method !== 'PATCH' || fake.patches.length > 0) return false
    fake.patches.push(JSON.parse(seen.body))
    Object.assign(fake.records[0] ?? {}, JSON.parse(seen.body))
    response.socket?.destroy()
    return true
  }
  assert.equal((await failureOf(traffic.move(change(before), signal)))[0], 'unavailable')
  assert.equal(await traffic.move(change(before), signal), null)
  assert.equal(fake.patches.length, 1)
})

test('what cannot be switched is said before anything is written', async (t) => {
  const { fake, traffic } = await withRecord(t)
  const before = await traffic.read(signal)
  const where = `Cloudflare, record ${NAME}:`
  const table: [TrafficChange, string, string][] = [
    [change(before, { to: 'C' }), 'invalid', 'failover.regions.C.address is not set'],
    [change(before, { to: 'six' }), 'invalid', 'is of type A, failover.regions.six.address needs AAAA'],
    [change(null), 'invalid', 'what it is to be compared with is not known'],
    [change(before, { from: 'six' }), 'conflict', 'holds 192.0.2.1, not the address of six (2001:db8::1)'],
  ]
  for (const [wanted, code, text] of table) {
    assert.deepEqual(await failureOf(traffic.move(wanted, signal)), [code, `${where} ${text}`])
  }
  const record = fake.records[0]
  assert.ok(record !== undefined)
  fake.records.push({ ...record, id: 'r2', content: '192.0.2.2' })
  assert.equal((await failureOf(traffic.read(signal)))[0], 'invalid')
  fake.records = [{ ...record, type: 'TXT' }]
  assert.equal((await failureOf(traffic.read(signal)))[0], 'not_found')
  assert.deepEqual(fake.patches, [])
  assert.throws(() => createCloudflareTraffic(optionsOf(fake)), { code: 'invalid' })
  assert.throws(() => createCloudflareTraffic(optionsOf(fake, { record: NAME, apiUrl: 'x' })), { code: 'invalid' })
})

test('what Cloudflare answers, and what it means', async (t) => {
  const { fake, traffic } = await withRecord(t)
  const table: [number, number, string, string, string][] = [
    [
      400,
      6003,
      'Invalid request headers',
      'unauthorized',
      'answered 400: Invalid request headers; check failover.cloudflare.token',
    ],
    [400, 9005, 'Content is\n bad', 'invalid', 'answered 400: Content is bad'],
    [401, 1000, `no ${TOKEN}`, 'unauthorized', 'answered 401: no …; check failover.cloudflare.token'],
    [
      403,
      9109,
      'Invalid access token',
      'unauthorized',
      'answered 403: Invalid access token; check failover.cloudflare.token',
    ],
    [404, 7003, 'Could not route', 'not_found', 'answered 404: Could not route'],
    [409, 1, 'Busy', 'conflict', 'answered 409: Busy'],
    [429, 971, 'Please wait', 'unavailable', 'answered 429: Please wait'],
    [500, 1, 'Oops', 'unavailable', 'answered 500: Oops'],
    [200, 81058, 'Identical', 'invalid', 'did not do it: Identical'],
  ]
  for (const [status, code, message, wanted, text] of table) {
    fake.before = (response) => {
      refuse(response, status, code, message)
      return true
    }
    assert.deepEqual(await failureOf(traffic.read(signal)), [wanted, `Cloudflare, record ${NAME}: ${text}`])
  }
  fake.before = (response) => {
    json(response, 200, { odd: true })
    return true
  }
  assert.equal((await failureOf(traffic.read(signal)))[0], 'unavailable')
  fake.before = () => true
  const { traffic: hasty } = { traffic: createCloudflareTraffic(optionsOf(fake, { record: NAME, timeoutMs: 30 })) }
  assert.deepEqual(await failureOf(hasty.read(signal)), [
    'timeout',
    `Cloudflare, record ${NAME}: no answer within 30 ms`,
  ])
  const dead = createCloudflareTraffic(optionsOf(fake, { record: NAME, apiUrl: await deadAddress() }))
  assert.equal((await failureOf(dead.read(signal)))[0], 'unavailable')
})

test('a load balancer: the pool of B takes the place of that of A, everywhere, and gives it back', async (t) => {
  const country_pools = { DE: ['pool-a', 'pool-c'], FR: ['pool-c'] }
  const { fake, traffic } = await withBalancer(t, { default_pools: ['pool-a', 'pool-c', 'pool-b'], country_pools })
  const before = await traffic.read(signal)
  assert.equal(traffic.settlesWithin, 300_000)
  assert.equal(await traffic.move(change(before), signal), null)
  assert.equal(await traffic.move(change(before), signal), null)
  assert.deepEqual(fake.patches, [
    {
      default_pools: ['pool-b', 'pool-c'],
      fallback_pool: 'pool-b',
      country_pools: { DE: ['pool-b', 'pool-c'], FR: ['pool-c'] },
    },
  ])
  assert.equal(await traffic.restore(change(before), signal), null)
  assert.deepEqual(fake.patches[1], {
    default_pools: ['pool-a', 'pool-c', 'pool-b'],
    fallback_pool: 'pool-a',
    country_pools,
  })
})

test('a load balancer: only what differs is sent; conflicts and missing pools', async (t) => {
  const { fake, traffic } = await withBalancer(t, { fallback_pool: 'pool-c', proxied: false, ttl: 30 })
  const before = await traffic.read(signal)
  assert.equal(traffic.settlesWithin, 60_000)
  fake.balancer.default_pools = ['pool-c']
  assert.deepEqual(await failureOf(traffic.move(change(before), signal)), [
    'conflict',
    'Cloudflare, load balancer lb1: changed by somebody else meanwhile, its default pools are pool-c; look at it, then ask again',
  ])
  assert.equal((await failureOf(traffic.move(change(await traffic.read(signal)), signal)))[0], 'conflict')
  assert.equal((await failureOf(traffic.move(change(before, { to: 'six' }), signal)))[0], 'invalid')
  fake.balancer.default_pools = ['pool-a', 'pool-b']
  await traffic.move(change(before), signal)
  assert.deepEqual(fake.patches, [{ default_pools: ['pool-b'] }])
})
