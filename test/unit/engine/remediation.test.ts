import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MINUTE, SECOND } from '../../../src/core/clock.ts'
import { scorecard } from '../../../src/core/remediation.ts'
import { startRun } from '../../../src/engine/runs.ts'
import { firing, resolved } from '../../support/engine.ts'
import { policyOf } from '../../support/policy.ts'
import { createRig, type Rig, resetting } from './remediation-rig.ts'

/** The bucket of A is empty, and an alert says so. */
async function emptied(rig: Rig, region = 'A') {
  rig.says(region, { ratio: 0.04 })
  await rig.world.send(firing({ region }))
}

/** One automatic reset and its end; `after`: the level at which the bucket is then. */
async function resetOnce(rig: Rig, after: number) {
  const [run] = await rig.running()
  assert.ok(run, 'a reset is under way')
  await rig.pass(4 * SECOND)
  await rig.end(run.id)
  rig.says('A', { ratio: after })
  await rig.pass(34 * SECOND)
}

test('automatic: acts once the trouble has lasted, says why, keeps a record, and looks whether it helped', async (t) => {
  const rig = await createRig(t, resetting())
  await emptied(rig)
  await rig.pass(60 * SECOND)
  assert.deepEqual(await rig.runs(), [])
  assert.equal(rig.why()?.name, 'not_long_enough')
  assert.equal(rig.why()?.text, 'bucket level 4 % in A, below 10 % for 58s; it acts after 1m')
  await rig.pass(2 * SECOND)
  const [run, ...more] = await rig.runs()
  assert.deepEqual(more, [])
  assert.deepEqual(
    [run?.kind, run?.input, run?.regions, run?.by, run?.via, run?.incident],
    ['reset', { region: 'A' }, ['A'], 'policy:reset', 'claw', 1],
  )
  assert.deepEqual(await rig.said('operation'), ['Policy "reset" started o1: Reset the bucket of A.'])
  assert.deepEqual(await rig.said('remediation'), ['Why o1: bucket level 4 % in A, below 10 % for 1m.'])
  assert.equal(rig.woken.workflows, 1)
  const [entry] = await rig.world.store.newestAudit('incident 1', 5)
  assert.deepEqual(
    [entry?.actor, entry?.via, entry?.action, entry?.outcome],
    ['policy:reset', 'claw', 'reset', 'started'],
  )
  const [row] = await rig.rows()
  assert.deepEqual(
    [row?.state, row?.run, row?.measure],
    ['running', 1, { name: 'bucket level', before: 0.04, threshold: 0.1, after: null }],
  )
  await rig.pass(MINUTE)
  assert.equal(rig.why()?.name, 'verifying', 'the operation is still under way')
  await rig.end(1)
  rig.says('A', { ratio: 0.98 })
  await rig.pass(28 * SECOND)
  assert.equal((await rig.rows())[0]?.state, 'running')
  await rig.pass(4 * SECOND)
  assert.equal((await rig.rows())[0]?.state, 'helped')
  assert.deepEqual(await rig.said('remediation_helped'), [
    'o1 helped in A: bucket level from 4 % to 98 %, threshold 10 %.',
  ])
  assert.deepEqual(rig.actions, ['reset started', 'reset helped'])
  assert.deepEqual(scorecard(await rig.rows()), {
    acted: 1,
    helped: 1,
    notHelped: 0,
    shadow: 0,
    suggested: 0,
    takenUp: 0,
  })
})

test('the time is unbroken: one look at a well bucket begins it anew, a silent edge does not', async (t) => {
  const rig = await createRig(t, resetting())
  await emptied(rig)
  await rig.pass(50 * SECOND)
  rig.says('A', { ratio: 0.2 })
  await rig.pass(2 * SECOND)
  assert.equal(rig.why()?.name, 'not_past_threshold')
  assert.equal(rig.why()?.text, 'bucket level 20 % in A, not below 10 %')
  rig.says('A', { ratio: 0.04 })
  await rig.pass(40 * SECOND)
  rig.edge.down = true
  await rig.pass(10 * SECOND)
  assert.equal(rig.why()?.name, 'no_figures')
  rig.edge.down = false
  await rig.pass(10 * SECOND)
  assert.equal((await rig.runs()).length, 0)
  await rig.pass(2 * SECOND)
  assert.equal((await rig.runs()).length, 1)
})

