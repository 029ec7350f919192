import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromMemory } from '../../../src/console/charts.ts'
import type { RangeQuery } from '../../../src/console/console.ts'
import { correlations, pearson } from '../../../src/console/correlate.ts'
import type { EdgeRegion } from '../../../src/core/edge.ts'
import { ClawError } from '../../../src/core/errors.ts'
import { pageOf, words } from './reader.ts'
import { START, startRig } from './rig.ts'

const at = (ms: number, ratio: number, lag: number) => ({
  at: ms,
  regions: [
    {
      region: 'A',
      bucket: { capacity: 1, available: ratio, ratio },
      syncLagSeconds: lag,
      jitterSeconds: lag / 10,
      conflictsPerMinute: null,
    },
    { region: 'B', bucket: null, syncLagSeconds: null, jitterSeconds: null, conflictsPerMinute: 3 },
  ] as EdgeRegion[],
})

/** Ten minutes in which the lag grows and the bucket empties. */
const HISTORY = Array.from({ length: 120 }, (_, i) => at(START - 600_000 + i * 5_000, 1 - i / 120, i / 100))

test('Pearson: together, opposite, nothing, and too little to tell', () => {
  const up = [1, 2, 3, 4, 5, 6, 7, 8]
  assert.equal(
    pearson(
      up,
      up.map((x) => 3 * x + 1),
    ),
    1,
  )
  assert.equal(pearson(up, [...up].reverse()), -1)
  assert.ok(Math.abs(pearson([1, 2, 1, 2, 1, 2, 1, 2], [1, 1, 2, 2, 1, 1, 2, 2]) ?? 1) < 1e-9)
  // By hand: covariance 38, variances 42 and 42.
  assert.ok(Math.abs((pearson(up, [2, 1, 3, 4, 5, 6, 8, 7]) ?? 0) - 40 / 42) < 1e-9)
  assert.equal(pearson(up.slice(1), up.slice(1)), null)
  assert.equal(
    pearson(
      up,
      up.map(() => 4),
    ),
    null,
    'what never changes goes with nothing',
  )
  assert.equal(pearson([null, ...up], [9, ...up]), 1, 'pairs of which one is unknown are left out')
  const { names, rows } = correlations([
    { name: 'a', values: up },
    { name: 'b', values: [...up].reverse() },
  ])
  assert.deepEqual(names, ['a', 'b'])
  assert.deepEqual(rows[0]?.cells[1], { r: -1, text: '−1.00', word: 'strong, opposite', step: -3 })
})

test('figures from memory: one point for each stretch, without holes, the last sample counts', () => {
  const frame = fromMemory(HISTORY, START, 3_600_000)
  assert.deepEqual(frame.regions, ['A', 'B'])
  assert.equal(frame.times[0], START - 600_000)
  assert.ok(frame.times.length <= 120)
  const known = frame.bucket[0]?.filter((ratio) => ratio !== null) ?? []
  assert.ok(known.length >= frame.times.length - 1, 'no holes')
  assert.ok(frame.bucket[1]?.every((ratio) => ratio === null))
  assert.equal(frame.conflicts[1]?.[0], 3)
  const short = fromMemory(HISTORY, START, 60_000)
  assert.equal(short.times[0], START - 60_000)
  assert.equal(fromMemory([], START, 60_000).source, 'none')
})

test('the page says all of it in tables, and its data is JSON', async (t) => {
  const rig = await startRig(t, { watch: { history: () => HISTORY, changes: () => [] } })
  const cookie = await rig.signIn()
  const html = await pageOf(await rig.browse('/charts?span=15m', cookie))
  const text = words(html)
  assert.match(text, /From Claw’s own memory/)
  assert.match(text, /Lowest bucket level of each stretch, by region Region .* A 92 % .* under 1 % B \? /)
  assert.match(text, /Greatest sync lag .* A 0\.\d+ s .*1\.2 s/)
  assert.match(
    text,
    /Depletion \+1\.00 strong, together \+1\.00 strong, together \+1\.00 strong, together \? too little is known/,
  )
  for (const table of html.match(/<table[\s\S]*?<\/table>/g) ?? []) assert.match(table, /<caption/)
  const res = await rig.browse('/console-data/charts?span=15m', cookie)
  assert.equal(res.headers.get('content-type'), 'application/json; charset=utf-8')
  const data = (await res.json()) as { times: number[]; regions: string[]; bucket: (number | null)[][] }
  assert.deepEqual(data.regions, ['A', 'B'])
  assert.equal(data.times[0], (START - 600_000) / 1000)
  assert.equal(data.bucket[0]?.length, data.times.length)
})

test('Prometheus is asked where there is one; when it fails, memory serves and says so', async (t) => {
  const asked: string[] = []
  let broken = false
  const range: RangeQuery = async ({ expression, from, to, step }) => {
    if (broken) throw new ClawError('unavailable', 'Prometheus: no answer within 5 s')
    asked.push(expression)
    assert.equal((to - from) / step, 119)
    return expression === 'bucket'
      ? [
          {
            labels: { region: 'west' },
            points: [
              [from, 0.25],
              [to, 0.05],
            ],
          },
        ]
      : []
  }
  const queries = { bucket: 'bucket', lag: 'lag', jitter: 'jitter', conflicts: 'conflicts' }
  const rig = await startRig(t, {
    prometheus: { range, queries },
    watch: { history: () => HISTORY, changes: () => [] },
  })
  const cookie = await rig.signIn()
  const text = words(await pageOf(await rig.browse('/charts?span=6h', cookie)))
  assert.match(text, /From Prometheus\..* west 25 % .*5 %/)
  assert.deepEqual(asked.sort(), ['bucket', 'conflicts', 'jitter', 'lag'])
  broken = true
  const after = words(await pageOf(await rig.browse('/charts?span=6h', cookie)))
  assert.match(
    after,
    /own memory of the last hour, which is all there is without Prometheus.*Prometheus was not asked: Prometheus: no answer/,
  )
})

test('with nothing known the page says what to connect', async (t) => {
  const rig = await startRig(t)
  const text = words(await pageOf(await rig.browse('/charts', await rig.signIn())))
  assert.match(text, /Nothing is known yet: connect the edge/)
})
