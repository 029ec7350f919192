import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parsePagerDutyEvent, verifyPagerDuty } from '../../../handlers/webhooks/pagerduty.ts'
import { parseDedupKey } from '../../../src/core/pagerduty.ts'
import { signPagerDuty } from '../../../src/sandbox/pagerduty.ts'

const parse = (value: unknown) => parsePagerDutyEvent(Buffer.from(JSON.stringify(value)))

/** Shaped as in PagerDuty's documentation of v3 webhooks. */
const acknowledged = {
  event: {
    id: '01C5V7K9Q2M8',
    event_type: 'incident.acknowledged',
    resource_type: 'incident',
    occurred_at: '2026-05-04T02:16:22.169Z',
    agent: { html_url: 'https://x/users/PLH1HKV', id: 'PLH1HKV', summary: 'Kim', type: 'user_reference' },
    client: { name: 'PagerDuty' },
    data: {
      id: 'PGR0VU2',
      type: 'incident',
      number: 2,
      status: 'acknowledged',
      incident_key: 'claw/prod/12',
      created_at: '2026-05-04T02:15:27Z',
      title: 'P1',
      assignees: [{ id: 'PTUXL6G', summary: 'Lee', type: 'user_reference' }],
      escalation_policy: { id: 'PUS0KTE', summary: 'Default', type: 'escalation_policy_reference' },
      priority: { id: 'PSO75BM', summary: 'P1', type: 'priority_reference' },
      resolve_reason: null,
    },
  },
}

test('an incident event in normal form', () => {
  assert.deepEqual(parse(acknowledged), {
    id: '01C5V7K9Q2M8',
    type: 'incident.acknowledged',
    incidentKey: 'claw/prod/12',
    pdIncidentId: 'PGR0VU2',
    status: 'acknowledged',
    agent: { id: 'PLH1HKV', name: 'Kim', person: true },
    at: Date.UTC(2026, 4, 4, 2, 16, 22, 169),
    createdAt: Date.UTC(2026, 4, 4, 2, 15, 27),
    note: null,
    priority: 'P1',
    assignees: ['Lee'],
    policyId: 'PUS0KTE',
    merged: false,
  })
})

test('a note tells its text and the incident that it is about, a ping tells nothing', () => {
  const data = {
    id: 'PWL7QXS',
    content: 'rolled back',
    trimmed: false,
    type: 'incident_note',
    incident: { id: 'PGR0VU2' },
  }
  const note = parse({ event: { ...acknowledged.event, event_type: 'incident.annotated', data } })
  assert.deepEqual([note.pdIncidentId, note.incidentKey, note.note], ['PGR0VU2', null, 'rolled back'])
  const ping = parse({
    event: {
      id: '1',
      event_type: 'pagey.ping',
      occurred_at: '2026-05-04T02:16:22Z',
      agent: null,
      data: { message: 'Hello', type: 'ping' },
    },
  })
  assert.deepEqual([ping.agent, ping.pdIncidentId, ping.incidentKey, ping.status], [null, null, null, null])
})

test('unknown types and shapes are tolerated, what is no event is not', () => {
  const odd = parse({
    event: {
      id: '1',
      event_type: 'incident.danced',
      occurred_at: 'never',
      data: { id: 7, status: 'happy', assignees: 'x' },
    },
  })
  assert.deepEqual(
    [odd.type, odd.at, odd.status, odd.assignees, odd.pdIncidentId],
    ['incident.danced', 0, null, [], null],
  )
  for (const body of ['', '[]', '{}', '{"event":{}}', '{"event":{"id":"","event_type":"x","occurred_at":""}}', 'x']) {
    assert.throws(() => parsePagerDutyEvent(Buffer.from(body)), { code: 'invalid' }, body)
  }
  assert.throws(() => parsePagerDutyEvent(Buffer.from([0x22, 0xff, 0x22])), { code: 'invalid' })
})

test('any of several signatures with any of several secrets', () => {
  const text = JSON.stringify(acknowledged)
  const body = Buffer.from(text)
  const good = signPagerDuty(text, 'new')
  const cases: [string | undefined, string[], boolean][] = [
    [good, ['new'], true],
    [good, ['old', 'new'], true],
    [`${signPagerDuty(text, 'old')}, ${good}`, ['new'], true],
    [good.toUpperCase().replace('V1', 'v1'), ['new'], true],
    [good, ['old'], false],
    [good, [], false],
    [signPagerDuty(text, ''), [''], false],
    [undefined, ['new'], false],
    ['', ['new'], false],
    [good.replace('v1=', 'v2='), ['new'], false],
    [good.slice(0, -1), ['new'], false],
    [`${good}0`, ['new'], false],
    ['v1=', ['new'], false],
  ]
  for (const [header, secrets, expected] of cases) {
    assert.equal(verifyPagerDuty(body, header, secrets), expected, `${header} ${secrets}`)
  }
  assert.equal(verifyPagerDuty(Buffer.from(`${text}\n`), good, ['new']), false)
})

test('dedup keys of this installation only', () => {
  assert.deepEqual(parseDedupKey('prod', 'claw/prod/12'), { incident: 12, page: '' })
  assert.deepEqual(parseDedupKey('prod', 'claw/prod/12/3'), { incident: 12, page: '3' })
  for (const key of [
    'claw/prod2/12',
    'claw/pro/d/12',
    'claw/prod/012',
    'claw/prod/12/',
    'claw/prod/-1',
    'x/claw/prod/1',
    '',
  ]) {
    assert.equal(parseDedupKey('prod', key), null, key)
  }
})
