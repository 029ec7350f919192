import { MINUTE } from './clock.ts'
import type { EdgeRegion } from './edge.ts'
import type { Incident } from './incident.ts'
import type { Policy } from './policy.ts'
import type { Remediation, RemediationPolicy } from './remediation.ts'
import { doneAt, inconsistent, type RemedyFacts } from './remedy.ts'
import { FELT, pastUsual } from './remedy-measure.ts'
import { runName } from './workflow.ts'

/** Whether a policy looks for trouble of this incident's kind. */
export const concerns = (policy: RemediationPolicy, classes: readonly (string | null)[]): boolean =>
  policy.when.class === null || classes.includes(policy.when.class)

/**
 * Why automation has to end for an incident (system.md, section 3): too many acts in a row that did not help, keys that still
 * diverge with nothing left to try, or an error budget that burns too fast. Null when it may go on.
 * @param history remediations of the incident, newest first
 * @param breach what the service level says, null while it is kept
 */
export function stopReason(
  policy: Pick<Policy, 'remediation' | 'automation'>,
  facts: Pick<RemedyFacts, 'alerts' | 'runs' | 'incident'>,
  history: readonly Remediation[],
  breach: string | null,
  now: number,
): string | null {
  const row = unhelpfulInARow(history)
  if (row > policy.automation.maxUnhelpful) return `${row} automatic acts in a row did not help`
  const classes = facts.alerts.map((one) => one.class)
  const mine = policy.remediation.filter((one) => concerns(one, classes))
  if (!mine.some((one) => one.mode === 'automatic')) return null
  const diverged = stillDiverged(mine, facts, history, now)
  if (diverged !== null) return diverged
  return breach
}

function unhelpfulInARow(history: readonly Remediation[]): number {
  let row = 0
  for (const one of history) {
    if (one.mode !== 'automatic') continue
    if (one.state === 'helped') break
    if (one.state === 'not_helped' || one.state === 'failed') row += 1
  }
  return row
}

function stillDiverged(
  policies: readonly RemediationPolicy[],
  facts: Pick<RemedyFacts, 'runs' | 'incident'>,
  history: readonly Remediation[],
  now: number,
): string | null {
  const last = facts.runs.find(
    (run) => run.incident === facts.incident.id && (run.kind === 'reconcile' || run.kind === 'revert'),
  )
  if (!last || doneAt(last, now) === null || !inconsistent(last)) return null
  const left = policies.some(
    (policy) =>
      policy.when.after === 'reconcile' &&
      (policy.mode === 'automatic' || policy.mode === 'suggest') &&
      !history.some((one) => one.policy === policy.name && isOver(one)),
  )
  return left ? null : `keys still diverge after ${runName(last.id)}, and nothing is left to try`
}

const isOver = ({ state }: Remediation): boolean =>
  state === 'helped' || state === 'not_helped' || state === 'failed' || state === 'unclear'

/** `error budget burns 24 times faster than it may` when it does; null when it does not, or nothing is known. */
export function breachOf(slo: Policy['slo'], errorRatio: number | null): string | null {
  if (slo === null || errorRatio === null) return null
  const burn = errorRatio / (1 - slo.objective)
  if (!(burn > slo.burnLimit)) return null
  const times = (value: number) => (value >= 10 ? Math.round(value) : Number(value.toFixed(1)))
  return `the error budget burns ${times(burn)} times faster than it may (limit ${times(slo.burnLimit)})`
}

/** Longest that a policy may keep people from being paged (system.md, section 3). */
const LONGEST_HOLD = 3 * MINUTE

/**
 * Until when an incident's page may wait, because an automatic policy with `hold_page` may heal it first; null when it has to
 * go out. Only while all its alerts are of classes with such a policy, it is no P1, and no user is touched.
 * @param regions the edge's figures of its regions, null when not known
 */
export function holdUntil(
  incident: Pick<
    Incident,
    'level' | 'classes' | 'openedAt' | 'state' | 'automationStopped' | 'synthetic' | 'recurrences'
  >,
  policies: readonly RemediationPolicy[],
  now: number,
  regions: readonly EdgeRegion[] | null = null,
): number | null {
  if (incident.level === 'P1' || incident.state !== 'open' || incident.synthetic) return null
  if (incident.automationStopped || incident.recurrences > 0 || incident.classes.length === 0) return null
  if (regions?.some((region) => pastUsual(FELT, region).length > 0)) return null
  const holds = incident.classes.map((alertClass) =>
    Math.max(
      0,
      ...policies
        .filter((one) => one.mode === 'automatic' && one.action !== 'failover' && one.when.class === alertClass)
        .map((one) => one.holdPage),
    ),
  )
  const until = incident.openedAt + Math.min(LONGEST_HOLD, ...holds)
  return Math.min(...holds) > 0 && until > now ? until : null
}