test('off: nothing; shadow: a record and a silent line, nothing else; both say so', async (t) => {
  const rig = await createRig(t, resetting('mode: "off"'))
  await emptied(rig)
  await rig.pass(3 * MINUTE)
  assert.deepEqual(await rig.rows(), [])
  rig.reload(resetting('mode: shadow'))
  await rig.pass(2 * MINUTE)
  assert.deepEqual(await rig.runs(), [])
  const [row, ...more] = await rig.rows()
  assert.deepEqual([more.length, row?.mode, row?.state, row?.run], [0, 'shadow', 'shadow', null])
  assert.deepEqual(await rig.said('remediation_shadow'), [
    'Would have done: Reset the bucket of A. Why: bucket level 4 % in A, below 10 % for 1m.',
  ])
  const line = (await rig.world.store.story(1, 99)).find((one) => one.kind === 'remediation_shadow')
  assert.equal(line?.push, false)
  assert.equal((await rig.world.only()).proposals, undefined)
  // What it recorded in shadow mode costs an automatic policy nothing.
  rig.reload(resetting())
  await rig.pass(4 * SECOND)
  assert.equal((await rig.runs()).length, 1)
})

test('suggest: asks once, with a button; taken up by a person it is judged like an act of its own', async (t) => {
  const rig = await createRig(t, resetting('mode: suggest'))
  await emptied(rig)
  await rig.pass(4 * MINUTE)
  assert.deepEqual(await rig.runs(), [])
  const { proposals } = await rig.world.only()
  assert.deepEqual(
    proposals?.map(({ label, command, policy, region }) => ({ label, command, policy, region })),
    [{ label: 'Reset A', command: 'reset A', policy: 'reset', region: 'A' }],
  )
  assert.deepEqual(await rig.said('remediation_suggested'), [
    'Proposal: Reset the bucket of A. Why: bucket level 4 % in A, below 10 % for 1m. To do it: /claw reset A',
  ])
  const line = (await rig.world.store.story(1, 99)).find((one) => one.kind === 'remediation_suggested')
  assert.equal(line?.push, true)
  assert.equal(rig.why()?.name, 'proposed')

  await rig.world.store.write((tx) =>
    startRun(
      tx,
      {
        kind: 'reset',
        input: { region: 'A' },
        title: 'Reset the bucket of A',
        regions: ['A'],
        incident: 1,
        by: 'Dana',
        via: 'slack',
        replyTo: null,
      },
      policyOf(),
      rig.world.now(),
    ),
  )
  await rig.pass(2 * SECOND)
  assert.equal((await rig.world.only()).proposals, undefined)
  const [row] = await rig.rows()
  assert.deepEqual([row?.state, row?.run, row?.mode], ['running', 1, 'suggest'])
  await rig.end(1)
  rig.says('A', { ratio: 0.9 })
  await rig.pass(40 * SECOND)
  const card = scorecard(await rig.rows())
  assert.deepEqual([card.suggested, card.takenUp, card.helped], [1, 1, 1])
})

test('a proposal that nothing asks for any more goes away; asked again only after the cool-down, within the budget', async (t) => {
  const rig = await createRig(t, resetting('mode: suggest'))
  await emptied(rig)
  await rig.pass(70 * SECOND)
  assert.equal((await rig.world.only()).proposals?.length, 1)
  rig.says('A', { ratio: 0.5 })
  await rig.pass(2 * SECOND)
  assert.equal((await rig.world.only()).proposals, undefined)
  rig.says('A', { ratio: 0.04 })
  await rig.pass(3 * MINUTE)
  assert.equal(rig.why()?.name, 'cool_down')
  assert.equal((await rig.said('remediation_suggested')).length, 1)
  await rig.pass(2 * MINUTE)
  assert.equal((await rig.said('remediation_suggested')).length, 2)
  await rig.switch('off')
  await rig.pass(2 * SECOND)
  assert.equal((await rig.world.only()).proposals, undefined)
  assert.equal(rig.why()?.name, 'automation_off')
  await rig.switch('on')
  await rig.pass(10 * MINUTE)
  assert.equal(rig.why()?.name, 'budget')
  assert.equal((await rig.said('remediation_suggested')).length, 2)
})

test('cool-down per region, told with what is left; another region is free of it', async (t) => {
  const rig = await createRig(t, resetting())
  rig.says('B')
  await emptied(rig)
  await rig.pass(62 * SECOND)
  await resetOnce(rig, 0.04)
  assert.equal((await rig.rows())[0]?.state, 'not_helped')
  assert.deepEqual(await rig.said('remediation_not_helped'), [
    'o1 did not help in A: bucket level from 4 % to 4 %, threshold 10 %.',
  ])
  assert.equal(rig.why()?.name, 'cool_down')
  assert.match(rig.why()?.text ?? '', /^It rests for another 4m2\ds in A$/)
  await emptied(rig, 'B')
  await rig.pass(64 * SECOND)
  assert.deepEqual(
    (await rig.runs()).map((run) => run.regions),
    [['A'], ['B']],
  )
})

