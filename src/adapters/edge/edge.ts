import type { Clock } from '../../core/clock.ts'
import type { EdgeRegion, EdgeRegions } from '../../core/edge.ts'
import type { SignalSource } from '../../core/signal.ts'
import { authorization, getJson, resolveUrl } from '../http.ts'
import { readRegions } from './regions.ts'

export type EdgeOptions = {
  url: string
  token: string
  /** `edge.regions.<R>.url`: where a region's own admin API answers; asked first for that region */
  regions?: Readonly<Record<string, { url: string }>>
  /** for one call; default 3 000 */
  timeoutMs?: number
  clock?: Clock
}

export type Edge = SignalSource & {
  /** All regions, at most one second old. Never rejects; `reason` holds no address and no token. */
  regions(signal: AbortSignal): Promise<EdgeRegions>
}

/** How long an answer serves everyone who asks: an alert storm must not become a storm on the edge. */
const FRESH_MS = 1_000

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
      const value = read(await getJson(target, { headers, timeoutMs, signal: shared, traced: 'edge' }))
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
  const regions = readRegions(answer.body)
  return regions === null ? { ok: false, reason: 'Edge: the answer has no list of regions' } : { ok: true, regions }
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
