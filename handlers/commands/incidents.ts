import { z } from 'zod'
import { reply } from '../../src/core/command.ts'
import { defineCommand, ROWS } from './define.ts'
import { incidentData, ringing, titleOf, unresolved } from './present.ts'
import { count, line, span, timeOf } from './text.ts'

export const incidents = defineCommand({
  name: 'incidents',
  aliases: ['list', 'ls'],
  usage: 'incidents',
  summary: 'open incidents, the most urgent first',
  help: 'All incidents that are not resolved, by level, then what nobody has acknowledged, then the newest.',
  parameters: [],
  args: z.strictObject({}),
  danger: 'none',
  async run(tx, _args, _facts, { now, policy }) {
    const { incidents: all, total } = await unresolved(tx)
    const shown = all.slice(0, ROWS)
    const [worst] = shown
    if (!worst) return reply('No incident is open.', { lines: ['Nothing to do.'], data: { open: 0, incidents: [] } })
    const loud = all.filter(ringing)
    const lines: string[] = []
    if (total > shown.length) lines.push(`And ${total - shown.length} more, less urgent ones.`)
    lines.push(loud[0] ? `Next: ack ${loud[0].id}.` : `Next: show ${worst.id} tells all of it.`)
    return reply(`${count(total, 'incident')} open, worst ${worst.level}: ${titleOf(worst, policy)}.`, {
      lines,
      table: {
        head: ['ID', 'Level', 'State', 'What', 'Since', 'Who'],
        rows: shown.map((one) => [
          String(one.id),
          one.level,
          one.state === 'acknowledged' && ringing(one) ? 'worse' : one.state,
          line(titleOf(one, policy), 60),
          `${timeOf(one.openedAt, now)} (${span(now - one.openedAt)})`,
          line(one.acknowledgedBy ?? 'nobody', 30),
        ]),
      },
      buttons: loud
        .slice(0, 5)
        .map((one) => ({ label: `Ack ${one.id}`, command: `ack ${one.id}`, style: 'primary' as const })),
      data: { open: total, incidents: shown.map((one) => incidentData(one, policy)) },
    })
  },
})
