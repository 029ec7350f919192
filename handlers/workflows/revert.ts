import { INPUTS, listOf } from '../../src/core/acts.ts'
import { MINUTE, SECOND } from '../../src/core/clock.ts'
import type { ClusterChange, ReconcilePolicy } from '../../src/core/edge.ts'
import { ClawError } from '../../src/core/errors.ts'
import type { Flow, Outcome } from '../../src/core/workflow.ts'
import { defineWorkflow } from './define.ts'
import {
  change,
  didNotHold,
  doing,
  edgeOf,
  HEALS_WITHIN,
  isStop,
  OPERATION_TIMEOUT,
  regionsMeant,
  sentence,
  tryTo,
} from './parts.ts'
import { keysOf, named, type Repair, repair, repairData, watch } from './repair.ts'

/** How long a rollout may take until no region runs the bad version any more. */
const ROLLS_OUT_WITHIN = 10 * MINUTE

/**
 * Undoes the last rollout, by Argo Rollouts where that is configured, else by the edge; then reconciles, raises the capacity
 * for a while and looks whether anything diverges again (system.md, section 3, "Version rollback").
 */
export const revert = defineWorkflow({
  kind: 'revert',
  input: INPUTS.revert,
  async run(flow, { regions: wanted, policy }) {
    const { cluster } = flow.services
    const regions = await regionsMeant(flow, wanted)
    const where = listOf(regions)
    const made = cluster?.parts.rollout ? await undoRollout(flow, regions) : await revertEach(flow, regions)

    try {
      return await afterwards(flow, { regions, policy, made })
    } catch (error) {
      if (!(error instanceof ClawError) || !isStop(error)) throw error
      throw new ClawError(error.code, `${error.message} The version in ${where} went back.`)
    }
  },
})

/** Reconciles, gives room for a while, and looks whether it lasts, once the version is another one. */
async function afterwards(
  flow: Flow,
  { regions, policy, made }: { regions: string[]; policy: ReconcilePolicy; made: ClusterChange | null },
): Promise<Outcome> {
  const { settings } = flow.services
  const where = listOf(regions)
  const advice = made?.advice ? ` ${sentence(made.advice)}` : ''
  let repaired: Repair
  try {
    repaired = await repair(flow, regions, policy)
  } catch (error) {
    if (!(error instanceof ClawError) || isStop(error)) throw error
    return {
      state: 'failed',
      summary: `The version in ${where} was reverted, but not reconciled: ${sentence(error.message)} Next: reconcile.${advice}`,
    }
  }
  const { capacityFactor: factor, capacityFor } = settings.revert
  if (factor !== 1) await raiseCapacity(flow, regions, factor, capacityFor)

  if (repaired.still.length > 0) {
    return {
      state: 'failed',
      summary:
        `The version in ${where} was reverted, but ${doing(repaired.still.length, 'key', 'still diverge')} after the reconcile` +
        `${named(repaired.still)}: the data is inconsistent. Next: reset and reseed.${advice}`,
      data: repairData(repaired, { inconsistent: true }),
    }
  }
  const again = await watch(flow, regions, settings.revert.watch)
  if (again.length > 0) {
    return {
      state: 'failed',
      summary:
        `The version in ${where} was reverted, but ${keysOf(again.length)} diverged again${named(again)}: ` +
        `that version is not the cause. Next: look at lag and partitions between the regions.${advice}`,
      data: repairData(repaired, { divergedAgain: true }),
    }
  }
  const lost = made ? await didNotHold(flow, 'revert, at the end', { ...made, owner: null }) : null
  if (lost !== null) {
    return {
      state: 'failed',
      summary: `The revert of ${where} did not last: ${sentence(lost)}${advice}`,
      data: repairData(repaired),
    }
  }
  return {
    state: 'succeeded',
    summary: `The version in ${where} was reverted and reconciled; nothing diverges again.${advice}`,
    data: repairData(repaired),
  }
}

/** @throws ClawError('conflict') when there is nothing to go back to, or Argo CD took the change away */
async function undoRollout(flow: Flow, regions: readonly string[]): Promise<ClusterChange | null> {
  const versions = await flow.step('versions', {}, ({ signal }) => versionsOf(flow, regions, signal))
  const { change: made, lost: unsaid } = await change(
    flow,
    'undo the rollout',
    async (cluster, { signal, attempt }) => {
      const done = await cluster.undoRollout(signal)
      if (done || attempt > 1) return done
      throw new ClawError(
        'conflict',
        'There is no version before this one to go back to, or the way back is under way already.',
      )
    },
  )
  if (made) {
    const lost = await didNotHold(flow, 'revert', made)
    if (lost !== null) throw new ClawError('conflict', `The revert did not last: ${sentence(lost)}`)
  }
  // Who owns the object was lost as well.
  if (unsaid) await flow.wait('revert: time for Argo CD', HEALS_WITHIN)
  await rolledOut(flow, versions)
  return made
}

async function versionsOf(
  flow: Flow,
  regions: readonly string[],
  signal: AbortSignal,
): Promise<Record<string, string>> {
  const all = flow.services.edge ? await flow.services.edge.regions(signal) : []
  return Object.fromEntries(
    all.flatMap(({ region, version }) => (version !== null && regions.includes(region) ? [[region, version]] : [])),
  )
}

/** Waits until no region says the version that it said before; where none says its version there is nothing to see. */
async function rolledOut(flow: Flow, before: Readonly<Record<string, string>>): Promise<void> {
  const regions = Object.keys(before)
  if (regions.length === 0) return
  const what = `The version in ${listOf(regions)} did not change`
  await flow.poll(
    'rolled out',
    {
      timeout: ROLLS_OUT_WITHIN,
      every: 2 * SECOND,
      what,
      say: () => `The version that was undone no longer runs in ${listOf(regions)}.`,
    },
    async ({ signal }) => {
      const now = await versionsOf(flow, regions, signal)
      return regions.every((region) => now[region] !== before[region]) ? true : null
    },
  )
}

async function revertEach(flow: Flow, regions: readonly string[]): Promise<null> {
  const by = { by: flow.by, incident: flow.incident }
  for (const [at, region] of regions.entries()) {
    try {
      await flow.operation(`revert ${region}`, OPERATION_TIMEOUT, ({ key, signal }) =>
        edgeOf(flow.services).start({ kind: 'revert', region, ...by }, key, signal),
      )
    } catch (error) {
      // Half of the regions on one version and half on another: people must know.
      if (at === 0 || !(error instanceof ClawError)) throw error
      const rest = isStop(error) ? '' : `, ${listOf(regions.slice(at))} did not`
      throw new ClawError(error.code, `${sentence(error.message)} ${listOf(regions.slice(0, at))} went back${rest}.`)
    }
    await flow.tell(`reverted ${region}`, `The version of ${region} is reverted.`)
  }
  return null
}

/** Room while clients try again; without it the revert is good all the same. */
async function raiseCapacity(flow: Flow, regions: readonly string[], factor: number, lasts: number): Promise<void> {
  const ttlSeconds = Math.max(1, Math.round(lasts / SECOND))
  const by = { by: flow.by, incident: flow.incident }
  for (const region of regions) {
    await tryTo(() =>
      flow.operation(`capacity ${region}`, OPERATION_TIMEOUT, ({ key, signal }) =>
        edgeOf(flow.services).start({ kind: 'capacity', region, factor, ttlSeconds, ...by }, key, signal),
      ),
    )
  }
}
