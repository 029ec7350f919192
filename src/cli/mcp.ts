import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { z } from 'zod'
import { commandSpecs } from '../../handlers/commands/index.ts'
import type { CommandSpec } from '../core/command.ts'
import { messageOf } from '../core/errors.ts'
import type { Flags } from '../main.ts'
import { answerLines, type RunningClaw, runningClaw } from './server.ts'

/** Longest text of one argument; the server has its own limits. */
const MAX_TEXT = 2000

/** What only a person does: to say yes to a dangerous command, and to sign in. */
const PEOPLE_ONLY = new Set(['approve', 'console'])

/**
 * `claw mcp`: the chat commands as tools of the Model Context Protocol on stdio, run on the Claw that is running, as whom
 * CLAW_API_TOKEN speaks for. A dangerous command is never confirmed from here: the tool answers with the question, and a
 * person approves it where people do.
 */
export async function mcp(flags: Flags): Promise<number> {
  const { default: manifest } = await import('../../package.json', { with: { type: 'json' } })
  const transport = new StdioServerTransport()
  const { promise: closed, resolve } = Promise.withResolvers<void>()
  const server = createMcp(await runningClaw(flags), manifest.version)
  server.server.onclose = () => resolve()
  process.stdin.once('end', () => void server.close())
  process.once('SIGTERM', () => void server.close())
  await server.connect(transport as Transport)
  await closed
  return 0
}

/** The tools over a Claw, before they are connected to anything. */
export function createMcp(claw: RunningClaw, version: string): McpServer {
  const server = new McpServer(
    { name: 'claw', version },
    {
      instructions:
        'Incidents of rate limiters at the edge: look with status, incidents and show. Commands that change something may ask a person to approve; tell the user so.',
    },
  )
  for (const spec of commandSpecs.filter(({ name }) => !PEOPLE_ONLY.has(name))) {
    server.registerTool(
      `claw_${spec.name}`,
      {
        description: `${spec.summary} ${spec.help}`.trim(),
        inputSchema: shapeOf(spec),
        annotations: { destructiveHint: spec.danger !== 'none', openWorldHint: false },
      },
      async (given: Record<string, unknown>) => {
        try {
          const answer = await claw.say(lineOf(spec, given))
          return { isError: !answer.ok, content: [{ type: 'text' as const, text: answerLines(answer).join('\n') }] }
        } catch (error) {
          return { isError: true, content: [{ type: 'text' as const, text: messageOf(error) }] }
        }
      },
    )
  }
  return server
}

function shapeOf({ parameters, usage }: CommandSpec): Record<string, z.ZodType> {
  return Object.fromEntries(
    parameters.map(({ name, optional }) => {
      const text = z.string().max(MAX_TEXT).describe(`As in: ${usage}`)
      return [name, optional ? text.optional() : text]
    }),
  )
}

/** The command as it would be typed: arguments in their order, each as one word unless it takes the rest. */
export function lineOf({ name, parameters }: CommandSpec, given: Record<string, unknown>): string {
  const said: string[] = [name]
  for (const { name: parameter, rest } of parameters) {
    const value = given[parameter]
    if (typeof value !== 'string' || value === '') continue
    said.push(rest ? value : JSON.stringify(value))
  }
  return said.join(' ')
}
