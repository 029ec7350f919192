import { z } from 'zod'
import type { Silence } from '../../src/core/chatops.ts'
import { refusal, reply } from '../../src/core/command.ts'
import { tell } from '../../src/core/incident.ts'
import type { Tx } from '../../src/core/store.ts'
import { defineCommand, ROWS, refuse } from './define.ts'
import { dataOf } from './silence.ts'
import { count, line, timeOf } from './text.ts'

export const unsilence = defineCommand({
  name: 'unsilence',
  aliases: ['unmute'],
  usage: 'unsilence [sN|ID]',
  summary: 'end a silence',
  help: "s3 is one silence, 12 all silences of incident 12. Without an argument: those of the thread's incident, elsewhere the list of all that run.",
  parameters: [{ name: 'id', optional: true }],
  args: z.strictObject({
    id: z
      .string()
      .regex(/^(?:s|#)?\d{1,9}$/i, 'write s3 for a silence or 12 for an incident')
      .optional(),
  }),
  danger: 'none',
  async run(tx, { id }, _facts, { change, person, now, incident: thread }) {
    const running = (await tx.activeSilences()).filter((one) => one.endsAt > now)
    const given = id?.toLowerCase().replace('#', '') ?? (thread === null ? null : String(thread))
    if (given === null) return listOf(running, now)
    const one = given.startsWith('s')
    const number = Number(given.replace('s', ''))
    const found = running.filter((silence) => (one ? silence.id : silence.incident) === number)
    if (found.length === 0)
      return one
        ? nothing(await tx.silence(number), number)
        : refuse('conflict', number, `Incident ${number} is not silenced.`)
    for (const silence of found) await end(tx, silence, now)
    const about = found.find((silence) => silence.incident !== null)?.incident ?? null
    const names = found.map((silence) => `s${silence.id}`).join(', ')
    if (about !== null) {
      await change(tx, about, (draft) =>
        tell(draft, now, 'unsilenced', `Silence ended by ${person.name}.`, false, person.name),
      )
    }
    const [first] = found
    return reply(`Ended ${names}${found.length === 1 && first ? ` (${line(first.matchers, 120)})` : ''}.`, {
      lines: ['What matched is heard again.'],
      data: { ended: found.map((silence) => dataOf({ ...silence, state: 'ended', endsAt: now })) },
      incident: about,
    })
  },
})

/** The engine tells Alertmanager, which may be hearing of it for the first time just now. */
async function end(tx: Tx, silence: Silence, now: number): Promise<void> {
  await tx.saveSilence({ ...silence, state: 'ended', endsAt: now, pending: 'end' })
}

function nothing(silence: Silence | null, id: number) {
  return silence
    ? refusal('conflict', `Silence s${id} is over already.`)
    : refusal('not_found', `There is no silence s${id}.`, ['unsilence without an argument lists those that run.'])
}

function listOf(running: readonly Silence[], now: number) {
  if (running.length === 0) return reply('Nothing is silenced.', { data: { silences: [] } })
  const more = running.length - ROWS
  return reply(`${count(running.length, 'silence')} running.`, {
    lines: [...(more > 0 ? [`And ${more} more.`] : []), `unsilence s${running[0]?.id} ends the first.`],
    table: {
      head: ['ID', 'Incident', 'Matchers', 'Until', 'Who'],
      rows: running
        .slice(0, ROWS)
        .map((one) => [
          `s${one.id}`,
          one.incident === null ? 'none' : String(one.incident),
          line(one.matchers, 60),
          timeOf(one.endsAt, now),
          line(one.by, 30),
        ]),
    },
    data: { silences: running.slice(0, ROWS).map(dataOf) },
  })
}
