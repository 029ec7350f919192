import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Router } from 'express'
import { createPagerDutyDestination } from '../../../../src/adapters/pagerduty/pagerduty.ts'
import { createPagerDutyRest } from '../../../../src/adapters/pagerduty/rest.ts'
import type { Json } from '../../../../src/core/delivery.ts'
import { ClawError } from '../../../../src/core/errors.ts'
import type { StoryEvent } from '../../../../src/core/view.ts'
import { listen } from '../../../../src/sandbox/listen.ts'
import { createFakePagerDuty } from '../../../../src/sandbox/pagerduty.ts'
import { incidentView, NOW, page, stepInput } from '../sample.ts'
import { deadAddress, json, serve } from '../serve.ts'

const TOKEN = 'u+SECRETSECRETSECRET'
const KEY = 'claw/prod/12'
const payload = { summary: 'P1', source: 'A', severity: 'critical' as const }

async function account(t: TestContext, from: string | null = 'claw@example.com') {
  const fake = createFakePagerDuty({ clock: () => NOW, token: TOKEN })
  const server = await listen(Router().use('/pd', fake.router))
  t.after(() => server.close())
  const url = `${server.url}/pd`
  fake.state.process({ routing_key: 'sandbox', event_action: 'trigger', dedup_key: KEY, payload })
  const incident = fake.state.byKey(KEY)
  assert.ok(incident)
  return { fake, url, incident, rest: createPagerDutyRest({ apiToken: TOKEN, apiUrl: url, from }) }
}

const code = (expected: string, says: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ClawError)
  assert.equal(error.code, expected)
  assert.match(error.message, says)
  assert.ok(!error.message.includes(TOKEN), error.message)
  return true
}

test('incidents of a key, newest first, with who changed them last', async (t) => {
  const { fake, incident, rest } = await account(t)
  await fake.state.resolve(KEY, 'Lee')
  fake.state.process({ routing_key: 'sandbox', event_action: 'trigger', dedup_key: KEY, payload })
  await fake.state.acknowledge(KEY, 'Dana')
  const found = await rest.incidentsByKey(KEY)
  assert.deepEqual(
    found.map(({ status, changedBy, key, createdAt }) => [status, changedBy?.name, changedBy?.person, key, createdAt]),
    [
      ['acknowledged', 'Dana', true, KEY, NOW],
      ['resolved', 'Lee', true, KEY, NOW],
    ],
  )
  assert.deepEqual(await rest.incidentsByKey('claw/prod/13'), [])
  assert.equal((await rest.incident(incident.id)).key, KEY)
  await assert.rejects(rest.incident('nope'), code('not_found', /404/))
})

test('writes carry the person, and Claw where PagerDuty does not know that person', async (t) => {
  const { fake, incident, rest } = await account(t)
  await rest.note(incident.id, 'looking', 'dana@example.com')
  await rest.note(incident.id, 'looking too', 'nobody@example.com')
  assert.deepEqual(
    incident.notes.map(({ user, content }) => [user.name, content]),
    [
      ['Dana', 'looking'],
      ['Claw', 'looking too'],
    ],
  )
  await rest.acknowledge(incident.id, 'lee@example.com')
  await rest.acknowledge(incident.id)
  assert.equal(incident.acknowledgedBy[0]?.name, 'Lee')
  await rest.escalate(incident.id, 2)
  assert.deepEqual([incident.escalationLevel, incident.status], [2, 'triggered'])
  await assert.rejects(rest.escalate(incident.id, 9), code('conflict', /cannot escalate/))
  await rest.resolve(incident.id)
  await rest.resolve(incident.id)
  await rest.acknowledge(incident.id)
  assert.equal(incident.status, 'resolved')
  assert.equal(await rest.self(), fake.state.user('Claw').id)
})

test('without pagerduty.from it reads, and says what a write needs', async (t) => {
  const { incident, rest } = await account(t, null)
  assert.equal((await rest.incidentsByKey(KEY)).length, 1)
  assert.equal(await rest.self(), null)
  await assert.rejects(rest.note(incident.id, 'x'), code('invalid', /pagerduty\.from/))
})

test('on-call people by level, of some policies or all', async (t) => {
  const { rest } = await account(t)
  const all = [
    { level: 1, name: 'Dana', policy: 'Default', until: null },
    { level: 2, name: 'Lee', policy: 'Default', until: null },
  ]
  assert.deepEqual([await rest.onCall(), await rest.onCall(['PPOLICY']), await rest.onCall(['PX'])], [all, all, []])
})

