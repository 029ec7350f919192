import { existsSync } from 'node:fs'
import { auditProblem, GENESIS } from '../core/audit.ts'
import { ClawError, messageOf } from '../core/errors.ts'
import type { Reads } from '../core/store.ts'
import * as audit from './audit.ts'
import { migrate } from './migrations.ts'
import { openPostgres } from './postgres.ts'
import type { Driver, Sql } from './sql.ts'
import { openSqlite } from './sqlite.ts'

/** Where a store is. `shown` is its address without user, password and parameters, for people to read. */
export type Place = { shown: string } & (
  | { dialect: 'sqlite'; path: string }
  | { dialect: 'postgres'; url: string; path?: never }
)

/** One table as this version's migrations make it. */
export type Table = {
  name: string
  columns: { name: string; integer: boolean }[]
  /** its primary key */
  key: string[]
  /** `id` is given by the database */
  serial: boolean
}

export type Schema = { version: number; tables: Table[] }

/** `problem`: null when every row follows the one before it and none is missing, at the end neither. */
export type AuditState = { count: number; hash: string; problem: string | null }

export type Counts = { table: string; rows: number }[]

export type StoreReport = {
  /** the database program and its version */
  program: string
  /** schema version; 0 when there is no store of Claw in it */
  version: number
  /** schema version of this Claw */
  known: number
  counts: Counts
  /** null where the schema is too old to have one */
  audit: AuditState | null
  /** SQLite's own words when the file is damaged; null otherwise */
  damage: string | null
  /** what is wrong, one sentence each; empty when the store can be used */
  problems: string[]
}

/** Rows of the audit trail checked at once. */
const PAGE = 1000
/** How long a command waits for a lock in the SQLite file, ms: nothing else runs in its process. */
const PATIENCE = 5000

