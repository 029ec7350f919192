import { createHash } from 'node:crypto'
import type { CanaryPart, ClusterChange } from '../../core/edge.ts'
import { ClawError } from '../../core/errors.ts'
import { type Api, nameOf, RESOURCES, type Target } from './api.ts'
import type { FindOwner } from './argocd.ts'
import type { AbortMark, TemplateMark } from './marks.ts'
import { type Metadata, type ReplicaSet, type Rollout, read, replicaSet, rollout, templated } from './objects.ts'
import { retryingConflicts } from './retry.ts'

// Argo Rollouts, `utils/annotations` and `pkg/apis/rollouts/v1alpha1/types.go`
const REVISION = 'rollout.argoproj.io/revision'
const REVISION_HISTORY = 'rollout.argoproj.io/revision-history'
const WORKLOAD_GENERATION = 'rollout.argoproj.io/workload-generation'
const POD_HASH = 'rollouts-pod-template-hash'

type Template = Record<string, unknown>

/** One version that the Rollout has a ReplicaSet of. */
type Revision = {
  number: number
  /** numbers that it had before a rollback made it the newest again; never its present one */
  earlier: number[]
  hash: string
  /** images and hash, for people */
  text: string
  /** without the label that the controller adds */
  template: Template
}

type Held = { held: boolean; detail: string }

/** The Argo Rollout of the edge. Errors as `Cluster` says. */
export type RolloutPart = {
  status(signal: AbortSignal): Promise<CanaryPart>
  abort(signal: AbortSignal): Promise<ClusterChange | null>
  undo(signal: AbortSignal): Promise<ClusterChange | null>
  abortHeld(mark: AbortMark, signal: AbortSignal): Promise<Held>
  templateHeld(mark: TemplateMark, target: Target, signal: AbortSignal): Promise<Held>
}

