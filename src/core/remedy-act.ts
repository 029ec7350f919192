import { runOf } from './acts.ts'
import { formatDuration } from './duration.ts'
import { RECONCILE_POLICIES, type ReconcilePolicy } from './edge.ts'
import type { RemediationPolicy } from './remediation.ts'
import type { RemedyFacts } from './remedy.ts'
import type { ActionSettings, NewRun } from './workflow.ts'

export type PlannedAct = {
  run: Pick<NewRun, 'kind' | 'input' | 'title' | 'regions'>
  /** the same as a person types it */
  command: string
  /** on a button */
  label: string
}

type Facts = Pick<RemedyFacts, 'regions' | 'conflicts'>

/** What a policy does about trouble in a region: its own parameters, else the action's defaults. */
export function actOf(policy: RemediationPolicy, region: string, facts: Facts, settings: ActionSettings): PlannedAct {
  const given = policy.with
  const where = given.region ?? region
  const merge = RECONCILE_POLICIES.find((one) => one === given.policy) ?? null
  switch (policy.action) {
    case 'reconcile': {
      const regions = given.region === null ? divergedWith(region, facts) : [given.region]
      const run = runOf('reconcile', { regions, policy: merge ?? settings.reconcile.policy })
      return { run, command: typed('reconcile', ...regions, ...policyFlag(merge)), label: 'Reconcile' }
    }
    case 'reset':
      return { run: runOf('reset', { region: where }), command: typed('reset', where), label: `Reset ${where}` }
    case 'capacity': {
      const factor = given.factor ?? settings.revert.capacityFactor
      const lasts = given.lasts ?? settings.revert.capacityFor
      const run = runOf('capacity', { region: where, factor, lasts })
      return { run, command: typed('capacity', where, String(factor), formatDuration(lasts)), label: run.title }
    }
    case 'scale': {
      const target = given.region ?? settings.scale.standby ?? region
      const replicas = given.replicas ?? settings.scale.replicas
      const lasts = given.lasts ?? settings.scale.lasts
      const run = runOf('scale', { region: target, replicas, lasts })
      const command = typed('scale', target, String(replicas), formatDuration(lasts))
      return { run, command, label: `Scale ${target} to ${replicas}` }
    }
    case 'revert': {
      const regions = given.region === null ? sameVersion(region, facts) : [given.region]
      const run = runOf('revert', { regions, policy: merge ?? settings.reconcile.policy })
      // The command takes one region, or all that run the bad version.
      return { run, command: typed('revert', ...(regions.length === 1 ? regions : [])), label: 'Revert the version' }
    }
    case 'canary abort':
      return { run: runOf('canary abort', {}), command: 'canary abort', label: 'Abort the canary' }
    case 'failover': {
      const to = given.to ?? ''
      const run = runOf('failover', { from: where, to, override: null })
      return { run, command: typed('failover', where, to), label: run.title }
    }
  }
}

/** A key diverges between regions: all that hold a differing copy are reconciled together. */
function divergedWith(region: string, { conflicts, regions }: Facts): string[] {
  const known = new Set(regions?.map((one) => one.region))
  const held = (conflicts ?? []).flatMap(({ values }) => Object.keys(values)).filter((one) => known.has(one))
  return [...new Set([...(region === '' ? [] : [region]), ...held])].sort()
}

/** A bad version is bad wherever it runs. */
function sameVersion(region: string, { regions }: Facts): string[] {
  if (region === '') return []
  const version = regions?.find((one) => one.region === region)?.version ?? null
  const same = version === null ? [] : (regions ?? []).filter((one) => one.version === version).map((one) => one.region)
  return [...new Set([region, ...same])].sort()
}

const policyFlag = (policy: ReconcilePolicy | null): string[] => (policy === null ? [] : ['--policy', policy])

const typed = (...parts: string[]): string =>
  parts.map((word) => (/[\s"\\]/.test(word) || word === '' ? JSON.stringify(word) : word)).join(' ')
