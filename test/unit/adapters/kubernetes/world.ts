import type { TestContext } from 'node:test'
import { createCluster, type KubernetesOptions } from '../../../../src/adapters/kubernetes/kubernetes.ts'
import type { Cluster } from '../../../../src/core/edge.ts'
import { type FakeApi, type Fields, fakeApi, fields } from './fake-api.ts'

export const signal = () => new AbortController().signal

export type World = { api: FakeApi; cluster(options?: Partial<KubernetesOptions>): Promise<Cluster> }

/** A fake API server, and clusters that use it by URL and token. */
export async function world(t: TestContext, options: Parameters<typeof fakeApi>[0] = {}): Promise<World> {
  const api = await fakeApi(options)
  t.after(() => api.close())
  return {
    api,
    cluster: (more = {}) =>
      createCluster(
        { url: api.url, token: api.token, namespace: 'edge', scale: {}, argocd: true, ...more },
        { timeoutMs: 2_000 },
      ),
  }
}

/** `argocd.argoproj.io/tracking-id` of an object in namespace edge. */
export function trackedBy(application: string, kind: string, name: string): Fields {
  const group = { ConfigMap: '', Rollout: 'argoproj.io', Deployment: 'apps' }[kind]
  return { annotations: { 'argocd.argoproj.io/tracking-id': `${application}:${group}/${kind}:edge/${name}` } }
}

export function application(name: string, syncPolicy: Fields | null, more: Fields = {}): Fields {
  return {
    apiVersion: 'argoproj.io/v1alpha1',
    kind: 'Application',
    metadata: { name, namespace: 'argocd', ...fields(more.metadata) },
    spec: { project: 'default', ...(syncPolicy === null ? {} : { syncPolicy }) },
    ...(more.status === undefined ? {} : { status: more.status }),
  }
}

export function template(image: string, env: Fields[] = []): Fields {
  return { metadata: { labels: { app: 'rating-api' } }, spec: { containers: [{ name: 'edge', image, env }] } }
}

/** A Rollout `rating-api` of three canary steps; its revisions are made by `rollOut`. */
export function addRollout(api: FakeApi, metadata: Fields = {}): void {
  api.add({
    apiVersion: 'argoproj.io/v1alpha1',
    kind: 'Rollout',
    metadata: { name: 'rating-api', ...metadata },
    spec: {
      replicas: 3,
      selector: { matchLabels: { app: 'rating-api' } },
      strategy: { canary: { steps: [{ setWeight: 20 }, { pause: {} }, { setWeight: 60 }, { pause: {} }] } },
      template: template('edge:1'),
    },
    status: {},
  })
  controller(api)
  promote(api)
}

/** Names a new version and lets the controller see it. */
export function rollOut(api: FakeApi, image: string): void {
  api.change('Rollout', 'rating-api', (rollout) => {
    rollout.spec = { ...rollout.spec, template: template(image) }
    rollout.metadata.generation += 1
  })
  controller(api)
}

/** What the Argo Rollouts controller does when it looks: a ReplicaSet for the template, revisions, status. */
export function controller(api: FakeApi): void {
  const rollout = api.get('Rollout', 'rating-api')
  const wanted = fields(rollout.spec?.template)
  const image = imageOf(wanted)
  const hash = hashOf(image)
  const sets = api.all('ReplicaSet')
  const newest = Math.max(0, ...sets.map((set) => revisionOf(set.metadata)))
  const set = sets.find(({ metadata }) => metadata.name === `rating-api-${hash}`)
  if (set === undefined) {
    const labels = { app: 'rating-api', 'rollouts-pod-template-hash': hash }
    api.add({
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: {
        name: `rating-api-${hash}`,
        labels,
        annotations: { 'rollout.argoproj.io/revision': `${newest + 1}` },
        ownerReferences: [
          {
            apiVersion: 'argoproj.io/v1alpha1',
            kind: 'Rollout',
            name: 'rating-api',
            uid: rollout.metadata.uid,
            controller: true,
          },
        ],
      },
      spec: { replicas: 3, template: { ...wanted, metadata: { labels } } },
    })
  } else if (revisionOf(set.metadata) < newest) {
    const annotations = fields(set.metadata.annotations)
    const was = annotations['rollout.argoproj.io/revision']
    const history = annotations['rollout.argoproj.io/revision-history']
    set.metadata.annotations = {
      'rollout.argoproj.io/revision': `${newest + 1}`,
      'rollout.argoproj.io/revision-history': history === undefined ? was : `${String(history)},${String(was)}`,
    }
  }
  const again = rollout.status?.currentPodHash === hash
  api.change('Rollout', 'rating-api', (object) => {
    object.status = {
      ...object.status,
      ...(again ? {} : { abort: false, currentStepIndex: hash === object.status?.stableRS ? 4 : 1 }),
      phase: hash === object.status?.stableRS ? 'Healthy' : 'Paused',
      currentPodHash: hash,
      observedGeneration: `${object.metadata.generation}`,
    }
  })
}

/** Ends the update: the newest version is the stable one. */
export function promote(api: FakeApi): void {
  api.change('Rollout', 'rating-api', (object) => {
    object.status = { ...object.status, phase: 'Healthy', stableRS: object.status?.currentPodHash, currentStepIndex: 4 }
  })
}

export function imageOf(template: Fields): string {
  const containers = fields(template.spec).containers
  return Array.isArray(containers) ? String(fields(containers[0]).image) : ''
}

export function hashOf(image: string): string {
  return image.replace(/[^a-z0-9]/g, '')
}

function revisionOf(metadata: Fields): number {
  return Number(fields(metadata.annotations)['rollout.argoproj.io/revision'] ?? 0)
}

export function addPolicy(api: FakeApi, data: Record<string, string>, metadata: Fields = {}): void {
  api.add({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'token-bucket-policy', ...metadata }, data })
}

export const POLICY = { name: 'token-bucket-policy', key: 'canary_weight' }
