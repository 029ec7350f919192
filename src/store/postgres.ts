import postgres from 'postgres'
import { ClawError, messageOf } from '../core/errors.ts'
import type { Driver, Row, Sql, Value } from './sql.ts'

/** Advisory lock that serialises Claw's transactions over all replicas; the number is arbitrary but fixed. */
const WRITER_LOCK = 0x636c6177

const texts = new Map<string, string>()

/** `?` to `$1`, `$2` …; none of our statements has a question mark of another meaning. */
function numbered(text: string): string {
  let known = texts.get(text)
  if (known === undefined) {
    let n = 0
    known = text.replace(/\?/g, () => `$${++n}`)
    if (texts.size > 1000) texts.clear()
    texts.set(text, known)
  }
  return known
}

/**
 * PostgreSQL through `postgres`. Every transaction takes one advisory lock first: decisions about incidents are then as
 * serial over all replicas as they are on SQLite, and commits carry many webhooks, so the lock is not the bottleneck.
 *
 * @param url postgres://user:pass@host:5432/database
 * @throws ClawError('unavailable') when it cannot be reached
 */
export async function openPostgres(url: string): Promise<Driver> {
  const options = {
    max: 4,
    connect_timeout: 5,
    idle_timeout: 0,
    max_lifetime: null,
    onnotice: () => {},
    connection: {
      application_name: 'claw',
      // A plan made while a table was empty would scan it for ever: prepared statements keep their plans.
      enable_seqscan: 'off',
      statement_timeout: 20_000,
      lock_timeout: 10_000,
    },
    types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
  }
  let client: ReturnType<typeof postgres>
  try {
    client = postgres(url, options) as unknown as ReturnType<typeof postgres>
    await client.unsafe('SELECT 1')
  } catch (error) {
    throw new ClawError(
      'unavailable',
      `PostgreSQL cannot be reached: ${messageOf(error)}. Check store: in the configuration.`,
      {
        cause: error,
      },
    )
  }
  function over(run: (text: string, values: Value[]) => PromiseLike<Row[] & { count: number | null }>): Sql {
    return {
      all: async (text, values = []) => [...(await run(numbered(text), values as Value[]))],
      run: async (text, values = []) => (await run(numbered(text), values as Value[])).count ?? 0,
    }
  }
  const pool = over((text, values) => client.unsafe(text, values, { prepare: true }))
  let last: Promise<unknown> = Promise.resolve()
  return {
    dialect: 'postgres',
    exclusive: false,
    ...pool,
    transaction(work) {
      const mine = last.then(() =>
        client.begin((tx) => {
          // Sent first (a query of `postgres` is sent by its `then`), but not waited for: the server runs what follows on
          // this connection only when it has the lock.
          const lock = tx.unsafe(`SELECT pg_advisory_xact_lock(${WRITER_LOCK})`, [], { prepare: true }).then(() => {})
          const sql = over((text, values) => tx.unsafe(text, values, { prepare: true }))
          return Promise.all([lock, work(sql)]).then(([, result]) => result)
        }),
      )
      last = mine.catch(() => {})
      return mine as Promise<Awaited<ReturnType<typeof work>>>
    },
    async script(text) {
      await client.unsafe(text)
    },
    async close() {
      await last
      await client.end({ timeout: 5 })
    },
  }
}
