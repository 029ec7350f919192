import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseMatchers } from '../../../src/core/matchers.ts'
import type { SeverityRule } from '../../../src/core/severity.ts'
import { classOf, DEFAULT_CLASSES, levelOf, raise, worse, worst } from '../../../src/core/severity.ts'

const rules: SeverityRule[] = [
  { level: 'P1', matchers: parseMatchers('severity="critical"') },
  { level: 'P2', matchers: parseMatchers('severity="warning"') },
  { level: 'P3', matchers: parseMatchers('severity=~"info|none"') },
  { level: 'P2', matchers: [] },
]

test('the first rule that matches decides, and says so', () => {
  assert.deepEqual(levelOf(rules, { severity: 'critical' }), {
    level: 'P1',
    reason: 'severity="critical" makes it P1 (rule 1)',
  })
  assert.deepEqual(levelOf(rules, { severity: 'none' }), {
    level: 'P3',
    reason: 'severity="none" makes it P3 (rule 3)',
  })
})

test('a missing or unknown severity is rather too loud than lost', () => {
  assert.deepEqual(levelOf(rules, {}), { level: 'P2', reason: 'severity is missing: P2, rather too loud than lost' })
  assert.deepEqual(levelOf(rules, { severity: 'weird' }), {
    level: 'P2',
    reason: 'severity "weird" is unknown: P2, rather too loud than lost',
  })
  assert.deepEqual(levelOf(rules.slice(0, 1), {}), {
    level: 'P2',
    reason: 'no severity rule matches: P2, rather too loud than lost',
  })
})

test('a reason cuts long values and quotes strange ones', () => {
  const { reason } = levelOf(rules, { severity: `"\n${'x'.repeat(5_000)}` })
  assert.ok(reason.length < 160 && reason.includes('\\"\\n') && reason.includes('…'), reason)
})

test('raise goes one step, never from information, never above P1', () => {
  assert.deepEqual([raise('P1'), raise('P2'), raise('P3')], ['P1', 'P1', 'P3'])
  assert.equal(worse('P1', 'P2'), true)
  assert.equal(worse('P2', 'P2'), false)
  assert.equal(worst('P3', 'P2'), 'P2')
})

test('the label class wins where it names one; OpenClaw names mean the same', () => {
  const of = (labels: Record<string, string>) => classOf(DEFAULT_CLASSES, labels)
  assert.equal(of({ alertname: 'TokenBucketLow' }), 'exhaustion')
  assert.equal(of({ alertname: 'OpenClawTokenBucketLow' }), 'exhaustion')
  assert.equal(of({ alertname: 'TokenBucketLow', class: 'Sync_Lag' }), 'sync lag')
  assert.equal(of({ alertname: 'RegionDown', class: 'nonsense' }), 'region')
  assert.equal(of({ alertname: 'constructor' }), null)
  assert.equal(of({}), null)
  assert.equal(classOf({ OpenClawMine: 'canary' }, { alertname: 'Mine' }), 'canary')
})
