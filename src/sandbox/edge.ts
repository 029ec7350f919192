import { SECOND } from '../core/clock.ts'
import { type Conflict, createDivergence } from './edge/divergence.ts'
import { createEdgeFaults, type EdgeFaults } from './edge/faults.ts'
import { linkOf } from './edge/links.ts'
import { type LoadResult, syntheticLoad } from './edge/load.ts'
import { createNetwork } from './edge/network.ts'
import { dropsOf, type EdgeNode, hear } from './edge/node.ts'
import { createOperations, type Operations } from './edge/operations.ts'
import { refill, syncAll } from './edge/reconcile.ts'
import {
  BASELINE,
  CALM,
  type Canary,
  createRegions,
  expire,
  fresh,
  type Pressure,
  type Region,
  restart,
  serve,
  TICK,
  type Version,
} from './edge/region.ts'
import { publish, receive } from './edge/replica.ts'
import { createRouting } from './edge/routing.ts'
import { createSnapshots } from './edge/snapshots.ts'
import { type RegionView, viewOf } from './edge/view.ts'
import { createRandom } from './random.ts'

export type { Conflict, LoadResult, RegionView }

/*
 * The edge, simulated: nodes that serve from copies of a bucket, and messages between them. It runs in ticks of fixed length,
 * so that the same seed always gives the same figures, however the time was cut into steps, and as fast as it is asked to.
 */
export type Edge = {
  readonly regions: readonly string[]
  /** milliseconds since the epoch in the model */
  now(): number
  /** Moves the model on by `dtMs`; what does not fill a tick is kept for the next call. */
  step(dtMs: number): void
  /** Jumps to `now` without simulating what lies between; for a machine that slept. */
  skipTo(now: number): void
  view(): RegionView[]
  /** Live state of one region for the metrics page; undefined when there is no such region. */
  region(name: string): Region | undefined
  isUp(region: string): boolean
  /** Keys of which copies differ by more than lag explains, the oldest first; those that one region's nodes have, or all. */
  conflicts(region?: string): Conflict[]
  press(regions: readonly string[], change: Partial<Pressure>): void
  deploy(regions: readonly string[], version: Version): void
  canary(regions: readonly string[], canary: Canary): void
  /** Sets the canary's weight (percent) in every region. */
  canaryWeight(weight: number): void
  /** Stores the token state of `regions` (all when empty; unknown ones are left out). Answers the id. */
  snapshot(regions: readonly string[]): string
  /** Summary of a snapshot as JSON. @throws ClawError('not_found') */
  snapshotOf(id: string): object
  /** What `requests` more requests, at this moment and all at once, would meet in the region; takes no tokens. */
  load(region: string, requests: number): LoadResult
  /** Takes every pressure, bad version, canary and divergence away; routing and what operators set stay. */
  heal(): void
  /** Back to how it was created, except for its counters and its time. */
  reset(): void
  readonly operations: Operations
  readonly faults: EdgeFaults
}

/**
 * Makes an edge of `regions` with `nodesPerRegion` nodes each, all healthy.
 * @param options.now where the model's time begins, ms since the epoch
 */
