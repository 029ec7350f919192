import { z } from 'zod'
import type { Json } from './delivery.ts'
import { RECONCILE_POLICIES } from './edge.ts'
import type { NewRun } from './workflow.ts'

const name = z.string().min(1).max(200)
const regions = z.array(name).max(100)
/** milliseconds */
const lasts = z.number().positive()

/** What each workflow is given; one place, so that commands, policies and workflows agree. */
export const INPUTS = {
  reconcile: z.object({ regions, policy: z.enum(RECONCILE_POLICIES) }),
  reset: z.object({ region: name }),
  capacity: z.object({ region: name, factor: z.number().positive(), lasts }),
  scale: z.object({ region: name, replicas: z.int().positive(), lasts }),
  /** `region` null: every region that runs the bad version */
  revert: z.object({ regions, policy: z.enum(RECONCILE_POLICIES) }),
  'canary abort': z.object({}),
  /** `override`: the commander's reason for passing a refusal; null for none */
  failover: z.object({ from: name, to: name, override: z.string().nullable() }),
  /** undoes run `of`: clients of `to` go back to `from`; `expected` is the traffic switch's state that `of` found */
  rollback: z.object({ of: z.int(), from: name, to: name, expected: z.json() }),
} as const

export type Inputs = { [K in keyof typeof INPUTS]: z.output<(typeof INPUTS)[K]> }
export type Kind = keyof Inputs

/** Names that a sentence has room for. */
const MAX_NAMES = 8

/** `A`, `A and B`, `A, B and C`; `every region` for none. Of very many only the first, and how many more. */
export function listOf(names: readonly string[]): string {
  if (names.length === 0) return 'every region'
  const shown = names.length > MAX_NAMES ? names.slice(0, MAX_NAMES - 1) : names
  const all = shown.length < names.length ? [...shown, `${names.length - shown.length} more`] : shown
  return all.length > 1 ? `${all.slice(0, -1).join(', ')} and ${all.at(-1)}` : (all[0] ?? '')
}

const TITLES: { [K in Kind]: (input: Inputs[K]) => string } = {
  reconcile: ({ regions: where, policy }) => `Reconcile ${listOf(where)} (${policy.replaceAll('-', ' ')})`,
  reset: ({ region }) => `Reset the bucket of ${region}`,
  capacity: ({ region, factor, lasts: ms }) => `Capacity of ${region} times ${factor} for ${minutes(ms)}`,
  scale: ({ region, replicas, lasts: ms }) => `Scale ${region} to ${replicas} replicas for ${minutes(ms)}`,
  revert: ({ regions: where }) => `Revert the version in ${listOf(where)}`,
  'canary abort': () => 'Abort the canary',
  failover: ({ from, to }) => `Fail over from ${from} to ${to}`,
  rollback: ({ of, from, to }) => `Roll back o${of}: clients of ${from} return from ${to}`,
}

function minutes(ms: number): string {
  return ms % 60_000 === 0 || ms > 600_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 1000)} s`
}

/** A run of a kind, ready for `startRun`: title and regions follow from its input. The first region is the one left or cured. */
export function runOf<K extends Kind>(kind: K, input: Inputs[K]): Pick<NewRun, 'kind' | 'input' | 'title' | 'regions'> {
  const given = input as Partial<Record<'regions', string[]> & Record<'region' | 'from' | 'to', string>>
  const where = given.regions ?? [given.region, given.from, given.to].filter((one) => one !== undefined)
  return { kind, input: input as Json, title: TITLES[kind](input), regions: where }
}
