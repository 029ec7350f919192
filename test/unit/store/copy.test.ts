import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { copyStore } from '../../../src/store/copy.ts'
import { auditState, checkStore, openPlace, placeOf, schemaOf } from '../../../src/store/inspect.ts'
import { openStore } from '../../../src/store/store.ts'
import { startPostgres } from '../../support/postgres.ts'
import { incident, NASTY, newDelivery, row, T } from './samples.ts'
import { sqlitePath, sqliteUrl } from './sqlite-file.ts'

const postgres = await startPostgres()
after(() => postgres.stop())
const MAIN = fileURLToPath(new URL('../../../src/main.ts', import.meta.url))

const KINDS = {
  sqlite: { skip: false as string | false, url: async () => sqliteUrl() },
  postgres: { skip: postgres.missing ?? false, url: () => postgres.database() },
}
const copy = (from: string, to: string, dryRun = false, now = T) =>
  copyStore(placeOf(from), placeOf(to), { dryRun, now })

/** Runs `claw store …` as people do. */
async function claw(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const ran = promisify(execFile)(process.execPath, [MAIN, 'store', ...args])
  return ran.then(
    ({ stdout, stderr }) => ({ code: 0, out: stdout, err: stderr }),
    (error) => ({ code: error.code, out: error.stdout, err: error.stderr }),
  )
}

/** Something in every table, more than one batch of alerts, and a last delivery that was deleted again. */
async function fill(url: string): Promise<void> {
  const store = await openStore(url)
  const text = NASTY[1] ?? ''
  const request = { id: NASTY[2] ?? '', via: 'http', person: null, user: 'Dana', text, incident: null } as const
  await store.write(async (tx) => {
    await tx.saveIncidents([incident(1, { level: 'P1' }), incident(7, { state: 'resolved', resolvedAt: T })])
    await tx.insertOccurrences([
      ...Array.from({ length: 300 }, (_, n) => row({ fingerprint: `f${n % 150}`, incidentId: n < 150 ? 1 : 7 })),
      row({ fingerprint: NASTY[4] ?? '', name: text, region: NASTY[3] ?? '', digest: 4_294_967_295 }),
      row({
        fingerprint: 'doubt',
        doubtUntil: T,
        endsAt: T,
        payload: { labels: { a: NASTY[7] ?? '' }, annotations: {}, generatorURL: '' },
      }),
    ])
    await tx.addStory([{ incidentId: 1, seq: 1, at: T, kind: 'k', actor: null, text, push: true }])
    await tx.addDeliveries([newDelivery(), newDelivery({ incidentId: 7 })])
    await tx.addInhibitors([{ key: 'k', fingerprint: 'f1' }])
    await tx.beat(text, T)
    await tx.takeLane('slack', 'me', T, T - 1, true)
    await tx.addRequest({ ...request, confirmed: false, override: null, replyTo: null }, T)
    await tx.insertWorkflow({
      ...{ id: 9, kind: 'reset', input: null, title: text, regions: [], incident: null, by: 'Dana', via: 'http' },
      ...{ replyTo: null, state: 'succeeded', steps: [], dueAt: T, cancelledBy: null, startedAt: T, endedAt: T },
      ...{ outcome: null, data: null },
    })
    await tx.saveRemediation({
      ...{ id: 0, policy: 'heal', incident: 1, region: 'A', action: 'reset', mode: 'shadow', at: T, reason: text },
      ...{ run: null, state: 'shadow', measure: null, verifyAt: null },
    })
    await tx.saveSilence({
      ...{ id: 3, incident: null, matchers: text, by: 'Dana', note: '', startsAt: T, endsAt: T + 1, lasts: 1 },
      ...{ state: 'active', alertmanagerId: null, pending: null },
    })
    await tx.saveApproval({
      ...{ id: 2, command: text, preview: '', by: 'Dana', via: 'http', incident: null, override: null, needed: 1 },
      ...{ agreed: [], state: 'open', askedAt: T, expiresAt: T, replyTo: null },
    })
    for (let n = 0; n < 12; n++) {
      const entry = {
        at: new Date(T + n).toISOString(),
        actor: NASTY[2] ?? '',
        via: 'http',
        action: 'ack',
        target: text,
      }
      await tx.appendAudit({ ...entry, outcome: 'done', detail: String(n) })
    }
  })
  await store.close()
  const driver = await openPlace(placeOf(url), false)
  await driver.run('DELETE FROM deliveries WHERE id = 2')
  await driver.close()
}

