import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { EdgeRegion, EdgeRegions } from '../../../src/core/edge.ts'
import { createWatch, type WatchedEdge } from '../../../src/engine/watch.ts'
import { openStore } from '../../../src/store/store.ts'
import { silent } from '../../support/engine.ts'

const BLANK: EdgeRegion = {
  region: 'A',
  healthy: true,
  receiving: true,
  bucket: { capacity: 12_000, available: 12_000, ratio: 1 },
  syncLagSeconds: null,
  conflictsPerMinute: null,
  p95LatencySeconds: null,
  errorRatio: null,
  canaryWeight: 0,
  version: '1.8.2',
  requestRate: null,
  refusedRatio: null,
  refillRate: null,
  ratingScore: null,
  jitterSeconds: null,
  replicas: 3,
  nodes: null,
}

async function world(t: TestContext) {
  const store = await openStore('sqlite::memory:')
  t.after(() => store.close())
  const time = { now: 1_000_000 }
  let regions: EdgeRegion[] = [BLANK]
  let asked = 0
  let answer: () => Promise<EdgeRegion[] | EdgeRegions> = async () => regions
  const edge: WatchedEdge = {
    regions() {
      asked += 1
      return answer()
    },
  }
  const make = (source: WatchedEdge | null = edge) =>
    createWatch({ edge: () => source, store, clock: () => time.now, log: silent })
  return {
    store,
    time,
    make,
    asked: () => asked,
    become(change: Partial<EdgeRegion>) {
      regions = [{ ...BLANK, ...change }]
    },
    answers(with_: typeof answer) {
      answer = with_
    },
    async round(watch: ReturnType<typeof make>) {
      time.now += 5_000
      await watch.tick()
    },
  }
}

test('every five seconds a sample, an hour of them', async (t) => {
  const { make, time, round, asked } = await world(t)
  const watch = make()
  await watch.tick()
  await watch.tick()
  assert.equal(asked(), 1, 'not before it is time')
  for (let i = 0; i < 730; i++) await round(watch)
  assert.equal(watch.history().length, 720)
  assert.equal(watch.history().at(-1)?.at, time.now)
  assert.deepEqual(watch.changes(), [], 'what was there from the beginning is no change')
})

test('changes are noticed, whatever the edge leaves out now and then', async (t) => {
  const { make, round, become, time } = await world(t)
  const watch = make()
  await round(watch)
  become({ version: null, bucket: null, canaryWeight: null, replicas: null, receiving: null })
  await round(watch)
  const capacity = { capacity: 18_000, available: 1, ratio: 0 }
  become({ version: '1.9.0', canaryWeight: 10, bucket: capacity, replicas: 6, receiving: false })
  await round(watch)
  assert.deepEqual(
    watch.changes().map(({ at, region, what, from, to }) => [at === time.now, region, what, from, to]),
    [
      [true, 'A', 'version', '1.8.2', '1.9.0'],
      [true, 'A', 'canary weight', '0 %', '10 %'],
      [true, 'A', 'capacity', '12000', '18000'],
      [true, 'A', 'replicas', '3', '6'],
      [true, 'A', 'receiving', 'yes', 'no'],
    ],
  )
})

test('changes outlive a restart, and what changed meanwhile is seen; two replicas note a change once', async (t) => {
  const { make, round, become } = await world(t)
  const first = make()
  await round(first)
  become({ version: '1.9.0' })
  await round(first)
  become({ version: '1.9.1' })
  const second = make()
  await round(second)
  await round(first)
  const versions = (watch: typeof first) => watch.changes().map(({ to }) => to)
  assert.deepEqual(versions(second), ['1.9.0', '1.9.1'])
  assert.deepEqual(versions(first), ['1.9.0', '1.9.1'])
})

test('the last hundred changes are kept', async (t) => {
  const { make, round, become } = await world(t)
  const watch = make()
  for (let i = 0; i < 120; i++) {
    become({ version: `1.${i}` })
    await round(watch)
  }
  assert.equal(watch.changes().length, 100)
  assert.equal(watch.changes().at(-1)?.to, '1.119')
})

test('no edge: nothing; a refusing one leaves what is known; a slow one holds up nobody', async (t) => {
  const { make, round, answers, store, asked } = await world(t)
  const none = make(null)
  await none.tick()
  assert.deepEqual([none.history(), await store.meta('edge_changes')], [[], null])
  const watch = make()
  await round(watch)
  answers(async () => ({ ok: false, reason: 'down' }))
  await round(watch)
  answers(() => Promise.reject(new Error('refused')))
  await round(watch)
  assert.equal(watch.history().length, 1)
  answers(() => new Promise(() => {}))
  const before = asked()
  await round(watch)
  await round(watch)
  assert.equal(asked(), before + 1, 'one question at a time')
})
