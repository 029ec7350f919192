import { z } from 'zod'
import { type Reply, refusal, reply } from '../../src/core/command.ts'
import { ClawError } from '../../src/core/errors.ts'
import { tell } from '../../src/core/incident.ts'
import { runName } from '../../src/core/workflow.ts'
import { defineCommand } from './define.ts'
import { operationArg, operationData } from './operations.ts'
import { line } from './text.ts'

/** Kinds whose command has another name. */
const COMMANDS: Readonly<Record<string, string>> = { 'canary abort': 'canary' }

export const cancel = defineCommand({
  name: 'cancel',
  aliases: [],
  usage: 'cancel oN',
  summary: 'stop an operation that is under way',
  help: 'No further step begins; what was done already is undone where it can be, as with a failover. Whoever may start such an operation may stop it. It does not ask back.',
  parameters: [{ name: 'operation' }],
  args: z.strictObject({ operation: operationArg }),
  danger: 'none',
  async run(tx, { operation }, _facts, { person, may, change, now }): Promise<Reply> {
    const run = await tx.workflow(operation)
    if (!run) throw new ClawError('not_found', `There is no operation o${operation}. operations lists them.`)
    const name = runName(run.id)
    const about = { incident: run.incident, data: operationData(run) }
    const command = COMMANDS[run.kind] ?? run.kind
    if (!may(person.name, command)) {
      return { ...refusal('forbidden', `You may not stop ${name}: it takes a role that may run ${command}.`), ...about }
    }
    if (run.state !== 'running') {
      const undo = run.kind === 'failover' && run.state === 'succeeded' ? [`Undo it: /claw rollback ${name}.`] : []
      const outcome = run.outcome === null ? '' : ` ${line(run.outcome, 300)}`
      return { ...refusal('conflict', `${name} is over (${run.state}): nothing to stop.${outcome}`, undo), ...about }
    }
    if (run.cancelledBy !== null) {
      return {
        ...refusal('conflict', `${name} is being stopped already, by ${line(run.cancelledBy, 60)}.`),
        ...about,
      }
    }
    await tx.cancelWorkflow(run.id, person.name, now)
    if (run.incident !== null) {
      await change(tx, run.incident, (draft) =>
        tell(draft, now, 'operation', `${person.name} stops ${name}: ${run.title}.`, false, person.name),
      )
    }
    return reply(`${name} is being stopped: ${line(run.title, 200)}.`, {
      lines: [
        'No further step begins; what was done is undone where it can be.',
        `operations ${name} shows how it ends.`,
      ],
      data: { ...operationData(run), cancelled_by: person.name },
      incident: run.incident,
    })
  },
})