test('the budget outlives restarts and flapping: it is counted in what is stored', async (t) => {
  const rig = await createRig(t, resetting())
  await emptied(rig)
  for (let round = 1; round <= 2; round++) {
    await rig.pass(64 * SECOND)
    assert.equal((await rig.runs()).length, round)
    await resetOnce(rig, 0.9)
    await rig.world.send(resolved())
    await rig.world.pass(6 * MINUTE)
    rig.restart()
    rig.says('A', { ratio: 0.04 })
    await rig.world.send(firing({}, { startsAt: rig.world.now() }))
  }
  await rig.pass(5 * MINUTE)
  assert.equal(rig.why()?.name, 'budget')
  assert.equal(rig.why()?.text, 'It has acted 2 times within 1h, which is all that it may')
  assert.equal((await rig.runs()).length, 2)
  const id = (await rig.world.all()).at(-1)?.id ?? 0
  const told = 'Policy "reset" does not act in A: It has acted 2 times within 1h, which is all that it may.'
  assert.deepEqual(await rig.said('remediation_budget', id), [told])
  rig.restart()
  await rig.pass(3 * MINUTE)
  assert.deepEqual(await rig.said('remediation_budget', id), [told], 'said once, also after a restart')
  await rig.pass(50 * MINUTE)
  assert.equal((await rig.runs()).length, 3, 'an hour after the first it may act again')
})

test('verification three ways: by the measure, unclear when the edge is silent, by the alert where there is no measure', async (t) => {
  const rig = await createRig(t, resetting())
  await emptied(rig)
  await rig.pass(62 * SECOND)
  await rig.end(1)
  rig.edge.down = true
  await rig.pass(34 * SECOND)
  assert.equal((await rig.rows())[0]?.state, 'unclear')
  assert.deepEqual(await rig.said('remediation_unclear'), [
    'Whether o1 helped in A is not clear: the edge does not say.',
  ])

  const region = `
remediation:
  - { name: revert, when: { class: region, for: 30s }, action: revert, mode: automatic, cool_down: 1m, verify: { after: 1m } }
`
  const other = await createRig(t, region)
  other.says('A')
  await other.world.send(firing({ alertname: 'RegionDown' }))
  await other.pass(32 * SECOND)
  assert.deepEqual(await other.said('remediation'), ['Why o1: its alert fires in A for 31s.'])
  await other.end(1)
  await other.pass(64 * SECOND)
  assert.deepEqual(await other.said('remediation_not_helped'), ['o1 did not help in A: its alert still fires.'])
  await other.pass(4 * SECOND)
  await other.end(2)
  await other.world.send(resolved({ alertname: 'RegionDown' }))
  await other.pass(64 * SECOND)
  assert.equal((await other.rows()).at(-1)?.state, 'helped')
})

test('an operation that failed did not help; one that a person stopped says nothing', async (t) => {
  const rig = await createRig(t, resetting())
  await emptied(rig)
  await rig.pass(62 * SECOND)
  await rig.end(1, 'failed')
  await rig.pass(2 * SECOND)
  assert.equal((await rig.rows())[0]?.state, 'failed')
  await rig.pass(6 * MINUTE)
  await rig.end(2, 'cancelled')
  await rig.pass(2 * SECOND)
  assert.equal((await rig.rows())[1]?.state, 'unclear')
})

test('a reset waits while the limiter is right or what lies behind it suffers, and says so once', async (t) => {
  const rig = await createRig(t, resetting())
  await emptied(rig)
  rig.says('A', { requestRate: 1500, refillRate: 1000 })
  await rig.pass(3 * MINUTE)
  assert.deepEqual(await rig.runs(), [])
  assert.equal(rig.why()?.name, 'precondition')
  const overloaded =
    'Policy "reset" does not act in A: A is offered 1 500/s and refills 1 000/s: a full bucket would be empty again at once.'
  assert.deepEqual(await rig.said('remediation_held_back'), [overloaded])
  rig.says('A', { requestRate: 900, errorRatio: 0.02 })
  await rig.pass(2 * SECOND)
  assert.equal(rig.why()?.text, 'What lies behind the limiter suffers in A: error ratio 2 %')
  rig.says('A', { errorRatio: null, p95LatencySeconds: null })
  await rig.world.send(firing({ alertname: 'LatencyHigh' }))
  await rig.pass(2 * SECOND)
  assert.equal(rig.why()?.text, 'What lies behind the limiter suffers in A: an alert about latency fires')
  await rig.world.send(resolved({ alertname: 'LatencyHigh' }))
  // What is not known does not block.
  rig.says('A', { requestRate: null })
  await rig.pass(2 * SECOND)
  assert.equal((await rig.runs()).length, 1)
})

