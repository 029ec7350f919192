import { isUtf8 } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { ApiRoute } from '../../src/core/api.ts'
import type { CommandRequest, Reply } from '../../src/core/command.ts'
import { ClawError, HTTP_STATUS } from '../../src/core/errors.ts'
import { json } from './route.ts'

const bodySchema = z.strictObject({
  text: z.string().min(1).max(4000),
  /** may only name the token's own person; the terminal sends it to be sure */
  as: z.string().max(200).optional(),
  confirm: z.boolean().optional(),
  override: z.string().min(1).max(500).optional(),
  /** told apart in the audit trail */
  via: z.enum(['http', 'terminal']).optional(),
})

/** `POST /api/v1/commands`: runs a chat command as the token's person; the answer's `code` decides the status. */
export function commandRoutes(deps: { run: (request: CommandRequest) => Promise<Reply> }): ApiRoute[] {
  return [
    {
      method: 'POST',
      path: '/commands',
      async handle({ person, body, idempotencyKey, traceparent }) {
        const asked = read(body)
        if (asked.as !== undefined && asked.as !== person) {
          throw new ClawError('forbidden', `This token speaks for ${person}, not for ${JSON.stringify(asked.as)}.`)
        }
        const answer = await deps.run({
          id: `http:${person}:${idempotencyKey ?? randomUUID()}`,
          via: asked.via ?? 'http',
          person: null,
          user: person,
          text: asked.text,
          incident: null,
          confirmed: asked.confirm === true,
          override: asked.override ?? null,
          replyTo: null,
          ...(traceparent === undefined ? {} : { trace: traceparent }),
        })
        const { ok, code, summary, lines, table, data, incident } = answer
        const shown = { ok, code, summary, lines, table, data, incident: incident === null ? null : String(incident) }
        return json(shown, code === null ? 200 : HTTP_STATUS[code])
      },
    },
  ]
}

function read(body: Buffer): z.output<typeof bodySchema> {
  let value: unknown
  try {
    if (!isUtf8(body)) throw new Error('not UTF-8')
    value = JSON.parse(body.toString('utf8'))
  } catch {
    throw new ClawError('invalid', 'Send JSON, such as {"text": "ack 12 looking"}.')
  }
  const parsed = bodySchema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw new ClawError('invalid', `${issue?.path.join('.') || 'body'}: ${issue?.message ?? 'wrong'}`)
}
