import type { Cluster, ClusterChange } from '../../core/edge.ts'
import { ClawError } from '../../core/errors.ts'
import { createApi, RESOURCES, type Target } from './api.ts'
import { createOwners } from './argocd.ts'
import { createWeight } from './configmap.ts'
import { type Access, connect } from './connect.ts'
import { mark } from './marks.ts'
import { createRollout } from './rollout.ts'
import { createScale, type ScaleTarget } from './scale.ts'

/** The configuration `kubernetes`. */
export type KubernetesOptions = Access & {
  namespace: string
  rollout?: string | undefined
  config_map?: { name: string; key: string } | undefined
  scale: Readonly<Record<string, ScaleTarget>>
  argocd: boolean
}

export type KubernetesDeps = {
  /** for one request; default 5 000 */
  timeoutMs?: number
  /** stands before /var/run/secrets/…, where a pod finds its service account */
  podRoot?: string
}

/**
 * The cluster that the edge runs on, through the Kubernetes API.
 *
 * The least rights that its role needs, in `kubernetes.namespace` and only for what is configured:
 *
 * | API group | resources | verbs | for |
 * |---|---|---|---|
 * | argoproj.io | rollouts | get, patch | `rollout`: canary status, revert |
 * | argoproj.io | rollouts/status | patch | `rollout`: canary abort |
 * | apps | replicasets | list | `rollout`: images, earlier revisions |
 * | apps | deployments | get, patch | `rollout` whose `workloadRef` names a Deployment: revert |
 * | (core) | configmaps | get, patch | `config_map`; `resourceNames` can hold its name |
 * | apps | deployments, statefulsets | get | `scale` of that kind |
 * | apps | deployments/scale, statefulsets/scale | patch | `scale` of that kind |
 * | argoproj.io | rollouts/scale | patch | `scale` of kind Rollout, besides get of rollouts |
 * | batch | cronjobs | get | `scale` of kind Job |
 * | batch | jobs | get, create | `scale` of kind Job |
 *
 * and, in the namespace `argocd`, optional: argoproj.io, applications, get: to tell whether Argo CD heals.
 *
 * @throws ClawError('invalid') when there is no way to the API server; nothing is sent yet
 */
export async function createCluster(options: KubernetesOptions, deps: KubernetesDeps = {}): Promise<Cluster> {
  const { namespace } = options
  const api = createApi(await connect(options, deps.podRoot), deps.timeoutMs ?? 5_000)
  const findOwner = createOwners(api, options.argocd)
  const rollout = options.rollout === undefined ? null : createRollout(api, namespace, options.rollout, findOwner)
  const weight = options.config_map
    ? createWeight(api, namespace, options.config_map.name, options.config_map.key, findOwner)
    : null
  const scales = createScale(api, namespace, options.scale, findOwner)

  return {
    parts: { rollout: rollout !== null, configMap: weight !== null, scales: Object.keys(options.scale) },

    async canary(signal) {
      const parts = await Promise.all([rollout?.status(signal), weight?.status(signal)])
      return parts.filter((part) => part !== undefined)
    },

    abortRollout: async (signal) => (await rollout?.abort(signal)) ?? null,

    undoRollout: async (signal) => (await rollout?.undo(signal)) ?? null,

    async setWeight(percent, signal) {
      if (!(percent >= 0 && percent <= 100))
        throw new ClawError('invalid', `Kubernetes: ${percent} is no weight from 0 to 100 %`)
      return (await weight?.set(percent, signal)) ?? null
    },

    scale: (region, replicas, key, signal) => scales.scale(region, replicas, key, signal),

    async held(change, signal) {
      const now = await stands(change, signal)
      if (now.held || change.owner === null) return now
      return { held: false, detail: `${now.detail}. ${change.advice ?? `Argo CD application ${change.owner} owns it`}` }
    },
  }

  async function stands(change: ClusterChange, signal: AbortSignal): Promise<{ held: boolean; detail: string }> {
    const target = targetOf(change.object)
    const after = mark.safeParse(change.after)
    if (target === null || !after.success) {
      throw new ClawError(
        'invalid',
        `Kubernetes: ${change.object} was not changed by this version of Claw; look yourself`,
      )
    }
    const { data } = after
    try {
      if (data.kind === 'replicas') return await scales.replicasHeld(data, target, signal)
      if (data.kind === 'job') return await scales.jobHeld(target, signal)
      if (data.kind === 'weight' && weight !== null) return await weight.held(data, signal)
      if (data.kind === 'abort' && rollout !== null) return await rollout.abortHeld(data, signal)
      if (data.kind === 'template' && rollout !== null) return await rollout.templateHeld(data, target, signal)
    } catch (error) {
      if (error instanceof ClawError && error.code === 'not_found')
        return { held: false, detail: `${change.object} is gone` }
      throw error
    }
    throw new ClawError('invalid', `Kubernetes: ${change.object} is no longer configured`)
  }
}

/** The other way of `nameOf`. */
function targetOf(object: string): Target | null {
  const [, kind, namespace, name] = /^([A-Za-z]+) ([^/ ]+)\/([^/ ]+)$/.exec(object) ?? []
  const resource = Object.values(RESOURCES).find((one) => one.kind === kind)
  if (resource === undefined || namespace === undefined || name === undefined) return null
  return { resource, namespace, name }
}
