import { SECOND } from '../../core/clock.ts'
import type { Edge } from '../edge.ts'

/** Bucket levels (0..1) by region in the order of `edge.regions`; null for a region that is down. `at` in ms. */
export type Point = { at: number; levels: (number | null)[] }

export type History = {
  /** Takes a sample when a second has passed since the last one. */
  look(): void
  /** of the last three minutes, oldest first */
  points(): readonly Point[]
}

const KEPT = 180

/** Remembers bucket levels for the page's chart; unlike the alert source it also does so beside a real Prometheus. */
export function createHistory(edge: Edge): History {
  const points: Point[] = []
  return {
    look() {
      const at = edge.now()
      if (at - (points.at(-1)?.at ?? Number.NEGATIVE_INFINITY) < SECOND) return
      points.push({ at, levels: edge.view().map(({ up, bucket }) => (up ? Number(bucket.ratio.toFixed(3)) : null)) })
      if (points.length > KEPT) points.shift()
    },
    points: () => points,
  }
}
