import { z } from 'zod'
import { type CommandContext, type Reply, refusal, reply } from '../../src/core/command.ts'
import type { Delivery, Tx } from '../../src/core/store.ts'
import { defineCommand, numberArg, ROWS } from './define.ts'
import { destinationOf } from './present.ts'
import { count, line, timeOf } from './text.ts'

export const deliveries = defineCommand({
  name: 'deliveries',
  aliases: ['dead'],
  usage: 'deliveries [redeliver ID]',
  summary: 'messages given up or waiting, and why',
  help: 'Dead ones are not tried again by themselves: deliveries redeliver ID sends one once its reason is gone.',
  parameters: [
    { name: 'act', optional: true },
    { name: 'id', optional: true },
  ],
  args: z
    .strictObject({
      act: z
        .string()
        .transform((text) => text.toLowerCase())
        .pipe(z.literal('redeliver', 'write redeliver and the number of a delivery'))
        .optional(),
      id: numberArg('a delivery').optional(),
    })
    .refine(({ act, id }) => act === undefined || id !== undefined, 'say which delivery: deliveries redeliver 7'),
  danger: 'none',
  // Whoever answers the page may send again what was lost.
  right: ({ act }) => (act === undefined ? 'status' : 'ack'),
  run: (tx, { id }, _facts, context) => (id === undefined ? list(tx, context.now) : again(tx, id, context)),
})

async function list(tx: Tx, now: number): Promise<Reply> {
  const dead = await tx.listDeliveries({ state: 'dead', limit: ROWS, before: null })
  const waiting = await tx.listDeliveries({ state: 'waiting', limit: ROWS - dead.length, before: null })
  const counts = await tx.countDeliveries()
  const totalOf = (state: string) => counts.reduce((sum, one) => sum + (one.state === state ? one.count : 0), 0)
  const [deadTotal, waitingTotal] = [totalOf('dead'), totalOf('waiting')]
  const data = { dead: deadTotal, waiting: waitingTotal, deliveries: [...dead, ...waiting].map(dataOf) }
  if (deadTotal + waitingTotal === 0) {
    return reply('Every message arrived; none is given up or waiting.', { lines: ['Nothing to do.'], data })
  }
  const more = deadTotal + waitingTotal - dead.length - waiting.length
  const [first] = dead
  return reply(`${count(deadTotal, 'message')} given up, ${waitingTotal} waiting.`, {
    lines: [
      ...(more > 0 ? [`And ${more} more.`] : []),
      first
        ? `Next: deliveries redeliver ${first.id}, once its reason is gone.`
        : 'Nothing to do: Claw tries them again by itself.',
    ],
    table: {
      head: ['ID', 'State', 'Where', 'About', 'Tries', 'Next', 'Why'],
      rows: [...dead, ...waiting].map((one) => [
        String(one.id),
        one.state,
        destinationOf(one),
        aboutOf(one),
        String(one.attempts),
        one.state === 'dead' ? 'never' : timeOf(one.dueAt, now),
        line(one.reason ?? 'unknown', 80),
      ]),
    },
    data,
  })
}

async function again(tx: Tx, id: number, { now }: CommandContext): Promise<Reply> {
  const delivery = await tx.delivery(id)
  if (!delivery) return refusal('not_found', `There is no delivery ${id}.`, ['deliveries lists what did not arrive.'])
  const incident = delivery.incidentId > 0 ? delivery.incidentId : null
  if (!(await tx.redeliver(id, now))) {
    const state = delivery.state === 'delivered' ? 'arrived already' : 'is on its way already'
    return { ...refusal('conflict', `Delivery ${id} (${destinationOf(delivery)}) ${state}.`), incident }
  }
  return reply(`Sending delivery ${id} again: ${aboutOf(delivery)} to ${destinationOf(delivery)}.`, {
    lines: ['Next: deliveries tells whether it arrived.'],
    data: dataOf({ ...delivery, state: 'pending', reason: null }),
    incident,
  })
}

/** A reply to a command is a delivery without an incident. */
function aboutOf(delivery: Delivery): string {
  return delivery.incidentId > 0 ? `incident ${delivery.incidentId}` : 'an answer'
}

function dataOf(delivery: Delivery) {
  return {
    id: String(delivery.id),
    incident: delivery.incidentId > 0 ? String(delivery.incidentId) : null,
    destination: destinationOf(delivery),
    state: delivery.state,
    attempts: delivery.attempts,
    reason: delivery.reason,
  }
}
