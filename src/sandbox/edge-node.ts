/** Upper bounds of the duration histogram in seconds, `+Inf` left out; 0.2 is the limit of LatencyHigh. */
export const DURATION_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5] as const

/** How wide latencies spread around their median (log-normal): p95 is 2.5 times the median. */
const SIGMA = Math.log(2.5) / 1.6449

/** One edge node. Counters only rise, and hold fractions that the metrics page rounds down. */
export type EdgeNode = {
  name: string
  index: number
  /** how far its copy of the bucket is off, -1..1 of capacity; negative believes in fewer tokens than there are */
  skew: number
  /** the small difference that always exists */
  tremor: number
  codes: { '200': number; '429': number; '503': number }
  /** cumulative as in the exposition, the last one being `+Inf` */
  buckets: number[]
  durationSum: number
  conflicts: number
}

/** Makes a node that has served nothing yet. */
export function createNode(name: string, index: number): EdgeNode {
  return {
    name,
    index,
    skew: 0,
    tremor: 0.006,
    codes: { '200': 0, '429': 0, '503': 0 },
    buckets: new Array(DURATION_BUCKETS.length + 1).fill(0),
    durationSum: 0,
    conflicts: 0,
  }
}

/** Adds requests to the counters: `served` of which `errorRatio` failed, and `refused`; durations by `p95` in seconds. */
export function countRequests(
  node: EdgeNode,
  requests: { served: number; errorRatio: number; refused: number; p95: number },
): void {
  const { served, errorRatio, refused, p95 } = requests
  const all = served + refused
  node.codes['200'] += served * (1 - errorRatio)
  node.codes['503'] += served * errorRatio
  node.codes['429'] += refused
  const median = p95 / 2.5
  DURATION_BUCKETS.forEach((bound, i) => {
    node.buckets[i] = (node.buckets[i] ?? 0) + all * normal(Math.log(bound / median) / SIGMA)
  })
  const last = DURATION_BUCKETS.length
  node.buckets[last] = (node.buckets[last] ?? 0) + all
  node.durationSum += all * median * Math.exp(SIGMA ** 2 / 2)
}

/** The standard normal distribution function, by the logistic approximation (error below 0.01: a model needs no more). */
function normal(z: number): number {
  return 1 / (1 + Math.exp(-1.5976 * z - 0.070566 * z ** 3))
}
