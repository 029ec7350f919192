import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AlertClass } from '../../../src/core/alert.ts'
import { MINUTE, SECOND } from '../../../src/core/clock.ts'
import { newIncident } from '../../../src/core/incident.ts'
import {
  type Action,
  type Mode,
  type Remediation,
  type RemediationPolicy,
  readSwitch,
  scorecard,
} from '../../../src/core/remediation.ts'
import { decide, doneAt, type RemedyFacts, triggersOf } from '../../../src/core/remedy.ts'
import { actOf } from '../../../src/core/remedy-act.ts'
import { improved, measureOf } from '../../../src/core/remedy-measure.ts'
import { breachOf, holdUntil } from '../../../src/core/remedy-stop.ts'
import type { WorkflowRun } from '../../../src/core/workflow.ts'
import { policyOf } from '../../support/policy.ts'
import { WELL } from '../engine/remediation-rig.ts'

const NOW = 1_000_000_000

function policy(
  more: Partial<RemediationPolicy> = {},
  when: Partial<RemediationPolicy['when']> = {},
): RemediationPolicy {
  return {
    name: 'p',
    when: { class: 'exhaustion', below: null, above: null, for: 0, after: null, ...when },
    action: 'reset',
    with: { policy: null, replicas: null, factor: null, lasts: null, region: null, to: null },
    mode: 'automatic',
    coolDown: 10 * MINUTE,
    budget: { max: 3, per: 60 * MINUTE },
    verify: { after: 2 * MINUTE },
    holdPage: 0,
    ...more,
  }
}

function facts(more: Partial<RemedyFacts> = {}): RemedyFacts {
  return {
    automation: 'on',
    incident: { id: 1, stopped: false, proposals: [] },
    alerts: [{ class: 'exhaustion', region: 'A', since: NOW - MINUTE }],
    edge: 'answers',
    cluster: false,
    regions: [WELL],
    conflicts: null,
    runs: [],
    alertsAlone: false,
    ...more,
  }
}

const run = (more: Partial<WorkflowRun> = {}): WorkflowRun => ({
  id: 9,
  kind: 'reset',
  input: null,
  title: 'Reset the bucket of A',
  regions: ['A'],
  incident: 1,
  by: 'Dana',
  via: 'slack',
  replyTo: null,
  state: 'running',
  steps: [],
  dueAt: NOW,
  cancelledBy: null,
  startedAt: NOW - MINUTE,
  endedAt: null,
  outcome: null,
  data: null,
  ...more,
})

test('the measure of each class, and the thresholds it is usually compared with (system.md, section 2)', () => {
  const of = (alertClass: AlertClass | null, below: number | null = null, above: number | null = null) => {
    const found = measureOf(policy({}, { class: alertClass, below, above }))
    return found ? `${found.measure.name} ${found.worse} ${found.threshold}${found.given ? '' : ' (usual)'}` : null
  }
  assert.equal(of('exhaustion'), 'bucket level below 0.1 (usual)')
  assert.equal(of('exhaustion', 0.05), 'bucket level below 0.05')
  assert.equal(of('divergence', null, 25), 'conflicts a minute above 25')
  assert.equal(of('divergence', null, 0.05), 'refused ratio above 0.05')
  assert.equal(of('sync lag'), 'sync lag above 2 (usual)')
  assert.equal(of('latency'), 'p95 latency above 0.2 (usual)')
  assert.equal(of('errors'), 'error ratio above 0.005 (usual)')
  assert.equal(of('canary'), 'canary rating below 0.7 (usual)')
  assert.equal(of('capacity', null, 1.2), 'load above 1.2')
  assert.equal(of('capacity', 0.3), 'bucket level below 0.3')
  assert.equal(of('capacity'), null)
  assert.equal(of('region'), null)
  assert.equal(of(null, 0.5), null)
})

test('improved: past half of the way back, in either direction', () => {
  assert.equal(improved(0.04, 0.1, 0.07), false)
  assert.equal(improved(0.04, 0.1, 0.071), true)
  assert.equal(improved(40, 10, 25), false)
  assert.equal(improved(40, 10, 24), true)
  assert.equal(improved(40, 10, 0), true)
})

test('an alert without a region: the measure tells which, the worst first; without figures nobody knows', () => {
  const alerts = [{ class: 'exhaustion' as const, region: '', since: NOW }]
  const regions = ['A', 'B', 'C'].map((region, index) => ({
    ...WELL,
    region,
    bucket: { capacity: null, available: null, ratio: [0.08, 0.02, 0.5][index] ?? 1 },
  }))
  const own = policy({}, { below: 0.1 })
  const triggers = triggersOf(own, facts({ alerts, regions }), NOW)
  assert.deepEqual(
    triggers.map(({ region, holds }) => [region, holds]),
    [
      ['B', true],
      ['A', true],
      ['C', false],
    ],
  )
  const blind = triggersOf(own, facts({ alerts, regions: null, edge: 'silent' }), NOW)
  assert.deepEqual(
    blind.map(({ region, holds }) => [region, holds]),
    [['', null]],
  )
  assert.deepEqual(triggersOf(own, facts({ alerts: [] }), NOW), [])
})

