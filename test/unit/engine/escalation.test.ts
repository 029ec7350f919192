import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { MINUTE, SECOND } from '../../../src/core/clock.ts'
import { tell } from '../../../src/core/incident.ts'
import { unacknowledge, worsen } from '../../../src/core/transitions.ts'
import { createEscalation } from '../../../src/engine/escalation.ts'
import { createWorld, firing, PLATFORMS, silent } from '../../support/engine.ts'
import { policyOf } from '../../support/policy.ts'

const YAML = `${PLATFORMS}
receivers:
  - { name: critical, slack: { channel: CRIT }, fallback: leads }
  - { name: leads, slack: { channel: LEADS } }
  - { name: default, slack: { channel: ALL } }
route:
  receiver: default
  routes: [{ matchers: ['level="P1"'], receiver: critical }]
`

async function setUp(t: TestContext) {
  const world = await createWorld(t, YAML)
  const make = () =>
    createEscalation({
      store: world.store,
      policy: () => policyOf(YAML),
      clock: world.now,
      log: silent,
      onStored: () => {},
    })
  const escalation = make()
  const texts = async (kind: string) =>
    (await world.store.story(1, 99)).filter((event) => event.kind === kind).map((event) => event.text)
  return {
    world,
    make,
    texts,
    /** time passes in steps of ten seconds, as it does for Claw */
    async pass(ms: number) {
      for (let passed = 0; passed < ms; passed += 10 * SECOND) {
        world.wait(10 * SECOND)
        await escalation.tick()
      }
    },
  }
}

test('a P1 that nobody acknowledges: said aloud after 5 minutes, the fallback joins, then growing pauses, six times', async (t) => {
  const { world, pass, texts } = await setUp(t)
  await world.send(firing())
  await pass(4 * MINUTE)
  assert.deepEqual(await texts('reminded'), [])
  const { version } = await world.only()
  assert.equal(version, 1, 'looking at it is no change that anybody sees')
  await pass(MINUTE)
  assert.deepEqual(await texts('reminded'), ['Nobody has acknowledged for 5 min. Telling leads.'])
  const told = (await world.deliveries()).map((row) => [row.target, row.priority])
  assert.deepEqual(told, [
    ['CRIT', 0],
    ['LEADS', 0],
  ])
  assert.deepEqual((await world.only()).pages, [
    { key: '', generation: 1, revision: 1, state: 'triggered', reason: 'first page' },
  ])
  await pass(4 * 60 * MINUTE)
  assert.deepEqual(await texts('reminded'), [
    'Nobody has acknowledged for 5 min. Telling leads.',
    'Nobody has acknowledged for 10 min.',
    'Nobody has acknowledged for 20 min.',
    'Nobody has acknowledged for 35 min.',
    'Nobody has acknowledged for 55 min.',
    'Nobody has acknowledged for 80 min.',
  ])
})

test('each level has its time; an acknowledgement ends it; taken back, it begins anew', async (t) => {
  const { world, pass, texts } = await setUp(t)
  await world.send(firing({ severity: 'warning' }))
  await pass(14 * MINUTE)
  assert.deepEqual(await texts('reminded'), [])
  await pass(2 * MINUTE)
  assert.deepEqual(await texts('reminded'), ['Nobody has acknowledged for 15 min.'])
  await world.acknowledge()
  await pass(60 * MINUTE)
  assert.equal((await texts('reminded')).length, 1)
  await world.act(1, (draft) => void unacknowledge(draft, '', 'Dana', 'Taken back.', world.now()))
  await pass(14 * MINUTE)
  assert.equal((await texts('reminded')).length, 1)
  await pass(2 * MINUTE)
  assert.deepEqual((await texts('reminded')).slice(1), ['Nobody has acknowledged for 15 min.'])
})

