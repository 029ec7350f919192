import { SECOND } from '../../src/core/clock.ts'
import type { EdgeConflict, ReconcilePolicy } from '../../src/core/edge.ts'
import { ClawError } from '../../src/core/errors.ts'
import type { Flow } from '../../src/core/workflow.ts'
import { count, edgeOf, OPERATION_TIMEOUT, takeSnapshot } from './parts.ts'

// Reconciling and looking whether it lasts, as `reconcile` and `revert` both do it.

/** Diverged keys that are looked at, and that are named to people. */
const MAX_KEYS = 500
const EXAMPLES = 3
/** After the edge said that it is done, the last node may still have to tell that it knows. */
const GRACE = 3 * SECOND

type Known = { key: string; since: number | null }

export type Repair = {
  snapshot: string | null
  /** keys that had diverged before, at most `MAX_KEYS`; `more` when there were that many */
  before: number
  more: boolean
  examples: string[]
  /** when the edge said that it is reconciled, ms */
  endedAt: number
  /** keys that still diverge although they were reconciled: data inconsistency (system.md, section 3) */
  still: string[]
}

/** Diverged keys of some regions, each once. */
async function diverged(flow: Flow, regions: readonly string[], signal: AbortSignal): Promise<EdgeConflict[]> {
  const found = new Map<string, EdgeConflict>()
  for (const region of regions) {
    for (const conflict of await conflictsOf(flow, region, signal)) {
      if (found.size < MAX_KEYS || found.has(conflict.key)) found.set(conflict.key, conflict)
    }
  }
  return [...found.values()]
}

/** An edge that has no list of conflicts (404) can still reconcile; nobody can say then what diverges. */
async function conflictsOf(flow: Flow, region: string, signal: AbortSignal): Promise<EdgeConflict[]> {
  try {
    return await edgeOf(flow.services).conflicts(region, MAX_KEYS, signal)
  } catch (error) {
    if (error instanceof ClawError && error.code === 'not_found') return []
    throw error
  }
}

/** Notes what diverges, takes a snapshot, reconciles, and looks whether a key that had diverged still does. */
export async function repair(flow: Flow, regions: readonly string[], policy: ReconcilePolicy): Promise<Repair> {
  const before = await flow.step(
    'what diverges',
    {
      say: (keys: Known[]) =>
        keys.length === 0 ? 'No key diverges now.' : `${keysOf(keys.length)} diverged${named(keys)}.`,
    },
    async ({ signal }) => (await diverged(flow, regions, signal)).map(({ key, since }) => ({ key, since })),
  )
  const snapshot = await takeSnapshot(flow, regions)
  const reconciled = await flow.operation('reconcile', OPERATION_TIMEOUT, ({ key, signal }) =>
    edgeOf(flow.services).start(
      { kind: 'reconcile', regions, policy, by: flow.by, incident: flow.incident },
      key,
      signal,
    ),
  )
  const seenAt = await flow.step(
    'reconciled',
    { say: () => 'The edge has reconciled; looking whether it lasts.' },
    async ({ now }) => now,
  )
  // By the edge's own clock, as the times of its conflicts: what diverged anew before we heard of the end is not left over.
  const endedAt = reconciled.endedAt ?? seenAt
  const still = await flow.poll(
    'nothing still diverges',
    { timeout: 60 * SECOND, what: 'The edge did not say what diverges' },
    async ({ signal, now }) => {
      const left = stillDiverged(await diverged(flow, regions, signal), before, endedAt)
      return left.length === 0 || now >= seenAt + GRACE ? left : null
    },
  )
  return {
    snapshot,
    before: before.length,
    more: before.length >= MAX_KEYS,
    examples: examplesOf(before),
    endedAt,
    still,
  }
}

/**
 * Of the keys that diverge now, those that a reconcile which ended at `endedAt` should have cured: diverged since before that;
 * where the edge does not say since when, or its clock differs from ours, the very ones that it named before. Pure.
 */
export function stillDiverged(now: readonly EdgeConflict[], before: readonly Known[], endedAt: number): string[] {
  const known = new Map(before.map(({ key, since }) => [key, since]))
  return now
    .filter(({ key, since }) => {
      if (since === null) return known.has(key)
      return since < endedAt || known.get(key) === since
    })
    .map(({ key }) => key)
}

/** Lets `ms` pass and looks again. @returns keys that diverge anew; call it only when `repair` left none */
export async function watch(flow: Flow, regions: readonly string[], ms: number): Promise<string[]> {
  await flow.wait('watch', ms)
  return await flow.step('what diverges again', {}, async ({ signal }) =>
    (await diverged(flow, regions, signal)).map(({ key }) => key),
  )
}

function examplesOf(keys: readonly Known[]): string[] {
  return keys.slice(0, EXAMPLES).map(({ key }) => key)
}

/** ` (user:1, user:2, …)`; '' for none. */
export function named(keys: readonly (string | Known)[]): string {
  if (keys.length === 0) return ''
  const names = keys.slice(0, EXAMPLES).map((one) => (typeof one === 'string' ? one : one.key).slice(0, 60))
  return ` (${names.join(', ')}${keys.length > EXAMPLES ? ', …' : ''})`
}

/** `37 keys`; `500 keys or more` where it counted no further. */
export function keysOf(n: number): string {
  return n < MAX_KEYS ? count(n, 'key') : `${MAX_KEYS} keys or more`
}

/** What is the same of every outcome, for `Outcome.data`. */
export function repairData(repaired: Repair, more: { inconsistent?: true; divergedAgain?: true } = {}) {
  const { snapshot, before, examples, endedAt, still } = repaired
  return { snapshot, before, examples, endedAt, still: still.slice(0, EXAMPLES), ...more }
}
