import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AUTOMATION_KEY, type Remediation, readSwitch } from '../../../src/core/remediation.ts'
import { TWO_RECEIVERS } from '../../support/engine.ts'
import { createEdgeRig } from './edge-rig.ts'
import { shown } from './rig.ts'

const CLEO = { as: 'Cleo' }
const YAML = `${TWO_RECEIVERS}
remediation:
  - { name: conflicts, when: { class: divergence, above: 10 }, action: reconcile, mode: automatic, budget: { max: 3, per: 1h } }
  - { name: standby, when: { class: exhaustion, below: 0.05 }, action: scale, mode: shadow }
`

function past(more: Partial<Remediation>): Remediation {
  return {
    id: 0,
    policy: 'conflicts',
    incident: 1,
    region: 'A',
    action: 'reconcile',
    mode: 'automatic',
    at: 0,
    reason: 'conflicts 12/min',
    run: 1,
    state: 'helped',
    measure: null,
    verifyAt: null,
    ...more,
  }
}

test('automation status shows each policy with mode, budget and scorecard', async (t) => {
  const { say, store, world } = await createEdgeRig(t, YAML)
  await store.write(async (tx) => {
    await tx.saveRemediation(past({ at: world.now() - 7_200_000 }))
    await tx.saveRemediation(past({ at: world.now() - 60_000, state: 'not_helped' }))
    await tx.saveRemediation(
      past({
        at: world.now() - 50_000,
        policy: 'standby',
        action: 'scale',
        mode: 'shadow',
        state: 'shadow',
        run: null,
      }),
    )
  })
  const found = await say('automation', CLEO)
  assert.equal(found.summary, 'Automation is on: 2 policies.')
  assert.deepEqual(found.table?.rows, [
    ['conflicts', 'reconcile', 'automatic', '1 of 3 in 1h', '2', '1', '1', '0', '0 of 0'],
    ['standby', 'scale', 'shadow', '1 of 3 in 1h', '0', '0', '0', '1', '0 of 0'],
  ])
  assert.deepEqual((found.data as { policies: { budget: unknown }[] }).policies[0]?.budget, {
    used: 1,
    max: 3,
    per: '1h',
  })
})

test('automation off stops all at once, says who and when, and stops what policies started; on lets it act again', async (t) => {
  const { say, store, world, sure } = await createEdgeRig(t, YAML)
  await sure('reset A')
  await store.write(async (tx) => {
    const run = await tx.workflow(1)
    assert.ok(run)
    const id = await tx.nextWorkflowId()
    await tx.insertWorkflow({ ...run, id, by: 'policy:conflicts', title: 'Reconcile B (highest capacity)' })
  })
  const off = await say('automation off', CLEO)
  assert.equal(off.summary, 'Automation is off: no policy acts or proposes any more.')
  assert.deepEqual(off.lines[0], 'o2 is being stopped: Reconcile B (highest capacity).')
  assert.equal((await store.workflow(2))?.cancelledBy, 'Cleo')
  assert.equal((await store.workflow(1))?.cancelledBy, null, 'what a person started goes on')
  assert.deepEqual(
    off.buttons.map(({ command }) => command),
    ['operations o2'],
  )
  assert.deepEqual(JSON.parse((await store.meta(AUTOMATION_KEY)) ?? ''), { state: 'off', by: 'Cleo', at: world.now() })
  assert.equal(readSwitch(await store.meta(AUTOMATION_KEY)).state, 'off')
  assert.equal(
    (await say('automation status', CLEO)).summary,
    'Automation is off, set by Cleo at 02:15 UTC: 2 policies.',
  )
  assert.match((await say('automation off', CLEO)).summary, /^Automation is off already since 02:15 UTC \(Cleo\)/)
  const on = await say('automation on', CLEO)
  assert.match(shown(on), /^Automation is on again\.\nThese act by themselves: conflicts\./)
  assert.equal(readSwitch(await store.meta(AUTOMATION_KEY)).state, 'on')
  assert.equal((await say('automation maybe', CLEO)).code, 'invalid')
})

test('where others must agree to automation, that is for on only: stopping never waits', async (t) => {
  const { say, approvals, store } = await createEdgeRig(t, YAML)
  approvals.needed.automation = 1
  assert.equal((await say('automation off', CLEO)).summary, 'Automation is off: no policy acts or proposes any more.')
  assert.match((await say('automation on', CLEO)).lines[0] ?? '', /One other person must agree/)
  assert.equal(readSwitch(await store.meta(AUTOMATION_KEY)).state, 'off')
})

test('an incident for which automation ended is named; without policies that is said', async (t) => {
  const { say, world } = await createEdgeRig(t)
  await world.act(1, ({ incident }) => {
    incident.automationStopped = { at: world.now(), why: 'keys still diverge after a reconcile' }
  })
  const found = await say('automation', CLEO)
  assert.deepEqual([found.summary, found.table], ['Automation is on: 0 policies.', null])
  assert.match(shown(found), /It ended for incident 1: keys still diverge after a reconcile\nNone is configured/)
})
