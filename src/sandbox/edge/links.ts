import type { Link } from './network.ts'
import type { EdgeNode } from './node.ts'
import { BASELINE, type Region } from './region.ts'

/** Seconds that a message takes without jitter: within a region, and between two. */
const NEAR = 0.004
const FAR = BASELINE.syncLag - 1.5 * BASELINE.jitter

/** The way of a message from a node of `from` to `node` of `to`, as both regions' pressure makes it. */
export function linkOf(from: Region, to: Region, node: EdgeNode): Link {
  const between = from !== to
  const cut = between && (from.pressure.cut || to.pressure.cut)
  return {
    latency: between ? FAR + Math.max(from.pressure.lagSeconds, to.pressure.lagSeconds) : NEAR,
    jitter: BASELINE.jitter + to.pressure.jitterSeconds * node.strain,
    loss: cut ? 1 : to.pressure.lossRatio,
  }
}
