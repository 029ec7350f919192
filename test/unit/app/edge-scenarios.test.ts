import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isPolicy } from '../../../src/core/remediation.ts'
import { type EdgeRig, startEdgeRig } from './edge-rig.ts'

/** Lets the edge be seen as it is in quiet times, then plays a scenario to its end. */
async function play(rig: EdgeRig, name: string, seconds: number): Promise<void> {
  for (let n = 0; n < 20; n++) await rig.second()
  rig.world.start(name)
  for (let n = 0; n < seconds; n++) await rig.second()
}

const suggest = (yaml: string): string => yaml.replaceAll('mode: automatic', 'mode: suggest')

test('traffic-spike: the limiter is right, nothing is reset, the standby is scaled out, and it resolves', async (t) => {
  const rig = await startEdgeRig(t)
  await play(rig, 'traffic-spike', 130)
  const [incident] = await rig.incidents()
  assert.ok(incident)
  assert.deepEqual([incident.triage?.verdict.limiter, incident.triage?.verdict.act], ['right', null])
  assert.equal(incident.state, 'resolved')
  const runs = await rig.runs()
  assert.deepEqual([...new Set(runs.map(({ kind }) => kind))], ['scale'])
  assert.ok(runs.every(({ state }) => state === 'succeeded'))
})

test('partition: it is judged so, and no policy acts while nothing that could be cured is seen', async (t) => {
  const rig = await startEdgeRig(t)
  await play(rig, 'partition', 50)
  const [incident] = await rig.incidents()
  assert.equal(incident?.triage?.verdict.cause, 'partition')
  assert.match(incident?.triage?.verdict.act?.risk ?? '', /mend that first/)
  for (let n = 0; n < 80; n++) await rig.second()
  const [over] = await rig.incidents()
  assert.equal(over?.state, 'resolved')
  const kinds = (await rig.runs()).map(({ kind }) => kind)
  assert.ok(
    kinds.every((kind) => kind === 'reconcile'),
    kinds.join(),
  )
  const story = await rig.story(over?.id ?? 0)
  assert.deepEqual(
    story.filter(({ kind }) => kind === 'remediation_held_back'),
    [],
    'nothing to do is no news',
  )
})

test('region-outage: the stalled refill first, then the dead region, with a failover one click away', async (t) => {
  const rig = await startEdgeRig(t)
  await play(rig, 'region-outage', 20)
  const [incident] = await rig.incidents()
  assert.ok(incident)
  assert.equal(incident.triage?.verdict.cause, 'stalled refill')
  assert.equal(
    incident.triage?.verdict.act?.command,
    'scale A',
    'a reset would be refused: more is asked for than flows in',
  )
  await rig.until('the dead region', 60, async () => {
    const [now] = await rig.incidents()
    return now?.triage?.verdict.cause === 'region down'
  })
  await rig.until('the button', 20, async () =>
    JSON.stringify(rig.message('C0CRITICAL').blocks).includes('claw:failover'),
  )
  assert.ok(
    (await rig.runs()).every(({ kind }) => kind !== 'failover'),
    'no policy fails over by itself',
  )
  const asked = await rig.click(rig.message('C0CRITICAL'), 'claw:failover')
  assert.match(`${asked.text} ${JSON.stringify(asked.blocks)}`, /Fail over from A to B|No failover from A to B/)
})

test('bad-canary: aborted before a user is hurt, and nobody is paged', async (t) => {
  const rig = await startEdgeRig(t, (yaml) => yaml.replace('  - name: high\n', '  - name: high\n    pagerduty: {}\n'))
  await play(rig, 'bad-canary', 130)
  const [incident] = await rig.incidents()
  assert.ok(incident)
  assert.equal(incident.state, 'resolved')
  assert.equal(incident.level, 'P2')
  const runs = await rig.runs()
  assert.deepEqual(
    runs.map(({ kind, state }) => [kind, state]),
    [['canary abort', 'succeeded']],
  )
  assert.ok(rig.world.edge.view().every((region) => region.canary_weight === 0))
  assert.deepEqual(rig.world.pagerduty.state.pages, [], 'the page was held, and then there was nothing to page for')
  const story = await rig.story(incident.id)
  assert.ok(
    story.some(({ text }) => text === 'Why o1: canary rating 0.56, below 0.7.'),
    story.map(({ text }) => text).join('\n'),
  )
})

