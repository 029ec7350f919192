import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { ClawError, messageOf } from '../core/errors.ts'
import {
  type AuditState,
  auditOf,
  auditState,
  type Counts,
  checkStore,
  countRows,
  mustExist,
  openPlace,
  type Place,
  placeOf,
  type Schema,
  type StoreReport,
  schemaOf,
  type Table,
  tablesOf,
  versionOf,
} from './inspect.ts'
import { migrate } from './migrations.ts'
import { chunks, type Driver, type Row, type Sql, tuples, type Value } from './sql.ts'

/** Rows read and written at once: what is held in memory. */
const BATCH = 128

/** How often, 0.2 s apart, it is looked whether a Claw is connected to PostgreSQL. */
const LOOKS = 6

export type CopyReport = {
  version: number
  counts: Counts
  /** of the copy; a problem was in the source before */
  audit: AuditState | null
}

/**
 * Copies a whole store into an empty one, on the same kind of database or the other. One transaction on each side: a copy
 * that fails leaves the target empty.
 *
 * @param options.dryRun only counts, also beside a Claw that runs on the source; creates and changes nothing
 * @param options.now ms since the epoch, to tell leases that still run
 * @throws ClawError('not_found') without a source, ClawError('conflict') when one of them is in use, the target is not empty, or
 * the source has another schema version; ClawError('unavailable') when a database fails
 */
export async function copyStore(
  from: Place,
  to: Place,
  options: { dryRun: boolean; now: number },
): Promise<CopyReport> {
  if (sameKey(from) === sameKey(to)) throw new ClawError('invalid', 'Source and target are the same store.')
  mustExist(from)
  const schema = await schemaOf()
  const source = await openPlace(from, options.dryRun)
  try {
    await knownVersion(source, from, schema.version)
    return await (options.dryRun ? wouldCopy(source, to, schema) : copyInto(source, from, to, schema, options.now))
  } catch (error) {
    if (error instanceof ClawError) throw error
    throw new ClawError('unavailable', `The copy failed: ${messageOf(error)}. Nothing was copied.`, { cause: error })
  } finally {
    await source.close()
  }
}

async function wouldCopy(source: Driver, to: Place, { version, tables }: Schema): Promise<CopyReport> {
  // A file that is not there yet has nothing in it, and must not be made.
  if (to.dialect === 'postgres' || existsSync(to.path)) {
    const target = await openPlace(to, true)
    await mustBeEmpty(target, to, tables).finally(() => target.close())
  }
  return { version, counts: await countRows(source, names(tables)), audit: null }
}

async function copyInto(
  source: Driver,
  from: Place,
  to: Place,
  { version, tables }: Schema,
  now: number,
): Promise<CopyReport> {
  const target = await openPlace(to, false)
  try {
    await mustBeEmpty(target, to, tables)
    await migrate(target)
    return await source.transaction(async (reading) => {
      await notInUse(source, reading, from, now)
      return target.transaction(async (writing) => {
        await notInUse(target, writing, to, now)
        const counts = await copyTables(source, reading, target, writing, tables)
        return { version, counts, audit: await sameAudit(reading, writing) }
      })
    })
  } finally {
    await target.close()
  }
}

const names = (tables: readonly Table[]): string[] => tables.map(({ name }) => name)

function sameKey(place: Place): string {
  if (place.dialect === 'sqlite') return resolve(place.path)
  return place.shown.endsWith('...') ? place.url : place.shown
}

async function knownVersion(source: Driver, place: Place, known: number): Promise<void> {
  const version = await versionOf(source)
  if (version === 0) throw new ClawError('not_found', `There is no store of Claw in ${place.shown}.`)
  if (version === known) return
  const advice =
    version > known
      ? 'Copy it with the newer Claw.'
      : 'Start this Claw on it once, which brings it up to date (back it up first), or copy it with the older Claw.'
  throw new ClawError('conflict', `${place.shown} has schema version ${version}, this Claw knows ${known}. ${advice}`)
}

