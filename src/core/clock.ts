/** Time as the code sees it; tests pass one that they move by hand. Milliseconds since the epoch. */
export type Clock = () => number

export const SECOND = 1_000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
