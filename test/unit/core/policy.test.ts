import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseConfig } from '../../../src/config/config.ts'
import { describeRoute, inMaintenance, muted } from '../../../src/core/policy.ts'
import { routeAlert } from '../../../src/core/routing.ts'

const { policy } = parseConfig(
  `
receivers: [{ name: default }, { name: critical }, { name: office }]
route:
  receiver: default
  routes:
    - { matchers: [level="P1"], receiver: critical, mute_time_intervals: [nights] }
    - { matchers: [team="office"], receiver: office, active_time_intervals: [days] }
time_intervals:
  - { name: nights, time_intervals: [{ times: [{ start_time: '00:00', end_time: '07:00' }] }] }
  - { name: days, time_intervals: [{ times: [{ start_time: '09:00', end_time: '17:00' }] }] }
maintenance:
  - { name: upgrade, matchers: [region="B"], starts_at: 2026-03-01T22:00:00Z, ends_at: 2026-03-02T02:00:00Z }
  - { name: weekly, matchers: [region="C"], time_intervals: [nights] }
`,
  { env: {}, readFile: () => '' },
)
const at = (text: string) => Date.parse(text)

test('a hit is muted inside its mute intervals and outside its active ones', () => {
  const why = (labels: Record<string, string>, now: string) => {
    const [hit] = routeAlert(policy.route, labels)
    assert.ok(hit)
    return muted(policy, hit, at(now))
  }
  assert.equal(why({ level: 'P1' }, '2026-03-02T03:00:00Z'), 'nights')
  assert.equal(why({ level: 'P1' }, '2026-03-02T07:00:00Z'), null)
  assert.equal(why({ team: 'office' }, '2026-03-02T08:00:00Z'), 'outside of active interval days')
  assert.equal(why({ team: 'office' }, '2026-03-02T09:00:00Z'), null)
  assert.equal(why({}, '2026-03-02T03:00:00Z'), null)
})

test('maintenance covers what matches, from its start until before its end, within its intervals', () => {
  assert.equal(inMaintenance(policy, { region: 'B' }, at('2026-03-01T21:59:59Z')), null)
  assert.equal(inMaintenance(policy, { region: 'B' }, at('2026-03-01T22:00:00Z')), 'upgrade')
  assert.equal(inMaintenance(policy, { region: 'B' }, at('2026-03-02T02:00:00Z')), null)
  assert.equal(inMaintenance(policy, { region: 'A' }, at('2026-03-01T23:00:00Z')), null)
  assert.equal(inMaintenance(policy, { region: 'C' }, at('2026-05-01T03:00:00Z')), 'weekly')
  assert.equal(inMaintenance(policy, { region: 'C' }, at('2026-05-01T08:00:00Z')), null)
})

test('a route is described with its level and both reasons', () => {
  const found = describeRoute(policy, { severity: 'critical', level: 'P3' }, at('2026-03-02T03:00:00Z'))
  assert.deepEqual(found, [
    {
      receiver: 'critical',
      path: 'route.routes[0]',
      why: 'route.routes[0]: level="P1"',
      muteTimeIntervals: ['nights'],
      activeTimeIntervals: [],
      level: 'P1',
      levelReason: 'severity="critical" makes it P1 (rule 1)',
      muted: 'nights',
    },
  ])
})
