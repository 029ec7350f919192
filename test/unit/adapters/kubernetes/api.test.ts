import assert from 'node:assert/strict'
import type http from 'node:http'
import { test } from 'node:test'
import { createCluster } from '../../../../src/adapters/kubernetes/kubernetes.ts'
import { deadAddress } from '../serve.ts'
import { addPolicy, addRollout, POLICY, rollOut, signal, world } from './world.ts'

const ROLLOUT = { rollout: 'rating-api' }

test('nothing configured: nothing is asked and nothing done', async (t) => {
  const { api, cluster } = await world(t)
  const claw = await cluster()
  assert.deepEqual(claw.parts, { rollout: false, configMap: false, scales: [] })
  assert.deepEqual(await claw.canary(signal()), [])
  assert.equal(await claw.abortRollout(signal()), null)
  assert.equal(await claw.undoRollout(signal()), null)
  assert.equal(await claw.setWeight(0, signal()), null)
  assert.equal(await claw.scale('A', 3, 'k', signal()), null)
  assert.equal(api.requests.length, 0)
})

test('both parts are shown, with what each knows', async (t) => {
  const { api, cluster } = await world(t)
  addRollout(api)
  addPolicy(api, { canary_weight: '25' })
  const parts = await (await cluster({ ...ROLLOUT, config_map: POLICY })).canary(signal())
  assert.deepEqual(
    parts.map(({ part, weight }) => [part, weight]),
    [
      ['rollout', 0],
      ['configmap', 25],
    ],
  )
})

const RIGHTS: [verb: string, resource: string, text: string][] = [
  ['get', 'rollouts', 'get rollouts (API group argoproj.io)'],
  ['patch', 'rollouts/status', 'patch rollouts/status (API group argoproj.io)'],
]

for (const [verb, resource, text] of RIGHTS) {
  test(`a missing right is named: ${verb} ${resource}`, async (t) => {
    const { api, cluster } = await world(t)
    addRollout(api)
    rollOut(api, 'edge:2')
    api.deny(verb, resource)
    await assert.rejects((await cluster(ROLLOUT)).abortRollout(signal()), {
      code: 'forbidden',
      message: `Kubernetes: Claw may not ${text} in namespace edge; its role needs that verb`,
    })
  })
}

test('rights on the core group and on subresources of apps are named as a role names them', async (t) => {
  const { api, cluster } = await world(t)
  addPolicy(api, { canary_weight: '25' })
  api.add({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'r' }, spec: { replicas: 1 } })
  api.deny('patch', 'configmaps')
  api.deny('patch', 'deployments/scale')
  const claw = await cluster({ config_map: POLICY, scale: { A: { kind: 'Deployment', name: 'r' } } })
  await assert.rejects(claw.setWeight(0, signal()), { message: /may not patch configmaps \(the core API group\) in/ })
  await assert.rejects(claw.scale('A', 2, 'k', signal()), {
    message: /may not patch deployments\/scale \(API group apps\)/,
  })
})

test('a wrong token is told without the token', async (t) => {
  const { api, cluster } = await world(t)
  addRollout(api)
  await assert.rejects((await cluster({ ...ROLLOUT, token: 'hunter2' })).canary(signal()), (error: Error) => {
    assert.equal('code' in error && error.code, 'unauthorized')
    assert.match(error.message, /credentials are not accepted; check kubernetes\.token/)
    assert.ok(!`${error.stack}`.includes('hunter2'))
    return true
  })
})

test('a missing object is told from a cluster that does not know the kind', async (t) => {
  const { api, cluster } = await world(t)
  const claw = await cluster(ROLLOUT)
  await assert.rejects(claw.canary(signal()), {
    code: 'not_found',
    message: 'Kubernetes: Rollout edge/rating-api does not exist; check its name and kubernetes.namespace',
  })
  api.intercept = (_, response) => answer(response, 404, '404 page not found')
  await assert.rejects(claw.canary(signal()), {
    code: 'not_found',
    message: /Rollout edge\/rating-api not found; does this cluster know rollouts \(API group argoproj\.io\)\?/,
  })
})

