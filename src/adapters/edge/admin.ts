import { z } from 'zod'
import type { EdgeAct, EdgeAdmin, EdgeConflict, EdgeOperation } from '../../core/edge.ts'
import { ClawError } from '../../core/errors.ts'
import {
  authorization,
  getJson,
  type JsonAnswer,
  problemDetail,
  quote,
  type RefusalContext,
  refusal,
  resolveUrl,
  sendJson,
} from '../http.ts'
import { oneLine, readRegions } from './regions.ts'

export type EdgeAdminOptions = {
  url: string
  token: string
  /** `edge.regions.<R>.url`: where a region answers itself; asked first for its health */
  regions?: Readonly<Record<string, { url: string }>>
  /** for one call; default 5 000 */
  timeoutMs?: number
}

/** Bounds of what is asked and taken; the contract names none. */
const LIMITS = {
  /** keys of one listing of conflicts */
  conflicts: 1_000,
  /** characters of an id that the edge gives */
  id: 200,
  /** characters of a diverged key that are told apart */
  key: 500,
  bytes: 8 * 1024 * 1024,
  /** of a listing of conflicts: an edge that passes over the limit has very many when it matters most */
  conflictBytes: 32 * 1024 * 1024,
}

const id = z.string().min(1).max(LIMITS.id).transform(oneLine)
const startedSchema = z.object({ operation: id })
const snapshotSchema = z.object({ snapshot: id })

const operationSchema = z.object({
  id,
  kind: z.string().transform(oneLine).catch(''),
  state: z.enum(['running', 'succeeded', 'failed']),
  progress: z.number().nullish().catch(null),
  detail: z.string().nullish().catch(null),
  ended_at: z.string().nullish().catch(null),
})

/** `since`: RFC 3339, or ms since the epoch. A malformed entry makes the answer unusable: what is overlooked would count as settled. */
const conflictsSchema = z.object({
  // An edge that passes over the limit is not read to its end.
  conflicts: z
    .array(z.unknown())
    .transform((all) => all.slice(0, LIMITS.conflicts))
    .pipe(
      z.array(
        z.object({
          key: z.string().transform((key) => oneLine(key).slice(0, LIMITS.key)),
          values: z.record(z.string(), z.number()),
          since: z.union([z.string(), z.number()]).nullish().catch(null),
        }),
      ),
    ),
})

/**
 * The edge's admin API (contract.md, section 5): fresh reads, and what Claw may do there. Every POST and PUT carries the
 * caller's key as Idempotency-Key and is sent once: the caller repeats it, under the same key. Errors as `refusal` of
 * adapters/http.ts maps them, with the edge's own `detail`. A success that gives no operation id is `unavailable`: what
 * answered may not have been the edge, and asking again under the same key can do no harm.
 * @throws ClawError('invalid') when an URL is no http(s) URL
 */
