import { z } from 'zod'
import type { AlertClass } from './alert.ts'
import { MINUTE, SECOND } from './clock.ts'
import type { EdgeConflict, EdgeRegion } from './edge.ts'
import type { EdgeChange } from './triage.ts'

/** What a verdict is made from. Times are milliseconds since the epoch. */
export type Facts = {
  /** when the incident's first alert began to fire, as far as known */
  onset: number
  /** where alerts fire; empty: nobody said, so every region counts */
  regions: readonly string[]
  classes: readonly AlertClass[]
  /** the newest sample of every region */
  edge: readonly EdgeRegion[]
  /** earlier samples, oldest first */
  history: readonly Sample[]
  /** diverged keys, a bounded number */
  conflicts: readonly EdgeConflict[]
  /** newest last */
  changes: readonly EdgeChange[]
}

export type Sample = { at: number; regions: readonly EdgeRegion[] }

/** One region, with what was normal for it before. */
export type Judged = {
  region: EdgeRegion
  /** request rate over what was normal; null when either is unknown */
  demand: number | null
  /** refill rate over what was normal */
  refill: number | null
  /** offered over refilled; above 1 the bucket must run dry */
  load: number | null
  /** nodes whose copies are further off than lag explains */
  diverged: { node: string; delta: number }[]
  /** change of the bucket's level per minute over the newest samples, 0..1 */
  trend: number | null
}

/** Below this the difference between nodes is what always exists; system.md calls more than 0.05 drift. */
const DRIFT = 0.06
/** Alerts wait up to this long before they fire, so what is older was before the trouble. */
const ALERT_DELAY = 3 * MINUTE
const TREND_SPAN = 30 * SECOND

const Node = z.object({ node: z.coerce.string().catch('a node'), delta: z.number() })

/** Every region of the edge with its figures put in relation. */
export function judgeRegions(facts: Facts): Judged[] {
  return facts.edge.map((region) => {
    const before = baselineOf(facts, region.region)
    return {
      region,
      demand: over(region.requestRate, before.requestRate),
      refill: over(region.refillRate, before.refillRate),
      load: over(region.requestRate, region.refillRate),
      diverged: divergedNodes(region),
      trend: trendOf(facts.history, region),
    }
  })
}

/** What was normal for a region: the median of the samples from before the trouble, or else of the oldest quarter. */
function baselineOf(facts: Facts, name: string): { requestRate: number | null; refillRate: number | null } {
  const all = facts.history.filter(({ regions }) => regions.some(({ region }) => region === name))
  const early = all.filter(({ at }) => at < facts.onset - ALERT_DELAY)
  const chosen = early.length >= 3 ? early : all.slice(0, Math.ceil(all.length / 4))
  const of = (figure: 'requestRate' | 'refillRate') =>
    median(
      chosen.flatMap(({ regions }) => {
        const value = regions.find(({ region }) => region === name)?.[figure]
        return typeof value === 'number' ? [value] : []
      }),
    )
  return { requestRate: of('requestRate'), refillRate: of('refillRate') }
}

function median(values: readonly number[]): number | null {
  if (values.length === 0) return null
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? null
}

function over(value: number | null, base: number | null): number | null {
  return value === null || base === null || base <= 0 ? null : value / base
}

function divergedNodes({ nodes, syncLagSeconds, requestRate, bucket }: EdgeRegion): Judged['diverged'] {
  // What happened within the lag cannot be known elsewhere yet: that much difference is no fault.
  const capacity = bucket?.capacity ?? null
  const unseen = capacity ? ((syncLagSeconds ?? 0) * (requestRate ?? 0)) / capacity : 0
  const limit = Math.max(DRIFT, Math.min(0.25, 0.02 + unseen))
  return (nodes ?? []).flatMap((entry) => {
    const node = Node.safeParse(entry)
    if (!node.success || Math.abs(node.data.delta) <= limit) return []
    return [{ node: node.data.node, delta: Math.abs(node.data.delta) }]
  })
}

