import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type FailoverFacts, gatherFailover, judgeFailover } from '../../../handlers/workflows/preflight.ts'
import { left, returned } from '../../../handlers/workflows/traffic.ts'
import { createOutside, regionOf, SETTINGS } from '../../support/outside.ts'

const settings = SETTINGS.failover

function facts(more: Partial<FailoverFacts> = {}): FailoverFacts {
  return {
    from: 'A',
    to: 'B',
    traffic: { kind: 'edge', settlesWithin: 60_000 },
    regions: [regionOf('A'), regionOf('B')],
    health: { from: { passed: true, detail: '' }, to: { passed: true, detail: '' } },
    load: { passed: true, detail: 'answered 200' },
    level: { ratio: 0.95, source: 'edge' },
    problems: [],
    busy: null,
    incidents: [],
    ...more,
  }
}

test('all well: no refusal, no warning, and the blast radius in figures', () => {
  const { refusals, warnings, blast, lines } = judgeFailover(facts(), settings)
  assert.deepEqual([refusals, warnings], [[], []])
  assert.deepEqual(blast, { moves: 100, offered: 200, refill: 1000, headroom: 4, bucket: 0.95 })
  assert.ok(lines.includes('Moves 100/s from A to B.'))
})

const B = (more: Parameters<typeof regionOf>[1]) => ({ regions: [regionOf('A'), regionOf('B', more)] })
for (const [name, more, codes, overridable] of [
  ['no switch', { traffic: null }, ['no_switch'], false],
  ['the same region', { to: 'A' }, ['same_region'], false],
  ['an unknown region', { to: 'Z' }, ['unknown_region'], false],
  ['another operation under way', { busy: 'o7 (Reset the bucket of A)' }, ['busy'], false],
  ['the only other region is down', B({ healthy: false }), ['last_region', 'target_unhealthy'], true],
  [
    'the target is down, a third is not',
    { regions: [regionOf('A'), regionOf('B', { healthy: false }), regionOf('C')] },
    ['target_unhealthy'],
    true,
  ],
  [
    '/health says no',
    { health: { from: null, to: { passed: false, detail: 'answers 503' } } },
    ['target_unhealthy'],
    true,
  ],
  ['nobody knows', { regions: null, health: { from: null, to: null } }, ['target_unknown'], true],
  ['too little headroom', B({ refillRate: 210 }), ['headroom'], true],
  ['the load test fails', { load: { passed: false, detail: 'answered 503' } }, ['load'], true],
] as [string, Partial<FailoverFacts>, string[], boolean][]) {
  test(`refused: ${name}`, () => {
    const { refusals } = judgeFailover(facts(more), settings)
    assert.deepEqual(
      refusals.map(({ code }) => code),
      codes,
    )
    for (const { override, text } of refusals) {
      assert.equal(override, overridable ? 'commander' : null)
      assert.match(text, /\.$/)
    }
  })
}

test('exactly the wanted headroom is enough', () => {
  assert.deepEqual(judgeFailover(facts(B({ refillRate: 220 })), settings).refusals, [])
})

for (const [name, more, warning] of [
  ['unknown rates', B({ requestRate: null }), /edge gives no rates/],
  [
    'a dead region says 0/s',
    { regions: [regionOf('A', { healthy: false, requestRate: 0 }), regionOf('B')] },
    /How much traffic A has is unknown/,
  ],
  ['open incidents in the target', { incidents: [4, 7] }, /2 open incidents in B: #4, #7/],
  ['a low bucket', { level: { ratio: 0.5, source: 'edge' } }, /bucket of B is at 50 %/],
  ['an unknown bucket', { level: { ratio: null, source: 'unknown' } }, /level of B is unknown/],
  [
    'a region that has no traffic',
    { regions: [regionOf('A', { receiving: false }), regionOf('B')] },
    /receives no traffic/,
  ],
  ['what did not answer', { problems: ['Prometheus: no answer.'] }, /Prometheus: no answer/],
] as [string, Partial<FailoverFacts>, RegExp][]) {
  test(`warned, not refused: ${name}`, () => {
    const { refusals, warnings } = judgeFailover(facts(more), settings)
    assert.deepEqual(refusals, [])
    assert.ok(
      warnings.some((line) => warning.test(line)),
      warnings.join('\n'),
    )
  })
}

const open = async () => async () => {}

test('gathering never throws: what fails is unknown, with a reason', async () => {
  const outside = createOutside(() => 0, open)
  outside.fail('regions', 'unavailable')
  outside.fail('load', 'timeout')
  const found = await gatherFailover(
    outside.services({ query: true }),
    { from: 'A', to: 'B' },
    new AbortController().signal,
  )
  assert.equal(found.regions, null)
  assert.equal(found.load, null)
  assert.deepEqual(found.health.to, { passed: true, detail: 'answers 200' })
  assert.equal(found.level.source, 'unknown')
  assert.deepEqual(found.problems, ['Edge: regions unavailable.', 'Edge: load timeout.'])
})

test('gathering ends with its signal, whoever does not listen to it', async () => {
  const outside = createOutside(() => 0, open)
  const stop = new AbortController()
  const services = { ...outside.services(), load: () => new Promise<never>(() => {}) }
  const asked = gatherFailover(services, { from: 'A', to: 'B' }, stop.signal)
  setImmediate(() => stop.abort())
  const found = await asked
  assert.equal(found.load, null)
  assert.deepEqual(found.problems, ['Not everything outside answered in time.'])
  assert.notEqual(found.regions, null)
})

test('left: not receiving any more, or under 5 % of what it was', () => {
  const before = { receiving: true, requestRate: 100 }
  const now = (receiving: boolean | null, requestRate: number | null) => regionOf('A', { receiving, requestRate })
  assert.equal(left(before, now(false, 90), true), 'yes')
  assert.equal(left(before, now(true, 4.9), false), 'yes')
  assert.equal(left(before, now(true, 5), false), 'no')
  assert.equal(left(before, now(true, null), true), 'no')
  assert.equal(left(before, now(true, null), false), 'unknown', 'DNS moves clients without the edge knowing')
  assert.equal(left({ receiving: false, requestRate: 0 }, now(false, 0), true), 'unknown')
  assert.equal(left(before, undefined, true), 'unknown')
})

test('returned: the clients are seen again', () => {
  const now = (receiving: boolean | null, requestRate: number | null) => regionOf('A', { receiving, requestRate })
  assert.equal(returned(100, now(false, 100), true), 'no')
  assert.equal(returned(100, now(true, 4), true), 'no')
  assert.equal(returned(100, now(true, 5), true), 'yes')
  assert.equal(returned(null, now(true, 5), true), 'yes')
  assert.equal(returned(null, now(true, 5), false), 'unknown')
  assert.equal(returned(100, undefined, true), 'unknown')
})