test('where nothing names a region, only acts that work everywhere go on', () => {
  const alerts = [{ class: 'region' as const, region: '', since: NOW - MINUTE }]
  const regions = [WELL, { ...WELL, region: 'B' }]
  const name = (action: Action) => {
    const own = policy({ action }, { class: 'region' })
    const known = facts({ alerts, regions })
    const [trigger] = triggersOf(own, known, NOW)
    assert.ok(trigger)
    return decide(own, trigger, { since: null, seen: false }, known, [], NOW).name
  }
  assert.equal(name('reset'), 'no_region')
  assert.equal(name('scale'), 'no_region')
  assert.equal(name('reconcile'), 'automatic')
  assert.equal(name('revert'), 'automatic')
  assert.equal(name('canary abort'), 'automatic')
})

test('what a policy rests from: its own acts in that mode; a proposal concerns one incident', () => {
  const past = (more: Partial<Remediation>): Remediation => ({
    id: 1,
    policy: 'p',
    incident: 2,
    region: 'A',
    action: 'reset',
    mode: 'suggest',
    at: NOW - MINUTE,
    reason: '',
    run: null,
    state: 'suggested',
    measure: null,
    verifyAt: null,
    ...more,
  })
  const name = (mode: Mode, ...history: Remediation[]) => {
    const own = policy({ mode })
    const [trigger] = triggersOf(own, facts(), NOW)
    assert.ok(trigger)
    return decide(own, trigger, { since: null, seen: false }, facts(), history, NOW).name
  }
  assert.equal(name('suggest', past({})), 'suggest')
  assert.equal(name('suggest', past({ incident: 1 })), 'cool_down')
  assert.equal(name('automatic', past({ incident: 1 })), 'automatic')
  assert.equal(name('automatic', past({ mode: 'automatic', state: 'helped' })), 'cool_down')
  assert.equal(name('automatic', past({ mode: 'automatic', state: 'helped', region: 'B' })), 'automatic')
  assert.equal(name('automatic', past({ mode: 'automatic', state: 'helped', region: 'B', covers: ['A'] })), 'cool_down')
  assert.equal(name('automatic', past({ mode: 'automatic', state: 'helped', policy: 'other' })), 'automatic')
  assert.equal(name('suggest', past({}), past({ id: 2 }), past({ id: 3 })), 'budget')
})

test("somebody else's reset elsewhere is waited for; another operation elsewhere is not", () => {
  const own = policy()
  const name = (other: WorkflowRun) => {
    const known = facts({ runs: [other] })
    const [trigger] = triggersOf(own, known, NOW)
    assert.ok(trigger)
    return decide(own, trigger, { since: null, seen: false }, known, [], NOW).name
  }
  assert.equal(name(run({ regions: ['B'] })), 'one_region_at_a_time')
  assert.equal(name(run({ regions: ['B'], kind: 'reconcile' })), 'automatic')
  assert.equal(name(run({ regions: ['B'], state: 'succeeded', endedAt: NOW })), 'automatic')
  assert.equal(name(run({ kind: 'failover', regions: ['B', 'A'] })), 'busy')
})

test('a failover is never automatic', () => {
  const own = policy({ action: 'failover', with: { ...policy().with, to: 'B' } })
  const [trigger] = triggersOf(own, facts(), NOW)
  assert.ok(trigger)
  assert.equal(decide(own, trigger, { since: null, seen: false }, facts(), [], NOW).do, 'propose')
  const back = { ...own, with: { ...own.with, to: 'A' } }
  assert.equal(
    decide(back, trigger, { since: null, seen: false }, facts(), [], NOW).text,
    'A is where it would fail over to',
  )
})

test('when a run has done its work: at its end, or once it only waits for the day it goes back', () => {
  const step = {
    name: 's',
    state: 'done' as const,
    attempts: 1,
    startedAt: NOW,
    endedAt: NOW,
    result: null,
    error: null,
  }
  assert.equal(doneAt(run({ endedAt: NOW - 5, state: 'succeeded' }), NOW), NOW - 5)
  assert.equal(doneAt(run({ dueAt: NOW + 30 * MINUTE, steps: [step] }), NOW), null, 'a reset that waits still works')
  assert.equal(doneAt(run({ kind: 'scale', dueAt: NOW + 30 * MINUTE, steps: [step] }), NOW), NOW)
  assert.equal(doneAt(run({ kind: 'scale', dueAt: NOW + 15 * SECOND, steps: [step] }), NOW), null, 'that is back-off')
  assert.equal(doneAt(run({ kind: 'scale', dueAt: NOW + 30 * MINUTE }), NOW), null, 'nothing is done yet')
})

