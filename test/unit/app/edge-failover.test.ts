import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type EdgeRig, ROBIN, startEdgeRig } from './edge-rig.ts'

const HOME = [true, true]

/** Asks for a failover in Slack as Dana; the name of the question that somebody else answers. */
async function ask(rig: EdgeRig, text: string): Promise<string> {
  const asked = await rig.say(text)
  const question = /approve (a\d+)/.exec(asked.lines.join(' '))?.[1]
  assert.ok(question, `${asked.summary}\n${asked.lines.join('\n')}`)
  return question
}

const receiving = (rig: EdgeRig) => rig.world.edge.view().map((region) => region.receiving)
const over = (rig: EdgeRig, kind: string) =>
  rig.until(`the end of the ${kind}`, 120, async () =>
    (await rig.runs()).find((run) => run.kind === kind && run.state !== 'running'),
  )

test('failover agreed to by somebody else moves the clients; a second one waits; rollback brings them home', async (t) => {
  const rig = await startEdgeRig(t)
  await rig.second()
  const [there, back] = [await ask(rig, 'failover A B'), await ask(rig, 'failover B A')]
  await rig.type(ROBIN, `approve ${there}`)
  const second = await rig.type(ROBIN, `approve ${back}`)
  assert.match(second.text, /o1 is in the way: Fail over from A to B/)
  const run = await over(rig, 'failover')
  assert.equal(run.state, 'succeeded', run.outcome ?? '')
  assert.deepEqual(receiving(rig), [false, true])

  for (let n = 0; n < 40; n++) await rig.second()
  const asked = await rig.say('rollback o1')
  assert.match(asked.summary, /A: healthy, bucket 100 %\. 0\/s are offered/, 'what decays is 0 in the end')
  const question = /approve (a\d+)/.exec(asked.lines.join(' '))?.[1]
  await rig.say(`approve ${question}`)
  const undone = await over(rig, 'rollback')
  assert.equal(undone.state, 'succeeded', undone.outcome ?? '')
  assert.deepEqual(receiving(rig), HOME)
  assert.match((await rig.say('rollback o1')).summary, /rolled back already, by o2/)
})

test('cancelled at any moment, a failover brings its clients back', async (t) => {
  for (const after of [0, 3, 7, 11]) {
    const rig = await startEdgeRig(t)
    await rig.second()
    await rig.type(ROBIN, `approve ${await ask(rig, 'failover A B')}`)
    for (let n = 0; n < after; n++) await rig.second()
    assert.equal((await rig.say('cancel o1')).ok, true)
    const run = await over(rig, 'failover')
    assert.equal(run.state, 'cancelled')
    assert.deepEqual(receiving(rig), HOME, `after ${after} s: ${run.outcome}`)
  }
})

test('a failed validation is told in whole sentences', async (t) => {
  const rig = await startEdgeRig(t)
  await rig.second()
  rig.world.edge.faults.add({ kind: 'failover', mode: 'unhealthy-after-failover' })
  await rig.type(ROBIN, `approve ${await ask(rig, 'failover A B')}`)
  const run = await over(rig, 'failover')
  assert.match(
    run.outcome ?? '',
    /^Traffic is back in A\. The validation failed: \/health of B: answered 503: Region B does not serve; .*[^.]\.$/,
  )
})

test('what nobody agreed to in time does not run', async (t) => {
  const rig = await startEdgeRig(t)
  await rig.second()
  const question = await ask(rig, 'failover A B')
  for (let n = 0; n < 16 * 60; n++) await rig.second()
  assert.match((await rig.type(ROBIN, `approve ${question}`)).text, /expired .*nothing was changed/)
  assert.deepEqual(await rig.runs(), [])
})
