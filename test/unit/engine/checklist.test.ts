import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createChecklistRounds } from '../../../src/engine/checklist.ts'
import { createWorld, firing, PLATFORMS } from '../../support/engine.ts'

const PAGED = `${PLATFORMS}
receivers: [{ name: all, pagerduty: {}, slack: { channel: ALL } }]
route: { receiver: all }
`

async function deliver(world: Awaited<ReturnType<typeof createWorld>>, lane: string): Promise<void> {
  const { store } = world
  const fence = await store.write((tx) => tx.takeLane(lane, 'test', world.now(), world.now() + 60_000, true))
  assert.ok(fence !== null)
  const row = (await world.deliveries()).find((one) => one.lane === lane)
  assert.ok(row)
  await store.write(async (tx) => {
    await tx.beginSteps([row.id], fence)
    const { id, priority, dueAt } = row
    const shown = { fence, state: 'delivered', shown: 1, attempts: 0, inDoubt: false, reference: 'r' } as const
    await tx.recordOutcomes([
      { id, priority, dueAt, ...shown, reason: null, adapterState: null, deliveredAt: world.now() },
    ])
  })
}

test('a page that arrived ticks alerting, without a word; a chat message does not where somebody is paged', async (t) => {
  const world = await createWorld(t, PAGED)
  const rounds = createChecklistRounds({ store: world.store, clock: world.now })
  const alerting = async () => (await world.view()).checklist.find(({ phase }) => phase === 'alerting')
  await world.send(firing())
  await deliver(world, 'slack')
  await rounds.tick()
  assert.equal((await alerting())?.state, 'open')
  const { version } = await world.only()
  await deliver(world, 'pagerduty')
  world.wait(3_000)
  await rounds.tick()
  assert.deepEqual([(await alerting())?.state, (await alerting())?.note], ['done', 'Told PagerDuty.'])
  assert.equal((await world.only()).version, version, 'nothing is sent for it')
})

test('the story ticks the rest as it is written', async (t) => {
  const world = await createWorld(t, PAGED)
  await world.send(firing())
  await world.acknowledge()
  await world.resolve()
  const { checklist } = await world.view()
  assert.deepEqual(
    checklist.map(({ phase, state, owner }) => [phase, state, owner]),
    [
      ['detection', 'done', null],
      ['alerting', 'done', 'Dana'],
      ['switch', 'skipped', 'Dana'],
      ['validation', 'done', 'Dana'],
      ['automation', 'skipped', 'Dana'],
      ['post-mortem', 'open', 'Dana'],
    ],
  )
})
