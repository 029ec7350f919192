import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type App, start } from '../app.ts'
import { parseConfig } from '../config/index.ts'
import { ClawError } from '../core/errors.ts'
import type { Flags } from '../main.ts'
import { createPages } from '../pages.ts'
import { sandboxConfig } from '../sandbox/config.ts'
import { sandboxFront } from '../sandbox/loopback.ts'
import { ON_CALL_USERS } from '../sandbox/page/cast.ts'
import type { Stack } from '../sandbox/real/stack.ts'
import { SCENARIOS } from '../sandbox/scenarios.ts'
import { createWorld } from '../sandbox/world.ts'
import { createLog } from './log.ts'
import { stopApp, untilSignal } from './serve.ts'

const DEFAULT_PORT = 8080

/** `claw sandbox`: the router wired to the simulated world. Needs no account and listens on loopback only. */
export async function sandbox(flags: Flags): Promise<number> {
  const port = readPort(flags.port)
  const temporary = flags.data === undefined ? await mkdtemp(join(tmpdir(), 'claw-sandbox-')) : null
  const folder = resolve(flags.data ?? temporary ?? '.')
  let app: App | undefined
  let url = ''
  const world = createWorld({ clock: Date.now, clawUrl: () => url, apiToken: 'sandbox' })
  const ended = untilSignal()
  const log = createLog(process.env.CLAW_LOG ?? 'warn', () => [], process.stderr)
  try {
    // The world answers under Claw's own address, which is known only once it listens: take the port first.
    const free = port === 0 ? await freePort() : port
    url = `http://127.0.0.1:${free}`
    const text = sandboxConfig({ url, port: free, data: folder })
    const parsed = parseConfig(text, { env: {}, readFile: () => '', path: 'sandbox' })
    app = await start(
      { ...parsed, path: null, text },
      {
        log,
        mount: { path: '/', router: sandboxFront('/sandbox', world.router) },
        pages: (parts, run) =>
          createPages(parts, run, {
            sandbox: {
              person: 'Dana',
              scenarios: SCENARIOS.map(({ name, title }) => ({ name, text: title })),
              page: '/sandbox/',
            },
            log,
          }),
      },
    )
    // The two people of the configuration, and nobody else.
    world.pagerduty.state.users = [...ON_CALL_USERS]
    world.pagerduty.state.onCall = ON_CALL_USERS.slice(0, 2).map((user) => user.id)
    // What is done on the phone comes back, as it would from PagerDuty.
    world.pagerduty.state.webhooks.target = { url: `${url}/webhooks/pagerduty`, secret: 'sandbox' }
    // The built-in alert source steps aside for a real Prometheus and Alertmanager.
    if (process.env.CLAW_SANDBOX_ALERTS === 'off' || flags.real === true) world.alerts.mute(true)
    world.run()
    const real = flags.real === true ? await startReal(url) : null
    process.stdout.write(welcome(url, folder, flags.data !== undefined, real))
    await ended
    await real?.stop()
    await world.stop()
    return await stopApp(app, log, parsed.config.shutdown_timeout)
  } finally {
    if (temporary !== null) await rm(temporary, { recursive: true, force: true })
  }
}

function readPort(text: string | undefined): number {
  const port = text === undefined ? DEFAULT_PORT : Number(text)
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new ClawError('invalid', `--port must be 0 to 65535, not ${text}.`)
  }
  return port
}

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net')
  return new Promise((resolvePort, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolvePort(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

/** A real Prometheus and an HA pair of Alertmanagers, for the path from metric to webhook. */
async function startReal(url: string): Promise<Stack> {
  const { missing } = await import('../sandbox/real/process.ts')
  const { PROGRAMS, startStack } = await import('../sandbox/real/stack.ts')
  const absent = missing(PROGRAMS)
  if (absent.length > 0) {
    throw new ClawError(
      'not_found',
      `--real needs ${absent.join(' and ')} on the PATH. On Debian: apt-get install prometheus prometheus-alertmanager.`,
    )
  }
  return startStack(url)
}

function welcome(url: string, folder: string, kept: boolean, real: Stack | null): string {
  return `
  Claw's sandbox is ready: ${url}
  (router, simulated edge, Slack, Telegram and PagerDuty in one process; nothing leaves this machine)

  Start    open ${url}/sandbox/ in a browser: scenarios, Slack, Telegram, the phone, a tour of two minutes
  Watch    ${url}                    Claw's console
  Break    curl -X POST ${url}/sandbox/scenarios/region-outage
           also: ${SCENARIOS.map(({ name }) => name)
             .filter((name) => name !== 'region-outage')
             .join(', ')}
  Look     curl -s ${url}/api/v1/incidents -H 'Authorization: Bearer sandbox'
           curl -s ${url}/sandbox/state     (what Slack, Telegram and PagerDuty got)
${real === null ? '' : `  Real     Prometheus ${real.prometheusUrl}, Alertmanagers ${real.alertmanagerUrls.join(' and ')}\n`}  Stop     Ctrl-C                           (data: ${kept ? folder : 'thrown away'})

`
}
