import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Remediation } from '../../../src/core/remediation.ts'
import type { WorkflowRun } from '../../../src/core/workflow.ts'
import { type Fresh, incident, NASTY, T } from './samples.ts'

function run(id: number, more: Partial<WorkflowRun> = {}): WorkflowRun {
  return {
    id,
    kind: 'reset',
    input: { region: 'A' },
    title: 'Reset the bucket of A',
    regions: ['A'],
    incident: null,
    by: 'Dana',
    via: 'slack',
    replyTo: null,
    state: 'running',
    steps: [],
    dueAt: T,
    cancelledBy: null,
    startedAt: T,
    endedAt: null,
    outcome: null,
    data: null,
    ...more,
  }
}

function remediation(more: Partial<Remediation> = {}): Remediation {
  return {
    id: 0,
    policy: 'heal',
    incident: 1,
    region: 'A',
    action: 'reset',
    mode: 'automatic',
    at: T,
    reason: 'because',
    run: null,
    state: 'running',
    measure: null,
    verifyAt: null,
    ...more,
  }
}

/** Operations and their leases; what policies did. */
export function workflowsSuite(fresh: Fresh): void {
  test('a run comes back as it was stored, whatever strings it holds', async (t) => {
    const store = await fresh(t)
    const stored = run(1, { input: NASTY.slice(0, 6), by: NASTY[2] ?? '', incident: 7 })
    await store.write((tx) => tx.insertWorkflow(stored))
    assert.deepEqual(await store.workflow(1), stored)
    assert.equal(await store.workflow(2), null)
  })

  test('numbers rise; lists are newest first, by incident and state', async (t) => {
    const store = await fresh(t)
    await store.write(async (tx) => {
      assert.equal(await tx.nextWorkflowId(), 1)
      await tx.insertWorkflow(run(1, { incident: 7 }))
      await tx.insertWorkflow(run(2, { state: 'failed' }))
      await tx.insertWorkflow(run(3, { incident: 7, state: 'succeeded' }))
      assert.equal(await tx.nextWorkflowId(), 4)
    })
    const ids = async (query: Parameters<typeof store.workflows>[0]) =>
      (await store.workflows(query)).map(({ id }) => id)
    assert.deepEqual(await ids({ limit: 2 }), [3, 2])
    assert.deepEqual(await ids({ incident: 7, limit: 9 }), [3, 1])
    assert.deepEqual(await ids({ states: ['running', 'failed'], limit: 9 }), [2, 1])
    assert.deepEqual(await ids({ incident: 7, states: ['running'], limit: 9 }), [1])
  })

  test('what is due: running, its time come, not held by another', async (t) => {
    const store = await fresh(t)
    assert.equal(await store.nextWorkflowDue(), null)
    await store.write(async (tx) => {
      await tx.insertWorkflow(run(1, { dueAt: T + 10 }))
      await tx.insertWorkflow(run(2, { dueAt: T }))
      await tx.insertWorkflow(run(3, { state: 'succeeded' }))
    })
    assert.equal(await store.nextWorkflowDue(), T)
    assert.deepEqual(await store.dueWorkflows('me', T, 9), [2])
    assert.deepEqual(await store.dueWorkflows('me', T + 10, 9), [2, 1])
    await store.write((tx) => tx.claimWorkflow(2, 'other', T, T + 100, false))
    assert.deepEqual(await store.dueWorkflows('me', T + 10, 9), [1])
    assert.deepEqual(await store.dueWorkflows('other', T + 10, 9), [2, 1])
    assert.deepEqual(await store.dueWorkflows('me', T + 100, 9), [2, 1], 'the lease has run out')
  })

  test('who lost the lease can write nothing', async (t) => {
    const store = await fresh(t)
    await store.write((tx) => tx.insertWorkflow(run(1)))
    const claim = (owner: string, now: number, steal = false) =>
      store.write((tx) => tx.claimWorkflow(1, owner, now, now + 100, steal))
    const first = await claim('one', T)
    assert.equal(first, 1)
    assert.equal(await claim('two', T + 50), null)
    assert.equal(await store.write((tx) => tx.extendWorkflow(1, 1, T + 200)), true)
    assert.equal(await claim('two', T + 150), null, 'held longer')
    assert.equal(await claim('two', T + 200), 2)
    assert.equal(await store.write((tx) => tx.saveWorkflow(run(1, { outcome: 'stale' }), 1, false)), false)
    assert.equal(await store.write((tx) => tx.extendWorkflow(1, 1, T + 900)), false)
    assert.equal((await store.workflow(1))?.outcome, null)
    assert.equal(await claim('three', T + 201, true), 3, 'stolen, where nobody else can live')
  })

  test('saved, let go, over', async (t) => {
    const store = await fresh(t)
    await store.write((tx) => tx.insertWorkflow(run(1)))
    await store.write((tx) => tx.claimWorkflow(1, 'one', T, T + 100, false))
    await store.write((tx) => tx.saveWorkflow(run(1, { dueAt: T + 5 }), 1, true))
    assert.deepEqual(await store.dueWorkflows('two', T + 5, 9), [1], 'anybody may go on')
    await store.write((tx) => tx.claimWorkflow(1, 'two', T + 5, T + 105, false))
    const ended = run(1, { state: 'succeeded', outcome: 'Done.', endedAt: T + 6, data: { a: 1 } })
    assert.equal(await store.write((tx) => tx.saveWorkflow(ended, 2, true)), true)
    assert.deepEqual(await store.workflow(1), ended)
    assert.equal(await store.write((tx) => tx.claimWorkflow(1, 'one', T + 900, T + 999, true)), null)
    assert.equal(await store.write((tx) => tx.cancelWorkflow(1, 'Robin', T)), false)
    assert.equal(await store.nextWorkflowDue(), null)
  })

  test('asked to stop: due at once, the first who asked is named, and the holder does not overlook it', async (t) => {
    const store = await fresh(t)
    const waiting = run(1, { dueAt: T + 60_000 })
    await store.write((tx) => tx.insertWorkflow(waiting))
    await store.write((tx) => tx.claimWorkflow(1, 'one', T, T + 100, false))
    assert.equal(await store.write((tx) => tx.cancelWorkflow(1, 'Robin', T + 1)), true)
    assert.equal(await store.write((tx) => tx.cancelWorkflow(1, 'Sam', T + 2)), true)
    assert.equal((await store.workflow(1))?.cancelledBy, 'Robin')
    await store.write((tx) => tx.saveWorkflow(waiting, 1, true))
    assert.ok(((await store.nextWorkflowDue()) ?? T) < T, 'who did not know of it looks again at once')
    await store.write((tx) => tx.claimWorkflow(1, 'one', T + 3, T + 103, false))
    await store.write((tx) => tx.saveWorkflow({ ...waiting, cancelledBy: 'Robin' }, 2, true))
    assert.equal(await store.nextWorkflowDue(), T + 60_000, 'who knows of it waits as it likes')
    assert.equal((await store.workflow(1))?.cancelledBy, 'Robin')
  })

  test('what policies did: numbered, replaced, found by policy, incident, time, and when to verify', async (t) => {
    const store = await fresh(t)
    const save = (one: Remediation) => store.write((tx) => tx.saveRemediation(one))
    assert.equal(await save(remediation({ verifyAt: T + 10 })), 1)
    assert.equal(await save(remediation({ policy: 'scale', incident: 2, at: T + 5 })), 2)
    assert.deepEqual(
      (await store.remediationsToVerify(T + 10, 9)).map(({ id }) => id),
      [1],
    )
    assert.equal(await save(remediation({ id: 1, state: 'helped' })), 1)
    assert.deepEqual(await store.remediationsToVerify(T + 10, 9), [])
    const ids = async (query: Omit<Parameters<typeof store.remediations>[0], 'limit'>) =>
      (await store.remediations({ ...query, limit: 9 })).map(({ id }) => id)
    assert.deepEqual(await ids({}), [2, 1])
    assert.deepEqual(await ids({ policy: 'heal' }), [1])
    assert.deepEqual(await ids({ incident: 2 }), [2])
    assert.deepEqual(await ids({ since: T + 1 }), [2])
    assert.equal((await store.remediations({ policy: 'heal', limit: 1 }))[0]?.state, 'helped')
  })

  test('pruning takes what belonged to incidents that are gone, and old operations of nobody, but never the newest', async (t) => {
    const store = await fresh(t)
    const over = { state: 'resolved', resolvedAt: T } as const
    const ended = { state: 'succeeded', endedAt: T } as const
    await store.write(async (tx) => {
      await tx.saveIncidents([incident(1, over), incident(2, { ...over, resolvedAt: T + 50 }), incident(3)])
      await tx.insertWorkflow(run(1, { ...ended, incident: 1 }))
      await tx.insertWorkflow(run(2, { ...ended, incident: 2 }))
      await tx.insertWorkflow(run(3, { incident: 1, startedAt: T - 5 }))
      await tx.insertWorkflow(run(4, { ...ended, state: 'failed' }))
      await tx.insertWorkflow(run(5, { ...ended, state: 'cancelled', dueAt: 0, endedAt: T + 50 }))
      await tx.insertWorkflow(run(6, { dueAt: 0 }))
      await tx.insertWorkflow(run(7, { ...ended, incident: 1 }))
      for (const id of [1, 2, 1]) await tx.saveRemediation(remediation({ incident: id }))
    })
    const left = async () => ({
      workflows: (await store.workflows({ limit: 99 })).map(({ id }) => id),
      remediations: (await store.remediations({ limit: 99 })).map(({ id }) => id),
    })
    await store.write((tx) => tx.prune(T, 100))
    assert.deepEqual(
      await left(),
      { workflows: [7, 6, 5, 4, 3, 2, 1], remediations: [3, 2, 1] },
      'nothing is old enough',
    )
    await store.write((tx) => tx.prune(T + 10, 100))
    assert.deepEqual(
      await left(),
      { workflows: [7, 6, 5, 3, 2], remediations: [3, 2] },
      'what runs, or is newest, stays',
    )
    await store.write(async (tx) => {
      assert.equal(await tx.nextWorkflowId(), 8, 'ids are part of Idempotency-Keys')
      assert.equal(await tx.saveRemediation(remediation({ incident: 3 })), 4)
      await tx.insertWorkflow(run(8, ended))
    })
    await store.write((tx) => tx.prune(T + 10, 100))
    assert.deepEqual(await left(), { workflows: [8, 6, 5, 3, 2], remediations: [4, 2] }, 'once they are not the newest')
    await store.write((tx) => tx.prune(T + 60, 100))
    assert.deepEqual(await left(), { workflows: [8, 6, 3], remediations: [4] })
  })
}
