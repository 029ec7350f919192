import type { AlertClass } from './alert.ts'
import type { EdgeRegion } from './edge.ts'
import type { RemediationPolicy } from './remediation.ts'

/** The figure that tells how bad the trouble of a class is in one region. */
export type Measure = {
  /** for people and for the stored remediation: `bucket level` */
  name: string
  worse: 'below' | 'above'
  /** where a policy names no threshold: what the rules of system.md, section 2 compare with; null for none */
  usual: number | null
  /** null when the edge did not say */
  read(region: EdgeRegion): number | null
  /** `4 %`, `42`, `0.6 s` */
  show(value: number): string
}

const percent = (value: number): string => {
  const shown = value * 100
  return `${shown !== 0 && Math.abs(shown) < 10 ? Number(shown.toFixed(1)) : Math.round(shown)} %`
}
const plain = (value: number): string =>
  Math.abs(value) >= 10 ? String(Math.round(value)) : String(Number(value.toFixed(2)))
const seconds = (value: number): string =>
  Math.abs(value) < 1 ? `${Math.round(value * 1000)} ms` : `${Number(value.toFixed(1))} s`

const BUCKET: Measure = {
  name: 'bucket level',
  worse: 'below',
  usual: 0.1,
  read: ({ bucket }) => bucket?.ratio ?? null,
  show: percent,
}
const CONFLICTS: Measure = {
  name: 'conflicts a minute',
  worse: 'above',
  usual: 10,
  read: ({ conflictsPerMinute }) => conflictsPerMinute,
  show: plain,
}
const REFUSED: Measure = {
  name: 'refused ratio',
  worse: 'above',
  usual: 0.05,
  read: ({ refusedRatio }) => refusedRatio,
  show: percent,
}
const LAG: Measure = {
  name: 'sync lag',
  worse: 'above',
  usual: 2,
  read: ({ syncLagSeconds }) => syncLagSeconds,
  show: seconds,
}
const LATENCY: Measure = {
  name: 'p95 latency',
  worse: 'above',
  usual: 0.2,
  read: ({ p95LatencySeconds }) => p95LatencySeconds,
  show: seconds,
}
const ERRORS: Measure = {
  name: 'error ratio',
  worse: 'above',
  usual: 0.005,
  read: ({ errorRatio }) => errorRatio,
  show: percent,
}
const RATING: Measure = {
  name: 'canary rating',
  worse: 'below',
  usual: 0.7,
  read: ({ ratingScore }) => ratingScore,
  show: plain,
}
const LOAD: Measure = {
  name: 'load',
  worse: 'above',
  usual: null,
  read: ({ requestRate, refillRate }) =>
    requestRate === null || refillRate === null || refillRate <= 0 ? null : requestRate / refillRate,
  show: percent,
}

export const MEASURES: readonly Measure[] = [BUCKET, CONFLICTS, REFUSED, LAG, LATENCY, ERRORS, RATING, LOAD]

/** What lies behind the limiter suffers when one of these is past its usual threshold. */
export const BEHIND: readonly Measure[] = [ERRORS, LATENCY]
/** A user is touched when one of these is. */
export const FELT: readonly Measure[] = [ERRORS, LATENCY, REFUSED]

/** The measures of these that are past their usual threshold in a region, in words. */
export function pastUsual(measures: readonly Measure[], region: EdgeRegion): string[] {
  return measures.flatMap((measure) => {
    const value = measure.read(region)
    const past = value !== null && measure.usual !== null && isPast(value, measure.usual, measure.worse)
    return past ? [`${measure.name} ${measure.show(value)}`] : []
  })
}

/**
 * The measure that a policy watches, and the threshold to compare it with; null where its class has none and the alert alone
 * counts. `given`: the policy names the threshold itself, so the measure is part of its trigger; else it only serves to judge
 * whether the act helped.
 */
export function measureOf(
  policy: Pick<RemediationPolicy, 'when'>,
): { measure: Measure; worse: 'below' | 'above'; threshold: number; given: boolean } | null {
  const { class: alertClass, below, above } = policy.when
  if (alertClass === null) return null
  const threshold = below ?? above
  const measure = measureFor(alertClass, below, above)
  if (measure === null) return null
  if (threshold === null) {
    return measure.usual === null ? null : { measure, worse: measure.worse, threshold: measure.usual, given: false }
  }
  return { measure, worse: below === null ? 'above' : 'below', threshold, given: true }
}

function measureFor(alertClass: AlertClass, below: number | null, above: number | null): Measure | null {
  switch (alertClass) {
    case 'exhaustion':
      return BUCKET
    case 'divergence':
      // Conflicts are counted; a limit between 0 and 1 can only mean the share of refused requests.
      return above !== null && above > 0 && above < 1 ? REFUSED : CONFLICTS
    case 'sync lag':
      return LAG
    case 'latency':
      return LATENCY
    case 'errors':
      return ERRORS
    case 'canary':
      return RATING
    case 'capacity':
      return below === null ? LOAD : BUCKET
    case 'region':
      return null
  }
}

/** Whether a value is past the threshold, in the bad direction. */
export const isPast = (value: number, threshold: number, worse: 'below' | 'above'): boolean =>
  worse === 'below' ? value < threshold : value > threshold

/** The value of a region, or the worst of all regions for `''`; null when nobody knows. */
export function valueIn(
  regions: readonly EdgeRegion[] | null,
  region: string,
  measure: Measure,
  worse: 'below' | 'above',
): number | null {
  const values = (regions ?? [])
    .filter((one) => region === '' || one.region === region)
    .map((one) => measure.read(one))
    .filter((value) => value !== null)
  if (values.length === 0) return null
  return worse === 'below' ? Math.min(...values) : Math.max(...values)
}

/** Issue's "improvement": the measure moved past half of the way from where it was back to its threshold. */
export function improved(before: number, threshold: number, after: number): boolean {
  const half = before + (threshold - before) / 2
  return threshold >= before ? after > half : after < half
}
