import type { Labels } from '../core/alert.ts'
import { MINUTE, SECOND } from '../core/clock.ts'
import { BASELINE } from './edge/region.ts'
import type { RegionView } from './edge.ts'

/** What a rule may look back on. */
export type Past = {
  /** highest bucket ratio of the region within the last 5 minutes (scaled); null when nothing was seen */
  highest: number | null
}

/** One alerting rule over a region. Names, thresholds and times are those of deploy/prometheus and system.md, section 2. */
export type Rule = {
  alert: string
  severity: 'critical' | 'warning' | 'info'
  /** further labels, e.g. the class where the name is not in Claw's own map */
  labels?: Labels
  /** how long it must hold before it fires, ms, before the sandbox's time factor */
  for: number
  /** PromQL without the region, for the graph's link */
  expr: string
  /** sees only regions that are down */
  ofDeadRegions?: boolean
  /** the value when the condition holds, else null */
  value(view: RegionView, past: Past): number | null
  /** the same under a weaker condition that keeps a firing alert firing while matters are as bad or worse */
  holds?(view: RegionView): number | null
  summary(value: number, region: string): string
  description(value: number, view: RegionView): string
}

/** The window of `Past`, ms, before the time factor. */
export const LOOK_BACK = 5 * MINUTE

const percent = (ratio: number) => `${Number((ratio * 100).toPrecision(2))} %`
const millis = (seconds: number) => `${Math.round(seconds * 1000)} ms`
const when = (value: number, condition: boolean) => (condition ? value : null)
const level = (view: RegionView) => view.bucket.ratio
const left = (value: number, view: RegionView) =>
  `The bucket of ${view.region} has ${percent(value)} left (${view.bucket.available} of ${view.bucket.capacity} tokens).`
const BUCKET = 'min by (region, service) (openclaw_token_bucket_available)'
const drift = (view: RegionView) => Math.max(...view.nodes.map((node) => node.delta))
const refusesWrongly = (view: RegionView) => view.refused_ratio > 0.05 && view.refill_rate > view.request_rate

