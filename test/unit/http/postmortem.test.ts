import assert from 'node:assert/strict'
import { test } from 'node:test'
import { postmortemOf } from '../../../handlers/api/incidents.ts'
import type { WorkflowRun } from '../../../src/core/workflow.ts'
import { createWorld, firing, START } from '../../support/engine.ts'

test('the draft tells triage, checklist, and the stub that a failed failover left', async (t) => {
  const world = await createWorld(t)
  await world.send(firing())
  await world.act(1, (draft) => {
    draft.incident.triage = {
      at: START,
      regions: ['A: 4 % left'],
      diverged: { keys: 2, examples: ['tenant-1: A 1, B 2'] },
      changes: [{ at: START - 60_000, region: 'A', what: 'version', from: '1.8.2', to: '<b>1.9.0</b>' }],
      verdict: {
        limiter: 'wrong',
        cause: 'bad version',
        confidence: 0.93,
        summary: 'The limiter is wrong.',
        evidence: ['2 nodes are off'],
        act: { label: 'Revert 1.9.0', command: 'revert A', risk: 'Back to 1.8.2.' },
      },
    }
  })
  const run: WorkflowRun = {
    id: 1,
    kind: 'failover',
    input: null,
    title: 'Fail over from A to B',
    regions: ['A', 'B'],
    incident: 1,
    by: 'Dana',
    via: 'slack',
    replyTo: null,
    state: 'failed',
    steps: [
      {
        name: 'validate',
        state: 'failed',
        attempts: 1,
        startedAt: START,
        endedAt: START + 9_000,
        result: null,
        error: { code: 'timeout', message: 'bucket stayed at 0.6' },
      },
    ],
    dueAt: 0,
    cancelledBy: null,
    startedAt: START,
    endedAt: START + 60_000,
    outcome: 'Clients are back in A.',
    data: { postmortem: { why: 'bucket | 0.6', startedAt: START, before: { A: 'on' } } },
  }
  await world.store.write(async (tx) => {
    run.id = await tx.nextWorkflowId()
    await tx.insertWorkflow(run)
  })
  const incident = await world.only()
  const viewOf = async () => world.view()
  const text = await postmortemOf({ store: world.store, viewOf, clock: world.now }, incident)
  const must = [
    '- Verdict: The limiter is wrong. (bad version, 93 % sure)',
    '- Evidence: 2 nodes are off',
    '- Advised: revert A. Back to 1.8.2.',
    '- Changed: 2026-05-04 02:14:00 UTC, A: version from 1.8.2 to &lt;b&gt;1.9.0&lt;/b&gt;',
    '## Failed: o1, Fail over from A to B',
    '- Started by Dana at 2026-05-04 02:15:00 UTC, ended after 1 min',
    '- validate failed: bucket stayed at 0.6',
    '- why: bucket &#124; 0.6',
    '- startedAt: 2026-05-04 02:15:00 UTC',
    '- before, A: on',
    '| detection | done (claw) |  | 2026-05-04 02:15:00 UTC | An alert was received. |',
    '| post-mortem | open |  |  |  |',
    'o1: validate begins.',
    'A: version changed from 1.8.2 to',
  ]
  for (const said of must) assert.ok(text.includes(said), `${said}\n\n${text}`)
})
