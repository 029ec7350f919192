import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { AlertmanagerApi, ListedAlert } from '../../../src/core/alertmanager.ts'
import { MINUTE, SECOND } from '../../../src/core/clock.ts'
import type { ReceivedAlert } from '../../../src/engine/judge.ts'
import { type Compared, createReceiverNames, createReconcile, plainName } from '../../../src/engine/reconcile.ts'
import { createWorld, firing, resolved, START, silent, TWO_RECEIVERS } from '../../support/engine.ts'
import { policyOf } from '../../support/policy.ts'

const AM = 'http://am-1:9093'

/** An alert as a webhook of the Alertmanager that is compared with tells it. */
const told = (labels: Record<string, string> = {}, more: Partial<ReceivedAlert> = {}) =>
  firing(labels, { externalURL: AM, ...more })

async function setUp(t: TestContext) {
  const world = await createWorld(t, TWO_RECEIVERS, { lookup: { lookup: async () => 'active' } })
  const am = { alerts: [] as ListedAlert[], startedAt: START - 60 * MINUTE, problem: '', asked: 0 }
  const nothing = async () => ({ ok: false as const, refused: true, reason: 'not asked here' })
  const api: AlertmanagerApi = {
    address: 'http://am:9093',
    alerts: async () => {
      am.asked += 1
      return am.problem ? { ok: false, refused: false, reason: am.problem } : { ok: true, alerts: am.alerts }
    },
    startedAt: async () => ({ ok: true, at: am.startedAt }),
    silences: nothing,
    silence: nothing,
    saveSilence: nothing,
    endSilence: nothing,
  }
  const names = ['claw.prod']
  const results: Compared[] = []
  const make = (owner: string) =>
    createReconcile({
      store: world.store,
      policy: () => policyOf(TWO_RECEIVERS),
      api: () => api,
      every: () => MINUTE,
      receivers: async () => names,
      ingest: { accept: ({ alerts }) => world.send(...alerts), flush: async () => {} },
      clock: world.now,
      log: silent,
      owner,
      onCompared: (result) => void results.push(result),
    })
  const reconcile = make('one')
  return {
    world,
    am,
    names,
    results,
    make,
    reconcile,
    async compare(times = 1) {
      for (let n = 0; n < times; n++) {
        world.wait(MINUTE)
        await reconcile.tick()
      }
      return results.at(-1)
    },
  }
}

function listed(alert: ReceivedAlert, more: Partial<ListedAlert> = {}): ListedAlert {
  const { fingerprint, labels, annotations, startsAt, generatorURL } = alert
  return {
    fingerprint,
    labels,
    annotations,
    startsAt,
    generatorURL,
    receivers: ['claw.prod'],
    state: 'active',
    ...more,
  }
}

test('an alert active for over a minute without a webhook counts as received', async (t) => {
  const { world, am, compare } = await setUp(t)
  am.alerts = [listed(told({}, { startsAt: world.now() + 30 * SECOND }))]
  assert.deepEqual(await compare(), { received: 0, resolved: 0, problem: null }, 'its webhook may be on the way')
  assert.deepEqual(await compare(), { received: 1, resolved: 0, problem: null })
  assert.deepEqual(await world.pages(), ['1/#1 triggered'])
  assert.deepEqual(await compare(), { received: 0, resolved: 0, problem: null }, 'once')
})

test('not received: silenced or inhibited ones, those of other receivers, the heartbeat', async (t) => {
  const { world, am, names, compare } = await setUp(t)
  am.alerts = [
    listed(told(), { state: 'suppressed' }),
    listed(told({ n: '1' }), { state: 'unprocessed' }),
    listed(told({ n: '2' }), { receivers: ['somebody-else'] }),
    listed(told({ alertname: 'Watchdog' })),
  ]
  await compare(3)
  assert.deepEqual([await world.all(), await world.store.heartbeats()], [[], []])
  names.push('somebody-else')
  assert.equal((await compare())?.received, 1)
})

test('one of ours that two comparisons in a row do not list is over', async (t) => {
  const { world, am, compare } = await setUp(t)
  await world.send(told(), told({ region: 'B' }))
  am.alerts = [listed(told()), listed(told({ region: 'B' }))]
  await compare()
  am.alerts = [listed(told({ region: 'B' }), { state: 'suppressed' })]
  assert.equal((await compare())?.resolved, 0, 'one comparison is not enough')
  assert.equal((await compare())?.resolved, 1)
  assert.deepEqual([(await world.only()).state, Object.keys((await world.only()).regions)], ['open', ['B']])
  am.alerts = []
  await compare(2)
  assert.deepEqual([(await world.only()).state, await world.pages()], ['resolved', ['1/#1 resolved']])
})

