import { SECOND } from '../core/clock.ts'
import type { AlertSource } from './alertsource.ts'
import type { Pressure } from './edge/region.ts'
import type { Edge } from './edge.ts'
import { stormAlerts } from './storm.ts'

/** Regions by their place (0 is the first), or all. */
type Where = readonly number[] | 'all'

/** One push on the world, `at` seconds after the start. */
export type Step = { at: number } & (
  | { kind: 'press'; where: Where; set: Partial<Pressure> }
  | { kind: 'deploy'; where: Where; version: string; dropsUpdates: boolean }
  | { kind: 'canary'; where: Where; version: string; weight: number; rating: number }
  /** raises the canary's weight, unless somebody has set it to 0 */
  | { kind: 'promote'; where: Where; weight: number }
  /** injects alerts, evenly within `over` seconds */
  | { kind: 'storm'; alerts: number; over: number }
  /** resolves all injected alerts within `over` seconds */
  | { kind: 'calm'; over: number }
  /** takes every pressure, bad version, canary and divergence away */
  | { kind: 'heal' }
)

export type Scenario = {
  name: string
  title: string
  /** what to watch for, one sentence */
  story: string
  /** seconds after which it is over; under 180 */
  lasts: number
  steps: readonly Step[]
}

/** All scenarios; times are tuned for a time factor of 10, where `for: 2m` is 12 s. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'traffic-spike',
    title: 'Five times the traffic in every region',
    story: 'The limiter is right: buckets empty because too much is asked for.',
    lasts: 95,
    steps: [
      { at: 0, kind: 'press', where: 'all', set: { demandFactor: 5, latencySeconds: 0.06 } },
      { at: 70, kind: 'heal' },
    ],
  },
  {
    name: 'partition',
    title: 'The link between the regions is cut',
    story: 'Nothing passes: copies age and drift; when the link heals, the regions meet each other’s conflicts.',
    lasts: 100,
    steps: [
      { at: 0, kind: 'press', where: 'all', set: { cut: true, demandFactor: 1.7, burstFactor: 2.6 } },
      { at: 55, kind: 'press', where: 'all', set: { cut: false, lagSeconds: 0.3, jitterSeconds: 0.04 } },
      { at: 80, kind: 'heal' },
    ],
  },
  {
    name: 'merge-bug',
    title: 'The incident: a patch to merge() drops updates under jitter',
    story:
      'Three nodes diverge and refuse wrongly; reconciled alone they diverge again, so roll the version back first.',
    lasts: 165,
    steps: [
      { at: 0, kind: 'deploy', where: 'all', version: '1.9.0', dropsUpdates: true },
      {
        at: 3,
        kind: 'press',
        where: 'all',
        set: { demandFactor: 2.3, jitterSeconds: 0.22, latencySeconds: 0.03 },
      },
      { at: 120, kind: 'press', where: 'all', set: { demandFactor: 1.4, jitterSeconds: 0.05 } },
      { at: 140, kind: 'heal' },
    ],
  },
  {
    name: 'region-outage',
    title: 'A region’s bucket collapses, then the region dies',
    story: 'Bucket alerts of the region resolve only because its metrics vanish; RegionDown takes over.',
    lasts: 105,
    steps: [
      { at: 0, kind: 'press', where: [0], set: { demandFactor: 1.9, drainPerSecond: 3_000, refillFactor: 0.2 } },
      { at: 30, kind: 'press', where: [0], set: { down: true } },
      { at: 80, kind: 'heal' },
    ],
  },
  {
    name: 'bad-canary',
    title: 'A canary is rated far too low',
    story: 'Nobody is hurt at 10 %; left alone it gets half of the traffic and errors rise.',
    lasts: 125,
    steps: [
      { at: 0, kind: 'canary', where: [0], version: '1.10.0-rc.1', weight: 10, rating: 0.55 },
      { at: 60, kind: 'promote', where: [0], weight: 50 },
      { at: 105, kind: 'heal' },
    ],
  },
  {
    name: 'alert-storm',
    title: 'Three thousand alerts of single keys in every region',
    story: 'Few services, few incidents: three thousand alerts must not become three thousand messages.',
    lasts: 95,
    steps: [
      { at: 0, kind: 'storm', alerts: 3_000, over: 8 },
      { at: 65, kind: 'calm', over: 8 },
      { at: 80, kind: 'heal' },
    ],
  },
]

export type Run = { name: string; title: string; started_at: string; ends_at: string }

export type ScenarioRunner = {
  /** Starts one at `now` (ms), ending what runs. Undefined when there is none of that name. */
  start(name: string, now: number): Run | undefined
  /** Does what is due at `now`. */
  advance(now: number): void
  /** Stretches time: what runs goes on from where it is, `stretch` times slower than written. */
  slow(stretch: number, now: number): void
  /** Ends what runs at once and heals the world. */
  stop(now: number): void
  running(): Run | null
}

