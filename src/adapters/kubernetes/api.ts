import { z } from 'zod'
import { ClawError } from '../../core/errors.ts'
import { exchange, type HttpAnswer, type NetworkFailure, requestOptions, resolveUrl, timeoutReason } from '../http.ts'
import type { Connection, Credentials } from './connect.ts'

/** A kind of object; `group` is empty for the core API. */
export type Resource = { kind: string; group: string; version: string; plural: string }

/** One object, or a subresource of it. */
export type Target = { resource: Resource; namespace: string; name: string; sub?: 'status' | 'scale' }

/** The kinds that Claw touches (Kubernetes API reference; Argo Rollouts and Argo CD: their CustomResourceDefinitions). */
export const RESOURCES = {
  ConfigMap: { kind: 'ConfigMap', group: '', version: 'v1', plural: 'configmaps' },
  Deployment: { kind: 'Deployment', group: 'apps', version: 'v1', plural: 'deployments' },
  StatefulSet: { kind: 'StatefulSet', group: 'apps', version: 'v1', plural: 'statefulsets' },
  ReplicaSet: { kind: 'ReplicaSet', group: 'apps', version: 'v1', plural: 'replicasets' },
  Job: { kind: 'Job', group: 'batch', version: 'v1', plural: 'jobs' },
  CronJob: { kind: 'CronJob', group: 'batch', version: 'v1', plural: 'cronjobs' },
  Rollout: { kind: 'Rollout', group: 'argoproj.io', version: 'v1alpha1', plural: 'rollouts' },
  Application: { kind: 'Application', group: 'argoproj.io', version: 'v1alpha1', plural: 'applications' },
} as const satisfies Record<string, Resource>

/** Kubernetes: "Update API Objects in Place Using kubectl patch". */
const PATCH_TYPES = { merge: 'application/merge-patch+json', json: 'application/json-patch+json' } as const

/**
 * The Kubernetes API, one bounded request per call. Throws ClawError: `unavailable` and `timeout` may be tried again,
 * `conflict` is another resourceVersion or a name that is taken, `forbidden` names the missing right, `not_found` the object.
 */
