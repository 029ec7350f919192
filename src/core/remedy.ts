import type { AlertClass } from './alert.ts'
import { SECOND } from './clock.ts'
import { formatDuration } from './duration.ts'
import type { EdgeConflict, EdgeRegion } from './edge.ts'
import type { Mode, Remediation, RemediationPolicy } from './remediation.ts'
import { NOTHING_TO_DO, precondition } from './remedy-conditions.ts'
import { isPast, type Measure, measureOf, valueIn } from './remedy-measure.ts'
import { runName, type WorkflowRun } from './workflow.ts'

/** Alerts of one class in one region that fire and count. `since` in ms since the epoch; region '' when they name none. */
export type FiringGroup = { class: AlertClass | null; region: string; since: number }

/** What a decision knows of the world; null for what nobody could say within two seconds. */
export type RemedyFacts = {
  automation: 'on' | 'off'
  incident: { id: number; stopped: boolean; proposals: readonly { policy: string; region: string }[] }
  alerts: readonly FiringGroup[]
  edge: 'none' | 'silent' | 'answers'
  /** something besides the edge can abort a canary */
  cluster: boolean
  regions: readonly EdgeRegion[] | null
  /** asked for only where a reconcile is to be decided */
  conflicts: readonly EdgeConflict[] | null
  /** operations under way anywhere, and those of this incident that are over, newest first */
  runs: readonly WorkflowRun[]
  /** no figures at all, as in a replay: an alert stands for its measure */
  alertsAlone: boolean
}

/** Trouble that a policy looks for, in one region ('' for no particular one). */
export type Trigger = {
  region: string
  /** null: nobody can tell now */
  holds: boolean | null
  measure: { spec: Measure; worse: 'below' | 'above'; value: number; threshold: number; given: boolean } | null
  /** since when the alert fires */
  alertSince: number
  /** what the run that the policy comes after says of trouble that came back: `keys diverged again after o9` */
  back: string | null
}

/** How long a measure has been past its threshold without a break, as far as this process saw it. */
export type Onset = {
  /** null: it is not past it */
  since: number | null
  /** it was seen on the good side before `since`, so the trouble really began then */
  seen: boolean
}

export type DecisionName =
  // it acts, proposes, or records what it would have done
  | 'automatic'
  | 'suggest'
  | 'shadow'
  // it does not
  | 'off'
  | 'automation_off'
  | 'stopped'
  | 'no_figures'
  | 'not_past_threshold'
  | 'not_yet'
  | 'not_long_enough'
  | 'no_region'
  | 'verifying'
  | 'proposed'
  | 'cool_down'
  | 'budget'
  | 'one_region_at_a_time'
  | 'busy'
  | 'precondition'
  | 'nothing_to_do'

export type Decision = {
  do: 'act' | 'propose' | 'record' | 'nothing'
  name: DecisionName
  policy: string
  region: string
  /** why, in words with figures; a sentence without its full stop */
  text: string
  measure: Remediation['measure']
}

/** Each policy looks at each region for itself, except at what there is only one of. */
const EVERYWHERE: readonly string[] = ['canary abort']
/** Acts that work on all regions when none is named. */
const ANYWHERE: readonly string[] = ['canary abort', 'reconcile', 'revert']
/** One region at a time: a mistake must not empty or flood all of them at once. */
const ONE_BY_ONE: readonly string[] = ['reset', 'capacity', 'revert', 'failover']
/** Their run lasts until what they changed goes back by itself: what is asleep so long has done its work. */
const LASTING: readonly string[] = ['scale', 'capacity']
/** Longer than the back-off between two attempts of a step. */
const ASLEEP = 20 * SECOND

/** How a policy may act; a failover is proposed at most, whatever the configuration says. */
export function modeOf({ mode, action }: Pick<RemediationPolicy, 'mode' | 'action'>): Mode {
  return mode === 'automatic' && action === 'failover' ? 'suggest' : mode
}

