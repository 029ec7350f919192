import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MINUTE } from '../../../src/core/clock.ts'
import { draftOf, newIncident } from '../../../src/core/incident.ts'
import {
  acknowledge,
  checkDue,
  endAlert,
  type Joining,
  joinAlert,
  resolveByPerson,
  settle,
  type TransitionRules,
  worsen,
} from '../../../src/core/transitions.ts'

const NOW = 1_000_000
const rules: TransitionRules = {
  raiseAtRegions: 2,
  flapping: { recurrences: 3, within: 60 * MINUTE, quiet: 10 * MINUTE },
  recheckAfterResolve: 10 * MINUTE,
  believes: false,
}
const joining = (overrides: Partial<Joining> = {}): Joining => ({
  name: 'N',
  region: 'A',
  level: 'P2',
  levelReason: 'because',
  alertClass: null,
  suppressed: null,
  known: false,
  ...overrides,
})

function open(...more: Partial<Joining>[]) {
  const draft = draftOf(newIncident(1, 'k', {}, NOW), true)
  for (const one of [{}, ...more]) joinAlert(draft, joining(one), rules, NOW)
  settle(draft, rules, NOW)
  // As the store gives it back for the next transaction.
  return draftOf(JSON.parse(JSON.stringify(draft.incident)))
}
const lines = (draft: ReturnType<typeof open>) => draft.story.map(({ kind, push }) => `${kind}${push ? '!' : ''}`)

test('an acknowledgement takes every page that rings, silently for others, once', () => {
  const draft = open()
  assert.equal(acknowledge(draft, 'Dana', 'looking', NOW), true)
  assert.deepEqual([draft.incident.state, draft.incident.acknowledgedBy], ['acknowledged', 'Dana'])
  assert.equal(draft.story[0]?.text, 'Acknowledged by Dana: looking')
  assert.deepEqual(lines(draft), ['acknowledged'])
  assert.equal(acknowledge(draft, 'Max', '', NOW), false)
  assert.equal(draft.incident.acknowledgedBy, 'Dana')
})

test('an acknowledgement of what is resolved changes nothing', () => {
  const draft = open()
  resolveByPerson(draft, 'Dana', '', rules, NOW)
  assert.equal(acknowledge(draft, 'Max', '', NOW), false)
  assert.equal(draft.incident.state, 'resolved')
})

test('an acknowledged incident that rings again can be acknowledged again, by another person', () => {
  const draft = open()
  acknowledge(draft, 'Dana', '', NOW)
  worsen(draft, 'automation gave up')
  assert.equal(acknowledge(draft, 'Max', '', NOW), true)
  assert.deepEqual(
    draft.incident.pages.map(({ key, state, reason }) => [key, state, reason]),
    [
      ['', 'acknowledged', 'first page'],
      ['1', 'acknowledged', 'automation gave up'],
    ],
  )
})

test('a person resolves what is over: no warning, nothing to look at later; a second time changes nothing', () => {
  const draft = open()
  endAlert(draft, { region: 'A', suppressed: null })
  assert.equal(resolveByPerson(draft, 'Dana', 'fixed', rules, NOW), true)
  assert.equal(draft.story.at(-1)?.text, 'Resolved by Dana: fixed')
  assert.deepEqual([draft.incident.check, draft.incident.nextCheckAt], [null, null])
  assert.equal(resolveByPerson(draft, 'Max', '', rules, NOW), false)
  assert.equal(draft.incident.resolvedBy, 'Dana')
})

test('while alerts fire it warns, in the singular too', () => {
  const draft = open()
  resolveByPerson(draft, 'Dana', '', rules, NOW)
  assert.equal(draft.story.at(-1)?.text, 'Resolved by Dana. 1 alert still fires: looking again in 10 min.')
  assert.deepEqual([draft.incident.check, draft.incident.nextCheckAt], ['still_firing', NOW + 10 * MINUTE])
})

test('counts never fall below zero, even when more ends than began', () => {
  const draft = open()
  for (let n = 0; n < 3; n++) {
    endAlert(draft, { region: 'A', suppressed: null })
    endAlert(draft, { region: 'never', suppressed: 'x' })
  }
  const { firing, suppressed, regions } = draft.incident
  assert.deepEqual([firing, suppressed, regions], [0, 0, {}])
})

test('a region that is silent is asked again, ever less often, at most a minute apart', () => {
  const believing = { ...rules, believes: true }
  const draft = open()
  endAlert(draft, { region: 'A', suppressed: null })
  settle(draft, believing, NOW)
  assert.deepEqual([draft.incident.check, draft.incident.nextCheckAt], ['believe', NOW])
  const pauses = Array.from({ length: 7 }, () => {
    checkDue(draft, 'region silent', believing, NOW)
    return ((draft.incident.nextCheckAt ?? 0) - NOW) / 1000
  })
  assert.deepEqual(pauses, [10, 20, 40, 60, 60, 60, 60])
  assert.deepEqual(lines(draft), ['signal_lost'])
  checkDue(draft, 'region answers', believing, NOW)
  assert.equal(draft.incident.state, 'resolved')
})

test('when the quiet of a flapping incident is over, the region is still looked at first', () => {
  const believing = { ...rules, believes: true }
  const draft = open()
  draft.incident.flapping = true
  endAlert(draft, { region: 'A', suppressed: null })
  settle(draft, believing, NOW)
  assert.deepEqual([draft.incident.check, draft.incident.nextCheckAt], ['quiet', NOW + 10 * MINUTE])
  checkDue(draft, 'nothing changed', believing, NOW + 10 * MINUTE)
  assert.deepEqual([draft.incident.state, draft.incident.check], ['open', 'believe'])
})

test('a check that came due after something fired again decides nothing', () => {
  const draft = open()
  draft.incident.check = 'believe'
  checkDue(draft, 'region answers', rules, NOW)
  assert.deepEqual([draft.incident.state, draft.story], ['open', []])
})

test('a class is listed once, an unknown one not at all', () => {
  const draft = open({ alertClass: 'latency' }, { alertClass: 'latency' }, { alertClass: null })
  assert.deepEqual(draft.incident.classes, ['latency'])
})
