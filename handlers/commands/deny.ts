import { z } from 'zod'
import { refusal, reply } from '../../src/core/command.ts'
import type { DestinationKind } from '../../src/core/delivery.ts'
import { about, commandOf, dataOf, openQuestion, questionArg } from './approve.ts'
import { defineCommand, noteArg } from './define.ts'
import { line } from './text.ts'

export const deny = defineCommand({
  name: 'deny',
  aliases: ['reject'],
  usage: 'deny aN [reason]',
  summary: 'say no to what somebody asked, or take back your own',
  help: 'Anybody who may run the command may say no, and so may the one who asked. Nothing is changed, and the one who asked is told.',
  parameters: [{ name: 'id' }, { name: 'reason', optional: true, rest: true }],
  args: z.strictObject({ id: questionArg, reason: noteArg }),
  danger: 'none',
  async run(tx, { id, reason }, _facts, { person, now, may }) {
    const found = await openQuestion(tx, id, now)
    if ('ok' in found) return found
    const own = person.name === found.by
    const command = commandOf(found)
    if (!own && !may(person.name, command)) {
      return about(found, 'forbidden', `You may not deny a${id}: it takes a role that may run ${command}.`)
    }
    const denied = { ...found, state: 'denied' as const }
    await tx.saveApproval(denied)
    const why = reason ? `: ${line(reason, 300)}` : '.'
    if (!own && found.replyTo) {
      const answer = refusal('forbidden', `${person.name} denied a${id} (${line(found.command, 200)})${why}`)
      // The lane of a platform is named after it.
      const kind = (found.replyTo.lane.split(':')[0] ?? '') as DestinationKind
      await tx.addReply(found.replyTo, kind, { ...answer, incident: found.incident }, now)
    }
    return reply(`${own ? 'Taken back' : 'Denied'}: a${id} (${line(found.command, 200)}) does not run.`, {
      lines: own ? [] : [`${line(found.by, 60)} is told.`],
      data: dataOf(denied),
      incident: found.incident,
    })
  },
})
