import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { openStore } from '../../../src/store/store.ts'
import { createRig } from '../../support/flows.ts'
import { startPostgres } from '../../support/postgres.ts'

const postgres = await startPostgres()
after(() => postgres.stop())
const skip = postgres.missing ?? false

test('two replicas share the work and double nothing', { skip }, async (t) => {
  const url = await postgres.database()
  const rig = await createRig(t, { url })
  const other = await openStore(url)
  const second = rig.second(other)
  const ids: number[] = []
  for (let n = 0; n < 12; n++) ids.push(await rig.begin('capacity', { region: `R${n}`, factor: 2, lasts: 60_000 }))
  for (let round = 0; round < 5; round++) {
    await Promise.all([rig.round(), second.idle()])
    rig.wait(1_500)
  }
  for (const id of ids) assert.equal((await rig.run(id)).state, 'succeeded')
  assert.equal(rig.outside.applied.length, 12)
  assert.equal(rig.outside.calls.filter((call) => call === 'start').length, 12, 'not even asked twice')
  assert.equal((await rig.story()).filter((line) => line.startsWith('operation_done')).length, 12)
  await second.stop()
  await other.close()
})

test('a replica takes over from a dead one when its lease has run out, not before', { skip }, async (t) => {
  const url = await postgres.database()
  const rig = await createRig(t, { url })
  const other = await openStore(url)
  const second = rig.second(other)
  const id = await rig.begin('capacity', { region: 'A', factor: 2, lasts: 60_000 })
  await other.write((tx) => tx.claimWorkflow(id, 'the dead one', rig.now(), rig.now() + 4_000, false))
  await second.idle()
  assert.deepEqual(rig.outside.calls, [])
  rig.wait(4_000)
  await second.idle()
  assert.deepEqual(rig.outside.applied, ['capacity A x2 60s'])
  await second.stop()
  await other.close()
})