test('bad-canary with automation off: the page waits for nobody, and says why', async (t) => {
  const rig = await startEdgeRig(t, (yaml) => yaml.replace('  - name: high\n', '  - name: high\n    pagerduty: {}\n'))
  await rig.say('automation off')
  await play(rig, 'bad-canary', 30)
  assert.equal(rig.world.pagerduty.state.pages.length, 1)
  const [incident] = await rig.incidents()
  const released = (await rig.story(incident?.id ?? 0)).find(({ kind }) => kind === 'page_released')
  assert.equal(released?.text, 'The page waits no longer: automation is off.')
})

test('alert-storm: three services, three incidents, and nobody acts', async (t) => {
  const rig = await startEdgeRig(t)
  await play(rig, 'alert-storm', 110)
  const incidents = await rig.incidents()
  assert.equal(incidents.length, 3)
  assert.ok(incidents.every(({ state }) => state === 'resolved'))
  assert.deepEqual(await rig.runs(), [])
  assert.equal(rig.world.pagerduty.state.pages.length, 3)
})

test('merge-bug in suggest mode: one proposal rings once, its button heals, and after that nothing is proposed', async (t) => {
  const rig = await startEdgeRig(t, suggest)
  await play(rig, 'merge-bug', 20)
  const proposed = await rig.until('a proposal', 40, async () =>
    JSON.stringify(rig.message('C0CRITICAL').blocks).includes('claw:reconcile'),
  )
  assert.ok(proposed)
  for (let n = 0; n < 30; n++) await rig.second()
  const [incident] = await rig.incidents()
  assert.ok(incident)
  const pushed = (await rig.story(incident.id)).filter(({ kind }) => kind === 'remediation_suggested')
  assert.equal(pushed.length, 1, pushed.map(({ text }) => text).join('\n'))
  assert.deepEqual(await rig.runs(), [], 'a proposal is no act')
  await rig.confirmed(rig.message('C0CRITICAL'), 'claw:reconcile')
  await rig.until('the revert is proposed after the reconcile', 60, async () =>
    (await rig.story(incident.id)).some(({ kind, text }) => kind === 'remediation_suggested' && /Revert/.test(text)),
  )
  await rig.confirmed(rig.message('C0CRITICAL'), 'claw:revert')
  await rig.until('resolved', 150, async () => (await rig.incidents()).every(({ state }) => state === 'resolved'))
  const runs = await rig.runs()
  assert.ok(runs.every((run) => !isPolicy(run.by)))
  assert.deepEqual(
    runs.map(({ kind, state }) => [kind, state]),
    [
      ['reconcile', 'succeeded'],
      ['revert', 'succeeded'],
    ],
  )
  const helped = await rig.app.parts.store.remediations({ incident: incident.id, limit: 10 })
  assert.deepEqual(
    helped.filter(({ action }) => action === 'revert').map(({ state }) => state),
    ['helped'],
    'taken up, it is judged like an act of the policy',
  )
  // After the cure the version is not blamed, and not brought back.
  const again = await rig.say('revert')
  assert.equal(again.code, 'conflict')
  assert.match(again.summary, /A went back from 1\.9\.0 to 1\.8\.2 at .* already; again would bring 1\.9\.0 back/)
})

test('merge-bug: once it is cured, no later look finds another cause, nor advises anything', async (t) => {
  const rig = await startEdgeRig(t)
  await play(rig, 'merge-bug', 170)
  const [incident] = await rig.incidents()
  assert.ok(incident)
  assert.equal(incident.triage?.verdict.cause, 'bad version')
  const told = (await rig.story(incident.id)).filter(({ kind }) => kind === 'triage').map(({ text }) => text)
  assert.equal(told.length, 1, told.join('\n'))
})

test('automation off in the midst stops what a policy has under way, and says what stands', async (t) => {
  const rig = await startEdgeRig(t)
  for (let n = 0; n < 20; n++) await rig.second()
  rig.world.start('merge-bug')
  await rig.until('the first region went back', 80, async () =>
    (await rig.runs()).find(({ kind, steps }) => kind === 'revert' && steps.some(({ name }) => name === 'reverted A')),
  )
  const off = await rig.say('automation off')
  assert.match(off.lines[0] ?? '', /^o2 is being stopped: Revert the version in A and B\.$/)
  const stopped = await rig.until('its end', 10, async () =>
    (await rig.runs()).find(({ kind, state }) => kind === 'revert' && state !== 'running'),
  )
  assert.equal(stopped.state, 'cancelled')
  assert.equal(
    stopped.outcome,
    'Revert the version in A and B was stopped by Dana; what the edge had begun may go on there. A went back.',
  )
  const before = (await rig.runs()).length
  for (let n = 0; n < 30; n++) await rig.second()
  assert.equal((await rig.runs()).length, before)
})
