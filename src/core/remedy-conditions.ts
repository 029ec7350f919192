import { listOf } from './acts.ts'
import type { RemediationPolicy } from './remediation.ts'
import type { RemedyFacts } from './remedy.ts'
import { BEHIND, pastUsual } from './remedy-measure.ts'
import { runName } from './workflow.ts'

type Wanted = Pick<RemediationPolicy, 'action' | 'with'>

const NO_KEY = 'No key diverges'
const NO_CANARY = 'No canary takes traffic'
/** There is nothing that the act could cure: nobody needs to be told that it is not done. */
export const NOTHING_TO_DO: readonly string[] = [NO_KEY, NO_CANARY]

/**
 * Why an act must not be done in a region, in words; null when nothing speaks against it (system.md, section 3). What is not
 * known does not block, as long as the edge answers at all (contract.md, section 8).
 */
export function precondition(policy: Wanted, region: string, facts: RemedyFacts): string | null {
  if (policy.action === 'canary abort') return canary(facts)
  if (facts.alertsAlone) return null
  if (facts.edge === 'none') return 'No edge is configured'
  if (facts.edge === 'silent') return 'The edge does not answer'
  const where = policy.with.region ?? region
  switch (policy.action) {
    case 'reset':
      return overloaded(where, facts) ?? suffering(where, facts)
    case 'capacity':
      return suffering(where, facts)
    case 'revert':
      return reverted(where, facts)
    case 'reconcile':
      return facts.conflicts?.length === 0 ? NO_KEY : null
    case 'failover':
      return policy.with.to === where ? `${where} is where it would fail over to` : null
    default:
      return null
  }
}

/** A full bucket would be empty again at once, and what lies behind it would bear the load. */
function overloaded(region: string, { regions }: RemedyFacts): string | null {
  const known = regions?.find((one) => one.region === region)
  if (!known || known.requestRate === null || known.refillRate === null) return null
  if (known.requestRate <= known.refillRate) return null
  return `${region} is offered ${rate(known.requestRate)} and refills ${rate(known.refillRate)}: a full bucket would be empty again at once`
}

/** The edge goes back to the version before, whichever: twice would bring the bad one again. */
function reverted(region: string, { runs, incident }: RemedyFacts): string | null {
  const run = runs.find(
    (one) =>
      one.kind === 'revert' &&
      one.incident === incident.id &&
      (region === '' || one.regions.length === 0 || one.regions.includes(region)) &&
      one.steps.some(({ name, state }) => state === 'done' && undoesVersion(name)),
  )
  return run ? `${runName(run.id)} has reverted the version already: again would bring it back` : null
}

/** Steps of handlers/workflows/revert.ts after which a version is another one. */
const undoesVersion = (step: string): boolean => step === 'undo the rollout' || step.startsWith('reverted ')

function suffering(region: string, { regions, alerts }: RemedyFacts): string | null {
  const known = regions?.find((one) => one.region === region)
  const found = known ? pastUsual(BEHIND, known) : []
  for (const one of alerts) {
    if (one.class !== 'errors' && one.class !== 'latency') continue
    if (found.length === 0 && (one.region === region || one.region === ''))
      found.push(`an alert about ${one.class} fires`)
  }
  return found.length === 0 ? null : `What lies behind the limiter suffers in ${region}: ${listOf(found)}`
}

function canary(facts: RemedyFacts): string | null {
  if (facts.alertsAlone) return null
  if (facts.edge === 'none' && !facts.cluster) return 'Neither an edge nor a cluster is configured'
  const weights = (facts.regions ?? []).map((one) => one.canaryWeight)
  return weights.length > 0 && weights.every((weight) => weight === 0) ? NO_CANARY : null
}

const rate = (perSecond: number): string => `${String(Math.round(perSecond)).replace(/\B(?=(?:\d{3})+$)/g, ' ')}/s`
