import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { eventually, meanwhile, missing, start } from '../../src/sandbox/real/process.ts'
import { PROGRAMS, type Stack, startStack } from '../../src/sandbox/real/stack.ts'

const Labels = z.record(z.string(), z.string())
const Incidents = z.object({
  incidents: z.array(
    z.object({
      id: z.string(),
      state: z.enum(['open', 'acknowledged', 'resolved']),
      level: z.string(),
      regions: z.array(z.string()),
      alerts: z.array(z.object({ labels: Labels, state: z.string(), times_seen: z.number() })),
    }),
  ),
})
const Message = z.object({ text: z.string(), blocks: z.unknown(), own: z.boolean(), edits: z.number() })
const World = z.object({
  regions: z.array(z.object({ region: z.string(), bucket: z.object({ ratio: z.number() }) })),
  pagerduty: z.object({
    incidents: z.array(
      z.object({
        incident_key: z.string(),
        title: z.string(),
        status: z.string(),
        severity: z.string(),
        event: z.object({ payload: z.object({ custom_details: z.record(z.string(), z.unknown()) }) }),
      }),
    ),
    pages: z.array(z.object({ dedup_key: z.string(), title: z.string() })),
  }),
  slack: z.object({ channels: z.array(z.object({ id: z.string(), messages: z.array(Message) })) }),
})

/** What an empty bucket must raise within some ten seconds of the faster time. */
const BUCKET_ALERTS = [
  'TokenBucketCollapsing',
  'TokenBucketDepleted',
  'TokenBucketDepletionFast',
  'TokenBucketSuddenDrop',
]

/** What a person and the platforms would see of a sandbox at `url`. */
function watch(url: string) {
  const bearer = { authorization: 'Bearer sandbox' }
  const json = async (path: string): Promise<unknown> => {
    const response = await fetch(`${url}${path}`, { headers: bearer })
    assert.equal(response.status, 200, `${path}: ${response.status}`)
    return response.json()
  }
  let calls = 0
  return {
    incidents: async () => Incidents.parse(await json('/api/v1/incidents')).incidents,
    async world() {
      const { pagerduty, slack, regions } = World.parse(await json('/sandbox/state'))
      const critical = slack.channels.filter((channel) => /critical/i.test(channel.id))
      return { pagerduty, regions, slack: critical.flatMap((channel) => channel.messages) }
    },
    async metric(name: string): Promise<number> {
      const text = await (await fetch(`${url}/metrics`)).text()
      const values = [...text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, 'gm'))].map((match) =>
        Number(match[1]),
      )
      assert.ok(values.length > 0, `no metric ${name}`)
      return Math.max(...values)
    },
    /** The edge's own control: contract.md, section 5. */
    async edge(call: string, body: object): Promise<void> {
      const response = await fetch(`${url}/sandbox/edge/admin/v1/${call}`, {
        method: 'POST',
        headers: { ...bearer, 'content-type': 'application/json', 'idempotency-key': `e2e-${++calls}` },
        body: JSON.stringify({ ...body, by: 'e2e' }),
      })
      assert.equal(response.status, 202, await response.text())
    },
  }
}

