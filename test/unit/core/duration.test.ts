import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatDuration, parseDuration } from '../../../src/core/duration.ts'

test('reads durations as Prometheus writes them', () => {
  const cases: [string, number][] = [
    ['0', 0],
    ['500ms', 500],
    ['10s', 10_000],
    ['5m', 300_000],
    ['1h30m', 5_400_000],
    ['1d', 86_400_000],
    ['1w', 604_800_000],
    ['1y', 31_536_000_000],
    ['1m500ms', 60_500],
  ]
  for (const [text, ms] of cases) assert.equal(parseDuration(text), ms, text)
  for (const text of ['', '5', 'm', '1.5h', '5m1h', '5m5m', '-5m', '5 m', '1ms1s'])
    assert.throws(() => parseDuration(text), /is no duration/, text)
})

test('prints what it reads back', () => {
  assert.equal(formatDuration(5_400_000), '1h30m')
  assert.equal(formatDuration(90 * 86_400_000), '90d')
  assert.equal(formatDuration(0), '0s')
  fc.assert(
    fc.property(fc.nat(2 ** 45), (ms) => parseDuration(formatDuration(ms)) === ms),
    { numRuns: 200 },
  )
})