export type Api = {
  get(target: Target, signal: AbortSignal): Promise<unknown>
  /** `labels`: what the objects must carry */
  list(
    resource: Resource,
    namespace: string,
    labels: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<unknown[]>
  create(target: Target, object: unknown, signal: AbortSignal): Promise<unknown>
  patch(target: Target, type: keyof typeof PATCH_TYPES, body: unknown, signal: AbortSignal): Promise<unknown>
}

type Verb = 'get' | 'list' | 'create' | 'patch'

const METHODS = { get: 'GET', list: 'GET', create: 'POST', patch: 'PATCH' } as const

const statusSchema = z.object({
  reason: z.string().nullish().catch(null),
  message: z.string().nullish().catch(null),
  details: z
    .object({
      name: z.string().nullish().catch(null),
      causes: z
        .array(z.object({ field: z.string().nullish().catch(null) }))
        .nullish()
        .catch(null),
    })
    .nullish()
    .catch(null),
})

const listSchema = z.object({ items: z.array(z.unknown()) })

/** `Rollout edge/rating-api`: how texts and ClusterChange name an object. */
export function nameOf({ resource, namespace, name }: Target): string {
  return `${resource.kind} ${namespace}/${name}`
}

/** @param timeoutMs for one request, and for one fetching of credentials before it */
export function createApi(connection: Connection, timeoutMs: number): Api {
  async function call(verb: Verb, target: Target, path: string, more: Extra): Promise<unknown> {
    const { signal, query = [], body, type = 'application/json' } = more
    const url = resolveUrl('kubernetes.url', connection.server, path, query)
    const credentials = await bounded(connection.credentials(), timeoutMs, signal)
    const answer = await exchange({
      options: { ...credentials, ...requestOptions(METHODS[verb], url) },
      headers: {
        Accept: 'application/json',
        'User-Agent': 'claw',
        ...(body === undefined ? {} : { 'Content-Type': type }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      timeoutMs,
      signal,
      maxBytes: 8 * 1024 * 1024,
    })
    if ('reason' in answer) throw unanswered(answer, timeoutMs, signal)
    if (answer.status < 200 || answer.status > 299) throw refused(verb, target, answer)
    const object = parse(answer)
    if (object === undefined) {
      throw new ClawError(
        'invalid',
        'Kubernetes: the answer is not JSON; is kubernetes.url the address of an API server?',
      )
    }
    return object
  }

  return {
    get: (target, signal) => call('get', target, pathOf(target), { signal }),
    async list(resource, namespace, labels, signal) {
      const target = { resource, namespace, name: '' }
      const labelSelector = Object.entries(labels)
        .map(([name, value]) => `${name}=${value}`)
        .join(',')
      const query: [string, string][] = labelSelector === '' ? [] : [['labelSelector', labelSelector]]
      const answer = listSchema.safeParse(await call('list', target, pathOf(target), { signal, query }))
      if (!answer.success) throw new ClawError('invalid', `Kubernetes: the list of ${resource.plural} has no items`)
      return answer.data.items
    },
    create: (target, object, signal) =>
      call('create', target, pathOf({ ...target, name: '' }), {
        signal,
        body: object,
        query: [['fieldManager', 'claw']],
      }),
    patch: (target, type, body, signal) =>
      call('patch', target, pathOf(target), {
        signal,
        body,
        type: PATCH_TYPES[type],
        query: [['fieldManager', 'claw']],
      }),
  }
}

type Extra = { signal: AbortSignal; query?: [string, string][]; body?: unknown; type?: string }

function pathOf({ resource, namespace, name, sub }: Target): string {
  const { group, version, plural } = resource
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`
  const parts = [plural, name, sub ?? ''].filter((part) => part !== '').map(encodeURIComponent)
  return `${root}/namespaces/${encodeURIComponent(namespace)}/${parts.join('/')}`
}

/** Credentials may come from a program that hangs (`exec` in a kubeconfig). Its errors quote what it printed. */
async function bounded(
  credentials: Promise<Credentials>,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Credentials> {
  const failed = (code: 'timeout' | 'unauthorized', why: string) =>
    new ClawError(code, `Kubernetes: the credentials of the kubeconfig ${why}`)
  let giveUp = () => {}
  const late = new Promise<never>((_, reject) => {
    giveUp = () => reject(failed('timeout', 'did not come in time'))
  })
  const timer = setTimeout(giveUp, timeoutMs)
  signal.addEventListener('abort', giveUp, { once: true })
  try {
    return await Promise.race([credentials.catch(() => Promise.reject(failed('unauthorized', 'cannot be had'))), late])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', giveUp)
  }
}

function unanswered({ reason }: NetworkFailure, timeoutMs: number, signal: AbortSignal): ClawError {
  const late = reason === timeoutReason(timeoutMs) || signal.aborted
  return new ClawError(late ? 'timeout' : 'unavailable', `Kubernetes: ${reason}`)
}

function refused(verb: Verb, target: Target, answer: HttpAnswer): ClawError {
  const { status } = answer
  const { resource, namespace } = target
  const said = statusSchema.safeParse(parse(answer)).data ?? {}
  const plural = target.sub === undefined ? resource.plural : `${resource.plural}/${target.sub}`
  const what = target.name === '' ? `${resource.plural} in ${namespace}` : nameOf(target)
  const group = resource.group === '' ? 'the core API group' : `API group ${resource.group}`
  switch (status) {
    case 401:
      return new ClawError(
        'unauthorized',
        'Kubernetes: the credentials are not accepted; check kubernetes.token, the kubeconfig or the service account',
      )
    case 403: {
      const denier = denierOf(said.message)
      return new ClawError(
        'forbidden',
        denier === null
          ? `Kubernetes: Claw may not ${verb} ${plural} (${group}) in namespace ${namespace}; its role needs that verb`
          : `Kubernetes: ${denier} does not allow to ${verb} ${what}`,
      )
    }
    case 404:
      // a missing object is named in the answer, a missing kind is not (API conventions, "Response Status Kind")
      return said.details?.name || resource.group !== 'argoproj.io'
        ? new ClawError('not_found', `Kubernetes: ${what} does not exist; check its name and kubernetes.namespace`)
        : new ClawError('not_found', `Kubernetes: ${what} not found; does this cluster know ${plural} (${group})?`)
    case 409:
      return new ClawError(
        'conflict',
        said.reason === 'AlreadyExists'
          ? `Kubernetes: ${what} exists already`
          : `Kubernetes: ${what} was changed meanwhile`,
      )
    default: {
      if (status === 408 || status === 429 || status >= 500) {
        return new ClawError('unavailable', `Kubernetes: ${verb} of ${what} answered ${status}`)
      }
      const fields = (said.details?.causes ?? []).flatMap(({ field }) => (field ? [field] : []))
      const why = denierOf(said.message) ?? (fields.length === 0 ? null : `not accepted: ${fields.join(', ')}`)
      return new ClawError(
        'invalid',
        `Kubernetes: ${verb} of ${what} was refused with ${status}${why === null ? '' : ` (${why})`}`,
      )
    }
  }
}

/** An admission webhook that said no. Only its name is told: its text may quote the object. */
function denierOf(message: string | null | undefined): string | null {
  const name = /admission webhook "([A-Za-z0-9._-]{1,253})" denied/.exec(message ?? '')?.[1]
  return name === undefined ? null : `admission webhook ${name}`
}

function parse(answer: HttpAnswer): unknown {
  try {
    return JSON.parse(answer.body.toString('utf8'))
  } catch {
    return undefined
  }
}
