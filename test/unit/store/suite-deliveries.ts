import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Store } from '../../../src/core/store.ts'
import { delivery, type Fresh, incident, NASTY, newDelivery, outcome, T } from './samples.ts'

const add = (store: Store, ...rows: Parameters<typeof newDelivery>) =>
  store.write((tx) => tx.addDeliveries([newDelivery(...rows)]))
const begin = (store: Store, id: number, fence: number) => store.write((tx) => tx.beginSteps([id], fence))
const wake = (store: Store, wanted: number, priority = 1, dueAt = T + 1000) =>
  store.write((tx) => tx.wakeDeliveries([{ incidentId: 1, wanted, priority, dueAt, changedAt: T + wanted }]))
const look = (lane = 'slack', fence = 1, now = T + 10_000) => ({ lane, fence, now, limit: 100, except: [] as string[] })

/** Deliveries and their steps. */
export function deliveriesSuite(fresh: Fresh): void {
  test('a new delivery is pending, urgent and due at once', async (t) => {
    const store = await fresh(t)
    await add(store)
    const { id, ...rest } = await delivery(store)
    assert.deepEqual(rest, {
      ...newDelivery(),
      state: 'pending',
      priority: 0,
      dueAt: T,
      changedAt: T,
      shown: 0,
      attempts: 0,
      inflight: null,
      inDoubt: false,
      reference: null,
      reason: null,
      adapterState: null,
      deliveredAt: null,
    })
    assert.deepEqual(await store.delivery(id), { id, ...rest })
    assert.equal(await store.delivery(id + 1), null)
  })

  test('one row per incident, lane and target: a second receiver with the same target adds none', async (t) => {
    const store = await fresh(t)
    await add(store)
    await add(store, { receiver: 'other', wanted: 9 })
    await add(store, { target: 'C2' })
    await add(store, { lane: 'telegram', kind: 'telegram' })
    await add(store, { incidentId: 2 })
    assert.equal((await store.deliveriesOf([1])).length, 3)
    assert.deepEqual([(await delivery(store)).receiver, (await delivery(store)).wanted], ['default', 1])
  })

  test('due steps: most urgent first, of that lane, not before their time, without the targets left out', async (t) => {
    const store = await fresh(t)
    for (const [target, createdAt] of [
      ['C1', T + 2],
      ['C2', T + 1],
      ['C3', T + 500],
    ] as const)
      await add(store, { target, createdAt })
    await add(store, { target: 'C9', lane: 'telegram', kind: 'telegram' })
    const targets = async (query: Partial<ReturnType<typeof look>>) =>
      (await store.due({ ...look(), ...query })).map((one) => one.target)
    assert.deepEqual(await targets({}), ['C2', 'C1', 'C3'])
    assert.deepEqual(await targets({ now: T + 2 }), ['C2', 'C1'])
    assert.deepEqual(await targets({ except: ['C2', 'C3'] }), ['C1'])
    assert.deepEqual(await targets({ limit: 1 }), ['C2'])
    assert.deepEqual((await store.lanes()).sort(), ['slack', 'telegram'])
    assert.equal(await store.nextDue('slack', 1), T + 1)
    assert.equal(await store.nextDue('pagerduty', 1), null)
  })

  test('a silent edit comes after everything urgent, however late', async (t) => {
    const store = await fresh(t)
    await add(store)
    const first = await delivery(store)
    await begin(store, first.id, 1)
    await store.write((tx) => tx.recordOutcomes([outcome(first, 1)]))
    await wake(store, 2, 1, T + 1)
    await add(store, { incidentId: 2, target: 'C2', createdAt: T + 5000 })
    const order = await store.due(look())
    assert.deepEqual(
      order.map((one) => [one.target, one.priority]),
      [
        ['C2', 0],
        ['C1', 1],
      ],
    )
  })

  test('a begun step is not due for its own lease; when done it shows what was wanted', async (t) => {
    const store = await fresh(t)
    await add(store)
    const before = await delivery(store)
    assert.deepEqual(await begin(store, before.id, 3), [], 'nobody began it before')
    assert.equal((await delivery(store)).inflight, 3)
    assert.deepEqual(await store.due(look('slack', 3)), [])
    assert.equal(await store.nextDue('slack', 3), null)
    assert.equal(await store.write((tx) => tx.recordOutcomes([outcome(before, 3)])), 1)
    const after = await delivery(store)
    assert.deepEqual(
      [after.state, after.shown, after.inflight, after.changedAt, after.reference, after.deliveredAt, after.priority],
      ['delivered', 1, null, null, 'ts-1', T + 100, 1],
    )
    assert.deepEqual(after.adapterState, { ts: '1' })
    assert.deepEqual(await store.references('slack', 'C1', 9), [
      { incidentId: 1, reference: 'ts-1', adapterState: { ts: '1' } },
    ])
    assert.deepEqual(await store.references('slack', 'C2', 9), [])
  })

  test('a stale fence writes nothing', async (t) => {
    const store = await fresh(t)
    await add(store)
    const row = await delivery(store)
    await begin(store, row.id, 1)
    await begin(store, row.id, 2)
    assert.equal(await store.write((tx) => tx.recordOutcomes([outcome(row, 1)])), 0)
    assert.deepEqual([(await delivery(store)).state, (await delivery(store)).inflight], ['pending', 2])
    assert.equal(await store.write((tx) => tx.recordOutcomes([outcome(row, 2)])), 1)
    assert.equal(await store.write((tx) => tx.recordOutcomes([outcome(row, 2)])), 0, 'recorded once')
  })

  test('a step that another lease began and never recorded is in doubt; an older lease cannot begin it', async (t) => {
    const store = await fresh(t)
    await add(store)
    const { id } = await delivery(store)
    await begin(store, id, 1)
    assert.equal((await store.due(look('slack', 2))).length, 1)
    assert.deepEqual(await begin(store, id, 2), [id])
    assert.equal((await delivery(store)).inDoubt, true)
    await begin(store, id, 1)
    assert.equal((await delivery(store)).inflight, 2)
    const row = await delivery(store)
    await store.write((tx) => tx.recordOutcomes([outcome(row, 2)]))
    assert.equal((await delivery(store)).inDoubt, false)
  })

  test('doubt that an outcome leaves behind is told to the next step', async (t) => {
    const store = await fresh(t)
    await add(store)
    const row = await delivery(store)
    await begin(store, row.id, 1)
    const unsure = outcome(row, 1, {
      state: 'waiting',
      shown: null,
      attempts: 1,
      inDoubt: true,
      reference: null,
      deliveredAt: null,
      reason: 'no answer',
    })
    await store.write((tx) => tx.recordOutcomes([unsure]))
    const after = await delivery(store)
    assert.deepEqual([after.state, after.attempts, after.reason, after.shown], ['waiting', 1, 'no answer', 0])
    assert.equal(after.changedAt, T, 'the lag goes on counting')
    assert.deepEqual(await begin(store, row.id, 1), [row.id])
  })

  test('what changed while a step was under way is pending again', async (t) => {
    const store = await fresh(t)
    await add(store)
    const row = await delivery(store)
    await begin(store, row.id, 1)
    await wake(store, 5)
    await store.write((tx) => tx.recordOutcomes([outcome(row, 1)]))
    const after = await delivery(store)
    assert.deepEqual([after.state, after.shown, after.wanted], ['pending', 1, 5])
    assert.notEqual(after.changedAt, null)
    assert.equal((await store.due(look())).length, 1)
  })

  test('waking: what is in step becomes pending; a push brings an edit forward, a back-off stays', async (t) => {
    const store = await fresh(t)
    await add(store)
    const row = await delivery(store)
    await begin(store, row.id, 1)
    await store.write((tx) => tx.recordOutcomes([outcome(row, 1)]))
    await wake(store, 2)
    const edit = await delivery(store)
    assert.deepEqual([edit.state, edit.priority, edit.dueAt, edit.changedAt], ['pending', 1, T + 1000, T + 2])
    await wake(store, 3, 1, T + 5000)
    assert.equal((await delivery(store)).dueAt, T + 1000, 'never put off')
    await wake(store, 4, 0, T + 400)
    const push = await delivery(store)
    assert.deepEqual([push.priority, push.dueAt, push.changedAt], [0, T + 400, T + 2])
    await begin(store, row.id, 1)
    const told = outcome(row, 1, { state: 'waiting', shown: null, attempts: 2, dueAt: T + 9000 })
    await store.write((tx) => tx.recordOutcomes([told]))
    await wake(store, 5, 0, T + 500)
    assert.equal((await delivery(store)).dueAt, T + 9000, 'the platform said wait')
    await wake(store, 4, 0, T)
    assert.equal((await delivery(store)).wanted, 5, 'versions only rise')
  })

  test('a dead letter stays dead whatever happens, is listed, and can be redelivered once', async (t) => {
    const store = await fresh(t)
    await add(store)
    const row = await delivery(store)
    await begin(store, row.id, 1)
    const dead = outcome(row, 1, { state: 'dead', shown: null, attempts: 7, reason: NASTY.join(''), reference: null })
    await store.write((tx) => tx.recordOutcomes([dead]))
    await wake(store, 2, 0)
    const list = await store.listDeliveries({ state: 'dead', limit: 9, before: null })
    assert.deepEqual(
      list.map((one) => [one.state, one.attempts, one.wanted, one.reason === NASTY.join('')]),
      [['dead', 7, 2, true]],
    )
    assert.deepEqual(await store.countDeliveries(), [{ lane: 'slack', state: 'dead', count: 1 }])
    assert.deepEqual(await store.due(look()), [])
    assert.equal(await store.write((tx) => tx.redeliver(row.id, T + 50)), true)
    const again = await delivery(store)
    assert.deepEqual(
      [again.state, again.attempts, again.reason, again.dueAt, again.priority],
      ['pending', 0, null, T + 50, 0],
    )
    assert.equal(await store.write((tx) => tx.redeliver(row.id, T + 60)), false)
    assert.equal(await store.write((tx) => tx.redeliver(row.id + 1, T + 60)), false)
  })

  test('deliveries are listed newest first, page by page', async (t) => {
    const store = await fresh(t)
    for (const target of ['C1', 'C2', 'C3']) await add(store, { target })
    const page = await store.listDeliveries({ state: null, limit: 2, before: null })
    assert.deepEqual(
      page.map((one) => one.target),
      ['C3', 'C2'],
    )
    const rest = await store.listDeliveries({ state: 'pending', limit: 2, before: page[1]?.id ?? 0 })
    assert.deepEqual(
      rest.map((one) => one.target),
      ['C1'],
    )
  })

  test('a page that PagerDuty has not confirmed is found until the incident is resolved', async (t) => {
    const store = await fresh(t)
    await store.write((tx) => tx.saveIncidents([incident(1)]))
    await add(store, { lane: 'pagerduty', kind: 'pagerduty', target: 'default' })
    await add(store)
    const late = async (before: number) => (await store.unconfirmedPages(before, 9)).map((one) => one.lane)
    assert.deepEqual(await late(T - 1), [])
    assert.deepEqual(await late(T), ['pagerduty'])
    await store.write((tx) => tx.saveIncidents([incident(1, { state: 'resolved', resolvedAt: T })]))
    assert.deepEqual(await late(T), [])
    await store.write((tx) => tx.saveIncidents([incident(1)]))
    const [page] = await store.due(look('pagerduty'))
    assert.ok(page)
    await begin(store, page.id, 1)
    assert.deepEqual(await late(T), ['pagerduty'], 'begun is not confirmed')
    await store.write((tx) => tx.recordOutcomes([outcome(page, 1)]))
    assert.deepEqual(await late(T + 1e6), [])
  })

  const take = (store: Store, owner: string, now: number, steal = false) =>
    store.write((tx) => tx.takeLane('slack', owner, now, now + 100, steal))

  test('a lane has one owner until its lease ends; the fence rises with each change of owner', async (t) => {
    const store = await fresh(t)
    assert.equal(await take(store, 'one', T), 1)
    assert.equal(await take(store, 'two', T + 99), null)
    assert.equal(await take(store, 'one', T + 50), 1, 'renewed')
    assert.equal(await take(store, 'two', T + 149), null)
    assert.equal(await take(store, 'two', T + 151), 2)
    assert.equal(await take(store, 'one', T + 152), null)
    assert.equal(await store.write((tx) => tx.takeLane('telegram', 'one', T, T + 100, false)), 1, 'another lane')
  })

  test('a lane that is given free can be taken at once, and a stolen one too', async (t) => {
    const store = await fresh(t)
    await take(store, 'one', T)
    await store.write((tx) => tx.releaseLanes('two'))
    assert.equal(await take(store, 'two', T + 1), null)
    await store.write((tx) => tx.releaseLanes('one'))
    assert.equal(await take(store, 'two', T + 1), 2)
    assert.equal(await take(store, 'three', T + 2, true), 3)
    assert.equal(await take(store, 'three', T + 3, true), 3, 'its own is not stolen')
  })

  test('of two that reach for a free lane at once, one gets it', async (t) => {
    const store = await fresh(t)
    const got = await Promise.all(['a', 'b', 'c'].map((owner) => take(store, owner, T)))
    assert.deepEqual(
      got.filter((fence) => fence !== null),
      [1],
    )
  })
}
