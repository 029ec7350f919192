import { z } from 'zod'
import { readListen } from '../config/index.ts'
import { SECOND } from '../core/clock.ts'
import { ClawError, messageOf } from '../core/errors.ts'
import type { Flags } from '../main.ts'
import { configOf } from './config.ts'

const answerSchema = z.object({
  ok: z.boolean(),
  summary: z.string(),
  lines: z.array(z.string()),
  table: z.object({ head: z.array(z.string()), rows: z.array(z.array(z.string())) }).nullable(),
  data: z.unknown(),
})
const problemSchema = z.object({ detail: z.string() })

/** `claw cmd "<chat command>" --as PERSON`: talks to the running server with the token in CLAW_API_TOKEN. */
export async function cmd(flags: Flags, rest: string[]): Promise<number> {
  const text = rest.join(' ')
  if (text === '') {
    process.stderr.write('claw cmd: say which command, such as "ack 12 looking".\n')
    return 2
  }
  const token = process.env.CLAW_API_TOKEN
  if (!token) throw new ClawError('unauthorized', 'Set CLAW_API_TOKEN to one of the tokens under api.tokens.')
  const { config } = await configOf(flags.config)
  const listen = readListen(config.listen)
  const host = listen === null || listen.host === '0.0.0.0' || listen.host === '::' ? '127.0.0.1' : listen.host
  const url = process.env.CLAW_URL ?? `http://${host.includes(':') ? `[${host}]` : host}:${listen?.port ?? 8080}`
  const asked = {
    text,
    via: 'terminal',
    ...(flags.as === undefined ? {} : { as: flags.as }),
    ...(flags.yes === true ? { confirm: true } : {}),
    ...(flags.override === undefined ? {} : { override: flags.override }),
  }
  const body = await post(`${url.replace(/\/+$/, '')}/api/v1/commands`, token, asked)
  const answer = answerSchema.safeParse(body)
  if (!answer.success) {
    const problem = problemSchema.safeParse(body)
    throw new ClawError('invalid', problem.success ? problem.data.detail : 'The server gave no answer that Claw knows.')
  }
  const { ok, summary, lines, table } = answer.data
  if (flags.json === true) process.stdout.write(`${JSON.stringify(body, null, 2)}\n`)
  else {
    const shown = [summary, ...lines, ...(table ? tableLines(table) : [])].map(printable).join('\n')
    ;(ok ? process.stdout : process.stderr).write(`${shown}\n`)
  }
  return ok ? 0 : 1
}

async function post(url: string, token: string, body: object): Promise<unknown> {
  try {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(30 * SECOND),
    })
    return await answer.json()
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
    throw new ClawError(
      'unavailable',
      `No answer from Claw at ${new URL(url).host}: ${messageOf(cause)}. Is it running?`,
    )
  }
}

function tableLines({ head, rows }: { head: string[]; rows: string[][] }): string[] {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)))
  return [head, ...rows].map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

/** Labels may hold control characters; a terminal must not obey them. */
function printable(line: string): string {
  return line.replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, '\ufffd')
}
