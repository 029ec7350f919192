import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import express from 'express'
import { pino } from 'pino'
import { stringify } from 'yaml'
import { apiRoutes } from '../../../handlers/api/routes.ts'
import { linkOwner, useLink } from '../../../handlers/commands/console.ts'
import { commandSpecs } from '../../../handlers/commands/index.ts'
import { createRenderer } from '../../../src/adapters/liquid/renderer.ts'
import { accessOf } from '../../../src/chatops.ts'
import { parseConfig, redact } from '../../../src/config/index.ts'
import { type ConsoleDeps, createConsole, type Watch } from '../../../src/console/console.ts'
import type { CommandRequest } from '../../../src/core/command.ts'
import type { Delivery, DeliveryState, Store } from '../../../src/core/store.ts'
import { createCommands } from '../../../src/engine/commands.ts'
import { createIngest } from '../../../src/engine/ingest.ts'
import { createServices } from '../../../src/engine/services.ts'
import { createSignals } from '../../../src/engine/signals.ts'
import { createViews } from '../../../src/engine/view.ts'
import { createApi } from '../../../src/http/api.ts'
import { problemHandler } from '../../../src/http/problem.ts'
import { listen } from '../../../src/http/server.ts'
import { createSession } from '../../../src/http/session.ts'
import { openStore } from '../../../src/store/store.ts'
import { nothingOutside } from '../commands/rig.ts'

export const START = Date.UTC(2026, 4, 4, 2, 15)

const CONFIG = `
public_url: http://claw.test
pagerduty: { routing_key: '0123456789abcdef0123456789abcdef' }
slack: { bot_token: xoxb-1 }
telegram: { bot_token: '1:a' }
people:
  - { name: Dana, roles: [commander] }
  - { name: Kim, roles: [commander] }
  - { name: Rae, roles: [responder] }
  - { name: Vic, roles: [viewer], telegram: 4713 }
approvals: { failover: 1 }
time_intervals:
  - name: nights
    time_intervals: [{ times: [{ start_time: '00:00', end_time: '06:00' }] }]
maintenance:
  - { name: upgrade, matchers: ['service="staging"'], time_intervals: [nights], note: the yearly one }
receivers:
  - name: critical
    pagerduty: {}
    slack: { channel: C0CRITICAL }
    telegram: { chat: -1001 }
    fallback: default
  - name: default
    slack: { channel: C0ALERTS }
route:
  receiver: default
  routes:
    - { matchers: ['level="P1"'], receiver: critical }
`

export type Fired = {
  name?: string
  status?: 'firing' | 'resolved'
  labels?: Record<string, string>
  annotations?: Record<string, string>
  startsAt?: number
  endsAt?: number
  fingerprint?: string
  generatorURL?: string
}

