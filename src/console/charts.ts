import type { Router } from 'express'
import { HOUR, MINUTE } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import { correlations } from './correlate.ts'
import { figure, percent } from './figures.ts'
import { type ChartQueries, queryOf, type RangeQuery, type Sample, type Series, type Shell } from './page.ts'
import { moment } from './present.ts'

/** Columns of a heat map, points of a series. */
const POINTS = 120
/** Columns of the tables that say the same. */
const TABLE_POINTS = 12
const MAX_REGIONS = 50

const SPANS = [
  { name: '15m', text: '15 minutes', ms: 15 * MINUTE },
  { name: '1h', text: '1 hour', ms: HOUR },
  { name: '6h', text: '6 hours', ms: 6 * HOUR },
  { name: '24h', text: '24 hours', ms: 24 * HOUR },
] as const

type Values = (number | null)[][]

/** Figures of all regions over one stretch of time: `values[region][point]`, null where nothing is known. */
export type Frame = {
  source: 'prometheus' | 'memory' | 'none'
  /** why there is nothing, or less than asked for; null when all is well */
  problem: string | null
  /** ms since the epoch, the beginning of each point */
  times: number[]
  regions: string[]
  /** ratio 0..1; lag and jitter in seconds; conflicts a minute */
  bucket: Values
  lag: Values
  jitter: Values
  conflicts: Values
}

/** `/charts` and its figures as JSON under `/console-data/charts`. */
export function chartPages(router: Router, shell: Shell): void {
  async function frameOf(span: number): Promise<Frame> {
    const now = shell.clock()
    const prometheus = shell.prometheus()
    if (prometheus !== null) {
      try {
        return await fromPrometheus(prometheus, now, span)
      } catch (error) {
        return { ...fromMemory(shell.watch()?.history() ?? [], now, span), problem: messageOf(error) }
      }
    }
    return fromMemory(shell.watch()?.history() ?? [], now, span)
  }

  router.get('/charts', async (req, res) => {
    const span = spanOf(queryOf(req).get('span'))
    const frame = await frameOf(span.ms)
    await shell.show(req, res, 'charts', {
      live: false,
      spans: SPANS.map(({ name, text }) => ({ name, text, chosen: name === span.name })),
      span: span.name,
      // Claw itself remembers an hour; more is Prometheus's.
      short: frame.source === 'memory' && span.ms > HOUR,
      source: frame.source,
      problem: frame.problem,
      nothing: frame.regions.length === 0,
      ...tablesOf(frame),
      matrix: matrixOf(frame),
    })
  })

  router.get('/console-data/charts', async (req, res) => {
    const frame = await frameOf(spanOf(queryOf(req).get('span')).ms)
    res.setHeader('Content-Type', 'application/json; charset=utf-8')
    res.end(JSON.stringify({ ...frame, times: frame.times.map((at) => at / 1000), matrix: matrixOf(frame) }))
  })
}

const spanOf = (name: string | null) => SPANS.find((span) => span.name === name) ?? SPANS[1]

function emptyFrame(source: Frame['source'], times: number[], regions: string[]): Frame {
  const blank = (): Values => regions.map(() => times.map(() => null))
  return { source, problem: null, times, regions, bucket: blank(), lag: blank(), jitter: blank(), conflicts: blank() }
}

/** Each point holds the last sample that fell into it. */
export function fromMemory(history: readonly Sample[], now: number, span: number): Frame {
  const [first] = history
  if (!first) return emptyFrame('none', [], [])
  // What is shorter than asked for fills the chart all the same.
  const from = Math.max(now - span, first.at)
  const shown = history.filter(({ at }) => at >= from)
  // Never narrower than the pauses between samples, or a chart would be full of holes.
  const step = Math.max(1, Math.ceil((now - from + 1) / POINTS), Math.ceil(1.5 * usualPause(shown)))
  const regions = [...new Set(shown.flatMap((sample) => sample.regions.map(({ region }) => region)))]
  regions.sort().splice(MAX_REGIONS)
  const places = new Map(regions.map((name, i) => [name, i]))
  const points = Math.max(1, Math.ceil((now - from + 1) / step))
  const times = Array.from({ length: points }, (_, i) => from + i * step)
  const frame = emptyFrame('memory', times, regions)
  for (const sample of shown) {
    const point = Math.floor((sample.at - from) / step)
    for (const one of sample.regions) {
      const place = places.get(one.region)
      if (place === undefined) continue
      put(frame.bucket, place, point, one.bucket?.ratio ?? null)
      put(frame.lag, place, point, one.syncLagSeconds)
      put(frame.jitter, place, point, one.jitterSeconds)
      put(frame.conflicts, place, point, one.conflictsPerMinute)
    }
  }
  return frame
}