/** When a run had done its work, in ms since the epoch; null while it still works. */
export function doneAt(run: WorkflowRun, now: number): number | null {
  if (run.endedAt !== null) return run.endedAt
  if (!LASTING.includes(run.kind) || run.dueAt - now <= ASLEEP) return null
  const ends = run.steps.map((step) => step.endedAt ?? 0)
  return ends.length > 0 && Math.max(...ends) > 0 ? Math.max(...ends) : null
}

/** Whether keys still diverged after this run: data inconsistency. */
export const inconsistent = (run: WorkflowRun): boolean => said(run, 'inconsistent')

function said({ data }: WorkflowRun, what: string): boolean {
  return typeof data === 'object' && data !== null && !Array.isArray(data) && data[what] === true
}

/** What a run says by itself of trouble that came back, so that nobody has to wait for a figure: `keys still diverge after o1`. */
function comesBack(
  policy: RemediationPolicy,
  facts: RemedyFacts,
  { run, at }: { run: WorkflowRun; at: number },
): string | null {
  // This policy has answered it already.
  if (facts.runs.some((one) => one.incident === run.incident && one.kind === policy.action && one.startedAt >= at))
    return null
  if (inconsistent(run)) return `keys still diverge after ${runName(run.id)}`
  return said(run, 'divergedAgain') ? `keys diverged again after ${runName(run.id)}` : null
}

/** The newest run of that kind in the incident that has done its work. */
function finished(policy: RemediationPolicy, facts: RemedyFacts, now: number): { run: WorkflowRun; at: number } | null {
  for (const run of facts.runs) {
    if (run.kind !== policy.when.after || run.incident !== facts.incident.id || run.state === 'cancelled') continue
    const at = doneAt(run, now)
    if (at !== null) return { run, at }
  }
  return null
}

/** Where the policy's trouble may be: a trigger for each region with an alert of its class, the worst first. */
export function triggersOf(policy: RemediationPolicy, facts: RemedyFacts, now: number): Trigger[] {
  const alerts = facts.alerts.filter((one) => policy.when.class === null || one.class === policy.when.class)
  if (alerts.length === 0) return []
  const watched = measureOf(policy)
  const since = new Map<string, number>()
  const add = (region: string, at: number) => since.set(region, Math.min(at, since.get(region) ?? at))
  for (const alert of alerts) {
    if (EVERYWHERE.includes(policy.action)) add('', alert.since)
    else if (alert.region !== '') add(alert.region, alert.since)
    // An alert that names no region may mean any: the measure tells which.
    else if (watched && facts.regions?.length) for (const { region } of facts.regions) add(region, alert.since)
    else add(facts.regions?.length === 1 ? (facts.regions[0]?.region ?? '') : '', alert.since)
  }
  const after = policy.when.after === null ? null : finished(policy, facts, now)
  const triggers = [...since].map(([region, alertSince]): Trigger => {
    const value = watched ? valueIn(facts.regions, region, watched.measure, watched.worse) : null
    const measure =
      watched && value !== null
        ? { spec: watched.measure, worse: watched.worse, value, threshold: watched.threshold, given: watched.given }
        : null
    const back = after && comesBack(policy, facts, after)
    return { region, alertSince, measure, holds: back === null ? holds(policy, facts, watched, measure) : true, back }
  })
  return triggers.toSorted((a, b) => severity(b) - severity(a) || a.region.localeCompare(b.region))
}

function holds(
  policy: RemediationPolicy,
  facts: RemedyFacts,
  watched: ReturnType<typeof measureOf>,
  measure: Trigger['measure'],
): boolean | null {
  if (!watched?.given) return true
  if (measure) return isPast(measure.value, measure.threshold, measure.worse)
  // Not every edge rates its canaries: the alert alone counts then (issue 4).
  return facts.alertsAlone || policy.when.class === 'canary' ? true : null
}

/** How far past its threshold, as a share of it: the worst region comes first. */
function severity({ measure }: Trigger): number {
  if (!measure) return 0
  const { value, threshold, worse } = measure
  return (worse === 'below' ? threshold - value : value - threshold) / Math.max(Math.abs(threshold), 1e-9)
}

