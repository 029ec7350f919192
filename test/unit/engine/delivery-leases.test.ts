import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import { SECOND } from '../../../src/core/clock.ts'
import type { StepResult } from '../../../src/core/delivery.ts'
import type { Store, Tx } from '../../../src/core/store.ts'
import { storeBatch } from '../../../src/engine/batch.ts'
import { createLane, type Lane } from '../../../src/engine/delivery.ts'
import { openStore } from '../../../src/store/store.ts'
import { firing, START, silent } from '../../support/engine.ts'
import { policyOf } from '../../support/policy.ts'
import { startPostgres, type TestPostgres } from '../../support/postgres.ts'
import { bench, DONE, depsOf, retry, type Scripted, scripted, stepsOf } from './lanes.ts'

/** As long as a replica's lease lasts, and a little. */
const LEASE = 13 * SECOND
/** As long as a new owner waits before it looks for what its forerunner may have sent. */
const SETTLE = SECOND / 2

/** The same store as several replicas see it. */
const shared = (store: Store): Store => ({ ...store, exclusive: false })

test('what was begun when the process died is looked for by the next one, and the dead one cannot write', async (t) => {
  const world = await bench(t)
  const first = scripted()
  const answer = Promise.withResolvers<StepResult>()
  first.answer = () => answer.promise
  await world.open('s1')
  const dead = world.lane(first)
  const round = dead.tick()
  await first.begun(1)

  const second = scripted()
  const lane = world.lane(second)
  assert.equal(await lane.tick(), 0, 'what was sent last may still be on its way')
  world.wait(SETTLE)
  assert.equal(await lane.tick(), 1)
  assert.equal(second.steps[0]?.inDoubt, true)
  assert.equal(second.steps[0]?.state, null)
  answer.resolve({ outcome: 'done', state: { late: true }, reference: 'late' })
  await round
  const [delivery] = await world.deliveries()
  assert.deepEqual([delivery?.reference, delivery?.inDoubt, delivery?.state], ['m1', false, 'delivered'])
})

test('a doubt from a crash stays through failures', async (t) => {
  const world = await bench(t)
  const first = scripted()
  const hangs = Promise.withResolvers<StepResult>()
  first.answer = () => hangs.promise
  await world.open('s1')
  const round = world.lane(first).tick()
  await first.begun(1)
  const second = scripted()
  const lane = world.lane(second)
  second.answer = () => retry()
  await lane.tick()
  world.wait(SETTLE)
  await lane.tick()
  second.answer = DONE
  world.wait(SECOND)
  await lane.tick()
  assert.deepEqual(
    second.steps.map((step) => step.inDoubt),
    [true, true],
  )
  hangs.resolve(retry())
  await round
})

test('nothing overtakes a doubtful message in its own channel, and others do not wait for it', async (t) => {
  const world = await bench(t)
  const first = scripted('slack', { concurrency: 1 })
  const hangs = Promise.withResolvers<StepResult>()
  first.answer = () => hangs.promise
  await world.open('doubtful')
  const round = world.lane(first).tick()
  await first.begun(1)
  await world.open('next')
  const inOrder = scripted()
  const lane = world.lane(inOrder)
  await lane.tick()
  assert.equal(inOrder.steps.length, 0)
  world.wait(SETTLE)
  await lane.tick()
  await lane.tick()
  assert.deepEqual(
    inOrder.steps.map((step) => [step.incident.key.service, step.inDoubt]),
    [
      ['doubtful', true],
      ['next', false],
    ],
  )
  hangs.resolve(retry())
  await round
})

test('a doubtful page does not hold up other pages', async (t) => {
  const world = await bench(t)
  const first = scripted('slack', { perTarget: 4 })
  const hangs = Promise.withResolvers<StepResult>()
  first.answer = () => hangs.promise
  await world.open('doubtful')
  const round = world.lane(first).tick()
  await first.begun(1)
  await world.open('next')
  const second = scripted('slack', { concurrency: 1, perTarget: 4 })
  await world.lane(second).tick()
  assert.deepEqual(
    second.steps.map((step) => step.incident.key.service),
    ['next'],
  )
  hangs.resolve(retry())
  await round
})

