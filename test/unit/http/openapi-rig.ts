import assert from 'node:assert/strict'
import { createHash, createHmac } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { TestContext } from 'node:test'
import { pino } from 'pino'
import { OPERATIONS } from '../../../handlers/api/openapi-operations.ts'
import { MINUTE, SECOND } from '../../../src/core/clock.ts'
import { ClawError } from '../../../src/core/errors.ts'
import type { Store } from '../../../src/core/store.ts'
import type { Triage } from '../../../src/core/triage.ts'
import type { WorkflowRun } from '../../../src/core/workflow.ts'
import { createSession } from '../../../src/http/session.ts'
import { createPages } from '../../../src/pages.ts'
import { signSlack } from '../../../src/sandbox/slack.ts'
import { startApp, TOKEN } from '../../support/app.ts'
import { START } from '../../support/engine.ts'

/** Where nothing listens: what Claw would say to a platform goes nowhere. */
const NOWHERE = 'http://127.0.0.1:9'
const TOKENS = { Dana: 'token-of-Dana', Vic: 'token-of-Vic' }

const YAML = `
public_url: https://claw.example.com
pagerduty: { routing_key: '0123456789abcdef0123456789abcdef', webhook_secret: sandbox }
slack: { bot_token: xoxb-1, signing_secret: sandbox, api_url: ${NOWHERE}/ }
telegram: { bot_token: '1:a', mode: webhook, webhook_secret: sandbox, api_root: ${NOWHERE} }
receivers:
  - { name: critical, pagerduty: {}, slack: { channel: C0CRITICAL }, telegram: { chat: -1001 }, fallback: default }
  - { name: default, slack: { channel: C0ALERTS } }
route:
  receiver: default
  routes: [{ matchers: ['level="P1"'], receiver: critical }]
api: { tokens: ${JSON.stringify(TOKENS)} }
people:
  - { name: Dana, roles: [commander], slack: U0DANA, telegram: 4711 }
  - { name: Vic, roles: [viewer] }
`

export type Request = {
  path: string
  headers?: Record<string, string>
  body?: string
}

export type Heard = { type: string | null; body: unknown }

/** The whole program with its API and document, and a caller that holds every answer against its schema. */
export async function startRig(t: TestContext, yaml = YAML) {
  let now = START
  const clock = () => now
  const app = await startApp(t, yaml, {
    clock,
    random: () => 1,
    pages: (parts, run) => createPages(parts, run, { sandbox: null, log: pino({ level: 'silent' }) }),
  })
  const store: Store = app.parts.store
  const exercised = new Set<string>()
  const examples: Record<string, Record<string, Record<string, unknown>>> = {}

  function keep(id: string, key: string, type: string, value: unknown): void {
    examples[id] ??= {}
    examples[id][key] ??= {}
    examples[id][key][type] ??= value
  }

  /** Sends a request of this operation; the answer has this status, and is as the operation says. */
  async function call(id: string, status: number, request: Request): Promise<Heard> {
    const operation = OPERATIONS.find((one) => one.id === id)
    assert.ok(operation, `there is no operation ${id}`)
    const pattern = new RegExp(`^${operation.path.replaceAll(/\{\w+\}/g, '[^/]+')}(\\?|$)`)
    assert.match(request.path, pattern, id)
    const { body = null, headers = {} } = request
    const method = operation.method.toUpperCase()
    const answer = await fetch(`${app.url}${request.path}`, { method, headers, body, redirect: 'manual' })
    const text = await answer.text()
    const where = `${id} ${status}: ${text.slice(0, 500)}`
    assert.equal(answer.status, status, where)
    const documented = operation.answers[status]
    assert.ok(documented, `${where} is not documented`)
    const type = answer.headers.get('content-type')?.split(';')[0] ?? null
    const content = documented.content.find((one) => one.type === type)
    if (text === '' && (documented.content.length === 0 || documented.empty)) {
      exercised.add(`${id} ${status}`)
    } else {
      assert.ok(content, `${where}: ${type} is not documented`)
      const value: unknown = /json$/.test(content.type) ? JSON.parse(text) : text
      const parsed = content.schema.safeParse(value)
      assert.ok(parsed.success, `${where}: ${parsed.error?.message}`)
      for (const name of Object.keys(content.type.includes('problem') ? (documented.headers ?? {}) : {}))
        assert.ok(answer.headers.has(name), `${where}: ${name} is missing`)
      exercised.add(`${id} ${status} ${content.type}`)
      if (typeof value !== 'string' && id !== 'getOpenApi' && TOLD.has(status))
        keep(id, String(status), content.type, value)
    }
    const sent = headers['content-type']
    if (status < 300 && body !== null && sent !== undefined) keep(id, 'request', sent, decoded(sent, body))
    return { type, body: /json$/.test(type ?? '') ? JSON.parse(text) : text }
  }

  /** As long as `work` takes, this is what a part does. */
  async function meanwhile<T extends object>(part: T, change: Partial<T>, work: () => Promise<unknown>): Promise<void> {
    const before = { ...part }
    Object.assign(part, change)
    await work().finally(() => Object.assign(part, before))
  }

  return {
    app,
    store,
    /** `<operation> <status> <media type>` of every answer */
    exercised,
    /** the first request and answer of each kind */
    examples,
    call,
    meanwhile,
    pass(ms: number) {
      now += ms
    },
    slack(body: string, type: string, more: Record<string, string> = {}): Request {
      const timestamp = String(Math.floor(now / SECOND))
      const headers = {
        'content-type': type,
        'x-slack-request-timestamp': timestamp,
        'x-slack-signature': signSlack('sandbox', timestamp, body),
        ...more,
      }
      return { path: '/slack/events', headers, body }
    },
    /** the console's cookie, of a person who signed in */
    cookie(): { name: string; header: string } {
      const session = createSession({ tokens: () => TOKENS, clock, publicUrl: () => null })
      const set: string[] = []
      const res = { appendHeader: (_name: string, value: string) => set.push(value) }
      session.start(res as unknown as ServerResponse, 'Dana')
      const header = set[0]?.split(';')[0] ?? ''
      return { name: header.split('=')[0] ?? '', header }
    },
  }
}