export function createEdgeAdmin(options: EdgeAdminOptions): EdgeAdmin {
  const { url, token, timeoutMs = 5_000 } = options
  const at = (path: string, query: [string, string][] = []) => resolveUrl('edge.url', url, path, query)
  at('')
  const own = new Map(
    Object.entries(options.regions ?? {}).map(([region, { url: base }]) => [
      region,
      resolveUrl(`edge.regions.${region}.url`, base, '/health'),
    ]),
  )
  const bearer = { Authorization: authorization({ token }) }

  const get = (target: URL, signal: AbortSignal, maxBytes = LIMITS.bytes) =>
    getJson(target, { headers: bearer, timeoutMs, signal, maxBytes, traced: 'edge' })

  const send = (method: 'POST' | 'PUT', path: string, content: object, key: string, signal: AbortSignal) =>
    sendJson(method, at(`/admin/v1${path}`), content, {
      // a key may hold a person's or an installation's name; headers take ASCII only
      headers: { ...bearer, 'Idempotency-Key': encodeURIComponent(key.toWellFormed()) },
      timeoutMs,
      signal,
      maxBytes: LIMITS.bytes,
      traced: 'edge',
    })

  /** @throws ClawError for anything but an answer of the wanted form */
  function read<T>(what: string, answer: JsonAnswer, schema: z.ZodType<T>, missing: string): T {
    if (!answer.ok) throw refused(what, answer)
    const parsed = schema.safeParse(answer.body)
    if (parsed.success) return parsed.data
    throw new ClawError('unavailable', `Edge, ${what}: answered ${answer.status}, but ${missing}`)
  }

  function refused(what: string, answer: Failure): ClawError {
    return refusal(answer, { ...CONTEXT, where: `Edge, ${what}`, said: problemDetail(answer.body), secrets: [token] })
  }

  return {
    async regions(signal) {
      const answer = await get(at('/admin/v1/regions'), signal)
      if (!answer.ok) throw refused('regions', answer)
      const regions = readRegions(answer.body)
      if (regions === null) throw new ClawError('unavailable', 'Edge, regions: the answer has no list of regions')
      return regions
    },

    async conflicts(region, limit, signal) {
      const asked = Math.min(Math.max(Math.trunc(limit), 1), LIMITS.conflicts)
      const query: [string, string][] = region === null ? [] : [['region', region]]
      const target = at('/admin/v1/conflicts', [...query, ['limit', String(asked)]])
      const answer = await get(target, signal, LIMITS.conflictBytes)
      const { conflicts } = read('conflicts', answer, conflictsSchema, 'not with a list of conflicts')
      return conflicts
        .slice(0, asked)
        .map(({ key, values, since }): EdgeConflict => ({ key, values, since: timeOf(since ?? null) }))
    },

    async start(act, key, signal) {
      const { path, body } = requestOf(act)
      const answer = await send('POST', path, body, key, signal)
      return read(titleOf(act), answer, startedSchema, 'gave no operation to wait for').operation
    },

    async operation(name, signal) {
      const answer = await get(at(`/admin/v1/operations/${encodeURIComponent(name.toWellFormed())}`), signal)
      const found = read(`operation ${quote(name)}`, answer, operationSchema, 'not with an operation')
      return {
        id: found.id,
        kind: found.kind,
        state: found.state,
        progress: typeof found.progress === 'number' ? Math.min(Math.max(found.progress, 0), 1) : null,
        detail: quote(found.detail, [token]),
        endedAt: timeOf(found.ended_at ?? null),
      } satisfies EdgeOperation
    },

    async snapshot(regions, by, incident, key, signal) {
      const answer = await send('POST', '/snapshots', { regions, by, incident }, key, signal)
      if (!answer.ok && answer.status === 404) return null
      return read('snapshot', answer, snapshotSchema, 'gave no snapshot').snapshot
    },

    async setCanary(weight, by, key, signal) {
      const answer = await send('PUT', '/canary', { weight, by }, key, signal)
      if (!answer.ok) throw refused(`canary weight ${weight} %`, answer)
    },

    async health(region, signal) {
      const itself = region === null ? undefined : own.get(region)
      if (itself !== undefined) {
        const said = health(await get(itself, signal))
        if ('serving' in said) return said
      }
      const said = health(await get(at('/health', region === null ? [] : [['region', region]]), signal))
      if ('serving' in said) return said
      throw refused(region === null ? 'health' : `health of ${region}`, said)
    },
  }

  /** 2xx serves, 5xx does not; the answer itself when it is about something else: no connection, credentials, an unknown region. */
  function health(answer: JsonAnswer): { serving: boolean; detail: string } | Failure {
    const said = quote(problemDetail(answer.body), [token])
    const detail = `answered ${answer.status}${said === '' ? '' : `: ${said}`}`
    if (answer.ok) return { serving: true, detail }
    // a body that is no JSON is as good here
    if (answer.status !== null && answer.status <= 299) return { serving: true, detail }
    return answer.status !== null && answer.status >= 500 ? { serving: false, detail } : answer
  }
}

type Failure = Extract<JsonAnswer, { ok: false }>

const CONTEXT = { credentials: 'edge.token', address: 'edge.url' } satisfies Partial<RefusalContext>

/** contract.md, section 5: capacity takes no incident */
function requestOf(act: EdgeAct): { path: string; body: object } {
  const { by, incident } = act
  switch (act.kind) {
    case 'reconcile':
      return { path: '/reconcile', body: { regions: act.regions, policy: act.policy, by, incident } }
    case 'reset':
      return { path: '/buckets/reset', body: { region: act.region, by, incident } }
    case 'capacity': {
      const { region, factor, ttlSeconds } = act
      return { path: '/buckets/capacity', body: { region, factor, ttl_seconds: ttlSeconds, by } }
    }
    case 'scale': {
      const { region, replicas, ttlSeconds } = act
      return { path: '/scale', body: { region, replicas, ttl_seconds: ttlSeconds, by, incident } }
    }
    case 'revert':
      return { path: '/versions/revert', body: { region: act.region, by, incident } }
    case 'failover':
      return { path: '/failover', body: { from: act.from, to: act.to, by, incident } }
  }
}

function titleOf(act: EdgeAct): string {
  if (act.kind === 'failover') return `failover from ${act.from} to ${act.to}`
  if (act.kind !== 'reconcile') return `${act.kind} of ${act.region}`
  return act.regions.length === 0 ? 'reconcile' : `reconcile of ${act.regions.join(', ')}`
}

function timeOf(since: string | number | null): number | null {
  const ms = typeof since === 'string' ? Date.parse(since) : since
  return ms === null || Number.isNaN(ms) ? null : ms
}
