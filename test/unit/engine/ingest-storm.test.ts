import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ClawError } from '../../../src/core/errors.ts'
import { MAX_TRACKED } from '../../../src/core/incident.ts'
import type { Store } from '../../../src/core/store.ts'
import { createIngest } from '../../../src/engine/ingest.ts'
import type { ReceivedAlert } from '../../../src/engine/judge.ts'
import { createWorld, firing, resolved, START } from '../../support/engine.ts'
import { policyOf } from '../../support/policy.ts'

test('a storm of 20 000 distinct alerts is one incident, one delivery, a bounded document', async (t) => {
  const world = await createWorld(t)
  const storm = Array.from({ length: 20_000 }, (_, n) =>
    firing({ alertname: `Alert${n % 500}`, region: `R${n % 700}`, pod: String(n) }),
  )
  const webhooks = Array.from({ length: 200 }, (_, n) => storm.slice(n * 100, n * 100 + 100))
  await world.together(...webhooks)
  const incident = await world.only()
  assert.deepEqual([incident.firing, incident.total], [20_000, 20_000])
  assert.deepEqual(
    [Object.keys(incident.names).length, Object.keys(incident.regions).length],
    [MAX_TRACKED, MAX_TRACKED],
  )
  assert.ok(incident.allRegions.length <= MAX_TRACKED)
  assert.ok(JSON.stringify(incident).length < 10_000)
  assert.equal((await world.deliveries()).length, 1)
  assert.equal((await world.view()).alerts.length, 10)
  await world.together(...webhooks.map((alerts) => alerts.map((one) => ({ ...one, status: 'resolved' as const }))))
  const over = await world.only()
  assert.deepEqual([over.state, over.firing, over.regions], ['resolved', 0, {}])
})

test('regions that come and go do not grow the document either', async (t) => {
  const world = await createWorld(t)
  await world.send(firing({ region: 'stays' }))
  for (let n = 0; n < 3 * MAX_TRACKED; n++) {
    await world.send(firing({ region: `R${n}` }))
    await world.send(resolved({ region: `R${n}` }))
  }
  const incident = await world.only()
  assert.ok(incident.allRegions.length <= MAX_TRACKED)
  assert.deepEqual(incident.regions, { stays: 1 })
})

test('names of Object.prototype are alert names and regions like any other', async (t) => {
  const world = await createWorld(t)
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf']
  for (const name of names) await world.send(firing({ alertname: name, region: name, [name]: name }))
  const incident = await world.only()
  assert.deepEqual([...incident.allRegions].sort(), [...names].sort())
  assert.deepEqual(Object.keys(incident.regions).sort(), [...names].sort())
  const view = await world.view()
  assert.deepEqual([...view.alertNames].sort(), [...names].sort())
  for (const name of names) await world.send(resolved({ alertname: name, region: name, [name]: name }))
  assert.deepEqual([(await world.only()).state, (await world.only()).regions], ['resolved', {}])
})

test('an alert with nothing in it still has a name, a level and an incident', async (t) => {
  const world = await createWorld(t)
  await world.send(firing({}, { labels: {}, fingerprint: 'empty' }))
  const view = await world.view()
  assert.deepEqual([view.level, view.alertNames, view.regions], ['P2', ['unnamed alert'], []])
  assert.match(view.headline, /^P2 · unnamed alert/)
})

const labels = fc.record({
  alertname: fc.constantFrom('TokenBucketLow', 'LatencyHigh'),
  service: fc.constantFrom('rating-api', 'billing'),
  region: fc.constantFrom('', 'A', 'B'),
  severity: fc.constantFrom('critical', 'warning', 'info'),
})
const reception = fc.record({ labels, resolved: fc.boolean(), start: fc.nat(3), end: fc.nat(3) })
const webhooks = fc.array(fc.array(reception, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 12 })

const toAlert = (one: {
  labels: Record<string, string>
  resolved: boolean
  start: number
  end: number
}): ReceivedAlert => {
  const startsAt = START + one.start * 1000
  return one.resolved
    ? resolved(one.labels, { startsAt, endsAt: startsAt + one.end * 1000 })
    : firing(one.labels, { startsAt })
}

