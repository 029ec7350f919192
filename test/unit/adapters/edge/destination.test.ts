import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createEdgeDestination, type EdgeDestinationOptions } from '../../../../src/adapters/edge/destination.ts'
import type { StoryEvent } from '../../../../src/core/view.ts'
import { incidentView, NOW, stepInput } from '../sample.ts'
import { deadAddress, json, serve } from '../serve.ts'

const TOKEN = 'edge-token-secret'
const SAID: StoryEvent = {
  seq: 2,
  at: NOW,
  kind: 'acknowledged',
  actor: 'Dana',
  text: 'Acknowledged by Dana: looking at A',
  push: false,
}
const acknowledged = (fields: object = {}) =>
  incidentView({ state: 'acknowledged', acknowledgedAt: NOW, acknowledgedBy: 'Dana', story: [SAID], ...fields })

async function edge(t: TestContext, status: number, options: Partial<EdgeDestinationOptions> = {}, headers = {}) {
  const server = await serve(t, (response) => json(response, status, {}, headers))
  return { destination: createEdgeDestination({ url: `${server.url}/edge`, token: TOKEN, ...options }), server }
}

test('an acknowledgement is told once, with alerts, person and note', async (t) => {
  const { destination, server } = await edge(t, 201)
  assert.deepEqual([destination.kind, destination.lane], ['edge', 'edge'])
  const result = await destination.step(stepInput({ incident: acknowledged() }))
  assert.deepEqual(result, { outcome: 'done', state: { told: NOW }, reference: null })
  const [seen] = server.seen
  assert.deepEqual([seen?.method, seen?.url], ['POST', '/edge/admin/v1/acknowledgements'])
  assert.equal(seen?.headers.authorization, `Bearer ${TOKEN}`)
  assert.equal(seen?.headers['idempotency-key'], `prod-12-ack-${NOW}`)
  assert.deepEqual(JSON.parse(seen?.body ?? ''), {
    incident: '12',
    alerts: ['0123456789abcdef', 'fedcba9876543210'],
    by: 'Dana',
    note: 'looking at A',
  })
  await destination.step(stepInput({ incident: acknowledged({ version: 9, state: 'resolved' }), state: { told: NOW } }))
  assert.equal(server.seen.length, 1, 'an edit is no news')
})

test('nothing is told before somebody acknowledges; a second acknowledgement has a key of its own', async (t) => {
  const { destination, server } = await edge(t, 201, { fingerprints: async () => ['a', 'b', 'c'] })
  const quiet = await destination.step(stepInput({ incident: incidentView() }))
  assert.deepEqual([quiet.outcome, server.seen.length], ['done', 0])
  const again = acknowledged({ acknowledgedAt: NOW + 5, acknowledgedBy: 'Max' })
  assert.equal((await destination.step(stepInput({ incident: again, state: { told: NOW } }))).outcome, 'done')
  assert.equal(server.seen[0]?.headers['idempotency-key'], `prod-12-ack-${NOW + 5}`)
  assert.deepEqual(JSON.parse(server.seen[0]?.body ?? ''), {
    incident: '12',
    alerts: ['a', 'b', 'c'],
    by: 'Max',
    note: '',
  })
})

test('an edge that is down is asked again under the same key, also when the incident is over by then', async (t) => {
  const { destination, server } = await edge(t, 503, {}, { 'retry-after': '7' })
  const down = await destination.step(stepInput({ incident: acknowledged() }))
  assert.deepEqual(down, {
    outcome: 'retry',
    reason: 'Edge: answered 503',
    retryAfterMs: 7_000,
    inDoubt: true,
    scope: 'target',
  })
  await destination.step(stepInput({ incident: acknowledged({ state: 'resolved' }), inDoubt: true }))
  assert.deepEqual(
    server.seen.map((seen) => seen.headers['idempotency-key']),
    [`prod-12-ack-${NOW}`, `prod-12-ack-${NOW}`],
  )
  const dead = createEdgeDestination({ url: await deadAddress(), token: TOKEN })
  const refused = await dead.step(stepInput({ incident: acknowledged() }))
  assert.deepEqual([refused.outcome, 'inDoubt' in refused && refused.inDoubt], ['retry', false])
})

test('404: an edge without acknowledgements, noted and not fatal; refused credentials hold the lane', async (t) => {
  const { destination: old } = await edge(t, 404)
  assert.deepEqual(await old.step(stepInput({ incident: acknowledged() })), {
    outcome: 'done',
    state: { told: NOW, note: 'this edge takes no acknowledgements (404)' },
    reference: null,
  })
  for (const status of [401, 403]) {
    const { destination } = await edge(t, status)
    const result = await destination.step(stepInput({ incident: acknowledged() }))
    assert.ok(result.outcome === 'retry' && result.scope === 'lane' && result.retryAfterMs === 60_000)
    assert.ok(!JSON.stringify(result).includes(TOKEN))
  }
  const { destination: strict } = await edge(t, 422)
  assert.equal((await strict.step(stepInput({ incident: acknowledged() }))).outcome, 'dead')
})

test('a key is always a valid header', async (t) => {
  const { destination, server } = await edge(t, 201)
  await destination.step(stepInput({ incident: acknowledged(), installation: 'prod é\n' }))
  assert.equal(server.seen[0]?.headers['idempotency-key'], `prod%20%C3%A9%0A-12-ack-${NOW}`)
})
