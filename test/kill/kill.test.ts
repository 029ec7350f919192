import { join } from 'node:path'
import { test } from 'node:test'
import { startPostgres } from '../support/postgres.ts'
import { runTrial } from './harness.ts'

/** The goal is 500 (`CLAW_KILLS=500`); each costs about a second, so everyday runs take a sample. */
const KILLS = Number(process.env.CLAW_KILLS ?? 25)
const SEED = Number(process.env.CLAW_SEED ?? 20261121)
const TEAMS = Number(process.env.CLAW_TEAMS ?? 12)
/** Fewer: after the death of the replica that sends, its lease has to end (12 s). */
const REPLICA_KILLS = Number(process.env.CLAW_REPLICA_KILLS ?? Math.ceil(KILLS / 6))

const sqlite = (folder: string) => `sqlite:${join(folder, 'claw.db')}`

test(`${KILLS} kills at random instants, platforms failing: nothing lost, nothing repeated`, async (t) => {
  await runTrial(t, { ends: KILLS, signal: 'SIGKILL', seed: SEED, teams: TEAMS, replicas: 1, store: sqlite })
})

test('SIGTERM under load: exits 0 in time, nothing lost, nothing repeated', async (t) => {
  await runTrial(t, { ends: 4, signal: 'SIGTERM', seed: SEED + 100, teams: TEAMS, replicas: 1, store: sqlite })
})

test(`${REPLICA_KILLS} kills of two replicas on one PostgreSQL: nothing lost, nothing repeated`, async (t) => {
  const postgres = await startPostgres()
  t.after(() => postgres.stop())
  if (postgres.missing) return t.skip(postgres.missing)
  const url = await postgres.database()
  const options = { seed: SEED + 200, teams: TEAMS, replicas: 2, store: () => url }
  await runTrial(t, { ends: REPLICA_KILLS, signal: 'SIGKILL', ...options })
})
