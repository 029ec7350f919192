import { listOf as joined } from './acts.ts'
import { MINUTE } from './clock.ts'
import type { EdgeChange, Verdict } from './triage.ts'
import {
  deployedBefore,
  type Facts,
  type Judged,
  judgeRegions,
  percentOf,
  perSecond,
  seconds,
  whole,
} from './verdict-facts.ts'

/** Limits that make a figure speak; all of system.md, section 2. */
const CONFLICTS = 10
const LAG = 2
const ERRORS = 0.005
const P95 = 0.2
const RATED_BAD = 0.7
const RATED_DOUBTFUL = 0.85

/** A version or canary that changed this long before the onset is suspected. */
const SUSPECT = 60 * MINUTE
/** Regions or versions that a sentence names. */
const MAX_NAMES = 4
/** Lines of evidence that are kept; messages show the first three. */
const MAX_EVIDENCE = 6

/** A cause that the figures speak for; the strongest wins. */
type Suspicion = Pick<Verdict, 'limiter' | 'cause' | 'summary' | 'evidence' | 'act'> & { weight: number }

type Scene = {
  facts: Facts
  /** every region of the edge */
  all: Judged[]
  /** those where alerts fire, or all where nobody said */
  here: Judged[]
  /** regions with nodes that are off, or where merges conflict */
  torn: Judged[]
}

/**
 * Is the limiter right (too much is asked of it) or wrong (its own state or version is the fault), by the figures of the edge
 * around the onset? Pure; missing figures only cost what they could have shown.
 */
export function judge(facts: Facts): Verdict {
  const all = judgeRegions(facts)
  const named = all.filter(({ region }) => facts.regions.includes(region.region))
  const here = named.length > 0 ? named : all
  const torn = all.filter(({ region, diverged }) => diverged.length > 0 || (region.conflictsPerMinute ?? 0) > CONFLICTS)
  const scene: Scene = { facts, all, here, torn }
  const suspicions = [regionDown, badCanary, partition, divergence, badVersion, stalledRefill, overload]
    .flatMap((look) => look(scene) ?? [])
    .sort((a, b) => b.weight - a.weight)
  const [first] = suspicions
  if (!first) return unknown(scene)
  // Figures that speak for the other side as well take some of the certainty away.
  const against = suspicions.find((one) => one.limiter !== first.limiter)?.weight ?? 0
  const { weight, ...verdict } = first
  const confidence = Math.round(Math.max(0.3, weight - against * 0.2) * 100) / 100
  return { ...verdict, confidence, evidence: verdict.evidence.slice(0, MAX_EVIDENCE) }
}

function regionDown({ facts, all, here }: Scene): Suspicion | null {
  const dead = here.filter(({ region }) => region.healthy === false && !failsSinceDeploy(facts, region.region))
  const names = dead.map(({ region }) => region.region)
  for (const name of facts.regions) {
    // Not listed any more although it was: it is gone as a whole. A list with nothing in it says nothing of any.
    const listed = all.length === 0 || all.some(({ region }) => region.region === name)
    if (!listed && facts.history.some(({ regions }) => regions.some(({ region }) => region === name))) names.push(name)
  }
  const [first] = names
  if (first === undefined) return null
  const others = all.filter(({ region }) => !names.includes(region.region) && region.healthy !== false)
  const spare = ({ region }: Judged) => (region.refillRate ?? 0) - (region.requestRate ?? 0)
  const to = [...others].sort((a, b) => spare(b) - spare(a))[0]
  return {
    limiter: 'wrong',
    cause: 'region down',
    weight: 0.95,
    summary: `The limiter is not the cause: ${listOf(names)} ${names.length === 1 ? 'is' : 'are'} down.`,
    evidence: [
      ...names.map((name) => `${name} is not healthy`),
      ...others.map(({ region }) => `${region.region} serves ${figure(region.requestRate, perSecond)}`),
    ],
    act: to
      ? {
          label: `Fail over ${first} to ${to.region.region}`,
          command: command('failover', [first, to.region.region]),
          risk: `${to.region.region} takes all clients of ${first}; it has ${perSecond(Math.max(0, spare(to)))} to spare.`,
        }
      : null,
  }
}

