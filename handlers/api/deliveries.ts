import { type Access, mayRun, personOf } from '../../src/core/access.ts'
import type { ApiRoute } from '../../src/core/api.ts'
import { ClawError } from '../../src/core/errors.ts'
import type { Delivery, Tx } from '../../src/core/store.ts'
import { deliveryJson } from './present.ts'
import { type ApiDeps, cursorOf, json, jsonList, readCursor, readId, readLimit, readStates } from './route.ts'

const STATES = ['pending', 'waiting', 'delivered', 'dead']

type Deps = Pick<ApiDeps, 'store' | 'clock' | 'wake' | 'access'>

/** Sending again is for those who may say so in chat, and for whoever answers incidents; not for those who only look. */
function mayRedeliver(access: Access, name: string): boolean {
  const person = personOf(access, 'http', name)
  return person !== null && ['deliveries', 'ack'].some((command) => mayRun(access, person, command))
}

/**
 * Puts a dead or waiting delivery back in line, at the front, in somebody's name; the audit trail says so, or that they may not.
 * @returns it as it is then
 * @throws ClawError('forbidden'), ClawError('not_found'), ClawError('conflict') when it neither died nor waits
 */
async function redeliver(deps: Deps, id: number, person: string): Promise<Delivery> {
  const { store, clock } = deps
  const note = (tx: Tx, outcome: 'done' | 'forbidden', about: Delivery | null) =>
    tx.appendAudit({
      at: new Date(clock()).toISOString(),
      actor: person,
      via: 'http',
      action: 'deliveries',
      target: about !== null && about.incidentId > 0 ? `incident ${about.incidentId}` : '',
      outcome,
      detail: `POST deliveries/${id}/redeliver`,
    })
  if (!mayRedeliver(deps.access(), person)) {
    await store.write((tx) => note(tx, 'forbidden', null))
    throw new ClawError(
      'forbidden',
      `${person} may not send deliveries again: it takes a role that may run deliveries or ack.`,
    )
  }
  const delivery = await store.write(async (tx) => {
    const before = await tx.delivery(id)
    if (!before) throw new ClawError('not_found', `There is no delivery ${id}.`)
    if (!(await tx.redeliver(id, clock()))) {
      throw new ClawError(
        'conflict',
        `Delivery ${id} is ${before.state}: only what is dead or waiting can be sent again.`,
      )
    }
    await note(tx, 'done', before)
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
      handle: async ({ id, person }) =>
        json(deliveryJson(await redeliver(deps, readId(id, 'a delivery'), person)), 202),
    },
  ]
}
