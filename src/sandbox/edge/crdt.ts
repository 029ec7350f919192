/*
 * One region's bucket as a state-based CRDT, kept per key: a PN-counter with one row per node of the region, written by that
 * node alone (tokens it refilled, tokens it took), over a base that everybody agreed on when the epoch began. Pure: states are
 * never changed, so that a message in flight can hold one.
 */

/** What one node did since the epoch began, by key. `seq` rises with every change; equal numbers mean equal rows. */
export type Row = { readonly seq: number; readonly refilled: Float64Array; readonly taken: Float64Array }

/** A copy of one region's bucket. A later epoch (reset, reconcile, new capacity) replaces an earlier one as a whole. */
export type BucketState = { readonly epoch: number; readonly base: Float64Array; readonly rows: readonly Row[] }

/** The state in which nothing has happened yet: `base` tokens by key, `nodes` empty rows. */
export function seeded(epoch: number, base: Float64Array, nodes: number): BucketState {
  const empty: Row = { seq: 0, refilled: new Float64Array(base.length), taken: new Float64Array(base.length) }
  return { epoch, base, rows: new Array<Row>(nodes).fill(empty) }
}

/**
 * The least state that holds all that either knows: commutative, associative, idempotent, so that order, repetition and loss
 * of messages do not matter in the end. Answers `a` itself when `b` has nothing new.
 */
export function merge(a: BucketState, b: BucketState): BucketState {
  if (a === b) return a
  if (a.epoch !== b.epoch) return a.epoch > b.epoch ? a : b
  const base = larger(a.base, b.base)
  let news = base !== a.base
  const rows = Array.from({ length: Math.max(a.rows.length, b.rows.length) }, (_, i) => {
    const row = mergeRows(a.rows[i], b.rows[i])
    if (row !== a.rows[i]) news = true
    return row
  })
  return news ? { epoch: a.epoch, base, rows } : a
}

/** Tokens by key as the state alone says: base, and all that was refilled, less all that was taken. May be negative. */
export function tokensOf({ base, rows }: BucketState): Float64Array {
  const tokens = base.slice()
  for (const { refilled, taken } of rows) {
    for (let k = 0; k < tokens.length; k++) tokens[k] = (tokens[k] ?? 0) + (refilled[k] ?? 0) - (taken[k] ?? 0)
  }
  return tokens
}

function mergeRows(a: Row | undefined, b: Row | undefined): Row {
  if (!a || !b) {
    const there = a ?? b
    if (there) return there
    throw new RangeError('One of the two rows must be there.')
  }
  if (a === b) return a
  if (a.seq !== b.seq) return a.seq > b.seq ? a : b
  // Never so between honest nodes; it keeps the merge a join for any two states.
  const refilled = larger(a.refilled, b.refilled)
  const taken = larger(a.taken, b.taken)
  return refilled === a.refilled && taken === a.taken ? a : { seq: a.seq, refilled, taken }
}

/** Place by place the larger number; `a` itself where it is nowhere smaller. */
function larger(a: Float64Array, b: Float64Array): Float64Array {
  if (a === b || (a.length >= b.length && b.every((value, k) => value <= (a[k] ?? 0)))) return a
  return Float64Array.from({ length: Math.max(a.length, b.length) }, (_, k) =>
    Math.max(a[k] ?? Number.NEGATIVE_INFINITY, b[k] ?? Number.NEGATIVE_INFINITY),
  )
}
