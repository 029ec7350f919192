import { createHash } from 'node:crypto'
import type { ClusterChange } from '../../core/edge.ts'
import { ClawError } from '../../core/errors.ts'
import { type Api, nameOf, RESOURCES, type Target } from './api.ts'
import type { FindOwner } from './argocd.ts'
import type { ReplicasMark } from './marks.ts'
import { cronJob, job, read, scalable } from './objects.ts'
import { retryingConflicts } from './retry.ts'

export type ScaleTarget = { kind: 'Deployment' | 'StatefulSet' | 'Rollout' | 'Job'; name: string }

/** What scales the regions. Errors as `Cluster` says. */
export type ScalePart = {
  scale(region: string, replicas: number, key: string, signal: AbortSignal): Promise<ClusterChange | null>
  replicasHeld(mark: ReplicasMark, target: Target, signal: AbortSignal): Promise<{ held: boolean; detail: string }>
  jobHeld(target: Target, signal: AbortSignal): Promise<{ held: boolean; detail: string }>
}

/** Annotations of the Job and of its pods, which can read them through the downward API. */
const REGION = 'claw/region'
const REPLICAS = 'claw/replicas'
const KEY = 'claw/key'

/** Names of Jobs end up in a label of their pods: 63 characters at most (Kubernetes: "Jobs"). */
const LONGEST_NAME = 63

/** @param regions region to what scales it */
export function createScale(
  api: Api,
  namespace: string,
  regions: Readonly<Record<string, ScaleTarget>>,
  findOwner: FindOwner,
): ScalePart {
  async function setReplicas(target: Target, region: string, replicas: number, signal: AbortSignal) {
    const called = nameOf(target)
    return await retryingConflicts(called, async (): Promise<ClusterChange | null> => {
      const found = read(scalable, await api.get(target, signal), target)
      const was = found.spec.replicas
      if (was === replicas) return null
      const patch = { metadata: { resourceVersion: found.metadata.resourceVersion }, spec: { replicas } }
      await api.patch({ ...target, sub: 'scale' }, 'merge', patch, signal)
      const owner = await findOwner(target, found.metadata, signal)
      const before: ReplicasMark = { kind: 'replicas', replicas: was }
      const after: ReplicasMark = { kind: 'replicas', replicas }
      return {
        object: called,
        done: `Scaled ${called} for region ${region} from ${was} to ${replicas} replicas`,
        before,
        after,
        owner: owner?.application ?? null,
        advice: owner?.advice(`replicas of ${called} = ${replicas}, or none at all`) ?? null,
      }
    })
  }

  /** As `kubectl create job --from=cronjob/NAME` does, under a name that follows from `key`. */
  async function runJob(name: string, region: string, replicas: number, key: string, signal: AbortSignal) {
    const from: Target = { resource: RESOURCES.CronJob, namespace, name }
    const { metadata, spec } = read(cronJob, await api.get(from, signal), from)
    const target: Target = { resource: RESOURCES.Job, namespace, name: jobName(name, key) }
    const annotations = { [REGION]: region, [REPLICAS]: `${replicas}`, [KEY]: key }
    const object = {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: {
        name: target.name,
        labels: spec.jobTemplate.metadata?.labels ?? {},
        annotations: {
          ...spec.jobTemplate.metadata?.annotations,
          'cronjob.kubernetes.io/instantiate': 'manual',
          ...annotations,
        },
        // so that the CronJob's history limits clean it up, and Argo CD does not prune it
        ownerReferences: [{ apiVersion: 'batch/v1', kind: 'CronJob', name, uid: metadata.uid, controller: true }],
      },
      spec: withPodAnnotations(spec.jobTemplate.spec, annotations),
    }
    try {
      await api.create(target, object, signal)
    } catch (error) {
      if (error instanceof ClawError && error.code === 'conflict') return null
      throw error
    }
    return {
      object: nameOf(target),
      done: `Started ${nameOf(target)} from CronJob ${namespace}/${name}: ${replicas} replicas for region ${region}`,
      before: null,
      after: { kind: 'job', replicas },
      owner: null,
      advice: null,
    } satisfies ClusterChange
  }

  return {
    async scale(region, replicas, key, signal) {
      const configured = Object.hasOwn(regions, region) ? regions[region] : undefined
      if (configured === undefined) return null
      if (!Number.isInteger(replicas) || replicas < 0) {
        throw new ClawError('invalid', `Kubernetes: ${replicas} is no number of replicas`)
      }
      const { kind, name } = configured
      if (kind === 'Job') return await runJob(name, region, replicas, key, signal)
      return await setReplicas({ resource: RESOURCES[kind], namespace, name }, region, replicas, signal)
    },

    async replicasHeld(mark, target, signal) {
      const { spec } = read(scalable, await api.get(target, signal), target)
      return spec.replicas === mark.replicas
        ? { held: true, detail: `${nameOf(target)} still has ${mark.replicas} replicas` }
        : { held: false, detail: `${nameOf(target)} has ${spec.replicas} replicas, not ${mark.replicas}` }
    },

    async jobHeld(target, signal) {
      const { status } = read(job, await api.get(target, signal), target)
      const is = (type: string) => (status?.conditions ?? []).some((one) => one.type === type && one.status === 'True')
      if (is('Failed')) return { held: false, detail: `${nameOf(target)} failed` }
      return { held: true, detail: `${nameOf(target)} ${is('Complete') ? 'is complete' : 'runs'}` }
    },
  }
}

function jobName(name: string, key: string): string {
  const hash = createHash('sha256').update(key).digest('hex').slice(0, 16)
  return `${name.slice(0, LONGEST_NAME - hash.length - 1).replace(/[-.]+$/, '')}-${hash}`
}

function withPodAnnotations(spec: Record<string, unknown>, more: Record<string, string>): Record<string, unknown> {
  const template = objectOf(spec.template)
  const metadata = objectOf(template.metadata)
  const annotations = { ...objectOf(metadata.annotations), ...more }
  return { ...spec, template: { ...template, metadata: { ...metadata, annotations } } }
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {}
}
