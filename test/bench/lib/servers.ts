import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import postgres from 'postgres'
import { freePort, missing } from '../../../src/sandbox/real/process.ts'
import { TOKEN } from './bodies.ts'
import { type Child, launch } from './child.ts'
import { SERVER_CORE } from './pin.ts'

export type Server = { port: number; child: Child; stop: (signal?: NodeJS.Signals) => Promise<void> }

const started = (port: number, child: Child): Server => ({ port, child, stop: (signal) => child.stop(signal) })

/** Bare Express 5. */
export async function startExpress(): Promise<Server> {
  const file = fileURLToPath(new URL('../reference-express.ts', import.meta.url))
  const child = launch(SERVER_CORE, process.execPath, [file])
  const [, port] = await child.says(/listening on (\d+)/)
  return started(Number(port), child)
}

export type ClawOptions = {
  /** `src/main.ts` of the tree that is measured */
  main: string
  /** for the configuration, and for `claw.db` unless `store` says otherwise */
  folder: string
  store?: string
  /** more of claw.yaml */
  config: { [key: string]: unknown }
  /** default: the servers' core */
  core?: number | null
}

/** `claw serve` in a process of its own. Resolves when it says that it is ready. */
export async function startClaw(options: ClawOptions): Promise<Server> {
  const { folder, config, main, store = `sqlite:${join(folder, 'claw.db')}` } = options
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `claw-${process.hrtime.bigint()}.yaml`)
  const whole = { listen: '127.0.0.1:0', store, alertmanager: { token: TOKEN }, ...config }
  // JSON is YAML
  writeFileSync(file, JSON.stringify(whole))
  const core = options.core === undefined ? SERVER_CORE : options.core
  const profile = process.env.CLAW_BENCH_PROFILE
  const flags = profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profile]
  const child = launch(core, process.execPath, [...flags, main, 'serve', '--config', file])
  const [, port] = await child.says(/"url":"http:\/\/127\.0\.0\.1:(\d+)"/)
  return started(Number(port), child)
}

/** A receiver that pages: PagerDuty at `url` for everything. Its pacing is PagerDuty's own (2 a second). */
export function pagingTo(url: string): { [key: string]: unknown } {
  return {
    pagerduty: { routing_key: 'R'.repeat(32), events_url: url },
    receivers: [
      { name: 'critical', pagerduty: {} },
      { name: 'default', pagerduty: {} },
    ],
    route: { receiver: 'default', routes: [{ matchers: ['level="P1"'], receiver: 'critical' }] },
  }
}

/** A receiver that posts everything to `url`, unpaced. */
export function postingTo(url: string): { [key: string]: unknown } {
  return { receivers: [{ name: 'sink', webhook: { url } }], route: { receiver: 'sink' } }
}

/** Alerts that are really there, asked of the database itself. */
export async function storedAlerts(store: string): Promise<number> {
  const text = 'SELECT count(*) AS n FROM alerts'
  if (store.startsWith('sqlite:')) {
    const db = new DatabaseSync(store.slice('sqlite:'.length), { readOnly: true, timeout: 5000 })
    const row = db.prepare(text).get()
    db.close()
    return Number(row?.n)
  }
  const sql = postgres(store, { max: 1, onnotice: () => {} })
  const [row] = await sql.unsafe(text)
  await sql.end()
  return Number(row?.n)
}

export const ALERTMANAGER = 'prometheus-alertmanager'
export const hasAlertmanager = missing([ALERTMANAGER]).length === 0

/** Debian's Alertmanager, alone, on the servers' core. With `sink` it notifies that, one group per service. */
export async function startAlertmanager(folder: string, sink?: string): Promise<Server> {
  mkdirSync(folder, { recursive: true })
  const file = join(folder, 'alertmanager.yml')
  const hooks = sink === undefined ? '' : `\n    webhook_configs: [{ url: '${sink}', send_resolved: false }]`
  writeFileSync(
    file,
    `route: { receiver: sink, group_by: [service], group_wait: ${sink === undefined ? '1h' : '1s'}, group_interval: 1h, repeat_interval: 24h }
receivers:
  - name: sink${hooks}
`,
  )
  const port = await freePort()
  const child = launch(SERVER_CORE, ALERTMANAGER, [
    `--config.file=${file}`,
    `--storage.path=${join(folder, 'data')}`,
    `--web.listen-address=127.0.0.1:${port}`,
    '--cluster.listen-address=',
    '--log.level=error',
  ])
  for (let attempt = 0; attempt < 200; attempt++) {
    const ready = await fetch(`http://127.0.0.1:${port}/-/ready`).then(
      (response) => response.ok,
      () => false,
    )
    if (ready) return started(port, child)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`Alertmanager does not start:\n${child.output()}`)
}
