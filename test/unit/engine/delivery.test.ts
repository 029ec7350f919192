import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SECOND } from '../../../src/core/clock.ts'
import type { StepResult } from '../../../src/core/delivery.ts'
import { firing, resolved } from '../../support/engine.ts'
import { bench, channels, DONE, retry, scripted, stepsOf } from './lanes.ts'

test('a first message goes out at once, is recorded, and leaves nothing to do', async (t) => {
  const world = await bench(t)
  const slack = scripted()
  const lane = world.lane(slack)
  await world.open('s1')
  assert.equal(await lane.tick(), 1)
  const [step] = slack.steps
  assert.equal(step?.target, 'ALL')
  assert.equal(step?.state, null)
  assert.equal(step?.inDoubt, false)
  assert.equal(step?.installation, 'test')
  const [delivery] = await world.deliveries()
  assert.deepEqual(
    { state: delivery?.state, shown: delivery?.shown, reference: delivery?.reference, inflight: delivery?.inflight },
    { state: 'delivered', shown: 1, reference: 'm1', inflight: null },
  )
  assert.equal(delivery?.deliveredAt, world.now())
  assert.equal(await lane.tick(), 0)
})

test('forty changes while a step is under way become one edit that shows the newest', async (t) => {
  const world = await bench(t)
  const slack = scripted()
  const lane = world.lane(slack)
  await world.open('s1')
  const answer = Promise.withResolvers<StepResult>()
  slack.answer = () => answer.promise
  const round = lane.tick()
  await slack.begun(1)
  for (let n = 0; n < 40; n++) await world.send(firing({ service: 's1', alertname: `A${n}` }))
  slack.answer = DONE
  answer.resolve(DONE(slack.steps[0] ?? assert.fail()))
  await round
  world.wait(SECOND)
  await lane.tick()
  assert.equal(slack.steps.length, 2)
  const { version } = await world.only()
  assert.equal(slack.steps[1]?.incident.version, version)
  assert.equal((await world.deliveries())[0]?.shown, version)
})

test('a silent edit waits a second for others, a push does not', async (t) => {
  const world = await bench(t)
  const slack = scripted()
  const lane = world.lane(slack)
  await world.open('s1')
  await lane.tick()
  await world.send(firing({ service: 's1', alertname: 'Another' }))
  assert.equal(await lane.tick(), 0)
  world.wait(SECOND)
  assert.equal(await lane.tick(), 1)
  await world.send(resolved({ service: 's1' }), resolved({ service: 's1', alertname: 'Another' }))
  assert.equal(await lane.tick(), 1)
})

test('steps of one delivery follow each other, each with the state that the one before left', async (t) => {
  const world = await bench(t, channels('X'))
  const slack = scripted('slack', { perTarget: 4 })
  const lane = world.lane(slack)
  await world.open('s1')
  slack.answer = (input) =>
    stepsOf(input) < 3 ? { outcome: 'progress', state: { steps: stepsOf(input) + 1 }, reference: 'm1' } : DONE(input)
  await lane.tick()
  assert.deepEqual(
    slack.steps.map((step) => stepsOf(step)),
    [0, 1, 2, 3],
  )
  assert.equal(slack.most.target, 1, 'although four could run')
  const [delivery] = await world.deliveries()
  assert.deepEqual([delivery?.state, delivery?.adapterState], ['delivered', { version: 1, steps: 4 }])
})

test('concurrency is bounded per target and over the lane', async (t) => {
  const world = await bench(t, channels('X', 'Y', 'Z'))
  const slack = scripted('slack', { concurrency: 3, perTarget: 2 })
  const lane = world.lane(slack)
  for (let n = 0; n < 12; n++) await world.open(`s${n}`, { to: 'XYZ'[n % 3] ?? 'X' })
  slack.answer = async (input) => {
    await new Promise((resolve) => setImmediate(resolve))
    return DONE(input)
  }
  await lane.tick()
  await lane.tick()
  assert.equal(slack.steps.length, 12)
  assert.equal(slack.most.lane, 3)
  assert.ok(slack.most.target <= 2)
})