function failsSinceDeploy(facts: Facts, region: string): boolean {
  const errors = facts.edge.find((one) => one.region === region)?.errorRatio ?? 0
  return errors > 0.05 && deployedBefore(facts, SUSPECT).some((change) => change.region === region)
}

function badCanary({ all }: Scene): Suspicion | null {
  const canaries = all.filter(({ region }) => (region.canaryWeight ?? 0) > 0)
  if (canaries.length === 0) return null
  const rated = canaries.filter(({ region }) => (region.ratingScore ?? 1) < RATED_DOUBTFUL)
  const hurt = canaries.filter(hurts)
  const elsewhere = all.filter((one) => !canaries.includes(one)).some(hurts)
  if (rated.length === 0 && (hurt.length === 0 || elsewhere)) return null
  const bad = rated.some(({ region }) => (region.ratingScore ?? 1) < RATED_BAD)
  const worst = rated[0] ?? hurt[0]
  const rating = worst?.region.ratingScore ?? null
  const weight = figure(worst?.region.canaryWeight ?? null, (value) => `${whole(value)} %`)
  return {
    limiter: 'wrong',
    cause: 'bad canary',
    weight: bad ? 0.96 : rated.length > 0 ? (hurt.length > 0 ? 0.9 : 0.7) : 0.75,
    summary: `The canary is at fault: ${rating === null ? 'errors or latency rose' : `rated ${rating.toFixed(2)}`} at ${weight} of the traffic${worst ? ` in ${worst.region.region}` : ''}.`,
    evidence: [
      ...(rating === null ? [] : [`rating ${rating.toFixed(2)}, below ${bad ? '0.70' : '0.85'}`]),
      ...canaries.flatMap(symptoms),
      ...(elsewhere ? [] : ['regions without a canary are well']),
    ],
    act: {
      label: 'Abort the canary',
      command: 'canary abort',
      risk: `${weight} of the traffic goes back to the stable version; nothing else changes.`,
    },
  }
}

/** Regions that hear of each other late or not at all: each spends what the others cannot know of. */
function partition(scene: Scene): Suspicion | null {
  const { all } = scene
  const apart = all.filter(({ region }) => (region.syncLagSeconds ?? 0) > LAG)
  if (apart.length === 0 || all.length < 2) return null
  const lag = Math.max(...apart.map(({ region }) => region.syncLagSeconds ?? 0))
  const names = listOf(apart.map(({ region }) => region.region))
  const hear = apart.length === 1 ? 'hears' : 'hear'
  return {
    limiter: 'wrong',
    cause: 'partition',
    weight: apart.length > 1 ? 0.94 : 0.8,
    summary: `The limiter is wrong: ${names} ${hear} of the other regions ${seconds(lag)} late, and the copies drift.`,
    evidence: [
      `lag: ${apart.map(({ region }) => `${region.region} ${seconds(region.syncLagSeconds ?? 0)}`).join(', ')}`,
      ...driftOf(scene),
    ],
    act: reconcileOf(scene, 'Holds only once the link is back: mend that first.'),
  }
}

function driftOf({ facts, all, torn }: Scene): string[] {
  const nodes = torn.reduce((sum, one) => sum + one.diverged.length, 0)
  return [
    ...(nodes > 0
      ? [`${nodes} ${nodes === 1 ? 'node is' : 'nodes are'} off by up to ${worstDelta(torn)} of capacity`]
      : []),
    ...torn.flatMap(({ region }) =>
      (region.conflictsPerMinute ?? 0) > CONFLICTS
        ? [`${whole(region.conflictsPerMinute ?? 0)} conflicts/min in ${region.region}`]
        : [],
    ),
    ...(facts.conflicts.length > 0
      ? [`${facts.conflicts.length} keys differ, such as ${facts.conflicts[0]?.key}`]
      : []),
    ...all.flatMap(refusedWrongly),
  ]
}

