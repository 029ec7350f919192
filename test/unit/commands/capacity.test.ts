import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createEdgeRig, edgeRegion, fakeCluster } from './edge-rig.ts'
import { shown } from './rig.ts'

const EMPTY = { bucket: { capacity: 1000, available: 40, ratio: 0.04 } }

test('reset says the present level and the rates, asks, and begins', async (t) => {
  const { say, edge, run } = await createEdgeRig(t)
  edge.regions = [edgeRegion('A', { ...EMPTY, requestRate: 620 })]
  const asked = await say('reset a')
  assert.equal(
    asked.summary,
    'Reset the bucket of A to 100 %: it is at 4 % (40 of 1 000 tokens). Requests in flight are kept. 620/s are offered, 1500/s refilled.',
  )
  const done = await say('approve a1')
  assert.equal(done.summary, 'o1 has begun: Reset the bucket of A.')
  assert.match(shown(done), /Before: it is at 4 % \(40 of 1 000 tokens\)\./)
  assert.deepEqual((await run(1)).input, { region: 'A' })
})

test('reset is refused while the limiter is right, whoever asks; an unknown rate does not block it', async (t) => {
  const { sure, edge, store } = await createEdgeRig(t)
  edge.regions = [edgeRegion('A', { ...EMPTY, requestRate: 2300 })]
  for (const text of ['reset A', 'reset A --override we know better']) {
    const no = await sure(text, { as: 'Cleo' })
    assert.deepEqual(
      [no.code, no.summary],
      [
        'conflict',
        'The bucket of A is not reset: The limiter is right: 2300/s are offered and 1500/s refilled. A full bucket would be empty again at once: use capacity or failover.',
      ],
    )
  }
  assert.deepEqual(await store.workflows({ limit: 9 }), [])
  edge.regions = [edgeRegion('A', { ...EMPTY, requestRate: null })]
  assert.equal((await sure('reset A')).ok, true)
})

test('reset while what lies behind suffers takes a commander and a reason, which everyone hears', async (t) => {
  const { say, sure, edge, store, world } = await createEdgeRig(t)
  edge.regions = [edgeRegion('A', { ...EMPTY, errorRatio: 0.02, p95LatencySeconds: 0.9 })]
  const no = await sure('reset A')
  assert.deepEqual(
    [no.code, no.summary],
    [
      'conflict',
      'The bucket of A is not reset: What lies behind suffers: 2 % of its answers are errors. What lies behind is slow: p95 900 ms. A commander (a role that may run everything) may pass this with --override REASON.',
    ],
  )
  assert.equal((await sure('reset A --override because')).code, 'forbidden')
  assert.equal((await sure('reset A', { override: 'because' })).code, 'forbidden')
  assert.equal((await sure('reset A because', { as: 'Cleo' })).code, 'invalid')
  const asked = await say('reset A --override "the database is back"', { as: 'Cleo' })
  assert.match(asked.summary, /Cleo passed over: What lies behind suffers.* Reason: the database is back$/)
  const done = await say('approve a1', { as: 'Cleo' })
  assert.match(done.summary, /^o1 has begun: Reset the bucket of A\. Cleo passed over: .*Reason: the database is back$/)
  const story = await store.story(1, 9)
  assert.deepEqual([story.at(-1)?.kind, story.at(-1)?.push, story.at(-1)?.actor], ['override', true, 'Cleo'])
  assert.equal((await world.story()).length, 3)
})

test('an edge that says nothing of the region is said in words', async (t) => {
  const { say, edge } = await createEdgeRig(t)
  edge.regions = [edgeRegion('A', { bucket: null, requestRate: null, refillRate: null })]
  assert.equal(
    (await say('reset A')).summary,
    'Reset the bucket of A to 100 %: its level is unknown. Requests in flight are kept. How much is offered and refilled is unknown.',
  )
  edge.down = true
  assert.match(
    (await say('reset Z')).summary,
    /^Reset the bucket of Z to 100 %: its level now is unknown\..* The edge does not answer now/,
  )
})

test('capacity names the tokens before and after, and until when', async (t) => {
  const { say, run } = await createEdgeRig(t)
  const asked = await say('capacity b 1.5 30m', { as: 'Cleo' })
  assert.equal(
    asked.summary,
    'Capacity of B times 1.5 for 30m, until 02:45 UTC, then back by itself: from 1 000 to 1 500 tokens. 200/s are offered, 1500/s refilled.',
  )
  const done = await say('approve a1', { as: 'Cleo' })
  assert.deepEqual((done.data as { result: unknown }).result, {
    operation: 'o1',
    kind: 'capacity',
    regions: ['B'],
    incident: null,
    factor: 1.5,
    until: '2026-05-04T02:45:00.000Z',
    capacity: 1000,
  })
  assert.deepEqual((await run(1)).input, { region: 'B', factor: 1.5, lasts: 1_800_000 })
})

test('capacity and scale refuse what makes no sense, with the usage', async (t) => {
  const { sure } = await createEdgeRig(t)
  for (const [text, why] of [
    ['capacity A 2', /needs duration/],
    ['capacity A two 30m', /from 0\.1 to 10/],
    ['capacity A 0 30m', /from 0\.1 to 10/],
    ['capacity A 11 30m', /from 0\.1 to 10/],
    ['capacity A 2 soon', /is no duration/],
    ['capacity A 2 8d', /from 1s to 7d/],
    ['scale A 0', /from 1 to 1000/],
    ['scale A 4 30m now', /does not take "now"/],
  ] as const) {
    const no = await sure(text, { as: 'Cleo' })
    assert.equal(no.code, 'invalid', text)
    assert.match(no.summary, why)
    assert.match(no.lines[0] ?? '', /^Usage: (?:capacity REGION FACTOR DURATION|scale REGION)/)
  }
  assert.equal((await sure('capacity x2 2x 1h', { as: 'Cleo' })).code, 'not_found')
})

test('scale takes what is configured where it is left out, and goes by the cluster alone as well', async (t) => {
  const { say, sure, run, outside, end } = await createEdgeRig(t)
  const asked = await say('scale A', { as: 'Cleo' })
  assert.equal(asked.summary, 'Scale A to 6 replicas for 30m, until 02:45 UTC, then back by itself: it has 3 now.')
  await sure('scale A 8 1h', { as: 'Cleo' })
  assert.deepEqual((await run(1)).input, { region: 'A', replicas: 8, lasts: 3_600_000 })
  await end(1, { state: 'succeeded', summary: 'done' })
  outside.edge = null
  outside.cluster = fakeCluster()
  assert.equal((await sure('scale A', { as: 'Cleo' })).ok, true)
})
