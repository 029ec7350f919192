import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { pino } from 'pino'
import { type App, type AppDeps, start } from '../../src/app.ts'
import { loadedOf } from './policy.ts'

/** The bearer token that `startApp` configures. */
export const TOKEN = 'token-of-the-test'

/** A folder that is gone after the test. */
export function temporaryFolder(t: Pick<TestContext, 'after'>): string {
  const folder = mkdtempSync(join(tmpdir(), 'claw-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export type TestApp = App & {
  /** log lines so far, as JSON text */
  logged: string[]
  /** posts a body to the receiver with the right credentials; headers given here replace the usual ones */
  post(body: string | Buffer, headers?: Record<string, string | null>): Promise<Response>
}

/** The whole program on a free loopback port with its own SQLite file and, unless given, no destinations. */
export async function startApp(
  t: Pick<TestContext, 'after'>,
  yaml = '',
  deps: Partial<AppDeps> = {},
): Promise<TestApp> {
  const folder = temporaryFolder(t)
  const logged: string[] = []
  const log = pino({ level: 'trace' }, { write: (line: string) => void logged.push(line) })
  const alertmanager = /^alertmanager:/m.test(yaml) ? '' : `alertmanager: { token: ${TOKEN} }\n`
  const text = `listen: 127.0.0.1:0\nstore: ${JSON.stringify(`sqlite:${folder}/claw.db`)}\n${alertmanager}${yaml}`
  const app = await start(loadedOf(text), { log, destinations: [], ...deps })
  t.after(() => app.stop())
  return {
    ...app,
    logged,
    post(body, headers = {}) {
      const all: Record<string, string | null> = {
        'content-type': 'application/json',
        authorization: `Bearer ${TOKEN}`,
        ...headers,
      }
      const given = Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== null)
      return fetch(`${app.url}/webhooks/alertmanager`, {
        method: 'POST',
        headers: given,
        body: new Uint8Array(Buffer.from(body)),
      })
    },
  }
}
