import { z } from 'zod'
import { reply } from '../../src/core/command.ts'
import type { EdgeConflict } from '../../src/core/edge.ts'
import { ClawError, messageOf } from '../../src/core/errors.ts'
import { defineCommand, ROWS } from './define.ts'
import { edgeOf, inTime, regionNamed, regionsNow, whole } from './edge.ts'
import { count, line, span } from './text.ts'

/** Keys that are asked for; beyond that it counts no further. */
export const MAX_KEYS = 500
const MAX_COLUMNS = 8

export const conflicts = defineCommand({
  name: 'conflicts',
  aliases: ['diverged'],
  usage: 'conflicts [REGION]',
  summary: 'which keys have copies that differ',
  help: 'Each diverged key with the tokens that every region has of it, the largest difference first, and since when. Asks the edge at this moment.',
  parameters: [{ name: 'region', optional: true }],
  args: z.strictObject({ region: z.string().min(1).max(200).optional() }),
  danger: 'none',
  async prepare({ region: typed }, services) {
    const edge = edgeOf(services)
    const region = typed === undefined ? null : regionNamed(typed, await regionsNow(services))
    let why = 'no answer in time'
    const found = await inTime((signal) =>
      edge.conflicts(region, MAX_KEYS, signal).catch((error: unknown) => {
        why = messageOf(error)
        throw error
      }),
    )
    if (found === null) {
      throw new ClawError(
        'unavailable',
        `The edge could not be asked which keys diverge: ${line(why, 200).replace(/\.$/, '')}.`,
      )
    }
    return { region, found: found.toSorted((a, b) => spread(b) - spread(a)) }
  },
  async run(_tx, _args, { region, found }, { now }) {
    const where = region === null ? '' : ` in ${line(region, 40)}`
    const data = {
      region,
      complete: found.length < MAX_KEYS,
      conflicts: found.map(({ key, values, since }) => ({
        key,
        values: { ...values },
        since: since === null ? null : new Date(since).toISOString(),
      })),
    }
    if (found.length === 0) return reply(`No key diverges${where}.`, { lines: ['Nothing to do.'], data })
    const columns = [...new Set(found.flatMap(({ values }) => Object.keys(values)))].sort().slice(0, MAX_COLUMNS)
    const shown = found.slice(0, ROWS)
    const more = found.length - shown.length
    const command = region === null ? 'reconcile' : `reconcile ${region}`
    return reply(`${keysText(found)} ${found.length === 1 ? 'diverges' : 'diverge'}${where}.`, {
      lines: [
        ...(more > 0 ? [`And ${more} more, with smaller differences.`] : []),
        `Next: ${command} shows what bringing them together would change, and asks first.`,
      ],
      table: {
        head: ['Key', ...columns.map((name) => line(name, 16)), 'Since'],
        rows: shown.map(({ key, values, since }) => [
          line(key, 40),
          ...columns.map((name) => (Object.hasOwn(values, name) ? whole(values[name] ?? 0) : '-')),
          since === null ? '?' : `${span(now - since)} ago`,
        ]),
      },
      buttons: [{ label: 'Reconcile', command, style: 'primary' }],
      data,
    })
  },
})

/** `14 keys`, `500 keys or more` */
export function keysText(found: readonly EdgeConflict[]): string {
  return found.length < MAX_KEYS ? count(found.length, 'key') : `${MAX_KEYS} keys or more`
}

/** Tokens between the highest and the lowest copy. */
export function spread({ values }: EdgeConflict): number {
  const all = Object.values(values)
  return all.length === 0 ? 0 : Math.max(...all) - Math.min(...all)
}
