import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseAlertmanagerWebhook } from '../../../handlers/webhooks/alertmanager.ts'
import { HOUR, MINUTE, SECOND } from '../../../src/core/clock.ts'
import { createSelfTest } from '../../../src/engine/selftest.ts'
import { createWorld, PLATFORMS, silent } from '../../support/engine.ts'

const PAGED = `${PLATFORMS}
receivers: [{ name: default, pagerduty: {} }]
`

async function setUp(t: Parameters<typeof createWorld>[0], yaml = PAGED) {
  const world = await createWorld(t, yaml)
  const results: string[] = []
  const box: { every: number | null; fail: boolean } = { every: HOUR, fail: false }
  const selfTest = createSelfTest({
    store: world.store,
    clock: world.now,
    log: silent,
    every: () => box.every,
    async post(body) {
      if (box.fail) throw new Error('answered 503')
      await world.send(...parseAlertmanagerWebhook(Buffer.from(body)).alerts)
    },
    onResult: (outcome) => results.push(outcome),
  })
  async function confirm() {
    for (const row of await world.store.listDeliveries({ state: 'pending', limit: 9, before: null })) {
      await world.store.write(async (tx) => {
        await tx.beginSteps([row.id], 1)
        const done = { ...row, fence: 1, state: 'delivered' as const, shown: row.wanted, deliveredAt: world.now() }
        await tx.recordOutcomes([done])
      })
    }
  }
  return { world, results, box, confirm, tick: () => selfTest.tick() }
}

test('off unless configured', async (t) => {
  const { world, box, tick } = await setUp(t)
  box.every = null
  await tick()
  assert.deepEqual(await world.all(), [])
})

test('a synthetic page goes the whole way, and its confirmation is the proof', async (t) => {
  const { world, results, confirm, tick } = await setUp(t)
  await tick()
  const view = await world.view()
  assert.equal(view.synthetic, true)
  assert.match(view.headline, /^TEST · P1 · Self-test page/)
  assert.match(view.nextStep, /Nothing to do/)
  await tick()
  assert.deepEqual([results, await world.store.meta('paging_proven_at')], [[], null], 'sent is not confirmed')
  world.wait(3 * SECOND)
  await confirm()
  await tick()
  assert.deepEqual([results, await world.store.meta('paging_proven_at')], [['proven'], String(world.now())])
  assert.equal((await world.only()).state, 'resolved')
  await tick()
  assert.equal((await world.all()).length, 1, 'once an hour')
})

test('each run is an incident of its own: it never flaps or reopens', async (t) => {
  const { world, confirm, tick, box, results } = await setUp(t)
  box.every = MINUTE
  for (let n = 0; n < 5; n++) {
    await tick()
    await confirm()
    await tick()
    world.wait(MINUTE)
  }
  assert.equal(results.length, 5)
  assert.deepEqual(
    (await world.all()).map((one) => [one.state, one.recurrences]),
    Array.from({ length: 5 }, () => ['resolved', 0]),
  )
})

test('a page that nobody confirms within two minutes has failed, and proves nothing', async (t) => {
  const { world, results, tick } = await setUp(t)
  await tick()
  world.wait(2 * MINUTE)
  await tick()
  assert.deepEqual(results, [])
  world.wait(1)
  await tick()
  assert.deepEqual([results, await world.store.meta('paging_proven_at')], [['failed'], null])
  assert.equal((await world.only()).state, 'resolved')
})

test('without any pager in its route there is no proof', async (t) => {
  const { world, results, confirm, tick } = await setUp(t, 'receivers: []')
  await tick()
  await confirm()
  world.wait(3 * MINUTE)
  await tick()
  assert.deepEqual(results, ['failed'])
})

test('a receiver that refuses the resolve is tried again: the synthetic incident does not stay open', async (t) => {
  const { world, results, confirm, tick, box } = await setUp(t)
  await tick()
  await confirm()
  box.fail = true
  await tick()
  assert.deepEqual([results, (await world.only()).state], [[], 'open'])
  box.fail = false
  await tick()
  assert.deepEqual([results, (await world.only()).state], [['proven'], 'resolved'])
})