test('urgent steps go first and may use the reserve', async (t) => {
  const world = await bench(t)
  const slack = scripted('slack', { lane: { burst: 4, perSecond: 1 }, reserve: 0.5 })
  const lane = world.lane(slack)
  for (let n = 0; n < 4; n++) await world.open(`s${n}`)
  await lane.tick()
  assert.equal(slack.steps.length, 4)
  world.wait(60 * SECOND)
  for (let n = 0; n < 4; n++) await world.send(firing({ service: `s${n}`, alertname: 'Another' }))
  world.wait(SECOND)
  await lane.tick()
  assert.equal(slack.steps.length, 6, 'silent edits leave half of the burst')
  await world.open('new')
  await lane.tick()
  assert.equal(slack.steps.length, 7, 'a first message does not wait for it')
  assert.equal(slack.steps[6]?.incident.key.service, 'new')
})

test('a backlog of silent edits in one channel does not hold up those of another', async (t) => {
  const world = await bench(t, channels('X', 'Y'))
  const slack = scripted('slack', { concurrency: 2, target: { burst: 4, perSecond: 0.001 }, reserve: 0.5 })
  const lane = world.lane(slack)
  for (let n = 0; n < 3; n++) await world.open(`x${n}`, { to: 'X' })
  await world.open('y', { to: 'Y' })
  await lane.tick()
  await lane.tick()
  // One token is left in X, for urgent steps only.
  assert.equal(slack.steps.length, 4)
  for (let n = 0; n < 3; n++) await world.send(firing({ service: `x${n}`, to: 'X', alertname: 'Another' }))
  await world.send(firing({ service: 'y', to: 'Y', alertname: 'Another' }))
  world.wait(SECOND)
  await lane.tick()
  assert.deepEqual(
    slack.steps.slice(4).map((step) => step.incident.key.service),
    ['y'],
  )
})

for (const scope of ['target', 'lane'] as const) {
  test(`Retry-After for a ${scope} is honoured and holds nobody else`, async (t) => {
    const world = await bench(t, channels('X', 'Y'))
    const slack = scripted()
    const lane = world.lane(slack)
    const first = await world.open('x1', { to: 'X' })
    let refuse = true
    slack.answer = (input) => {
      if (!refuse) return DONE(input)
      refuse = false
      return retry({ retryAfterMs: 7_000, scope, reason: 'too many' })
    }
    await lane.tick()
    const [waits] = await world.deliveries(first)
    assert.deepEqual(
      [waits?.state, waits?.reason, waits?.attempts, (waits?.dueAt ?? 0) - world.now()],
      ['waiting', 'too many', 1, 7_000],
    )
    await world.open('x2', { to: 'X' })
    await world.open('y', { to: 'Y' })
    await lane.tick()
    const served = slack.steps.slice(1).map((step) => step.incident.key.service)
    assert.deepEqual(served, scope === 'target' ? ['y'] : [])
    world.wait(6_999)
    await lane.tick()
    assert.equal(slack.steps.length, scope === 'target' ? 2 : 1)
    world.wait(1)
    await lane.tick()
    await lane.tick()
    assert.equal(slack.steps.length, 4)
    for (const id of [1, 2, 3]) assert.equal((await world.deliveries(id))[0]?.state, 'delivered')
  })
}

test('back-off grows to 30 s, says why, and starts afresh after a success', async (t) => {
  const world = await bench(t)
  const slack = scripted()
  const lane = world.lane(slack)
  await world.open('s1')
  slack.answer = () => retry({ reason: 'answered 503' })
  const waits: number[] = []
  for (let n = 0; n < 9; n++) {
    await lane.tick()
    const [delivery] = await world.deliveries()
    assert.equal(delivery?.attempts, n + 1)
    assert.equal(delivery?.reason, 'answered 503')
    waits.push((delivery?.dueAt ?? 0) - world.now())
    world.wait(30 * SECOND)
  }
  assert.deepEqual(waits, [550, 1_050, 2_050, 4_050, 8_050, 16_050, 30_000, 30_000, 30_000])
  slack.answer = DONE
  await lane.tick()
  const [delivery] = await world.deliveries()
  assert.deepEqual([delivery?.state, delivery?.attempts, delivery?.reason], ['delivered', 0, null])
})