test('a real Prometheus and an HA pair of Alertmanagers: an empty bucket is one incident, one page, one message, and all of it ends', {
  timeout: 118_000,
}, async (t) => {
  const absent = missing(PROGRAMS)
  if (absent.length > 0) {
    const why = `SKIPPED: ${absent.join(' and ')} not installed; apt-get install prometheus prometheus-alertmanager`
    console.error(`\n${'!'.repeat(why.length)}\n${why}\n${'!'.repeat(why.length)}\n`)
    return t.skip(why)
  }

  const data = mkdtempSync(join(tmpdir(), 'claw-e2e-data-'))
  const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
  const claw = start('claw', process.execPath, [main, 'sandbox', '--port', '0', '--data', data], {
    ...process.env,
    // only the real Alertmanagers post
    CLAW_SANDBOX_ALERTS: 'off',
  })
  let stack: Stack | null = null
  let passed = false
  t.after(async () => {
    if (!passed) console.error(`--- claw\n${claw.output()}\n${stack?.output() ?? ''}`)
    await stack?.stop()
    await claw.stop()
    rmSync(data, { recursive: true, force: true })
  })
  const [url] = await claw.says(/http:\/\/127\.0\.0\.1:\d+/, 15_000)
  const { incidents, world, edge, metric } = watch(url)
  const real = await startStack(url)
  stack = real

  // All is well: scraped, silent, and the heartbeat has come through both hops.
  await eventually('region A has a full bucket', 10, async () => {
    assert.ok((await real.query('openclaw_token_bucket_available{region="A"}')) > 0.95)
  })
  await eventually("Claw's own metrics are scraped", 10, async () => {
    assert.equal(await real.query('up{job="claw"}'), 1)
  })
  await eventually('the watchdog has arrived', 15, async () => {
    assert.ok((await metric('claw_heartbeat_age_seconds')) < 15)
  })
  assert.deepEqual(await real.firing(), [])
  assert.deepEqual(await incidents(), [])

  // A twenty-fifth of the capacity refills at a tenth of what is asked for: the bucket runs dry.
  await edge('buckets/capacity', { region: 'A', factor: 0.04, ttl_seconds: 600 })
  const incident = await eventually('one incident has all the alerts of the bucket', 40, async () => {
    const all = await incidents()
    assert.equal(all.length, 1)
    const firing = all[0]?.alerts.filter((alert) => alert.state === 'firing').map((alert) => alert.labels.alertname)
    assert.deepEqual(firing?.sort(), BUCKET_ALERTS)
    return all[0]
  })
  assert.ok(incident)
  assert.equal(incident.state, 'open')
  assert.equal(incident.level, 'P1')
  assert.deepEqual(incident.regions, ['A'])
  for (const { labels } of incident.alerts) assert.equal(labels.service, 'rating-api')

  const paged = await eventually('PagerDuty and Slack show it', 10, async () => {
    const now = await world()
    assert.equal(now.pagerduty.pages.length, 1)
    assert.equal(now.slack.length, 1)
    return now
  })
  const [page] = paged.pagerduty.incidents
  assert.equal(page?.status, 'triggered')
  assert.equal(page?.severity, 'critical')
  assert.match(page?.title ?? '', /^P1 · .*\bA\b.*rating-api/)
  assert.match(JSON.stringify(page?.event.payload.custom_details), /\bA\b/)
  const [message] = paged.slack
  assert.ok(message?.own)
  assert.match(message.text, /P1 · .*\bA\b.*rating-api/)

  // Full again.
  await edge('buckets/capacity', { region: 'A', factor: 1, ttl_seconds: 600 })
  await eventually('Prometheus has nothing firing', 30, async () => assert.deepEqual(await real.firing(), []))
  const quiet = async () => {
    const all = await incidents()
    assert.deepEqual(
      all.map(({ id, state }) => ({ id, state })),
      [{ id: incident.id, state: 'resolved' }],
    )
    for (const alert of all[0]?.alerts ?? []) assert.equal(alert.state, 'resolved', alert.labels.alertname)
    const now = await world()
    assert.equal(now.pagerduty.pages.length, 1, 'one page')
    assert.deepEqual(
      now.pagerduty.incidents.map((one) => one.status),
      ['resolved'],
    )
    assert.equal(now.slack.length, 1, 'one message')
    assert.ok((now.slack[0]?.edits ?? 0) > 0, 'edited in place')
    assert.match(`${now.slack[0]?.text} ${JSON.stringify(now.slack[0]?.blocks)}`, /resolved/i)
    return all[0]?.alerts.reduce((sum, alert) => sum + alert.times_seen, 0) ?? 0
  }
  const seen = await eventually('it is resolved everywhere', 25, quiet)

  // A healthy pair now sends stale firings (2 to 15 s later); nothing may reopen, nobody may be paged again.
  await meanwhile(20, async () => void (await quiet()))
  t.diagnostic(`stale firings received after the resolve: ${(await quiet()) - seen}`)

  await real.stop()
  assert.equal(await claw.stop(), 0, `claw drains and exits 0; it said:\n${claw.output()}`)
  passed = true
})
