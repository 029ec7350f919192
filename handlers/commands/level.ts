import { z } from 'zod'
import type { Level } from '../../src/core/alert.ts'
import { reply } from '../../src/core/command.ts'
import { tell } from '../../src/core/incident.ts'
import { LEVELS, worse } from '../../src/core/severity.ts'
import { worsen } from '../../src/core/transitions.ts'
import { defineCommand, numberArg, refuse } from './define.ts'
import { incidentData, ringing } from './present.ts'
import { line } from './text.ts'

export const level = defineCommand({
  name: 'level',
  aliases: ['priority'],
  usage: 'level ID P1|P2|P3',
  summary: 'set the level; no rule changes it any more',
  help: 'A raise reaches the receivers of the new level, and wakes somebody where the incident was acknowledged already. Receivers that hear of it stay.',
  parameters: [{ name: 'id', incident: true }, { name: 'level' }],
  args: z.strictObject({
    id: numberArg(),
    level: z
      .string()
      .transform((text) => text.toUpperCase())
      .pipe(z.enum(LEVELS, 'write P1, P2 or P3')),
  }),
  danger: 'none',
  run: (tx, { id, level: wanted }, _facts, { change, person, now, policy }) =>
    change(tx, id, (draft) => {
      const { incident } = draft
      const before: Level = incident.level
      if (before === wanted && incident.levelSetBy !== null) {
        const by = line(incident.levelSetBy, 60)
        return refuse('conflict', id, `Incident ${id} is ${wanted} already, set by ${by}; nothing was changed.`)
      }
      const raised = worse(wanted, before)
      const woke = raised && incident.state !== 'resolved' && !ringing(incident)
      incident.level = wanted
      incident.levelSetBy = person.name
      incident.levelReason = `set by ${person.name}`
      if (raised && incident.state !== 'resolved') {
        draft.reroute = true
        worsen(draft, `${person.name} set it to ${wanted}`)
        tell(draft, now, 'worsened', `Worse: now ${wanted}, set by ${person.name} (was ${before}).`, true, person.name)
      } else {
        const text =
          before === wanted ? `${person.name} keeps it at ${wanted}.` : `${before} to ${wanted}, set by ${person.name}.`
        tell(draft, now, 'level', `Level: ${text}`, false, person.name)
      }
      const summary =
        before === wanted
          ? `Incident ${id} stays ${wanted}, whatever the rules say.`
          : `Incident ${id} is now ${wanted} (was ${before}).`
      return reply(summary, {
        lines: [
          ...(woke ? ['It was acknowledged: a new page goes out.'] : []),
          raised ? `Next: show ${id} says who hears of it.` : 'Nothing more to do.',
        ],
        data: incidentData(incident, policy),
        incident: id,
      })
    }),
})
