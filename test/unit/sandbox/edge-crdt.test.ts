import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type BucketState, merge, seeded, tokensOf } from '../../../src/sandbox/edge/crdt.ts'
import { change, createReplica, publish, type Replica, rebuild, receive } from '../../../src/sandbox/edge/replica.ts'

const KEYS = 3
const NODES = 3
const numbers = fc
  .array(fc.integer({ min: 0, max: 20 }), { minLength: KEYS, maxLength: KEYS })
  .map((values) => Float64Array.from(values))
/** Any state at all, also such as no honest node would make: equal sequence numbers with different rows. */
const states: fc.Arbitrary<BucketState> = fc
  .tuple(
    fc.integer({ min: 1, max: 3 }),
    numbers,
    fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), numbers, numbers), { minLength: NODES, maxLength: NODES }),
  )
  .map(([epoch, base, rows]) => ({
    epoch,
    base,
    rows: rows.map(([seq, refilled, taken]) => ({ seq, refilled, taken })),
  }))

test('merge is commutative, associative and idempotent', () => {
  fc.assert(
    fc.property(states, states, states, (a, b, c) => {
      assert.deepEqual(merge(a, b), merge(b, a))
      assert.deepEqual(merge(merge(a, b), c), merge(a, merge(b, c)))
      assert.equal(merge(a, a), a)
      assert.deepEqual(merge(merge(a, b), b), merge(a, b))
    }),
  )
})

test('merge answers its first argument itself when the second has nothing new, and changes neither', () => {
  fc.assert(
    fc.property(states, states, (a, b) => {
      const before = structuredClone([a, b])
      const both = merge(a, b)
      assert.equal(merge(both, a), both)
      assert.equal(merge(both, b), both)
      assert.deepEqual([a, b], before)
    }),
  )
})

test('a later epoch replaces an earlier one; within one, what nodes did adds up', () => {
  const old = seeded(1, Float64Array.of(10, 10, 10), 2)
  const fresh = seeded(2, Float64Array.of(5, 5, 5), 2)
  assert.equal(merge(old, fresh), fresh)
  const row = (refilled: number, taken: number) => ({
    seq: 1,
    refilled: Float64Array.of(refilled, 0, 0),
    taken: Float64Array.of(taken, 0, 0),
  })
  const [none] = fresh.rows
  assert.ok(none)
  const one = { ...fresh, rows: [row(3, 1), none] }
  const two = { ...fresh, rows: [none, row(0, 4)] }
  assert.deepEqual([...tokensOf(merge(one, two))], [3, 5, 5])
})

type Act =
  | { kind: 'change'; node: number; key: number; tokens: number }
  | { kind: 'publish'; node: number }
  | { kind: 'deliver'; message: number; to: number }
const node = fc.nat(NODES - 1)
const acts: fc.Arbitrary<Act[]> = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('change' as const),
      node,
      key: fc.nat(KEYS - 1),
      tokens: fc.integer({ min: -9, max: 9 }),
    }),
    fc.record({ kind: fc.constant('publish' as const), node }),
    // any message ever published, in any order, again and again, or never
    fc.record({ kind: fc.constant('deliver' as const), message: fc.nat(60), to: node }),
  ),
  { minLength: 30, maxLength: 90 },
)

/** Plays acts on nodes of one region; node 1 runs the bad version when `bad`, for key 0. */
function play(list: readonly Act[], bad: boolean): Replica[] {
  const start = [seeded(1, new Float64Array(KEYS).fill(20), NODES)]
  const replicas = Array.from({ length: NODES }, (_, place) => createReplica(0, place, start))
  const messages: (readonly BucketState[])[] = []
  const give = (message: readonly BucketState[], to: Replica) =>
    receive(to, message, bad && to.place === 1 ? (key) => key === 0 : undefined)
  for (const act of list) {
    if (act.kind === 'deliver') {
      const message = messages[act.message % Math.max(1, messages.length)]
      const to = replicas[act.to]
      if (message && to) give(message, to)
      continue
    }
    const replica = replicas[act.node]
    assert.ok(replica)
    if (act.kind === 'publish') messages.push(publish(replica))
    else if (act.tokens !== 0) change(replica, act.key, act.tokens)
  }
  for (const message of replicas.map(publish)) for (const to of replicas) give(message, to)
  return replicas
}

const truthOf = (replicas: readonly Replica[]) =>
  tokensOf(replicas.flatMap((replica) => replica.states).reduce((a, b) => merge(a, b)))

test('whatever the order, repetition and loss on the way, after one full exchange all copies and counts agree', () => {
  fc.assert(
    fc.property(acts, (list) => {
      const replicas = play(list, false)
      for (const { states: own, counts } of replicas) {
        assert.deepEqual(own, replicas[0]?.states)
        assert.deepEqual(counts[0], truthOf(replicas))
      }
    }),
  )
})

test('the bad merge loses exactly the refills it met; good merges do not bring them back; a full sync does', () => {
  let diverged = 0
  fc.assert(
    fc.property(acts, (list) => {
      const replicas = play(list, true)
      const [, ill] = replicas
      assert.ok(ill)
      const refills = list.filter((act) => act.kind === 'change' && act.node !== 1 && act.key === 0 && act.tokens > 0)
      const lost = refills.reduce((sum, act) => sum + (act.kind === 'change' ? act.tokens : 0), 0)
      const off = () => (truthOf(replicas)[0] ?? 0) - (ill.counts[0]?.[0] ?? 0)
      assert.equal(off(), lost)
      assert.equal(ill.lost[0]?.[0], lost)
      if (lost > 0) diverged += 1
      for (const message of replicas.map(publish)) for (const to of replicas) receive(to, message)
      assert.equal(off(), lost, 'what a merge has once seen it does not look at again')
      rebuild(ill)
      assert.equal(off(), 0)
      assert.equal(ill.lost[0]?.[0], 0)
    }),
  )
  assert.ok(diverged > 50, `${diverged} of 100 runs diverged`)
})
