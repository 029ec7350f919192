import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ClawError } from '../../../src/core/errors.ts'
import { createEdge, type Edge } from '../../../src/sandbox/edge.ts'

const START = 1_700_000_000_000
const code = (wanted: string) => (error: ClawError) => error.code === wanted
const view = (edge: Edge, region: string) => {
  const found = edge.view().find((one) => one.region === region)
  assert.ok(found)
  return found
}

test('work that is made to fail ends failed and changes nothing; the next one works', () => {
  const edge = createEdge({ now: START })
  edge.faults.add({ kind: 'failover', mode: 'fail' })
  const bad = edge.operations.failover('A', 'B')
  edge.step(3_000)
  assert.ok(edge.operations.share('A', 'B') > 0.4)
  edge.step(5_000)
  assert.equal(edge.operations.get(bad).state, 'failed')
  assert.equal(edge.operations.share('A', 'A'), 1)
  const good = edge.operations.failover('A', 'B')
  edge.step(8_000)
  assert.equal(edge.operations.get(good).state, 'succeeded')
  assert.deepEqual(edge.faults.list(), [])
})

test('stuck work stays half-way until it is superseded or the world is reset', () => {
  const edge = createEdge({ now: START })
  edge.faults.add({ kind: '*', mode: 'stuck', times: 2 })
  const move = edge.operations.failover('A', 'B')
  const fill = edge.operations.resetBucket('A')
  edge.step(60_000)
  for (const id of [move, fill])
    assert.deepEqual([edge.operations.get(id).state, edge.operations.get(id).progress], ['running', 0.5])
  assert.equal(edge.operations.share('A', 'B'), 0.5)
  const back = edge.operations.failover('B', 'A')
  assert.match(edge.operations.get(move).detail, new RegExp(`${back} moves the same traffic`))
  edge.step(8_000)
  assert.deepEqual([edge.operations.share('A', 'A'), edge.operations.get(back).state], [1, 'succeeded'])
  edge.reset()
  assert.equal(edge.operations.get(fill).state, 'failed')
})

test('a refused call begins nothing, a missing one says 404, as often as asked', () => {
  const edge = createEdge({ now: START })
  edge.faults.add({ kind: 'reconcile', mode: 'refuse', times: 2 })
  edge.faults.add({ kind: 'reconcile', mode: 'missing' })
  for (const wanted of ['unavailable', 'unavailable', 'not_found']) {
    assert.throws(() => edge.operations.reconcile([], 'highest-capacity'), code(wanted))
  }
  assert.throws(() => edge.operations.resetBucket('Z'), code('not_found'))
  assert.deepEqual(edge.operations.list(), [])
  assert.equal(edge.operations.reconcile([], 'highest-capacity'), 'op_1')
  assert.throws(() => edge.faults.add({ kind: 'reset', mode: 'unhealthy-after-failover' }), code('invalid'))
})

test('unhealthy after a failover: the target collapses while it hosts, and recovers when the clients go home', () => {
  const edge = createEdge({ now: START })
  edge.faults.add({ mode: 'unhealthy-after-failover' })
  assert.equal(edge.load('B', 100).ok, 100)
  const id = edge.operations.failover('A', 'B')
  edge.step(7_000)
  assert.equal(edge.operations.get(id).state, 'succeeded')
  const ill = view(edge, 'B')
  assert.ok(!ill.healthy && ill.bucket.ratio < 0.05, JSON.stringify(ill))
  assert.ok(edge.load('B', 100).refused > 90)
  edge.step(20_000)
  assert.equal(view(edge, 'B').healthy, false)
  edge.operations.failover('B', 'A')
  edge.step(30_000)
  for (const region of edge.view()) assert.ok(region.healthy && region.bucket.ratio > 0.8, JSON.stringify(region))
  assert.deepEqual(edge.load('A', 100).ok, 100)
})

test('a synthetic load takes nothing, and says what it would have met', () => {
  const edge = createEdge({ now: START })
  edge.step(5_000)
  const before = JSON.stringify(edge.view())
  const { p95_seconds, ...counted } = edge.load('A', 1_000)
  assert.deepEqual(counted, { sent: 1_000, ok: 1_000, refused: 0, errors: 0 })
  assert.ok(p95_seconds !== null && p95_seconds < 0.1)
  assert.equal(JSON.stringify(edge.view()), before)
  edge.press(['A'], { errorRatio: 0.1 })
  assert.equal(edge.load('A', 1_000).errors, 100)
  edge.press(['A'], { down: true })
  assert.deepEqual(edge.load('A', 10), { sent: 10, ok: 0, refused: 0, errors: 10, p95_seconds: null })
})

test('a snapshot keeps what was, whatever happens later', () => {
  const edge = createEdge({ now: START })
  edge.step(5_000)
  const id = edge.snapshot(['A'])
  const kept = JSON.stringify(edge.snapshotOf(id))
  edge.press(['A'], { demandFactor: 8 })
  edge.step(20_000)
  assert.equal(JSON.stringify(edge.snapshotOf(id)), kept)
  assert.match(kept, /"region":"A","version":"1.8.2","capacity":12000,"available":11\d\d\d/)
  assert.equal(edge.snapshot([]), 'snap_2')
  assert.throws(() => edge.snapshotOf('snap_9'), code('not_found'))
})
