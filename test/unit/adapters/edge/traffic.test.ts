import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createEdgeAdmin } from '../../../../src/adapters/edge/admin.ts'
import { createEdgeTraffic } from '../../../../src/adapters/edge/traffic.ts'
import type { TrafficChange } from '../../../../src/core/edge.ts'
import { json, serve } from '../serve.ts'

const signal = new AbortController().signal

/** An edge whose `receiving` the test moves, and whose failovers it keeps by key. */
async function edge(t: TestContext, receiving: Record<string, boolean | null>) {
  const failovers = new Map<string, { from: string; to: string }>()
  const server = await serve(t, (response, seen) => {
    if (seen.method === 'GET') {
      const regions = Object.entries(receiving).map(([region, is]) => ({ region, receiving: is }))
      return json(response, 200, { regions })
    }
    const key = String(seen.headers['idempotency-key'])
    failovers.set(key, failovers.get(key) ?? JSON.parse(seen.body))
    json(response, 202, { operation: `op_${[...failovers.keys()].indexOf(key) + 1}` })
  })
  const traffic = createEdgeTraffic(createEdgeAdmin({ url: server.url, token: 'secret' }))
  const change = async (key: string, expected?: TrafficChange['expected']): Promise<TrafficChange> => ({
    from: 'A',
    to: 'B',
    expected: expected ?? (await traffic.read(signal)),
    key,
    by: 'Dana',
    incident: '12',
  })
  return { traffic, receiving, failovers, change }
}

test('read, move and the operation to wait for; moved twice it is one failover', async (t) => {
  const { traffic, receiving, failovers, change } = await edge(t, { A: true, B: true, C: null })
  assert.deepEqual([traffic.kind, traffic.settlesWithin], ['edge', 60_000])
  const wanted = await change('o9-switch')
  assert.deepEqual(wanted.expected, { receiving: { A: true, B: true, C: null } })
  assert.equal(await traffic.move(wanted, signal), 'op_1')
  receiving.A = false
  assert.equal(await traffic.move(wanted, signal), 'op_1', 'asked again after a crash, when it is done by then')
  assert.deepEqual([...failovers.values()], [{ from: 'A', to: 'B', by: 'Dana', incident: '12' }])
})

test('somebody else changed it: nothing is moved', async (t) => {
  const { traffic, receiving, failovers, change } = await edge(t, { A: true, B: false, C: true })
  const wanted = await change('o9-switch')
  receiving.C = false
  await assert.rejects(traffic.move(wanted, signal), {
    code: 'conflict',
    message:
      'Edge, traffic: changed by somebody else meanwhile (C no longer receives traffic); look at it, then ask again',
  })
  await assert.rejects(traffic.restore(wanted, signal), { code: 'conflict' })
  await assert.rejects(traffic.move({ ...wanted, expected: null }, signal), { code: 'invalid' })
  assert.equal(failovers.size, 0)
})

test('restore: the other way round, where it was moved', async (t) => {
  const { traffic, receiving, failovers, change } = await edge(t, { A: true, B: true })
  const wanted = await change('o9-switch')
  receiving.A = false
  assert.equal(await traffic.restore({ ...wanted, key: 'o9-back' }, signal), 'op_1')
  assert.deepEqual(failovers.get('o9-back'), { from: 'B', to: 'A', by: 'Dana', incident: '12' })
  receiving.A = true
  assert.equal(await traffic.restore({ ...wanted, key: 'o9-again' }, signal), null, 'nothing is away any more')
  assert.equal(failovers.size, 1)
})

test('restore: an edge that does not say who receives is asked to do it', async (t) => {
  const { traffic, failovers, change } = await edge(t, { A: null, B: null })
  assert.equal(await traffic.restore(await change('o9-back'), signal), 'op_1')
  assert.equal(failovers.size, 1)
})
