import type { TestContext } from 'node:test'
import express, { Router } from 'express'
import { pino } from 'pino'
import { PAGERDUTY_BODY_LIMIT, parsePagerDutyEvent, verifyPagerDuty } from '../../../handlers/webhooks/pagerduty.ts'
import { createPagerDutyDestination } from '../../../src/adapters/pagerduty/pagerduty.ts'
import { createPagerDutyRest } from '../../../src/adapters/pagerduty/rest.ts'
import type { Person } from '../../../src/core/command.ts'
import { ClawError } from '../../../src/core/errors.ts'
import type { Delivery } from '../../../src/core/store.ts'
import { createLane } from '../../../src/engine/delivery.ts'
import { createPagerDutySync, type PagerDutySync } from '../../../src/engine/pagerduty.ts'
import { problemHandler } from '../../../src/http/problem.ts'
import { receiver } from '../../../src/http/webhook.ts'
import { listen } from '../../../src/sandbox/listen.ts'
import { createFakePagerDuty, type FakePagerDuty } from '../../../src/sandbox/pagerduty.ts'
import { createWorld, type World } from '../../support/engine.ts'
import { policyOf } from '../../support/policy.ts'
import { depsOf } from './lanes.ts'

export const KEY = 'claw/test/1'

const YAML = `
pagerduty: { routing_key: sandbox }
slack: { bot_token: x }
telegram: { bot_token: x }
receivers:
  - { name: critical, pagerduty: {}, slack: { channel: CRIT }, telegram: { chat: -1001 } }
route: { receiver: critical }
`

export const DANA: Person = { name: 'Dana', roles: ['responder'], slack: 'U1', telegram: '1', pagerduty: 'PDANA01' }

export type Rig = World & {
  pagerduty: FakePagerDuty
  sync: PagerDutySync
  /** where webhooks go; the sandbox is told of it by `hear` */
  url: string
  hear(): void
  /** the PagerDuty lane sends all that is due */
  deliver(): Promise<void>
  /** everything that was sent to PagerDuty's events API, as `action key` */
  events(): string[]
  /** writes over REST, as `METHOD path` */
  writes(): string[]
  poll(ms?: number): Promise<void>
  /** slack and telegram are in step from here on, as if their lanes had run */
  shown(): Promise<void>
  others(): Promise<Delivery[]>
  lines(): Promise<string[]>
  audit(): Promise<string[]>
  stored: number
  logged: string[]
}

/** The engine, the real PagerDuty adapters and a PagerDuty account over HTTP; one clock, moved by hand. */
export async function rig(t: TestContext, options: { secrets?: string[]; rest?: boolean } = {}): Promise<Rig> {
  const world = await createWorld(t, YAML)
  const pagerduty = createFakePagerDuty({ clock: world.now })
  const platform = await listen(Router().use('/pd', pagerduty.router))
  t.after(() => platform.close())
  t.after(() => pagerduty.state.webhooks.settled())
  const apiUrl = `${platform.url}/pd`
  const logged: string[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => void logged.push(line) })
  const rest =
    options.rest === false ? null : createPagerDutyRest({ apiToken: 'sandbox', apiUrl, from: 'claw@example.com' })
  const destination = createPagerDutyDestination({
    routingKeys: new Map([['default', 'sandbox']]),
    eventsUrl: apiUrl,
    renderer: { render: (name) => name },
  })
  t.after(() => destination.close())
  const running = createLane(destination, depsOf(world, world.store))
  t.after(() => running.stop())
  const policy = policyOf(YAML)
  const sync = createPagerDutySync({
    store: world.store,
    policy: () => policy,
    installation: () => 'test',
    access: () => ({ people: [DANA], roles: {} }),
    clock: world.now,
    log,
    believes: () => false,
    onStored: () => {
      result.stored += 1
    },
    rest: () => rest,
    every: () => 30_000,
  })

  const app = express()
  app.all(
    '/webhooks/pagerduty',
    receiver({
      limit: PAGERDUTY_BODY_LIMIT,
      authenticate: () => {},
      async handle(body, req) {
        const header = req.get('x-pagerduty-signature')
        if (!verifyPagerDuty(body, header, options.secrets ?? ['sandbox'])) {
          throw new ClawError('unauthorized', 'The signature is missing or wrong.')
        }
        await sync.receive(parsePagerDutyEvent(body))
      },
    }),
  )
  app.use(problemHandler(log))
  const claw = await listen(app)
  t.after(() => claw.close())
  const url = `${claw.url}/webhooks/pagerduty`

  const result: Rig = {
    ...world,
    pagerduty,
    sync,
    url,
    stored: 0,
    logged,
    hear() {
      pagerduty.state.webhooks.target = { url, secret: 'sandbox' }
    },
    async deliver() {
      while ((await running.tick()) > 0);
      await pagerduty.state.webhooks.settled()
    },
    events: () => pagerduty.state.accepted.map((event) => `${event.event_action} ${event.dedup_key}`),
    writes: () =>
      pagerduty.state.requests.filter(({ name }) => /^P(UT|OST) \/incidents/.test(name)).map(({ name }) => name),
    async poll(ms = 30_000) {
      world.wait(ms)
      await sync.tick()
    },
    async shown() {
      const fence = 7
      const ids = (await world.all()).map(({ id }) => id)
      await world.store.write(async (tx) => {
        const rows = (await tx.deliveriesOf(ids)).filter(({ kind }) => kind !== 'pagerduty')
        await tx.beginSteps(
          rows.map(({ id }) => id),
          fence,
        )
        await tx.recordOutcomes(
          rows.map((row) => ({
            id: row.id,
            fence,
            state: 'delivered' as const,
            dueAt: 0,
            priority: 1,
            shown: row.wanted,
            attempts: 0,
            inDoubt: false,
            reference: 'm1',
            reason: null,
            adapterState: null,
            deliveredAt: world.now(),
          })),
        )
      })
    },
    others: async () => (await world.deliveries()).filter(({ kind }) => kind !== 'pagerduty'),
    lines: async () => (await world.store.story((await world.only()).id, 100)).map(({ text }) => text),
    audit: async () =>
      (await world.store.auditRows(0, 100)).map(
        (row) => `${row.actor} ${row.via} ${row.action} ${row.target} ${row.outcome}`,
      ),
  }
  return result
}