test('one region at a time, until it is known whether that helped; and nothing where another operation acts', async (t) => {
  const rig = await createRig(t, resetting())
  rig.says('B', { ratio: 0.02 })
  rig.says('A', { ratio: 0.04 })
  await rig.world.send(firing(), firing({ region: 'B' }))
  await rig.pass(64 * SECOND)
  const [first, ...more] = await rig.runs()
  assert.deepEqual([first?.regions, more], [['B'], []], 'the worst region first')
  assert.equal(rig.why('A')?.name, 'one_region_at_a_time')
  await rig.end(1)
  rig.says('B', { ratio: 0.9 })
  await rig.pass(10 * SECOND)
  assert.equal(rig.why('A')?.name, 'one_region_at_a_time')
  await rig.world.store.write((tx) =>
    startRun(
      tx,
      {
        kind: 'reconcile',
        input: { regions: [], policy: 'highest-capacity' },
        title: 'Reconcile every region (highest capacity)',
        regions: [],
        incident: null,
        by: 'Dana',
        via: 'slack',
        replyTo: null,
      },
      policyOf(),
      rig.world.now(),
    ),
  )
  await rig.pass(40 * SECOND)
  assert.equal((await rig.rows())[0]?.state, 'helped')
  assert.equal(rig.why('A')?.name, 'busy')
  assert.equal(rig.why('A')?.text, 'o2 is under way there: Reconcile every region (highest capacity)')
  await rig.end(2)
  await rig.pass(2 * SECOND)
  assert.deepEqual((await rig.runs()).at(-1)?.regions, ['A'])
})

test('the global stop: nothing starts, and what policies have under way is asked to stop', async (t) => {
  const rig = await createRig(t, resetting())
  await emptied(rig)
  await rig.pass(62 * SECOND)
  await rig.switch('off')
  await rig.pass(2 * SECOND)
  assert.equal((await rig.runs())[0]?.cancelledBy, 'Dana')
  assert.equal(rig.woken.workflows, 2)
  await rig.pass(10 * SECOND)
  assert.equal(rig.woken.workflows, 2, 'asked once')
  await rig.end(1, 'cancelled')
  await rig.pass(20 * MINUTE)
  assert.equal((await rig.runs()).length, 1)
  assert.equal(rig.why()?.name, 'automation_off')
  await rig.switch('on')
  await rig.pass(2 * SECOND)
  assert.equal((await rig.runs()).length, 2)
})

test('two replicas that look at once start one operation: the decision is made where it is stored', async (t) => {
  const rig = await createRig(t, resetting())
  await emptied(rig)
  const [one, two] = [rig.make(), rig.make()]
  for (let second = 0; second <= 64; second += 2) {
    rig.world.wait(2 * SECOND)
    await Promise.all([one.tick(), two.tick()])
  }
  assert.equal((await rig.runs()).length, 1)
  assert.equal((await rig.rows()).length, 1)
  assert.deepEqual(rig.actions, ['reset started'])
  await rig.end(1)
  for (let second = 0; second <= 34; second += 2) {
    rig.world.wait(2 * SECOND)
    await Promise.all([one.tick(), two.tick()])
  }
  assert.equal((await rig.said('remediation_not_helped')).length, 1, 'and judge it once')
})

test('what another policy does is nobody taking up a proposal', async (t) => {
  const rig = await createRig(
    t,
    `
remediation:
  - { name: ask, when: { class: exhaustion, below: 0.10 }, action: reset, mode: suggest }
  - { name: act, when: { class: exhaustion, below: 0.10, for: 10s }, action: reset, mode: automatic }
`,
  )
  await emptied(rig)
  await rig.pass(20 * SECOND)
  assert.deepEqual(
    (await rig.rows()).map((row) => [row.policy, row.state, row.run]),
    [
      ['ask', 'suggested', null],
      ['act', 'running', 1],
    ],
  )
  assert.equal((await rig.world.only()).proposals?.length, 1)
})

test('resolved incidents, self-tests and suppressed alerts start nothing; with nothing to heal the edge is left alone', async (t) => {
  const rig = await createRig(t, resetting())
  rig.says('A', { ratio: 0.01 })
  await rig.pass(10 * SECOND)
  assert.equal(rig.edge.asked, 0)
  await emptied(rig)
  await rig.world.resolve()
  await rig.pass(3 * MINUTE)
  await rig.world.act(1, ({ incident }) => {
    incident.state = 'open'
    incident.synthetic = true
  })
  await rig.pass(3 * MINUTE)
  assert.deepEqual(await rig.runs(), [])
  assert.equal(rig.edge.asked, 0)
})