/** The API and the console over real HTTP, on a real store; no lanes run, so a delivery moves only when a test moves it. */
export async function startRig(
  t: TestContext,
  options: {
    sandbox?: boolean
    publicUrl?: string
    tokens?: Record<string, string>
    watch?: Watch
    prometheus?: ReturnType<ConsoleDeps['prometheus']>
  } = {},
) {
  const dir = mkdtempSync(join(tmpdir(), 'claw-console-'))
  const store = await openStore(`sqlite:${join(dir, 'claw.db')}`)
  const { policy, config } = parseConfig(CONFIG, { env: {}, readFile: () => '' })
  const time = { now: START }
  const clock = () => time.now
  const publicUrl = () => options.publicUrl ?? 'http://claw.test'
  const tokens: Record<string, string> = options.tokens ?? { Dana: 'dana-token', Kim: 'kim-token' }
  const views = createViews({ store, policy: () => policy, signals: createSignals([], clock), publicUrl })
  const ingest = createIngest({ store, policy: () => policy, clock, believes: () => false, onStored: () => {} })
  const people = { names: config.people.map(({ name }) => name) }
  const session = createSession({
    tokens: () => tokens,
    people: () => people.names,
    key: () => 'a key',
    clock,
    publicUrl,
  })
  const woken = { count: 0 }
  const errors: unknown[] = []
  const wake = () => {
    woken.count += 1
  }
  const services = createServices({
    store,
    edge: () => null,
    onCall: async () => null,
    clock,
    specs: () => commandSpecs,
    renderPostmortem: async () => null,
    prepareApproval: (id) => commands.approval(id),
    outside: () => nothingOutside(policy),
    changes: () => [],
    publicUrl,
  })
  const commands = createCommands({
    store,
    specs: commandSpecs,
    services,
    access: () => accessOf(config),
    policy: () => policy,
    approvals: () => ({ needed: { automation: 1 }, expireAfter: 900_000 }),
    believes: () => false,
    clock,
    log: pino({ level: 'silent' }),
    onStored: wake,
    onRun: () => {},
  })
  const run = (request: CommandRequest) => commands.run(request)
  const sandbox: ConsoleDeps['sandbox'] = options.sandbox
    ? { person: 'Dana', scenarios: [{ name: 'merge-bug', text: 'A patch drops updates.' }], page: '/sandbox/' }
    : null
  const app = express()
  app.disable('x-powered-by')
  app.use(
    '/api/v1',
    createApi({
      session,
      routes: apiRoutes({ store, viewOf: views.of, clock, wake, run, access: () => accessOf(config) }),
    }),
  )
  const { router, feed } = createConsole({
    store,
    viewOf: views.of,
    renderer: createRenderer({ root: 'templates' }),
    session,
    links: {
      owner: (token) => linkOwner(store, token, clock()),
      use: (token) => store.write((tx) => useLink(tx, token, clock())),
    },
    run,
    commands: commandSpecs,
    policy: () => policy,
    configuration: () => stringify(redact(config)).split('\n'),
    watch: () => options.watch ?? null,
    prometheus: () => options.prometheus ?? null,
    sandbox,
    version: '1.2.3',
    clock,
    onError: (error) => errors.push(error),
    timer: false,
  })
  app.use(router)
  app.use(problemHandler(pino({ level: 'silent' })))
  const server = await listen(app, '127.0.0.1', 0)
  t.after(async () => {
    feed.close()
    await server.close(0)
    await store.close()
    rmSync(dir, { recursive: true, force: true })
  })

  async function fire(...alerts: Fired[]): Promise<void> {
    await ingest.accept({
      alerts: alerts.map((one) => {
        const labels = { alertname: one.name ?? 'TokenBucketDepleted', severity: 'critical', ...one.labels }
        return {
          fingerprint:
            one.fingerprint ?? createHash('sha256').update(JSON.stringify(labels)).digest('hex').slice(0, 16),
          status: one.status ?? 'firing',
          labels,
          annotations: one.annotations ?? {},
          startsAt: one.startsAt ?? time.now,
          endsAt: one.status === 'resolved' ? (one.endsAt ?? time.now) : null,
          generatorURL: one.generatorURL ?? '',
          externalURL: 'http://alertmanager.test:9093',
        }
      }),
    })
  }

  /** Pretends that the lane took one step, with this outcome. */
  async function deliver(
    which: { incident: number; target: string },
    outcome: { state: DeliveryState; reason?: string; reference?: string; attempts?: number; dueAt?: number },
  ): Promise<Delivery> {
    const all = await store.deliveriesOf([which.incident])
    const delivery = all.find((one) => one.target === which.target)
    if (!delivery) throw new Error(`incident ${which.incident} has ${all.map((one) => one.target).join(', ')}`)
    const now = time.now
    await store.write(async (tx) => {
      await tx.beginSteps([delivery.id], 1)
      await tx.recordOutcomes([
        {
          id: delivery.id,
          fence: 1,
          state: outcome.state,
          dueAt: outcome.dueAt ?? now,
          priority: 0,
          shown: outcome.state === 'delivered' ? delivery.wanted : null,
          attempts: outcome.attempts ?? 0,
          inDoubt: false,
          reference: outcome.reference ?? null,
          reason: outcome.reason ?? null,
          adapterState: null,
          deliveredAt: outcome.state === 'delivered' ? now : null,
        },
      ])
    })
    return delivery
  }

  const bearer = { authorization: 'Bearer dana-token' }
  return {
    url: server.url,
    store: store as Store,
    feed,
    people,
    session,
    time,
    tokens,
    woken,
    errors,
    fire,
    deliver,
    /** a request as the API's user */
    get: (path: string, headers: Record<string, string> = bearer) =>
      fetch(`${server.url}/api/v1${path}`, { headers, redirect: 'manual' }),
    post: (path: string, headers: Record<string, string> = bearer) =>
      fetch(`${server.url}/api/v1${path}`, { method: 'POST', headers, redirect: 'manual' }),
    /** a request as a browser sends it, `form` with a POST */
    browse: (path: string, cookie = '', form?: Record<string, string>, headers: Record<string, string> = {}) =>
      fetch(`${server.url}${path}`, {
        method: form ? 'POST' : 'GET',
        redirect: 'manual',
        headers: { ...(cookie === '' ? {} : { cookie }), ...(form ? { origin: server.url } : {}), ...headers },
        ...(form ? { body: new URLSearchParams(form) } : {}),
      }),
    /** a command's form as the page sends it, with the person's own token */
    press(cookie: string, form: Record<string, string>, as = 'Dana'): Promise<Response> {
      return this.browse('/commands', cookie, { token: session.formToken(as), ...form })
    },
    /** the cookie of a person who signs in with this token */
    async signIn(token = 'dana-token'): Promise<string> {
      const res = await this.browse('/signin', '', { token })
      return (res.headers.getSetCookie()[0] ?? '').split(';')[0] ?? ''
    },
  }
}
