import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pacing } from '../../../src/core/delivery.ts'
import { backOff, Pacer } from '../../../src/engine/pacing.ts'

const FREE: Pacing = { concurrency: 4, perTarget: 2, lane: null, target: null, reserve: 0 }
const NEVER = Number.POSITIVE_INFINITY

/** Starts and ends a step at the same moment. */
function spend(pacer: Pacer, target: string, now: number): void {
  pacer.start(target, now)
  pacer.ended(target, now)
}

test('without limits only concurrency counts, per target and over all', () => {
  const pacer = new Pacer(FREE, 0)
  for (const target of ['a', 'a', 'b']) pacer.start(target, 0)
  assert.equal(pacer.wait('a', true, 0), NEVER, 'two to one target')
  assert.equal(pacer.wait('b', true, 0), 0)
  assert.equal(pacer.free(0), 1)
  pacer.start('b', 0)
  assert.equal(pacer.wait('c', true, 0), NEVER, 'four over all')
  pacer.ended('a', 0)
  assert.equal(pacer.wait('c', true, 0), 0)
  assert.equal(pacer.busy, 3)
})

test('a bucket lets a burst through, then one as each token comes back', () => {
  const pacer = new Pacer({ ...FREE, target: { burst: 3, perSecond: 0.5 } }, 0)
  for (let n = 0; n < 3; n++) {
    assert.equal(pacer.wait('a', true, 0), 0)
    spend(pacer, 'a', 0)
  }
  assert.equal(pacer.wait('a', true, 0), 2_000)
  assert.equal(pacer.wait('b', true, 0), 0, 'another target has a bucket of its own')
  assert.equal(pacer.wait('a', true, 1_500), 500)
  assert.equal(pacer.wait('a', true, 2_000), 0)
  spend(pacer, 'a', 2_000)
  assert.equal(pacer.wait('a', true, 2_000), 2_000)
  assert.equal(pacer.wait('a', true, 1_000_000), 0)
  for (let n = 0; n < 3; n++) spend(pacer, 'a', 1_000_000)
  assert.equal(pacer.wait('a', true, 1_000_000), 2_000, 'a long rest gives no more than the burst')
})

test('a clock that goes back neither gives tokens nor takes them', () => {
  const pacer = new Pacer({ ...FREE, target: { burst: 1, perSecond: 1 } }, 10_000)
  spend(pacer, 'a', 10_000)
  assert.equal(pacer.wait('a', true, 5_000), 1_000)
  assert.equal(pacer.wait('a', true, 6_000), 0)
})

test('silent steps leave the reserve of both buckets to urgent ones', () => {
  for (const limit of ['lane', 'target'] as const) {
    const pacer = new Pacer({ ...FREE, [limit]: { burst: 4, perSecond: 1 }, reserve: 0.5 }, 0)
    for (let n = 0; n < 2; n++) {
      assert.equal(pacer.wait('a', false, 0), 0)
      spend(pacer, 'a', 0)
    }
    assert.equal(pacer.wait('a', false, 0), 1_000, `${limit}: the rest is reserved`)
    for (let n = 0; n < 2; n++) {
      assert.equal(pacer.wait('a', true, 0), 0)
      spend(pacer, 'a', 0)
    }
    assert.equal(pacer.wait('a', true, 0), 1_000)
    assert.equal(pacer.wait('a', false, 0), 3_000)
  }
})

test('a pause holds its target, or the whole lane, until its end; a shorter one does not cut it', () => {
  const pacer = new Pacer(FREE, 0)
  pacer.pause('a', 5_000)
  pacer.pause('a', 2_000)
  assert.equal(pacer.wait('a', true, 1_000), 4_000)
  assert.equal(pacer.wait('b', true, 1_000), 0)
  assert.deepEqual(pacer.blocked(1_000), { targets: ['a'], until: 5_000 })
  pacer.pause(null, 3_000)
  assert.equal(pacer.free(1_000), 0)
  assert.equal(pacer.wait('b', true, 1_000), 2_000)
  assert.equal(pacer.pausedUntil(), 3_000)
  assert.equal(pacer.free(3_000), 4)
  assert.equal(pacer.wait('b', true, 3_000), 0)
})

test('the breaker trips after five failures in a row, then lets a single probe through', () => {
  const pacer = new Pacer(FREE, 0)
  const fail = (now: number) => {
    pacer.start('a', now)
    pacer.ended('a', now)
    pacer.failed('a', now, 1)
  }
  for (let n = 0; n < 4; n++) fail(0)
  assert.equal(pacer.wait('a', true, 0), 0, 'four are bad luck')
  fail(0)
  assert.equal(pacer.wait('a', true, 0), 1_000)
  assert.equal(pacer.wait('b', true, 0), 0, 'nobody else suffers')
  pacer.start('a', 1_000)
  assert.equal(pacer.wait('a', true, 1_000), NEVER, 'one probe, although two steps could run')
  pacer.ended('a', 1_000)
  pacer.failed('a', 1_000, 1)
  assert.equal(pacer.wait('a', true, 1_000), 2_000, 'longer each time')
  pacer.start('a', 3_000)
  pacer.ended('a', 3_000)
  pacer.succeeded('a', 3_000)
  pacer.start('a', 3_000)
  assert.equal(pacer.wait('a', true, 3_000), 0, 'one success closes it')
})

test("the breaker's pause has jitter and never exceeds 30 s", () => {
  for (const [random, expected] of [
    [0, 15_000],
    [0.5, 22_500],
    [1, 30_000],
  ] as const) {
    const pacer = new Pacer(FREE, 0)
    for (let n = 0; n < 40; n++) pacer.failed('a', 0, random)
    assert.equal(pacer.wait('a', true, 0), expected)
  }
})

test('thousands of targets are forgotten again, those in use are not', () => {
  const pacer = new Pacer({ ...FREE, concurrency: 10, target: { burst: 1, perSecond: 1 } }, 0)
  pacer.start('busy', 0)
  pacer.start('busy', 0)
  pacer.failed('failing', 0, 1)
  for (let n = 0; n < 5; n++) pacer.failed('tripped', 0, 1)
  for (let n = 0; n < 5_000; n++) pacer.wait(`t${n}`, true, 0)
  assert.equal(pacer.wait('busy', true, 0), NEVER)
  assert.equal(pacer.wait('tripped', true, 0), 1_000)
})

test('a pause that a platform asked for survives the forgetting', () => {
  const pacer = new Pacer({ ...FREE, target: { burst: 1, perSecond: 1 } }, 0)
  pacer.pause('paused', 60_000)
  for (let n = 0; n < 2_500; n++) pacer.wait(`t${n}`, true, 0)
  assert.equal(pacer.wait('paused', true, 0), 60_000)
})

test('back-off doubles with full jitter, at most 30 s, and never less than what the platform asked for', () => {
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 6, 50].map((attempts) => backOff(attempts, null, 1)),
    [550, 1_050, 2_050, 4_050, 8_050, 16_050, 30_000, 30_000],
  )
  assert.equal(backOff(6, null, 0), 50, 'full jitter starts at nearly nothing')
  assert.equal(backOff(0, 7_000, 0.5), 7_000)
  assert.equal(backOff(0, 120_000, 0), 120_000, 'Retry-After is not capped')
  assert.equal(backOff(3, 100, 1), 4_050)
})
