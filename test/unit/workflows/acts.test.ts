import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stillDiverged } from '../../../handlers/workflows/repair.ts'
import type { Inputs } from '../../../src/core/acts.ts'
import { createRig } from '../../support/flows.ts'
import type { Outside } from '../../support/outside.ts'

const onCluster = { services: (world: Outside) => world.services({ cluster: true }) }
const nothing = { services: (world: Outside) => world.services({ edge: false, traffic: false }) }
const all: Inputs['reconcile'] = { regions: [], policy: 'highest-capacity' }
const conflict = (key: string, since: number | null) => ({ key, values: { A: 12, B: 7 }, since })

test('reconcile: what diverged is noted, snapshot first, then nothing diverges', async (t) => {
  const rig = await createRig(t)
  rig.outside.conflicts = ['a', 'b', 'c', 'd'].map((key) => conflict(key, rig.now() - 1000))
  const run = await rig.finish(await rig.begin('reconcile', all))
  assert.equal(run.outcome, 'Reconciled A and B: 4 keys had diverged, none does now.')
  assert.deepEqual(rig.outside.applied, ['snapshot A,B', 'reconcile A,B highest-capacity'])
  assert.match((await rig.story()).join('\n'), /4 keys diverged \(a, b, c, …\)/)
})

test('reconcile on an edge without snapshots goes on', async (t) => {
  const rig = await createRig(t)
  rig.outside.snapshots = false
  assert.equal((await rig.finish(await rig.begin('reconcile', all))).state, 'succeeded')
  assert.match((await rig.story()).join('\n'), /takes no snapshots; going on without one/)
})

test('reconcile on an edge that lists no conflicts goes on', async (t) => {
  const rig = await createRig(t)
  rig.outside.fail('conflicts', 'not_found', 99)
  assert.equal((await rig.finish(await rig.begin('reconcile', all))).state, 'succeeded')
})

test('reconcile: a key that still diverges is a data inconsistency', async (t) => {
  const rig = await createRig(t)
  rig.outside.conflicts = [conflict('a', rig.now() - 1000)]
  rig.outside.left = [...rig.outside.conflicts]
  const run = await rig.finish(await rig.begin('reconcile', all))
  assert.equal(run.state, 'failed')
  assert.match(run.outcome ?? '', /1 key still diverges in A and B after the reconcile \(a\): the data is inconsistent/)
  assert.equal((run.data as { inconsistent: boolean }).inconsistent, true)
})

test('reconcile: keys that diverge anew point to a bad version', async (t) => {
  const rig = await createRig(t)
  const id = await rig.begin('reconcile', all)
  await rig.reach(id, 'watch')
  rig.outside.conflicts = [conflict('n', rig.now() + 2000)]
  const run = await rig.finish(id)
  assert.equal(run.state, 'succeeded')
  assert.match(run.outcome ?? '', /1 key diverged again \(n\): a bad version is the likelier cause\. Next: revert it/)
  assert.equal((run.data as { divergedAgain: boolean }).divergedAgain, true)
})

test('reconcile that the edge cannot do fails with its words', async (t) => {
  const rig = await createRig(t)
  rig.outside.broken.add('reconcile')
  assert.match((await rig.finish(await rig.begin('reconcile', all))).outcome ?? '', /a node did not answer/)
})

test('which keys still diverge: by since, else by name, and clocks may differ', () => {
  const before = [
    { key: 'old', since: 100 },
    { key: 'quiet', since: null },
    { key: 'skewed', since: 900 },
  ]
  const now = [
    conflict('old', 100),
    conflict('quiet', null),
    conflict('new', null),
    conflict('later', 600),
    conflict('early', 400),
    conflict('skewed', 900),
  ]
  assert.deepEqual(stillDiverged(now, before, 500), ['old', 'quiet', 'early', 'skewed'])
})

test('reconcile: what diverged anew before we heard of the end is no inconsistency', async (t) => {
  const rig = await createRig(t)
  rig.outside.conflicts = [conflict('a', rig.now() - 1000)]
  // The operation takes 1.5 s and is looked at every second.
  rig.outside.left = [conflict('a', rig.now() + 1_700)]
  const run = await rig.finish(await rig.begin('reconcile', all))
  assert.equal(run.state, 'succeeded', run.outcome ?? '')
  assert.match(run.outcome ?? '', /diverged again/)
})

test('reset: never where more is offered than refilled', async (t) => {
  const rig = await createRig(t)
  rig.outside.set('A', { requestRate: 1200 })
  const run = await rig.finish(await rig.begin('reset', { region: 'A' }))
  assert.equal(run.state, 'failed')
  assert.match(run.outcome ?? '', /offered 1200\/s and refills 1000\/s: the limiter is right/)
  assert.deepEqual(rig.outside.applied, [])
})

