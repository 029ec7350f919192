import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MINUTE } from '../../../src/core/clock.ts'
import { createWorld, firing, TWO_RECEIVERS } from '../../support/engine.ts'

const EDGE = 'edge: { url: "http://edge.test", token: secret }\n'
const lanes = (rows: { lane: string }[]) => rows.map(({ lane }) => lane)

test('with an edge, an acknowledgement begins a delivery to it; later changes only wake it', async (t) => {
  const world = await createWorld(t, EDGE + TWO_RECEIVERS)
  await world.send(firing())
  assert.deepEqual(lanes(await world.deliveries()), ['slack'])
  await world.acknowledge()
  assert.deepEqual(lanes(await world.deliveries()), ['slack', 'edge'])
  const edge = (await world.deliveries()).find((row) => row.lane === 'edge')
  assert.deepEqual([edge?.kind, edge?.target, edge?.settings], ['edge', 'edge', {}])
  await world.resolve()
  assert.equal((await world.deliveries()).length, 2)
})

test('without an edge there is none', async (t) => {
  const world = await createWorld(t)
  await world.send(firing())
  await world.pass(MINUTE)
  await world.acknowledge()
  assert.deepEqual(lanes(await world.deliveries()), ['slack'])
})
