import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { openStore } from '../../../src/store/store.ts'
import { startPostgres } from '../../support/postgres.ts'
import { row } from '../store/samples.ts'
import { sqliteUrl } from '../store/sqlite-file.ts'

const postgres = await startPostgres()
after(() => postgres.stop())

const databases = [
  { name: 'SQLite', skip: false, url: async () => sqliteUrl() },
  { name: 'PostgreSQL', skip: postgres.missing ?? false, url: () => postgres.database() },
]

for (const { name, skip, url } of databases) {
  describe(name, { skip }, () => {
    test('alerts move; where both have one, that of the newer incident stays', async (t) => {
      const store = await openStore(await url())
      t.after(() => store.close())
      const seed = [
        row({ fingerprint: 'both', incidentId: 3, timesSeen: 1 }),
        row({ fingerprint: 'old', incidentId: 3 }),
        row({ fingerprint: 'both', incidentId: 5, timesSeen: 9 }),
        row({ fingerprint: 'new', incidentId: 5 }),
        row({ fingerprint: 'else', incidentId: 4 }),
      ]
      await store.write((tx) => tx.insertOccurrences(seed))
      const down = await store.write((tx) => tx.moveAlerts(5, 3))
      assert.deepEqual(down, { moved: 2, replaced: 1, between: 0 })
      const rows = await store.alertsOf(3, 9)
      assert.deepEqual(rows.map((one) => [one.fingerprint, one.timesSeen]).sort(), [
        ['both', 9],
        ['new', 1],
        ['old', 1],
      ])
      await store.write((tx) => tx.insertOccurrences([row({ fingerprint: 'both', incidentId: 6, timesSeen: 2 })]))
      const up = await store.write((tx) => tx.moveAlerts(3, 6))
      assert.deepEqual(up, { moved: 2, replaced: 0, between: 0 })
      assert.deepEqual((await store.alertsOf(6, 9)).find((one) => one.fingerprint === 'both')?.timesSeen, 2)
      assert.deepEqual(
        (await store.alertsOf(4, 9)).map((one) => one.fingerprint),
        ['else'],
      )
    })

    test('an alert that an incident between them has is counted, so that the move can be undone', async (t) => {
      const store = await openStore(await url())
      t.after(() => store.close())
      await store.write((tx) => tx.insertOccurrences([row({ incidentId: 4 }), row({ incidentId: 5 })]))
      assert.equal((await store.write((tx) => tx.moveAlerts(5, 3))).between, 1)
    })
  })
}