export const RULES: readonly Rule[] = [
  {
    alert: 'TokenBucketDepleted',
    severity: 'critical',
    for: 2 * MINUTE,
    expr: `${BUCKET} < 0.10`,
    value: (view) => when(level(view), level(view) < 0.1),
    summary: (value, region) => `Bucket nearly empty in ${region}: ${percent(value)} left`,
    description: left,
  },
  {
    alert: 'TokenBucketCollapsing',
    severity: 'critical',
    labels: { self_healing: 'true' },
    for: 30 * SECOND,
    expr: `${BUCKET} < 0.05`,
    value: (view) => when(level(view), level(view) < 0.05),
    summary: (value, region) => `Bucket collapsing in ${region}: ${percent(value)} left`,
    description: left,
  },
  {
    alert: 'TokenBucketDepletionFast',
    severity: 'critical',
    labels: { class: 'exhaustion' },
    for: 0,
    expr: `max_over_time(openclaw_token_bucket_available[5m]) - openclaw_token_bucket_available > 0.90`,
    value: (view, past) => when(level(view), (past.highest ?? 0) - level(view) > 0.9),
    summary: (value, region) => `Bucket drained within 5 min in ${region}: ${percent(value)} left`,
    description: left,
  },
  {
    alert: 'TokenBucketSuddenDrop',
    severity: 'warning',
    labels: { class: 'exhaustion' },
    for: MINUTE,
    expr: `${BUCKET} < 0.20 and on (region, service) max_over_time(openclaw_token_bucket_available[5m]) >= 0.20`,
    value: (view, past) => when(level(view), level(view) < 0.2 && (past.highest ?? 0) >= 0.2),
    holds: (view) => when(level(view), level(view) < 0.2),
    summary: (value, region) => `Bucket fell fast in ${region}: ${percent(value)} left`,
    description: left,
  },
  {
    alert: 'TokenBucketLow',
    severity: 'warning',
    for: 15 * MINUTE,
    expr: `${BUCKET} <= 0.50 and ${BUCKET} >= 0.20`,
    value: (view) => when(level(view), level(view) >= 0.2 && level(view) <= 0.5),
    holds: (view) => when(level(view), level(view) <= 0.5),
    summary: (value, region) => `Bucket partly depleted in ${region}: ${percent(value)} left`,
    description: left,
  },
  {
    alert: 'TokenBucketSoftLimit',
    severity: 'info',
    labels: { class: 'exhaustion' },
    for: 10 * MINUTE,
    expr: `${BUCKET} <= 0.30`,
    value: (view) => when(level(view), level(view) <= 0.3),
    summary: (value, region) => `Bucket past its soft limit in ${region}: ${percent(value)} left`,
    description: left,
  },
  {
    alert: 'WrongRefusals',
    severity: 'critical',
    for: 2 * MINUTE,
    expr: 'region:openclaw_wrong_refusals:ratio_rate1m > 0.05',
    value: (view) => when(view.refused_ratio, refusesWrongly(view)),
    summary: (value, region) => `${percent(value)} of requests wrongly refused in ${region}`,
    description: (value, view) =>
      `${view.region} answers ${percent(value)} of all requests with 429 although more tokens flow in than are asked for.`,
  },
  {
    alert: 'Unthrottled',
    severity: 'critical',
    labels: { class: 'divergence' },
    for: 2 * MINUTE,
    expr: 'region:openclaw_admitted_to_refill:ratio > 1.2',
    value: (view) => when(view.admitted_rate / view.refill_rate, view.admitted_rate > 1.2 * view.refill_rate),
    summary: (value, region) => `${region} lets through ${percent(value)} of what it may`,
    description: (_, view) =>
      `${view.region} admits ${Math.round(view.admitted_rate)} requests/s at ${Math.round(view.refill_rate)} tokens/s.`,
  },
  {
    alert: 'TrafficSpike',
    severity: 'info',
    for: 2 * MINUTE,
    expr: 'region:openclaw_offered:rate1m / region:openclaw_offered:baseline > 2',
    // A little more than double: a region that also serves the other's clients has no spike.
    value: (view) => when(view.request_rate / BASELINE.demand, view.request_rate > 2.1 * BASELINE.demand),
    summary: (value, region) => `Traffic ${value.toFixed(1)} times normal in ${region}`,
    description: (_, view) =>
      `${view.region} gets ${Math.round(view.request_rate)} requests/s; ${BASELINE.demand} are normal at this hour.`,
  },
  {
    alert: 'LatencyHigh',
    severity: 'critical',
    for: 2 * MINUTE,
    expr: 'region:openclaw_request_duration_seconds:p95_1m > 0.2',
    value: (view) => when(view.p95_latency_seconds, view.p95_latency_seconds > 0.2),
    summary: (value, region) => `p95 latency ${millis(value)} in ${region}`,
    description: (value, view) =>
      `One request in twenty takes longer than ${millis(value)} in ${view.region}; the limit is 200 ms.`,
  },
  {
    alert: 'ErrorRateHigh',
    severity: 'critical',
    for: 2 * MINUTE,
    expr: 'region:openclaw_errors:ratio_rate1m > 0.005',
    value: (view) => when(view.error_ratio, view.error_ratio > 0.005),
    summary: (value, region) => `${percent(value)} of requests fail in ${region}`,
    description: (value, view) =>
      `${view.region} answers ${percent(value)} of all requests with 5xx; the limit is 0.5 %.`,
  },
  {
    alert: 'CrdtConflictsHigh',
    severity: 'warning',
    labels: { self_healing: 'true' },
    for: 2 * MINUTE,
    expr: 'region:openclaw_crdt_conflicts:per_minute > 10',
    value: (view) => when(view.conflicts_per_minute, view.conflicts_per_minute > 10),
    summary: (value, region) => `${Math.round(value)} merge conflicts a minute in ${region}`,
    description: (value, view) =>
      `The nodes of ${view.region} meet ${Math.round(value)} conflicts a minute when they merge; the limit is 10.`,
  },
  {
    alert: 'ReplicationJitterHigh',
    severity: 'warning',
    for: 2 * MINUTE,
    expr: 'region:openclaw_replication_jitter_seconds:p95_1m > 0.15',
    value: (view) => when(view.jitter_seconds, view.jitter_seconds > 0.15),
    summary: (value, region) => `Replication jitter p95 ${millis(value)} in ${region}`,
    description: (value, view) => `Replication of ${view.region} jitters by ${millis(value)}; the limit is 150 ms.`,
  },
  {
    alert: 'CrdtDriftHigh',
    severity: 'warning',
    for: MINUTE,
    expr: 'max by (region, service) (openclaw_token_delta_variance) > 0.05',
    value: (view) => when(drift(view), drift(view) > 0.05),
    summary: (value, region) => `Nodes ${percent(value)} of capacity apart in ${region}`,
    description: (value, view) => `${farthest(view)} is off by ${percent(value)} of the capacity; the limit is 5 %.`,
  },
  {
    alert: 'CrdtDriftHigh',
    severity: 'critical',
    for: MINUTE,
    expr: 'max by (region, service) (openclaw_token_delta_variance) > 0.05 and region:openclaw_wrong_refusals:ratio_rate1m > 0.05',
    value: (view) => when(drift(view), drift(view) > 0.05 && refusesWrongly(view)),
    summary: (_, region) => `Nodes drifted apart in ${region} and refuse wrongly`,
    description: (value, view) =>
      `${farthest(view)} is off by ${percent(value)} of the capacity, and ${percent(view.refused_ratio)} are refused.`,
  },
  {
    alert: 'CrdtSyncLagHigh',
    severity: 'info',
    for: 10 * MINUTE,
    expr: 'max by (region, service) (openclaw_crdt_sync_lag_seconds) >= 0.5',
    value: (view) => when(view.sync_lag_seconds, view.sync_lag_seconds >= 0.5 && view.sync_lag_seconds <= 2),
    holds: (view) => when(view.sync_lag_seconds, view.sync_lag_seconds >= 0.5),
    summary: (value, region) => `Sync lag ${value.toFixed(1)} s in ${region}`,
    description: (value, view) => `The copies of the bucket in ${view.region} are ${value.toFixed(1)} s behind.`,
  },
  {
    alert: 'CrdtSyncLagHigh',
    severity: 'warning',
    for: MINUTE,
    expr: 'max by (region, service) (openclaw_crdt_sync_lag_seconds) > 2',
    value: (view) => when(view.sync_lag_seconds, view.sync_lag_seconds > 2),
    summary: (value, region) => `Sync lag ${value.toFixed(1)} s in ${region}`,
    description: (value, view) => `The copies of the bucket in ${view.region} are ${value.toFixed(1)} s behind.`,
  },
  {
    alert: 'RegionDown',
    severity: 'critical',
    for: MINUTE,
    expr: 'max by (region, service) (up{job=~"openclaw-edge.*"}) == 0',
    ofDeadRegions: true,
    value: () => 0,
    summary: (_, region) => `Region ${region} is down`,
    description: (_, view) => `${view.region} gives no sign of life: it cannot be scraped and fails its health check.`,
  },
  {
    alert: 'CanaryRatingLow',
    severity: 'warning',
    for: 30 * SECOND,
    expr: 'min by (region, service) (openclaw_rating_score) < 0.70',
    value: (view) => when(view.rating_score, view.rating_score < 0.7),
    summary: (value, region) => `Canary rated ${value.toFixed(2)} in ${region}: roll back`,
    description: (value, view) =>
      `The canary gets ${view.canary_weight} % of the traffic in ${view.region} and is rated ${value.toFixed(2)}.`,
  },
  {
    alert: 'CanaryRatingInconclusive',
    severity: 'info',
    labels: { class: 'canary' },
    for: 10 * MINUTE,
    expr: 'min by (region, service) (openclaw_rating_score) < 0.85',
    value: (view) => when(view.rating_score, view.rating_score >= 0.7 && view.rating_score < 0.85),
    holds: (view) => when(view.rating_score, view.rating_score < 0.85),
    summary: (value, region) => `Canary rated ${value.toFixed(2)} in ${region}: promote or abort?`,
    description: (value, view) =>
      `The canary gets ${view.canary_weight} % of the traffic in ${view.region} and is rated ${value.toFixed(2)}.`,
  },
]

function farthest(view: RegionView): string {
  const worst = view.nodes.reduce((a, b) => (b.delta > a.delta ? b : a), { node: '', delta: -1 })
  return `Node ${worst.node} in ${view.region}`
}
