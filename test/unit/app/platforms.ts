import type { TestContext } from 'node:test'
import { Router } from 'express'
import { pino } from 'pino'
import { type App, start } from '../../../src/app.ts'
import type { Incident } from '../../../src/core/incident.ts'
import { draftOf } from '../../../src/core/incident.ts'
import type { Delivery } from '../../../src/core/store.ts'
import { acknowledge } from '../../../src/core/transitions.ts'
import { storeDrafts } from '../../../src/engine/changes.ts'
import type { ReceivedAlert } from '../../../src/engine/judge.ts'
import { listen } from '../../../src/sandbox/listen.ts'
import { createFakePagerDuty, type FakePagerDuty } from '../../../src/sandbox/pagerduty.ts'
import { createFakeSlack, type FakeSlack } from '../../../src/sandbox/slack.ts'
import { createFakeTelegram, type FakeTelegram } from '../../../src/sandbox/telegram.ts'
import { temporaryFolder } from '../../support/app.ts'
import { START } from '../../support/engine.ts'
import { loadedOf } from '../../support/policy.ts'

export const RECEIVERS = `
receivers:
  - { name: critical, pagerduty: {}, slack: { channel: C0CRITICAL }, telegram: { chat: -1001 }, fallback: default }
  - { name: default, slack: { channel: C0ALERTS } }
route:
  receiver: default
  routes: [{ matchers: ['level="P1"'], receiver: critical }]
`

export type Platforms = {
  slack: FakeSlack
  telegram: FakeTelegram
  pagerduty: FakePagerDuty
  /** moves the clock of Claw and the platforms */
  pass(ms: number): void
  now(): number
  /** starts Claw on the same file as before; stopped after the test */
  claw(receivers?: string): Promise<Claw>
  /** the configuration that `claw` takes, for a reload */
  config(receivers: string): ReturnType<typeof loadedOf>
  /** requests of all platforms that would show people something */
  requests(): number
}

export type Claw = App & {
  /** posts one webhook. @returns the status */
  send(...alerts: ReceivedAlert[]): Promise<number>
  /** until nothing is due at this moment */
  settle(): Promise<void>
  incidents(): Promise<Incident[]>
  deliveries(): Promise<Delivery[]>
  /** a person takes incident `id`, as the engine stores it */
  acknowledge(id: number): Promise<void>
}

/** Slack, Telegram and PagerDuty over real HTTP, and Claw as the program starts it; one clock, moved by hand. */
export async function startPlatforms(t: TestContext): Promise<Platforms> {
  let now = START
  const clock = () => now
  const [slack, telegram, pagerduty] = [
    createFakeSlack({ clock }),
    createFakeTelegram({ clock }),
    createFakePagerDuty({ clock }),
  ]
  const router = Router()
  router.use('/slack', slack.router)
  router.use('/telegram', telegram.router)
  router.use('/pagerduty', pagerduty.router)
  const server = await listen(router)
  const folder = temporaryFolder(t)
  t.after(() => server.close())

  const config = (receivers: string) =>
    loadedOf(`
listen: 127.0.0.1:0
store: ${JSON.stringify(`sqlite:${folder}/claw.db`)}
alertmanager: { token: sandbox }
pagerduty: { routing_key: sandbox, events_url: ${server.url}/pagerduty }
slack: { bot_token: sandbox, api_url: ${server.url}/slack/api/ }
telegram: { bot_token: sandbox, api_root: ${server.url}/telegram }
${receivers}`)

  return {
    slack,
    telegram,
    pagerduty,
    config,
    now: clock,
    pass(ms) {
      now += ms
    },
    requests: () =>
      [slack, telegram, pagerduty]
        .flatMap(({ state }) => state.requests.map((request) => request.name))
        .filter((name) => /^(chat\.|sendMessage|edit|POST )/.test(name)).length,
    async claw(receivers = RECEIVERS) {
      const app = await start(config(receivers), { log: pino({ level: 'silent' }), clock, random: () => 1 })
      let stopped: Promise<void> | null = null
      const stop = () => {
        // What hangs on purpose must not hold up the end.
        stopped ??= app.stop()
        return stopped
      }
      t.after(async () => {
        for (const { faults } of [slack, telegram, pagerduty]) faults.clear()
        await stop()
      })
      const { store } = app.parts
      return {
        ...app,
        stop,
        async send(...alerts) {
          const answer = await fetch(`${app.url}/webhooks/alertmanager`, {
            method: 'POST',
            headers: { 'Content-Type': 'application/json', Authorization: 'Bearer sandbox' },
            body: webhook(alerts),
          })
          return answer.status
        },
        async settle() {
          await app.tick()
          for (;;) {
            let started = 0
            for (const lane of app.lanes()) started += await lane.tick()
            if (started === 0) return
          }
        },
        incidents: async () => (await store.listIncidents({ states: [], limit: 1000, before: null })).reverse(),
        deliveries: async () => store.listDeliveries({ state: null, limit: 1000, before: null }),
        async acknowledge(id) {
          await store.write(async (tx) => {
            const drafts = (await tx.incidents([id])).map((incident) => draftOf(incident))
            for (const draft of drafts) acknowledge(draft, 'Dana', '', now)
            await storeDrafts(tx, drafts, app.parts.loaded().policy, now)
          })
          app.parts.wake()
        },
      }
    },
  }
}

function webhook(alerts: readonly ReceivedAlert[]): string {
  return JSON.stringify({
    version: '4',
    receiver: 'claw',
    status: 'firing',
    externalURL: 'http://alertmanager:9093',
    alerts: alerts.map((alert) => ({
      ...alert,
      startsAt: new Date(alert.startsAt).toISOString(),
      endsAt: alert.endsAt === null ? '0001-01-01T00:00:00Z' : new Date(alert.endsAt).toISOString(),
    })),
  })
}