test('absent, back, absent: the count starts anew; so it does when a webhook spoke of it', async (t) => {
  const { world, am, compare } = await setUp(t)
  const all = [listed(told())]
  await world.send(told())
  for (const alerts of [all, [], all, []]) {
    am.alerts = alerts
    assert.equal((await compare())?.resolved, 0)
  }
  await world.send(told())
  assert.equal((await compare())?.resolved, 0)
  assert.equal((await compare())?.resolved, 1)
})

test('a restarted Alertmanager is empty, and ends nothing; neither does one that does not answer', async (t) => {
  const { world, am, compare } = await setUp(t)
  await world.send(told())
  am.alerts = [listed(told())]
  await compare()
  am.startedAt = world.now()
  am.alerts = []
  await compare(4)
  assert.equal((await world.only()).state, 'open')
  am.problem = 'Alertmanager: connection refused'
  assert.deepEqual(await compare(5), { received: 0, resolved: 0, problem: 'Alertmanager: connection refused' })
  assert.equal((await world.only()).state, 'open')
  am.problem = ''
  am.startedAt = Number.NaN
  await compare(5)
  assert.equal((await world.only()).state, 'open', 'nor one that does not say since when it runs')
  am.startedAt = START
  await compare(2)
  assert.equal((await world.only()).state, 'resolved')
})

test("alerts of an Alertmanager that shares none with this one are not this one's to end", async (t) => {
  const { world, am, compare } = await setUp(t)
  await world.send(told({ service: 'a' }), told({ service: 'b' }, { externalURL: 'http://other:9093' }))
  await world.send(told({ service: 'c' }, { externalURL: '' }))
  am.alerts = [listed(told({ service: 'a' }))]
  await compare()
  am.alerts = []
  await compare(3)
  assert.deepEqual(
    (await world.all()).map((incident) => incident.state),
    ['resolved', 'open', 'open'],
  )
  // Its twin shares alerts: what it told may be ended.
  await world.send(told({ service: 'd' }, { externalURL: 'http://other:9093' }))
  am.alerts = [listed(told({ service: 'd' }))]
  await compare()
  am.alerts = []
  await compare(2)
  assert.deepEqual(
    (await world.all()).map((incident) => incident.state),
    ['resolved', 'resolved', 'open', 'resolved'],
  )
})

test('what was received by comparing alone is ended by comparing', async (t) => {
  const { world, am, compare } = await setUp(t)
  am.alerts = [listed(told())]
  await compare(2)
  assert.equal((await world.only()).state, 'open')
  am.alerts = []
  await compare(2)
  assert.equal((await world.only()).state, 'resolved')
})

test('a lost firing of a known occurrence is doubted first, and not while it is fresh', async (t) => {
  const { world, am, compare } = await setUp(t)
  await world.send(told())
  await world.send(resolved({}, { externalURL: AM }))
  am.alerts = [listed(told())]
  world.wait(-30 * SECOND)
  assert.equal((await compare())?.received, 0, 'heard of 30 s ago')
  assert.equal((await compare())?.received, 1)
  await world.pass(SECOND)
  assert.equal((await world.only()).state, 'open')
})

test('more than a page of alerts, in both directions', async (t) => {
  const { world, am, compare } = await setUp(t)
  const many = Array.from({ length: 1203 }, (_, n) => told({ n: String(n) }))
  am.alerts = many.map((alert) => listed(alert))
  assert.equal((await compare(2))?.received, 0)
  assert.equal((await world.only()).firing, 1203)
  am.alerts = am.alerts.slice(0, 1)
  assert.equal((await compare(2))?.resolved, 1202)
  assert.equal((await world.only()).firing, 1)
})

test('one replica compares at a time', async (t) => {
  const { world, am, make, reconcile } = await setUp(t)
  Object.assign(world.store, { exclusive: false })
  const two = make('two')
  await reconcile.tick()
  await two.tick()
  assert.equal(am.asked, 1)
  world.wait(61 * SECOND)
  await two.tick()
  assert.equal(am.asked, 2)
})

test('receiver names: unescaped, kept, bounded', async (t) => {
  const { world } = await setUp(t)
  assert.equal(plainName('claw\\.prod\\+x\\\\y'), 'claw.prod+x\\y')
  const names = createReceiverNames({ store: world.store, log: silent })
  for (const name of ['claw\\.prod', 'claw\\.prod', 'b', '']) names.note(name)
  // The same queue of transactions: after this one, those of the names are done.
  await world.store.write(async () => {})
  assert.deepEqual(await names.all(), ['claw.prod', 'b'])
  const again = createReceiverNames({ store: world.store, log: silent })
  for (let n = 0; n < 150; n++) again.note(`r${n}`)
  await world.store.write(async () => {})
  assert.equal((await again.all()).length, 100)
})
