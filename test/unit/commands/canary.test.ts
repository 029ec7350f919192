import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CanaryPart } from '../../../src/core/edge.ts'
import { createEdgeRig, edgeRegion, fakeCluster } from './edge-rig.ts'
import { shown } from './rig.ts'

const CLEO = { as: 'Cleo' }
const ROLLOUT: CanaryPart = {
  part: 'rollout',
  object: 'Rollout edge/rating-api',
  weight: 20,
  phase: 'Progressing',
  stable: '1.8.2',
  canary: '1.9.0',
  aborted: false,
  owner: 'edge-prod',
}

test('canary status tells every place, and asks nothing back', async (t) => {
  const { say, edge, outside, approvals } = await createEdgeRig(t)
  approvals.needed.canary = 1
  assert.match((await say('canary', CLEO)).summary, /^No canary: it has no traffic\.$/)
  edge.regions = [edgeRegion('A', { canaryWeight: 20, ratingScore: 0.62 })]
  outside.cluster = fakeCluster({ canary: async () => [ROLLOUT] })
  const found = await say('canary status', CLEO)
  assert.equal(found.summary, 'A canary runs with 20 % of the traffic.')
  assert.deepEqual(found.table?.rows, [
    ['Rollout edge/rating-api', '20 %', 'Progressing', 'stable 1.8.2, canary 1.9.0', 'edge-prod'],
    ['Edge, A', '20 %', 'rating 0.62', '1.8.2', ''],
  ])
  edge.down = true
  assert.match(shown(await say('canary', CLEO)), /No answer from the edge\./)
  outside.cluster = null
  assert.equal((await say('canary', CLEO)).code, 'unavailable')
  assert.equal((await say('canary stop', CLEO)).code, 'invalid')
})

test('canary abort says what it ends and who may undo it, asks, and begins', async (t) => {
  const { say, edge, outside, run } = await createEdgeRig(t)
  edge.regions = [edgeRegion('A', { canaryWeight: 20 }), edgeRegion('B')]
  outside.cluster = fakeCluster({ canary: async () => [ROLLOUT] })
  const asked = await say('canary abort', CLEO)
  assert.equal(
    asked.summary,
    'Abort the canary: it gets no traffic any more (now Rollout edge/rating-api 20 %, Edge, A 20 %); the stable version serves all. Argo CD (edge-prod) may undo that in the cluster: Claw looks whether it holds.',
  )
  const done = await say('approve a1', CLEO)
  assert.equal(done.summary, 'o1 has begun: Abort the canary.')
  assert.deepEqual([(await run(1)).kind, (await run(1)).input, (await run(1)).incident], ['canary abort', {}, 1])
  assert.deepEqual(edge.changed, [])
})

test('without a canary there is nothing to abort; with the edge silent it is tried', async (t) => {
  const { sure, edge } = await createEdgeRig(t)
  assert.equal((await sure('canary abort', CLEO)).code, 'conflict')
  edge.down = true
  assert.equal((await sure('canary abort', CLEO)).ok, true)
})

test('revert takes the regions with the version that came lately, and says what they ran before', async (t) => {
  const { say, edge, changes, run, world } = await createEdgeRig(t)
  edge.regions = [edgeRegion('A', { version: '1.9.0' }), edgeRegion('B')]
  changes.push({ at: world.now() - 120_000, region: 'A', what: 'version', from: '1.8.2', to: '1.9.0' })
  const asked = await say('revert', CLEO)
  assert.equal(
    asked.summary,
    'Revert the version in A. A runs 1.9.0 since 02:13 UTC, 1.8.2 before. The edge goes back to the version before. Afterwards it reconciles (highest capacity), then 1.5 times the capacity for 30m.',
  )
  const done = await say('approve a1', CLEO)
  assert.equal(done.summary, 'o1 has begun: Revert the version in A.')
  assert.deepEqual((await run(1)).input, { regions: ['A'], policy: 'highest-capacity' })
  assert.deepEqual((done.data as { result: { versions: unknown } }).result.versions, [
    { region: 'A', from: '1.9.0', to: '1.8.2' },
  ])
})

test('revert takes all regions where no change was seen, or the one that is named; the cluster goes first', async (t) => {
  const { sure, say, run, outside, end } = await createEdgeRig(t)
  await sure('revert', CLEO)
  assert.deepEqual((await run(1)).regions, ['A', 'B'])
  await end(1, { state: 'succeeded', summary: 'done' })
  outside.cluster = fakeCluster()
  const asked = await say('revert b', CLEO)
  assert.match(
    asked.summary,
    /^Revert the version in B\. B runs 1\.8\.2, what ran before is not known\. The last rollout in the cluster is undone\./,
  )
  assert.equal((await sure('revert C', CLEO)).code, 'not_found')
})