/** What this process knows of the trouble after one more look at it. Unknown figures break nothing. */
export function onsetOf(before: Onset | undefined, trigger: Trigger, now: number): Onset {
  if (trigger.holds === null) return before ?? { since: null, seen: false }
  if (!trigger.holds) return { since: null, seen: true }
  if (before && before.since !== null) return before
  return { since: now, seen: before?.seen ?? false }
}

/**
 * What a policy does about one trigger, and why. `history`: remediations of this policy within its cool-down and budget, and
 * of this incident. Pure: the same in every replica that reads the same.
 */
export function decide(
  policy: RemediationPolicy,
  trigger: Trigger,
  onset: Onset,
  facts: RemedyFacts,
  history: readonly Remediation[],
  now: number,
): Decision {
  const { region } = trigger
  const base = { policy: policy.name, region, measure: storedMeasure(trigger) }
  const mode = modeOf(policy)
  const no = (name: DecisionName, text: string): Decision => ({ ...base, do: 'nothing', name, text })

  if (mode === 'off') return no('off', 'The policy is off')
  if (facts.automation === 'off') return no('automation_off', 'Automation is switched off')
  if (facts.incident.stopped && mode === 'automatic') {
    return no('stopped', 'Automation has stopped for this incident')
  }
  if (trigger.holds === null)
    return no(
      'no_figures',
      `The edge does not say the ${measureOf(policy)?.measure.name ?? 'figure'} of ${region || 'any region'}`,
    )
  if (!trigger.holds) return no('not_past_threshold', troubleText(trigger, null))
  const since = sinceOf(policy, trigger, onset, facts, now)
  if ('not' in since) return no('not_yet', since.not)
  const lasted = now - since.at
  if (lasted < policy.when.for && !since.atOnce) {
    return no('not_long_enough', `${troubleText(trigger, lasted)}; it acts after ${formatDuration(policy.when.for)}`)
  }
  if (region === '' && !ANYWHERE.includes(policy.action) && policy.with.region === null) {
    return no('no_region', 'No alert names a region, and nothing else tells which it is')
  }
  const rest = resting(policy, region, facts, history, now) ?? inTheWay(policy, region, facts, history, now)
  if (rest) return no(rest.name, rest.text)
  const missing = precondition(policy, region, facts)
  if (missing !== null) return no(NOTHING_TO_DO.includes(missing) ? 'nothing_to_do' : 'precondition', missing)

  const text = troubleText(trigger, lasted)
  if (mode === 'automatic') return { ...base, do: 'act', name: mode, text }
  if (mode === 'suggest') return { ...base, do: 'propose', name: mode, text }
  return { ...base, do: 'record', name: mode, text }
}

/** Since when the trouble lasts; with `after`, since it came back, or why it does not count yet. */
function sinceOf(
  policy: RemediationPolicy,
  trigger: Trigger,
  onset: Onset,
  facts: RemedyFacts,
  now: number,
): { at: number; atOnce: boolean } | { not: string } {
  const byMeasure = measureOf(policy)?.given === true && !facts.alertsAlone && trigger.measure !== null
  const since = byMeasure ? (onset.since ?? now) : trigger.alertSince
  const { after } = policy.when
  if (after === null) return { at: since, atOnce: false }
  const before = finished(policy, facts, now)
  if (before === null) return { not: `Only after a ${after}, and none is over in this incident` }
  const name = runName(before.run.id)
  if (trigger.back !== null) return { at: before.at, atOnce: true }
  const began = trigger.alertSince > before.at || (since > before.at && onset.seen)
  if (!began && now < before.at + policy.verify.after) {
    return {
      not: `${name} (${after}) is over for ${formatDuration(round(now - before.at))}: whether its trouble came back shows after ${formatDuration(policy.verify.after)}`,
    }
  }
  return { at: Math.max(since, before.at), atOnce: false }
}

type Rest = { name: DecisionName; text: string }