/** Every row of every table, in an order that does not depend on the database. */
async function everything(url: string): Promise<Record<string, string[]>> {
  const driver = await openPlace(placeOf(url), true)
  try {
    const all: Record<string, string[]> = {}
    for (const { name, columns } of (await schemaOf()).tables) {
      const rows = await driver.all(`SELECT ${columns.map((column) => column.name).join(', ')} FROM ${name}`)
      all[name] = rows.map((one) => JSON.stringify(columns.map((column) => one[column.name]))).sort()
    }
    return all
  } finally {
    await driver.close()
  }
}

for (const [source, target] of [
  ['sqlite', 'postgres'],
  ['postgres', 'sqlite'],
  ['sqlite', 'sqlite'],
  ['postgres', 'postgres'],
] as const) {
  const skip = KINDS[source].skip || KINDS[target].skip
  describe(`${source} to ${target}`, { skip }, () => {
    test('everything is there afterwards, and numbers go on', async (t) => {
      const [from, to] = [await KINDS[source].url(), await KINDS[target].url()]
      await fill(from)
      const before = await everything(from)
      for (const [table, rows] of Object.entries(before)) assert.ok(rows.length > 0, `nothing in ${table} to copy`)
      const { counts, audit } = await copy(from, to)
      assert.deepEqual(await everything(to), before)
      assert.deepEqual(await everything(from), before, 'the source is as it was')
      assert.deepEqual(
        Object.fromEntries(counts.map(({ table, rows }) => [table, rows])),
        Object.fromEntries(Object.entries(before).map(([table, rows]) => [table, rows.length])),
      )
      assert.deepEqual([audit?.count, audit?.problem], [12, null])
      const store = await openStore(to)
      t.after(() => store.close())
      await store.write(async (tx) => {
        assert.equal(await tx.nextIncidentId(), 8)
        assert.equal(await tx.nextWorkflowId(), 10)
        await tx.addDeliveries([newDelivery({ incidentId: 8 })])
        await tx.appendAudit({
          ...{ at: new Date(T).toISOString(), actor: 'Dana', via: 'http', action: 'ack', target: '' },
          ...{ outcome: 'done', detail: '' },
        })
      })
      assert.deepEqual(
        (await store.deliveriesOf([8])).map(({ id }) => id),
        [3],
        'number 2 was given out, and is not given again',
      )
      assert.equal((await auditState(store)).problem, null)
    })

    test('a target with anything in it is refused, told and left alone', async () => {
      const [from, to] = [await KINDS[source].url(), await KINDS[target].url()]
      await fill(from)
      const store = await openStore(to)
      await store.write((tx) => tx.saveIncidents([incident(1), incident(2)]))
      await store.close()
      const before = await everything(to)
      for (const dryRun of [false, true]) {
        await assert.rejects(copy(from, to, dryRun), {
          code: 'conflict',
          message: /is not empty: 2 rows in incidents\. Name a new/,
        })
      }
      assert.deepEqual(await everything(to), before)
    })

    test("a target with somebody else's table is refused", async () => {
      const [from, to] = [await KINDS[source].url(), await KINDS[target].url()]
      await fill(from)
      const driver = await openPlace(placeOf(to), false)
      await driver.script('CREATE TABLE customers (id BIGINT)')
      await driver.close()
      await assert.rejects(copy(from, to), {
        code: 'conflict',
        message: /is not empty: a table customers that is not Claw's/,
      })
    })

    test('a source of another schema version is refused; a source without a store as well', async () => {
      const [from, to] = [await KINDS[source].url(), await KINDS[target].url()]
      await (await openStore(from)).close()
      const driver = await openPlace(placeOf(from), false)
      await driver.run('DELETE FROM schema_version WHERE version > 2')
      await assert.rejects(copy(from, to, true), {
        code: 'conflict',
        message: /schema version 2, this Claw knows \d+\. Start this Claw on it once/,
      })
      await driver.run('INSERT INTO schema_version (version) VALUES (?)', [99])
      await assert.rejects(copy(from, to, true), { code: 'conflict', message: /Copy it with the newer Claw/ })
      await driver.script('DROP TABLE schema_version')
      await assert.rejects(copy(from, to, true), { code: 'not_found', message: /There is no store of Claw in / })
      await driver.close()
    })

    test('a dry run counts beside a Claw at work, and makes nothing', async (t) => {
      const [from, to] = [await KINDS[source].url(), await KINDS[target].url()]
      await fill(from)
      const running = await openStore(from)
      t.after(() => running.close())
      const { counts } = await copy(from, to, true)
      assert.equal(counts.find(({ table }) => table === 'alerts')?.rows, 302)
      if (target === 'sqlite') assert.ok(!existsSync(to.slice('sqlite:'.length)))
      else assert.equal((await checkStore(placeOf(to))).version, 0)
    })

    test('a source that a Claw uses is refused', async (t) => {
      const [from, to] = [await KINDS[source].url(), await KINDS[target].url()]
      await fill(from)
      const running = await openStore(from)
      t.after(() => running.close())
      await assert.rejects(copy(from, to), /is in use by (another Claw|a Claw that runs)\. Stop/)
      await running.write((tx) => tx.saveIncidents([incident(9)]))
    })
  })
}