const ANSWERS: [status: number, body: string, code: string, text: RegExp][] = [
  [429, '', 'unavailable', /answered 429$/],
  [
    500,
    '{"message":"etcd at 10.0.0.1 says token hunter2"}',
    'unavailable',
    /^Kubernetes: get of Rollout edge\/rating-api answered 500$/,
  ],
  [503, '', 'unavailable', /answered 503$/],
  [302, '', 'invalid', /was refused with 302$/],
  [
    422,
    '{"message":"hunter2","details":{"name":"x","causes":[{"field":"spec.replicas","message":"hunter2"}]}}',
    'invalid',
    /refused with 422 \(not accepted: spec\.replicas\)$/,
  ],
  [
    403,
    '{"message":"admission webhook \\"policy.example.org\\" denied the request: hunter2"}',
    'forbidden',
    /admission webhook policy\.example\.org does not allow to get Rollout edge\/rating-api$/,
  ],
  [200, '<html>hunter2</html>', 'invalid', /the answer is not JSON/],
  [
    200,
    '{"metadata":{"name":"rating-api"}}',
    'invalid',
    /Rollout edge\/rating-api is not as expected at metadata\.resourceVersion$/,
  ],
]

for (const [status, body, code, text] of ANSWERS) {
  test(`an answer ${status} ${body.slice(0, 12)} is ${code}, and quotes nothing of it`, async (t) => {
    const { api, cluster } = await world(t)
    api.intercept = (_, response) => answer(response, status, body)
    await assert.rejects((await cluster(ROLLOUT)).canary(signal()), (error: Error) => {
      assert.equal('code' in error && error.code, code)
      assert.match(error.message, text)
      assert.ok(!error.message.includes('hunter2'))
      return true
    })
  })
}

test('a server that does not answer, and a caller who gives up, end in time', async (t) => {
  const { api } = await world(t)
  const options = { url: api.url, token: api.token, namespace: 'edge', scale: {}, argocd: true, ...ROLLOUT }
  api.intercept = () => true
  const quick = await createCluster(options, { timeoutMs: 50 })
  await assert.rejects(quick.canary(signal()), { code: 'timeout', message: 'Kubernetes: no answer within 50 ms' })
  const patient = await createCluster(options, { timeoutMs: 60_000 })
  const caller = new AbortController()
  api.intercept = () => {
    caller.abort()
    return true
  }
  await assert.rejects(patient.canary(caller.signal), { code: 'timeout', message: /stopped before the answer came/ })
  await assert.rejects(patient.canary(AbortSignal.abort()), { code: 'timeout' })
})

test('nobody there, and a connection that breaks, may be tried again', async (t) => {
  const { api, cluster } = await world(t)
  await assert.rejects((await cluster({ ...ROLLOUT, url: await deadAddress() })).canary(signal()), {
    code: 'unavailable',
    message: 'Kubernetes: connection refused',
  })
  api.intercept = (_, response) => {
    response.destroy()
    return true
  }
  await assert.rejects((await cluster(ROLLOUT)).canary(signal()), { code: 'unavailable' })
})

test('an answer to a change that got lost does not make it happen twice', async (t) => {
  const { api, cluster } = await world(t)
  addPolicy(api, { canary_weight: '25' })
  const claw = await cluster({ config_map: POLICY })
  api.intercept = (request, response) => {
    if (request.method !== 'PATCH') return false
    // applied, but the answer never leaves
    api.intercept = () => false
    api.change('ConfigMap', POLICY.name, (object) => {
      object.data = { canary_weight: '0' }
    })
    response.destroy()
    return true
  }
  await assert.rejects(claw.setWeight(0, signal()), { code: 'unavailable' })
  assert.equal(await claw.setWeight(0, signal()), null)
})

test('a change of something that is configured no more, or of another version of Claw, is not judged', async (t) => {
  const { cluster } = await world(t)
  const claw = await cluster()
  const change = { object: 'Rollout edge/rating-api', done: '', before: null, owner: null, advice: null }
  await assert.rejects(claw.held({ ...change, after: { kind: 'abort', canary: 'a', stable: 'b' } }, signal()), {
    code: 'invalid',
    message: /no longer configured/,
  })
  await assert.rejects(claw.held({ ...change, after: { kind: 'new' } }, signal()), { code: 'invalid' })
  await assert.rejects(claw.held({ ...change, object: 'nonsense', after: { kind: 'weight', weight: 0 } }, signal()), {
    code: 'invalid',
  })
})

test('an address with a path in front, as Rancher has it', async (t) => {
  const { api, cluster } = await world(t)
  const seen = new Promise<string>((resolve) => {
    api.intercept = (request, response) => {
      resolve(request.path)
      return answer(response, 500, '')
    }
  })
  await assert.rejects((await cluster({ ...ROLLOUT, url: `${api.url}/k8s/clusters/c-1` })).canary(signal()))
  assert.equal(await seen, '/k8s/clusters/c-1/apis/argoproj.io/v1alpha1/namespaces/edge/rollouts/rating-api')
})

function answer(response: http.ServerResponse, status: number, body: string): true {
  response.writeHead(status)
  response.end(body)
  return true
}
