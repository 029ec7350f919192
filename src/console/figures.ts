import type { EdgeRegion } from '../core/edge.ts'
import type { Sample } from './page.ts'

/** At most three digits that matter: `0.04`, `1.5`, `240`, `12 k`. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return 'unknown'
  // What decays towards nothing is nothing: no 2.3e-7.
  if (Math.abs(value) < 0.001) return '0'
  if (Math.abs(value) >= 10_000) return `${Math.round(value / 1000)} k`
  return String(Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(2)))
}

/** A whole percent of a ratio 0..1, but never 0 % for something that is not empty. */
export function percent(ratio: number): string {
  const value = ratio * 100
  return value > 0 && value < 1 ? 'under 1 %' : `${Math.round(value)} %`
}

const unit = (value: number | null, name: string): string | null => (value === null ? null : `${figure(value)}${name}`)

/** Width and height of a spark line, in its own units. */
const SPARK = { width: 120, height: 28 }
/** Points of a spark line; more than this cannot be told apart. */
const SPARK_POINTS = 60

/** From system.md, section 2: nearly empty, falling low, partly empty. */
function levelOf(ratio: number): { tone: string; word: string } {
  if (ratio < 0.1) return { tone: 'bad', word: 'nearly empty' }
  if (ratio < 0.2) return { tone: 'bad', word: 'low' }
  return ratio < 0.5 ? { tone: 'wait', word: 'partly empty' } : { tone: 'ok', word: 'filled' }
}

function healthOf({ healthy, receiving }: EdgeRegion): { tone: string; word: string } {
  if (healthy === false) return { tone: 'bad', word: 'Not healthy' }
  if (receiving === false) return { tone: 'wait', word: 'Receives no traffic' }
  return healthy === null ? { tone: 'wait', word: 'Health unknown' } : { tone: 'ok', word: 'Healthy' }
}

/** One region as the first page shows it, with the last hour's level as a line. */
export function regionCard(region: EdgeRegion, history: readonly Sample[]) {
  const ratio = region.bucket?.ratio ?? null
  return {
    name: region.region,
    health: healthOf(region),
    ratio,
    width: ratio === null ? 0 : Math.round(Math.min(1, Math.max(0, ratio)) * 1000) / 10,
    percent: ratio === null ? null : percent(ratio),
    level: ratio === null ? { tone: 'wait', word: 'unknown' } : levelOf(ratio),
    spark: sparkOf(region.region, history),
    facts: [
      { name: 'Sync lag', value: unit(region.syncLagSeconds, ' s'), alarming: (region.syncLagSeconds ?? 0) > 0.5 },
      {
        name: 'Conflicts',
        value: unit(region.conflictsPerMinute, '/min'),
        alarming: (region.conflictsPerMinute ?? 0) > 10,
      },
      { name: 'Traffic', value: unit(region.requestRate, '/s'), alarming: false },
      {
        name: 'Refused',
        value: region.refusedRatio === null ? null : percent(region.refusedRatio),
        alarming: (region.refusedRatio ?? 0) > 0.05,
      },
      {
        name: 'Latency p95',
        value: region.p95LatencySeconds === null ? null : `${figure(region.p95LatencySeconds * 1000)} ms`,
        alarming: (region.p95LatencySeconds ?? 0) > 0.2,
      },
      {
        name: 'Canary',
        value: unit(region.canaryWeight, ' %'),
        alarming: region.ratingScore !== null && region.ratingScore < 0.7 && (region.canaryWeight ?? 0) > 0,
      },
      { name: 'Version', value: region.version, alarming: false },
    ],
  }
}

/** Points of a polyline, oldest left; null when there are fewer than two. */
function sparkOf(name: string, history: readonly Sample[]): string | null {
  const every = Math.max(1, Math.ceil(history.length / SPARK_POINTS))
  const [first, last] = [history[0], history.at(-1)]
  if (!first || !last || last.at <= first.at) return null
  const points = history.flatMap((sample, i) => {
    if ((history.length - 1 - i) % every !== 0) return []
    const ratio = sample.regions.find(({ region }) => region === name)?.bucket?.ratio
    if (ratio === undefined) return []
    const x = ((sample.at - first.at) / (last.at - first.at)) * SPARK.width
    const y = 1 + (1 - Math.min(1, Math.max(0, ratio))) * (SPARK.height - 2)
    return [`${x.toFixed(1)},${y.toFixed(1)}`]
  })
  return points.length < 2 ? null : points.join(' ')
}