/** Copies differ although they hear of each other: by a version that merges wrongly, or by themselves. */
function divergence(scene: Scene): Suspicion | null {
  const { facts, torn } = scene
  if (torn.length === 0) return null
  const nodes = torn.reduce((sum, one) => sum + one.diverged.length, 0)
  const where = listOf(torn.map(({ region }) => region.region))
  const evidence = driftOf(scene)
  const what = nodes > 0 ? `${nodes} ${nodes === 1 ? 'node diverges' : 'nodes diverge'}` : `copies of ${where} conflict`
  const deployed = deployedBefore(facts, SUSPECT)
  if (deployed.length > 0) {
    return {
      limiter: 'wrong',
      cause: 'bad version',
      weight: nodes > 0 ? 0.93 : 0.85,
      summary: `The limiter is wrong: ${what} since ${listOf(versionsOf(deployed))} went out.`,
      evidence: [...changeLines(facts, deployed), ...evidence],
      act: revertOf(scene, deployed),
    }
  }
  return {
    limiter: 'wrong',
    cause: 'divergence',
    weight: nodes > 0 ? 0.88 : 0.72,
    summary: `The limiter is wrong: ${what}, and no version changed before.`,
    evidence,
    act: reconcileOf(scene, 'The higher count of each key wins: some tenants get more than their due for a moment.'),
  }
}

/** Errors or latency since a new version, with no difference between the copies. */
function badVersion(scene: Scene): Suspicion | null {
  const { facts, all } = scene
  const deployed = deployedBefore(facts, SUSPECT).filter(({ region }) =>
    all.some((one) => one.region.region === region && hurts(one)),
  )
  if (deployed.length === 0) return null
  const worst = all.filter(({ region }) => deployed.some((change) => change.region === region.region))
  return {
    limiter: 'wrong',
    cause: 'bad version',
    weight: 0.86,
    summary: `The version is at fault: ${listOf(versionsOf(deployed))} went out, then errors or latency rose in ${listOf(worst.map(({ region }) => region.region))}.`,
    evidence: [...changeLines(facts, deployed), ...worst.flatMap(symptoms)],
    act: revertOf(scene, deployed),
  }
}

/** The bucket runs dry although less is asked for than should flow in. */
function stalledRefill({ here, torn }: Scene): Suspicion | null {
  const stalled = here.filter((one) => {
    const { bucket, refillRate, requestRate } = one.region
    if (bucket === null || torn.includes(one) || refillRate === null || requestRate === null) return false
    const low = bucket.ratio < 0.2 || (bucket.ratio < 0.5 && (one.trend ?? 0) < -0.05)
    const vanishes = low && requestRate < refillRate * 0.95 && (bucket.ratio < 0.1 || (one.trend ?? 0) < 0)
    // What is asked for now would have been served by what always flowed in.
    const served = requestRate < (refillRate / (one.refill || 1)) * 0.95
    const stopped = (one.refill ?? 1) < 0.7 && ((one.demand ?? 1) < 1.5 || served)
    return vanishes || (low && stopped)
  })
  const [first] = stalled
  if (!first) return null
  const { region } = first
  const names = stalled.map((one) => one.region.region)
  const stopped = (first.refill ?? 1) < 0.7
  return {
    limiter: 'wrong',
    cause: 'stalled refill',
    weight: stopped ? 0.88 : 0.82,
    summary: stopped
      ? `The limiter is wrong: the refill of ${listOf(names)} fell to ${percentOf(first.refill ?? 0)} of normal.`
      : `The limiter is wrong: the bucket of ${listOf(names)} runs dry although less is asked for than flows in.`,
    evidence: stalled.map(
      (one) =>
        `${one.region.region}: ${figure(one.region.requestRate, perSecond)} offered, ${figure(one.region.refillRate, perSecond)} refilled, ${figure(one.region.bucket?.ratio ?? null, percentOf)} left`,
    ),
    act:
      (first.load ?? 0) > 1
        ? {
            // A full bucket would be empty again at once, so a reset is refused.
            label: `Scale ${region.region.slice(0, 40)}`,
            command: command('scale', [region.region]),
            risk: 'Brings tokens for a while, and does not mend the refill: look why it fell.',
          }
        : {
            label: `Reset ${region.region}`,
            command: command('reset', [region.region]),
            risk: `Admits up to ${figure(region.bucket?.capacity ?? null, whole)} requests at once, and lasts only if the refill comes back.`,
          },
  }
}

