import { capacityOf, errorRatioOf, type Region } from './region.ts'
import { KEYS } from './tenants.ts'

/** Outcome of a synthetic load; `sent` is the sum of the three behind it, the last is in seconds. */
export type LoadResult = { sent: number; ok: number; refused: number; errors: number; p95_seconds: number | null }

/** What may be refused or fail in a load that passes, and the p95 that it may have (system.md, section 2: LatencyHigh). */
const PASSES = { bad: 0.05, p95: 0.2 } as const

/**
 * What `requests` requests over all nodes and keys of a region would meet with the counts that the nodes hold now. Takes no
 * tokens. A region that is down (or unknown) answers none of them.
 */
export function syntheticLoad(region: Region | undefined, requests: number): LoadResult {
  if (!region || region.pressure.down) {
    return { sent: requests, ok: 0, refused: 0, errors: requests, p95_seconds: null }
  }
  const cap = capacityOf(region) / KEYS
  const each = requests / region.nodes.length / KEYS
  let admitted = 0
  for (const { replica } of region.nodes) {
    for (const tokens of replica.counts[region.index] ?? [])
      admitted += Math.min(each, Math.max(0, Math.min(cap, tokens)))
  }
  const refused = Math.round(requests - admitted)
  const errors = Math.round((requests - refused) * errorRatioOf(region))
  return {
    sent: requests,
    ok: requests - refused - errors,
    refused,
    errors,
    p95_seconds: Number(region.p95.toFixed(4)),
  }
}

/** Whether a load passes: under 5 % refused or failed, and fast enough. */
export function passed({ sent, ok, p95_seconds }: LoadResult): boolean {
  return ok >= sent * (1 - PASSES.bad) && p95_seconds !== null && p95_seconds <= PASSES.p95
}