test('stopping waits for what runs, records it, starts nothing, and the next lane goes on at once', async (t) => {
  const world = await bench(t)
  const slack = scripted('slack', { concurrency: 1 })
  const answer = Promise.withResolvers<StepResult>()
  slack.answer = () => answer.promise
  await world.open('s1')
  await world.open('s2')
  const store = shared(world.store)
  const lane = createLane(slack, depsOf(world, store))
  lane.wake()
  await slack.begun(1)
  const stopped = lane.stop()
  assert.equal(slack.closed, false)
  answer.resolve({ outcome: 'progress', state: { steps: 1 }, reference: 'm1' })
  await stopped
  assert.equal(slack.closed, true)
  assert.equal(slack.steps.length, 1)
  const [row] = await world.deliveries(1)
  assert.deepEqual([row?.state, row?.inflight, row?.adapterState], ['pending', null, { steps: 1 }])

  const next = scripted()
  const other = createLane(next, depsOf(world, store, { owner: 'another process' }))
  t.after(() => other.stop())
  await other.tick()
  assert.deepEqual(
    next.steps.map((step) => [step.incident.key.service, stepsOf(step), step.inDoubt]),
    [
      ['s1', 1, false],
      ['s2', 0, false],
    ],
  )
})

test('a wake while a lane stops starts nothing that nobody records', async (t) => {
  const world = await bench(t)
  const slack = scripted()
  await world.open('s1')
  const lane = createLane(slack, depsOf(world, world.store))
  lane.wake()
  await lane.stop()
  for (const row of await world.deliveries()) assert.equal(row.inflight, null)
  assert.equal(slack.closed, true)
})

test('two rounds at once send nothing twice', async (t) => {
  const world = await bench(t)
  const slack = scripted('slack', { perTarget: 8 })
  const lane = world.lane(slack)
  for (let n = 0; n < 6; n++) await world.open(`s${n}`)
  lane.wake()
  await Promise.all([lane.tick(), lane.tick()])
  assert.equal(slack.steps.length, 6)
})

for (const [name, when] of [
  ['before it stored the marks', 'before'],
  ['after it stored the marks', 'after'],
] as const) {
  test(`a database that fails ${name} costs no message and sends none twice`, async (t) => {
    const world = await bench(t)
    const slack = scripted()
    let failures = 1
    const flaky: Store = {
      ...world.store,
      async write<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
        let begins = false
        const look = (tx: Tx): Tx => ({
          ...tx,
          beginSteps: (...args) => {
            begins = true
            return tx.beginSteps(...args)
          },
        })
        if (when === 'after') {
          const result = await world.store.write((tx) => work(look(tx)))
          if (begins && failures-- > 0) throw new Error('connection lost')
          return result
        }
        return world.store.write(async (tx) => {
          const result = await work(look(tx))
          if (begins && failures-- > 0) throw new Error('disk full')
          return result
        })
      },
    }
    const lane = createLane(slack, depsOf(world, flaky))
    t.after(() => lane.stop())
    await world.open('s1')
    await assert.rejects(lane.tick())
    assert.equal(slack.steps.length, 0)
    world.wait(SECOND)
    await lane.tick()
    world.wait(SECOND)
    await lane.tick()
    assert.equal(slack.steps.length, 1)
    assert.equal(slack.steps[0]?.inDoubt, when === 'after')
    assert.equal((await world.deliveries())[0]?.state, 'delivered')
  })
}

test('an outcome that could not be stored is stored by the next round, and sent once only', async (t) => {
  const world = await bench(t)
  const slack = scripted()
  let broken = false
  const flaky: Store = {
    ...world.store,
    write: (work) => (broken ? Promise.reject(new Error('disk full')) : world.store.write(work)),
  }
  const lane = createLane(slack, depsOf(world, flaky))
  t.after(() => lane.stop())
  await world.open('s1')
  slack.answer = (input) => {
    broken = true
    return DONE(input)
  }
  await assert.rejects(lane.tick())
  assert.equal(slack.steps.length, 1)
  broken = false
  await lane.tick()
  assert.equal(slack.steps.length, 1)
  assert.equal((await world.deliveries())[0]?.state, 'delivered')
})

