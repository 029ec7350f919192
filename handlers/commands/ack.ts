import { z } from 'zod'
import { reply } from '../../src/core/command.ts'
import { acknowledge } from '../../src/core/transitions.ts'
import { defineCommand, noteArg, numberArg, refuse } from './define.ts'
import { incidentData, named } from './present.ts'
import { count, line, span, timeOf } from './text.ts'

export const ack = defineCommand({
  name: 'ack',
  aliases: ['acknowledge', 'a'],
  usage: 'ack ID [note]',
  summary: 'you have it: stops the paging',
  help: "Acknowledges everywhere: PagerDuty stops ringing, all messages name you. When it got worse after an acknowledgement and rings again, ack makes it yours. In an incident's thread ID may be left out.",
  parameters: [
    { name: 'id', incident: true },
    { name: 'note', optional: true, rest: true },
  ],
  args: z.strictObject({ id: numberArg(), note: noteArg }),
  danger: 'none',
  run: (tx, { id, note }, _facts, { change, person, now, policy }) =>
    change(tx, id, (draft) => {
      const { incident } = draft
      if (incident.state === 'resolved') {
        const by = incident.resolvedBy === null ? '' : ` by ${line(incident.resolvedBy, 60)}`
        const at = incident.resolvedAt === null ? '' : ` at ${timeOf(incident.resolvedAt, now)}`
        return refuse('conflict', id, `Incident ${id} was resolved already${by}${at}; nothing was changed.`, [
          'Nothing to do: its alerts reopen it if they fire again.',
        ])
      }
      const before = { by: incident.acknowledgedBy, at: incident.acknowledgedAt ?? now }
      if (!acknowledge(draft, person.name, note, now)) {
        const since = span(now - before.at)
        if (before.by === person.name) {
          return refuse('conflict', id, `You acknowledged incident ${id} already, ${since} ago.`, [
            `Next: show ${id}, or note ${id} TEXT.`,
          ])
        }
        const who = line(before.by ?? 'someone', 60)
        return refuse('conflict', id, `Incident ${id} was acknowledged already by ${who}, ${since} ago.`, [
          `take ${id} makes it yours.`,
        ])
      }
      const lines: string[] = []
      if (before.by !== null && before.by !== person.name) lines.push(`It was ${line(before.by, 60)}'s before.`)
      if (incident.firing > 0) lines.push(`${count(incident.firing, 'alert')} firing.`)
      lines.push(`Next: show ${id} tells all of it; resolve ${id} when it is over.`)
      return reply(`You have ${named(incident, policy)}.`, {
        lines,
        data: incidentData(incident, policy),
        incident: id,
      })
    }),
})
