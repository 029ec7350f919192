import { z } from 'zod'
import { reply } from '../../src/core/command.ts'
import { tell } from '../../src/core/incident.ts'
import { worsen } from '../../src/core/transitions.ts'
import { defineCommand, noteArg, numberArg, refuse } from './define.ts'
import { incidentData, named, ringing } from './present.ts'

export const escalate = defineCommand({
  name: 'escalate',
  aliases: [],
  usage: 'escalate ID [note]',
  summary: 'ask for more hands',
  help: 'Everyone who hears of the incident is notified that you ask for more hands. Where it was acknowledged already, a new page goes out; while its page still rings, that page says so.',
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
        return refuse('conflict', id, `Incident ${id} is resolved: there is nothing to escalate.`)
      }
      const rang = ringing(incident)
      const text = `${person.name} asks for more hands${note ? `: ${note}` : '.'}`
      worsen(draft, `${person.name} asks for more hands`)
      tell(draft, now, 'escalated', text, true, person.name)
      return reply(`You asked for more hands on ${named(incident, policy)}.`, {
        lines: [
          rang ? 'Its page still rings, and now says so.' : 'A new page goes out.',
          `Next: oncall tells who is woken; show ${id} tells whether it arrived.`,
        ],
        data: incidentData(incident, policy),
        incident: id,
      })
    }),
})
