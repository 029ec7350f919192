import { z } from 'zod'
import type { Labels } from '../../core/alert.ts'
import { ClawError } from '../../core/errors.ts'
import { getJson, refusal, resolveUrl } from '../http.ts'

/** One series over time; points are [ms since the epoch, value]; values that are no numbers are left out. */
export type RangeSeries = { labels: Labels; points: [number, number][] }

export type RangeOptions = {
  url: string
  /** for one query, ms; default 5 000 */
  timeoutMs?: number
}

/** Times and step in ms. */
export type RangeAsk = { expression: string; from: number; to: number; step: number }

/** Prometheus, "HTTP API", range queries */
const answerSchema = z.object({
  status: z.literal('success'),
  data: z.object({
    resultType: z.literal('matrix'),
    result: z.array(
      z.object({
        metric: z.record(z.string(), z.string()),
        values: z.array(z.tuple([z.number(), z.string()])),
      }),
    ),
  }),
})
const errorSchema = z.object({ status: z.literal('error'), error: z.string() })

/** A server has 11 000 points at most for one series (Prometheus, web/api/v1). */
const MAX_POINTS = 11_000

/**
 * Range queries of a Prometheus server, for charts.
 * @returns a function that throws ClawError as EdgeAdmin does (core/edge.ts); an expression that Prometheus refuses is `invalid`
 * @throws ClawError('invalid') when `url` is no http(s) URL
 */
export function createRange(options: RangeOptions): (ask: RangeAsk) => Promise<RangeSeries[]> {
  const { url, timeoutMs = 5_000 } = options
  resolveUrl('prometheus.url', url, '')
  return async ({ expression, from, to, step }) => {
    const seconds = Math.max(step / 1000, (to - from) / 1000 / MAX_POINTS, 0.001)
    const parameters: [string, string][] = [
      ['query', expression],
      ['start', String(from / 1000)],
      ['end', String(to / 1000)],
      ['step', String(seconds)],
    ]
    const address = resolveUrl('prometheus.url', url, '/api/v1/query_range', parameters)
    const answer = await getJson(address, { timeoutMs, signal: AbortSignal.timeout(timeoutMs) })
    const where = { where: 'Prometheus', credentials: 'prometheus.url', address: 'prometheus.url' }
    if (!answer.ok) throw refusal(answer, { ...where, said: errorSchema.safeParse(answer.body).data?.error })
    const parsed = answerSchema.safeParse(answer.body)
    if (!parsed.success) throw new ClawError('unavailable', 'Prometheus: the answer is no range of series')
    return parsed.data.data.result.map(({ metric, values }) => ({
      labels: metric,
      points: values.flatMap(([at, text]): [number, number][] => {
        const value = Number(text)
        return text !== '' && Number.isFinite(value) ? [[Math.round(at * 1000), value]] : []
      }),
    }))
  }
}
