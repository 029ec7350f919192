import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseAlertmanagerWebhook } from '../../../handlers/webhooks/alertmanager.ts'
import { ClawError } from '../../../src/core/errors.ts'

const alert = {
  status: 'firing',
  labels: { alertname: 'N' },
  annotations: { summary: 's' },
  startsAt: '2026-05-04T02:15:00.123456789Z',
  endsAt: '0001-01-01T00:00:00Z',
  generatorURL: 'http://p/g',
  fingerprint: '0123456789abcdef',
}
const parse = (body: unknown) => parseAlertmanagerWebhook(Buffer.from(JSON.stringify(body)))
const one = (changes: object, outside: object = {}) => {
  const [first] = parse({ version: '4', alerts: [{ ...alert, ...changes }], ...outside }).alerts
  assert.ok(first)
  return first
}
const refused = (body: Buffer | string, pattern: RegExp) =>
  assert.throws(
    () => parseAlertmanagerWebhook(Buffer.from(body)),
    (error) => {
      assert.ok(error instanceof ClawError, String(error))
      assert.equal(error.code, 'invalid')
      assert.match(error.message, pattern)
      assert.ok(error.message.length < 400)
      return true
    },
  )

test('an alert in normal form: milliseconds, no end while it fires', () => {
  assert.deepEqual(one({}, { externalURL: 'http://am' }), {
    fingerprint: '0123456789abcdef',
    status: 'firing',
    labels: { alertname: 'N' },
    annotations: { summary: 's' },
    startsAt: Date.UTC(2026, 4, 4, 2, 15, 0, 123),
    endsAt: null,
    generatorURL: 'http://p/g',
    externalURL: 'http://am',
  })
  assert.equal(one({ endsAt: '2026-05-04T02:16:00Z' }).endsAt, null, 'resolve_timeout of a firing one')
  assert.equal(one({ status: 'resolved', endsAt: '2026-05-04T02:16:00Z' }).endsAt, Date.UTC(2026, 4, 4, 2, 16))
  assert.equal(one({ status: 'resolved' }).endsAt, null)
  assert.equal(one({ startsAt: '2026-05-04T04:15:00+02:00' }).startsAt, Date.UTC(2026, 4, 4, 2, 15))
})

test("the group's own status is not looked at, and unknown fields are kept", () => {
  assert.equal(one({}, { status: 'resolved' }).status, 'firing')
  assert.deepEqual(one({ silencedBy: ['x'], rank: 3 }).extra, { silencedBy: ['x'], rank: 3 })
  const body = {
    version: '4',
    alerts: [],
    notification_reason: 'new',
    routeLabels: { a: 'b' },
    receiver: 'claw\\.prod',
    truncatedAlerts: 7,
  }
  assert.deepEqual(parse(body), { alerts: [], truncated: 7, receiver: 'claw\\.prod' })
})

test('what other senders leave out: annotations, fingerprint, URLs', () => {
  const bare = one({ annotations: null, fingerprint: undefined, generatorURL: null, endsAt: null })
  assert.deepEqual([bare.annotations, bare.generatorURL], [{}, ''])
  assert.match(bare.fingerprint, /^[0-9a-f]{16}$/)
  const twin = one({ fingerprint: '', annotations: { other: 'text' } })
  assert.equal(twin.fingerprint, bare.fingerprint, 'identity is the labels')
  assert.notEqual(one({ fingerprint: 'a b', labels: { alertname: 'M' } }).fingerprint, bare.fingerprint)
  assert.equal(
    one({ fingerprint: undefined, labels: { b: '2', a: '1' } }).fingerprint,
    one({ fingerprint: 'x\n', labels: { a: '1', b: '2' } }).fingerprint,
  )
})

test('any string is a label', () => {
  const labels = { '': '', 'a\0': '\ud800', big: 'x'.repeat(20_000), '🔥': '\u202e' }
  assert.deepEqual(one({ labels }).labels, labels)
})

test('each malformed body has its own reason, naming the place', () => {
  refused('', /is empty/)
  refused(Buffer.from([0x7b, 0xff, 0x7d]), /not UTF-8/)
  refused('{"version":"4",', /not JSON/)
  refused('[]', /the body: /)
  refused('{}', /version/)
  refused('{"version":"3","alerts":[]}', /version/)
  refused('{"version":"4"}', /alerts/)
  const bad = (changes: object) => JSON.stringify({ version: '4', alerts: [alert, { ...alert, ...changes }] })
  refused(bad({ status: 'ringing' }), /alerts\.1\.status/)
  refused(bad({ labels: { a: 1 } }), /alerts\.1\.labels\.a/)
  refused(bad({ labels: null }), /alerts\.1\.labels/)
  refused(bad({ annotations: { a: {} } }), /alerts\.1\.annotations\.a/)
  refused(bad({ startsAt: 'yesterday' }), /alerts\.1\.startsAt: not an RFC 3339 time/)
  refused(bad({ labels: { ['x'.repeat(5000)]: 1 } }), /alerts\.1\.labels/)
})

test('nesting is bounded without overflowing a stack', () => {
  const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
  const body = (extra: string) => `{"version":"4","alerts":[${JSON.stringify(alert).slice(0, -1)},"x":${extra}}]}`
  assert.doesNotThrow(() => parseAlertmanagerWebhook(Buffer.from(body(nested(31)))))
  refused(body(nested(40)), /alerts\.0 is nested deeper than 32 levels/)
  refused(body(nested(200_000)), /nested deeper|not JSON/)
  refused(nested(200_000), /./)
})

test('a list of a million in an unknown field is data like any other', () => {
  const many = Array.from({ length: 1_000_000 }, () => 0)
  assert.equal((one({ many }).extra as { many: number[] }).many.length, 1_000_000)
})