/** Plays scenarios on an edge and an alert source. */
export function createScenarioRunner(options: { edge: Edge; source: AlertSource; seed: number }): ScenarioRunner {
  const { edge, source, seed } = options
  let run: { scenario: Scenario; startedAt: number; next: number; stretch: number } | null = null
  let stretch = 1
  let ramp: { kind: 'storm' | 'calm'; from: number; until: number; total: number; done: number } | null = null

  const regionsAt = (where: Where) =>
    where === 'all' ? edge.regions : where.flatMap((index) => edge.regions[index] ?? [])

  function act(step: Step, now: number): void {
    if (step.kind === 'heal') {
      edge.heal()
      return
    }
    if (step.kind === 'storm' || step.kind === 'calm') {
      const total = step.kind === 'storm' ? step.alerts : source.injected()
      ramp = { kind: step.kind, from: now, until: now + step.over * SECOND, total, done: 0 }
      return
    }
    const regions = regionsAt(step.where)
    if (step.kind === 'press') edge.press(regions, step.set)
    if (step.kind === 'deploy') edge.deploy(regions, { name: step.version, dropsUpdates: step.dropsUpdates })
    if (step.kind === 'canary') edge.canary(regions, step)
    if (step.kind === 'promote') {
      for (const region of regions) {
        const canary = edge.region(region)?.canary
        if (canary && canary.weight > 0) edge.canary([region], { ...canary, weight: step.weight })
      }
    }
  }

  function follow(now: number): void {
    if (!ramp) return
    const share = Math.min(1, (now - ramp.from) / (ramp.until - ramp.from))
    const due = Math.floor(ramp.total * share)
    const count = due - ramp.done
    if (count > 0 && ramp.kind === 'storm') {
      source.inject(stormAlerts({ from: ramp.done, count, regions: edge.regions, seed, now, base: source.base() }))
    }
    if (count > 0 && ramp.kind === 'calm') source.withdraw(now, count)
    ramp.done = due
    if (share === 1) ramp = null
  }

  function stop(now: number): void {
    run = null
    ramp = null
    edge.heal()
    source.withdraw(now)
  }

  return {
    start(name, now) {
      const scenario = SCENARIOS.find((one) => one.name === name)
      if (!scenario) return undefined
      stop(now)
      run = { scenario, startedAt: now, next: 0, stretch }
      return viewOf(run)
    },
    advance(now) {
      if (!run) return
      for (;;) {
        const step = run.scenario.steps[run.next]
        if (!step || now < run.startedAt + step.at * run.stretch * SECOND) break
        run.next += 1
        act(step, now)
      }
      follow(now)
      if (now >= run.startedAt + run.scenario.lasts * run.stretch * SECOND) stop(now)
    },
    slow(times, now) {
      stretch = times
      if (!run) return
      run.startedAt = now - ((now - run.startedAt) * times) / run.stretch
      run.stretch = times
    },
    stop,
    running: () => (run ? viewOf(run) : null),
  }
}

function viewOf(run: { scenario: Scenario; startedAt: number; stretch: number }): Run {
  const { name, title, lasts } = run.scenario
  return {
    name,
    title,
    started_at: new Date(run.startedAt).toISOString(),
    ends_at: new Date(run.startedAt + lasts * run.stretch * SECOND).toISOString(),
  }
}