/** @param name of the Rollout in `namespace` */
export function createRollout(api: Api, namespace: string, name: string, findOwner: FindOwner): RolloutPart {
  const target: Target = { resource: RESOURCES.Rollout, namespace, name }
  const called = nameOf(target)

  const readRollout = async (signal: AbortSignal) => read(rollout, await api.get(target, signal), target)

  async function revisions(found: Rollout, signal: AbortSignal): Promise<Revision[]> {
    const items = await api.list(RESOURCES.ReplicaSet, namespace, found.spec.selector?.matchLabels ?? {}, signal)
    return items
      .map((item) => read(replicaSet, item, { ...target, resource: RESOURCES.ReplicaSet, name: 'of the Rollout' }))
      .filter((set) =>
        set.metadata.ownerReferences.some(({ uid, controller }) => controller === true && uid === found.metadata.uid),
      )
      .flatMap(revisionOf)
      .sort((a, b) => b.number - a.number)
  }

  /** For texts and for caution only: whoever may not list ReplicaSets reads hashes, and can abort all the same. */
  async function revisionsIfAllowed(found: Rollout, signal: AbortSignal): Promise<Revision[]> {
    try {
      return await revisions(found, signal)
    } catch (error) {
      if (error instanceof ClawError && error.code === 'forbidden') return []
      throw error
    }
  }

  async function status(signal: AbortSignal): Promise<CanaryPart> {
    const found = await readRollout(signal)
    const known = await revisionsIfAllowed(found, signal)
    const owner = await findOwner(target, found.metadata, signal)
    const { currentPodHash, stableRS, phase, abort } = found.status
    const text = (hash: string) => known.find((revision) => revision.hash === hash)?.text ?? hash
    return {
      part: 'rollout',
      object: called,
      weight: weightOf(found),
      phase: observed(found) ? (phase ?? null) : 'Progressing',
      stable: stableRS ? text(stableRS) : null,
      canary: currentPodHash && currentPodHash !== stableRS ? text(currentPodHash) : null,
      aborted: abort === true,
      owner: owner?.application ?? null,
    }
  }

  async function abort(signal: AbortSignal): Promise<ClusterChange | null> {
    const found = await readRollout(signal)
    const { currentPodHash: canary, stableRS: stable, abort: aborted } = found.status
    mustBeObserved(found, called)
    if (aborted === true || !canary || !stable || canary === stable) return null
    const known = await revisionsIfAllowed(found, signal)
    const current = known.find(({ hash }) => hash === canary)
    const left = current === undefined ? undefined : leftFor(current, known)
    if (left?.hash === stable) {
      throw new ClawError(
        'conflict',
        `Kubernetes: the running update of ${called} is itself the way back from ${left.text}; aborting it would bring that version back`,
      )
    }
    const patch = { status: { abort: true } }
    try {
      // as `kubectl argo rollouts abort` does; without a resourceVersion, since the controller writes all the time
      await api.patch({ ...target, sub: 'status' }, 'merge', patch, signal)
    } catch (error) {
      // an installation whose Rollouts have no status subresource
      if (!(error instanceof ClawError && error.code === 'not_found')) throw error
      await api.patch(target, 'merge', patch, signal)
    }
    const owner = await findOwner(target, found.metadata, signal)
    const text = (hash: string) => known.find((revision) => revision.hash === hash)?.text ?? hash
    const mark: AbortMark = { kind: 'abort', canary, stable }
    return {
      object: called,
      done: `Aborted the update of ${called} to ${text(canary)}: all traffic goes back to ${text(stable)}`,
      before: { kind: 'abort', weight: weightOf(found), phase: found.status.phase ?? null },
      after: mark,
      owner: owner?.application ?? null,
      // git still names the aborted version, and so does the Rollout: whatever restarts the update brings it back
      advice: owner?.advice(`the version of ${called} as it was: ${text(stable)}`) ?? null,
    }
  }

  async function undo(signal: AbortSignal): Promise<ClusterChange | null> {
    const found = await readRollout(signal)
    const known = await revisions(found, signal)
    const { template, workload, metadata } = await templateOf(found, signal)
    if (!observed(found)) {
      // our own patch may be what the controller has not seen yet
      const same = known.find((revision) => digest(revision.template) === digest(withoutHash(template)))
      if (same !== undefined && same.number < (known[0]?.number ?? 0)) return null
      mustBeObserved(found, called)
    }
    const current = known.find(({ hash }) => hash === found.status.currentPodHash)
    const wanted = current === undefined ? null : before(current, known, found.status.stableRS)
    if (current === undefined || wanted === null) return null
    const answer = await api.patch(
      workload,
      'json',
      [
        { op: 'replace', path: '/metadata/resourceVersion', value: metadata.resourceVersion },
        { op: 'replace', path: '/spec/template', value: wanted.template },
      ],
      signal,
    )
    const written = read(templated, answer, workload)
    const owner = await findOwner(workload, metadata, signal)
    const mark: TemplateMark = {
      kind: 'template',
      digest: digest(withoutHash(written.spec.template ?? {})),
      version: wanted.text,
    }
    const advice = [
      owner?.advice(`the version of ${nameOf(workload)} as it was: ${wanted.text}`),
      // only the stable version is taken at once; any other goes through the canary steps (`isFastRollback`)
      wanted.hash !== found.status.stableRS && (found.spec.strategy?.canary?.steps ?? []).length > 0
        ? `It goes through the canary steps; to skip them: kubectl argo rollouts promote ${name} -n ${namespace} --full`
        : undefined,
    ].filter((line) => line !== undefined)
    return {
      object: nameOf(workload),
      done: `Took ${nameOf(workload)} back from revision ${current.number}, ${current.text}, to revision ${wanted.number}, ${wanted.text}`,
      before: { kind: 'template', revision: current.number, version: current.text },
      after: mark,
      owner: owner?.application ?? null,
      advice: advice.length === 0 ? null : advice.join('. '),
    }
  }

  /** Where the pod template stands: in the Rollout, or in the Deployment that it refers to. */
  async function templateOf(
    found: Rollout,
    signal: AbortSignal,
  ): Promise<{ template: Template; workload: Target; metadata: Metadata }> {
    const reference = found.spec.workloadRef
    if (!reference) return { template: found.spec.template ?? {}, workload: target, metadata: found.metadata }
    if (reference.kind !== 'Deployment') {
      throw new ClawError(
        'unsupported',
        `Kubernetes: ${called} takes its template from a ${reference.kind}; Claw knows Deployments only`,
      )
    }
    const workload: Target = { resource: RESOURCES.Deployment, namespace, name: reference.name }
    const object = read(templated, await api.get(workload, signal), workload)
    return { template: object.spec.template ?? {}, workload, metadata: object.metadata }
  }

  return {
    status,
    abort,
    undo: (signal) => retryingConflicts(called, () => undo(signal)),
    async abortHeld(mark, signal) {
      const { status: now } = await readRollout(signal)
      if (now.currentPodHash === mark.canary) {
        if (now.stableRS === mark.canary) return { held: false, detail: `${called}: the aborted version was promoted` }
        if (now.abort === true) return { held: true, detail: `${called} is still aborted` }
        return { held: false, detail: `${called}: the aborted update was started again` }
      }
      if (now.currentPodHash === now.stableRS) {
        return { held: true, detail: `${called} runs its stable version; nothing is being rolled out` }
      }
      return { held: false, detail: `${called}: another version is being rolled out` }
    },
    async templateHeld(mark, workload, signal) {
      const object = read(templated, await api.get(workload, signal), workload)
      if (digest(withoutHash(object.spec.template ?? {})) === mark.digest) {
        return { held: true, detail: `${nameOf(workload)} still names ${mark.version}` }
      }
      const now = imagesOf(object.spec.template ?? {}) || 'another version'
      return { held: false, detail: `${nameOf(workload)} names ${now} again, not ${mark.version}` }
    },
  }
}

