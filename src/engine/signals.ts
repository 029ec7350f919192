import { type Clock, SECOND } from '../core/clock.ts'
import type { SignalSource } from '../core/signal.ts'

export type BucketLevel = {
  ratio: number
  trend: 'falling' | 'rising' | 'steady' | null
  source: 'edge' | 'prometheus'
}

export type Signals = {
  /** some source can say whether a region answers */
  readonly configured: boolean
  /** the lowest level over the regions; null when no source knows. Waits at most `PATIENCE`. */
  bucket(regions: readonly string[]): Promise<BucketLevel | null>
  /** whether every one of the regions gives a sign of life (system.md, section 3: believed resolves) */
  answers(regions: readonly string[]): Promise<boolean>
}

/** A page must not wait for a slow edge: after this it goes out with what is known. */
const PATIENCE = 300
const FRESH = 5 * SECOND
/** Samples closer together than this say nothing about the trend. */
const TREND_SPAN = 5 * SECOND
const MAX_REGIONS = 20

type Sample = { ratio: number; at: number }

/** Asks the edge first, then Prometheus (contract.md, section 8), with a short memory. */
export function createSignals(sources: readonly SignalSource[], clock: Clock): Signals {
  const memory = new Map<string, { level: BucketLevel | null; at: number; previous: Sample | null }>()

  async function ask(region: string, signal: AbortSignal): Promise<BucketLevel | null> {
    for (const source of sources) {
      const ratio = await source.bucketRatio(region, signal)
      if (ratio !== null) return { ratio, trend: null, source: source.name }
    }
    return null
  }

  async function level(region: string): Promise<BucketLevel | null> {
    const now = clock()
    const known = memory.get(region)
    if (known && now - known.at < FRESH) return known.level
    const found = await within(PATIENCE, (signal) => ask(region, signal))
    if (found === undefined) return known?.level ?? null
    const last: Sample | null = known?.level ? { ratio: known.level.ratio, at: known.at } : null
    const previous = last && now - last.at >= TREND_SPAN ? last : (known?.previous ?? null)
    if (memory.size > 1000) memory.clear()
    const withTrend = found && { ...found, trend: trendOf(previous, found.ratio) }
    memory.set(region, { level: withTrend, at: now, previous })
    return withTrend
  }

  return {
    configured: sources.length > 0,
    async bucket(regions) {
      if (sources.length === 0) return null
      const asked = regions.length > 0 ? regions.slice(0, MAX_REGIONS) : ['']
      const levels = (await Promise.all(asked.map(level))).filter((found) => found !== null)
      return levels.reduce<BucketLevel | null>((low, one) => (low === null || one.ratio < low.ratio ? one : low), null)
    },
    async answers(regions) {
      const asked = regions.length > 0 ? regions.slice(0, MAX_REGIONS) : ['']
      const answers = await Promise.all(
        asked.map((region) => within(5 * SECOND, (signal) => presence(sources, region, signal))),
      )
      return answers.every((answer) => answer === 'present')
    },
  }
}

/**
 * Prometheus is what Alertmanager's "resolved" rests on, so its silence about a region outweighs an edge that still lists
 * it; a source that does not answer at all says nothing, and the other decides.
 */
async function presence(
  sources: readonly SignalSource[],
  region: string,
  signal: AbortSignal,
): Promise<'present' | 'gone' | 'unreachable'> {
  const answers = await Promise.all(sources.map((source) => source.presence(region, signal)))
  if (answers.includes('gone')) return 'gone'
  return answers.includes('present') ? 'present' : 'unreachable'
}

function trendOf(previous: Sample | null, ratio: number): BucketLevel['trend'] {
  if (previous === null) return null
  const change = ratio - previous.ratio
  return change < -0.01 ? 'falling' : change > 0.01 ? 'rising' : 'steady'
}

/** Runs `work` for at most `ms`; undefined when it took longer. */
async function within<T>(ms: number, work: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
  const controller = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms)
  })
  try {
    return await Promise.race([work(controller.signal), late])
  } finally {
    clearTimeout(timer)
    controller.abort()
  }
}