test('an acknowledged P1 without a sign of life asks again, under a page of its own', async (t) => {
  const { world, pass, texts } = await setUp(t)
  await world.send(firing())
  await world.acknowledge()
  await pass(29 * MINUTE)
  assert.deepEqual(await texts('no_sign_of_life'), [])
  await pass(MINUTE)
  assert.deepEqual(await texts('no_sign_of_life'), ['No sign of life for 30 min since Dana took it: is anybody on it?'])
  assert.deepEqual(await world.pages(), ['1/#1 acknowledged', '1/1#1 triggered'])
  await pass(6 * MINUTE)
  assert.deepEqual(await texts('reminded'), ['Nobody has acknowledged for 5 min. Telling leads.'])
  await world.acknowledge()
  await pass(29 * MINUTE)
  assert.equal((await texts('no_sign_of_life')).length, 1)
  await pass(2 * MINUTE)
  assert.equal((await texts('no_sign_of_life')).length, 2)
})

test('a note, or a command about it, is a sign of life: it puts off the question, and answers it', async (t) => {
  const { world, pass, texts } = await setUp(t)
  const note = (actor: string) => world.act(1, (draft) => tell(draft, world.now(), 'note', 'looking', false, actor))
  await world.send(firing())
  await world.acknowledge()
  await pass(20 * MINUTE)
  await note('Dana')
  await pass(25 * MINUTE)
  assert.deepEqual(await texts('no_sign_of_life'), [])
  await note('policy:reset')
  await world.store.write((tx) =>
    tx.appendAudit({
      at: new Date(world.now()).toISOString(),
      actor: 'Max',
      via: 'slack',
      action: 'show',
      target: 'incident 1',
      outcome: 'done',
      detail: '',
    }),
  )
  await pass(29 * MINUTE)
  assert.deepEqual(await texts('no_sign_of_life'), [], 'Max looked at it')
  await pass(2 * MINUTE)
  assert.equal((await texts('no_sign_of_life')).length, 1, "a policy's line is nobody's sign")
  await note('Dana')
  await pass(6 * MINUTE)
  assert.deepEqual(await texts('reminded'), [])
  assert.deepEqual(await world.pages(), ['1/#1 acknowledged', '1/1#1 acknowledged'])
})

test('a worsening while acknowledged rings, and is reminded of like any page', async (t) => {
  const { world, pass, texts } = await setUp(t)
  await world.send(firing({ severity: 'warning' }))
  await world.acknowledge()
  await pass(MINUTE)
  await world.act(1, (draft) => {
    worsen(draft, 'Worse.')
    tell(draft, world.now(), 'worsened', 'Worse.', true)
  })
  await pass(16 * MINUTE)
  assert.equal((await texts('reminded')).length, 1)
})

test('nobody is reminded of what is silenced, resolved, suppressed or a self-test', async (t) => {
  const { world, pass, texts } = await setUp(t)
  await world.send(firing())
  await world.store.write((tx) =>
    tx.saveSilence({
      id: 1,
      incident: 1,
      matchers: 'a="b"',
      by: 'Dana',
      note: '',
      startsAt: world.now(),
      endsAt: world.now() + 20 * MINUTE,
      state: 'active',
      alertmanagerId: null,
      pending: null,
    }),
  )
  await world.send(firing({ alertname: 'ClawSelfTest', run: '1' }))
  await pass(19 * MINUTE)
  assert.deepEqual([await texts('reminded'), (await world.store.story(2, 9)).length], [[], 1])
  await pass(2 * MINUTE)
  assert.equal((await texts('reminded')).length, 1, 'the silence is over')
  await world.resolve(1)
  await pass(9 * MINUTE)
  assert.equal((await texts('reminded')).length, 1)
})

test('two replicas, or one after a restart, remind once', async (t) => {
  const { world, make, pass, texts } = await setUp(t)
  await world.send(firing())
  await pass(4 * MINUTE)
  world.wait(MINUTE)
  await Promise.all([make().tick(), make().tick()])
  await make().tick()
  assert.equal((await texts('reminded')).length, 1)
})
