import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MINUTE, SECOND } from '../../../src/core/clock.ts'
import type { Json } from '../../../src/core/delivery.ts'
import { acknowledge } from '../../../src/core/transitions.ts'
import { firing } from '../../support/engine.ts'
import { createRig, type Rig, resetting } from './remediation-rig.ts'

const RECONCILE = `
  - name: reconcile
    when: { class: divergence, above: 10, for: 10s }
    action: reconcile
    mode: automatic
    cool_down: 2m
    verify: { after: 20s }
`
const REVERT = `
  - name: revert
    when: { class: divergence, above: 10, after: reconcile }
    action: revert
    mode: automatic
    cool_down: 10m
    verify: { after: 30s }
`

async function diverge(rig: Rig) {
  rig.says('A', { conflictsPerMinute: 40 })
  rig.says('B', { conflictsPerMinute: 0 })
  rig.edge.conflicts = [{ key: 'tenant-7', values: { A: 12, B: 7 }, since: null }]
  await rig.world.send(firing({ alertname: 'CrdtConflictsHigh', severity: 'warning' }))
}

test('more than max_unhelpful acts in a row without improvement: automation stops, pages, and the leads join', async (t) => {
  const rig = await createRig(t, resetting('mode: automatic').replace('max: 2', 'max: 9'))
  rig.says('A', { ratio: 0.04 })
  await rig.world.send(firing())
  await rig.world.acknowledge()
  for (let act = 1; act <= 4; act++) {
    await rig.pass(6 * MINUTE)
    await rig.end(act, act === 2 ? 'failed' : 'succeeded')
    await rig.pass(34 * SECOND)
    assert.equal((await rig.world.only()).automationStopped === undefined, act < 4, `after act ${act}`)
  }
  const { automationStopped, receivers } = await rig.world.only()
  assert.equal(automationStopped?.why, '4 automatic acts in a row did not help')
  assert.deepEqual(await rig.said('automation_stopped'), [
    'Automation stopped for this incident: 4 automatic acts in a row did not help. Telling leads. A person has to take over.',
  ])
  assert.deepEqual(receivers.at(-1), { name: 'leads', why: 'automation stopped: the engineering leads' })
  assert.deepEqual(await rig.world.pages(), ['1/#1 acknowledged', '1/1#1 triggered'])
  assert.deepEqual((await rig.world.deliveries()).map((row) => row.target).sort(), ['ALL', 'LEADS'])
  assert.ok((await rig.world.store.newestAudit('incident 1', 9)).some((row) => row.action === 'automation stop'))
  assert.ok(rig.actions.includes('automation stopped'))
  await rig.pass(6 * MINUTE)
  assert.equal((await rig.runs()).length, 4)
  assert.equal(rig.why()?.name, 'stopped')
  rig.restart()
  await rig.pass(6 * MINUTE)
  assert.equal((await rig.runs()).length, 4, 'a restart forgets nothing')
  assert.equal((await rig.said('automation_stopped')).length, 1)
})

test('an act that helps ends the row', async (t) => {
  const rig = await createRig(t, resetting('mode: automatic').replace('max: 2', 'max: 9'))
  await rig.world.send(firing())
  for (let act = 1; act <= 5; act++) {
    rig.says('A', { ratio: 0.04 })
    await rig.pass(6 * MINUTE)
    await rig.end(act)
    if (act === 3) rig.says('A', { ratio: 0.08 })
    await rig.pass(34 * SECOND)
  }
  assert.deepEqual(
    (await rig.rows()).slice(0, 5).map((row) => row.state),
    ['not_helped', 'not_helped', 'helped', 'not_helped', 'not_helped'],
  )
  assert.equal((await rig.world.only()).automationStopped, undefined)
})

test('a reconcile works on the regions whose copies differ, and only where something diverges', async (t) => {
  const rig = await createRig(t, `\nremediation:${RECONCILE}`)
  await diverge(rig)
  rig.edge.conflicts = []
  await rig.pass(30 * SECOND)
  assert.equal(rig.why()?.text, 'No key diverges')
  rig.edge.conflicts = [{ key: 'tenant-7', values: { A: 12, B: 7, 'a-node': 3 }, since: null }]
  await rig.pass(2 * SECOND)
  const [run] = await rig.runs()
  assert.deepEqual(run?.input, { regions: ['A', 'B'], policy: 'highest-capacity' })
})

