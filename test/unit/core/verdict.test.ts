import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MINUTE } from '../../../src/core/clock.ts'
import type { EdgeRegion } from '../../../src/core/edge.ts'
import { judge } from '../../../src/core/verdict.ts'
import { type Facts, judgeRegions, regionLine } from '../../../src/core/verdict-facts.ts'
import { CASES, play } from '../../bench/verdict.ts'

const NOW = Date.UTC(2026, 4, 4, 2, 15)

function region(name: string, more: Partial<EdgeRegion> = {}): EdgeRegion {
  return {
    region: name,
    healthy: true,
    receiving: true,
    bucket: { capacity: 12_000, available: 11_000, ratio: 0.92 },
    syncLagSeconds: 0.1,
    conflictsPerMinute: 1,
    p95LatencySeconds: 0.05,
    errorRatio: 0,
    canaryWeight: 0,
    version: '1.8.2',
    requestRate: 600,
    refusedRatio: 0,
    refillRate: 1_500,
    ratingScore: 0.97,
    jitterSeconds: 0.02,
    replicas: 3,
    nodes: [
      { node: 'n-1', delta: 0.01 },
      { node: 'n-2', delta: 0.01 },
    ],
    ...more,
  }
}

function facts(edge: EdgeRegion[], more: Partial<Facts> = {}): Facts {
  const calm = edge.map(({ region: name }) => region(name))
  const history = Array.from({ length: 60 }, (_, i) => ({ at: NOW - 10 * MINUTE + i * 5_000, regions: calm }))
  return { onset: NOW, regions: [], classes: [], edge, history, conflicts: [], changes: [], ...more }
}

const torn = { nodes: [{ node: 'a-2', delta: 0.8 }], conflictsPerMinute: 31 }
const deploy = (at: number, name = 'A') => ({ at, region: name, what: 'version' as const, from: '1.8.2', to: '1.9.0' })

test('simulated causes: at least nine of ten are judged rightly', () => {
  const wrong = CASES.flatMap((one, i) => {
    const verdict = play(one, i + 1, MINUTE)
    return verdict.cause === one.truth ? [] : [`${one.name}: ${verdict.cause}`]
  })
  assert.ok(CASES.length >= 12)
  assert.ok(wrong.length <= CASES.length / 10, wrong.join('\n'))
})

test('the incident of system.md: the limiter is wrong since the version, and the act is to revert it', () => {
  const edge = ['A', 'B'].map((name) => region(name, { ...torn, version: '1.9.0' }))
  const changes = ['A', 'B'].map((name) => deploy(NOW - 3 * MINUTE, name))
  const verdict = judge(facts(edge, { changes, regions: ['A', 'B'] }))
  assert.deepEqual([verdict.limiter, verdict.cause], ['wrong', 'bad version'])
  assert.equal(verdict.summary, 'The limiter is wrong: 2 nodes diverge since 1.9.0 went out.')
  assert.equal(verdict.evidence[0], '1.8.2 to 1.9.0 in A and B, 3 min before')
  assert.deepEqual([verdict.act?.command, verdict.act?.label], ['revert', 'Revert 1.9.0'])
  assert.match(verdict.act?.risk ?? '', /1\.8\.2/)
})

test('a version that came after the onset, or long before, is not blamed', () => {
  for (const at of [NOW + MINUTE, NOW - 120 * MINUTE]) {
    const verdict = judge(facts([region('A', torn), region('B')], { changes: [deploy(at)] }))
    assert.equal(verdict.cause, 'divergence')
    assert.equal(verdict.act?.command, 'reconcile A B')
  }
})

test('a version in one region only is reverted there', () => {
  const edge = [region('A', { errorRatio: 0.08, healthy: false }), region('B')]
  const verdict = judge(facts(edge, { changes: [deploy(NOW - MINUTE)], regions: ['A'] }))
  assert.deepEqual([verdict.cause, verdict.act?.command], ['bad version', 'revert A'])
})

test('where the limiter is right nothing is to be touched, and it says what to do instead', () => {
  const flooded = { requestRate: 3_000, refusedRatio: 0.5, bucket: { capacity: 12_000, available: 0, ratio: 0 } }
  const all = judge(facts([region('A', flooded), region('B', flooded)], { regions: ['A', 'B'] }))
  assert.deepEqual([all.limiter, all.cause, all.act], ['right', 'overload', null])
  assert.match(
    all.evidence.join('\n'),
    /3 000\/s offered, 1 500\/s refilled[\s\S]*traffic 5\.0 times[\s\S]*instead: scale out/,
  )
  const one = judge(facts([region('A', flooded), region('B')], { regions: ['A'] }))
  assert.deepEqual([one.cause, one.act], ['abuse', null])
  assert.match(one.evidence.join('\n'), /block it/)
})

