import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { eventually, missing, start } from '../../src/sandbox/real/process.ts'
import { PROGRAMS, type Stack, startStack } from '../../src/sandbox/real/stack.ts'

const Incidents = z.object({
  incidents: z.array(z.object({ id: z.string(), state: z.string(), acknowledged_by: z.string().nullable() })),
})
const Operations = z.object({
  data: z.object({ operations: z.array(z.object({ kind: z.string(), state: z.string(), by: z.string() })) }),
})
const World = z.object({
  regions: z.array(z.object({ version: z.string() })),
  pagerduty: z.object({ pages: z.array(z.unknown()) }),
})

test('merge-bug seen by a real Prometheus: paged, reconciled, reverted and resolved with nobody’s help', {
  timeout: 290_000,
}, async (t) => {
  const absent = missing(PROGRAMS)
  if (absent.length > 0) {
    const why = `SKIPPED: ${absent.join(' and ')} not installed; apt-get install prometheus prometheus-alertmanager`
    console.error(`\n${'!'.repeat(why.length)}\n${why}\n${'!'.repeat(why.length)}\n`)
    return t.skip(why)
  }
  const data = mkdtempSync(join(tmpdir(), 'claw-e2e-heal-'))
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
  const call = async (path: string, body?: object): Promise<unknown> => {
    const answer = await fetch(`${url}${path}`, {
      method: body ? 'POST' : 'GET',
      headers: { Authorization: 'Bearer sandbox', 'Content-Type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    assert.ok(answer.ok, `${path}: ${answer.status}`)
    return answer.json()
  }
  const operations = async () =>
    Operations.parse(await call('/api/v1/commands', { text: 'operations' })).data.operations
  const incidents = async () => Incidents.parse(await call('/api/v1/incidents')).incidents
  const world = async () => World.parse(await call('/sandbox/state'))

  stack = await startStack(url)
  const real = stack
  await eventually('the edge is scraped', 15, async () => {
    assert.ok((await real.query('openclaw_token_bucket_available{region="A"}')) > 0.95)
  })
  await call('/sandbox/scenarios/merge-bug', {})
  await eventually('a page', 60, async () => assert.ok((await world()).pagerduty.pages.length > 0))
  await eventually('a policy has reverted the version', 90, async () => {
    const reverted = (await operations()).find(({ kind, state }) => kind === 'revert' && state === 'succeeded')
    assert.ok(reverted, JSON.stringify(await operations()))
  })
  const done = await operations()
  assert.ok(done.some(({ kind }) => kind === 'reconcile'))
  for (const { by } of done) assert.match(by, /^policy:/)
  for (const { version } of (await world()).regions) assert.equal(version, '1.8.2')
  await eventually('everything is resolved', 110, async () => {
    const all = await incidents()
    assert.ok(all.length > 0)
    for (const one of all) assert.deepEqual([one.state, one.acknowledged_by], ['resolved', null])
  })
  await real.stop()
  assert.equal(await claw.stop(), 0, `claw drains and exits 0; it said:\n${claw.output()}`)
  passed = true
})