test('reconciled, and it diverges again: the version is reverted, wherever it runs', async (t) => {
  const rig = await createRig(t, `\nremediation:${RECONCILE}${REVERT}`)
  await diverge(rig)
  rig.says('B', { version: '1.8.0' })
  await rig.pass(12 * SECOND)
  assert.deepEqual(
    (await rig.runs()).map((run) => run.kind),
    ['reconcile'],
  )
  assert.equal(rig.why('A', 'revert')?.name, 'not_yet')
  await rig.end(1)
  rig.says('A', { conflictsPerMinute: 0 })
  await rig.pass(22 * SECOND)
  assert.equal((await rig.rows())[0]?.state, 'helped')
  rig.says('A', { conflictsPerMinute: 50 })
  await rig.pass(2 * SECOND)
  const [, revert] = await rig.runs()
  assert.deepEqual([revert?.kind, revert?.input], ['revert', { regions: ['A'], policy: 'highest-capacity' }])
  assert.deepEqual(await rig.said('remediation'), [
    'Why o1: conflicts a minute 40 in A, above 10 for 10s.',
    'Why o2: conflicts a minute 50 in A, above 10.',
  ])
})

test('right after the reconcile a rate over the last minute proves nothing, unless keys still diverge', async (t) => {
  const rig = await createRig(t, `\nremediation:${RECONCILE}${REVERT}`)
  await diverge(rig)
  await rig.pass(12 * SECOND)
  await rig.end(1)
  await rig.pass(20 * SECOND)
  assert.equal(rig.why('A', 'revert')?.name, 'not_yet')
  await rig.pass(14 * SECOND)
  assert.equal((await rig.runs()).at(-1)?.kind, 'revert', 'it has lasted as long as its check takes')

  const other = await createRig(t, `\nremediation:${RECONCILE}${REVERT}`)
  await diverge(other)
  await other.pass(12 * SECOND)
  await other.end(1, 'failed', { inconsistent: true })
  await other.pass(2 * SECOND)
  assert.deepEqual(await other.said('remediation'), [
    'Why o1: conflicts a minute 40 in A, above 10 for 10s.',
    'Why o2: keys still diverge after o1.',
  ])
  assert.equal((await other.world.only()).automationStopped, undefined, 'something was left to try')
})

test('after a restart nobody knows that it ever was well: the first look is no sign that it came back', async (t) => {
  const rig = await createRig(t, `\nremediation:${RECONCILE}${REVERT}`)
  await diverge(rig)
  await rig.pass(12 * SECOND)
  await rig.end(1)
  rig.restart()
  await rig.pass(10 * SECOND)
  assert.equal(rig.why('A', 'revert')?.name, 'not_yet')
  assert.equal((await rig.runs()).length, 1)
})

test('a reconcile that says itself that keys diverged again is answered at once, and once', async (t) => {
  const rig = await createRig(t, `\nremediation:${RECONCILE.replace('2m', '20m')}${REVERT.replace('10m', '10s')}`)
  await diverge(rig)
  await rig.pass(12 * SECOND)
  await rig.end(1, 'succeeded', { divergedAgain: true })
  rig.says('A', { conflictsPerMinute: 5 })
  await rig.pass(2 * SECOND)
  assert.equal((await rig.said('remediation')).at(-1), 'Why o2: keys diverged again after o1.')
  await rig.end(2)
  await rig.pass(3 * MINUTE)
  assert.equal((await rig.runs()).length, 2)
  assert.equal(rig.why('A', 'revert')?.name, 'not_past_threshold')
  assert.equal((await rig.world.only()).automationStopped, undefined)
})

test('keys still diverge after the reconcile and nothing is left to try: data inconsistency ends automation', async (t) => {
  const inconsistent: Json = { inconsistent: true }
  const rig = await createRig(t, `\nremediation:${RECONCILE}`)
  await diverge(rig)
  await rig.pass(12 * SECOND)
  await rig.end(1, 'failed', inconsistent)
  await rig.pass(2 * SECOND)
  assert.equal(
    (await rig.world.only()).automationStopped?.why,
    'keys still diverge after o1, and nothing is left to try',
  )

  const tried = await createRig(t, `\nremediation:${RECONCILE}${REVERT}`)
  await diverge(tried)
  await tried.pass(12 * SECOND)
  await tried.end(1, 'failed', inconsistent)
  await tried.pass(2 * SECOND)
  await tried.end(2, 'failed', inconsistent)
  await tried.pass(4 * SECOND)
  assert.equal(
    (await tried.world.only()).automationStopped?.why,
    'keys still diverge after o2, and nothing is left to try',
  )
})

const SLO = `slo: { objective: 0.999, burn_limit: 10 }`

