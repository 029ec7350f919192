import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fields } from './fake-api.ts'
import {
  addRollout,
  application,
  controller,
  imageOf,
  promote,
  rollOut,
  signal,
  template,
  trackedBy,
  world,
} from './world.ts'

const ROLLOUT = { rollout: 'rating-api' }
const writes = (api: Awaited<ReturnType<typeof world>>['api']) =>
  api.requests.filter(({ method }) => method === 'PATCH')

test('canary status: weight of the step, stable and canary version, phase', async (t) => {
  const { api, cluster } = await world(t)
  addRollout(api)
  rollOut(api, 'edge:2')
  const claw = await cluster(ROLLOUT)
  assert.deepEqual(await claw.canary(signal()), [
    {
      part: 'rollout',
      object: 'Rollout edge/rating-api',
      weight: 20,
      phase: 'Paused',
      stable: 'edge:1 (edge1)',
      canary: 'edge:2 (edge2)',
      aborted: false,
      owner: null,
    },
  ])
  promote(api)
  const [done] = await claw.canary(signal())
  assert.deepEqual([done?.weight, done?.phase, done?.stable, done?.canary], [0, 'Healthy', 'edge:2 (edge2)', null])
})

const WEIGHTS: [name: string, status: object, spec: object, weight: number | null][] = [
  ['what the traffic provider was told counts', { canary: { weights: { canary: { weight: 35 } } } }, {}, 35],
  [
    'of a maximum that is not 100',
    { canary: { weights: { canary: { weight: 35 } } } },
    { strategy: { canary: { trafficRouting: { maxTrafficWeight: 1000 } } } },
    3.5,
  ],
  ['a pause after a later weight', { currentStepIndex: 3 }, {}, 60],
  ['before the first weight', { currentStepIndex: 0 }, { strategy: { canary: { steps: [{ pause: {} }] } } }, 0],
  ['all steps done, not yet stable', { currentStepIndex: 4 }, {}, 100],
  ['no steps at all', { currentStepIndex: null }, { strategy: { canary: {} } }, 100],
  ['aborted', { abort: true }, {}, 0],
  ['blue-green has no weight', {}, { strategy: { blueGreen: {} } }, null],
]

for (const [name, status, spec, weight] of WEIGHTS) {
  test(`canary weight: ${name}`, async (t) => {
    const { api, cluster } = await world(t)
    addRollout(api)
    rollOut(api, 'edge:2')
    api.change('Rollout', 'rating-api', (object) => {
      object.status = { ...object.status, ...status }
      object.spec = { ...object.spec, ...spec }
    })
    const [part] = await (await cluster(ROLLOUT)).canary(signal())
    assert.equal(part?.weight, weight)
    assert.equal(part?.aborted, 'abort' in status)
  })
}

test('a spec that the controller has not seen yet is progressing; without the right to list, hashes are shown', async (t) => {
  const { api, cluster } = await world(t)
  addRollout(api)
  rollOut(api, 'edge:2')
  api.change('Rollout', 'rating-api', (object) => {
    object.metadata.generation += 1
  })
  api.deny('list', 'replicasets')
  const [part] = await (await cluster(ROLLOUT)).canary(signal())
  assert.deepEqual([part?.phase, part?.stable, part?.canary], ['Progressing', 'edge1', 'edge2'])
})

test('abort patches the status subresource as kubectl does, once', async (t) => {
  const { api, cluster } = await world(t)
  addRollout(api)
  rollOut(api, 'edge:2')
  const claw = await cluster(ROLLOUT)
  const change = await claw.abortRollout(signal())
  assert.ok(change)
  assert.equal(
    change.done,
    'Aborted the update of Rollout edge/rating-api to edge:2 (edge2): all traffic goes back to edge:1 (edge1)',
  )
  assert.deepEqual(change.before, { kind: 'abort', weight: 20, phase: 'Paused' })
  const [patch] = writes(api)
  assert.equal(patch?.path, '/apis/argoproj.io/v1alpha1/namespaces/edge/rollouts/rating-api/status')
  assert.equal(patch?.type, 'application/merge-patch+json')
  assert.deepEqual(JSON.parse(patch?.body ?? ''), { status: { abort: true } })
  assert.equal(api.get('Rollout', 'rating-api').status?.abort, true)
  assert.equal(await claw.abortRollout(signal()), null)
  assert.equal(writes(api).length, 1)
  assert.deepEqual(await claw.held(change, signal()), {
    held: true,
    detail: 'Rollout edge/rating-api is still aborted',
  })
})

test('an installation without the status subresource is aborted through the Rollout itself', async (t) => {
  const { api, cluster } = await world(t, { statusSubresource: false })
  addRollout(api)
  rollOut(api, 'edge:2')
  assert.ok(await (await cluster(ROLLOUT)).abortRollout(signal()))
  assert.equal(api.get('Rollout', 'rating-api').status?.abort, true)
})

