import { INPUTS } from '../../src/core/acts.ts'
import { SECOND } from '../../src/core/clock.ts'
import { ClawError } from '../../src/core/errors.ts'
import { defineWorkflow } from './define.ts'
import { edgeOf, OPERATION_TIMEOUT, percent, regionIn, takeSnapshot } from './parts.ts'

/** How long the level may take to show after the edge said that it refilled the bucket. */
const SHOWS_WITHIN = 15 * SECOND

/** Refills one region's bucket, keeping requests in flight; never where the limiter is right (system.md, section 3). */
export const reset = defineWorkflow({
  kind: 'reset',
  input: INPUTS.reset,
  async run(flow, { region }) {
    const enough = flow.services.settings.failover.minBucket
    const before = await flow.step('is the limiter wrong', {}, async ({ signal }) => {
      const { requestRate, refillRate, bucket } = regionIn(await edgeOf(flow.services).regions(signal), region)
      // An unknown rate does not block a reset (contract.md, section 8).
      if (requestRate !== null && refillRate !== null && requestRate > refillRate) {
        throw new ClawError(
          'conflict',
          `${region} is offered ${Math.round(requestRate)}/s and refills ${Math.round(refillRate)}/s: the limiter is right, ` +
            'and a full bucket would be empty again at once. Lower the load or raise the capacity instead.',
        )
      }
      return bucket?.ratio ?? null
    })
    const snapshot = await takeSnapshot(flow, [region])
    await flow.operation('reset', OPERATION_TIMEOUT, ({ key, signal }) =>
      edgeOf(flow.services).start({ kind: 'reset', region, by: flow.by, incident: flow.incident }, key, signal),
    )
    const until = await flow.step('reset done', {}, async ({ now }) => now + SHOWS_WITHIN)
    const { ratio } = await flow.poll(
      'level',
      { timeout: SHOWS_WITHIN + 30 * SECOND, what: `The edge did not say the level of ${region}` },
      async ({ signal, now }) => {
        const found = regionIn(await edgeOf(flow.services).regions(signal), region).bucket?.ratio ?? null
        return found === null || found >= enough || now >= until ? { ratio: found } : null
      },
    )
    const data = { snapshot, before, after: ratio }
    if (ratio !== null && ratio < enough) {
      return {
        state: 'failed',
        summary:
          `The bucket of ${region} was reset, but is at ${percent(ratio)}, not above ${percent(enough)}. ` +
          'Next: look at what is offered and at the conflicts.',
        data,
      }
    }
    const level =
      ratio === null ? 'the edge does not say its level' : `it is at ${percent(ratio)}, was ${percent(before)}`
    return { state: 'succeeded', summary: `The bucket of ${region} was reset: ${level}.`, data }
  },
})
