import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { MINUTE, SECOND } from '../../../src/core/clock.ts'
import { firing } from '../../support/engine.ts'
import { createRig, RECEIVERS } from './remediation-rig.ts'

const PAGING = RECEIVERS.replace('slack: { channel: ALL }', 'pagerduty: {}, slack: { channel: ALL }')
const POLICY = `
remediation:
  - { name: canary, when: { class: canary, below: 0.70, for: 1h }, action: canary abort, mode: automatic, hold_page: 2m }
`

async function setUp(t: TestContext) {
  const rig = await createRig(t, POLICY, PAGING)
  rig.says('A', { ratingScore: 0.5 })
  await rig.world.send(firing({ alertname: 'CanaryRatingLow', severity: 'warning' }))
  const row = async (kind: string) => (await rig.world.deliveries()).find((one) => one.kind === kind)
  return { rig, row }
}

test('the page of an incident that a policy may heal waits, its messages do not; a silent change leaves it waiting', async (t) => {
  const { rig, row } = await setUp(t)
  const { openedAt } = await rig.world.only()
  assert.equal((await row('pagerduty'))?.dueAt, openedAt + 2 * MINUTE)
  assert.equal((await row('slack'))?.dueAt, openedAt)
  await rig.pass(10 * SECOND)
  await rig.world.send(firing({ alertname: 'CanaryRatingLow', severity: 'warning', pod: 'x' }))
  await rig.pass(10 * SECOND)
  assert.equal((await row('pagerduty'))?.dueAt, openedAt + 2 * MINUTE)
  rig.says('A', { errorRatio: 0.1 })
  await rig.pass(2 * SECOND)
  const released = await row('pagerduty')
  assert.deepEqual([released?.dueAt, released?.createdAt], [rig.world.now(), rig.world.now()])
})

test('what makes it worse brings the page forward at once', async (t) => {
  const { rig, row } = await setUp(t)
  rig.world.wait(5 * SECOND)
  await rig.world.send(firing())
  assert.equal((await row('pagerduty'))?.dueAt, rig.world.now())
})