test('whatever is sent in whatever order: counts are those of the alerts, and when all ended nothing fires', async (t) => {
  await fc.assert(
    fc.asyncProperty(webhooks, fc.array(fc.nat(90_000)), async (sent, pauses) => {
      const world = await createWorld(t, 'receivers: []')
      for (const [n, webhook] of sent.entries()) {
        await world.send(...webhook.map(toAlert))
        await world.pass(pauses[n] ?? 0)
        for (const incident of await world.all()) {
          const rows = await world.store.alertsOf(incident.id, 1000)
          assert.equal(incident.firing, rows.filter((row) => row.state === 'firing').length)
          assert.equal(incident.total, rows.length)
          const perRegion = Object.values(incident.regions).reduce((sum, count) => sum + count, 0)
          assert.equal(perRegion, incident.firing)
        }
      }
      const last = START + 60_000
      const ends = sent.flat().map((one) => resolved(one.labels, { startsAt: last, endsAt: last + 1 }))
      await world.send(...ends)
      await world.pass(120_000)
      await world.pass(11 * 60_000)
      for (const incident of await world.all()) assert.deepEqual([incident.state, incident.firing], ['resolved', 0])
    }),
    { numRuns: 60 },
  )
})

test('the same webhooks make the same incidents, and sent twice they make no more', async (t) => {
  await fc.assert(
    fc.asyncProperty(webhooks, async (sent) => {
      const worlds = [await createWorld(t, 'receivers: []'), await createWorld(t, 'receivers: []')] as const
      for (const world of worlds) for (const webhook of sent) await world.send(...webhook.map(toAlert))
      assert.deepEqual(await worlds[0].all(), await worlds[1].all())
      const copies = await createWorld(t, 'receivers: []')
      for (const webhook of sent) {
        await copies.send(...webhook.map(toAlert))
        const before = await copies.all()
        await copies.send(...webhook.slice(-1).map(toAlert))
        assert.deepEqual(await copies.all(), before)
      }
    }),
    { numRuns: 30 },
  )
})

const failing = (error: () => unknown): Store => {
  const write = () => Promise.reject(error())
  return { write } as unknown as Store
}
const ingestOn = (store: Store) =>
  createIngest({
    store,
    policy: () => policyOf(),
    clock: () => START,
    believes: () => false,
    onStored: () => assert.fail('nothing was stored'),
  })

test('a store that fails refuses every webhook of the batch', async () => {
  const ingest = ingestOn(failing(() => new ClawError('unavailable', 'disk full')))
  const results = await Promise.allSettled([1, 2, 3].map(() => ingest.accept({ alerts: [firing()] })))
  assert.deepEqual(
    results.map((one) => one.status === 'rejected' && (one.reason as ClawError).code),
    ['unavailable', 'unavailable', 'unavailable'],
  )
  await ingest.idle()
  assert.equal(ingest.waiting(), 0)
})

test('one webhook that Claw itself cannot digest does not take the others down with it', async (t) => {
  const world = await createWorld(t)
  const poison = firing({ alertname: 'Poison' })
  Object.defineProperty(poison, 'annotations', {
    get() {
      throw new TypeError('a fault of ours')
    },
  })
  const results = await Promise.allSettled([
    world.send(firing()),
    world.send(poison),
    world.send(firing({ region: 'B' })),
  ])
  assert.deepEqual(
    results.map((one) => one.status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  assert.equal((await world.only()).total, 2)
})

test('more than can wait is refused at once, and accepted again when there is room', async () => {
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const write = async () => {
    await held
    throw new ClawError('unavailable', 'no')
  }
  const ingest = ingestOn({ write } as unknown as Store)
  const many = { alerts: Array.from({ length: 150_000 }, () => firing()) }
  const first = ingest.accept(many).catch((error: ClawError) => error.message)
  await assert.rejects(ingest.accept(many), { code: 'unavailable', message: /More alerts are waiting/ })
  release()
  assert.equal(await first, 'no')
  await ingest.idle()
  assert.equal(ingest.waiting(), 0)
})
