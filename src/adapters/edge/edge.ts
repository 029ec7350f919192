import { z } from 'zod'
import type { Clock } from '../../core/clock.ts'
import type { SignalSource } from '../../core/signal.ts'
import { authorization, getJson, resolveUrl } from '../http.ts'

export type EdgeOptions = {
  url: string
  token: string
  /** `edge.regions.<R>.url`: where a region's own admin API answers; asked first for that region */
  regions?: Readonly<Record<string, { url: string }>>
  /** for one call; default 3 000 */
  timeoutMs?: number
  clock?: Clock
}

/** One region as the edge reports it; null for what it left out. Units are in the names, ratios are 0..1. */
export type EdgeRegion = {
  region: string
  healthy: boolean | null
  receiving: boolean | null
  bucket: { capacity: number | null; available: number | null; ratio: number } | null
  syncLagSeconds: number | null
  conflictsPerMinute: number | null
  p95LatencySeconds: number | null
  errorRatio: number | null
  canaryWeight: number | null
  version: string | null
  /** requests a second */
  requestRate: number | null
  refusedRatio: number | null
  /** tokens a second */
  refillRate: number | null
  nodes: unknown[] | null
}

export type EdgeRegions = { ok: true; regions: EdgeRegion[] } | { ok: false; reason: string }

export type Edge = SignalSource & {
  /** All regions, at most one second old. Never rejects; `reason` holds no address and no token. */
  regions(signal: AbortSignal): Promise<EdgeRegions>
}

/** How long an answer serves everyone who asks: an alert storm must not become a storm on the edge. */
const FRESH_MS = 1_000

const figure = z.number().nullish().catch(null)
const text = z.string().nullish().catch(null)
const flag = z.boolean().nullish().catch(null)

/** contract.md, section 5; a field that is missing or malformed costs only itself */
const regionSchema = z.object({
  region: z.string(),
  healthy: flag,
  receiving: flag,
  bucket: z.object({ capacity: figure, available: figure, ratio: figure }).nullish().catch(null),
  sync_lag_seconds: figure,
  conflicts_per_minute: figure,
  p95_latency_seconds: figure,
  error_ratio: figure,
  canary_weight: figure,
  version: text,
  request_rate: figure,
  refused_ratio: figure,
  refill_rate: figure,
  nodes: z.array(z.unknown()).nullish().catch(null),
})

const answerSchema = z.object({ regions: z.array(z.unknown()) })

/**
 * The edge's admin API, as far as Claw reads it. A region is `present` while it is listed with bucket data, healthy or not, and
 * `gone` when it is not listed or its bucket is missing.
 * @throws ClawError('invalid') when an URL is no http(s) URL
 */
export function createEdge(options: EdgeOptions): Edge {
  const { url, token, timeoutMs = 3_000, clock = Date.now } = options
  const all = source('edge.url', url)
  const own = new Map(
    Object.entries(options.regions ?? {}).map(([region, at]) => [region, source(`edge.regions.${region}.url`, at.url)]),
  )

  /** One admin API: a cache of a second, and one request under way that everyone shares. */
  function source(what: string, base: string): (signal: AbortSignal) => Promise<EdgeRegions> {
    const target = resolveUrl(what, base, '/admin/v1/regions')
    const headers = { Authorization: authorization({ token }) }
    let cached: { value: EdgeRegions; at: number } | null = null
    let underWay: Promise<EdgeRegions> | null = null
    // belongs to no caller: one who gives up must not take the answer from the others
    const { signal: shared } = new AbortController()

    const ask = async (): Promise<EdgeRegions> => {
      const value = read(await getJson(target, { headers, timeoutMs, signal: shared }))
      cached = { value, at: clock() }
      underWay = null
      return value
    }
    return async (signal) => {
      const age = cached === null ? Infinity : clock() - cached.at
      if (cached !== null && age >= 0 && age < FRESH_MS) return cached.value
      underWay ??= ask()
      return await untilAborted(underWay, signal)
    }
  }

  /** The region's own API where it has one and that answers; else what the edge as a whole says. */
  async function find(region: string, signal: AbortSignal): Promise<EdgeRegion[] | null> {
    const ask = own.get(region)
    const first = ask === undefined ? null : await ask(signal)
    const answer = first?.ok ? first : await all(signal)
    if (!answer.ok) return null
    return answer.regions.filter((entry) => region === '' || entry.region === region)
  }

  return {
    name: 'edge',
    regions: all,
    async presence(region, signal) {
      const found = await find(region, signal)
      if (found === null) return 'unreachable'
      return found.some((entry) => entry.bucket !== null) ? 'present' : 'gone'
    },
    async bucketRatio(region, signal) {
      const found = await find(region, signal)
      const ratios = (found ?? []).flatMap((entry) => (entry.bucket === null ? [] : [entry.bucket.ratio]))
      return ratios.length === 0 ? null : Math.min(...ratios)
    },
  }
}

function read(answer: Awaited<ReturnType<typeof getJson>>): EdgeRegions {
  if (!answer.ok) {
    const hint = answer.status === 401 || answer.status === 403 ? '; check edge.token' : ''
    return { ok: false, reason: `Edge: ${answer.reason}${hint}` }
  }
  const parsed = answerSchema.safeParse(answer.body)
  if (!parsed.success) return { ok: false, reason: 'Edge: the answer has no list of regions' }
  return { ok: true, regions: parsed.data.regions.flatMap(readRegion) }
}

/** An entry without a name says nothing of any region, and is skipped. */
function readRegion(entry: unknown): EdgeRegion[] {
  const parsed = regionSchema.safeParse(entry)
  if (!parsed.success) return []
  const { data } = parsed
  return [
    {
      region: data.region,
      healthy: data.healthy ?? null,
      receiving: data.receiving ?? null,
      bucket: readBucket(data.bucket),
      syncLagSeconds: data.sync_lag_seconds ?? null,
      conflictsPerMinute: data.conflicts_per_minute ?? null,
      p95LatencySeconds: data.p95_latency_seconds ?? null,
      errorRatio: data.error_ratio ?? null,
      canaryWeight: data.canary_weight ?? null,
      version: data.version ?? null,
      requestRate: data.request_rate ?? null,
      refusedRatio: data.refused_ratio ?? null,
      refillRate: data.refill_rate ?? null,
      nodes: data.nodes ?? null,
    },
  ]
}

/** A bucket without a ratio, given or computable, is no data. */
function readBucket(bucket: z.infer<typeof regionSchema>['bucket']): EdgeRegion['bucket'] {
  if (bucket === null || bucket === undefined) return null
  const capacity = bucket.capacity ?? null
  const available = bucket.available ?? null
  const computed = capacity !== null && available !== null && capacity > 0 ? available / capacity : null
  const ratio = bucket.ratio ?? computed
  return ratio === null ? null : { capacity, available, ratio: Math.min(Math.max(ratio, 0), 1) }
}

/** `answer`, or an unreachable edge for the one caller whose signal ends first. */
function untilAborted(answer: Promise<EdgeRegions>, signal: AbortSignal): Promise<EdgeRegions> {
  const stopped: EdgeRegions = { ok: false, reason: 'Edge: stopped before the answer came' }
  if (signal.aborted) return Promise.resolve(stopped)
  return new Promise((resolve) => {
    const stop = () => resolve(stopped)
    signal.addEventListener('abort', stop, { once: true })
    void answer.then((value) => {
      signal.removeEventListener('abort', stop)
      resolve(value)
    })
  })
}
