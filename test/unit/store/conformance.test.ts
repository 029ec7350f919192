import { after, describe } from 'node:test'
import { openStore } from '../../../src/store/store.ts'
import { startPostgres } from '../../support/postgres.ts'
import type { Fresh } from './samples.ts'
import { sqliteUrl } from './sqlite-file.ts'
import { alertsSuite } from './suite-alerts.ts'
import { deliveriesSuite } from './suite-deliveries.ts'
import { incidentsSuite } from './suite-incidents.ts'
import { replicasSuite, schemaSuite } from './suite-schema.ts'
import { workflowsSuite } from './suite-workflows.ts'

const postgres = await startPostgres()
after(() => postgres.stop())

/** One suite, two databases: what one of them does differently is a mistake. */
const databases = [
  { name: 'SQLite', skip: false, url: async () => sqliteUrl() },
  { name: 'PostgreSQL', skip: postgres.missing ?? false, url: () => postgres.database() },
]

for (const { name, skip, url } of databases) {
  const fresh: Fresh = async (t) => {
    const store = await openStore(await url())
    t.after(() => store.close())
    return store
  }
  describe(name, { skip }, () => {
    alertsSuite(fresh)
    incidentsSuite(fresh)
    deliveriesSuite(fresh)
    workflowsSuite(fresh)
    schemaSuite(url)
    if (name === 'PostgreSQL') replicasSuite(url)
  })
}
