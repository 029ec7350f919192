import { INPUTS, listOf } from '../../src/core/acts.ts'
import { defineWorkflow } from './define.ts'
import { doing, regionsMeant } from './parts.ts'
import { keysOf, named, repair, repairData, watch } from './repair.ts'

/** Finds what diverged, reconciles it, and looks whether that lasts (system.md, section 3, "By itself"). */
export const reconcile = defineWorkflow({
  kind: 'reconcile',
  input: INPUTS.reconcile,
  async run(flow, { regions: wanted, policy }) {
    const regions = await regionsMeant(flow, wanted)
    const repaired = await repair(flow, regions, policy)
    const where = listOf(regions)
    if (repaired.still.length > 0) {
      return {
        state: 'failed',
        summary:
          `${doing(repaired.still.length, 'key', 'still diverge')} in ${where} after the reconcile${named(repaired.still)}: ` +
          'the data is inconsistent. Next: look at the conflicts, then revert the version or reset and reseed.',
        data: repairData(repaired, { inconsistent: true }),
      }
    }
    const again = await watch(flow, regions, flow.services.settings.reconcile.settle)
    if (again.length > 0) {
      return {
        state: 'succeeded',
        summary:
          `Reconciled ${where}, but ${keysOf(again.length)} diverged again${named(again)}: ` +
          'a bad version is the likelier cause. Next: revert it.',
        data: repairData(repaired, { divergedAgain: true }),
      }
    }
    const before =
      repaired.before === 0 ? 'no key had diverged' : `${keysOf(repaired.before)} had diverged, none does now`
    return { state: 'succeeded', summary: `Reconciled ${where}: ${before}.`, data: repairData(repaired) }
  },
})
