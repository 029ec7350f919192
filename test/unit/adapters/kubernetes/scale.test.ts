import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fields } from './fake-api.ts'
import { addRollout, application, signal, trackedBy, world } from './world.ts'

const CRON_JOB = {
  apiVersion: 'batch/v1',
  kind: 'CronJob',
  metadata: { name: 'standby', uid: 'cron-uid' },
  spec: {
    schedule: '@yearly',
    suspend: true,
    jobTemplate: {
      metadata: { labels: { app: 'standby' }, annotations: { team: 'edge' } },
      spec: {
        backoffLimit: 0,
        futureField: { kept: true },
        template: { metadata: { annotations: { a: '1' } }, spec: { restartPolicy: 'Never', containers: [] } },
      },
    },
  },
}

for (const kind of ['Deployment', 'StatefulSet', 'Rollout'] as const) {
  test(`a ${kind} is scaled through its scale subresource, out and in again, and not twice`, async (t) => {
    const { api, cluster } = await world(t)
    if (kind === 'Rollout') addRollout(api)
    else api.add({ apiVersion: 'apps/v1', kind, metadata: { name: 'rating-api' }, spec: { replicas: 3 } })
    const claw = await cluster({ scale: { B: { kind, name: 'rating-api' } } })
    assert.deepEqual(claw.parts, { rollout: false, configMap: false, scales: ['B'] })
    const change = await claw.scale('B', 6, 'k1', signal())
    assert.ok(change)
    assert.equal(change.done, `Scaled ${kind} edge/rating-api for region B from 3 to 6 replicas`)
    assert.deepEqual(
      [change.before, change.after],
      [
        { kind: 'replicas', replicas: 3 },
        { kind: 'replicas', replicas: 6 },
      ],
    )
    assert.equal(api.get(kind, 'rating-api').spec?.replicas, 6)
    assert.equal(await claw.scale('B', 6, 'k1', signal()), null)
    const writes = api.requests.filter(({ method }) => method === 'PATCH')
    assert.equal(writes.length, 1)
    assert.ok(writes[0]?.path.endsWith('/rating-api/scale'))
    assert.equal((await claw.held(change, signal())).held, true)
    assert.ok(await claw.scale('B', 3, 'k2', signal()))
    assert.deepEqual(await claw.held(change, signal()), {
      held: false,
      detail: `${kind} edge/rating-api has 3 replicas, not 6`,
    })
  })
}

test('a region without a target is left alone; a name of Object itself is no region', async (t) => {
  const { api, cluster } = await world(t)
  const claw = await cluster({ scale: { B: { kind: 'Deployment', name: 'rating-api' } } })
  assert.equal(await claw.scale('A', 6, 'k', signal()), null)
  assert.equal(await claw.scale('constructor', 6, 'k', signal()), null)
  await assert.rejects(claw.scale('B', 1.5, 'k', signal()), { code: 'invalid' })
  assert.equal(api.requests.length, 0)
})

test('a scale that meets another change is written on a fresh reading; Argo CD is named', async (t) => {
  const { api, cluster } = await world(t)
  api.add({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'rating-api', ...trackedBy('edge-prod', 'Deployment', 'rating-api') },
    spec: { replicas: 3 },
  })
  api.add(application('edge-prod', { automated: { selfHeal: true } }))
  let times = 1
  api.beforeWrite = () => {
    if (times-- > 0) {
      api.change('Deployment', 'rating-api', (object) => {
        object.spec = { replicas: 4 }
      })
    }
  }
  const claw = await cluster({ scale: { B: { kind: 'Deployment', name: 'rating-api' } } })
  const change = await claw.scale('B', 6, 'k', signal())
  assert.deepEqual(change?.before, { kind: 'replicas', replicas: 4 })
  assert.equal(change?.owner, 'edge-prod')
  assert.match(
    change?.advice ?? '',
    /commit to git: replicas of Deployment edge\/rating-api = 6, or none at all; or pause/,
  )
})

test('a Job is made from the CronJob once per key, and knows region and replicas', async (t) => {
  const { api, cluster } = await world(t)
  api.add(CRON_JOB)
  const claw = await cluster({ scale: { 'eu west': { kind: 'Job', name: 'standby' } } })
  const change = await claw.scale('eu west', 6, 'run 7/scale', signal())
  assert.ok(change)
  const [job] = api.all('Job')
  assert.ok(job)
  assert.match(job.metadata.name, /^standby-[0-9a-f]{16}$/)
  assert.equal(change.object, `Job edge/${job.metadata.name}`)
  const asked = { 'claw/region': 'eu west', 'claw/replicas': '6', 'claw/key': 'run 7/scale' }
  assert.deepEqual(job.metadata.labels, { app: 'standby' })
  assert.deepEqual(job.metadata.annotations, { team: 'edge', 'cronjob.kubernetes.io/instantiate': 'manual', ...asked })
  assert.deepEqual(job.metadata.ownerReferences, [
    { apiVersion: 'batch/v1', kind: 'CronJob', name: 'standby', uid: 'cron-uid', controller: true },
  ])
  assert.deepEqual(job.spec?.futureField, { kept: true })
  assert.deepEqual(fields(fields(job.spec?.template).metadata).annotations, { a: '1', ...asked })
  assert.equal(await claw.scale('eu west', 6, 'run 7/scale', signal()), null)
  assert.equal(api.all('Job').length, 1)
  assert.ok(await claw.scale('eu west', 6, 'run 8/scale', signal()))
  assert.equal(api.all('Job').length, 2)
})

test('a Job holds while it runs and when it is complete, not when it failed or is gone', async (t) => {
  const { api, cluster } = await world(t)
  api.add(CRON_JOB)
  const claw = await cluster({ scale: { B: { kind: 'Job', name: 'standby' } } })
  const change = await claw.scale('B', 6, 'k', signal())
  assert.ok(change)
  const name = api.all('Job')[0]?.metadata.name ?? ''
  assert.deepEqual(await claw.held(change, signal()), { held: true, detail: `Job edge/${name} runs` })
  const end = (type: string) =>
    api.change('Job', name, (job) => {
      job.status = { conditions: [{ type, status: 'True' }] }
    })
  end('Complete')
  assert.deepEqual(await claw.held(change, signal()), { held: true, detail: `Job edge/${name} is complete` })
  end('Failed')
  assert.deepEqual(await claw.held(change, signal()), { held: false, detail: `Job edge/${name} failed` })
  api.remove('Job', name)
  assert.deepEqual(await claw.held(change, signal()), { held: false, detail: `Job edge/${name} is gone` })
})

test('names of Jobs stay within 63 characters', async (t) => {
  const { api, cluster } = await world(t)
  const name = `${'a'.repeat(45)}-${'b'.repeat(6)}`
  api.add({ ...CRON_JOB, metadata: { name } })
  await (await cluster({ scale: { B: { kind: 'Job', name } } })).scale('B', 6, 'k', signal())
  assert.match(api.all('Job')[0]?.metadata.name ?? '', /^a{45}-[0-9a-f]{16}$/)
})
