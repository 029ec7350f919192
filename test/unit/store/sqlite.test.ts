import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { ClawError } from '../../../src/core/errors.ts'
import { openSqlite } from '../../../src/store/sqlite.ts'
import { openStore, storeOver } from '../../../src/store/store.ts'
import { incident, row } from './samples.ts'
import { sqlitePath } from './sqlite-file.ts'

const unavailable = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ClawError, String(error))
  assert.equal(error.code, 'unavailable')
  assert.match(error.message, pattern)
  return true
}

test('a commit is on disk when it returns', async () => {
  const path = sqlitePath()
  const driver = openSqlite(path)
  assert.equal((await driver.all('PRAGMA synchronous'))[0]?.synchronous, 2)
  assert.equal((await driver.all('PRAGMA journal_mode'))[0]?.journal_mode, 'wal')
  await driver.close()
})

test('a new database is readable by its owner only, what stands beside it as well', async () => {
  const path = sqlitePath()
  const driver = openSqlite(path)
  await driver.script('CREATE TABLE one (a TEXT); INSERT INTO one VALUES (1)')
  for (const file of [path, `${path}-wal`]) assert.equal(statSync(file).mode & 0o077, 0, file)
  await driver.close()
})

test('a second Claw on the same file is refused and told what to do; the first works on', async () => {
  const path = sqlitePath()
  const first = await openStore(`sqlite:${path}`)
  assert.equal(first.exclusive, true)
  await assert.rejects(
    openStore(`sqlite:${path}`),
    unavailable(/in use by another Claw\. Stop that one, or .*PostgreSQL/),
  )
  await first.write((tx) => tx.saveIncidents([incident(1)]))
  await first.close()
  const second = await openStore(`sqlite:${path}`)
  assert.equal((await second.incidents([1])).length, 1)
  await second.close()
})

test('a file that is no database is refused and left as it was', async () => {
  const path = sqlitePath()
  writeFileSync(path, 'shopping list\n'.repeat(1000))
  await assert.rejects(openStore(`sqlite:${path}`), unavailable(/is damaged .*restore the last backup/))
  assert.match(readFileSync(path, 'utf8'), /^shopping list/)
})

test('a database with a torn page is refused', async () => {
  const path = sqlitePath()
  const store = await openStore(`sqlite:${path}`)
  await store.write((tx) => tx.insertOccurrences(Array.from({ length: 500 }, (_, n) => row({ fingerprint: `f${n}` }))))
  await store.close()
  const bytes = readFileSync(path)
  bytes.fill(0xa5, 4096, bytes.length)
  writeFileSync(path, bytes)
  await assert.rejects(openStore(`sqlite:${path}`), unavailable(/is damaged/))
})

test('a folder that may not be written is a clear error', async (t) => {
  const folder = join(dirname(sqlitePath()), 'read-only')
  mkdirSync(folder)
  chmodSync(dirname(folder), 0o755)
  chmodSync(folder, 0o555)
  // Root may write anywhere, so for this moment we are nobody.
  if (process.geteuid?.() === 0 && process.seteuid) {
    process.seteuid(65534)
    t.after(() => process.seteuid?.(0))
  }
  await assert.rejects(
    openStore(`sqlite:${folder}/claw.db`),
    unavailable(/cannot be opened .*this user may write there/),
  )
})

test('a file in the way of the folder is a clear error', async () => {
  const path = sqlitePath()
  writeFileSync(path, '')
  await assert.rejects(openStore(`sqlite:${path}/claw.db`), unavailable(/cannot be/))
})

test('an unknown kind of store is a mistake of the configuration', async () => {
  await assert.rejects(openStore('mysql://x'), { code: 'invalid', message: /store: must be sqlite:<file> or postgres/ })
})