export function createEdge(options: {
  now: number
  seed?: number
  regions?: readonly string[]
  nodesPerRegion?: number
}): Edge {
  const names = options.regions ?? ['A', 'B']
  const random = createRandom(options.seed ?? 1)
  let now = options.now
  let left = 0
  const regions = createRegions(names, options.nodesPerRegion ?? 3, random, now)
  const byName = new Map(regions.map((region) => [region.name, region]))
  const network = createNetwork(random)
  const divergence = createDivergence(regions)
  const routing = createRouting(names)
  const faults = createEdgeFaults()
  const snapshots = createSnapshots()
  const operations = createOperations({ regions: byName, routing, faults, now: () => now })
  const pick = (wanted: readonly string[]) => regions.filter((region) => wanted.includes(region.name))
  const perRegion = regions[0]?.nodes.length ?? 0
  const homeOf = (number: number): Region | undefined => regions[Math.floor(number / perRegion)]
  const nodeOf = (number: number): EdgeNode | undefined => homeOf(number)?.nodes[number % perRegion]

  function deliver(): void {
    for (const message of network.arrived(now)) {
      const from = homeOf(message.from)
      const to = homeOf(message.to)
      const node = nodeOf(message.to)
      if (!from || !to || !node || to.pressure.down) continue
      const counts = node.replica.counts[from.index]
      const before = counts && divergence.isStale(node, from, now) ? counts.slice() : null
      hear(node, message.from, message.sentAt, (message.dueAt - message.sentAt) / SECOND)
      receive(node.replica, message.states, dropsOf(node, to.version.dropsUpdates))
      if (before) divergence.caughtUp(node, from, before)
    }
  }

  function gossip(): void {
    const alive = regions.filter((region) => !region.pressure.down)
    for (const from of alive) {
      for (const sender of from.nodes) {
        const states = publish(sender.replica)
        for (const to of alive) {
          for (const node of to.nodes) {
            if (node === sender) continue
            network.send({ from: sender.number, to: node.number, sentAt: now, states }, linkOf(from, to, node))
          }
        }
      }
    }
  }

  function tick(): void {
    now += TICK
    operations.step()
    for (const region of regions) {
      expire(region, now)
      if (!routing.hosting(region.name)) region.collapsing = false
    }
    deliver()
    divergence.measure(now)
    for (const region of regions) {
      const noise = 1 + (random() - 0.5) * 0.04
      const wobble = random() - 0.5
      const offered = regions.reduce(
        (sum, { name, pressure }) => sum + BASELINE.demand * pressure.demandFactor * routing.share(name, region.name),
        0,
      )
      if (!region.pressure.down) serve(region, offered * noise, wobble, now)
    }
    gossip()
  }

  /** Changes what weighs on a region; one that comes back from `down` starts anew. */
  function press(region: Region, change: Partial<Pressure>): void {
    const wasDown = region.pressure.down
    region.pressure = { ...region.pressure, ...change }
    if (!wasDown || region.pressure.down) return
    const peers = regions.flatMap((other) => other.nodes[0]?.replica.states[other.index] ?? [])
    restart(region, peers, regions.length, now)
    // Nobody waited for news of it while it was gone.
    for (const node of regions.flatMap((other) => other.nodes)) {
      for (const { number } of region.nodes) node.heard[number] = now
    }
  }

  function clear(region: Region): void {
    press(region, CALM)
    if (region.version.dropsUpdates && region.previous) {
      region.version = region.previous
      region.previous = null
    }
    region.canary = { weight: 0, version: null, rating: BASELINE.rating }
    region.collapsing = false
  }

  function setCanary(region: Region, canary: Canary): void {
    region.canary = { ...canary }
    // Without a canary there is nothing to rate but the version that always ran.
    if (canary.weight === 0) region.rating = BASELINE.rating
  }

  return {
    regions: names,
    operations,
    faults,
    now: () => now,
    step(dtMs) {
      left += Math.max(0, dtMs)
      for (; left >= TICK; left -= TICK) tick()
    },
    skipTo(to) {
      const gap = Math.max(0, to - now)
      now += gap
      left = 0
      network.shift(gap)
      for (const node of regions.flatMap((region) => region.nodes)) node.heard = node.heard.map((at) => at + gap)
    },
    view: () => regions.map((region) => viewOf(region, routing.receiving(region.name))),
    region: (name) => byName.get(name),
    isUp: (name) => byName.get(name)?.pressure.down === false,
    conflicts: divergence.conflicts,
    press(wanted, change) {
      for (const region of pick(wanted)) press(region, change)
    },
    deploy(wanted, version) {
      for (const region of pick(wanted)) {
        region.previous = region.version
        region.version = version
      }
    },
    canary(wanted, canary) {
      for (const region of pick(wanted)) setCanary(region, canary)
    },
    canaryWeight(weight) {
      for (const region of regions) setCanary(region, { ...region.canary, weight })
    },
    snapshot: (wanted) => snapshots.take(wanted.length === 0 ? regions : pick(wanted), now),
    snapshotOf: snapshots.get,
    load(name, requests) {
      return syntheticLoad(byName.get(name), requests)
    },
    heal() {
      regions.forEach(clear)
      syncAll(regions)
    },
    reset() {
      operations.reset()
      faults.clear()
      network.clear()
      for (const region of regions) {
        clear(region)
        Object.assign(region, fresh())
      }
      for (const region of regions) refill(region, regions)
    },
  }
}
