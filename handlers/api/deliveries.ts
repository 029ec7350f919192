import type { ApiRoute } from '../../src/core/api.ts'
import { ClawError } from '../../src/core/errors.ts'
import type { Delivery } from '../../src/core/store.ts'
import { deliveryJson } from './present.ts'
import { type ApiDeps, cursorOf, json, jsonList, readCursor, readId, readLimit, readStates } from './route.ts'

const STATES = ['pending', 'waiting', 'delivered', 'dead']

/**
 * Puts a dead or waiting delivery back in line, at the front.
 * @returns it as it is then
 * @throws ClawError('not_found'), ClawError('conflict') when it neither died nor waits
 */
export async function redeliver(deps: Pick<ApiDeps, 'store' | 'clock' | 'wake'>, id: number): Promise<Delivery> {
  const delivery = await deps.store.write(async (tx) => {
    const before = await tx.delivery(id)
    if (!before) throw new ClawError('not_found', `There is no delivery ${id}.`)
    if (!(await tx.redeliver(id, deps.clock()))) {
      throw new ClawError(
        'conflict',
        `Delivery ${id} is ${before.state}: only what is dead or waiting can be sent again.`,
      )
    }
    return tx.delivery(id)
  })
  if (!delivery) throw new ClawError('not_found', `There is no delivery ${id}.`)
  deps.wake()
  return delivery
}

/** `GET /deliveries`, `POST /deliveries/{id}/redeliver`. */
export function deliveryRoutes(deps: ApiDeps): ApiRoute[] {
  return [
    {
      method: 'GET',
      path: '/deliveries',
      async handle({ query }) {
        const states = readStates(query, STATES)
        if (states.length > 1) throw new ClawError('invalid', 'state: ask for one state of deliveries at a time.')
        const limit = readLimit(query)
        const before = readCursor(query, 'deliveries')
        const found = await deps.store.listDeliveries({ state: states[0] ?? null, limit: limit + 1, before })
        const shown = found.slice(0, limit)
        const last = shown.at(-1)
        const next = found.length > limit && last ? cursorOf('deliveries', last.id) : null
        return jsonList(
          'deliveries',
          shown.map((delivery) => JSON.stringify(deliveryJson(delivery))),
          next,
        )
      },
    },
    {
      method: 'POST',
      path: '/deliveries/:id/redeliver',
      handle: async ({ id }) => json(deliveryJson(await redeliver(deps, readId(id, 'a delivery'))), 202),
    },
  ]
}