test('a dead region is left to the one with the most room; a last one has no way out', () => {
  const edge = [region('A', { healthy: false, bucket: null }), region('B', { requestRate: 1_400 }), region('C')]
  const verdict = judge(facts(edge, { regions: ['A'] }))
  assert.deepEqual([verdict.cause, verdict.act?.command], ['region down', 'failover A C'])
  assert.match(verdict.act?.risk ?? '', /900\/s to spare/)
  assert.equal(judge(facts([region('A', { healthy: false })], { regions: ['A'] })).act, null)
  const gone = judge({ ...facts([region('A'), region('B')]), edge: [region('B')], regions: ['A'] })
  assert.equal(gone.cause, 'region down', 'no longer listed')
})

test('an edge that tells little gives an unknown verdict, never an error', () => {
  const silent = Object.fromEntries(Object.keys(region('A')).map((key) => [key, null])) as unknown as EdgeRegion
  const verdict = judge(facts([{ ...silent, region: 'A' }], { history: [] }))
  assert.deepEqual([verdict.limiter, verdict.cause, verdict.act], ['unknown', 'unknown', null])
  assert.equal(judge(facts([], { history: [] })).cause, 'unknown')
  const odd = region('A', { nodes: [null, 'x', { node: 3 }, { delta: 'y' }] })
  assert.equal(judge(facts([odd])).cause, 'unknown')
})

test('names with blanks are quoted as commands read them, and many regions are not listed', () => {
  const quoted = judge(facts([region('eu west', torn), region('a"b')]))
  assert.equal(quoted.act?.command, 'reconcile "eu west" "a\\"b"')
  const many = judge(facts(Array.from({ length: 30 }, (_, i) => region(`r${i}`, torn))))
  assert.deepEqual([many.act?.command, many.act?.label], ['reconcile', 'Reconcile every region'])
  assert.ok(many.summary.length < 200)
})

test('a region in one line', () => {
  const edge = region('A', { ...torn, requestRate: 1_380, syncLagSeconds: 0.6, version: '1.9.0' })
  const [judged] = judgeRegions(facts([edge]))
  assert.ok(judged)
  assert.equal(
    regionLine(judged),
    'A: 92 % left, 1 380/s offered (2.3×), 1 500/s refilled, lag 0.6 s, 1 node off, 31 conflicts/min, 1.9.0',
  )
})

test('a version that only went back is a cure: it is not blamed, and never undone; the next rollout is', () => {
  const edge = [region('A', torn), region('B')]
  const out = deploy(NOW - 5 * MINUTE)
  const back = { ...out, at: NOW - 2 * MINUTE, from: '1.9.0', to: '1.8.2' }
  const cured = judge(facts(edge, { changes: [out, back] }))
  assert.deepEqual([cured.cause, cured.act?.command], ['divergence', 'reconcile A B'])
  const again = judge(facts(edge, { changes: [out, back, deploy(NOW - MINUTE)] }))
  assert.deepEqual([again.cause, again.act?.command], ['bad version', 'revert A'])
})

test('more traffic that is served is no overload, and a bucket that settles at four fifths does not run dry', () => {
  const busy = region('A', { requestRate: 1_380, bucket: { capacity: 12_000, available: 9_700, ratio: 0.81 } })
  assert.equal(judge(facts([busy, region('B')], { regions: ['A'] })).cause, 'unknown')
  const grown = region('A', {
    requestRate: 1_380,
    bucket: { capacity: 24_000, available: 9_600, ratio: 0.4 },
    refillRate: 3_000,
  })
  assert.equal(judge(facts([grown, region('B')], { regions: ['A'] })).cause, 'unknown', 'only its capacity changed')
})

test('a refill that fell below what is asked for is a stall, and a reset that would be refused is not advised', () => {
  const stalled = region('A', {
    requestRate: 1_140,
    refillRate: 300,
    bucket: { capacity: 12_000, available: 0, ratio: 0 },
  })
  const verdict = judge(facts([stalled, region('B')], { regions: ['A'] }))
  assert.deepEqual([verdict.cause, verdict.act?.command], ['stalled refill', 'scale A'])
  const slow = region('A', { ...stalled, requestRate: 250 })
  assert.equal(judge(facts([slow, region('B')], { regions: ['A'] })).act?.command, 'reset A')
})

test('a region that is gone from the list is down; an empty list says nothing of any', () => {
  const calm = facts([region('A'), region('B')])
  const since = [...calm.history, { at: NOW, regions: [region('B')] }]
  assert.equal(judge({ ...calm, history: since, edge: [region('B')], regions: ['A'] }).cause, 'region down')
  assert.equal(judge({ ...calm, edge: [], regions: ['A'] }).cause, 'unknown')
})
