import { pathToFileURL } from 'node:url'
import { MINUTE, SECOND } from '../../src/core/clock.ts'
import type { EdgeRegion } from '../../src/core/edge.ts'
import type { Cause, EdgeChange, Verdict } from '../../src/core/triage.ts'
import { judge } from '../../src/core/verdict.ts'
import type { Sample } from '../../src/core/verdict-facts.ts'
import { createEdge, type Edge, type RegionView } from '../../src/sandbox/edge.ts'

/** Something that goes wrong, and what a good judge says of it. */
export type Case = {
  name: string
  truth: Cause
  /** regions whose alerts fire */
  regions: readonly string[]
  /** what is so long before, and nobody sees change */
  before?: (edge: Edge) => void
  fault: (edge: Edge) => void
  /** how long after the fault alerts fire; default 2 min */
  after?: number
  /** the edge has more than two regions */
  names?: readonly string[]
}

const BOTH = ['A', 'B']
const BUGGY = { name: '1.9.0', dropsUpdates: true }
const SOUND = { name: '1.8.3', dropsUpdates: false }

/** Simulated causes; each is judged two minutes after it began, when alerts fire. */
export const CASES: readonly Case[] = [
  {
    name: 'five times the traffic everywhere',
    truth: 'overload',
    regions: BOTH,
    fault: (edge) => edge.press(BOTH, { demandFactor: 5, latencySeconds: 0.06 }),
  },
  {
    name: 'three times the traffic everywhere',
    truth: 'overload',
    regions: BOTH,
    fault: (edge) => edge.press(BOTH, { demandFactor: 3 }),
  },
  {
    name: 'four times the traffic in one region',
    truth: 'abuse',
    regions: ['A'],
    fault: (edge) => edge.press(['A'], { demandFactor: 4 }),
  },
  {
    name: 'one of three regions is flooded',
    truth: 'abuse',
    regions: ['B'],
    names: ['A', 'B', 'C'],
    fault: (edge) => edge.press(['B'], { demandFactor: 6 }),
  },
  {
    name: 'the link between the regions is cut',
    truth: 'partition',
    regions: BOTH,
    fault: (edge) => edge.press(BOTH, { cut: true }),
  },
  {
    name: 'one of three regions is cut off',
    truth: 'partition',
    regions: ['A', 'B', 'C'],
    names: ['A', 'B', 'C'],
    fault: (edge) => edge.press(['C'], { cut: true }),
  },
  {
    name: 'replication is six seconds late',
    truth: 'partition',
    regions: BOTH,
    fault: (edge) => edge.press(BOTH, { lagSeconds: 6, jitterSeconds: 0.08, demandFactor: 2 }),
  },
  {
    name: 'the incident: a new version drops updates under jitter and traffic',
    truth: 'bad version',
    regions: BOTH,
    fault(edge) {
      edge.deploy(BOTH, BUGGY)
      edge.press(BOTH, { demandFactor: 2.3, jitterSeconds: 0.2, lagSeconds: 0.6, latencySeconds: 0.03 })
    },
  },
  {
    name: 'a new version drops updates under jitter alone',
    truth: 'bad version',
    regions: ['A'],
    fault(edge) {
      edge.deploy(BOTH, BUGGY)
      edge.press(BOTH, { jitterSeconds: 0.25 })
    },
  },
  {
    name: 'copies diverge, and no version is new',
    truth: 'divergence',
    regions: BOTH,
    before: (edge) => edge.deploy(BOTH, BUGGY),
    fault: (edge) => edge.press(BOTH, { jitterSeconds: 0.25, demandFactor: 2 }),
  },
  {
    name: 'a new version fails',
    truth: 'bad version',
    regions: BOTH,
    fault(edge) {
      edge.deploy(BOTH, SOUND)
      edge.press(BOTH, { errorRatio: 0.04 })
    },
  },
  {
    name: 'a new version is slow, in one region',
    truth: 'bad version',
    regions: ['B'],
    fault(edge) {
      edge.deploy(['B'], SOUND)
      edge.press(['B'], { latencySeconds: 0.4 })
    },
  },
  {
    name: 'a canary is rated far too low',
    truth: 'bad canary',
    regions: ['A'],
    fault: (edge) => edge.canary(['A'], { weight: 10, version: '1.10.0-rc.1', rating: 0.55 }),
  },
  {
    name: 'a canary has half of the traffic, and errors rise',
    truth: 'bad canary',
    regions: ['A'],
    fault(edge) {
      edge.canary(['A'], { weight: 50, version: '1.10.0-rc.1', rating: 0.8 })
      edge.press(['A'], { errorRatio: 0.02 })
    },
  },
  {
    name: 'the refill stalls',
    truth: 'stalled refill',
    regions: ['A'],
    fault: (edge) => edge.press(['A'], { refillFactor: 0.2 }),
  },
  {
    name: 'tokens leak away',
    truth: 'stalled refill',
    regions: ['B'],
    fault: (edge) => edge.press(['B'], { drainPerSecond: 3_000 }),
  },
  {
    name: 'a region is down',
    truth: 'region down',
    regions: ['A'],
    fault: (edge) => edge.press(['A'], { down: true }),
  },
  {
    name: 'a sound version and a good canary are out, then traffic rises',
    truth: 'overload',
    regions: BOTH,
    fault(edge) {
      edge.deploy(BOTH, SOUND)
      edge.canary(['A'], { weight: 10, version: '1.10.0', rating: 0.96 })
      edge.press(BOTH, { demandFactor: 4, latencySeconds: 0.03 })
    },
  },
  {
    name: 'traffic rises while replication is a little late',
    truth: 'overload',
    regions: BOTH,
    fault: (edge) => edge.press(BOTH, { demandFactor: 4, lagSeconds: 0.8, jitterSeconds: 0.1 }),
  },
  {
    name: 'requests are slow, and nothing else is odd',
    truth: 'unknown',
    regions: ['A'],
    fault: (edge) => edge.press(['A'], { latencySeconds: 0.3 }),
  },
]

