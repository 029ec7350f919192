import { z } from 'zod'
import type { EdgeRegion } from '../../core/edge.ts'

/** No figure of a region is below 0: one that is says nothing. */
const figure = z.number().nonnegative().nullish().catch(null)
const text = z
  .string()
  .transform((said) => oneLine(said).slice(0, 200))
  .nullish()
  .catch(null)
const flag = z.boolean().nullish().catch(null)

/** contract.md, section 5; a field that is missing or malformed costs only itself */
const regionSchema = z.object({
  region: z.string().refine(isName),
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
  rating_score: figure,
  jitter_seconds: figure,
  replicas: figure,
  nodes: z.array(z.unknown()).nullish().catch(null),
})

/** A name that commands can carry and stores keep; what the edge calls otherwise is skipped, since nothing could be done there. */
function isName(name: string): boolean {
  return name.trim() !== '' && name.length <= 200 && name === oneLine(name)
}

/** Control characters would break lines, and PostgreSQL keeps no NUL. */
export function oneLine(text: string): string {
  return text.toWellFormed().replace(/[\p{Cc}\u2028\u2029]/gu, ' ')
}

const answerSchema = z.object({ regions: z.array(z.unknown()) })

/** What `GET /admin/v1/regions` answered; null when it is no list of regions. An entry without a name that can be typed is skipped. */
export function readRegions(body: unknown): EdgeRegion[] | null {
  const parsed = answerSchema.safeParse(body)
  return parsed.success ? parsed.data.regions.flatMap(readRegion) : null
}

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
      ratingScore: data.rating_score ?? null,
      jitterSeconds: data.jitter_seconds ?? null,
      replicas: data.replicas ?? null,
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
