import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRig, type RigOptions } from '../../support/flows.ts'

const input = { from: 'A', to: 'B', override: null }
type T = Parameters<typeof createRig>[0]

async function begun(t: T, options: RigOptions = {}, more: { override?: string; incident?: number | null } = {}) {
  const rig = await createRig(t, options)
  const { override = null, ...run } = more
  return { rig, begin: () => rig.begin('failover', { ...input, override }, run) }
}

test('the whole runbook: switched, seen to have moved, validated, watched', async (t) => {
  const { rig, begin } = await begun(t)
  const run = await rig.finish(await begin())
  assert.equal(run.state, 'succeeded')
  assert.equal(run.outcome, 'Clients of A are served by B, which does well. To undo it: /claw rollback o1')
  assert.deepEqual(rig.outside.applied, ['move A to B'])
  assert.equal(rig.outside.region('A').requestRate, 0)
  const data = run.data as { from: string; to: string; expected: unknown; moved: boolean }
  assert.deepEqual([data.from, data.to, data.expected, data.moved], ['A', 'B', { A: 'A', B: 'B' }, true])
  assert.ok((run.endedAt ?? 0) - run.startedAt >= 30_000, 'watched over the soak')
  assert.ok(rig.outside.calls.filter((call) => call === 'load').length > 3, 'the load test is repeated')
  assert.deepEqual(rig.ended, ['failover succeeded'])
})

test('nothing waits between the command and the switch', async (t) => {
  const { rig, begin } = await begun(t)
  const id = await begin()
  await rig.round()
  assert.ok(rig.outside.applied.includes('move A to B'), 'in the very first round, no time having passed')
  assert.equal((await rig.run(id)).state, 'running')
})

test('a refusal changes nothing and names its reason; a commander passes it', async (t) => {
  const refused = await begun(t)
  refused.rig.outside.serving.set('B', false)
  const run = await refused.rig.finish(await refused.begin())
  assert.equal(run.state, 'failed')
  assert.match(run.outcome ?? '', /B is unhealthy: \/health answers 503/)
  assert.deepEqual(refused.rig.outside.applied, [])

  const passed = await begun(t, {}, { override: 'A burns' })
  passed.rig.outside.set('B', { refillRate: 150 })
  assert.equal((await passed.rig.finish(await passed.begin())).state, 'succeeded')
  assert.match((await passed.rig.story()).join('\n'), /Passed over \(A burns\): B refills 150\/s/)
})

test('what cannot work is refused even to a commander', async (t) => {
  const rig = await createRig(t)
  const id = await rig.begin('failover', { from: 'A', to: 'Z', override: 'really' })
  assert.match((await rig.finish(id)).outcome ?? '', /The edge has no region Z/)
})

test('somebody else changed the traffic meanwhile: nothing is overwritten, nothing brought back', async (t) => {
  const { rig, begin } = await begun(t)
  const id = await begin()
  rig.outside.fail('move', 'conflict')
  const run = await rig.finish(id)
  assert.equal(run.state, 'failed')
  assert.deepEqual(rig.outside.applied, [])
  assert.ok(!rig.outside.calls.includes('restore'))
})

for (const [name, spoil, why] of [
  [
    'its bucket',
    (rig) => rig.outside.set('B', { bucket: { capacity: 1000, available: 500, ratio: 0.5 } }),
    /bucket of B is at 50 %, not above 80 %/,
  ],
  ['its health', (rig) => rig.outside.serving.set('B', false), /\/health of B: answers 503/],
  [
    'its load test',
    (rig) => {
      rig.outside.loadPasses = false
    },
    /load test of B failed/,
  ],
] as [string, (rig: Awaited<ReturnType<typeof createRig>>) => void, RegExp][]) {
  test(`validation fails for ${name}: back by itself, with a post-mortem`, async (t) => {
    const { rig, begin } = await begun(t)
    const id = await begin()
    await rig.reach(id, 'moved')
    spoil(rig)
    const run = await rig.finish(id)
    assert.equal(run.state, 'failed')
    assert.match(run.outcome ?? '', /^Traffic is back in A\. The validation failed: /)
    assert.match(run.outcome ?? '', why)
    assert.deepEqual(rig.outside.applied, ['move A to B', 'restore A from B'])
    assert.equal(rig.outside.region('A').requestRate, 100)
    const data = run.data as { moved: boolean; postmortem: { why: string; broughtBack: boolean } }
    assert.equal(data.moved, false)
    assert.equal(data.postmortem.broughtBack, true)
    assert.match(data.postmortem.why, why)
    assert.match((await rig.story()).join('\n'), /Post-mortem .* due within 48 h/)
  })
}

