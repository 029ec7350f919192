import { z } from 'zod'
import { reply } from '../../src/core/command.ts'
import { tell } from '../../src/core/incident.ts'
import { defineCommand, numberArg, textArg } from './define.ts'
import { incidentData } from './present.ts'

export const note = defineCommand({
  name: 'note',
  aliases: ['comment'],
  usage: 'note ID TEXT',
  summary: 'add a line to the story',
  help: 'The line stands in the story, in the thread and in the post-mortem, with your name. It notifies nobody.',
  parameters: [
    { name: 'id', incident: true },
    { name: 'text', rest: true },
  ],
  args: z.strictObject({ id: numberArg(), text: textArg }),
  danger: 'none',
  run: (tx, { id, text }, _facts, { change, person, now, policy }) =>
    change(tx, id, (draft) => {
      tell(draft, now, 'note', `${person.name}: ${text}`, false, person.name)
      return reply(`Noted in incident ${id}.`, { data: incidentData(draft.incident, policy), incident: id })
    }),
})