test('a full disk: refused with advice, nothing half stored, and back by itself', async () => {
  const driver = openSqlite(sqlitePath())
  const store = await storeOver(driver)
  await store.write((tx) => tx.saveIncidents([incident(1)]))
  const [size] = await driver.all('PRAGMA page_count')
  await driver.script(`PRAGMA max_page_count = ${Number(size?.page_count) + 3}`)
  const storm = Array.from({ length: 2000 }, (_, n) => row({ fingerprint: `f${n}`, incidentId: 2 }))
  const write = () =>
    store.write(async (tx) => {
      await tx.saveIncidents([incident(2)])
      await tx.insertOccurrences(storm)
    })
  await assert.rejects(write(), unavailable(/cannot store: .*full\. Free some disk space\./))
  await assert.rejects(write(), unavailable(/full/))
  assert.deepEqual([(await store.incidents([1, 2])).length, (await store.alertsOf(2, 9)).length], [1, 0])
  await driver.script('PRAGMA max_page_count = 1000000')
  await write()
  assert.equal((await store.alertsOf(2, 5000)).length, 2000)
  await store.ping()
  await store.close()
})

test('what cannot be stored makes the store not ready', async () => {
  const driver = openSqlite(sqlitePath())
  const store = await storeOver(driver)
  await driver.script('PRAGMA query_only = ON')
  await assert.rejects(store.ping(), unavailable(/cannot store/))
  await driver.script('PRAGMA query_only = OFF')
  await store.ping()
  await store.close()
})

test('when SQLite has rolled back by itself, it is the cause that is told', async () => {
  const driver = openSqlite(sqlitePath())
  const failed = driver.transaction(async (sql) => {
    await sql.run('ROLLBACK')
    throw new Error('database or disk is full')
  })
  await assert.rejects(failed, { message: 'database or disk is full' })
  await driver.transaction((sql) => sql.run('CREATE TABLE t (a)'))
  await driver.close()
})

test('after a statement failed, nothing more runs in its transaction, sent or not', async () => {
  const driver = openSqlite(sqlitePath())
  await driver.script('CREATE TABLE t (n INTEGER PRIMARY KEY)')
  await assert.rejects(
    driver.transaction(async (sql) => {
      await Promise.all([
        sql.run('INSERT INTO t VALUES (1)'),
        sql.run('INSERT INTO t VALUES (1)'),
        // As a full disk makes SQLite do by itself: without care the next one would be a commit of its own.
        sql.run('ROLLBACK'),
        sql.run('INSERT INTO t VALUES (2)'),
      ])
    }),
    /UNIQUE/,
  )
  assert.deepEqual(await driver.all('SELECT n FROM t'), [])
  await assert.rejects(
    driver.transaction(async (sql) => {
      await sql.run('INSERT INTO t VALUES (3)')
      await sql.run('INSERT INTO t VALUES (3)').catch(() => {})
    }),
    /UNIQUE/,
    'a failure that was swallowed still counts',
  )
  assert.deepEqual(await driver.all('SELECT n FROM t'), [])
  await driver.transaction((sql) => sql.run('INSERT INTO t VALUES (4)'))
  assert.equal((await driver.all('SELECT n FROM t')).length, 1)
  await driver.close()
})

test('an incident is written without what is empty, and read whole; whole documents are read as well', async () => {
  const driver = openSqlite(sqlitePath())
  const store = await storeOver(driver)
  const one = incident(1, { levelReason: 'severity', baseReason: 'severity', acknowledgedBy: '' })
  await store.write((tx) => tx.saveIncidents([one]))
  const [row] = await driver.all('SELECT doc FROM incidents')
  const doc = JSON.parse(row?.doc as string) as Record<string, unknown>
  for (const name of ['id', 'key', 'state', 'level', 'muted', 'bucket', 'flapping', 'baseReason', 'resolvedBy'])
    assert.ok(!Object.hasOwn(doc, name), name)
  assert.deepEqual(await store.incidents([1]), [one])
  await driver.run('UPDATE incidents SET doc = ?', [JSON.stringify(one)])
  assert.deepEqual(await store.incidents([1]), [one])
  await store.close()
})