test('reset: an unknown rate does not hinder it; an unknown region does', async (t) => {
  const rig = await createRig(t)
  rig.outside.set('A', { requestRate: null, bucket: { capacity: 1000, available: 10, ratio: 0.01 } })
  assert.equal(
    (await rig.finish(await rig.begin('reset', { region: 'A' }))).outcome,
    'The bucket of A was reset: it is at 100 %, was 1 %.',
  )
  assert.match((await rig.finish(await rig.begin('reset', { region: 'Z' }))).outcome ?? '', /The edge has no region Z/)
})

test('reset that does not fill the bucket says so', async (t) => {
  const rig = await createRig(t)
  rig.outside.refills = 0.12
  const run = await rig.finish(await rig.begin('reset', { region: 'A' }))
  assert.equal(run.state, 'failed')
  assert.match(run.outcome ?? '', /was reset, but is at 12 %, not above 80 %/)
})

test('two resets never run at once, on whatever regions', async (t) => {
  const rig = await createRig(t)
  await rig.begin('reset', { region: 'A' })
  await assert.rejects(rig.begin('reset', { region: 'B' }), /o1 is in the way/)
})

test('a failover is alone on its regions; what only adds capacity hinders nobody', async (t) => {
  const rig = await createRig(t)
  await rig.begin('scale', { region: 'B', replicas: 6, lasts: 600_000 })
  await rig.begin('failover', { from: 'A', to: 'B', override: null })
  await rig.begin('canary abort', {})
  await assert.rejects(rig.begin('reset', { region: 'A' }), /o2 is in the way/)
  await assert.rejects(rig.begin('failover', { from: 'B', to: 'A', override: null }), /o2 is in the way/)
  await assert.rejects(rig.begin('scale', { region: 'B', replicas: 9, lasts: 1 }), /o1 is in the way/)
  await rig.begin('reset', { region: 'C' })
})

test('capacity ends by itself', async (t) => {
  const rig = await createRig(t)
  const run = await rig.finish(await rig.begin('capacity', { region: 'A', factor: 2, lasts: 600_000 }))
  assert.match(run.outcome ?? '', /2 times its own until 02:25 UTC; the edge ends it by itself/)
  assert.deepEqual(rig.outside.applied, ['capacity A x2 600s'])
})

const scale: Inputs['scale'] = { region: 'B', replicas: 6, lasts: 600_000 }

test('scale on the cluster scales in again at its end', async (t) => {
  const rig = await createRig(t, onCluster)
  const run = await rig.finish(await rig.begin('scale', scale))
  assert.equal(run.outcome, 'B was scaled in again, to 3 replicas.')
  assert.ok((run.endedAt ?? 0) - run.startedAt >= 600_000)
})

test('scale: cancelled, it scales in at once', async (t) => {
  const rig = await createRig(t, onCluster)
  const id = await rig.begin('scale', scale)
  await rig.reach(id, 'until it scales in')
  const at = rig.now()
  await rig.cancel(id)
  await rig.round()
  const run = await rig.run(id)
  assert.deepEqual([run.state, run.outcome], ['cancelled', 'Stopped by Robin. B was scaled in again, to 3 replicas.'])
  assert.equal(rig.now(), at)
  assert.equal(rig.outside.replicas, 3)
})

test('scale: what somebody else changed meanwhile is left alone', async (t) => {
  const rig = await createRig(t, onCluster)
  const id = await rig.begin('scale', scale)
  await rig.reach(id, 'until it scales in')
  rig.outside.heals = true
  assert.match((await rig.finish(id)).outcome ?? '', /was not scaled in: somebody has changed it since/)
  assert.equal(rig.outside.replicas, 6)
})

test('scale: it cannot be scaled in: somebody is woken', async (t) => {
  const rig = await createRig(t, onCluster)
  const id = await rig.begin('scale', scale)
  await rig.reach(id, 'until it scales in')
  rig.outside.fail('scale', 'forbidden')
  const run = await rig.finish(id)
  assert.equal(run.state, 'failed')
  assert.match((await rig.story()).join('\n'), /operation_alarm: o1: B could not be scaled in to 3 replicas/)
})

test('scale through the edge where the cluster has no such region; the edge ends it', async (t) => {
  const rig = await createRig(t, onCluster)
  await rig.finish(await rig.begin('scale', { ...scale, region: 'A' }))
  assert.deepEqual(rig.outside.applied, ['scale A 6 600s'])
})

test('revert by the edge: each region, then reconcile, capacity, watch', async (t) => {
  const rig = await createRig(t)
  const run = await rig.finish(await rig.begin('revert', all))
  assert.equal(run.outcome, 'The version in A and B was reverted and reconciled; nothing diverges again.')
  assert.deepEqual(rig.outside.applied.slice(0, 3), ['revert A', 'revert B', 'snapshot A,B'])
  assert.equal(rig.outside.region('A').version, '1.7.0')
})