test('after five failures in a row a target is left alone, then tried by one step only', async (t) => {
  const world = await bench(t, channels('X', 'Y'))
  const slack = scripted('slack', { perTarget: 8 })
  const lane = world.lane(slack)
  for (let n = 0; n < 5; n++) await world.open(`x${n}`, { to: 'X' })
  slack.answer = (input) => (input.target === 'X' ? retry() : DONE(input))
  await lane.tick()
  assert.equal(slack.steps.length, 5)
  await world.open('x5', { to: 'X' })
  await world.open('y', { to: 'Y' })
  await lane.tick()
  assert.deepEqual(
    slack.steps.slice(5).map((step) => step.target),
    ['Y'],
    'the other channel notices nothing',
  )
  world.wait(30 * SECOND)
  await lane.tick()
  assert.equal(slack.steps.length, 7, 'six are due, one probes')
  slack.answer = DONE
  world.wait(30 * SECOND)
  for (let n = 0; n < 3; n++) await lane.tick()
  assert.equal(slack.steps.length, 7 + 6)
})

test('what cannot succeed is a dead letter that can be sent again', async (t) => {
  const world = await bench(t)
  const slack = scripted()
  const lane = world.lane(slack)
  await world.open('s1')
  slack.answer = () => ({ outcome: 'dead', reason: 'invite the bot' })
  await lane.tick()
  const [dead] = await world.store.listDeliveries({ state: 'dead', limit: 10, before: null })
  assert.equal(dead?.reason, 'invite the bot')
  assert.ok(world.logged.some((line) => line.includes('dead letter') && line.includes('invite the bot')))
  world.wait(3_600_000)
  assert.equal(await lane.tick(), 0)
  slack.answer = DONE
  assert.equal(await world.store.write((tx) => tx.redeliver(dead?.id ?? 0, world.now())), true)
  assert.equal(await lane.tick(), 1)
  assert.equal((await world.deliveries())[0]?.state, 'delivered')
})

test('a dead letter stays dead while its incident goes on, and then shows the newest', async (t) => {
  const world = await bench(t)
  const slack = scripted()
  const lane = world.lane(slack)
  await world.open('s1')
  slack.answer = () => ({ outcome: 'dead', reason: 'gone' })
  await lane.tick()
  await world.send(resolved({ service: 's1' }))
  world.wait(SECOND)
  assert.equal(await lane.tick(), 0)
  slack.answer = DONE
  const [dead] = await world.deliveries()
  await world.store.write((tx) => tx.redeliver(dead?.id ?? 0, world.now()))
  await lane.tick()
  assert.equal(slack.steps.at(-1)?.incident.state, 'resolved')
})

test('what failed for a day is given up as a dead letter', async (t) => {
  const world = await bench(t)
  const slack = scripted()
  const lane = world.lane(slack, { giveUpAfter: 3_600_000 })
  await world.open('s1')
  slack.answer = () => retry({ reason: 'answered 503' })
  await lane.tick()
  world.wait(3_600_000)
  await lane.tick()
  assert.equal((await world.deliveries())[0]?.state, 'waiting')
  world.wait(30 * SECOND)
  await lane.tick()
  const [delivery] = await world.deliveries()
  assert.deepEqual([delivery?.state, delivery?.reason], ['dead', 'Given up: answered 503'])
})

test('a step that has to wait does so without counting as a failure, and a push brings it forward', async (t) => {
  const world = await bench(t)
  const slack = scripted()
  const lane = world.lane(slack)
  await world.open('s1')
  slack.answer = () => ({
    outcome: 'later',
    state: { steps: 1 },
    reference: 'm1',
    at: world.now() + 40 * SECOND,
    reason: 'At most one reply a minute',
  })
  await lane.tick()
  const [delivery] = await world.deliveries()
  assert.deepEqual(
    [delivery?.state, delivery?.attempts, delivery?.reason, delivery?.adapterState, delivery?.reference],
    ['waiting', 0, 'At most one reply a minute', { steps: 1 }, 'm1'],
  )
  slack.answer = DONE
  world.wait(39 * SECOND)
  assert.equal(await lane.tick(), 0)
  await world.send(resolved({ service: 's1' }))
  assert.equal(await lane.tick(), 1)
  assert.equal((await world.deliveries())[0]?.state, 'delivered')
})

