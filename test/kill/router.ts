import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

export type Running = {
  /** resolves when it serves; rejects when it ends before */
  ready: Promise<void>
  /** resolves with its exit code, null when a signal ended it */
  ended: Promise<number | null>
  signal(name: 'SIGKILL' | 'SIGTERM'): void
  /** it was sent a signal: a second SIGTERM would end it at once */
  asked(): boolean
  /** what it logged at level error or above, and what it wrote to stderr */
  complaints(): string[]
}

/** Starts the real process, as an operator does. It never outlives this one. */
export function spawnClaw(config: string, cache: string): Running {
  const child: ChildProcess = spawn(process.execPath, [MAIN, 'serve', '--config', config], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH ?? '', NODE_COMPILE_CACHE: cache },
  })
  const kill = () => void child.kill('SIGKILL')
  process.once('exit', kill)
  const complaints: string[] = []
  const ended = new Promise<number | null>((resolve) => {
    child.once('error', () => resolve(null))
    child.once('close', (code) => {
      process.off('exit', kill)
      resolve(code)
    })
  })
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>()
  ready.catch(() => {})
  let rest = ''
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line.includes('"Claw is ready"')) resolve()
      if (/"level":[56]0/.test(line)) complaints.push(line)
    }
  })
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => complaints.push(chunk))
  void ended.then((code) => reject(new Error(`Claw ended with ${code} before it was ready: ${complaints.join('\n')}`)))
  let asked = false
  return {
    ready,
    ended,
    signal(name) {
      asked = true
      child.kill(name)
    },
    asked: () => asked,
    complaints: () => complaints,
  }
}

/** The configuration of the kill tests: one receiver per team, each with a page, a channel and a chat of its own. */
export function killConfig(at: { world: string; port: number; store: string; teams: number }): string {
  const { world, port, store, teams } = at
  const names = Array.from({ length: teams }, (_, n) => n)
  return `
installation: kill
listen: 127.0.0.1:${port}
store: ${JSON.stringify(store)}
log: { level: info }
alertmanager: { token: kill-test }
pagerduty: { routing_key: sandbox, events_url: ${world}/pagerduty }
slack: { bot_token: sandbox, api_url: ${world}/slack/api/ }
telegram: { bot_token: sandbox, api_root: ${world}/telegram }
receivers:
${names.map((n) => `  - { name: team${n}, pagerduty: {}, slack: { channel: C0TEAM${n} }, telegram: { chat: -${100 + n} } }`).join('\n')}
route:
  receiver: team0
  routes:
${names.map((n) => `    - { matchers: ['team="${n}"'], receiver: team${n} }`).join('\n')}
`
}