test('an error budget that burns too fast at two looks in a row ends automation; once is no breach', async (t) => {
  const rig = await createRig(t, `${SLO}${resetting()}`)
  rig.says('A', { ratio: 0.5, errorRatio: 0.02 })
  await rig.world.send(firing())
  await rig.pass(2 * SECOND)
  rig.says('A', { errorRatio: 0.005 })
  await rig.pass(2 * SECOND)
  rig.says('A', { errorRatio: 0.02 })
  await rig.pass(2 * SECOND)
  assert.equal((await rig.world.only()).automationStopped, undefined)
  await rig.pass(2 * SECOND)
  assert.equal(
    (await rig.world.only()).automationStopped?.why,
    'the error budget burns 20 times faster than it may (limit 10)',
  )
})

test('the service level is asked of Prometheus where it has a query; no answer is no breach', async (t) => {
  const rig = await createRig(t, `${SLO.replace(' }', ', query: "errors" }')}${resetting()}`)
  rig.says('A', { errorRatio: 0.5 })
  await rig.world.send(firing())
  await rig.pass(20 * SECOND)
  assert.equal((await rig.world.only()).automationStopped, undefined)
  rig.query.answer = 0.03
  await rig.pass(4 * SECOND)
  assert.match((await rig.world.only()).automationStopped?.why ?? '', /burns 30 times/)
})

test('a bad canary is aborted once for all regions, by the alert where the edge rates none', async (t) => {
  const canary = `
remediation:
  - { name: canary, when: { class: canary, below: 0.70 }, action: canary abort, mode: automatic, verify: { after: 10s } }
`
  const rig = await createRig(t, canary)
  rig.says('A', { ratingScore: null })
  rig.says('B', { ratingScore: null, canaryWeight: 0 })
  await rig.world.send(
    firing({ alertname: 'CanaryRatingLow', severity: 'warning' }),
    firing({ alertname: 'CanaryRatingLow', severity: 'warning', region: 'B' }),
  )
  await rig.pass(2 * SECOND)
  const [run, ...more] = await rig.runs()
  assert.deepEqual([run?.kind, run?.regions, more], ['canary abort', [], []])
  await rig.end(1)
  rig.says('A', { canaryWeight: 0 })
  await rig.pass(20 * MINUTE)
  assert.equal((await rig.runs()).length, 1)
  assert.equal(rig.why('')?.text, 'No canary takes traffic')

  const rated = await createRig(t, canary)
  rated.says('A', { ratingScore: 0.9 })
  await rated.world.send(firing({ alertname: 'CanaryRatingLow', severity: 'warning' }))
  await rated.pass(10 * SECOND)
  assert.equal(rated.why('')?.name, 'not_past_threshold')
})

test('the standby is scaled out, and while that lasts the bucket is reset if it stays empty', async (t) => {
  const rig = await createRig(
    t,
    `
actions: { scale: { standby: B, replicas: 6, lasts: 30m } }
remediation:
  - { name: scale, when: { class: exhaustion, below: 0.05, for: 30s }, action: scale, mode: automatic, verify: { after: 30s } }
  - { name: reset, when: { class: exhaustion, below: 0.10, after: scale }, action: reset, mode: automatic, verify: { after: 30s } }
`,
  )
  rig.says('A', { ratio: 0.03 })
  rig.says('B')
  await rig.world.send(firing())
  await rig.pass(32 * SECOND)
  const [scale, ...more] = await rig.runs()
  assert.deepEqual([scale?.input, scale?.regions, more], [{ region: 'B', replicas: 6, lasts: 30 * MINUTE }, ['B'], []])
  assert.equal(rig.why('A', 'reset')?.text, 'Only after a scale, and none is over in this incident')
  // The run sleeps until it scales in again: its work is done, and is judged.
  await rig.world.store.write(async (tx) => {
    const fence = await tx.claimWorkflow(1, 'test', rig.world.now(), rig.world.now() + 1000, true)
    const run = await tx.workflow(1)
    if (fence === null || !run) throw new Error('o1 does not run')
    const now = rig.world.now()
    const step = { name: 'scale', attempts: 1, startedAt: now, endedAt: now, result: null, error: null }
    await tx.saveWorkflow({ ...run, dueAt: now + 30 * MINUTE, steps: [{ ...step, state: 'done' }] }, fence, true)
  })
  await rig.pass(34 * SECOND)
  assert.equal((await rig.rows())[0]?.state, 'not_helped')
  const [, reset] = await rig.runs()
  assert.deepEqual([reset?.kind, reset?.regions], ['reset', ['A']])
})