describe('on PostgreSQL', { skip: KINDS.postgres.skip }, () => {
  test('a lease that still runs means that a Claw was there a moment ago', async () => {
    const from = await postgres.database()
    await fill(from)
    const store = await openStore(from)
    await store.write((tx) => tx.takeLane('slack', 'dead', T, T + 12_000, true))
    await store.close()
    await assert.rejects(copy(from, sqliteUrl()), { code: 'conflict', message: /is in use: .* its leases end in 12 s/ })
    await copy(from, sqliteUrl(), false, T + 12_000)
  })

  test('a target that a Claw uses is refused', async (t) => {
    const [from, to] = [sqliteUrl(), await postgres.database()]
    await fill(from)
    const running = await openStore(to)
    t.after(() => running.close())
    await assert.rejects(copy(from, to), { code: 'conflict', message: /is in use by a Claw that runs/ })
  })

  test('what the target refuses is told with its table, and nothing of the copy stays', async () => {
    const [from, to] = [sqliteUrl(), await postgres.database()]
    await fill(from)
    const driver = await openPlace(placeOf(from), false)
    await driver.run('UPDATE lanes SET owner = ?', ['a\0b'])
    await assert.doesNotReject(driver.close())
    await assert.rejects(copy(from, to), { code: 'unavailable', message: /^Table lanes: .* Nothing was copied\.$/ })
    const { counts } = await checkStore(placeOf(to))
    assert.deepEqual(
      counts.filter(({ rows }) => rows > 0),
      [],
    )
    const mended = await openPlace(placeOf(from), false)
    await mended.run('UPDATE lanes SET owner = ?, until = 1.6', ['me'])
    await mended.close()
    await copy(from, to)
    assert.match((await everything(to)).lanes?.[0] ?? '', /,2\]$/, 'a fraction in an integer column is rounded')
  })

  test('on the command line: copied, checked, and no password shown', async () => {
    const [from, to] = [sqliteUrl(), await postgres.database()]
    await fill(from)
    const shown = to.replace('claw:claw@', '')
    const copied = await claw('copy', '--from', from, '--to', to)
    assert.equal(copied.code, 0, copied.err)
    assert.ok(copied.out.startsWith(`Copied ${from} to ${shown}, schema version `), copied.out)
    assert.match(copied.out, / 302 alerts\n.*The audit trail is whole: 12 rows, last hash [0-9a-f]{64}\./s)
    assert.ok(!copied.out.includes('claw:claw'))
    const checked = await claw('check', '--from', to)
    assert.deepEqual([checked.code, checked.err], [0, ''])
    assert.match(checked.out, /^postgres:\/\/127\.0\.0\.1:\d+\/claw_\d+: PostgreSQL \d+.*, schema version \d+\n/)
    const backup = await claw('backup', 'claw.dump', '--from', to)
    assert.equal(backup.code, 1)
    assert.match(backup.err, /SQLite only\. For PostgreSQL: pg_dump .*--file=claw\.dump --dbname=postgres:\/\/127/)
    assert.ok(!backup.err.includes('claw:claw'))
  })
})