test('a failure during the soak brings the traffic back too', async (t) => {
  const { rig, begin } = await begun(t)
  const id = await begin()
  await rig.reach(id, 'soak 3')
  rig.outside.serving.set('B', false)
  const run = await rig.finish(id)
  assert.match(run.outcome ?? '', /^Traffic is back in A\. B did not hold: \/health of B/)
})

test('clients that do not move in time: back again', async (t) => {
  const { rig, begin } = await begun(t)
  rig.outside.follows = 3_600_000
  const run = await rig.finish(await begin())
  assert.match(run.outcome ?? '', /Traffic is back in A\. The clients of A were not seen to leave within 60 s/)
})

test('the switch fails at the edge: back again', async (t) => {
  const { rig, begin } = await begun(t)
  rig.outside.broken.add('move')
  const run = await rig.finish(await begin())
  assert.match(run.outcome ?? '', /Traffic is back in A\. The edge could not do it: a node did not answer/)
})

test('no answer to the switch: it may have happened, so it is taken back', async (t) => {
  const { rig, begin } = await begun(t)
  rig.outside.fail('move', 'unavailable', 6, 'after')
  const run = await rig.finish(await begin())
  assert.match(run.outcome ?? '', /^Traffic is back in A/)
  assert.deepEqual(rig.outside.applied, ['move A to B', 'restore A from B'])
})

test('an answer lost once is asked for again under the same key: switched once', async (t) => {
  const { rig, begin } = await begun(t)
  rig.outside.fail('move', 'timeout', 2, 'after')
  assert.equal((await rig.finish(await begin())).state, 'succeeded')
  assert.deepEqual(rig.outside.applied, ['move A to B'])
})

test('the original does not serve: traffic stays, and somebody is woken', async (t) => {
  const { rig, begin } = await begun(t)
  rig.outside.serving.set('A', false)
  const id = await begin()
  await rig.reach(id, 'moved')
  rig.outside.loadPasses = false
  const run = await rig.finish(id)
  assert.equal(run.state, 'failed')
  assert.match(run.outcome ?? '', /^Traffic stays in B, since A does not serve: answers 503/)
  assert.deepEqual(rig.outside.applied, ['move A to B'])
  assert.equal((run.data as { moved: boolean }).moved, true)
  assert.match((await rig.story()).join('\n'), /operation_alarm: o1: .*Somebody must decide now/)
  const [incident] = await rig.store.incidents([1])
  assert.equal(incident?.pages.length, 1, 'a page of its own')
})

test('the way back fails as well: somebody is woken', async (t) => {
  const { rig, begin } = await begun(t, {}, { incident: null })
  const id = await begin()
  await rig.reach(id, 'moved')
  rig.outside.loadPasses = false
  rig.outside.fail('restore', 'conflict')
  const run = await rig.finish(id)
  assert.match(run.outcome ?? '', /^Traffic may still be in B: taking it back failed/)
  assert.equal(rig.raised.length, 1, 'no incident of its own, so one is raised')
})

test('cancelled on the way: taken back, once, and not called a failure', async (t) => {
  const { rig, begin } = await begun(t)
  const id = await begin()
  await rig.reach(id, 'moved')
  assert.equal(await rig.cancel(id), true)
  const run = await rig.finish(id)
  assert.equal(run.state, 'cancelled')
  assert.equal(run.outcome, 'Traffic is back in A. Stopped by Robin.')
  assert.deepEqual(rig.outside.applied, ['move A to B', 'restore A from B'])
  assert.doesNotMatch((await rig.story()).join('\n'), /Post-mortem/)
})

