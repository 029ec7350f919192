import { z } from 'zod'
import { reply } from '../../src/core/command.ts'
import { ClawError } from '../../src/core/errors.ts'
import { defineCommand, numberArg } from './define.ts'
import { line } from './text.ts'

/** A chat shows so much of it; the API has all. */
const LINES = 80

export const postmortem = defineCommand({
  name: 'postmortem',
  aliases: ['post-mortem', 'pm'],
  usage: 'postmortem ID',
  summary: 'the draft of the post-mortem',
  help: 'Timeline, impact, alerts, who was told, and the questions to answer, as Markdown. While the incident is open it is a draft so far.',
  parameters: [{ name: 'id', incident: true }],
  args: z.strictObject({ id: numberArg() }),
  danger: 'none',
  prepare: ({ id }, services) => services.postmortem(id),
  async run(_tx, { id }, markdown) {
    if (markdown === null) throw new ClawError('not_found', `There is no incident ${id}. incidents lists them.`)
    const all = markdown.trimEnd().split('\n')
    const hidden = all.length - LINES
    const where = `GET /api/v1/incidents/${id}/postmortem`
    return reply(`Post-mortem of incident ${id}, a draft.`, {
      lines: [
        ...all.slice(0, LINES).map((text) => line(text, 500)),
        hidden > 0 ? `… ${hidden} more lines: ${where} has all of it.` : `The same as Markdown: ${where}.`,
      ],
      data: { incident: String(id), markdown },
      incident: id,
    })
  },
})