test('a missing source is told, and no file is made of a mistyped name', async () => {
  const [from, to] = [sqlitePath(), sqlitePath()]
  for (const dryRun of [false, true]) {
    await assert.rejects(copy(`sqlite:${from}`, `sqlite:${to}`, dryRun), {
      code: 'not_found',
      message: `There is no file ${from}.`,
    })
  }
  await assert.rejects(checkStore(placeOf(`sqlite:${from}`)), { code: 'not_found' })
  assert.ok(!existsSync(from) && !existsSync(to))
})

test('source and target must not be the same', async () => {
  const path = sqlitePath()
  const twin = `${dirname(path)}/../${basename(dirname(path))}/${basename(path)}`
  await assert.rejects(copy(`sqlite:${path}`, `sqlite:${twin}`), { code: 'invalid', message: /the same store/ })
})

test('an audit trail that was tampered with is copied as it is, and told', async () => {
  const [from, to] = [sqliteUrl(), sqliteUrl()]
  await fill(from)
  const driver = await openPlace(placeOf(from), false)
  await driver.run(`UPDATE audit SET actor = 'Robin' WHERE id = '5'`)
  await driver.close()
  const { code, out, err } = await claw('copy', '--from', from, '--to', to)
  assert.equal(code, 1)
  assert.match(out, /^Copied /)
  assert.match(err, /copied as it is, .*tampered with in the source: row 5 was changed after it was written/)
  assert.deepEqual(await everything(to), await everything(from))
  const checked = await claw('check', '--from', to)
  assert.deepEqual(
    [checked.code, checked.err],
    [1, 'The audit trail was tampered with: row 5 was changed after it was written.\n'],
  )
})

test('what is shown of an address holds nothing of a password, however it was written', () => {
  for (const url of [
    'postgres://claw:hunter2@db:5432/claw?sslmode=require',
    'postgres://claw:12?hunter2@db/claw',
    'postgres://claw:12/hunter2@db/claw',
    'postgres://claw:12#hunter2@db/claw',
    'postgres://claw:hunter2@one:1,two:2/claw',
    'postgres://db/claw?user=a@b&password=hunter2',
  ]) {
    assert.doesNotMatch(placeOf(url).shown, /hunter2|12/, url)
  }
  assert.equal(placeOf('postgresql://claw:hunter2@db:5432/claw?sslmode=require').shown, 'postgres://db:5432/claw')
  assert.throws(() => placeOf('mysql://claw:hunter2@db/claw'), { code: 'invalid', message: /^A store is sqlite/ })
  assert.throws(() => placeOf('sqlite::memory:'), { code: 'invalid' })
})

test('a database that nobody answers for is a clear error without the password', async () => {
  const { code, err } = await claw('check', '--from', 'postgres://claw:hunter2@127.0.0.1:1/claw')
  assert.equal(code, 1)
  assert.match(err, /^claw store: postgres:\/\/127\.0\.0\.1:1\/claw cannot be reached: /)
  assert.ok(!err.includes('hunter2'))
})