test('nothing to abort: stable, or the very first version', async (t) => {
  const { api, cluster } = await world(t)
  addRollout(api)
  const claw = await cluster(ROLLOUT)
  assert.equal(await claw.abortRollout(signal()), null)
  rollOut(api, 'edge:2')
  api.change('Rollout', 'rating-api', (object) => {
    object.status = { ...object.status, stableRS: '' }
  })
  assert.equal(await claw.abortRollout(signal()), null)
  assert.equal(writes(api).length, 0)
})

test('an abort waits for a controller that has not seen the newest version', async (t) => {
  const { api, cluster } = await world(t)
  addRollout(api)
  api.change('Rollout', 'rating-api', (object) => {
    object.spec = { ...object.spec, template: template('edge:2') }
    object.metadata.generation += 1
  })
  await assert.rejects((await cluster(ROLLOUT)).abortRollout(signal()), {
    code: 'unavailable',
    message: /controller has not seen the newest Rollout edge\/rating-api yet; try again/,
  })
})

test('an abort stands no more when the update is retried, promoted or another one begins; a revert keeps it', async (t) => {
  const { api, cluster } = await world(t)
  addRollout(api)
  rollOut(api, 'edge:2')
  const claw = await cluster(ROLLOUT)
  const change = await claw.abortRollout(signal())
  assert.ok(change)
  const status = (more: object) =>
    api.change('Rollout', 'rating-api', (object) => {
      object.status = { ...object.status, ...more }
    })
  status({ abort: false })
  assert.match((await claw.held(change, signal())).detail, /was started again$/)
  status({ stableRS: 'edge2' })
  assert.match((await claw.held(change, signal())).detail, /was promoted$/)
  status({ stableRS: 'edge1', currentPodHash: 'edge1' })
  assert.equal((await claw.held(change, signal())).held, true)
  status({ currentPodHash: 'edge3' })
  assert.deepEqual(await claw.held(change, signal()), {
    held: false,
    detail: 'Rollout edge/rating-api: another version is being rolled out',
  })
})

test('undo of a running canary goes to the stable version, not to one that never was stable', async (t) => {
  const { api, cluster } = await world(t)
  addRollout(api)
  rollOut(api, 'edge:2')
  rollOut(api, 'edge:3')
  const change = await (await cluster(ROLLOUT)).undoRollout(signal())
  assert.equal(
    change?.done,
    'Took Rollout edge/rating-api back from revision 3, edge:3 (edge3), to revision 1, edge:1 (edge1)',
  )
  assert.equal(change?.advice, null)
})

test('undo of a finished rollout takes the template of the revision before, once, and never swings back', async (t) => {
  const { api, cluster } = await world(t)
  addRollout(api)
  rollOut(api, 'edge:2')
  promote(api)
  const claw = await cluster(ROLLOUT)
  const change = await claw.undoRollout(signal())
  assert.ok(change)
  assert.deepEqual(change.before, { kind: 'template', revision: 2, version: 'edge:2 (edge2)' })
  assert.equal(
    change.advice,
    'It goes through the canary steps; to skip them: kubectl argo rollouts promote rating-api -n edge --full',
  )
  // without the label that the controller adds to ReplicaSets
  assert.deepEqual(api.get('Rollout', 'rating-api').spec?.template, { ...template('edge:1') })
  assert.equal(writes(api).length, 1)
  // asked again before the controller saw it, while it goes through the steps, and when it is done
  assert.equal(await claw.undoRollout(signal()), null)
  controller(api)
  assert.equal(await claw.undoRollout(signal()), null)
  await assert.rejects(claw.abortRollout(signal()), {
    code: 'conflict',
    message: /is itself the way back from edge:2 \(edge2\); aborting it would bring that version back/,
  })
  promote(api)
  assert.equal(await claw.undoRollout(signal()), null)
  // nor after an annotation changed, which makes the controller repeat the present revision in the history
  api.change('ReplicaSet', 'rating-api-edge1', ({ metadata }) => {
    metadata.annotations = { 'rollout.argoproj.io/revision': '3', 'rollout.argoproj.io/revision-history': '1,3' }
  })
  assert.equal(await claw.undoRollout(signal()), null)
  assert.equal(writes(api).length, 1)
  assert.deepEqual(await claw.held(change, signal()), {
    held: true,
    detail: 'Rollout edge/rating-api still names edge:1 (edge1)',
  })
  // a later version can be undone again, to the good one
  rollOut(api, 'edge:4')
  promote(api)
  assert.match((await claw.undoRollout(signal()))?.done ?? '', /from revision 4, .* to revision 3, edge:1 \(edge1\)$/)
})

