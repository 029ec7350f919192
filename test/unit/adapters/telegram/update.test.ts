import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { commandOf, readMessage, readPress } from '../../../../src/adapters/telegram/update.ts'

const ME = 'claw_sandbox_bot'
const message = (text: string, more: object = {}) => {
  const read = readMessage({
    message_id: 5,
    chat: { id: -1001, type: 'supergroup' },
    from: { id: 4711, is_bot: false },
    text,
    ...more,
  })
  assert.ok(read)
  return read
}
const command = (text: string, more: object = {}, me: string | null = ME) => {
  const found = commandOf(message(text, more), me)
  return found === null || found === 'unclear' ? found : found.text
}
const PRIVATE = { chat: { id: 4711, type: 'private' } }

const ROWS: [said: string, command: string | null][] = [
  ['/claw ack 12 looking', 'ack 12 looking'],
  ['/claw', ''],
  ['/CLAW status', 'status'],
  [`/claw@${ME} status A`, 'status A'],
  ['/ack 12', 'ack 12'],
  [`/ack@${ME.toUpperCase()} 12`, 'ack 12'],
  ['  /status  ', 'status'],
  ['/ack\n12\nstill looking', 'ack 12\nstill looking'],
  ['/start', 'help'],
  ['/reconcile A —policy highest-capacity', 'reconcile A --policy highest-capacity'],
  ['/note 12 was it 3–4 %, or “more”?', 'note 12 was it 3–4 %, or "more"?'],
  ['\u2215claw approve a7', 'approve a7'],
  ['/ack@other_bot 12', null],
  ['/claw@other_bot', null],
  ['ack 12', null],
  ['what does /ack do?', null],
  ['/', null],
  ['/ ack 12', null],
  ['/7', null],
  ['//ack', null],
  ['', null],
]
for (const [said, expected] of ROWS) {
  test(`in a group ${JSON.stringify(said)} is ${expected === null ? 'chatter' : JSON.stringify(expected)}`, () => {
    assert.equal(command(said), expected)
  })
}

test('in a private chat everything is said to Claw', () => {
  assert.equal(command('status', PRIVATE), 'status')
  assert.equal(command('/status', PRIVATE), 'status')
  assert.equal(command('  ', PRIVATE), null)
})

test('words of others are not commands', () => {
  for (const more of [
    { from: { id: 1, is_bot: true } },
    { from: undefined },
    { forward_origin: { type: 'user' } },
    { forward_date: 1 },
    { via_bot: { id: 1 } },
  ])
    assert.equal(command('/failover A B', more), null)
})

test('a command that names a bot waits until the name of ours is known', () => {
  assert.equal(command('/ack@claw_sandbox_bot 12', {}, null), 'unclear')
  assert.equal(command('/ack 12', {}, null), 'ack 12')
})

test('whatever comes in a message, reading it never throws', () => {
  const value = fc.object({
    key: fc.constantFrom('message_id', 'chat', 'from', 'text', 'id', 'type', 'data', 'message'),
  })
  fc.assert(
    fc.property(fc.oneof(value, fc.anything()), fc.string({ unit: 'binary' }), (raw, text) => {
      readMessage(raw)
      readPress(raw)
      const found = commandOf(message(text), ME)
      if (found !== null && found !== 'unclear') assert.ok(!found.text.startsWith('/claw'))
    }),
  )
})