function revisionOf({ metadata, spec }: ReplicaSet): Revision[] {
  const number = Number(metadata.annotations[REVISION])
  const hash = metadata.labels[POD_HASH] ?? ''
  if (!Number.isInteger(number) || number < 1 || hash === '') return []
  const images = imagesOf(spec.template)
  return [
    {
      number,
      // the controller also repeats the present number here whenever an annotation of the Rollout changes
      earlier: (metadata.annotations[REVISION_HISTORY] ?? '')
        .split(',')
        .map(Number)
        .filter((old) => old > 0 && old < number),
      hash,
      text: images === '' ? hash : `${images} (${hash})`,
      template: withoutHash(spec.template),
    },
  ]
}

/** The version that was left when `current` was made the newest again; undefined when `current` is no way back. */
function leftFor(current: Revision, known: Revision[]): Revision | undefined {
  const was = Math.max(0, ...current.earlier)
  return was === 0 ? undefined : known.find(({ number }) => number < current.number && number > was)
}

/**
 * Where an undo leads: to the stable version while another one is on its way, else to the revision before. Null when there is
 * none, and when `current` is itself a way back: going "back" from there would bring in what was left, so an undo that is
 * asked for twice does not swing back to the bad version (as `kubectl argo rollouts undo` would).
 */
function before(current: Revision, known: Revision[], stable: string | null | undefined): Revision | null {
  if (leftFor(current, known) !== undefined) return null
  if (stable && stable !== current.hash) {
    const found = known.find(({ hash }) => hash === stable)
    if (found !== undefined) return found
  }
  return known.find(({ number }) => number < current.number) ?? null
}

/** Percent of the traffic that the canary gets; null for blue-green. As `GetCurrentSetWeight` of Argo Rollouts counts. */
function weightOf({ spec, status }: Rollout): number | null {
  const canary = spec.strategy?.canary
  if (!canary) return null
  const most = canary.trafficRouting?.maxTrafficWeight ?? 100
  const seen = status.canary?.weights?.canary.weight
  if (seen !== undefined) return (seen * 100) / most
  if (status.abort === true || !status.stableRS || status.currentPodHash === status.stableRS) return 0
  const steps = canary.steps ?? []
  const index = status.currentStepIndex ?? steps.length
  if (index >= steps.length) return 100
  const set = steps.slice(0, index + 1).findLast((step) => typeof step.setWeight === 'number')
  return ((set?.setWeight ?? 0) * 100) / most
}

/** Whether the status speaks of the present spec (`isGenerationObserved`; before 0.10 the field held a hash: then yes). */
function observed({ metadata, status }: Rollout): boolean {
  const behind = (seen: string | null | undefined, wanted: number) => /^\d+$/.test(seen ?? '') && Number(seen) < wanted
  if (behind(status.observedGeneration, metadata.generation ?? 0)) return false
  return !behind(status.workloadObservedGeneration, Number(metadata.annotations[WORKLOAD_GENERATION] ?? 0))
}

function mustBeObserved(found: Rollout, called: string): void {
  if (observed(found)) return
  throw new ClawError(
    'unavailable',
    `Kubernetes: the Argo Rollouts controller has not seen the newest ${called} yet; try again`,
  )
}

function withoutHash(template: Template): Template {
  const metadata = template.metadata
  if (!isObject(metadata) || !isObject(metadata.labels)) return template
  const { [POD_HASH]: _, ...labels } = metadata.labels
  return { ...template, metadata: { ...metadata, labels } }
}

/** A template may hold secrets in its environment: what Claw keeps of it is this. */
function digest(template: Template): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted(template)))
    .digest('hex')
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key])]),
  )
}

function imagesOf(template: Template): string {
  const containers = isObject(template.spec) && Array.isArray(template.spec.containers) ? template.spec.containers : []
  return containers.flatMap((one) => (isObject(one) && typeof one.image === 'string' ? [one.image] : [])).join(', ')
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