async function mustBeEmpty(target: Driver, place: Place, tables: readonly Table[]): Promise<void> {
  const there = await tablesOf(target)
  const ours = names(tables).filter((name) => there.has(name))
  const foreign = [...there].filter((name) => !ours.includes(name) && name !== 'schema_version').sort()
  const filled = (await countRows(target, ours)).filter(({ rows }) => rows > 0)
  const found = [
    ...filled.map(({ table, rows }) => `${rows} ${rows === 1 ? 'row' : 'rows'} in ${table}`),
    ...foreign.map((name) => `a table ${name} that is not Claw's`),
  ]
  if (found.length === 0) return
  const more = found.length > 5 ? ` and ${found.length - 5} more` : ''
  throw new ClawError(
    'conflict',
    `${place.shown} is not empty: ${found.slice(0, 5).join(', ')}${more}. Name a new ${place.dialect === 'sqlite' ? 'file' : 'database'}.`,
  )
}

/** On SQLite the lock beside the file has told already. @param sql holds the writers' lock, so that no Claw starts meanwhile */
async function notInUse(driver: Driver, sql: Sql, place: Place, now: number): Promise<void> {
  if (driver.dialect === 'sqlite') return
  for (let looks = 1; await hasSessions(sql); looks++) {
    // The sessions of a Claw that stopped this moment linger.
    if (looks < LOOKS) await sql.all('SELECT pg_sleep(0.2), pg_stat_clear_snapshot()')
    else throw new ClawError('conflict', `${place.shown} is in use by a Claw that runs. Stop every Claw on it first.`)
  }
  const [lease] = await sql.all(
    `SELECT max(until) AS until FROM (SELECT until FROM lanes UNION ALL
     SELECT lease_until FROM workflows WHERE state = 'running') AS leases`,
  )
  const left = Math.ceil((Number(lease?.until ?? 0) - now) / 1000)
  if (left > 0) {
    throw new ClawError(
      'conflict',
      `${place.shown} is in use: a Claw works on it, or was killed a moment ago. Stop every Claw on it; its leases end in ${left} s.`,
    )
  }
}

async function hasSessions(sql: Sql): Promise<boolean> {
  const rows = await sql.all(
    `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'claw' LIMIT 1`,
  )
  return rows.length > 0
}

async function copyTables(
  source: Driver,
  reading: Sql,
  target: Driver,
  writing: Sql,
  tables: readonly Table[],
): Promise<Counts> {
  const counts: Counts = []
  for (const table of tables) {
    try {
      counts.push({ table: table.name, rows: await copyTable(reading, writing, table) })
      if (table.serial) await setSerial(target, writing, table.name, await serialOf(source, reading, table.name))
    } catch (error) {
      throw new ClawError('unavailable', `Table ${table.name}: ${messageOf(error)}. Nothing was copied.`, {
        cause: error,
      })
    }
  }
  for (const { table, rows } of await countRows(writing, names(tables))) {
    const read = counts.find((one) => one.table === table)?.rows
    const [there] = await countRows(reading, [table])
    if (read === rows && there?.rows === rows) continue
    throw new ClawError(
      'unavailable',
      `Table ${table} has ${there?.rows} rows in the source and ${rows} in the copy. Nothing was copied.`,
    )
  }
  return counts
}

async function copyTable(reading: Sql, writing: Sql, { name, columns, key }: Table): Promise<number> {
  const list = columns.map((column) => column.name).join(', ')
  const order = key.join(', ')
  const casts = columns.map(({ integer }) => (integer ? 'bigint' : ''))
  let after: Row | undefined
  let copied = 0
  for (;;) {
    const from = after ? `WHERE (${order}) > (${key.map(() => '?').join(', ')})` : ''
    const rows: Row[] = await reading.all(`SELECT ${list} FROM ${name} ${from} ORDER BY ${order} LIMIT ${BATCH}`, [
      ...(after ? key.map((column) => after?.[column] as Value) : []),
    ])
    for (const chunk of chunks(rows, BATCH)) {
      await writing.run(
        `INSERT INTO ${name} (${list}) VALUES ${tuples(chunk.length, casts)}`,
        chunk.flatMap((row) => columns.map((column) => whole(row[column.name] as Value))),
      )
    }
    copied += rows.length
    if (rows.length < BATCH) return copied
    after = rows.at(-1)
  }
}