test('a second replica leaves the lane alone while its owner renews, and takes over when it does not', async (t) => {
  const world = await bench(t)
  const store = shared(world.store)
  const [one, two] = [scripted(), scripted()]
  const first = createLane(one, depsOf(world, store, { owner: 'one' }))
  const second = createLane(two, depsOf(world, store, { owner: 'two' }))
  t.after(() => Promise.all([first.stop(), second.stop()]))
  for (let n = 0; n < 10; n++) {
    await world.open(`s${n}`)
    await first.tick()
    await second.tick()
    world.wait(4 * SECOND)
  }
  assert.deepEqual([one.steps.length, two.steps.length], [10, 0])
  world.wait(LEASE)
  await world.open('after')
  await second.tick()
  await first.tick()
  assert.deepEqual([one.steps.length, two.steps.length], [10, 1])
})

test('a lane whose slots are all taken still renews its lease', async (t) => {
  const world = await bench(t)
  const store = shared(world.store)
  const [one, two] = [scripted('slack', { concurrency: 1 }), scripted()]
  const answer = Promise.withResolvers<StepResult>()
  one.answer = () => answer.promise
  const first = createLane(one, depsOf(world, store, { owner: 'one' }))
  const second = createLane(two, depsOf(world, store, { owner: 'two' }))
  t.after(() => Promise.all([first.stop(), second.stop()]))
  await world.open('s1')
  const round = first.tick()
  await one.begun(1)
  // As the lane's own timer does while a step runs.
  const rounds: Promise<number>[] = [round]
  for (let n = 0; n < 6; n++) {
    world.wait(4 * SECOND)
    first.wake()
    await new Promise((resolve) => setImmediate(resolve))
    await second.tick()
  }
  assert.equal(two.steps.length, 0)
  answer.resolve(DONE(one.steps[0] ?? assert.fail()))
  await Promise.all(rounds)
  assert.equal((await world.deliveries())[0]?.state, 'delivered')
})

test('an owner that slept between looking and beginning sends nothing after another took over', async (t) => {
  const world = await bench(t)
  const store = shared(world.store)
  const looked = Promise.withResolvers<void>()
  const sleeps = Promise.withResolvers<void>()
  let asleep = true
  const sleepy: Store = {
    ...store,
    async due(query) {
      const rows = await store.due(query)
      if (!asleep) return rows
      looked.resolve()
      await sleeps.promise
      return rows
    },
  }
  const [one, two] = [scripted(), scripted()]
  const first = createLane(one, depsOf(world, sleepy, { owner: 'one' }))
  const second = createLane(two, depsOf(world, store, { owner: 'two' }))
  t.after(() => Promise.all([first.stop(), second.stop()]))
  await world.open('s1')
  const round = first.tick()
  await looked.promise
  world.wait(LEASE)
  two.answer = (input) =>
    stepsOf(input) === 0 ? { outcome: 'progress', state: { steps: 1 }, reference: 'm1' } : retry()
  await second.tick()
  assert.equal(two.steps.length, 2)
  asleep = false
  sleeps.resolve()
  await round
  assert.equal(one.steps.length, 0)
})

test('an outcome of an owner that was replaced meanwhile is not stored over the newer one', async (t) => {
  const world = await bench(t)
  const store = shared(world.store)
  const [one, two] = [scripted(), scripted()]
  const answer = Promise.withResolvers<StepResult>()
  one.answer = () => answer.promise
  const first = createLane(one, depsOf(world, store, { owner: 'one' }))
  const second = createLane(two, depsOf(world, store, { owner: 'two' }))
  t.after(() => Promise.all([first.stop(), second.stop()]))
  await world.open('s1')
  const round = first.tick()
  await one.begun(1)
  world.wait(LEASE)
  await second.tick()
  world.wait(SECOND)
  await second.tick()
  assert.equal(two.steps[0]?.inDoubt, true)
  answer.resolve({ outcome: 'dead', reason: 'says the one that was replaced' })
  await round
  assert.equal((await world.deliveries())[0]?.state, 'delivered')
})

