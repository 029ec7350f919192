import { z } from 'zod'
import type { Labels } from '../../core/alert.ts'
import { ClawError } from '../../core/errors.ts'
import type { SignalSource } from '../../core/signal.ts'
import { getJson, type JsonAnswer, refusal, resolveUrl } from '../http.ts'

export type PrometheusOptions = {
  url: string
  /** gauge of the bucket's level per region, ratio 0..1 */
  metric?: string
  /** for one query; default 3 000 */
  timeoutMs?: number
}

/** One series of an instant vector. `value` may be NaN or infinite; `at` is ms since the epoch. */
export type Sample = { labels: Labels; value: number; at: number }

/** `reason` says what Prometheus or the network said; it holds no address. */
export type QueryResult = { ok: true; samples: Sample[] } | { ok: false; reason: string }

export type Prometheus = SignalSource & {
  /** Instant query at `at` (ms since the epoch; now when absent). A scalar counts as one sample without labels. Never rejects. */
  query(expression: string, at?: number, signal?: AbortSignal): Promise<QueryResult>
  /**
   * The value of an instant query's first sample; null when it has none, or one that is no number (NaN, infinite).
   * @throws ClawError as EdgeAdmin does (core/edge.ts); an expression that Prometheus refuses is `invalid`
   */
  figure(expression: string, signal: AbortSignal): Promise<number | null>
}

const point = z.tuple([z.number(), z.string()])

/** Prometheus, "HTTP API", instant queries */
const answerSchema = z.object({
  status: z.literal('success'),
  data: z.discriminatedUnion('resultType', [
    z.object({
      resultType: z.literal('vector'),
      result: z.array(z.object({ metric: z.record(z.string(), z.string()), value: point })),
    }),
    z.object({ resultType: z.literal('scalar'), result: point }),
  ]),
})

const errorSchema = z.object({ status: z.literal('error'), error: z.string() })

/**
 * A Prometheus server as a source of signals and figures.
 * @throws ClawError('invalid') when `url` is no http(s) URL
 */
export function createPrometheus(options: PrometheusOptions): Prometheus {
  const { url, metric = 'openclaw_token_bucket_available', timeoutMs = 3_000 } = options
  resolveUrl('prometheus.url', url, '')

  const ask = (expression: string, at: number | undefined, signal: AbortSignal): Promise<JsonAnswer> => {
    const parameters: [string, string][] = [['query', expression]]
    if (at !== undefined) parameters.push(['time', String(at / 1_000)])
    return getJson(resolveUrl('prometheus.url', url, '/api/v1/query', parameters), {
      timeoutMs,
      signal,
      traced: 'prometheus',
    })
  }

  const query: Prometheus['query'] = async (expression, at, signal = new AbortController().signal) => {
    const answer = await ask(expression, at, signal)
    if (!answer.ok) {
      const error = errorSchema.safeParse(answer.body)
      const said = error.success ? `: ${error.data.error.toWellFormed().slice(0, 300)}` : ''
      return { ok: false, reason: `Prometheus: ${answer.reason}${said}` }
    }
    const samples = samplesOf(answer.body)
    return samples === null ? { ok: false, reason: NO_VECTOR } : { ok: true, samples }
  }

  return {
    name: 'prometheus',
    query,
    async figure(expression, signal) {
      const answer = await ask(expression, undefined, signal)
      if (!answer.ok) {
        const said = errorSchema.safeParse(answer.body).data?.error
        throw refusal(answer, { where: 'Prometheus', credentials: 'prometheus.url', address: 'prometheus.url', said })
      }
      const samples = samplesOf(answer.body)
      if (samples === null) throw new ClawError('unavailable', NO_VECTOR)
      const value = samples[0]?.value
      return value !== undefined && Number.isFinite(value) ? value : null
    },
    async presence(region, signal) {
      const series = selector(metric, region)
      const answer = await query(
        region === '' ? `count(${series})` : `count by (region) (${series})`,
        undefined,
        signal,
      )
      if (!answer.ok) return 'unreachable'
      return answer.samples.length > 0 ? 'present' : 'gone'
    },
    async bucketRatio(region, signal) {
      // a series outside of 0..1 is no ratio and must not speak for the region
      const answer = await query(`min((${selector(metric, region)} >= 0) <= 1)`, undefined, signal)
      const ratio = answer.ok ? answer.samples[0]?.value : undefined
      return ratio !== undefined && ratio >= 0 && ratio <= 1 ? ratio : null
    },
  }
}

const NO_VECTOR = 'Prometheus: the answer is no instant vector or scalar'

/** Null for anything but an instant vector or a scalar. */
function samplesOf(body: unknown): Sample[] | null {
  const parsed = answerSchema.safeParse(body)
  if (!parsed.success) return null
  const { data } = parsed.data
  const series = data.resultType === 'vector' ? data.result : [{ metric: {}, value: data.result }]
  return series.map(({ metric, value }) => sample(metric, value))
}

function sample(labels: Labels, [seconds, value]: [number, string]): Sample {
  // Prometheus writes +Inf, -Inf and NaN as words
  const parsed = /^[+-]?Inf$/.test(value) ? (value.startsWith('-') ? -Infinity : Infinity) : Number(value)
  return { labels, value: parsed, at: Math.round(seconds * 1_000) }
}

/** The series of `metric` in `region`, '' for any region. Both may be any text. */
export function selector(metric: string, region: string): string {
  const matchers = region === '' ? [] : [`region=${quoted(region)}`]
  if (/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(metric)) return `${metric}${matchers.length === 0 ? '' : `{${matchers}}`}`
  return `{${[`__name__=${quoted(metric)}`, ...matchers].join(',')}}`
}

/**
 * A PromQL string literal (Prometheus, "Querying basics", string literals: Go's escapes). U+FFFD is escaped too: the parser
 * takes a plain one for broken UTF-8.
 */
export function quoted(text: string): string {
  const escaped = text
    .toWellFormed()
    .replace(/["\\\ufffd\p{Cc}]/gu, (found) =>
      found === '"' || found === '\\' ? `\\${found}` : `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`,
    )
  return `"${escaped}"`
}