/** More is asked for than may pass: refusing is what the limiter is for. */
function overload({ all, here, torn }: Scene): Suspicion | null {
  const flooded = here.filter((one) => {
    const { bucket, refusedRatio } = one.region
    const more = (one.demand ?? 1) > 2 && (one.load ?? 0) > 1
    const pressed = (bucket !== null && bucket.ratio < 0.5) || (refusedRatio ?? 0) > 0.02 || more
    const much = (one.load ?? 0) > 1 || ((one.load ?? 0) > 0.85 && (one.demand ?? 1) > 1.5)
    return pressed && much && (one.refill ?? 1) > 0.7
  })
  const [first] = flooded
  if (!first) return null
  const evidence = flooded.flatMap(({ region, load, demand }) => [
    `${region.region}: ${figure(region.requestRate, perSecond)} offered, ${figure(region.refillRate, perSecond)} refilled (${figure(load, (value) => `${value.toFixed(1)} times`)})`,
    ...(demand !== null && demand > 1.3 ? [`traffic ${demand.toFixed(1)} times normal in ${region.region}`] : []),
  ])
  const calm = all.filter((one) => !flooded.includes(one))
  const alone =
    flooded.length === 1 &&
    calm.length > 0 &&
    (first.demand ?? 0) > 2 &&
    calm.every(({ demand }) => demand !== null && demand > 0.7 && demand < 1.3)
  const weight = torn.length > 0 ? 0.5 : 0.85
  const beyond = flooded.every(({ load }) => (load ?? 0) > 1)
  const level = torn.length === 0 ? ['all nodes agree on what is left'] : []
  if (alone) {
    return {
      limiter: 'right',
      cause: 'abuse',
      weight,
      summary: `The limiter is right: only ${first.region.region} is flooded, the others are as always. Somebody asks for too much.`,
      evidence: [...evidence, ...level, 'instead: find the tenant and block it; leave the bucket alone'],
      act: null,
    }
  }
  return {
    limiter: 'right',
    cause: 'overload',
    weight,
    summary: `The limiter is right: ${beyond ? 'more is asked for than' : 'at its peaks more is asked for than'} flows in (${listOf(flooded.map(({ region }) => region.region))}).`,
    evidence: [...evidence, ...level, 'instead: scale out or lower the demand; leave the buckets alone'],
    act: null,
  }
}

function unknown({ here }: Scene): Verdict {
  return {
    limiter: 'unknown',
    cause: 'unknown',
    confidence: 0.3,
    summary: 'Not clear yet whether the limiter is right: no figure of the edge stands out.',
    evidence: here.flatMap(symptoms).slice(0, MAX_EVIDENCE),
    act: null,
  }
}

// -- words

/** `A, B and C`; of many only the first, and how many more. */
function listOf(names: readonly string[]): string {
  const shown = names.slice(0, names.length > MAX_NAMES ? MAX_NAMES - 1 : MAX_NAMES).map((name) => name.slice(0, 40))
  return joined(names.length > shown.length ? [...shown, `${names.length - shown.length} more`] : shown)
}