// -- two replicas on one real PostgreSQL

let postgres: TestPostgres

before(async () => {
  postgres = await startPostgres()
})
after(() => postgres.stop())

const ROUTES = 'slack: { bot_token: x }\nreceivers: [{ name: all, slack: { channel: ALL } }]\nroute: { receiver: all }'

type Replica = { store: Store; slack: Scripted; lane: Lane }

async function replicas(t: TestContext, now: () => number): Promise<{ one: Replica; two: Replica }> {
  const url = await postgres.database()
  const make = async (owner: string): Promise<Replica> => {
    const store = await openStore(url)
    const slack = scripted('slack', { perTarget: 8 })
    const loadView = async (id: number) => {
      const [incident] = await store.incidents([id])
      return incident ? ({ id: String(id), version: incident.version } as never) : null
    }
    const lane = createLane(slack, {
      store,
      loadView,
      clock: now,
      owner,
      installation: 'test',
      log: silent,
      giveUpAfter: 3_600_000,
    })
    t.after(async () => {
      await lane.stop()
      await store.close()
    })
    return { store, slack, lane }
  }
  return { one: await make('one'), two: await make('two') }
}

async function fire(store: Store, service: string, now: number): Promise<void> {
  const context = { policy: policyOf(ROUTES), now, believes: false }
  await store.write((tx) => storeBatch(tx, [{ alerts: [firing({ service })] }], context))
}

test('two replicas on one PostgreSQL deliver everything, and nothing twice', async (t) => {
  if (postgres.missing) return t.skip(postgres.missing)
  const { one, two } = await replicas(t, () => START)
  await Promise.all(
    Array.from({ length: 60 }, (_, n) => {
      const { store, lane } = n % 2 === 0 ? one : two
      return fire(store, `s${n}`, START).then(() => lane.wake())
    }),
  )
  await Promise.all([one.lane.tick(), two.lane.tick()])
  await Promise.all([one.lane.tick(), two.lane.tick()])
  const sent = [...one.slack.steps, ...two.slack.steps].map((step) => step.incident.id)
  assert.equal(new Set(sent).size, 60)
  assert.equal(sent.length, 60, 'one step for each')
  assert.ok(one.slack.steps.length === 0 || two.slack.steps.length === 0, 'one of them owns the lane')
  assert.deepEqual(await one.store.listDeliveries({ state: 'pending', limit: 1, before: null }), [])
})

test('a replica that is killed is replaced when its lease ends; its last steps are doubtful', async (t) => {
  if (postgres.missing) return t.skip(postgres.missing)
  let now = START
  const { one, two } = await replicas(t, () => now)
  const hangs = Promise.withResolvers<StepResult>()
  one.slack.answer = () => hangs.promise
  await fire(one.store, 's1', now)
  const round = one.lane.tick()
  await one.slack.begun(1)
  await fire(two.store, 's2', now)
  now += 11 * SECOND
  await two.lane.tick()
  assert.equal(two.slack.steps.length, 0, 'the lease still runs')
  now += 2 * SECOND
  await two.lane.tick()
  now += SECOND
  await two.lane.tick()
  assert.deepEqual(
    two.slack.steps.map((step) => step.inDoubt),
    [false, true],
    'what was not begun is not doubted, and does not wait',
  )
  hangs.resolve({ outcome: 'done', state: null, reference: 'late' })
  await round
  const rows = await two.store.deliveriesOf([1, 2])
  assert.deepEqual(
    rows.map((row) => [row.state, row.reference]),
    [
      ['delivered', 'm1'],
      ['delivered', 'm2'],
    ],
  )
})
