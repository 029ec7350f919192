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

/** What a command answered: as its fields, and as the server's own JSON. */
export type Answer = z.output<typeof answerSchema> & { json: unknown }

/** Runs chat commands on the Claw that is running. */
export type RunningClaw = {
  /** @throws ClawError('unavailable') when it does not answer, ClawError('invalid') when it refuses the request as such */
  say(text: string, more?: { as?: string; confirm?: boolean; override?: string }): Promise<Answer>
}

/**
 * The server that the configuration describes, or that CLAW_URL names, in the name of whom CLAW_API_TOKEN speaks for.
 * @throws ClawError('unauthorized') without a token
 */
export async function runningClaw(flags: Flags): Promise<RunningClaw> {
  const token = process.env.CLAW_API_TOKEN
  if (!token) throw new ClawError('unauthorized', 'Set CLAW_API_TOKEN to one of the tokens under api.tokens.')
  const url = (process.env.CLAW_URL ?? (await addressOf(flags))).replace(/\/+$/, '')
  return {
    async say(text, more = {}) {
      const json = await post(`${url}/api/v1/commands`, token, { text, via: 'terminal', ...more })
      const answer = answerSchema.safeParse(json)
      if (answer.success) return { ...answer.data, json }
      const problem = problemSchema.safeParse(json)
      throw new ClawError(
        'invalid',
        problem.success ? problem.data.detail : 'The server gave no answer that Claw knows.',
      )
    },
  }
}

async function addressOf(flags: Flags): Promise<string> {
  const { config } = await configOf(flags.config)
  const listen = readListen(config.listen)
  const host = listen === null || listen.host === '0.0.0.0' || listen.host === '::' ? '127.0.0.1' : listen.host
  return `http://${host.includes(':') ? `[${host}]` : host}:${listen?.port ?? 8080}`
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

/** An answer as lines for a terminal. */
export function answerLines({ summary, lines, table }: Pick<Answer, 'summary' | 'lines' | 'table'>): string[] {
  return [summary, ...lines, ...(table ? tableLines(table) : [])].map(printable)
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
