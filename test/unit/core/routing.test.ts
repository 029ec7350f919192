import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseMatchers } from '../../../src/core/matchers.ts'
import type { Route } from '../../../src/core/routing.ts'
import { inhibitRule, inhibitSourceKeys, inhibitTargetKeys, routeAlert } from '../../../src/core/routing.ts'

function route(path: string, receiver: string, matchers: string, more: Partial<Route> = {}): Route {
  return {
    path,
    receiver,
    matchers: parseMatchers(matchers),
    continue: false,
    muteTimeIntervals: [],
    activeTimeIntervals: [],
    routes: [],
    ...more,
  }
}

const tree = route('route', 'default', '', {
  muteTimeIntervals: [],
  routes: [
    route('route.routes[0]', 'log', 'service=~".+"', { continue: true }),
    route('route.routes[1]', 'critical', 'level="P1"', {
      muteTimeIntervals: ['nights'],
      routes: [route('route.routes[1].routes[0]', 'edge', 'service="edge"')],
    }),
    route('route.routes[2]', 'never', 'level="P1"'),
  ],
})

test('the deepest match wins, the first child ends the search, continue goes on', () => {
  const receivers = (labels: Record<string, string>) => routeAlert(tree, labels).map((hit) => hit.receiver)
  assert.deepEqual(receivers({}), ['default'])
  assert.deepEqual(receivers({ level: 'P1' }), ['critical'])
  assert.deepEqual(receivers({ level: 'P1', service: 'edge' }), ['log', 'edge'])
  assert.deepEqual(receivers({ level: 'P2', service: 'edge' }), ['log'])
})

test('a hit says where and why', () => {
  assert.deepEqual(routeAlert(tree, { level: 'P1' })[0], {
    receiver: 'critical',
    path: 'route.routes[1]',
    why: 'route.routes[1]: level="P1"',
    muteTimeIntervals: ['nights'],
    activeTimeIntervals: [],
  })
  assert.equal(routeAlert(tree, {})[0]?.why, 'route: no other route matches')
})

const inhibits = (
  rules: Parameters<typeof inhibitSourceKeys>[0],
  source: Record<string, string>,
  target: Record<string, string>,
) => {
  const firing = new Set(inhibitSourceKeys(rules, source))
  return inhibitTargetKeys(rules, target).some((key) => firing.has(key))
}

test('a source mutes targets with the same values of equal, a missing label being empty', () => {
  const rules = [
    inhibitRule(parseMatchers('alertname="RegionDown"'), parseMatchers('severity=~"warning|info"'), [
      'region',
      'service',
    ]),
  ]
  const down = { alertname: 'RegionDown', region: 'A', severity: 'critical' }
  assert.equal(inhibits(rules, down, { severity: 'warning', region: 'A' }), true)
  assert.equal(inhibits(rules, down, { severity: 'warning', region: 'A', service: '' }), true)
  assert.equal(inhibits(rules, down, { severity: 'warning', region: 'B' }), false)
  assert.equal(inhibits(rules, down, { severity: 'critical', region: 'A' }), false)
  assert.equal(inhibits(rules, { alertname: 'Other', region: 'A' }, { severity: 'warning', region: 'A' }), false)
})

test('an alert that matches both sides is not muted by another for which the same is true, itself included', () => {
  const rules = [inhibitRule(parseMatchers('a=~".+"'), parseMatchers('b=~".+"'), ['region'])]
  const both = { a: '1', b: '1', region: 'A' }
  assert.equal(inhibits(rules, both, both), false)
  assert.equal(inhibits(rules, both, { a: '2', b: '2', region: 'A' }), false)
  assert.equal(inhibits(rules, both, { b: '1', region: 'A' }), true, 'it still mutes pure targets')
  assert.equal(inhibits(rules, { a: '1', region: 'A' }, both), true, 'and a pure source still mutes it')
})

test('the id of a rule depends on its meaning only', () => {
  const id = (source: string, equal: string[]) => inhibitRule(parseMatchers(source), parseMatchers('b=c'), equal).id
  assert.equal(id('{a="x"}', ['r', 's']), id('a=x,', ['s', 'r']))
  assert.notEqual(id('a=x', ['r']), id('a=y', ['r']))
})