test('every failure is a clear error without the token', async (t) => {
  const answers: [number, unknown, string, RegExp][] = [
    [401, { error: { code: 2006, message: `Token ${TOKEN} is bad` } }, 'unavailable', /api_token/],
    [429, { error: { code: 2020, message: 'Rate Limit Exceeded' } }, 'unavailable', /too many/],
    [400, { error: { code: 2001, message: 'Invalid', errors: ['Requester'] } }, 'conflict', /Invalid; Requester/],
    [500, 'oops', 'unavailable', /500/],
    [200, { hello: 1 }, 'unavailable', /api_url/],
    [302, {}, 'unavailable', /302/],
  ]
  for (const [status, body, expected, says] of answers) {
    const server = await serve(t, (response) => json(response, status, body))
    const rest = createPagerDutyRest({ apiToken: TOKEN, apiUrl: server.url, from: 'claw@example.com' })
    await assert.rejects(rest.incidentsByKey(KEY), code(expected, says))
    assert.equal(server.seen[0]?.headers.authorization, `Token token=${TOKEN}`)
    assert.equal(server.seen.length, 1)
  }
  const hanging = await serve(t, () => {})
  const slow = createPagerDutyRest({ apiToken: TOKEN, apiUrl: hanging.url, from: null, timeoutMs: 50 })
  await assert.rejects(slow.onCall(), code('unavailable', /no answer within 50 ms/))
  const dead = createPagerDutyRest({ apiToken: TOKEN, apiUrl: await deadAddress(), from: null })
  await assert.rejects(dead.onCall(), code('unavailable', /refused/))
  assert.throws(() => createPagerDutyRest({ apiToken: TOKEN, apiUrl: 'ftp://x', from: null }), { code: 'invalid' })
})

const story = (more: Partial<StoryEvent>): StoryEvent[] => [
  {
    seq: 4,
    at: NOW - 1_000,
    kind: 'acknowledged',
    actor: 'Dana',
    text: 'Acknowledged by Dana: on it',
    push: false,
    ...more,
  },
]

test('an acknowledgement from chat is noted in PagerDuty in the name of the person, once, beside the lane', async (t) => {
  const { fake, url, incident, rest } = await account(t)
  const made = createPagerDutyDestination({
    routingKeys: new Map([['critical', 'sandbox']]),
    eventsUrl: url,
    renderer: { render: (name) => name },
    rest,
    emailOf: (person) => (person === 'Dana' ? 'dana@example.com' : null),
  })
  const noted = fake.state.waitFor(() => incident.notes[0])
  let state: Json = { sent: { '': { generation: 1, revision: 1, state: 'triggered' } } }
  const shown = incidentView({ pages: [page({ state: 'acknowledged' })], story: story({}) })
  for (let step = 0; step < 3; step++) {
    const result = await made.step(stepInput({ incident: shown, state }))
    assert.equal(result.outcome, 'done')
    if (result.outcome === 'done') state = result.state
  }
  assert.deepEqual([(await noted).user.name, (await noted).content], ['Dana', 'Claw: Acknowledged by Dana: on it'])
  // what a person did in PagerDuty itself, or nobody, needs no note
  for (const more of [{ text: 'Acknowledged by Dana in PagerDuty.' }, { actor: null }, { actor: 'Kim (PagerDuty)' }]) {
    const other = incidentView({ pages: shown.pages, story: story(more) })
    await made.step(
      stepInput({ incident: other, state: { sent: { '': { generation: 1, revision: 1, state: 'triggered' } } } }),
    )
  }
  await made.close()
  assert.equal(incident.notes.length, 1)
  assert.equal((state as { noted?: number }).noted, 4)
})

test('a REST API that fails or hangs neither delays nor fails a page', async (t) => {
  const { url } = await account(t)
  const hanging = await serve(t, () => {})
  const rest = createPagerDutyRest({ apiToken: TOKEN, apiUrl: hanging.url, from: 'claw@example.com', timeoutMs: 300 })
  const made = createPagerDutyDestination({
    routingKeys: new Map([['critical', 'sandbox']]),
    eventsUrl: url,
    renderer: { render: (name) => name },
    rest,
  })
  const shown = incidentView({ pages: [page({ state: 'acknowledged' })], story: story({}) })
  const state = { sent: { '': { generation: 1, revision: 1, state: 'triggered' } } }
  const result = await made.step(stepInput({ incident: shown, state }))
  assert.equal(result.outcome, 'done')
  await made.close()
  assert.ok(hanging.seen.length <= 1)
})