const hurts = ({ region }: Judged): boolean =>
  (region.errorRatio ?? 0) > ERRORS || (region.p95LatencySeconds ?? 0) > P95

function symptoms({ region }: Judged): string[] {
  const { errorRatio, p95LatencySeconds } = region
  return [
    ...((errorRatio ?? 0) > ERRORS ? [`${percentOf(errorRatio ?? 0)} errors in ${region.region}`] : []),
    ...((p95LatencySeconds ?? 0) > P95
      ? [`p95 ${Math.round((p95LatencySeconds ?? 0) * 1000)} ms in ${region.region}`]
      : []),
  ]
}

function refusedWrongly({ region, load }: Judged): string[] {
  const refused = region.refusedRatio ?? 0
  if (refused < 0.02 || load === null || load >= 1) return []
  return [`${percentOf(refused)} refused in ${region.region} although the refill suffices`]
}

function worstDelta(torn: readonly Judged[]): string {
  return percentOf(Math.max(...torn.flatMap(({ diverged }) => diverged.map(({ delta }) => delta))))
}

function figure(value: number | null, say: (value: number) => string): string {
  return value === null ? 'an unknown number' : say(value)
}

const versionsOf = (changes: readonly EdgeChange[]): string[] => [...new Set(changes.map(({ to }) => to.slice(0, 40)))]

/** `1.8.2 to 1.9.0 in A and B, 3 min before`, one line for each pair of versions. */
function changeLines({ onset }: Facts, changes: readonly EdgeChange[]): string[] {
  const pairs = [...new Set(changes.map(({ from, to }) => `${from.slice(0, 40)} to ${to.slice(0, 40)}`))]
  return pairs.map((pair) => {
    const same = changes.filter(({ from, to }) => `${from.slice(0, 40)} to ${to.slice(0, 40)}` === pair)
    const minutes = Math.max(0, Math.round((onset - Math.max(...same.map(({ at }) => at))) / MINUTE))
    return `${pair} in ${listOf(same.map(({ region }) => region).sort())}, ${minutes < 1 ? 'just before' : `${minutes} min before`}`
  })
}

// -- acts, as people type them

function revertOf({ all }: Scene, deployed: readonly EdgeChange[]): Verdict['act'] {
  const regions = deployed.map(({ region }) => region)
  const versions = versionsOf(deployed)
  const before = [...new Set(deployed.map(({ from }) => from.slice(0, 40)))]
  const [only] = regions
  // Without a region it goes back everywhere; with one, only there.
  const some = regions.length === 1 && all.length > 1 && only !== undefined
  return {
    label: `Revert ${listOf(versions)}`,
    command: some ? command('revert', [only]) : 'revert',
    risk: `Back to ${listOf(before)}${some ? ` in ${only}` : ''}: what the new version brought is gone until it is mended.`,
  }
}

function reconcileOf({ all, torn }: Scene, risk: string): Verdict['act'] {
  // Every region that serves holds a copy; healing some of them would leave the rest to spread the difference again.
  const serving = all.filter(({ region }) => region.healthy !== false).map(({ region }) => region.region)
  const regions = serving.length > 0 ? serving : torn.map(({ region }) => region.region)
  const everywhere = regions.length === all.length && regions.length > MAX_NAMES
  return {
    label: everywhere ? 'Reconcile every region' : `Reconcile ${listOf(regions)}`,
    command: command('reconcile', everywhere ? [] : regions),
    risk,
  }
}

/** A command line; names with blanks or quotes are quoted as `words` reads them. */
function command(name: string, args: readonly string[]): string {
  const quoted = args.map((arg) => (/^[^\s"\\]+$/.test(arg) ? arg : `"${arg.replace(/["\\]/g, '\\$&')}"`))
  return [name, ...quoted].join(' ')
}
