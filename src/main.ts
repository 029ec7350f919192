#!/usr/bin/env node
import { parseArgs } from 'node:util'

const USAGE = `claw: alert router for rate limiters at the edge

  claw serve   [--config claw.yaml]                 run the router
  claw sandbox [--port 8080] [--data DIR] [--real]  the same router in a simulated world; nothing to set up
  claw check   [--config claw.yaml] [--online]      validate configuration and templates
  claw route   [--config claw.yaml] label=value...  which receivers an alert would reach, and why
  claw replay  [--config claw.yaml] [--json] FILE   what recorded webhooks would have sent; sends nothing
  claw cmd     "<chat command>" --as PERSON [--yes] run a chat command; CLAW_API_TOKEN says who you are
  claw audit   verify | export                      check / print the tamper-evident audit trail
  claw store   copy --to URL [--from URL] [--dry-run] | check | backup FILE
                                                    move, check or back up the database
  claw mcp                                          every chat command as an MCP tool on stdio; CLAW_API_TOKEN says who you are
  claw schema                                       JSON Schema of the configuration
  claw openapi                                      OpenAPI 3.1 of the HTTP API
  claw --version

Exit codes: 0 done, 1 the answer is no, 2 wrong usage.
`

const options = {
  config: { type: 'string', short: 'c' },
  port: { type: 'string' },
  data: { type: 'string' },
  real: { type: 'boolean' },
  online: { type: 'boolean' },
  json: { type: 'boolean' },
  as: { type: 'string' },
  yes: { type: 'boolean', short: 'y' },
  override: { type: 'string' },
  from: { type: 'string' },
  to: { type: 'string' },
  'dry-run': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
} as const

function wrongUsage(message: string): never {
  process.stderr.write(`claw: ${message}\n\n${USAGE}`)
  process.exit(2)
}

function readArguments() {
  try {
    return parseArgs({ options, allowPositionals: true, strict: true })
  } catch (error) {
    return wrongUsage((error as Error).message.split('. ')[0] ?? 'wrong usage')
  }
}

// `npm ci --ignore-scripts` leaves out the runtime that Claw brings along; an older one cannot run TypeScript.
if (Number(process.versions.node.split('.')[0]) < 24) {
  process.stderr.write(
    `claw: needs Node 24, this is ${process.version}. Start it with npx or npm run after a plain npm ci, which brings Node 24 along.\n`,
  )
  process.exit(1)
}

const { values, positionals } = readArguments()
const [command, ...rest] = positionals
// `claw openapi | head`: who reads has enough. A server whose log nobody takes any more has failed, though.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE' || command === 'serve') throw error
  process.exit()
})
const commands: Record<string, () => Promise<(values: Flags, rest: string[]) => Promise<number>>> = {
  serve: async () => (await import('./cli/serve.ts')).serve,
  sandbox: async () => (await import('./cli/sandbox.ts')).sandbox,
  check: async () => (await import('./cli/check.ts')).check,
  route: async () => (await import('./cli/route.ts')).route,
  replay: async () => (await import('./cli/replay.ts')).replay,
  cmd: async () => (await import('./cli/cmd.ts')).cmd,
  mcp: async () => (await import('./cli/mcp.ts')).mcp,
  audit: async () => (await import('./cli/audit.ts')).audit,
  store: async () => (await import('./cli/store.ts')).store,
  schema: async () => (await import('./cli/check.ts')).schema,
  openapi: async () => (await import('./cli/openapi.ts')).openapi,
}
export type Flags = ReturnType<typeof readArguments>['values']

if (values.version === true) {
  const { default: manifest } = await import('../package.json', { with: { type: 'json' } })
  process.stdout.write(`claw ${manifest.version}\n`)
} else if (values.help === true || command === 'help') {
  process.stdout.write(USAGE)
} else if (command === undefined || !Object.hasOwn(commands, command)) {
  wrongUsage(command === undefined ? 'say what to do' : `there is no command ${JSON.stringify(command)}`)
} else {
  try {
    const run = await commands[command]?.()
    process.exitCode = (await run?.(values, rest)) ?? 2
  } catch (error) {
    const { ClawError, messageOf } = await import('./core/errors.ts')
    process.stderr.write(`claw ${command}: ${messageOf(error)}\n`)
    if (!(error instanceof ClawError)) process.stderr.write(`${(error as Error).stack ?? ''}\n`)
    process.exitCode = 1
  }
}