/** @throws ClawError('invalid') for another scheme, or for a store that is only in memory */
export function placeOf(url: string): Place {
  if (url.startsWith('sqlite:')) {
    const path = url.slice('sqlite:'.length).replace(/^\/\/(?=\/)/, '')
    if (path !== '' && path !== ':memory:') return { dialect: 'sqlite', path, shown: `sqlite:${path}` }
  }
  if (/^postgres(ql)?:\/\//.test(url)) return { dialect: 'postgres', url, shown: withoutSecrets(url) }
  throw new ClawError('invalid', 'A store is sqlite:<file> or postgres://user:pass@host:5432/database.')
}

/** Host and database. What may hold a piece of a password that was not encoded is not shown at all. */
function withoutSecrets(url: string): string {
  const parsed = URL.parse(url)
  if (!parsed || `${parsed.pathname}${parsed.search}${parsed.hash}`.includes('@')) return 'postgres://...'
  return `postgres://${parsed.host}${parsed.pathname}`
}

/** SQLite would make a new, empty file of a mistyped name. @throws ClawError('not_found') when there is no such file */
export function mustExist(place: Place): void {
  if (place.dialect === 'sqlite' && !existsSync(place.path)) {
    throw new ClawError('not_found', `There is no file ${place.path}.`)
  }
}

/**
 * Opens a place. As `claw-store`, so that a Claw at work can be told from this; counting may take its time.
 * @throws ClawError('unavailable') when it cannot be opened or reached
 */
export async function openPlace(place: Place, readOnly: boolean): Promise<Driver> {
  if (place.dialect === 'postgres') {
    const more = `${place.url.includes('?') ? '&' : '?'}application_name=claw-store&statement_timeout=0`
    return openPostgres(`${place.url}${more}`).catch((error: Error) => {
      throw new ClawError('unavailable', `${place.shown} cannot be reached: ${messageOf(error.cause)}.`, {
        cause: error,
      })
    })
  }
  const driver = openSqlite(place.path, readOnly)
  await driver.script(`PRAGMA busy_timeout = ${PATIENCE}`)
  return driver
}

/** What the migrations of this version make, read off an empty database. */
export async function schemaOf(): Promise<Schema> {
  const driver = openSqlite(':memory:')
  try {
    await migrate(driver)
    const tables: Table[] = []
    for (const { name, sql } of await driver.all(
      `SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY name`,
    )) {
      if (name === 'schema_version') continue
      const columns = await driver.all(`SELECT name, type, pk FROM pragma_table_info('${name}') ORDER BY cid`)
      tables.push({
        name: name as string,
        columns: columns.map((column) => ({ name: column.name as string, integer: column.type !== 'TEXT' })),
        key: columns
          .filter(({ pk }) => Number(pk) > 0)
          .sort((a, b) => Number(a.pk) - Number(b.pk))
          .map((column) => column.name as string),
        serial: /AUTOINCREMENT/.test(sql as string),
      })
    }
    return { version: await versionOf(driver), tables }
  } finally {
    await driver.close()
  }
}

/** Names of all tables in the database, ours or not. */
export async function tablesOf(driver: Driver): Promise<Set<string>> {
  const rows = await driver.all(
    driver.dialect === 'sqlite'
      ? `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'`
      : 'SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema()',
  )
  return new Set(rows.map(({ name }) => name as string))
}

/** Schema version; 0 where there is none. */
export async function versionOf(driver: Driver): Promise<number> {
  if (!(await tablesOf(driver)).has('schema_version')) return 0
  const [row] = await driver.all('SELECT max(version) AS version FROM schema_version')
  return Number(row?.version ?? 0)
}

export async function countRows(sql: Sql, names: readonly string[]): Promise<Counts> {
  const counts: Counts = []
  for (const table of names) {
    const [row] = await sql.all(`SELECT count(*) AS count FROM ${table}`)
    counts.push({ table, rows: Number(row?.count ?? 0) })
  }
  return counts
}

/** The audit trail over one connection. */
export const auditOf = (sql: Sql): Pick<Reads, 'auditRows' | 'auditHead'> => ({
  auditRows: (after, limit) => audit.auditRows(sql, after, limit),
  auditHead: () => audit.auditHead(sql),
})

/** Checks the whole chain, a page at a time; also beside a Claw that adds to it meanwhile. */
export async function auditState(reads: Pick<Reads, 'auditRows' | 'auditHead'>): Promise<AuditState> {
  // Read first: rows that a running Claw adds meanwhile are not missing.
  const head = await reads.auditHead()
  let count = 0
  let after = 0
  let hash = GENESIS
  let atHead = GENESIS
  for (;;) {
    const rows = await reads.auditRows(after, PAGE)
    const last = Number(rows.at(-1)?.id)
    const found = auditProblem(rows, hash, count)
    if (found) return { count, hash, problem: `row ${found.id} ${found.problem}` }
    for (const row of rows) {
      count += 1
      hash = row.hash
      if (count === head.count) atHead = hash
    }
    // A row whose id was made smaller must not send the reader round in circles.
    if (!(last > after)) break
    after = last
  }
  if (count < head.count) return { count, hash, problem: `${head.count - count} rows are missing at the end` }
  if (atHead !== head.hash) return { count, hash, problem: `row ${head.count} is not the one that was written` }
  return { count, hash, problem: null }
}

/**
 * Looks a store over without changing it, also beside the Claw that runs on it: SQLite's own check of the whole file, schema
 * version, rows, audit trail.
 * @throws ClawError('unavailable') when it cannot be opened or reached
 */
export async function checkStore(place: Place): Promise<StoreReport> {
  mustExist(place)
  const { version: known, tables } = await schemaOf()
  const driver = await openPlace(place, true)
  const report: StoreReport = { program: '', version: 0, known, counts: [], audit: null, damage: null, problems: [] }
  try {
    report.program = await programOf(driver)
    if (driver.dialect === 'sqlite') {
      const [first] = await driver.all('PRAGMA integrity_check(1)')
      if (first?.integrity_check !== 'ok') report.damage = String(first?.integrity_check)
    }
    report.version = await versionOf(driver)
    const there = await tablesOf(driver)
    report.counts = await countRows(
      driver,
      tables.map(({ name }) => name).filter((name) => there.has(name)),
    )
    if (there.has('audit')) report.audit = await auditState(auditOf(driver))
  } catch (error) {
    const why = messageOf(error)
    if (!/malformed|not a database|corrupt/i.test(why)) {
      throw new ClawError('unavailable', `${place.shown} cannot be read: ${why}.`, { cause: error })
    }
    report.damage ??= why
  } finally {
    await driver.close()
  }
  report.problems = problemsOf(report)
  return report
}

function problemsOf({ damage, version, known, audit: trail }: StoreReport): string[] {
  const problems: string[] = []
  if (damage !== null) {
    const why = damage.replace(/\s+/g, ' ')
    problems.push(`It is damaged (${why}). Stop Claw, keep the file, restore the last backup.`)
  } else if (version === 0) problems.push('There is no store of Claw in it.')
  if (version > known) {
    problems.push(
      `It has schema version ${version}, this Claw knows ${known}. Start the newer Claw again, or restore a backup.`,
    )
  }
  if (trail?.problem) problems.push(`The audit trail was tampered with: ${trail.problem}.`)
  return problems
}

async function programOf(driver: Driver): Promise<string> {
  if (driver.dialect === 'sqlite') {
    return `SQLite ${(await driver.all('SELECT sqlite_version() AS version'))[0]?.version}`
  }
  return `PostgreSQL ${(await driver.all('SHOW server_version'))[0]?.server_version}`
}
