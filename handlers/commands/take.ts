import { z } from 'zod'
import { reply } from '../../src/core/command.ts'
import { tell } from '../../src/core/incident.ts'
import { acknowledge } from '../../src/core/transitions.ts'
import { defineCommand, numberArg, refuse } from './define.ts'
import { incidentData, named } from './present.ts'
import { line } from './text.ts'

export const take = defineCommand({
  name: 'take',
  aliases: ['own'],
  usage: 'take ID',
  summary: 'take an incident over from whoever has it',
  help: 'Makes you the one who is on it; acknowledges it where nobody has yet. The one before you is named in the story.',
  parameters: [{ name: 'id', incident: true }],
  args: z.strictObject({ id: numberArg() }),
  danger: 'none',
  run: (tx, { id }, _facts, { change, person, now, policy }) =>
    change(tx, id, (draft) => {
      const { incident } = draft
      if (incident.state === 'resolved') {
        return refuse('conflict', id, `Incident ${id} is resolved: there is nothing to take.`)
      }
      const before = incident.acknowledgedBy
      const rang = acknowledge(draft, person.name, '', now)
      if (!rang && before === person.name) return refuse('conflict', id, `Incident ${id} is yours already.`)
      if (before !== null && before !== person.name) {
        incident.acknowledgedBy = person.name
        tell(draft, now, 'taken', `${person.name} took it over from ${before}.`, false, person.name)
        // Who has it must show everywhere at once, as with an acknowledgement.
        draft.push = true
      }
      const from = before !== null && before !== person.name ? ` It was ${line(before, 60)}'s.` : ''
      return reply(`${named(incident, policy).replace('i', 'I')} is yours.${from}`, {
        lines: [`Next: show ${id} tells all of it.`],
        data: incidentData(incident, policy),
        incident: id,
      })
    }),
})