/** What the policy did before: still looking whether it helped, cool-down, budget. */
function resting(
  policy: RemediationPolicy,
  region: string,
  facts: RemedyFacts,
  history: readonly Remediation[],
  now: number,
): Rest | null {
  const mode = modeOf(policy)
  const own = history.filter((one) => one.policy === policy.name)
  const here = own.filter((one) => one.region === region || (one.covers?.includes(region) ?? false))
  if (here.some((one) => one.state === 'running')) {
    return { name: 'verifying', text: 'It has acted, and whether that helped is not known yet' }
  }
  // One proposal may cover several regions: the same again from the next of them would only ring again.
  const covers = (from: string) =>
    from === region ||
    here.some((one) => one.incident === facts.incident.id && one.state === 'suggested' && one.region === from)
  if (facts.incident.proposals.some((one) => one.policy === policy.name && covers(one.region))) {
    return { name: 'proposed', text: 'It has proposed it; a person decides' }
  }
  // What another mode did before a reload says nothing about this one; a proposal concerns one incident.
  const alike = (one: Remediation) => one.mode === mode && (mode !== 'suggest' || one.incident === facts.incident.id)
  const last = Math.max(0, ...here.filter(alike).map((one) => one.at))
  if (last > 0 && now - last < policy.coolDown) {
    return {
      name: 'cool_down',
      text: `It rests for another ${formatDuration(round(last + policy.coolDown - now))} in ${region || 'every region'}`,
    }
  }
  const { max, per } = policy.budget
  const spent = own.filter((one) => one.mode === mode && now - one.at < per).length
  if (spent >= max) {
    return {
      name: 'budget',
      text: `It has acted ${spent} times within ${formatDuration(per)}, which is all that it may`,
    }
  }
  return null
}

/** What others do: another region at this moment, or an operation in the same one. */
function inTheWay(
  policy: RemediationPolicy,
  region: string,
  facts: RemedyFacts,
  history: readonly Remediation[],
  now: number,
): Rest | null {
  const working = facts.runs.filter((run) => run.state === 'running' && doneAt(run, now) === null)
  const touching = working.find(({ regions }) => region === '' || regions.length === 0 || regions.includes(region))
  if (touching) return { name: 'busy', text: `${runName(touching.id)} is under way there: ${touching.title}` }
  if (!ONE_BY_ONE.includes(policy.action)) return null
  const run = working.find((one) => one.kind === policy.action)
  if (run) return { name: 'one_region_at_a_time', text: `${runName(run.id)} is under way: ${run.title}` }
  const watched = history.find(
    (one) => one.action === policy.action && one.state === 'running' && one.region !== region,
  )
  if (!watched) return null
  return {
    name: 'one_region_at_a_time',
    text: `Whether ${watched.action} helped in ${watched.region || 'another region'} is not known yet`,
  }
}

function storedMeasure({ measure, holds: past }: Trigger): Remediation['measure'] {
  // A usual threshold that is not passed tells nothing about an act that the alert alone asked for.
  if (!measure || !past || !isPast(measure.value, measure.threshold, measure.worse)) return null
  return { name: measure.spec.name, before: measure.value, threshold: measure.threshold, after: null }
}

/** `bucket level 4 % in A, below 10 % for 2m` */
function troubleText({ region, measure, back, holds: past }: Trigger, lasted: number | null): string {
  const where = region === '' ? '' : ` in ${region}`
  const long = lasted === null || lasted < SECOND || !past ? '' : ` for ${formatDuration(round(lasted))}`
  if (back !== null) return back
  if (!measure) return `its alert fires${where}${long}`
  const { spec, value, threshold, worse, given } = measure
  if (!given) return `its alert fires${where}${long}, ${spec.name} ${spec.show(value)}`
  return `${spec.name} ${spec.show(value)}${where}, ${past ? '' : 'not '}${worse} ${spec.show(threshold)}${long}`
}

const round = (ms: number): number => (ms >= SECOND ? Math.round(ms / SECOND) * SECOND : ms)
