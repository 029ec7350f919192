import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createEdgeRig } from './edge-rig.ts'
import { shown } from './rig.ts'

const CLEO = { as: 'Cleo' }

test('operations lists what runs and what is over, and tells one in detail', async (t) => {
  const { say, sure, store, run, end, world } = await createEdgeRig(t)
  assert.equal((await say('operations')).summary, 'Nothing was ever done on the edge from here.')
  await sure('reconcile A')
  await end(1, { state: 'succeeded', summary: 'Reconciled A.' })
  await sure('failover A B', CLEO)
  const before = await run(2)
  await store.write(async (tx) => {
    const fence = await tx.claimWorkflow(2, 'me', world.now(), world.now() + 1, true)
    const step = { attempts: 2, startedAt: world.now(), endedAt: null, result: null, error: null }
    before.steps.push({ ...step, name: 'pre-flight', state: 'done', attempts: 1, endedAt: world.now() })
    before.steps.push({ ...step, name: 'switch', state: 'running' })
    await tx.saveWorkflow(before, fence ?? 0, true)
  })
  world.wait(120_000)
  const list = await say('operations', { as: 'Vic' })
  assert.equal(list.summary, '1 operation under way.')
  assert.deepEqual(
    list.table?.rows.map((row) => row.join(' | ')),
    [
      'o2 | Fail over from A to B | running | switch | 02:15 UTC | 2 min | Cleo | 1',
      'o1 | Reconcile A (highest capacity) | succeeded |  | 02:15 UTC | 0 s | Dana | 1',
    ],
  )
  const one = await say('operations o2', { as: 'Vic' })
  assert.equal(one.summary, 'o2 · running · Fail over from A to B')
  assert.deepEqual(one.table?.rows, [
    ['pre-flight', 'done', '02:15 UTC', '0 s', '1'],
    ['switch', 'running', '02:15 UTC', '2 min', '2'],
  ])
  assert.match(shown(one), /Stop it: \/claw cancel o2\./)
  assert.match(
    shown(await say('status')),
    /Under way: o2 Fail over from A to B \(switch, 2 min\) \(operations shows the steps\)\./,
  )
  assert.match(shown(await say('status B')), /Under way: o2/)
  assert.equal((await say('operations 99')).code, 'not_found')
})

test('a failover that is over can be rolled back from its details', async (t) => {
  const { say, sure, end } = await createEdgeRig(t)
  await sure('failover A B', CLEO)
  await end(1, { state: 'succeeded', summary: 'Clients of A are served by B.', data: { expected: {}, moved: true } })
  const one = await say('operations o1')
  assert.deepEqual(
    one.buttons.map(({ command }) => command),
    ['rollback o1'],
  )
  assert.match(shown(one), /Clients of A are served by B\.\nUndo it: \/claw rollback o1\.$/)
  assert.equal((one.data as { can_undo: boolean }).can_undo, true)
})

test('cancel asks the operation to stop, and says so in its incident', async (t) => {
  const { say, sure, run, store } = await createEdgeRig(t)
  await sure('reconcile A')
  const done = await say('cancel o1', { as: 'Bob' })
  assert.equal(done.summary, 'o1 is being stopped: Reconcile A (highest capacity).')
  assert.equal((await run(1)).cancelledBy, 'Bob')
  assert.equal((await store.story(1, 9)).at(-1)?.text, 'Bob stops o1: Reconcile A (highest capacity).')
  const again = await say('cancel o1')
  assert.deepEqual([again.code, again.summary], ['conflict', 'o1 is being stopped already, by Bob.'])
  assert.match(shown(await say('operations 1')), /^o1 · stopping ·/)
})

test('who may not start it may not stop it; what is over cannot be stopped', async (t) => {
  const { say, sure, run, end } = await createEdgeRig(t)
  await sure('failover A B', CLEO)
  const no = await say('cancel o1')
  assert.deepEqual([no.code, no.summary], ['forbidden', 'You may not stop o1: it takes a role that may run failover.'])
  assert.equal((await run(1)).cancelledBy, null)
  await end(1, { state: 'succeeded', summary: 'Clients of A are served by B.', data: { expected: {}, moved: true } })
  const over = await say('cancel o1', CLEO)
  assert.deepEqual([over.code, over.lines], ['conflict', ['Undo it: /claw rollback o1.']])
  assert.match(over.summary, /^o1 is over \(succeeded\): nothing to stop\./)
  assert.equal((await say('cancel o7', CLEO)).code, 'not_found')
  assert.match((await say('cancel a7', CLEO)).summary, /deny a7/)
})

test('show tells the verdict, the operations and the checklist of an incident', async (t) => {
  const { say, sure, world, end } = await createEdgeRig(t)
  await sure('reconcile A')
  await end(1, { state: 'succeeded', summary: 'Reconciled A: 2 keys had diverged.' })
  await sure('reset A')
  await world.act(1, ({ incident }) => {
    incident.triage = {
      at: world.now(),
      regions: [],
      diverged: { keys: 2, examples: [] },
      changes: [],
      verdict: {
        limiter: 'wrong',
        cause: 'divergence',
        confidence: 0.9,
        summary: 'The limiter is wrong: 2 keys diverge.',
        evidence: ['tenant-7: A 12, B 7'],
        act: { label: 'Reconcile', command: 'reconcile A', risk: 'admits 65 tokens more' },
      },
    }
    incident.automationStopped = { at: world.now(), why: '4 automatic acts in a row did not help' }
  })
  await say('checklist 1 switch skip not needed')
  const text = shown(await say('show 1'))
  assert.match(
    text,
    /Verdict at 02:15 UTC \(90 % sure\): The limiter is wrong: 2 keys diverge\.\n- tenant-7: A 12, B 7\nRecommended: Reconcile \(\/claw reconcile A\)\. Risk: admits 65 tokens more/,
  )
  assert.match(
    text,
    /Under way: o2 Reset the bucket of A \(about to begin, 0 s\), by Dana\.\no1 succeeded at 02:15 UTC: Reconciled A/,
  )
  assert.match(text, /Automation ended for it at 02:15 UTC: 4 automatic acts in a row did not help\./)
  assert.match(text, /Checklist: detection done, switch skipped, .*next alerting/)
})
