import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseDuration } from '../../../src/core/duration.ts'
import { fasterRules } from '../../../src/sandbox/real/fast-rules.ts'
import { run, skipped } from './programs.ts'
import { readRules } from './rules-file.ts'

const { text, alerts, recordings } = readRules()
const fast = fasterRules(text)

test('every time in the rules is divided, and nothing else changes', () => {
  assert.equal(
    fasterRules('for: 2m\n  interval: 30s\nexpr: rate(x[1m]) + avg_over_time(y[1h] offset 1410m) > 1.2 # in 2m'),
    'for: 8000ms\n  interval: 2000ms\nexpr: rate(x[4000ms]) + avg_over_time(y[240000ms] offset 5640000ms) > 1.2 # in 2m',
  )
  const times = /((?:for|interval): |\[|offset )(\d\w*)/g
  const slow = [...text.matchAll(times)].map(([, , time]) => parseDuration(time ?? ''))
  const quick = [...fast.matchAll(times)].map(([, , time]) => parseDuration(time ?? ''))
  assert.ok(slow.length >= 30)
  assert.deepEqual(
    quick,
    slow.map((time) => time / 15),
  )
  assert.equal(fast.replace(times, '$1'), text.replace(times, '$1'))
})

test('a time that does not divide is refused', () => {
  assert.throws(() => fasterRules('for: 1s', 7), /1s divided by 7 is not whole/)
})

test('Prometheus takes the faster rules', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'claw-rules-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'rules.yaml')
  writeFileSync(file, fast)
  const done = run('promtool', ['check', 'rules', file])
  if (!done) return t.skip(skipped('promtool'))
  assert.match(done.output, new RegExp(`SUCCESS: ${alerts.length + recordings.length} rules found`))
})
