import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClawError } from '../../../src/core/errors.ts'
import { openPostgres } from '../../../src/store/postgres.ts'
import { openSqlite } from '../../../src/store/sqlite.ts'
import { openStore } from '../../../src/store/store.ts'
import { delivery, incident, newDelivery, outcome, T } from './samples.ts'

const driverOf = (url: string) => (url.startsWith('sqlite:') ? openSqlite(url.slice(7)) : openPostgres(url))

/** Migrations. */
export function schemaSuite(url: () => Promise<string>): void {
  test('opened again, everything is still there', async () => {
    const at = await url()
    const first = await openStore(at)
    await first.write((tx) => tx.saveIncidents([incident(1)]))
    await first.close()
    const second = await openStore(at)
    assert.deepEqual(await second.incidents([1]), [incident(1)])
    await second.ping()
    await second.close()
  })

  test('a database that a newer Claw wrote is refused and left alone', async () => {
    const at = await url()
    await (await openStore(at)).close()
    const driver = await driverOf(at)
    await driver.run('INSERT INTO schema_version (version) VALUES (?)', [99])
    await driver.close()
    await assert.rejects(openStore(at), (error) => {
      assert.ok(error instanceof ClawError && error.code === 'unavailable')
      assert.match(error.message, /schema version 99, this Claw knows \d+\. Start the newer Claw again/)
      return true
    })
    const after = await driverOf(at)
    assert.equal((await after.all('SELECT max(version) AS version FROM schema_version'))[0]?.version, 99)
    await after.close()
  })
}

/** Several processes on one PostgreSQL: two stores know nothing of each other but the database. */
export function replicasSuite(url: () => Promise<string>): void {
  test('replicas that start together on an empty database all come up', async () => {
    const at = await url()
    const stores = await Promise.all([1, 2, 3, 4].map(() => openStore(at)))
    await Promise.all(stores.map((store) => store.ping()))
    await Promise.all(stores.map((store) => store.close()))
  })

  test('transactions of two replicas are serial: no update is lost, no id given twice', async () => {
    const at = await url()
    const stores = await Promise.all([openStore(at), openStore(at)])
    const add = (store: (typeof stores)[number]) =>
      store.write(async (tx) => {
        const n = Number((await tx.meta('n')) ?? 0)
        const id = await tx.nextIncidentId()
        await tx.saveIncidents([incident(id)])
        await tx.setMeta('n', String(n + 1))
        return id
      })
    const ids = await Promise.all(Array.from({ length: 60 }, (_, n) => add(stores[n % 2] ?? stores[0])))
    assert.equal(await stores[0].meta('n'), '60')
    assert.equal(new Set(ids).size, 60)
    await Promise.all(stores.map((store) => store.close()))
  })

  test('of two replicas one holds a lane; the one that lost it cannot write what it sent', async () => {
    const at = await url()
    const [one, two] = await Promise.all([openStore(at), openStore(at)])
    await one.write((tx) => tx.addDeliveries([newDelivery()]))
    const row = await delivery(one)
    const take = (store: typeof one, owner: string, now: number) =>
      store.write((tx) => tx.takeLane('slack', owner, now, now + 100, false))
    const [a, b] = await Promise.all([take(one, 'one', T), take(two, 'two', T)])
    assert.equal([a, b].filter((fence) => fence !== null).length, 1)
    const [winner, loser, name] = a !== null ? [one, two, 'two'] : [two, one, 'one']
    await winner.write((tx) => tx.beginSteps([row.id], 1))
    assert.equal(await take(loser, name, T + 200), 2)
    assert.deepEqual(await loser.write((tx) => tx.beginSteps([row.id], 2)), [row.id], 'told that it is in doubt')
    assert.equal(await winner.write((tx) => tx.recordOutcomes([outcome(row, 1)])), 0)
    assert.equal(await loser.write((tx) => tx.recordOutcomes([outcome(row, 2)])), 1)
    await Promise.all([one.close(), two.close()])
  })

  test('an address where nobody listens is a clear error without the password', async () => {
    await assert.rejects(openStore('postgres://claw:hunter2@127.0.0.1:1/claw'), (error) => {
      assert.ok(error instanceof ClawError && error.code === 'unavailable')
      assert.match(error.message, /PostgreSQL cannot be reached: .*Check store:/)
      assert.ok(!error.message.includes('hunter2'))
      return true
    })
  })
}