export type Rig = Awaited<ReturnType<typeof startRig>>

/** Answers whose example says something that the others do not. */
const TOLD = new Set([200, 202, 400, 403, 404, 409])

function decoded(type: string, body: string): unknown {
  return type === 'application/json' ? JSON.parse(body) : Object.fromEntries(new URLSearchParams(body))
}

export const dana = { authorization: `Bearer ${TOKENS.Dana}` }
export const vic = { authorization: `Bearer ${TOKENS.Vic}` }
const JSON_TYPE = { 'content-type': 'application/json' }

/** A chat command over HTTP. */
export function command(body: unknown, headers: Record<string, string> = dana): Request {
  return { path: '/api/v1/commands', headers: { ...JSON_TYPE, ...headers }, body: JSON.stringify(body) }
}

export function alertmanager(body: unknown, headers: Record<string, string> = {}): Request {
  const authorization = `Bearer ${TOKEN}`
  return {
    path: '/webhooks/alertmanager',
    headers: { ...JSON_TYPE, authorization, ...headers },
    body: JSON.stringify(body),
  }
}

export function pagerduty(value: unknown, headers: Record<string, string> = {}): Request {
  const body = JSON.stringify(value)
  const signature = `v1=${createHmac('sha256', 'sandbox').update(body).digest('hex')}`
  return {
    path: '/webhooks/pagerduty',
    headers: { ...JSON_TYPE, 'x-pagerduty-signature': signature, ...headers },
    body,
  }
}

export function telegram(value: unknown, headers: Record<string, string> = {}): Request {
  const secret = { 'x-telegram-bot-api-secret-token': 'sandbox' }
  return { path: '/webhooks/telegram', headers: { ...JSON_TYPE, ...secret, ...headers }, body: JSON.stringify(value) }
}

const iso = (time: number): string => new Date(time).toISOString()

/** What Alertmanager sends when the buckets of two regions run empty. */
export function webhook(status: 'firing' | 'resolved' = 'firing', service = 'rating-api') {
  const alerts = ['A', 'B'].map((region, index) => ({
    status,
    labels: { alertname: 'TokenBucketDepleted', region, service, severity: 'critical' },
    annotations: { summary: 'Fewer than 10 % of the tokens are left', bucket_ratio: '0.04' },
    startsAt: iso(START - (index + 1) * SECOND),
    endsAt: status === 'resolved' ? iso(START + 20 * SECOND) : '0001-01-01T00:00:00Z',
    generatorURL: 'http://prometheus.example.com:9090/graph?g0.expr=bucket',
    fingerprint: createHash('sha256').update(`${service} ${region}`).digest('hex').slice(0, 16),
  }))
  return {
    version: '4',
    groupKey: '{}:{alertname="TokenBucketDepleted"}',
    truncatedAlerts: 0,
    status,
    receiver: 'claw',
    groupLabels: { alertname: 'TokenBucketDepleted' },
    commonLabels: { alertname: 'TokenBucketDepleted', service, severity: 'critical' },
    commonAnnotations: {},
    externalURL: 'http://alertmanager.example.com:9093',
    alerts,
  }
}

