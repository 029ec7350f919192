import { SECOND } from '../../src/core/clock.ts'
import type { EdgeRegion } from '../../src/core/edge.ts'
import { ClawError } from '../../src/core/errors.ts'
import type { Flow, WorkflowServices } from '../../src/core/workflow.ts'
import { percent, trafficOf } from './parts.ts'
import { levelQuery } from './preflight.ts'

// Seeing where the traffic is, and whether a region does well: for failover and rollback.

/** Clients that never look a name up again are left of it: under this share of what it was, a region counts as left. */
const LEFT_SHARE = 0.05
const LOOK_EVERY = 2 * SECOND

type Seen = 'yes' | 'no' | 'unknown'

/** What the edge said of a region before the switch. */
export type Baseline = { receiving: boolean | null; requestRate: number | null }

/**
 * Whether the clients have left a region. Pure. `unknown`: nothing to see it by.
 * @param switches whether the edge itself is the switch: only then does a region that still receives say that they have not
 */
export function left(before: Baseline, now: EdgeRegion | undefined, switches: boolean): Seen {
  if (now?.receiving === false && before.receiving !== false) return 'yes'
  const was = before.requestRate ?? 0
  if (was > 0 && now !== undefined && now.requestRate !== null) return now.requestRate < LEFT_SHARE * was ? 'yes' : 'no'
  return switches && now?.receiving === true && before.receiving === true ? 'no' : 'unknown'
}

/**
 * Whether the clients are in a region again that should have about `expected` requests a second (null: unknown). Pure.
 * @param switches as for `left`
 */
export function returned(expected: number | null, now: EdgeRegion | undefined, switches: boolean): Seen {
  if (now?.receiving === false) return 'no'
  if (expected !== null && expected > 0 && now !== undefined && now.requestRate !== null) {
    return now.requestRate >= LEFT_SHARE * expected ? 'yes' : 'no'
  }
  return switches && now?.receiving === true ? 'yes' : 'unknown'
}

/**
 * Waits until the traffic is seen to be where it should; where that cannot be seen, as long as clients may keep what they know.
 * @returns whether it was seen. @throws ClawError('timeout') when it is seen to be elsewhere for too long
 */
export async function untilSeen(
  flow: Flow,
  name: string,
  {
    region,
    what,
    look,
  }: { region: string; what: string; look: (now: EdgeRegion | undefined, switches: boolean) => Seen },
): Promise<boolean> {
  const { kind, settlesWithin } = trafficOf(flow.services)
  const since = await flow.step(`${name}: since`, {}, async ({ now }) => now)
  const timeout = Math.max(flow.services.settings.failover.propagationWait, settlesWithin)
  const { seen } = await flow.poll(
    name,
    {
      timeout,
      every: LOOK_EVERY,
      what,
      say: ({ seen: is }: { seen: boolean }) =>
        is ? null : 'The edge cannot say where the traffic is; waited as long as clients may take.',
    },
    async ({ signal, now }) => {
      const { edge } = flow.services
      let verdict: Seen = 'unknown'
      try {
        const regions = edge ? await edge.regions(signal) : []
        verdict = look(
          regions.find((one) => one.region === region),
          kind === 'edge',
        )
      } catch (error) {
        // A silent edge is no reason to turn back: the time that clients need passes all the same.
        if (!(error instanceof ClawError)) throw error
      }
      if (verdict === 'yes') return { seen: true }
      return verdict === 'unknown' && now - since >= settlesWithin ? { seen: false } : null
    },
  )
  return seen
}

export type Examination = {
  /** why the region is not well enough; empty when it is */
  failed: string[]
  /** what could not be known */
  unknown: string[]
  /** level of the bucket, 0..1 */
  level: number | null
}

/**
 * Whether a region does well: /health, the bucket's level, the load test (system.md, section 3). What does not answer is asked
 * again by the step that this is called in.
 * @throws ClawError('unavailable' or 'timeout') when health or load test cannot be asked now
 */
export async function examine(services: WorkflowServices, region: string, signal: AbortSignal): Promise<Examination> {
  const { minBucket } = services.settings.failover
  const [health, level, load] = await Promise.all([
    services.edge?.health(region, signal),
    levelOf(services, region, signal),
    services.load?.(region, signal),
  ])
  const failed: string[] = []
  const unknown: string[] = []
  if (!health) unknown.push(`health of ${region}`)
  else if (!health.serving) failed.push(`/health of ${region}: ${health.detail}`)
  if (level === null) unknown.push(`bucket level of ${region}`)
  else if (level <= minBucket)
    failed.push(`the bucket of ${region} is at ${percent(level)}, not above ${percent(minBucket)}`)
  if (load && !load.passed) failed.push(`the load test of ${region} failed: ${load.detail}`)
  return { failed, unknown, level }
}

/** From Prometheus, else from the edge; null when neither says it. */
async function levelOf(services: WorkflowServices, region: string, signal: AbortSignal): Promise<number | null> {
  const asked = services.query?.(levelQuery(services.settings, region), signal)
  const queried = await asked?.catch(orNull)
  if (queried !== undefined && queried !== null) return queried
  const regions = await services.edge?.regions(signal).catch(orNull)
  return regions?.find((one) => one.region === region)?.bucket?.ratio ?? null
}

function orNull(error: unknown): null {
  if (error instanceof ClawError) return null
  throw error
}
