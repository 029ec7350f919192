import http from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'

/** An object as the API server keeps it. */
export type Stored = {
  apiVersion: string
  kind: string
  metadata: Fields & { name: string; namespace: string; uid: string; resourceVersion: string; generation: number }
  spec?: Fields
  status?: Fields
  data?: Record<string, string>
}

export type Fields = { [key: string]: unknown }

export type Request = {
  method: string
  path: string
  type: string
  query: URLSearchParams
  headers: http.IncomingHttpHeaders
  body: string
}

export type FakeApi = {
  url: string
  token: string
  requests: Request[]
  /** creates an object; metadata that is left out is filled in as the server does */
  add(object: Fields): Stored
  /** the object as it is now; throws when it is not there */
  get(kind: string, name: string): Stored
  all(kind: string): Stored[]
  /** somebody else's change */
  change(kind: string, name: string, change: (object: Stored) => void): void
  remove(kind: string, name: string): void
  /** role without this verb on this resource, such as `patch`, `rollouts/status` */
  deny(verb: string, resource: string): void
  /** called for each PATCH and POST before it is applied */
  beforeWrite: (request: Request) => void
  /** answers instead of the server when it returns true */
  intercept: (request: Request, response: http.ServerResponse) => boolean
  /** Argo CD that puts spec and data of this object back right after each change, as long as `healing` is true */
  manage(kind: string, name: string): void
  healing: boolean
  close(): Promise<void>
}

const PLURALS: Record<string, [kind: string, group: string]> = {
  configmaps: ['ConfigMap', ''],
  deployments: ['Deployment', 'apps'],
  statefulsets: ['StatefulSet', 'apps'],
  replicasets: ['ReplicaSet', 'apps'],
  jobs: ['Job', 'batch'],
  cronjobs: ['CronJob', 'batch'],
  rollouts: ['Rollout', 'argoproj.io'],
  applications: ['Application', 'argoproj.io'],
}

const VERSIONS: Record<string, string> = { '': 'v1', apps: 'v1', batch: 'v1', 'argoproj.io': 'v1alpha1' }

