import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createGrafanaDestination } from '../../../src/adapters/grafana/destination.ts'
import { SECOND } from '../../../src/core/clock.ts'
import { startRun } from '../../../src/engine/runs.ts'
import { startApp } from '../../support/app.ts'
import { START } from '../../support/engine.ts'
import { fakeGrafana } from '../adapters/grafana/fake.ts'

const TOKEN = 'glsa_secret-of-grafana'

async function setUp(t: TestContext) {
  const grafana = await fakeGrafana(t)
  let now = START
  const url = `${grafana.url}/grafana`
  const destinations = [createGrafanaDestination({ url, token: TOKEN })]
  const app = await startApp(t, `grafana: { url: ${url}, token: ${TOKEN} }`, { destinations, clock: () => now })
  const send = async (status: 'firing' | 'resolved', alertname = 'BucketEmpty') => {
    const labels = { alertname, service: alertname, region: 'A', severity: 'critical' }
    const fingerprint = Buffer.from(alertname.padEnd(8)).toString('hex').slice(0, 16)
    const endsAt = status === 'resolved' ? new Date(now).toISOString() : '0001-01-01T00:00:00Z'
    const alert = { status, labels, annotations: {}, startsAt: new Date(START).toISOString(), endsAt, fingerprint }
    assert.equal((await app.post(JSON.stringify({ version: '4', alerts: [alert] }))).status, 200)
  }
  async function settle(): Promise<void> {
    now += 2 * SECOND
    await app.tick()
    for (const lane of app.lanes()) while ((await lane.tick()) > 0);
  }
  return { ...app, annotations: grafana.annotations, seen: grafana.seen, send, settle, now: () => now }
}

test('with grafana configured every incident is a region on the graphs, and so is every act', async (t) => {
  const app = await setUp(t)
  await app.send('firing')
  await app.settle()
  const [annotation] = app.annotations
  assert.deepEqual(annotation?.tags.slice(0, 5), ['claw', 'claw-incident-claw-1', 'incident', 'P1', 'open'])
  assert.match(annotation?.text ?? '', /^P1 · /)
  await app.parts.store.write((tx) =>
    startRun(
      tx,
      {
        kind: 'unheard of',
        input: {},
        title: 'Reconcile A',
        regions: ['A'],
        incident: 1,
        by: 'Dana',
        via: 'http',
        replyTo: null,
      },
      app.parts.loaded().policy,
      app.now(),
    ),
  )
  await app.settle()
  assert.match(app.annotations[1]?.text ?? '', /^o1: Reconcile A\.<br>/)
  await app.send('resolved')
  await app.settle()
  await app.settle()
  assert.equal(app.annotations.length, 2)
  const { time = 0, timeEnd = 0, tags = [] } = app.annotations[0] ?? {}
  assert.ok(timeEnd > time && tags.includes('resolved'))
  const rows = await app.parts.store.deliveriesOf([1])
  assert.deepEqual(
    rows.map(({ lane, kind, receiver, state }) => [lane, kind, receiver, state]),
    [['grafana', 'grafana', 'grafana', 'delivered']],
  )
  assert.ok(!app.logged.join('').includes(TOKEN))
})

test('a self-test is not shown on the graphs', async (t) => {
  const app = await setUp(t)
  await app.send('firing', 'ClawSelfTest')
  await app.settle()
  const [incident] = await app.parts.store.incidents([1])
  assert.deepEqual([incident?.synthetic, app.annotations], [true, []])
})