test('acts as runs and as commands: own parameters, else the defaults', () => {
  const { actions } = policyOf()
  const none = { regions: [WELL, { ...WELL, region: 'B' }], conflicts: null }
  const act = (action: Action, given: Partial<RemediationPolicy['with']> = {}, region = 'A') =>
    actOf(policy({ action, with: { ...policy().with, ...given } }), region, none, actions)
  assert.deepEqual([act('reset').command, act('reset').run.input], ['reset A', { region: 'A' }])
  assert.equal(act('reset', {}, 'eu west').command, 'reset "eu west"')
  assert.equal(act('reconcile', { policy: 'lowest-available' }).command, 'reconcile A --policy lowest-available')
  assert.deepEqual(act('reconcile').run.input, { regions: ['A'], policy: 'highest-capacity' })
  assert.equal(act('scale', { region: 'C' }).command, 'scale C 6 30m')
  assert.equal(act('capacity').command, 'capacity A 1.5 30m')
  assert.deepEqual(act('revert').run.input, { regions: ['A', 'B'], policy: 'highest-capacity' })
  assert.equal(act('revert').command, 'revert')
  assert.equal(act('revert', { region: 'A' }).command, 'revert A')
  assert.equal(act('canary abort').command, 'canary abort')
})

test('a breach is the error budget burning faster than its limit', () => {
  const slo = { objective: 0.999, window: 0, burnLimit: 14.4, query: null }
  assert.equal(breachOf(slo, 0.0144), null)
  assert.match(breachOf(slo, 0.015) ?? '', /burns 15 times/)
  assert.equal(breachOf(slo, null), null)
  assert.equal(breachOf(null, 1), null)
})

test('a page may wait only for an automatic policy, below P1, while no user is touched, and 3 minutes at most', () => {
  const fresh = () => ({
    ...newIncident(1, 'k', {}, NOW),
    level: 'P2' as const,
    classes: ['canary' as AlertClass],
  })
  const holding = policy({ holdPage: 10 * MINUTE, action: 'canary abort' }, { class: 'canary' })
  const until = (change: object = {}, own = holding, regions: (typeof WELL)[] | null = null) =>
    holdUntil({ ...fresh(), ...change }, [own], NOW + SECOND, regions)
  assert.equal(until(), NOW + 3 * MINUTE)
  assert.equal(until({}, { ...holding, holdPage: MINUTE }), NOW + MINUTE)
  assert.equal(until({}, { ...holding, holdPage: 0 }), null)
  assert.equal(until({}, { ...holding, mode: 'suggest' }), null)
  assert.equal(until({ level: 'P1' }), null)
  assert.equal(until({ classes: ['canary', 'errors'] }), null)
  assert.equal(until({ classes: [] }), null)
  assert.equal(until({ state: 'acknowledged' }), null)
  assert.equal(until({ recurrences: 1 }), null)
  assert.equal(until({ automationStopped: { at: 0, why: '' } }), null)
  assert.equal(until({}, holding, [WELL]), NOW + 3 * MINUTE)
  assert.equal(until({}, holding, [{ ...WELL, refusedRatio: 0.06 }]), null)
  assert.equal(until({}, holding, [{ ...WELL, errorRatio: 0.006 }]), null)
  assert.equal(until({ openedAt: NOW - 4 * MINUTE }), null)
})

test('the global switch as stored; what cannot be read means off', () => {
  assert.deepEqual(readSwitch(null), { state: 'on', by: '', at: 0 })
  assert.deepEqual(readSwitch('{"state":"off","by":"Dana","at":5}'), { state: 'off', by: 'Dana', at: 5 })
  assert.equal(readSwitch('{"state":"on","by":"Dana","at":5}').state, 'on')
  assert.equal(readSwitch('{').state, 'off')
  assert.equal(readSwitch('7').state, 'off')
})

test('the scorecard counts what a policy did, and what became of it', () => {
  const rows = [
    { mode: 'automatic', state: 'helped', run: 1 },
    { mode: 'automatic', state: 'failed', run: 2 },
    { mode: 'automatic', state: 'unclear', run: 3 },
    { mode: 'suggest', state: 'suggested', run: null },
    { mode: 'suggest', state: 'not_helped', run: 4 },
    { mode: 'shadow', state: 'shadow', run: null },
  ] as const
  assert.deepEqual(scorecard(rows), { acted: 4, helped: 1, notHelped: 2, shadow: 1, suggested: 2, takenUp: 1 })
  assert.deepEqual(scorecard([]), { acted: 0, helped: 0, notHelped: 0, shadow: 0, suggested: 0, takenUp: 0 })
})
