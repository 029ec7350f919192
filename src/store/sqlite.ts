import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { ClawError, messageOf } from '../core/errors.ts'
import type { Driver, Row, Sql, Value } from './sql.ts'

const MAX_STATEMENTS = 400

/**
 * SQLite through `node:sqlite`: WAL, synchronous FULL (a commit is on disk when it returns). One connection; transactions
 * run one after the other. A lock held in a file beside the database keeps a second process out: two would send twice.
 *
 * @param path file name, or ':memory:'
 * @param readOnly looks on beside the process that owns the file; a statement that writes throws
 * @throws ClawError('unavailable') when the file cannot be opened, is corrupt, or is in use by another Claw
 */
export function openSqlite(path: string, readOnly = false): Driver {
  let db: DatabaseSync
  let lock: DatabaseSync | null = null
  try {
    if (path !== ':memory:' && !readOnly) {
      mkdirSync(dirname(path), { recursive: true })
      lock = takeLock(`${path}.lock`)
    }
    // `timeout` would block the event loop; nobody else writes, so there is nothing to wait for.
    // Incidents, requests and the audit trail are for whoever runs Claw; its other files get the same rights.
    if (!readOnly && path !== ':memory:') closeSync(openSync(path, 'a', 0o600))
    db = new DatabaseSync(path, { timeout: 0, readOnly })
    if (!readOnly) prepareFile(db)
  } catch (error) {
    lock?.close()
    if (error instanceof ClawError) throw error
    throw new ClawError('unavailable', openProblem(path, error), { cause: error })
  }
  const statements = new Map<string, { statement: StatementSync; reads: boolean }>()
  function prepare(text: string) {
    let known = statements.get(text)
    if (!known) {
      const statement = db.prepare(text)
      known = { statement, reads: statement.columns().length > 0 }
      if (statements.size >= MAX_STATEMENTS) statements.clear()
      statements.set(text, known)
    }
    return known
  }
  const all = (text: string, values: readonly Value[] = []) =>
    prepare(text).statement.all(...(values as Value[])) as Row[]
  function run(text: string, values: readonly Value[] = []): number {
    const { statement, reads } = prepare(text)
    if (reads) return statement.all(...(values as Value[])).length
    return Number(statement.run(...(values as Value[])).changes)
  }
  /** Why the transaction under way cannot be committed any more. */
  let spoilt: { error: unknown } | null = null
  /**
   * When SQLite has rolled back by itself (a full disk), what follows would be committed on its own. So after a failure
   * nothing more runs in that transaction, which is how PostgreSQL has it.
   */
  async function inside<T>(work: () => T): Promise<T> {
    if (spoilt) throw spoilt.error
    try {
      return work()
    } catch (error) {
      spoilt = { error }
      throw error
    }
  }
  const sql: Sql = {
    all: (text, values) => inside(() => all(text, values)),
    run: (text, values) => inside(() => run(text, values)),
  }
  let last: Promise<unknown> = Promise.resolve()
  let waiting = 0
  function alone<T>(work: () => Promise<T> | T): Promise<T> {
    waiting += 1
    const mine = last.then(work).finally(() => {
      waiting -= 1
    })
    last = mine.catch(() => {})
    return mine
  }
  return {
    dialect: 'sqlite',
    exclusive: true,
    // What comes from outside may only run between two transactions; when none is there, at once.
    all: async (text, values) => (waiting === 0 ? all(text, values) : alone(() => all(text, values))),
    run: async (text, values) => (waiting === 0 ? run(text, values) : alone(() => run(text, values))),
    transaction: (work) =>
      alone(async () => {
        prepare('BEGIN IMMEDIATE').statement.run()
        spoilt = null
        try {
          const result = await work(sql)
          if (spoilt) throw (spoilt as { error: unknown }).error
          prepare('COMMIT').statement.run()
          return result
        } catch (error) {
          // A full disk makes SQLite roll back by itself; then there is nothing left to undo.
          if (db.isTransaction) prepare('ROLLBACK').statement.run()
          throw error
        }
      }),
    async script(text) {
      db.exec(text)
    },
    async close() {
      await last
      statements.clear()
      db.close()
      lock?.close()
    },
  }
}

function prepareFile(db: DatabaseSync): void {
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF')
  // The default of 1000 pages checkpoints too often for a storm (protocols.md, section 6).
  db.exec('PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -16000; PRAGMA temp_store = MEMORY')
  const check = db.prepare('PRAGMA quick_check(1)').get()
  if (check && Object.values(check)[0] !== 'ok') throw new Error(`malformed: ${Object.values(check)[0]}`)
}

/** The operating system drops the lock with the process, `kill -9` included. */
function takeLock(path: string): DatabaseSync {
  const lock = new DatabaseSync(path, { timeout: 0 })
  try {
    lock.exec('PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE')
    return lock
  } catch (error) {
    lock.close()
    if (/locked|busy/i.test(messageOf(error))) {
      throw new ClawError(
        'unavailable',
        `${path.replace(/\.lock$/, '')} is in use by another Claw. Stop that one, or give several replicas one PostgreSQL (store: postgres://…).`,
      )
    }
    throw error
  }
}

function openProblem(path: string, error: unknown): string {
  const text = messageOf(error).replace(/\s+/g, ' ')
  if (/malformed|not a database|corrupt|row \d+ missing|out of order|never used/i.test(text)) {
    return `${path} is damaged (${text}). Stop Claw, keep the file, restore the last backup, or move it away to start empty.`
  }
  if (/unable to open|EACCES|EROFS|readonly|permission/i.test(text)) {
    return `${path} cannot be opened (${text}). Check that its folder exists and that this user may write there.`
  }
  return `${path} cannot be used: ${text}.`
}