test('a damaged file and a file of something else are told by check', async () => {
  const path = sqlitePath()
  await fill(`sqlite:${path}`)
  const bytes = readFileSync(path)
  bytes.fill(0xa5, 8192, 40_960)
  writeFileSync(path, bytes)
  const { damage, problems } = await checkStore(placeOf(`sqlite:${path}`))
  assert.notEqual(damage, null)
  assert.match(problems[0] ?? '', /^It is damaged .*restore the last backup/)
  writeFileSync(path, 'shopping list\n'.repeat(1000))
  assert.match(
    (await checkStore(placeOf(`sqlite:${path}`))).problems[0] ?? '',
    /^It is damaged \(file is not a database\)/,
  )
})

test('a backup beside a Claw that writes all the time is one whole moment of it', async (t) => {
  const path = sqlitePath()
  const file = `${path}.backup`
  const store = await openStore(`sqlite:${path}`)
  t.after(() => store.close())
  let n = 0
  const write = () =>
    store.write(async (tx) => {
      n += 1
      await tx.saveIncidents([incident(n)])
      await tx.insertOccurrences(
        Array.from({ length: 20 }, (_, i) => row({ fingerprint: `f${n}-${i}`, incidentId: n })),
      )
      await tx.setMeta('n', String(n))
    })
  await write()
  let over = false
  const backup = claw('backup', file, '--from', `sqlite:${path}`).finally(() => {
    over = true
  })
  while (!over) {
    await write()
    await new Promise(setImmediate)
  }
  const { code, out, err } = await backup
  assert.equal(code, 0, err)
  assert.match(out, /one moment of sqlite:.* The file is whole\.\n/)
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.deepEqual(
    readdirSync(dirname(path)).filter((name) => name.endsWith('.partial')),
    [],
  )
  const saved = await openStore(`sqlite:${file}`)
  t.after(() => saved.close())
  const at = Number(await saved.meta('n'))
  assert.ok(at >= 1 && at < n, `written meanwhile: ${at} of ${n}`)
  const incidents = await saved.listIncidents({ states: [], limit: 1e6, before: null })
  assert.equal(incidents.length, at)
  assert.equal(
    (await checkStore(placeOf(`sqlite:${file}`))).counts.find(({ table }) => table === 'alerts')?.rows,
    at * 20,
  )
})

test('a backup never writes over a file, and leaves none that is of no use', async () => {
  const [path, file] = [sqlitePath(), sqlitePath()]
  await fill(`sqlite:${path}`)
  writeFileSync(file, 'precious')
  const refused = await claw('backup', file, '--from', `sqlite:${path}`)
  assert.deepEqual([refused.code, refused.err], [1, `claw store: ${file} is there already. Name a new file.\n`])
  assert.equal(readFileSync(file, 'utf8'), 'precious')
  const nowhere = await claw('backup', `${file}.d/claw.db`, '--from', `sqlite:${path}`)
  assert.equal(nowhere.code, 1)
  assert.match(nowhere.err, /cannot be written: ENOENT/)
  const bytes = readFileSync(path)
  bytes.fill(0xa5, 8192, 40_960)
  writeFileSync(path, bytes)
  const spoilt = await claw('backup', `${file}.2`, '--from', `sqlite:${path}`)
  assert.equal(spoilt.code, 1)
  assert.ok(!existsSync(`${file}.2`) && !existsSync(`${file}.2.partial`))
})

test('wrong usage is told', async () => {
  for (const args of [[], ['copy'], ['backup'], ['check', 'x'], ['copy', 'x', '--to', 'sqlite:y'], ['drop']]) {
    const { code, err } = await claw(...args)
    assert.deepEqual(
      [code, err],
      [2, 'claw store: say copy --to URL [--from URL] [--dry-run], check, or backup FILE.\n'],
    )
  }
})