/** SQLite keeps a fraction in an integer column; PostgreSQL would refuse it. */
const whole = (value: Value): Value => (typeof value === 'number' ? Math.round(value) : value)

/** The last `id` that was given out, deleted rows included; 0 for none. */
async function serialOf(driver: Driver, sql: Sql, table: string): Promise<number> {
  const [row] = await sql.all(
    driver.dialect === 'sqlite'
      ? `SELECT seq AS last FROM sqlite_sequence WHERE name = '${table}'`
      : `SELECT pg_sequence_last_value(pg_get_serial_sequence('${table}', 'id')::regclass) AS last`,
  )
  return Number(row?.last ?? 0)
}

async function setSerial(driver: Driver, sql: Sql, table: string, last: number): Promise<void> {
  if (last === 0) return
  if (driver.dialect === 'postgres') {
    await sql.all(`SELECT setval(pg_get_serial_sequence('${table}', 'id'), cast(? AS bigint))`, [last])
    return
  }
  await sql.run(`DELETE FROM sqlite_sequence WHERE name = '${table}'`)
  await sql.run(`INSERT INTO sqlite_sequence (name, seq) VALUES ('${table}', ?)`, [last])
}

/** The copy's audit trail, which must read as the source's does, whole or not. */
async function sameAudit(reading: Sql, writing: Sql): Promise<AuditState> {
  const [before, after] = [await auditState(auditOf(reading)), await auditState(auditOf(writing))]
  if (before.hash === after.hash && before.count === after.count && before.problem === after.problem) return after
  throw new ClawError(
    'unavailable',
    `The audit trail of the copy is not that of the source (${after.problem ?? 'another last row'}). Nothing was copied.`,
  )
}

/**
 * Writes one whole moment of an SQLite store to a new file, also beside the Claw that runs on it, and checks what it wrote.
 * The file takes its name only once it is on disk.
 *
 * @returns bytes of the file, and what stands in it
 * @throws ClawError('unsupported') for PostgreSQL, ClawError('conflict') when the file is there already,
 * ClawError('unavailable') when it cannot be written or what was written is damaged
 */
export async function backupStore(place: Place, file: string): Promise<{ bytes: number; report: StoreReport }> {
  if (place.dialect === 'postgres') {
    throw new ClawError(
      'unsupported',
      `This backs up SQLite only. For PostgreSQL: pg_dump --format=custom --file=${file} --dbname=${place.shown}, with the user in PGUSER and the password in PGPASSWORD or ~/.pgpass; pg_restore brings it back.`,
    )
  }
  mustExist(place)
  if (existsSync(file)) throw new ClawError('conflict', `${file} is there already. Name a new file.`)
  const partial = `${file}.partial`
  try {
    // It holds what the store holds: labels, people, messages. Made here, so that nobody else can read it from the start.
    closeSync(openSync(partial, 'wx', 0o600))
  } catch (error) {
    if (existsSync(partial)) {
      throw new ClawError('conflict', `${partial} is there: another backup runs, or was cut off. Then remove it.`)
    }
    throw new ClawError('unavailable', `${file} cannot be written: ${messageOf(error)}.`, { cause: error })
  }
  try {
    const source = await openPlace(place, true)
    try {
      await source.run('VACUUM INTO ?', [partial])
    } finally {
      await source.close()
    }
    const report = await checkStore(placeOf(`sqlite:${partial}`))
    if (report.damage !== null || report.version === 0) {
      throw new ClawError('unavailable', `The backup would be of no use: ${report.problems[0]}`)
    }
    sync(partial)
    renameSync(partial, file)
    sync(dirname(resolve(file)))
    return { bytes: statSync(file).size, report }
  } catch (error) {
    rmSync(partial, { force: true })
    if (error instanceof ClawError) throw error
    throw new ClawError('unavailable', `The backup failed: ${messageOf(error)}. ${file} was not made.`, {
      cause: error,
    })
  }
}

/** SQLite does not wait for the disk after VACUUM INTO. */
function sync(path: string): void {
  const handle = openSync(path, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