/** What PagerDuty sends when somebody takes an incident that is not ours. */
export const pagerDutyEvent = {
  event: {
    id: '01BZ8W4XYZ',
    event_type: 'incident.acknowledged',
    resource_type: 'incident',
    occurred_at: iso(START),
    agent: { id: 'PDANA01', type: 'user_reference', summary: 'Dana' },
    data: { id: 'Q1INCIDENT', type: 'incident', status: 'acknowledged', incident_key: 'another/1' },
  },
}

/** A message that is no command. */
export const telegramUpdate = {
  update_id: 731,
  message: {
    message_id: 12,
    date: START / SECOND,
    chat: { id: -1001, type: 'supergroup', title: 'Incidents' },
    from: { id: 4711, is_bot: false, first_name: 'Dana' },
    text: 'Looking into it',
  },
}

/** Why a write fails while the disk is full, as the store says it. */
export function full(): ClawError {
  return new ClawError('unavailable', 'The database cannot store: disk full.', { cause: new Error('ENOSPC') })
}

const run: WorkflowRun = {
  id: 1,
  kind: 'reconcile',
  input: { regions: ['B'], policy: 'highest-capacity' },
  title: 'Reconcile B',
  regions: ['B'],
  incident: 1,
  by: 'Dana',
  via: 'http',
  replyTo: null,
  state: 'running',
  steps: ['take a snapshot', 'reconcile'].map((name, index) => ({
    name,
    state: index === 0 ? 'done' : 'running',
    attempts: 1,
    startedAt: START + (index + 3) * SECOND,
    endedAt: index === 0 ? START + 4 * SECOND : null,
    result: null,
    error: null,
  })),
  dueAt: START + MINUTE,
  cancelledBy: null,
  startedAt: START + 3 * SECOND,
  endedAt: null,
  outcome: null,
  data: null,
}

/**
 * Reads that give incident 1 all that it can have: the verdict of triage, an operation, a proposal. They are not stored, since
 * the engine would go on with them.
 */
export function enriched(store: Store): Partial<Store> {
  const { incidents, story } = store
  return {
    incidents: async (ids) => (await incidents(ids)).map((one) => ({ ...one, triage, proposals })),
    async story(id, limit) {
      const began = {
        at: run.startedAt,
        kind: 'operation',
        actor: 'Dana',
        text: 'o1: Reconcile B begins.',
        push: false,
      }
      return [...(await story(id, limit)), { seq: 99, ...began }]
    },
    workflows: async () => [run],
  }
}

const triage: Triage = {
  at: START + 2 * SECOND,
  regions: ['A: 4 % left, 620/s offered, 1500/s refilled, lag 0.6 s, 1.9.0'],
  diverged: { keys: 3, examples: ['tenant-7: 120 in A, 4 in B'] },
  changes: [{ at: START - 2 * MINUTE, region: 'A', what: 'version', from: '1.8.4', to: '1.9.0' }],
  verdict: {
    limiter: 'wrong',
    cause: 'bad version',
    confidence: 0.9,
    summary: 'The limiter is wrong: 3 keys diverge since 1.9.0 went out.',
    evidence: ['3 keys differ between A and B'],
    act: { label: 'Revert 1.9.0', command: 'revert A', risk: 'Takes a minute; requests go on.' },
  },
}

const proposals = [{ label: 'Reconcile A', command: 'reconcile A', policy: 'conflicts', at: START, region: 'A' }]

/** Pretends that a lane took one step for a delivery. */
export async function end(
  tx: Parameters<Parameters<Store['write']>[0]>[0],
  id: number,
  outcome: { state: 'delivered' | 'dead'; reference: string | null; reason: string | null },
): Promise<void> {
  const delivered = outcome.state === 'delivered'
  await tx.beginSteps([id], 1)
  await tx.recordOutcomes([
    {
      id,
      fence: 1,
      dueAt: START,
      priority: 0,
      shown: delivered ? 1 : null,
      attempts: delivered ? 0 : 1,
      inDoubt: false,
      adapterState: null,
      deliveredAt: delivered ? START + SECOND : null,
      ...outcome,
    },
  ])
}
