import type { BucketState } from './crdt.ts'
import { createReplica, type Replica } from './replica.ts'

/** Upper bounds of the duration histogram in seconds, `+Inf` left out; 0.2 is the limit of LatencyHigh. */
export const DURATION_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5] as const

/** How wide latencies spread around their median (log-normal): p95 is 2.5 times the median. */
const SIGMA = Math.log(2.5) / 1.6449

/** The incident's patch: merge() drops pending updates above this jitter, in seconds (system.md, section 1). */
const DROPS_UPDATES_ABOVE = 0.15
/** Keys are replicated in so many streams; 1.9.0 drops what is pending in the slowest stream of a node. */
const STREAMS = 4
/** Weight of a new sample in the jitter, half of RFC 3550's because a node hears from several others. */
const JITTER_GAIN = 1 / 32

/** One edge node. Counters only rise, and hold fractions that the metrics page rounds down. */
export type EdgeNode = {
  name: string
  index: number
  /** its number over all regions, from 0 */
  number: number
  replica: Replica
  /** how much of its region's jitter reaches it: 1 behind the worse path, less else */
  strain: number
  slowStream: number
  /** seconds, measured from what arrives */
  jitter: number
  /** by the sender's number: when the newest message was sent (ms), its delay and the transit before it (seconds) */
  heard: Float64Array
  delay: Float64Array
  /** how far its copies are off, as a share of capacity, the worst of all regions' buckets */
  delta: number
  /** keys of which a copy is off by more than lag explains */
  diverged: Set<number>
  codes: { '200': number; '429': number; '503': number }
  /** requests per second as they are now */
  offered: number
  refused: number
  /** cumulative as in the exposition, the last one being `+Inf` */
  buckets: number[]
  durationSum: number
  conflicts: number
}

/**
 * Makes a node that has served nothing yet.
 * @param at.region place of its region, @param at.index its place in it, @param at.nodes how many there are over all regions
 */
export function createNode(
  name: string,
  at: { region: number; index: number; number: number; nodes: number; now: number },
  states: readonly BucketState[],
): EdgeNode {
  const { region, index, number, nodes, now } = at
  // Three nodes of the smallest deployment are far from the others (system.md, section 1): two in the first region, one elsewhere.
  const far = index === 1 || (index === 2 && region === 0)
  return {
    name,
    index,
    number,
    replica: createReplica(region, index, states),
    strain: far ? 1 : 0.35,
    slowStream: (index + 2 * region) % STREAMS,
    jitter: 0,
    heard: new Float64Array(nodes).fill(now),
    delay: new Float64Array(nodes).fill(Number.NaN),
    delta: 0,
    diverged: new Set(),
    codes: { '200': 0, '429': 0, '503': 0 },
    offered: 0,
    refused: 0,
    buckets: new Array(DURATION_BUCKETS.length + 1).fill(0),
    durationSum: 0,
    conflicts: 0,
  }
}

/** Notes that a message of node `from` arrived after `delay` seconds; a late one that was overtaken counts for the jitter. */
export function hear(node: EdgeNode, from: number, sentAt: number, delay: number): void {
  const last = node.delay[from] ?? Number.NaN
  if (!Number.isNaN(last)) node.jitter += (Math.abs(delay - last) - node.jitter) * JITTER_GAIN
  node.delay[from] = delay
  node.heard[from] = Math.max(node.heard[from] ?? 0, sentAt)
}

/** Which keys' pending refills this node drops in a merge when it runs the bad version; undefined for none. */
export function dropsOf(node: EdgeNode, badVersion: boolean): ((key: number) => boolean) | undefined {
  if (!badVersion || node.jitter <= DROPS_UPDATES_ABOVE) return undefined
  return (key) => key % STREAMS === node.slowStream
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
