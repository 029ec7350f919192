import { z } from 'zod'
import { reply } from '../../src/core/command.ts'
import { defineCommand, numberArg, ROWS } from './define.ts'
import { count, line, timeOf } from './text.ts'

const CHECK = 'claw audit verify checks that nothing was changed; claw audit export prints all of it.'

export const audit = defineCommand({
  name: 'audit',
  aliases: [],
  usage: 'audit [ID]',
  summary: 'who did what, allowed or not, newest first',
  help: 'Every attempt is in the audit trail, the refused ones too; each row is chained to the one before it. With an ID: only what was about that incident.',
  parameters: [{ name: 'id', optional: true, incident: true }],
  args: z.strictObject({ id: numberArg().optional() }),
  danger: 'none',
  async run(tx, { id }, _facts, { now }) {
    const target = id === undefined ? null : `incident ${id}`
    const found = await tx.newestAudit(target, ROWS + 1)
    const rows = found.slice(0, ROWS)
    const where = target === null ? '' : ` about ${target}`
    const total = target === null ? (await tx.auditHead()).count : null
    if (rows.length === 0) {
      return reply(`Nothing is in the audit trail${where}.`, {
        lines: [CHECK],
        incident: id ?? null,
        data: { rows: [] },
      })
    }
    const more =
      found.length <= ROWS ? [] : [total === null ? 'And more before that.' : `And ${total - ROWS} more before that.`]
    return reply(`The newest ${count(rows.length, 'entry', 'entries')} of the audit trail${where}.`, {
      lines: [...more, CHECK],
      table: {
        head: ['Time', 'Who', 'Via', 'What', 'About', 'Outcome', 'Words'],
        rows: rows.map((row) => [
          timeOf(Date.parse(row.at), now),
          line(row.actor, 40),
          line(row.via, 12),
          line(row.action, 20),
          line(row.target, 24),
          line(row.outcome, 12),
          line(row.detail, 100),
        ]),
      },
      data: { rows: rows.map((row) => ({ ...row })) },
      incident: id ?? null,
    })
  },
})