/** The median time between two samples, ms; 0 for fewer than two. */
function usualPause(samples: readonly Sample[]): number {
  const pauses = samples.slice(1).map(({ at }, i) => at - (samples[i]?.at ?? at))
  return pauses.sort((a, b) => a - b)[Math.floor(pauses.length / 2)] ?? 0
}

async function fromPrometheus(
  { range, queries }: { range: RangeQuery; queries: ChartQueries },
  now: number,
  span: number,
): Promise<Frame> {
  const step = Math.ceil(span / POINTS / 1000) * 1000
  const to = Math.floor(now / step) * step
  const from = to - (POINTS - 1) * step
  const names = ['bucket', 'lag', 'jitter', 'conflicts'] as const
  const answers = await Promise.all(names.map((name) => range({ expression: queries[name], from, to, step })))
  const regionOf = (series: Series) => (Object.hasOwn(series.labels, 'region') && series.labels.region) || 'all'
  const regions = [...new Set(answers.flat().map(regionOf))].sort()
  regions.splice(MAX_REGIONS)
  const frame = emptyFrame(
    'prometheus',
    Array.from({ length: POINTS }, (_, i) => from + i * step),
    regions,
  )
  for (const [i, name] of names.entries()) {
    for (const series of answers[i] ?? []) {
      const place = regions.indexOf(regionOf(series))
      for (const [at, value] of series.points) {
        if (place >= 0 && Number.isFinite(value)) put(frame[name], place, Math.round((at - from) / step), value)
      }
    }
  }
  return frame
}

function put(values: Values, place: number, point: number, value: number | null): void {
  const row = values[place]
  if (row && value !== null && point >= 0 && point < row.length) row[point] = value
}

/** Depletion, jitter, lag and conflicts against each other, over all regions and points. */
function matrixOf(frame: Frame) {
  const flat = (values: Values) => values.flat()
  return correlations([
    { name: 'Depletion', values: flat(frame.bucket).map((ratio) => (ratio === null ? null : 1 - ratio)) },
    { name: 'Jitter', values: flat(frame.jitter) },
    { name: 'Sync lag', values: flat(frame.lag) },
    { name: 'Conflicts', values: flat(frame.conflicts) },
  ])
}

/** The charts as tables of at most a dozen columns: the worst of each column's points. */
function tablesOf(frame: Frame) {
  const size = Math.max(1, Math.ceil(frame.times.length / TABLE_POINTS))
  const columns = frame.times.filter((_, i) => i % size === 0).map((at) => moment(at))
  const worst = (row: (number | null)[], pick: (...values: number[]) => number): (number | null)[] =>
    columns.map((_, i) => {
      const known = row.slice(i * size, (i + 1) * size).filter((value) => value !== null)
      return known.length === 0 ? null : pick(...known)
    })
  return {
    columns,
    heat: frame.regions.map((name, i) => ({
      name,
      cells: worst(frame.bucket[i] ?? [], Math.min).map((ratio) => ({
        text: ratio === null ? null : percent(ratio),
        heat: ratio === null ? 'none' : heatOf(ratio),
      })),
    })),
    lags: frame.regions.map((name, i) => ({
      name,
      cells: worst(frame.lag[i] ?? [], Math.max).map((lag) => (lag === null ? null : `${figure(lag)} s`)),
    })),
  }
}

/** Steps of the heat map: 0 empty … 5 full. */
function heatOf(ratio: number): number {
  if (ratio < 0.1) return 0
  if (ratio < 0.2) return 1
  if (ratio < 0.35) return 2
  if (ratio < 0.5) return 3
  return ratio < 0.75 ? 4 : 5
}
