import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isPolicy } from '../../../src/core/remediation.ts'
import { ROBIN, startEdgeRig } from './edge-rig.ts'

test('merge-bug with the sandbox’s policies: seen, paged, reconciled, reverted, verified and resolved by nobody', async (t) => {
  const rig = await startEdgeRig(t)
  const { world } = rig
  world.start('merge-bug')
  const [incident] = await rig.until('an incident', 60, async () => {
    const found = await rig.incidents()
    return found.length > 0 && found
  })
  assert.ok(incident)
  await rig.until('a page', 60, async () => world.pagerduty.state.incidents.length > 0)
  await rig.until('the version reverted', 110, async () =>
    (await rig.runs()).find((run) => run.kind === 'revert' && run.state === 'succeeded'),
  )
  const cured = rig.seconds()
  assert.ok(cured < 120, `the pressure still lasts: cured after ${cured} s`)
  assert.deepEqual(
    world.edge.view().map(({ version }) => version),
    ['1.8.2', '1.8.2'],
  )
  await rig.until('all incidents resolved', 120, async () =>
    (await rig.incidents()).every(({ state }) => state === 'resolved'),
  )

  const runs = await rig.runs()
  assert.ok(
    runs.every((run) => isPolicy(run.by)),
    'only policies acted',
  )
  assert.deepEqual(
    runs
      .filter(({ kind }) => ['reconcile', 'revert'].includes(kind))
      .map(({ kind }) => kind)
      .slice(0, 2),
    ['reconcile', 'revert'],
  )
  assert.ok((await rig.incidents()).every((one) => one.acknowledgedBy === null && one.resolvedBy === null))
  const people = (await rig.audit()).filter(({ actor }) => actor === 'Dana' || actor === 'Robin')
  assert.deepEqual(people, [])
  const kinds = (await rig.story(incident.id)).map(({ kind }) => kind)
  for (const kind of ['opened', 'triage', 'operation', 'operation_done', 'resolved']) {
    assert.ok(kinds.includes(kind), `${kind} is in the story: ${kinds.join(', ')}`)
  }
  const helped = await rig.app.parts.store.remediations({ limit: 50 })
  assert.ok(
    helped.some((one) => one.action === 'revert' && one.state === 'helped'),
    JSON.stringify(helped),
  )
  t.diagnostic(`cured ${cured} s after the patch went out; ${runs.length} operations`)
})

test('merge-bug with policies off: a person heals it by four clicks in chat', async (t) => {
  const rig = await startEdgeRig(t)
  const { world } = rig
  await rig.say('automation off')
  world.start('merge-bug')
  const ready = await rig.until('a verdict with its act', 90, async () => {
    const own = world.slack.state.inChannel('C0CRITICAL').find((one) => one.own && one.threadTs === null)
    return own && JSON.stringify(own.blocks).includes('claw:revert') && own
  })
  assert.deepEqual(await rig.runs(), [])
  // Click 1
  await rig.click(ready, 'claw:ack')
  // Clicks 2 and 3: the act that the verdict recommends, and its confirmation
  await rig.confirmed(rig.message('C0CRITICAL'), 'claw:revert')
  await rig.until('the revert', 100, async () =>
    (await rig.runs()).find((run) => run.kind === 'revert' && run.state === 'succeeded'),
  )
  assert.ok(rig.seconds() < 120, 'the pressure still lasts')
  assert.deepEqual(
    world.edge.view().map(({ version }) => version),
    ['1.8.2', '1.8.2'],
  )
  assert.deepEqual(world.edge.conflicts(), [])
  await rig.until('resolved', 120, async () => (await rig.incidents()).every(({ state }) => state === 'resolved'))
  const said = (await rig.audit()).filter(({ actor, via }) => actor === 'Dana' && via === 'slack')
  assert.ok(said.some(({ action, outcome }) => action === 'revert' && outcome === 'done'))
})

test('a failover whose validation fails comes back by itself', async (t) => {
  const rig = await startEdgeRig(t)
  const { world } = rig
  await rig.second()
  world.edge.faults.add({ kind: 'failover', mode: 'unhealthy-after-failover' })
  const asked = await rig.say('failover A B')
  assert.equal(asked.ok, true, asked.summary)
  const approval = /approve (a\d+)/.exec(asked.lines.join(' '))?.[1]
  assert.ok(approval, asked.lines.join('\n'))
  assert.deepEqual(await rig.runs(), [], 'nothing begins before somebody else agreed')
  await rig.type(ROBIN, `approve ${approval}`)
  const run = await rig.until('the end of it', 120, async () =>
    (await rig.runs()).find((one) => one.kind === 'failover' && one.state !== 'running'),
  )
  assert.equal(run.state, 'failed', run.outcome ?? '')
  assert.deepEqual(
    world.edge.view().map(({ receiving }) => receiving),
    [true, true],
  )
  assert.ok(run.data !== null && typeof run.data === 'object' && 'postmortem' in run.data)
})

test('policies that do not help stop themselves and tell the leads', async (t) => {
  const rig = await startEdgeRig(t)
  const { world } = rig
  for (const kind of ['reconcile', 'revert'] as const) world.edge.faults.add({ kind, mode: 'fail', times: 50 })
  world.start('merge-bug')
  const stopped = await rig.until('automation ends for the incident', 150, async () =>
    (await rig.incidents()).find((one) => one.automationStopped !== undefined),
  )
  const before = (await rig.runs()).length
  assert.ok(
    stopped.receivers.some(({ name }) => name === 'leads'),
    'the leads hear of it',
  )
  for (let n = 0; n < 40; n++) await rig.second()
  const later = (await rig.runs()).slice(before).filter((run) => run.incident === stopped.id && isPolicy(run.by))
  assert.deepEqual(
    later.map(({ title }) => title),
    [],
  )
})
