import type { z } from 'zod'
import { type Api, RESOURCES, type Target } from './api.ts'
import { application, type Metadata, read } from './objects.ts'

/** The Argo CD application that owns an object. */
export type Owner = {
  application: string
  /** What a person should do so that a change lasts. `commit` says what has to stand in git. */
  advice(commit: string): string
}

/** Finds the owner of an object that was just read; null when Argo CD does not own it. Throws only when `signal` ended. */
export type FindOwner = (target: Target, metadata: Metadata, signal: AbortSignal) => Promise<Owner | null>

// Argo CD's documentation, "Resource Tracking" and "Automated Sync Policy"; `common/common.go`
const TRACKING_ID = 'argocd.argoproj.io/tracking-id'
const OWN_LABEL = 'argocd.argoproj.io/instance'
/** also what Helm and many operators set: it counts only when such an application lists the object */
const COMMON_LABEL = 'app.kubernetes.io/instance'
const HOME = 'argocd'

/** Names end up in a command that people paste. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/

type Application = z.infer<typeof application>

/** What happens to a change by itself: at once, with the next commit, when someone syncs; null when it cannot be seen. */
type Sync = { kind: 'heals' | 'syncs' | 'manual'; generated: boolean }

/** Argo CD as far as it is visible from the objects that it manages. With `enabled` false nothing has an owner. */
export function createOwners(api: Api, enabled: boolean): FindOwner {
  return async (target, metadata, signal) => {
    if (!enabled) return null
    const tracked = trackedBy(target, metadata)
    const labelled = metadata.labels[OWN_LABEL] ?? metadata.labels[COMMON_LABEL]
    const instance = tracked ?? labelled
    if (instance === undefined || !NAME.test(instance)) return null
    const found = await find(api, instance, signal)
    const certain = tracked !== undefined || metadata.labels[OWN_LABEL] !== undefined
    if (!certain && (found === null || !lists(found, target))) return null
    return describe(instance, found === null ? null : syncOf(found))
  }
}

/** `app:group/Kind:namespace/name`. One that names another object was copied along with it and means nothing. */
function trackedBy({ resource, namespace, name }: Target, { annotations }: Metadata): string | undefined {
  const [app, kind, object] = (annotations[TRACKING_ID] ?? '').split(':')
  if (kind !== `${resource.group}/${resource.kind}` || object !== `${namespace}/${name}`) return undefined
  return app
}

/** An application outside Argo CD's own namespace is tracked as `namespace_name` (Argo CD: `AppInstanceName`). */
function placeOf(instance: string): { namespace: string; name: string } {
  const cut = instance.indexOf('_')
  return cut < 0
    ? { namespace: HOME, name: instance }
    : { namespace: instance.slice(0, cut), name: instance.slice(cut + 1) }
}

/** It is only for the advice: whoever may not read it is told that. */
async function find(api: Api, instance: string, signal: AbortSignal): Promise<Application | null> {
  const target = { resource: RESOURCES.Application, ...placeOf(instance) }
  try {
    return read(application, await api.get(target, signal), target)
  } catch (error) {
    if (signal.aborted) throw error
    return null
  }
}

function lists({ status }: Application, { resource, namespace, name }: Target): boolean {
  return (status?.resources ?? []).some(
    (entry) =>
      (entry.group ?? '') === resource.group &&
      entry.kind === resource.kind &&
      entry.namespace === namespace &&
      entry.name === name,
  )
}

function syncOf({ metadata, spec }: Application): Sync {
  const automated = spec.syncPolicy?.automated
  const on = automated !== null && automated !== undefined && automated.enabled !== false
  return {
    kind: on ? (automated.selfHeal === true ? 'heals' : 'syncs') : 'manual',
    generated: metadata.ownerReferences.some(({ kind }) => kind === 'ApplicationSet'),
  }
}

function describe(instance: string, sync: Sync | null): Owner {
  const { namespace, name } = placeOf(instance)
  const qualified = namespace === HOME ? name : `${namespace}/${name}`
  const does = {
    heals: 'undoes this change by itself (auto-sync with self-heal)',
    syncs: 'undoes this change with the next commit that it syncs',
    manual: 'undoes this change when someone syncs it',
    unknown: 'may undo this change (Claw may not read the Application, so it cannot tell)',
  }[sync?.kind ?? 'unknown']
  // Argo CD: "Temporarily toggling auto-sync for applications managed by ApplicationSets"
  const pause = sync?.generated
    ? 'pause auto-sync in its ApplicationSet'
    : `pause auto-sync: argocd app set ${qualified} --sync-policy none`
  return {
    application: name,
    advice: (commit) =>
      `Argo CD application ${qualified} owns it and ${does}. To make it last, commit to git: ${commit}` +
      (sync?.kind === 'manual' ? '' : `; or ${pause}`),
  }
}
