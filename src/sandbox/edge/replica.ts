import { type BucketState, merge, type Row, tokensOf } from './crdt.ts'

/**
 * What one node holds: a copy of every region's bucket, and of each the count of tokens by key, which is what requests are
 * served from. As a hot path must, the node keeps that count and adds to it what each merge brings, instead of adding
 * up the whole state for each request. Version 1.9.0 breaks exactly this step: the state is merged, the count is not.
 */
export type Replica = {
  /** place of the node's own region among the regions, and of the node among its nodes */
  readonly region: number
  readonly place: number
  /** by region */
  states: BucketState[]
  /** by region and key; may be negative when several nodes took the same last tokens */
  counts: Float64Array[]
  /** what the count lacks of what the state says, by region and key: the model's own book, no node knows it */
  lost: Float64Array[]
  /** the node's own row, still being written */
  seq: number
  refilled: Float64Array
  taken: Float64Array
}

/** Makes the copy of a node that starts with `states`, one per region. */
export function createReplica(region: number, place: number, states: readonly BucketState[]): Replica {
  const replica: Replica = {
    region,
    place,
    states: [...states],
    counts: [],
    lost: [],
    seq: 0,
    refilled: new Float64Array(),
    taken: new Float64Array(),
  }
  states.forEach((state, i) => {
    adopt(replica, i, state)
  })
  return replica
}

/** Takes a state over as a whole, its own row included: the count is added up anew, nothing is lost any more. */
export function adopt(replica: Replica, region: number, state: BucketState): void {
  replica.states[region] = state
  replica.counts[region] = tokensOf(state)
  replica.lost[region] = new Float64Array(state.base.length)
  if (region !== replica.region) return
  const own = state.rows[replica.place]
  replica.seq = own?.seq ?? 0
  replica.refilled = own?.refilled.slice() ?? new Float64Array(state.base.length)
  replica.taken = own?.taken.slice() ?? new Float64Array(state.base.length)
}

/** Adds tokens to (or, negative, takes tokens from) the node's own region's bucket; others learn of it when it is published. */
export function change(replica: Replica, key: number, tokens: number): void {
  const count = replica.counts[replica.region]
  if (!count) return
  count[key] = (count[key] ?? 0) + tokens
  const row = tokens > 0 ? replica.refilled : replica.taken
  row[key] = (row[key] ?? 0) + Math.abs(tokens)
}

/** The node's whole state with what it did since the last time, for the others. */
export function publish(replica: Replica): readonly BucketState[] {
  const state = replica.states[replica.region]
  if (state) {
    replica.seq += 1
    const row: Row = { seq: replica.seq, refilled: replica.refilled.slice(), taken: replica.taken.slice() }
    const rows = state.rows.map((other, i) => (i === replica.place ? row : other))
    replica.states[replica.region] = { ...state, rows }
  }
  return replica.states.slice()
}

/**
 * Merges what another node published. Whatever order messages come in, however often, the states converge, and without
 * `drops` so do the counts.
 * @param drops the fault of 1.9.0: keys whose pending refills are merged into the state but never reach the count
 */
export function receive(replica: Replica, theirs: readonly BucketState[], drops?: (key: number) => boolean): void {
  theirs.forEach((their, region) => {
    const before = replica.states[region]
    if (!before) return
    const after = merge(before, their)
    if (after === before) return
    if (after.epoch !== before.epoch) {
      adopt(replica, region, after)
      return
    }
    replica.states[region] = after
    after.rows.forEach((row, i) => {
      const known = before.rows[i]
      if (row !== known) count(replica, region, known, row, drops)
    })
  })
}

/** The full sync: all counts are added up anew from the states. */
export function rebuild(replica: Replica): void {
  replica.states.forEach((state, region) => {
    // What is not published yet is in the own row only.
    if (region === replica.region) publish(replica)
    adopt(replica, region, replica.states[region] ?? state)
  })
}

/** Brings into the count what `row` has more than `known`. */
function count(
  replica: Replica,
  region: number,
  known: Row | undefined,
  row: Row,
  drops?: (key: number) => boolean,
): void {
  const counts = replica.counts[region]
  const lost = replica.lost[region]
  if (!counts || !lost) return
  for (let k = 0; k < counts.length; k++) {
    const refilled = (row.refilled[k] ?? 0) - (known?.refilled[k] ?? 0)
    const taken = (row.taken[k] ?? 0) - (known?.taken[k] ?? 0)
    if (drops?.(k)) {
      lost[k] = (lost[k] ?? 0) + refilled
      counts[k] = (counts[k] ?? 0) - taken
    } else counts[k] = (counts[k] ?? 0) + refilled - taken
  }
}
