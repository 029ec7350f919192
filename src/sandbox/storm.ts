import type { SourceAlert } from './evaluator.ts'
import { fingerprintOf } from './fingerprint.ts'
import { createRandom } from './random.ts'

/** The few services behind many keys; alerts correlate by service. */
const STORM_SERVICES = ['rating-api', 'checkout-api', 'login-api'] as const

/**
 * Alerts of single rate-limit keys, numbers `from` to `from + count - 1`: every number has its own label set, always the
 * same one. One in ten is critical.
 * @param options.now their start, ms since the epoch
 * @param options.base where links point to, without a slash at the end
 */
export function stormAlerts(options: {
  from: number
  count: number
  regions: readonly string[]
  seed: number
  now: number
  base: string
}): SourceAlert[] {
  const { from, count, regions, seed, now, base } = options
  return Array.from({ length: count }, (_, i) => {
    const number = from + i
    const random = createRandom(seed * 1_000_003 + number)
    const critical = number % 10 === 0
    const region = regions[number % regions.length] ?? 'A'
    const key = `tenant-${String(Math.floor(number / regions.length)).padStart(5, '0')}`
    const left = Number((critical ? random() * 0.1 : 0.2 + random() * 0.3).toFixed(3))
    const alertname = critical ? 'TokenBucketDepleted' : 'TokenBucketLow'
    const labels = {
      alertname,
      ratelimit_key: key,
      region,
      service: STORM_SERVICES[number % STORM_SERVICES.length] ?? 'rating-api',
      severity: critical ? 'critical' : 'warning',
    }
    const percent = `${Number((left * 100).toPrecision(2))} %`
    const expr = `openclaw_key_bucket_available{ratelimit_key="${key}"}`
    return {
      fingerprint: fingerprintOf(labels),
      labels,
      annotations: {
        summary: `Bucket of ${key} ${critical ? 'nearly empty' : 'partly depleted'} in ${region}: ${percent} left`,
        description: `The bucket of key ${key} in ${region} has ${percent} left.`,
        runbook_url: `${base}/sandbox/runbooks/${alertname}`,
        dashboard: `${base}/sandbox/graph?region=${encodeURIComponent(region)}`,
        bucket_ratio: String(left),
      },
      startsAt: now,
      endsAt: null,
      generatorURL: `${base}/sandbox/graph?g0.expr=${encodeURIComponent(expr)}&g0.tab=1`,
    }
  })
}
