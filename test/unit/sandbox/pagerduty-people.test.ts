import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createFakePagerDuty } from '../../../src/sandbox/pagerduty.ts'

const KEY = 'claw/test/1'

function paged() {
  let now = 1_700_000_000_000
  const { state } = createFakePagerDuty({ clock: () => now })
  const payload = { summary: 'P1', source: 'A', severity: 'critical' as const }
  state.process({ routing_key: 'sandbox', event_action: 'trigger', dedup_key: KEY, payload })
  const incident = state.byKey(KEY)
  assert.ok(incident)
  const pass = (ms: number) => {
    now += ms
  }
  return { state, incident, pass, now: () => now }
}

test('an acknowledgement ends by time-out, reassigning or escalating: it rings again, the same incident', async () => {
  const { state, incident, pass, now } = paged()
  for (const end of [
    () => state.unacknowledge(KEY),
    () => state.reassign(KEY, 'Lee'),
    () => state.escalate(KEY, 'Dana', 1),
  ]) {
    await state.acknowledge(KEY, 'Dana')
    assert.deepEqual([incident.status, incident.acknowledgedBy.length], ['acknowledged', 1])
    pass(60_000)
    await end()
    assert.deepEqual([incident.status, incident.acknowledgedBy, incident.changedAt], ['triggered', [], now()])
  }
  assert.equal(state.incidents.length, 1)
})

test('escalating follows the levels and ends with the last', async () => {
  const { state, incident } = paged()
  assert.equal(incident.assignees[0]?.name, 'Dana')
  await state.escalate(KEY)
  assert.deepEqual([incident.escalationLevel, incident.assignees[0]?.name], [2, 'Lee'])
  await assert.rejects(state.escalate(KEY), { code: 'conflict' })
})

test('priority and notes leave the status; nothing but notes can be added to what is resolved', async () => {
  const { state, incident } = paged()
  await state.prioritise(KEY, 'P2')
  await state.resolve(KEY)
  await state.annotate(KEY, 'afterwards')
  assert.deepEqual([incident.priority, incident.status, incident.notes[0]?.content], ['P2', 'resolved', 'afterwards'])
  await assert.rejects(state.prioritise(KEY, 'P1'), { code: 'not_found' })
  await assert.rejects(state.unacknowledge(KEY), { code: 'not_found' })
})
