import type { CanaryPart, ClusterChange } from '../../core/edge.ts'
import { ClawError } from '../../core/errors.ts'
import { type Api, nameOf, RESOURCES, type Target } from './api.ts'
import type { FindOwner } from './argocd.ts'
import type { WeightMark } from './marks.ts'
import { configMap, read } from './objects.ts'
import { retryingConflicts } from './retry.ts'
import { findWeight, withWeight } from './weight.ts'

/** The ConfigMap that the edge reads its canary weight from. Errors as `Cluster` says. */
export type WeightPart = {
  status(signal: AbortSignal): Promise<CanaryPart>
  set(weight: number, signal: AbortSignal): Promise<ClusterChange | null>
  held(mark: WeightMark, signal: AbortSignal): Promise<{ held: boolean; detail: string }>
}

/** @param path key that holds the weight, or `key.path` inside the document that it holds */
export function createWeight(
  api: Api,
  namespace: string,
  name: string,
  path: string,
  findOwner: FindOwner,
): WeightPart {
  const target: Target = { resource: RESOURCES.ConfigMap, namespace, name }
  const called = nameOf(target)

  async function current(signal: AbortSignal) {
    const found = read(configMap, await api.get(target, signal), target)
    return { found, place: findWeight(found.data, path, called) }
  }

  return {
    async status(signal) {
      const { found, place } = await current(signal)
      const owner = await findOwner(target, found.metadata, signal)
      return {
        part: 'configmap',
        object: called,
        weight: place.weight,
        phase: null,
        stable: null,
        canary: null,
        aborted: false,
        owner: owner?.application ?? null,
      }
    },

    set: (weight, signal) =>
      retryingConflicts(called, async () => {
        const { found, place } = await current(signal)
        if (place.weight === weight) return null
        if (found.immutable === true) {
          throw new ClawError('invalid', `${called} is immutable: its weight can only change with a new ConfigMap`)
        }
        const text = found.data[place.key] ?? ''
        // with the resourceVersion, so that a change made since the reading is not overwritten
        await api.patch(
          target,
          'merge',
          {
            metadata: { resourceVersion: found.metadata.resourceVersion },
            data: { [place.key]: withWeight(text, place, weight) },
          },
          signal,
        )
        const owner = await findOwner(target, found.metadata, signal)
        const before: WeightMark = { kind: 'weight', weight: place.weight }
        const after: WeightMark = { kind: 'weight', weight }
        return {
          object: called,
          done: `Set ${path} of ${called} from ${place.weight} % to ${weight} %`,
          before,
          after,
          owner: owner?.application ?? null,
          advice: owner?.advice(`${path} of ${called} = ${weight}`) ?? null,
        }
      }),

    async held(mark, signal) {
      const { place } = await current(signal)
      return place.weight === mark.weight
        ? { held: true, detail: `${path} of ${called} is still ${mark.weight} %` }
        : { held: false, detail: `${path} of ${called} is ${place.weight} %, not ${mark.weight} %` }
    },
  }
}