test('cancelled before the switch: nothing was done, nothing is undone', async (t) => {
  const { rig, begin } = await begun(t)
  const id = await begin()
  await rig.cancel(id)
  const run = await rig.finish(id)
  assert.equal(run.state, 'cancelled')
  assert.deepEqual(rig.outside.calls, [])
})

test('cancelled while the answer to the switch is missing: asked for to its end, then taken back', async (t) => {
  const { rig, begin } = await begun(t)
  const id = await begin()
  rig.outside.fail('move', 'timeout', 1, 'after')
  await rig.round()
  assert.deepEqual(rig.outside.applied, ['move A to B'])
  await rig.cancel(id)
  const run = await rig.finish(id)
  assert.equal(run.state, 'cancelled')
  assert.deepEqual(rig.outside.applied, ['move A to B', 'restore A from B'])
})

test('nothing to see the traffic by: waits as long as clients may take, then goes on', async (t) => {
  const { rig, begin } = await begun(t, {
    services: (world) => world.services({ traffic: { kind: 'cloudflare', settlesWithin: 300_000 } }),
  })
  for (const name of ['A', 'B']) rig.outside.set(name, { requestRate: null, receiving: true })
  const run = await rig.finish(await begin())
  assert.equal(run.state, 'succeeded')
  assert.ok((run.endedAt ?? 0) - run.startedAt >= 330_000)
  assert.match((await rig.story()).join('\n'), /cannot say where the traffic is/)
})

test('the level comes from Prometheus where that is configured, else from the edge', async (t) => {
  const { rig, begin } = await begun(t, { services: (world) => world.services({ query: true }) })
  rig.outside.level = 0.97
  rig.outside.set('B', { bucket: null })
  const id = await begin()
  await rig.reach(id, 'moved')
  rig.outside.level = 0.4
  assert.match((await rig.finish(id)).outcome ?? '', /bucket of B is at 40 %/)
})

test('Prometheus does not answer and the edge says no level: unknown is a warning, no failure', async (t) => {
  const { rig, begin } = await begun(t, { services: (world) => world.services({ query: true }) })
  rig.outside.set('B', { bucket: null })
  rig.outside.fail('query', 'unavailable', 100)
  assert.equal((await rig.finish(await begin())).state, 'succeeded')
  assert.match((await rig.story()).join('\n'), /Unknown: bucket level of B/)
})

test('rollback: clients return, which is seen and checked', async (t) => {
  const { rig, begin } = await begun(t)
  const id = await begin()
  await rig.finish(id)
  const back = await rig.begin('rollback', { of: id, from: 'A', to: 'B', expected: { A: 'A', B: 'B' } })
  const run = await rig.finish(back)
  assert.equal(run.outcome, 'o1 is rolled back: clients are served by A again.')
  assert.deepEqual(rig.outside.applied, ['move A to B', 'restore A from B'])
  assert.equal(rig.outside.region('A').requestRate, 100)
})

test('rollback into a region that does not do well: done, told, and somebody is woken', async (t) => {
  const rig = await createRig(t)
  rig.outside.serving.set('A', false)
  const run = await rig.finish(await rig.begin('rollback', { of: 9, from: 'A', to: 'B', expected: { A: 'A', B: 'B' } }))
  assert.equal(run.state, 'failed')
  assert.match(run.outcome ?? '', /Clients are back in A, which does not do well: \/health of A: answers 503/)
  assert.match((await rig.story()).join('\n'), /operation_alarm/)
})

test('rollback whose clients do not return: somebody is woken', async (t) => {
  const rig = await createRig(t)
  rig.outside.set('A', { requestRate: 0, receiving: false })
  rig.outside.follows = 3_600_000
  const run = await rig.finish(await rig.begin('rollback', { of: 9, from: 'A', to: 'B', expected: { A: 'A', B: 'B' } }))
  assert.match(run.outcome ?? '', /not rolled back for sure: The clients of A were not seen to return/)
  assert.match((await rig.story()).join('\n'), /operation_alarm/)
})
