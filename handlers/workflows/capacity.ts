import { INPUTS } from '../../src/core/acts.ts'
import { SECOND } from '../../src/core/clock.ts'
import { defineWorkflow } from './define.ts'
import { edgeOf, OPERATION_TIMEOUT, timeOfDay } from './parts.ts'

/** Another capacity of one region's bucket for a while; the edge itself ends it (`ttl_seconds`). */
export const capacity = defineWorkflow({
  kind: 'capacity',
  input: INPUTS.capacity,
  async run(flow, { region, factor, lasts }) {
    const ttlSeconds = Math.max(1, Math.round(lasts / SECOND))
    const by = { by: flow.by, incident: flow.incident }
    await flow.operation('capacity', OPERATION_TIMEOUT, ({ key, signal }) =>
      edgeOf(flow.services).start({ kind: 'capacity', region, factor, ttlSeconds, ...by }, key, signal),
    )
    const until = await flow.step('capacity changed', {}, async ({ now }) => now + ttlSeconds * SECOND)
    return {
      state: 'succeeded',
      summary: `The capacity of ${region} is ${factor} times its own until ${timeOfDay(until)}; the edge ends it by itself.`,
      data: { until },
    }
  },
})