test('a failover is proposed at most; the command is what a person would type', async (t) => {
  const rig = await createRig(
    t,
    `
remediation:
  - { name: move, when: { class: region }, action: failover, with: { to: B }, mode: suggest }
  - { name: grow, when: { class: region }, action: capacity, with: { factor: 2, lasts: 15m }, mode: suggest }
`,
  )
  rig.says('A', { healthy: false, bucket: null, p95LatencySeconds: null })
  rig.says('B')
  await rig.world.send(firing({ alertname: 'RegionDown' }))
  await rig.pass(2 * SECOND)
  assert.deepEqual(
    (await rig.world.only()).proposals?.map(({ label, command }) => [label, command]),
    [
      ['Fail over from A to B', 'failover A B'],
      ['Capacity of A times 2 for 15 min', 'capacity A 2 15m'],
    ],
  )
  assert.deepEqual(await rig.runs(), [])
})

test('without an edge, or while it is silent, nothing is done on it, and the story says why', async (t) => {
  const policy = `
remediation:
  - { name: revert, when: { class: region }, action: revert, mode: automatic }
`
  const rig = await createRig(t, policy)
  rig.edge.down = true
  await rig.world.send(firing({ alertname: 'RegionDown' }))
  await rig.pass(4 * SECOND)
  assert.equal(rig.why()?.text, 'The edge does not answer')
  rig.edge.configured = false
  await rig.pass(4 * SECOND)
  assert.equal(rig.why()?.text, 'No edge is configured')
  assert.deepEqual(await rig.said('remediation_held_back'), [
    'Policy "revert" does not act in A: The edge does not answer.',
  ])
})

test('a held page goes out at once when a user is touched or an alert of another class joins; else when its time is over', async (t) => {
  const canary = `
remediation:
  - { name: canary, when: { class: canary, below: 0.70, for: 1h }, action: canary abort, mode: automatic, hold_page: 2m }
`
  const held = async () => {
    const rig = await createRig(t, canary)
    rig.says('A', { ratingScore: 0.5 })
    await rig.world.send(firing({ alertname: 'CanaryRatingLow', severity: 'warning' }))
    await rig.world.act(1, ({ incident }) => {
      incident.pageHeld = incident.openedAt + 2 * MINUTE
    })
    await rig.pass(10 * SECOND)
    assert.equal(typeof (await rig.world.only()).pageHeld, 'number')
    return rig
  }
  const touched = await held()
  touched.says('A', { errorRatio: 0.01 })
  await touched.pass(2 * SECOND)
  assert.equal((await touched.world.only()).pageHeld, undefined)
  assert.equal((await touched.said('page_released')).length, 1)
  assert.equal((await touched.world.deliveries())[0]?.priority, 0)

  const joined = await held()
  await joined.world.send(firing({ alertname: 'SomethingElse', severity: 'warning' }))
  await joined.pass(2 * SECOND)
  assert.equal((await joined.said('page_released')).length, 1)

  const off = await held()
  await off.switch('off')
  await off.pass(2 * SECOND)
  assert.equal((await off.said('page_released')).length, 1)

  const waited = await held()
  await waited.pass(2 * MINUTE)
  assert.equal((await waited.world.only()).pageHeld, undefined)
  assert.deepEqual(await waited.said('page_released'), [], 'its delivery is due by itself')

  const taken = await held()
  await taken.world.act(1, (draft) => void acknowledge(draft, 'Dana', '', taken.world.now()))
  await taken.pass(2 * SECOND)
  assert.equal((await taken.world.only()).pageHeld, undefined)
})

test('a version that was reverted once is not reverted again: that would bring it back', async (t) => {
  const rig = await createRig(t, `\nremediation:${RECONCILE}${REVERT.replace('10m', '10s')}`)
  await diverge(rig)
  await rig.pass(12 * SECOND)
  await rig.end(1, 'succeeded', { divergedAgain: true })
  await rig.pass(2 * SECOND)
  assert.equal((await rig.runs()).at(-1)?.kind, 'revert')
  await rig.world.store.write(async (tx) => {
    const run = await tx.workflow(2)
    const fence = await tx.claimWorkflow(2, 'x', rig.world.now(), rig.world.now() + 1, true)
    assert.ok(run && fence !== null)
    const at = { startedAt: rig.world.now(), endedAt: rig.world.now(), result: null, error: null }
    run.steps.push({ name: 'reverted A', state: 'done', attempts: 0, ...at })
    await tx.saveWorkflow(run, fence, true)
  })
  await rig.end(2)
  await rig.pass(8 * MINUTE)
  assert.deepEqual(
    (await rig.runs()).filter(({ kind }) => kind === 'revert').map(({ id }) => id),
    [2],
  )
  assert.ok(
    (await rig.said('remediation_held_back')).some((text) => /o2 has reverted the version already/.test(text)) ||
      (await rig.world.only()).automationStopped,
  )
})