test('a history that only repeats the present revision is no way back', async (t) => {
  const { api, cluster } = await world(t)
  addRollout(api)
  rollOut(api, 'edge:2')
  promote(api)
  // the controller writes this when an annotation of the Rollout changes
  api.change('ReplicaSet', 'rating-api-edge2', ({ metadata }) => {
    metadata.annotations = { 'rollout.argoproj.io/revision': '2', 'rollout.argoproj.io/revision-history': '2' }
  })
  assert.match((await (await cluster(ROLLOUT)).undoRollout(signal()))?.done ?? '', /to revision 1, edge:1/)
})

test('undo: none earlier, and ReplicaSets of others do not count', async (t) => {
  const { api, cluster } = await world(t)
  addRollout(api)
  rollOut(api, 'edge:2')
  promote(api)
  api.change('ReplicaSet', 'rating-api-edge1', ({ metadata }) => {
    metadata.ownerReferences = [{ kind: 'Rollout', name: 'rating-api', uid: 'another', controller: true }]
  })
  assert.equal(await (await cluster(ROLLOUT)).undoRollout(signal()), null)
  assert.equal(writes(api).length, 0)
})

test('undo tries again on a fresh reading when the Rollout changed meanwhile', async (t) => {
  const { api, cluster } = await world(t)
  addRollout(api)
  rollOut(api, 'edge:2')
  promote(api)
  let times = 1
  api.beforeWrite = () => {
    if (times-- > 0) api.change('Rollout', 'rating-api', () => {})
  }
  assert.ok(await (await cluster(ROLLOUT)).undoRollout(signal()))
  assert.equal(writes(api).length, 2)
  assert.equal(imageOf(fields(api.get('Rollout', 'rating-api').spec?.template)), 'edge:1')
})

test('undo of a version that the controller has not seen yet waits', async (t) => {
  const { api, cluster } = await world(t)
  addRollout(api)
  api.change('Rollout', 'rating-api', (object) => {
    object.spec = { ...object.spec, template: template('edge:2') }
    object.metadata.generation += 1
  })
  await assert.rejects((await cluster(ROLLOUT)).undoRollout(signal()), { code: 'unavailable' })
})

test('undo of a Rollout that refers to a Deployment patches the Deployment', async (t) => {
  const { api, cluster } = await world(t)
  addRollout(api)
  rollOut(api, 'edge:2')
  promote(api)
  api.add({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'rating' },
    spec: { replicas: 0, template: template('edge:2') },
    status: { observedGeneration: 1 },
  })
  api.change('Rollout', 'rating-api', (object) => {
    object.spec = {
      ...object.spec,
      template: {},
      workloadRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'rating' },
    }
  })
  const claw = await cluster(ROLLOUT)
  const change = await claw.undoRollout(signal())
  assert.equal(change?.object, 'Deployment edge/rating')
  assert.equal(imageOf(fields(api.get('Deployment', 'rating').spec?.template)), 'edge:1')
  assert.ok(change)
  assert.equal((await claw.held(change, signal())).held, true)
  api.change('Rollout', 'rating-api', (object) => {
    object.spec = { ...object.spec, workloadRef: { kind: 'PodTemplate', name: 'rating' } }
  })
  await assert.rejects(claw.undoRollout(signal()), { code: 'unsupported' })
})

test('Argo CD heals an undo away: the version is what has to be committed, and held says so', async (t) => {
  const { api, cluster } = await world(t)
  addRollout(api, trackedBy('edge-prod', 'Rollout', 'rating-api'))
  api.add(application('edge-prod', { automated: { selfHeal: true } }))
  rollOut(api, 'edge:2')
  promote(api)
  api.manage('Rollout', 'rating-api')
  const claw = await cluster(ROLLOUT)
  const change = await claw.undoRollout(signal())
  assert.ok(change)
  assert.equal(change.owner, 'edge-prod')
  assert.match(
    change.advice ?? '',
    /commit to git: the version of Rollout edge\/rating-api as it was: edge:1 \(edge1\); or pause/,
  )
  const now = await claw.held(change, signal())
  assert.equal(now.held, false)
  assert.match(
    now.detail,
    /^Rollout edge\/rating-api names edge:2 again, not edge:1 \(edge1\)\. Argo CD application edge-prod/,
  )
})

test('what is kept of a template holds nothing of its environment', async (t) => {
  const { api, cluster } = await world(t)
  addRollout(api)
  api.change('ReplicaSet', 'rating-api-edge1', (object) => {
    object.spec = { template: template('edge:1', [{ name: 'PASSWORD', value: 'hunter2' }]) }
  })
  rollOut(api, 'edge:2')
  promote(api)
  const change = await (await cluster(ROLLOUT)).undoRollout(signal())
  assert.ok(!JSON.stringify(change).includes('hunter2'))
  assert.ok(JSON.stringify(api.get('Rollout', 'rating-api').spec).includes('hunter2'))
})