test('revert: factor 1 leaves the capacity alone; a capacity that fails does not spoil it', async (t) => {
  const rig = await createRig(t)
  rig.outside.settings.revert.capacityFactor = 1
  await rig.finish(await rig.begin('revert', all))
  assert.ok(!rig.outside.applied.some((one) => one.startsWith('capacity')))
  rig.outside.settings.revert.capacityFactor = 2
  rig.outside.broken.add('capacity')
  assert.equal((await rig.finish(await rig.begin('revert', all))).state, 'succeeded')
})

test('revert: diverging again means that the version is not the cause', async (t) => {
  const rig = await createRig(t)
  const id = await rig.begin('revert', all)
  await rig.reach(id, 'watch')
  rig.outside.conflicts = [conflict('n', rig.now() + 1)]
  const run = await rig.finish(id)
  assert.equal(run.state, 'failed')
  assert.equal((run.data as { divergedAgain: boolean }).divergedAgain, true)
})

test('revert by Argo Rollouts: undone, seen in the versions, with the advice of what to commit', async (t) => {
  const rig = await createRig(t, onCluster)
  rig.outside.owner = 'edge'
  const run = await rig.finish(await rig.begin('revert', all))
  assert.equal(run.state, 'succeeded')
  assert.match(run.outcome ?? '', /Commit it in git/)
  assert.equal(rig.outside.applied[0], 'undo rollout')
})

test('revert that Argo CD heals away is a failure that names the owner', async (t) => {
  const rig = await createRig(t, onCluster)
  rig.outside.owner = 'edge'
  rig.outside.heals = true
  const run = await rig.finish(await rig.begin('revert', all))
  assert.match(run.outcome ?? '', /did not last: It is as it was again \(Argo CD application edge owns Rollout/)
  assert.ok(!rig.outside.applied.includes('reconcile A,B highest-capacity'))
})

test('revert with nothing to go back to', async (t) => {
  const rig = await createRig(t, onCluster)
  rig.outside.rollout.undone = true
  assert.match((await rig.finish(await rig.begin('revert', all))).outcome ?? '', /no version before this one/)
})

test('canary abort: every way that there is', async (t) => {
  const rig = await createRig(t, onCluster)
  rig.outside.set('A', { canaryWeight: 20 })
  const run = await rig.finish(await rig.begin('canary abort', {}))
  assert.equal(run.outcome, 'The canary gets no traffic any more.')
  assert.deepEqual(rig.outside.applied, ['edge weight 0', 'ConfigMap weight 0', 'abort rollout'])
})

test('canary abort: one way that fails does not hold up the others', async (t) => {
  const rig = await createRig(t, onCluster)
  rig.outside.fail('setWeight', 'forbidden')
  rig.outside.weight = 0
  const run = await rig.finish(await rig.begin('canary abort', {}))
  assert.equal(run.state, 'failed')
  assert.match(run.outcome ?? '', /not safely out\. ConfigMap: Edge: setWeight forbidden/)
  assert.deepEqual(rig.outside.applied, ['edge weight 0', 'abort rollout'])
})

test('canary abort: an edge without the call leaves it to the cluster; weight that stays is a failure', async (t) => {
  const rig = await createRig(t, onCluster)
  rig.outside.fail('setCanary', 'not_found')
  rig.outside.set('A', { canaryWeight: 20 })
  const run = await rig.finish(await rig.begin('canary abort', {}))
  assert.equal(run.state, 'failed')
  assert.match(run.outcome ?? '', /weight of the canary did not come down to 0 within 60 s/)
})

test('canary abort that Argo CD heals away says so, with the advice', async (t) => {
  const rig = await createRig(t, onCluster)
  rig.outside.owner = 'edge'
  rig.outside.heals = true
  const run = await rig.finish(await rig.begin('canary abort', {}))
  assert.equal(run.state, 'failed')
  assert.match(run.outcome ?? '', /Argo CD application edge owns .* Commit it in git\./)
})

test('without an edge each says what to configure', async (t) => {
  const rig = await createRig(t, nothing)
  const ids = [
    await rig.begin('reconcile', all),
    await rig.begin('scale', scale),
    await rig.begin('canary abort', {}),
    await rig.begin('capacity', { region: 'A', factor: 2, lasts: 1000 }),
  ]
  for (const id of ids) assert.match((await rig.finish(id)).outcome ?? '', /configured.*edge\.url/)
  const failover = await rig.begin('failover', { from: 'C', to: 'D', override: 'x' })
  assert.match((await rig.finish(failover)).outcome ?? '', /Nothing is configured that switches traffic/)
})