/** The part of a Kubernetes API server that Claw uses: objects, versions, merge and JSON patches, subresources, roles. */
export async function fakeApi(
  options: { statusSubresource?: boolean; tls?: https.ServerOptions } = {},
): Promise<FakeApi> {
  const { statusSubresource = true, tls } = options
  const objects = new Map<string, Stored>()
  const managed = new Map<string, { spec: Fields | undefined; data: Record<string, string> | undefined }>()
  const denied = new Set<string>()
  let version = 1_000

  const bump = (object: Stored) => {
    version += 1
    object.metadata.resourceVersion = `${version}`
  }
  const idOf = (kind: string, name: string) => {
    const id = [...objects.keys()].find((one) => one.startsWith(`${kind} `) && one.endsWith(`/${name}`))
    if (id === undefined) throw new Error(`no ${kind} ${name}`)
    return id
  }
  const at = (id: string): Stored => {
    const object = objects.get(id)
    if (object === undefined) throw new Error(`no ${id}`)
    return object
  }

  const api: FakeApi = {
    url: '',
    token: 'sandbox',
    requests: [],
    add(given) {
      const copy = structuredClone(given)
      const metadata = fields(copy.metadata)
      const object = {
        ...copy,
        metadata: { namespace: 'edge', uid: `uid-${version + 1}`, generation: 1, ...metadata, resourceVersion: '' },
      } as unknown as Stored
      bump(object)
      objects.set(`${object.kind} ${object.metadata.namespace}/${object.metadata.name}`, object)
      return object
    },
    get: (kind, name) => at(idOf(kind, name)),
    all: (kind) => [...objects.values()].filter((object) => object.kind === kind),
    change(kind, name, change) {
      const object = at(idOf(kind, name))
      change(object)
      bump(object)
    },
    remove: (kind, name) => void objects.delete(idOf(kind, name)),
    deny: (verb, resource) => void denied.add(`${verb} ${resource}`),
    beforeWrite: () => {},
    intercept: () => false,
    manage(kind, name) {
      const id = idOf(kind, name)
      const { spec, data } = at(id)
      managed.set(id, structuredClone({ spec, data }))
    },
    healing: true,
    close() {
      server.closeAllConnections()
      return new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }

  function heal(id: string): void {
    const git = managed.get(id)
    const object = objects.get(id)
    if (!api.healing || git === undefined || object === undefined) return
    if (git.spec !== undefined) object.spec = structuredClone(git.spec)
    if (git.data !== undefined) object.data = structuredClone(git.data)
    object.metadata.generation += 1
    bump(object)
  }

  function answer(request: Request, response: http.ServerResponse): unknown {
    if (api.intercept(request, response)) return null
    if (request.headers.authorization !== `Bearer ${api.token}`)
      return fail(response, 401, 'Unauthorized', 'Unauthorized')
    const match =
      /^\/api(?:s\/([^/]+))?\/([^/]+)\/namespaces\/([^/]+)\/([^/]+)(?:\/([^/]+)(?:\/(status|scale))?)?$/.exec(
        request.path,
      )
    const [, group = '', apiVersion = '', namespace = '', plural = '', name = '', sub] = match ?? []
    const [kind, wantedGroup] = PLURALS[plural] ?? []
    const known = kind !== undefined && wantedGroup === group && VERSIONS[group] === apiVersion
    if (!known || (sub === 'status' && !statusSubresource)) {
      response.writeHead(404, { 'Content-Type': 'text/plain' })
      return response.end('404 page not found\n')
    }
    const resource = sub === undefined ? plural : `${plural}/${sub}`
    const verb = { GET: name === '' ? 'list' : 'get', POST: 'create', PATCH: 'patch' }[request.method] ?? request.method
    const full = group === '' ? plural : `${plural}.${group}`
    if (denied.has(`${verb} ${resource}`)) {
      const user = 'User "system:serviceaccount:claw:claw"'
      const text = `${full} "${name}" is forbidden: ${user} cannot ${verb} resource "${resource}" in API group "${group}" in the namespace "${namespace}"`
      return fail(response, 403, 'Forbidden', text, { name, group, kind: plural })
    }
    if (verb === 'list')
      return send(response, 200, { kind: `${kind}List`, items: listed(kind, namespace, request.query) })
    if (verb === 'create') return create(response, request, kind, namespace)
    const id = `${kind} ${namespace}/${name}`
    if (verb === 'patch') api.beforeWrite(request)
    const object = objects.get(id)
    if (object === undefined) {
      return fail(response, 404, 'NotFound', `${full} "${name}" not found`, { name, group, kind: plural })
    }
    if (verb === 'get') return send(response, 200, sub === 'scale' ? scaleOf(object) : object)
    return patch(response, request, id, object, sub)
  }

  function listed(kind: string, namespace: string, query: URLSearchParams): Stored[] {
    const wanted = (query.get('labelSelector') ?? '').split(',').filter((one) => one !== '')
    return api.all(kind).filter((object) => {
      const labels = fields(object.metadata.labels)
      return (
        object.metadata.namespace === namespace &&
        wanted.every((one) => `${labels[one.split('=')[0] ?? '']}` === one.split('=')[1])
      )
    })
  }

  function create(response: http.ServerResponse, request: Request, kind: string, namespace: string): unknown {
    api.beforeWrite(request)
    const object = fields(JSON.parse(request.body))
    const { name } = fields(object.metadata)
    if (objects.has(`${kind} ${namespace}/${String(name)}`)) {
      return fail(response, 409, 'AlreadyExists', `"${String(name)}" already exists`, { name })
    }
    return send(response, 201, api.add({ ...object, kind, metadata: { ...fields(object.metadata), namespace } }))
  }

  function patch(
    response: http.ServerResponse,
    request: Request,
    id: string,
    object: Stored,
    sub: string | undefined,
  ): unknown {
    const shown: unknown = structuredClone(sub === 'scale' ? scaleOf(object) : object)
    const body: unknown = JSON.parse(request.body)
    const changed =
      request.type === 'application/merge-patch+json'
        ? merged(shown, body)
        : request.type === 'application/json-patch+json'
          ? jsonPatched(shown, body)
          : null
    if (changed === null) return fail(response, 415, 'UnsupportedMediaType', `${request.type} is not supported`)
    const result = fields(changed)
    if (fields(result.metadata).resourceVersion !== object.metadata.resourceVersion) {
      return fail(
        response,
        409,
        'Conflict',
        'the object has been modified; please apply your changes to the latest version',
      )
    }
    if (sub === 'status') object.status = fields(result.status)
    else if (sub === 'scale') object.spec = { ...object.spec, replicas: fields(result.spec).replicas }
    else Object.assign(object, result, statusSubresource && object.status ? { status: object.status } : {})
    if (sub !== 'status') object.metadata.generation += 1
    bump(object)
    const text = sub === 'scale' ? scaleOf(object) : structuredClone(object)
    if (sub !== 'status') heal(id)
    return send(response, 200, text)
  }

  const listener: http.RequestListener = (incoming, response) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      const url = new URL(incoming.url ?? '/', 'http://localhost')
      const request = {
        method: incoming.method ?? '',
        path: decodeURIComponent(url.pathname),
        type: incoming.headers['content-type'] ?? '',
        query: url.searchParams,
        headers: incoming.headers,
        body: Buffer.concat(chunks).toString('utf8'),
      }
      api.requests.push(request)
      answer(request, response)
    })
  }
  const server = tls === undefined ? http.createServer(listener) : https.createServer(tls, listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  api.url = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`
  return api
}

export function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {}
}

function scaleOf({ metadata, spec }: Stored): Fields {
  const { name, namespace, uid, resourceVersion } = metadata
  return {
    apiVersion: 'autoscaling/v1',
    kind: 'Scale',
    metadata: { name, namespace, uid, resourceVersion },
    spec: { replicas: spec?.replicas },
  }
}

/** RFC 7386 */
function merged(target: unknown, change: unknown): unknown {
  if (typeof change !== 'object' || change === null || Array.isArray(change)) return change
  const result = { ...fields(target) }
  for (const [key, value] of Object.entries(change)) {
    if (value === null) delete result[key]
    else result[key] = merged(result[key], value)
  }
  return result
}

/** RFC 6902, `replace` of members of objects, which is all that is used */
function jsonPatched(target: unknown, operations: unknown): unknown {
  for (const operation of Array.isArray(operations) ? operations : []) {
    const { op, path, value } = fields(operation)
    const names = String(path).split('/').slice(1)
    const last = names.pop() ?? ''
    let parent = fields(target)
    for (const name of names) parent = fields(parent[name])
    if (op !== 'replace' || !(last in parent)) throw new Error(`the fake knows no ${String(op)} of ${String(path)}`)
    parent[last] = value
  }
  return target
}

function send(response: http.ServerResponse, code: number, body: unknown): unknown {
  response.writeHead(code, { 'Content-Type': 'application/json' })
  return response.end(JSON.stringify(body))
}

function fail(
  response: http.ServerResponse,
  code: number,
  reason: string,
  message: string,
  details: Fields = {},
): unknown {
  return send(response, code, {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    reason,
    details,
    code,
  })
}
