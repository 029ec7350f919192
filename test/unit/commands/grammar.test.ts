import assert from 'node:assert/strict'
import { test } from 'node:test'
import { commandSpecs } from '../../../handlers/commands/index.ts'
import { createCommands } from '../../../src/engine/commands.ts'
import { openStore } from '../../../src/store/store.ts'
import { firing, START, silent } from '../../support/engine.ts'
import { policyOf } from '../../support/policy.ts'
import { sqliteUrl } from '../store/sqlite-file.ts'
import { access, createRig, nothingOutside, requestOf, shown } from './rig.ts'

test('every command of the contract is there, with one name each', () => {
  const names = commandSpecs.map((spec) => spec.name)
  const wanted =
    'status incidents show ack resolve silence approve deny take note level merge escalate oncall deliveries postmortem audit drill help ' +
    'reconcile reset capacity failover rollback revert conflicts canary checklist automation operations cancel'
  for (const name of wanted.split(' ')) assert.ok(names.includes(name), name)
  const all = commandSpecs.flatMap((spec) => [spec.name, ...spec.aliases])
  assert.equal(new Set(all).size, all.length)
  for (const spec of commandSpecs) assert.ok(spec.usage.startsWith(spec.name) && spec.help && spec.summary, spec.name)
})

test('an unknown command suggests the nearest, a missing argument shows the usage', async (t) => {
  const { say } = await createRig(t)
  assert.match((await say('/claw stauts')).summary, /no command "stauts"; did you mean "status"/)
  const missing = await say('note 1', { as: 'Cleo' })
  assert.deepEqual([missing.code, missing.lines], ['invalid', ['Usage: note ID TEXT']])
  const wrong = await say('ack twelve')
  assert.equal(wrong.summary, 'id: write the number of an incident, such as 12.')
  assert.deepEqual((await say('level 1 P9', { as: 'Cleo' })).summary, 'level: write P1, P2 or P3.')
  assert.equal((await say('incidents all')).code, 'invalid')
})

test('forbidden names the role that may; the unknown are told how to be linked, and see only help', async (t) => {
  const { say, audit, world } = await createRig(t)
  await world.send(firing())
  const no = await say('ack 1', { as: 'Vic' })
  assert.deepEqual([no.code, no.summary], ['forbidden', 'You may not run ack: responder or commander may.'])
  const stranger = await say('status', { as: 'U666', via: 'slack' })
  assert.equal(stranger.code, 'forbidden')
  assert.match(shown(stranger), /slack "U666".*\n.*add slack: U666 to you under people/)
  const help = await say('help', { as: 'U666', via: 'slack' })
  assert.equal(help.ok, true)
  assert.match(shown(help), /does not know you/)
  assert.equal((await world.only()).state, 'open')
  const trail = await audit()
  assert.equal(trail.length, 3)
  assert.equal(trail[0], 'Vic ack forbidden')
  assert.match(trail[1] ?? '', /^unknown slack user U666 .*forbidden$/)
  assert.match(trail[2] ?? '', /help done$/)
})

test('a repeated request gets the first answer and runs once', async (t) => {
  const { commands, store, world, audit } = await createRig(t)
  await world.send(firing())
  const request = requestOf('slack:T1', 'note 1 "looks like the merge bug"')
  const first = await commands.run(request)
  const second = await commands.run(request)
  assert.equal(first.ok, true)
  assert.deepEqual(second, first)
  assert.deepEqual(await world.story(), ['opened', 'note'])
  assert.equal((await store.story(1, 9)).at(-1)?.text, 'Dana: looks like the merge bug')
  assert.deepEqual(await audit(), ['Dana note done'])
})

test('an answer that is no is audited as well, and found under its incident', async (t) => {
  const { say, audit, world } = await createRig(t)
  await world.send(firing())
  await say('ack 1')
  await say('ack 1')
  await say('ack 77')
  await say('nonsense')
  assert.deepEqual(await audit(), ['Dana ack done', 'Dana ack refused', 'Dana ack refused', 'Dana nonsense refused'])
  const trail = await say('audit 1', { as: 'Cleo' })
  assert.equal(trail.summary, 'The newest 2 entries of the audit trail about incident 1.')
  assert.equal((await say('audit', { as: 'Cleo' })).table?.rows.length, 5)
})

test('in the thread of an incident its number may be left out', async (t) => {
  const { say, world } = await createRig(t)
  await world.send(firing())
  await world.send(firing({ service: 'other' }))
  assert.equal((await say('ack on it', { incident: 2 })).ok, true)
  assert.equal((await say('ack 1', { incident: 2 })).incident, 1)
  assert.equal((await say('show', { incident: 2 })).incident, 2)
  assert.equal((await say('level p3', { incident: 2, as: 'Cleo' })).ok, true)
  assert.equal((await world.store.incidents([2]))[0]?.level, 'P3')
})

test('a request that was stored and not run, since Claw died, is run once after the start', async () => {
  const url = sqliteUrl()
  const before = await openStore(url)
  await before.write((tx) => tx.addRequest(requestOf('telegram:9', 'help ack'), START))
  await before.close()
  const store = await openStore(url)
  try {
    const commands = createCommands({
      store,
      specs: commandSpecs,
      services: {
        publicUrl: () => null,
        regions: async () => ({ regions: [], at: null, problem: null, configured: false }),
        onCall: async () => null,
        approval: async () => null,
        incident: async () => null,
        commands: () => commandSpecs,
        vitals: async () => ({ pagingProvenAt: null, heartbeatAge: null, deadLetters: 0, waiting: 0 }),
        matching: async () => ({ alerts: 0, regions: [], critical: 0 }),
        postmortem: async () => null,
        outside: () => nothingOutside(),
        changes: () => [],
        reads: store,
      },
      access: () => access,
      policy: () => policyOf(),
      approvals: () => ({ needed: {}, expireAfter: 1 }),
      believes: () => false,
      clock: () => START,
      log: silent,
      onStored: () => {},
      onRun: () => {},
    })
    await commands.tick()
    await commands.tick()
    const stored = await store.request('telegram:9')
    assert.deepEqual([stored?.state, stored?.reply?.ok], ['done', true])
    assert.match(stored?.reply?.summary ?? '', /^ack ID \[note\]/)
    assert.equal((await store.auditHead()).count, 1)
  } finally {
    await store.close()
  }
})

test('help lists what the person may run and says what needs another role', async (t) => {
  const { say } = await createRig(t)
  const mine = await say('help', { as: 'Vic' })
  assert.deepEqual(
    mine.table?.rows.map(([usage]) => usage),
    [
      'status [region]',
      'incidents',
      'show ID',
      'conflicts [REGION]',
      'operations [oN]',
      'checklist ID [PHASE] [done|skip|open|owner NAME] [note]',
      'approve aN [--break-glass "reason"]',
      'deny aN [reason]',
      'oncall',
      'console',
      'help [command]',
    ],
  )
  assert.match(shown(mine), /\d+ more need another role: ack, resolve,/)
  assert.equal((await say('help')).table?.rows[0]?.[0], 'status [region]')
  const one = await say('help mute')
  assert.match(shown(one), /silence ID\|MATCHERS DURATION \[note\].*\n[\s\S]*It asks back/)
  assert.match((await say('help sho')).summary, /did you mean "show"/)
  assert.match(shown(await say('drill', { as: 'Cleo' })), /sandbox\/scenarios\/merge-bug/)
})
