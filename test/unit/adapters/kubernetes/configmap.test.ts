import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ClusterChange } from '../../../../src/core/edge.ts'
import { addPolicy, application, POLICY, signal, trackedBy, world } from './world.ts'

test('the weight is set to 0, the rest of the ConfigMap stays byte for byte, and a second time does nothing', async (t) => {
  const { api, cluster } = await world(t)
  const before = { canary_weight: '25', 'limits.yaml': 'a:   1 # x\n' }
  addPolicy(api, before)
  const claw = await cluster({ config_map: POLICY })
  const change = await claw.setWeight(0, signal())
  assert.deepEqual(change, {
    object: 'ConfigMap edge/token-bucket-policy',
    done: 'Set canary_weight of ConfigMap edge/token-bucket-policy from 25 % to 0 %',
    before: { kind: 'weight', weight: 25 },
    after: { kind: 'weight', weight: 0 },
    owner: null,
    advice: null,
  } satisfies ClusterChange)
  assert.deepEqual(api.get('ConfigMap', POLICY.name).data, { ...before, canary_weight: '0' })
  const writes = () => api.requests.filter(({ method }) => method === 'PATCH').length
  assert.equal(writes(), 1)
  assert.equal(await claw.setWeight(0, signal()), null)
  assert.equal(writes(), 1)
  assert.ok(change)
  assert.deepEqual(await claw.held(change, signal()), {
    held: true,
    detail: 'canary_weight of ConfigMap edge/token-bucket-policy is still 0 %',
  })
})

test("somebody else's change between reading and writing is kept", async (t) => {
  const { api, cluster } = await world(t)
  addPolicy(api, { 'policy.yaml': 'rate: 100\nweight: 25\n' })
  let times = 2
  api.beforeWrite = () => {
    if (times === 0) return
    times -= 1
    api.change('ConfigMap', POLICY.name, (object) => {
      object.data = { 'policy.yaml': `rate: ${200 + times}\nweight: 30\n` }
    })
  }
  const claw = await cluster({ config_map: { ...POLICY, key: 'policy.yaml.weight' } })
  const change = await claw.setWeight(5, signal())
  assert.deepEqual(change?.before, { kind: 'weight', weight: 30 })
  assert.deepEqual(api.get('ConfigMap', POLICY.name).data, { 'policy.yaml': 'rate: 200\nweight: 5\n' })
})

test('a ConfigMap that changes every time is given up on, to be tried again later', async (t) => {
  const { api, cluster } = await world(t)
  addPolicy(api, { canary_weight: '25' })
  api.beforeWrite = () => api.change('ConfigMap', POLICY.name, () => {})
  const claw = await cluster({ config_map: POLICY })
  await assert.rejects(claw.setWeight(0, signal()), {
    code: 'unavailable',
    message: 'Kubernetes: ConfigMap edge/token-bucket-policy was changed by others 5 times in a row; try again',
  })
  assert.deepEqual(api.get('ConfigMap', POLICY.name).data, { canary_weight: '25' })
})

test('a healing Argo CD is named with what to do, and its healing is noticed', async (t) => {
  const { api, cluster } = await world(t)
  addPolicy(api, { canary_weight: '25' }, trackedBy('edge-prod', 'ConfigMap', POLICY.name))
  api.add(application('edge-prod', { automated: { prune: true, selfHeal: true } }))
  api.manage('ConfigMap', POLICY.name)
  const claw = await cluster({ config_map: POLICY })
  const change = await claw.setWeight(0, signal())
  assert.ok(change)
  assert.equal(change.owner, 'edge-prod')
  assert.equal(
    change.advice,
    'Argo CD application edge-prod owns it and undoes this change by itself (auto-sync with self-heal). To make it last, ' +
      'commit to git: canary_weight of ConfigMap edge/token-bucket-policy = 0; or pause auto-sync: ' +
      'argocd app set edge-prod --sync-policy none',
  )
  const now = await claw.held(change, signal())
  assert.equal(now.held, false)
  assert.equal(now.detail, `canary_weight of ConfigMap edge/token-bucket-policy is 25 %, not 0 %. ${change.advice}`)
  // paused, as advised: then it stands
  api.healing = false
  const again = await claw.setWeight(0, signal())
  assert.ok(again)
  assert.equal((await claw.held(again, signal())).held, true)
})

const SYNCS: [name: string, syncPolicy: Parameters<typeof application>[1], more: object, text: RegExp][] = [
  [
    'auto-sync without self-heal',
    { automated: {} },
    {},
    /undoes this change with the next commit that it syncs\. .*--sync-policy none$/,
  ],
  ['auto-sync switched off', { automated: { enabled: false, selfHeal: true } }, {}, /when someone syncs it\..* = 0$/],
  ['no auto-sync', null, {}, /when someone syncs it\. To make it last, commit to git: canary_weight of .* = 0$/],
  [
    'made by an ApplicationSet',
    { automated: { selfHeal: true } },
    { metadata: { ownerReferences: [{ kind: 'ApplicationSet', uid: 'u' }] } },
    /by itself .*; or pause auto-sync in its ApplicationSet$/,
  ],
]

