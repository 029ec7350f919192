import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { startApp } from '../../support/app.ts'

/** How many bodies; CLAW_FUZZ=100000 is the long run. */
const RUNS = Number(process.env.CLAW_FUZZ ?? 500)

const valid = {
  version: '4',
  receiver: 'claw',
  status: 'firing',
  externalURL: '',
  truncatedAlerts: 0,
  alerts: [
    {
      status: 'firing',
      labels: { alertname: 'N' },
      annotations: { a: 'b' },
      startsAt: '2026-05-04T02:15:00Z',
      endsAt: '0001-01-01T00:00:00Z',
      generatorURL: '',
      fingerprint: 'f',
    },
  ],
}
const text = JSON.stringify(valid)

/** A place in a valid webhook where anything but a string is wrong. */
const spoiled = fc
  .tuple(
    fc.constantFrom('status', 'labels', 'startsAt', 'labels.alertname', 'annotations.a', 'version', 'alerts'),
    fc.jsonValue().filter((value) => typeof value !== 'string'),
  )
  .filter(([place, value]) => !(place === 'alerts' && Array.isArray(value)))
  .filter(([place, value]) => !(place === 'labels' && typeof value === 'object' && value !== null))
  .map(([place, value]) => {
    const copy = structuredClone(valid) as Record<string, unknown>
    const [alert] = copy.alerts as Record<string, unknown>[]
    const [outer = '', inner] = place.split('.')
    if (outer === 'version' || outer === 'alerts') copy[outer] = value
    else if (alert && inner === undefined) alert[outer] = value
    else if (alert) alert[outer] = { [inner ?? '']: value }
    return Buffer.from(JSON.stringify(copy))
  })

const bodies = fc.oneof(
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  fc.json({ maxDepth: 8 }).map((json) => Buffer.from(json)),
  fc.nat(text.length - 1).map((length) => Buffer.from(text.slice(0, length))),
  fc.tuple(fc.nat(text.length - 1), fc.constantFrom(0xff, 0xc0, 0xed, 0x00)).map(([at, byte]) => {
    const bytes = Buffer.from(text)
    bytes[at] = byte
    return bytes
  }),
  fc.tuple(fc.constantFrom('[', '{"a":'), fc.nat(50_000)).map(([open, depth]) => Buffer.from(open.repeat(depth))),
  spoiled,
)

test(`${RUNS} bodies that are no webhook: all 400, nothing stored, nothing harmed`, async (t) => {
  const app = await startApp(t)
  const answer = async (body: Buffer) => {
    const response = await app.post(body)
    await response.arrayBuffer()
    return response.status
  }
  await fc.assert(
    fc.asyncProperty(bodies, async (body) => {
      assert.equal(await answer(body), 400)
    }),
    { numRuns: RUNS },
  )
  assert.deepEqual(await app.parts.store.listIncidents({ states: [], limit: 9, before: null }), [])
  assert.deepEqual(await app.parts.store.heartbeats(), [])
  assert.ok(!app.logged.some((line) => Number((JSON.parse(line) as { level: number }).level) >= 50))
  assert.equal(await answer(Buffer.from(text)), 200)
})

const anything = fc.string({ unit: 'binary', maxLength: 60 })
const record = fc.dictionary(anything, anything, { maxKeys: 5 })

test('hostile strings in a valid webhook: stored, and answered 200', async (t) => {
  const app = await startApp(t)
  await fc.assert(
    fc.asyncProperty(
      record,
      record,
      anything,
      fc.jsonValue({ maxDepth: 5 }),
      async (labels, annotations, name, extra) => {
        const alert = {
          ...valid.alerts[0],
          labels: { ...labels, service: name },
          annotations,
          fingerprint: name,
          extra,
        }
        const response = await app.post(JSON.stringify({ ...valid, externalURL: name, alerts: [alert] }))
        assert.equal(response.status, 200, await response.text())
      },
    ),
    { numRuns: Math.min(RUNS, 5_000) / 5 },
  )
  assert.ok((await app.parts.store.listIncidents({ states: [], limit: 9, before: null })).length > 0)
})