function trendOf(history: readonly Sample[], { region, bucket }: EdgeRegion): number | null {
  const newest = history.at(-1)
  const ratio = bucket?.ratio ?? null
  if (!newest || ratio === null) return null
  const before = history.findLast(({ at }) => at <= newest.at - TREND_SPAN)
  const then = before?.regions.find((one) => one.region === region)?.bucket ?? null
  // Another capacity alone moves the share that is left.
  if (before === undefined || then === null || then.capacity !== (bucket?.capacity ?? null)) return null
  return ((ratio - then.ratio) / (newest.at - before.at)) * MINUTE
}

/** Versions that came within `span` before the onset. One that went back to what had run before is a cure, never a cause. */
export function deployedBefore(facts: Facts, span: number): EdgeChange[] {
  return changesBefore(facts, 'version', span).filter((change) => !isReturn(facts.changes, change))
}

/** Whether a change only undid the one before it in its region: undoing it would bring back what was taken away. */
export function isReturn(changes: readonly EdgeChange[], change: EdgeChange): boolean {
  const { region, what, at, from, to } = change
  const before = changes.findLast((one) => one.region === region && one.what === what && one.at < at)
  return before !== undefined && before.from === to && before.to === from && !isReturn(changes, before)
}

/** The newest change of a kind within `span` before the onset, the newest of each region, newest first. */
export function changesBefore(facts: Facts, what: EdgeChange['what'], span: number): EdgeChange[] {
  const found: EdgeChange[] = []
  for (const change of [...facts.changes].reverse()) {
    // Seen by polling, so it may have happened a little earlier than it is dated.
    const near = change.at >= facts.onset - span && change.at <= facts.onset + 20 * SECOND
    if (near && change.what === what && !found.some(({ region }) => region === change.region)) found.push(change)
  }
  return found
}

/** `1 500/s`, `0.4/s` */
export const perSecond = (rate: number): string => `${whole(rate)}/s`

/** `12 000`; a figure below 10 keeps one decimal */
export function whole(value: number): string {
  if (Math.abs(value) < 10 && !Number.isInteger(value)) return value.toFixed(1)
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ' ')
}

/** `4 %`, `0.4 %` */
export function percentOf(ratio: number): string {
  const value = ratio * 100
  return value > 0 && value < 1 ? `${value.toFixed(1)} %` : `${Math.round(value)} %`
}

/** One region in a line: `A: 4 % left, 620/s offered, 1 500/s refilled, lag 0.6 s, 1.9.0`. */
export function regionLine({ region, demand, diverged }: Judged): string {
  const parts: string[] = []
  const { bucket, requestRate, refillRate, syncLagSeconds, conflictsPerMinute, p95LatencySeconds, errorRatio } = region
  if (region.healthy === false) parts.push('down or ill')
  if (bucket) parts.push(`${percentOf(bucket.ratio)} left`)
  if (requestRate !== null) {
    parts.push(`${perSecond(requestRate)} offered${demand !== null && demand > 1.5 ? ` (${demand.toFixed(1)}×)` : ''}`)
  }
  if (refillRate !== null) parts.push(`${perSecond(refillRate)} refilled`)
  if (syncLagSeconds !== null) parts.push(`lag ${seconds(syncLagSeconds)}`)
  if (diverged.length > 0) parts.push(`${diverged.length} ${diverged.length === 1 ? 'node' : 'nodes'} off`)
  if (conflictsPerMinute !== null && conflictsPerMinute > 10) parts.push(`${whole(conflictsPerMinute)} conflicts/min`)
  if (p95LatencySeconds !== null && p95LatencySeconds > 0.2)
    parts.push(`p95 ${Math.round(p95LatencySeconds * 1000)} ms`)
  if (errorRatio !== null && errorRatio > 0.005) parts.push(`${percentOf(errorRatio)} errors`)
  if ((region.canaryWeight ?? 0) > 0) parts.push(`canary ${whole(region.canaryWeight ?? 0)} %`)
  if (region.receiving === false) parts.push('receives nobody')
  if (region.version !== null) parts.push(region.version.slice(0, 40))
  return `${region.region.slice(0, 40)}: ${parts.join(', ') || 'says nothing'}`
}

/** `0.6 s`, `12 s` */
export const seconds = (value: number): string => `${value < 10 ? value.toFixed(1) : Math.round(value)} s`