for (const [name, syncPolicy, more, text] of SYNCS) {
  test(`advice fits the sync policy: ${name}`, async (t) => {
    const { api, cluster } = await world(t)
    addPolicy(api, { canary_weight: '25' }, trackedBy('edge-prod', 'ConfigMap', POLICY.name))
    api.add(application('edge-prod', syncPolicy, { ...more }))
    const change = await (await cluster({ config_map: POLICY })).setWeight(0, signal())
    assert.match(change?.advice ?? '', text)
  })
}

test('an Application that may not be read is still named, and the advice says what is unknown', async (t) => {
  const { api, cluster } = await world(t)
  addPolicy(api, { canary_weight: '25' }, trackedBy('team-a_edge', 'ConfigMap', POLICY.name))
  api.deny('get', 'applications')
  const change = await (await cluster({ config_map: POLICY })).setWeight(0, signal())
  assert.equal(change?.owner, 'edge')
  assert.match(change?.advice ?? '', /may undo this change \(Claw may not read the Application/)
  assert.match(change?.advice ?? '', /argocd app set team-a\/edge --sync-policy none$/)
  assert.ok(api.requests.some(({ path }) => path === '/apis/argoproj.io/v1alpha1/namespaces/team-a/applications/edge'))
})

const OWNERS: [name: string, metadata: object, listed: boolean, owner: string | null][] = [
  ["Argo CD's own label", { labels: { 'argocd.argoproj.io/instance': 'edge-prod' } }, false, 'edge-prod'],
  [
    'the common label, of an application that lists the object',
    { labels: { 'app.kubernetes.io/instance': 'edge-prod' } },
    true,
    'edge-prod',
  ],
  ['the common label, as Helm sets it', { labels: { 'app.kubernetes.io/instance': 'edge-prod' } }, false, null],
  ['a tracking id copied from another object', trackedBy('edge-prod', 'ConfigMap', 'another'), false, null],
  ['a name that is no name', trackedBy('x;reboot', 'ConfigMap', POLICY.name), false, null],
  ['nothing', {}, false, null],
]

for (const [name, metadata, listed, owner] of OWNERS) {
  test(`owner: ${name}`, async (t) => {
    const { api, cluster } = await world(t)
    addPolicy(api, { canary_weight: '25' }, { ...metadata })
    const resource = { group: '', kind: 'ConfigMap', namespace: 'edge', name: POLICY.name, version: 'v1' }
    api.add(application('edge-prod', null, { status: { resources: listed ? [resource] : [] } }))
    const [part] = await (await cluster({ config_map: POLICY })).canary(signal())
    assert.equal(part?.owner, owner)
  })
}

test('argocd: false asks for no owner', async (t) => {
  const { api, cluster } = await world(t)
  addPolicy(api, { canary_weight: '25' }, trackedBy('edge-prod', 'ConfigMap', POLICY.name))
  const change = await (await cluster({ config_map: POLICY, argocd: false })).setWeight(0, signal())
  assert.equal(change?.owner, null)
  assert.ok(api.requests.every(({ path }) => !path.includes('applications')))
})

test('a weight beyond 0 to 100 and an immutable ConfigMap are refused before anything is written', async (t) => {
  const { api, cluster } = await world(t)
  addPolicy(api, { canary_weight: '25' })
  const claw = await cluster({ config_map: POLICY })
  for (const weight of [-1, 101, Number.NaN])
    await assert.rejects(claw.setWeight(weight, signal()), { code: 'invalid' })
  api.change('ConfigMap', POLICY.name, (object) => Object.assign(object, { immutable: true }))
  await assert.rejects(claw.setWeight(0, signal()), { code: 'invalid', message: /is immutable/ })
  assert.ok(api.requests.every(({ method }) => method === 'GET'))
})

test('a ConfigMap that is gone does not hold a change; a missing one is named', async (t) => {
  const { api, cluster } = await world(t)
  addPolicy(api, { canary_weight: '25' })
  const claw = await cluster({ config_map: POLICY })
  const change = await claw.setWeight(0, signal())
  assert.ok(change)
  api.remove('ConfigMap', POLICY.name)
  assert.deepEqual(await claw.held(change, signal()), {
    held: false,
    detail: 'ConfigMap edge/token-bucket-policy is gone',
  })
  await assert.rejects(claw.setWeight(0, signal()), {
    code: 'not_found',
    message: /ConfigMap edge\/token-bucket-policy does not exist; check its name and kubernetes\.namespace/,
  })
})
