import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MINUTE } from '../../../src/core/clock.ts'
import { firing } from '../../support/engine.ts'
import { createRig, region, shown } from './rig.ts'

test('/claw alone: all quiet, with each region and that paging is proven', async (t) => {
  const { say } = await createRig(t)
  const quiet = await say('/claw')
  assert.equal(quiet.summary, 'All quiet: no incident is open.')
  assert.deepEqual(quiet.table?.rows[0], ['A', 'healthy', '███░░ 52 %', '0.04 s', '0/min', '240/s', '10 % v1.4.2'])
  assert.deepEqual(quiet.lines, [
    'Regions as of 8 s ago.',
    'Paging proven 4 min ago · heartbeat 12 s ago · no dead letters.',
    'Nothing to do.',
  ])
})

test('status names the worst first and offers to acknowledge it', async (t) => {
  const { say, world } = await createRig(t)
  await world.send(firing())
  await world.send(firing({ service: 'other', severity: 'warning', region: 'B' }))
  await say('ack 1')
  const now = await say('status')
  assert.equal(now.summary, '2 incidents open, worst P1: Bucket nearly empty in A · rating-api.')
  assert.match(now.lines[0] ?? '', /^1 · P1 · .* · since 02:15 UTC · Dana is on it$/)
  assert.match(now.lines[1] ?? '', /nobody has it$/)
  assert.deepEqual(
    now.buttons.map((button) => button.command),
    ['ack 2'],
  )
  assert.equal(now.lines.at(-1), 'Next: ack 2.')
  const one = await say('status b')
  assert.match(one.summary, /^1 incident open in b, worst P2/)
  assert.deepEqual(
    one.table?.rows.map(([name]) => name),
    ['B'],
  )
  const unknown = await say('status AA')
  assert.equal(unknown.code, 'not_found')
  assert.match(unknown.summary, /did you mean "A"/)
})

test('status says what is unknown, how old it is, and what is wrong besides incidents', async (t) => {
  const { say, services, world } = await createRig(t)
  const sick = region('B', { healthy: false, receiving: false, ratio: null, syncLagSeconds: null, canaryWeight: null })
  services.regions = async () => ({
    regions: [region('A', { syncLagSeconds: null }), sick],
    at: world.now() - 3 * MINUTE,
    problem: 'the edge did not answer within 2 s',
    configured: true,
  })
  services.vitals = async () => ({ pagingProvenAt: null, heartbeatAge: 9 * MINUTE, deadLetters: 2, waiting: 1 })
  const told = shown(await say('status'))
  assert.match(told, /^No incident is open, but region B is not healthy\./)
  assert.match(told, /B \| NOT HEALTHY, standby \| \? \| \? /)
  assert.match(told, /Regions are 3 min old: the edge did not answer within 2 s\./)
  assert.match(told, /Unknown \(\?\): bucket of B; sync lag; canary weight of B\./)
  assert.match(told, /Alertmanager has not been heard for 9 min/)
  assert.match(told, /Paging not proven yet · heartbeat 9 min ago · 2 dead letters · 1 message waiting\./)
})

test('status answers when nothing else does', async (t) => {
  const { say, services } = await createRig(t)
  services.regions = async () => {
    throw new Error('connection refused')
  }
  services.vitals = async () => {
    throw new Error('slow')
  }
  const told = await say('status')
  assert.equal(told.ok, true)
  assert.match(shown(told), /Nothing is known of the regions: connection refused\./)
  services.regions = async () => ({ regions: [], at: null, problem: null, configured: false })
  assert.match(shown(await say('status')), /no edge is configured/)
})

test('incidents: the most urgent first, at most 20, and how many more', async (t) => {
  const { say, world } = await createRig(t)
  assert.equal((await say('incidents')).summary, 'No incident is open.')
  for (let n = 0; n < 22; n++)
    await world.send(firing({ service: `s${n}`, severity: n === 3 ? 'critical' : 'warning' }))
  const list = await say('incidents')
  assert.equal(list.summary, '22 incidents open, worst P1: Bucket nearly empty in A · s3.')
  assert.deepEqual([list.table?.rows.length, list.table?.rows[0]?.slice(0, 3)], [20, ['4', 'P1', 'open']])
  assert.deepEqual(list.lines, ['And 2 more, less urgent ones.', 'Next: ack 4.'])
  for (const row of list.table?.rows ?? []) assert.equal(row.length, list.table?.head.length)
})

test('show: the reasons for its level and for each receiver, and what became of each message', async (t) => {
  const { say, world } = await createRig(t)
  await world.send(firing({ region: 'A\u202eB' }))
  const told = await say('show #1')
  const text = shown(told)
  assert.match(text, /Why P1: severity="critical" makes it P1 \(rule 1\)\./)
  assert.match(text, /Receiver critical: .*\n- slack:CRIT on its way/)
  assert.match(text, /TokenBucketDepleted \| A B \| P1 \| firing \| 02:14 UTC \| 1/)
  assert.match(text, /02:15 UTC Opened as P1/)
  assert.match(told.lines.at(-1) ?? '', /^Next: Acknowledge it/)
  assert.ok(!text.includes('\u202e'))
  assert.equal(told.buttons[0]?.command, 'ack 1')
})

test('oncall: who, and what to configure when nobody can tell', async (t) => {
  const { say, services, world } = await createRig(t)
  const no = await say('oncall')
  assert.equal(no.code, 'unavailable')
  assert.match(shown(no), /pagerduty\.api_token/)
  services.onCall = async () => [
    { level: 2, name: 'Bob', policy: 'edge', until: null },
    { level: 1, name: 'Dana', policy: 'edge', until: world.now() + 60 * MINUTE },
  ]
  const yes = await say('oncall')
  assert.equal(yes.summary, 'On call: Dana.')
  assert.deepEqual(yes.table?.rows[0], ['1', 'Dana', 'edge', '03:15 UTC'])
  services.onCall = async () => []
  assert.equal((await say('oncall')).summary, 'Nobody is on call.')
})

test('deliveries: what was given up, why, and how to send it again', async (t) => {
  const { say, world, store } = await createRig(t)
  const as = 'Cleo'
  assert.match((await say('deliveries', { as })).summary, /^Every message arrived/)
  await world.send(firing())
  const [delivery] = await world.deliveries()
  assert.ok(delivery)
  await store.write(async (tx) => {
    await tx.beginSteps([delivery.id], 1)
    await tx.recordOutcomes([
      { ...delivery, fence: 1, state: 'dead', attempts: 3, reason: 'Slack: channel_not_found', shown: null },
    ])
  })
  const told = shown(await say('deliveries', { as }))
  assert.match(told, /^1 message given up, 0 waiting\./)
  assert.match(told, /dead \| slack:CRIT \| incident 1 \| 3 \| never \| Slack: channel_not_found/)
  assert.equal((await say('deliveries redeliver', { as })).code, 'invalid')
  assert.equal((await say('deliveries drop 1', { as })).code, 'invalid')
  assert.equal((await say('deliveries redeliver 99', { as })).code, 'not_found')
  assert.equal((await say(`deliveries redeliver ${delivery.id}`, { as })).ok, true)
  assert.equal((await store.delivery(delivery.id))?.state, 'pending')
  assert.equal((await say(`deliveries redeliver ${delivery.id}`, { as })).code, 'conflict')
})

test('postmortem gives the draft', async (t) => {
  const { say } = await createRig(t)
  const draft = await say('postmortem 1')
  assert.equal(draft.lines[0], '# Post-mortem of incident 1')
  assert.match((draft.data as { markdown: string }).markdown, /Status: Draft/)
})
