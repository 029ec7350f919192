import { z } from 'zod'
import { type CommandSpec, type Reply, refusal, reply } from '../../src/core/command.ts'
import { suggestion } from '../../src/core/suggest.ts'
import { defineCommand } from './define.ts'
import { count, line } from './text.ts'

export const help = defineCommand({
  name: 'help',
  aliases: ['h', '?'],
  usage: 'help [command]',
  summary: 'what can be asked, and how',
  help: 'Without a command: all that you may run. With one: its arguments, other names, and who may run it.',
  parameters: [{ name: 'command', optional: true }],
  args: z.strictObject({ command: z.string().max(200).optional() }),
  danger: 'none',
  prepare: async (_args, services) => services.commands(),
  async run(_tx, { command }, commands, { person, may }): Promise<Reply> {
    const unknown = person.roles.length === 0
    const mine = (spec: CommandSpec): boolean => unknown || may(person.name, spec.name)
    if (command !== undefined) return one(command.replace(/^\//, '').toLowerCase(), commands, mine)
    const shown = commands.filter(mine)
    const rest = commands.length - shown.length
    return reply(`${count(shown.length, 'command')}, in Slack and Telegram as /claw COMMAND.`, {
      lines: [
        ...(unknown ? ['Claw does not know you with a role yet: any other command tells how to be linked.'] : []),
        ...(rest > 0 ? [`${rest} more need another role: ${named(commands.filter((spec) => !mine(spec)))}.`] : []),
        "In an incident's thread its ID may be left out.",
        'help COMMAND tells more; /claw alone tells what is going on now.',
      ],
      table: { head: ['Command', 'What it does'], rows: shown.map((spec) => [spec.usage, spec.summary]) },
      data: { commands: shown.map(dataOf) },
    })
  },
})

const named = (commands: readonly CommandSpec[]): string => commands.map((spec) => spec.name).join(', ')

function one(name: string, commands: readonly CommandSpec[], mine: (spec: CommandSpec) => boolean): Reply {
  const spec = commands.find((known) => known.name === name || known.aliases.includes(name))
  if (!spec) {
    const names = commands.flatMap((known) => [known.name, ...known.aliases])
    return refusal(
      'not_found',
      `There is no command ${JSON.stringify(line(name, 40))}${suggestion(name, names) || '.'}`,
      ['help lists them all.'],
    )
  }
  return reply(`${spec.usage}: ${spec.summary}.`, {
    lines: [
      spec.help,
      ...(spec.aliases.length > 0 ? [`Also: ${spec.aliases.join(', ')}.`] : []),
      ...(spec.danger === 'confirm' ? ['It asks back before it does anything.'] : []),
      ...(mine(spec) ? [] : ['You may not run it: it needs another role.']),
      `Usage: /claw ${spec.usage}`,
    ],
    data: dataOf(spec),
  })
}

function dataOf(spec: CommandSpec) {
  return { name: spec.name, usage: spec.usage, summary: spec.summary, aliases: [...spec.aliases], danger: spec.danger }
}
