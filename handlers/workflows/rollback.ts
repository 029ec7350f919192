import { INPUTS } from '../../src/core/acts.ts'
import { SECOND } from '../../src/core/clock.ts'
import { ClawError, messageOf } from '../../src/core/errors.ts'
import type { Flow, Outcome } from '../../src/core/workflow.ts'
import { defineWorkflow } from './define.ts'
import { follow, isStop, json, sentence, trafficOf } from './parts.ts'
import { type Examination, examine, returned, untilSeen } from './traffic.ts'

const CHECK_TIMEOUT = 40 * SECOND

/** Undoes a failover: the clients return to the region that they were taken from. Never refused by any pre-flight. */
export const rollback = defineWorkflow({
  kind: 'rollback',
  input: INPUTS.rollback,
  async run(flow, { of, from, to, expected }) {
    const wanted = await flow.step('traffic before', {}, async ({ signal, attempt }) => {
      try {
        const regions = (await flow.services.edge?.regions(signal)) ?? []
        return regions.find(({ region }) => region === to)?.requestRate ?? null
      } catch (error) {
        // It only helps to see the clients return.
        if (!(error instanceof ClawError) || attempt === 1) throw error
        return null
      }
    })
    const operation = await flow.step('switch: start', {}, ({ key, signal }) =>
      trafficOf(flow.services).restore({ from, to, expected, key, by: flow.by, incident: flow.incident }, signal),
    )
    try {
      await follow(flow, 'switch', operation)
      await flow.tell('switched', `Traffic is switched back from ${to} to ${from}; waiting until it is seen there.`)
      await untilSeen(flow, 'returned', {
        region: from,
        what: `The clients of ${from} were not seen to return`,
        look: (now, switches) => returned(wanted, now, switches),
      })
      return await told(flow, of, from)
    } catch (error) {
      if (isStop(error)) throw error
      const why = sentence(messageOf(error))
      await flow.alarm('not back', `Rolling o${of} back failed: ${why} Look where the clients of ${from} are, now.`)
      return { state: 'failed', summary: `o${of} is not rolled back for sure: ${why}`, data: json({ of, from, to }) }
    }
  },
})

async function told(flow: Flow, of: number, from: string): Promise<Outcome> {
  const { failed, unknown } = await flow.step(
    'validation',
    { timeout: CHECK_TIMEOUT },
    async ({ signal, attempt }): Promise<Examination> => {
      try {
        return await examine(flow.services, from, signal)
      } catch (error) {
        if (!(error instanceof ClawError) || attempt < 3) throw error
        return { failed: [error.message], unknown: [], level: null }
      }
    },
  )
  const data = json({ of, from, failed })
  if (failed.length > 0) {
    await flow.alarm('not well', `Clients are back in ${from}, which does not do well: ${sentence(failed.join('; '))}`)
    return {
      state: 'failed',
      summary: `Clients are back in ${from}, which does not do well: ${sentence(failed.join('; '))}`,
      data,
    }
  }
  const rest = unknown.length > 0 ? ` Unknown: ${unknown.join(', ')}.` : ''
  return { state: 'succeeded', summary: `o${of} is rolled back: clients are served by ${from} again.${rest}`, data }
}