const POLL = 5 * SECOND
const START = Date.UTC(2026, 4, 4, 2)

/** Plays one case and judges it. Deterministic for a seed. `quiet`: ms that are sampled before the fault. */
export function play(one: Case, seed: number, quiet: number): Verdict {
  const edge = createEdge({ now: START, seed, ...(one.names ? { regions: one.names } : {}) })
  one.before?.(edge)
  const history: Sample[] = []
  const changes: EdgeChange[] = []
  const sample = () => {
    const regions = edge.view().map(reported)
    for (const region of regions) {
      const before = history.at(-1)?.regions.find((old) => old.region === region.region)
      if (before?.version && region.version && before.version !== region.version) {
        const { version: to } = region
        changes.push({ at: edge.now(), region: region.region, what: 'version', from: before.version, to })
      }
    }
    history.push({ at: edge.now(), regions })
  }
  const pass = (ms: number) => {
    for (let left = ms; left > 0; left -= POLL) {
      edge.step(POLL)
      sample()
    }
  }
  pass(quiet)
  one.fault(edge)
  pass(one.after ?? 2 * MINUTE)
  return judge({
    onset: edge.now() - POLL,
    regions: one.regions,
    classes: [],
    edge: history.at(-1)?.regions ?? [],
    history,
    conflicts: edge
      .conflicts()
      .slice(0, 50)
      .map(({ key, values, since }) => ({ key, values, since: Date.parse(since) })),
    changes,
  })
}

/** What the admin API would say of a region, as the adapter reads it; a dead one says that it is dead. */
function reported(view: RegionView): EdgeRegion {
  return {
    region: view.region,
    healthy: view.healthy,
    receiving: view.receiving,
    bucket: view.up ? view.bucket : null,
    syncLagSeconds: view.sync_lag_seconds,
    conflictsPerMinute: view.conflicts_per_minute,
    p95LatencySeconds: view.p95_latency_seconds,
    errorRatio: view.error_ratio,
    canaryWeight: view.canary_weight,
    version: view.version,
    requestRate: view.up ? view.request_rate : 0,
    refusedRatio: view.refused_ratio,
    refillRate: view.refill_rate,
    ratingScore: view.rating_score,
    jitterSeconds: view.jitter_seconds,
    replicas: view.replicas,
    nodes: view.nodes,
  }
}

/** Prints the share judged rightly, per cause: `node test/bench/verdict.ts [seeds]`. */
function main(seeds: number): void {
  const right = new Map<Cause, [hits: number, all: number]>()
  for (const one of CASES) {
    for (let seed = 1; seed <= seeds; seed++) {
      const verdict = play(one, seed, 3 * MINUTE)
      const tally = right.get(one.truth) ?? [0, 0]
      right.set(one.truth, tally)
      tally[1] += 1
      if (verdict.cause === one.truth) tally[0] += 1
      else
        console.log(
          `${one.name}, seed ${seed}: ${verdict.cause} (${verdict.confidence}): ${verdict.evidence.join('; ')}`,
        )
    }
  }
  let [hits, all] = [0, 0]
  for (const [cause, [n, of]] of right) {
    console.log(`${cause.padEnd(16)} ${n} of ${of}`)
    hits += n
    all += of
  }
  console.log(`judged rightly   ${hits} of ${all} (${Math.round((hits / all) * 100)} %)`)
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  main(Number(process.argv[2] ?? 5))
}