test('a doubt stays through further failures until something succeeds', async (t) => {
  const world = await bench(t)
  const slack = scripted()
  const lane = world.lane(slack)
  await world.open('s1')
  const doubts: boolean[] = []
  const answers = [retry({ inDoubt: true }), retry(), retry({ retryAfterMs: 1_000, scope: 'lane' })]
  slack.answer = (input) => {
    doubts.push(input.inDoubt)
    return answers.shift() ?? DONE(input)
  }
  for (let n = 0; n < 4; n++) {
    await lane.tick()
    world.wait(30 * SECOND)
  }
  await world.send(firing({ service: 's1', alertname: 'Another' }))
  world.wait(SECOND)
  await lane.tick()
  assert.deepEqual(doubts, [false, true, true, true, false])
})

test('what a failed step wants to remember is stored with it', async (t) => {
  const world = await bench(t)
  const slack = scripted()
  const lane = world.lane(slack)
  await world.open('s1')
  slack.answer = () => retry({ state: { steps: 7 } })
  await lane.tick()
  slack.answer = () => retry()
  world.wait(30 * SECOND)
  await lane.tick()
  assert.equal(stepsOf(slack.steps[1] ?? assert.fail()), 7)
  assert.deepEqual((await world.deliveries())[0]?.adapterState, { steps: 7 })
})

test('a hanging destination delays no other lane', async (t) => {
  const both = 'receivers: [{ name: all, slack: { channel: ALL }, telegram: { chat: -1 } }]\nroute: { receiver: all }'
  const world = await bench(t, both)
  const slack = scripted('slack')
  const telegram = scripted('telegram')
  const hangs = Promise.withResolvers<StepResult>()
  slack.answer = () => hangs.promise
  await world.open('s1')
  const hanging = world.lane(slack).tick()
  await slack.begun(1)
  const other = world.lane(telegram)
  await other.tick()
  await world.send(resolved({ service: 's1' }))
  await other.tick()
  assert.equal(telegram.steps.length, 2)
  assert.equal(telegram.steps[1]?.incident.state, 'resolved')
  hangs.resolve(retry())
  await hanging
})

test('a step that throws is tried again, as doubtful, and the log says why', async (t) => {
  const world = await bench(t)
  const slack = scripted()
  const lane = world.lane(slack)
  await world.open('s1')
  slack.answer = () => {
    throw new TypeError('template is null')
  }
  await lane.tick()
  const [delivery] = await world.deliveries()
  assert.equal(delivery?.state, 'waiting')
  assert.match(delivery?.reason ?? '', /template is null/)
  assert.ok(world.logged.some((line) => line.includes('a delivery step failed in Claw itself')))
  slack.answer = DONE
  world.wait(SECOND)
  await lane.tick()
  assert.equal(slack.steps[1]?.inDoubt, true)
  assert.equal((await world.deliveries())[0]?.state, 'delivered')
})

test('an incident that cannot be read is tried again without a doubt: nothing was sent', async (t) => {
  const world = await bench(t)
  const slack = scripted()
  let broken = true
  const lane = world.lane(slack, {
    loadView: async (id) => {
      if (broken) throw new Error('database gone')
      return world.view(id)
    },
  })
  await world.open('s1')
  await lane.tick()
  assert.equal(slack.steps.length, 0)
  broken = false
  world.wait(SECOND)
  await lane.tick()
  assert.equal(slack.steps[0]?.inDoubt, false)
})

test('lag is reported from the oldest change that was not shown', async (t) => {
  const world = await bench(t)
  const seen: [string, number | null][] = []
  const slack = scripted()
  const lane = world.lane(slack, { onOutcome: (_d, outcome, lagMs) => seen.push([outcome, lagMs]) })
  await world.open('s1')
  world.wait(250)
  slack.answer = () => retry()
  await lane.tick()
  slack.answer = DONE
  world.wait(750)
  await lane.tick()
  assert.deepEqual(seen, [
    ['retry', null],
    ['delivered', 1_000],
  ])
})

test('ids of messages in the same place are known, replies included', async (t) => {
  const world = await bench(t, channels('X', 'Y'))
  const slack = scripted()
  const lane = world.lane(slack)
  await world.open('x', { to: 'X' })
  await world.open('y', { to: 'Y' })
  slack.answer = (input) => ({
    outcome: 'done',
    state: { replies: [`r${input.target}`] },
    reference: `m${input.target}`,
  })
  await lane.tick()
  await world.open('x2', { to: 'X' })
  let known: string[] = []
  slack.answer = async (input) => {
    known = await input.knownReferences()
    return DONE(input)
  }
  await lane.tick()
  assert.deepEqual(known, ['mX', 'rX'])
})
