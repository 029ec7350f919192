import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { ClawError } from '../../../src/core/errors.ts'
import { newIncident } from '../../../src/core/incident.ts'
import type { Store } from '../../../src/core/store.ts'
import { createMetrics } from '../../../src/http/metrics.ts'
import { openStore } from '../../../src/store/store.ts'
import { START } from '../../support/engine.ts'

/** A store whose every read and write can be made to fail. */
async function fragile(t: TestContext) {
  const store = await openStore('sqlite::memory:')
  t.after(() => store.close())
  await store.write(async (tx) => {
    await tx.saveIncidents([newIncident(1, 'k', {}, START)])
    await tx.beat('p1', START - 30_000)
  })
  let away: (() => Promise<never>) | null = null
  const proxy = new Proxy(store, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      return (...given: unknown[]) => (away ? away() : (value as (...all: unknown[]) => unknown).apply(target, given))
    },
  }) as Store
  const fail = (how: typeof away) => {
    away = how
  }
  return { store: proxy, fail }
}

const lines = (text: string, name: string) => text.split('\n').filter((line) => line.startsWith(name))

test('what the store knows is shown', async (t) => {
  const { store } = await fragile(t)
  const text = await createMetrics(store, () => START).text()
  assert.deepEqual(lines(text, 'claw_store_up'), ['claw_store_up 1'])
  assert.deepEqual(lines(text, 'claw_incidents'), ['claw_incidents{state="open",level="P3"} 1'])
  assert.deepEqual(lines(text, 'claw_actions_running'), ['claw_actions_running 0'])
  assert.deepEqual(lines(text, 'claw_heartbeat_age_seconds'), ['claw_heartbeat_age_seconds{source="p1"} 30'])
})

test('without the store everything else is shown, and nothing is shown as it was; it comes back by itself', async (t) => {
  const { store, fail } = await fragile(t)
  const metrics = createMetrics(store, () => START)
  metrics.webhook('alertmanager', 503)
  await metrics.text()
  fail(() => Promise.reject(new ClawError('unavailable', 'The database does not answer.')))
  const text = await metrics.text()
  assert.deepEqual(lines(text, 'claw_store_up'), ['claw_store_up 0'])
  assert.deepEqual(lines(text, 'claw_webhooks_total'), ['claw_webhooks_total{source="alertmanager",code="503"} 1'])
  assert.deepEqual(lines(text, 'claw_config_reload_success'), ['claw_config_reload_success 1'])
  assert.ok(lines(text, 'process_cpu_seconds_total').length > 0)
  for (const name of ['claw_incidents', 'claw_actions_running', 'claw_heartbeat_age_seconds', 'claw_delivery_pending'])
    assert.deepEqual(lines(text, name), [], name)
  fail(null)
  const back = await metrics.text()
  assert.deepEqual(lines(back, 'claw_store_up'), ['claw_store_up 1'])
  assert.deepEqual(lines(back, 'claw_incidents'), ['claw_incidents{state="open",level="P3"} 1'])
  assert.deepEqual(lines(back, 'claw_actions_running'), ['claw_actions_running 0'])
})

test('a store that hangs holds up a scrape for two seconds at most', async (t) => {
  const { store, fail } = await fragile(t)
  const metrics = createMetrics(store, () => START)
  t.mock.timers.enable({ apis: ['setTimeout'] })
  fail(() => new Promise<never>(() => {}))
  const asked = metrics.text()
  t.mock.timers.tick(2_000)
  assert.deepEqual(lines(await asked, 'claw_store_up'), ['claw_store_up 0'])
})
