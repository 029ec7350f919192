import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { Router } from 'express'
import { pino } from 'pino'
import { type App, start } from '../../../src/app.ts'
import type { AuditRow } from '../../../src/core/audit.ts'
import { type Clock, SECOND } from '../../../src/core/clock.ts'
import type { Reply } from '../../../src/core/command.ts'
import type { ReceivedAlert } from '../../../src/engine/judge.ts'
import { createPages } from '../../../src/pages.ts'
import { listen } from '../../../src/sandbox/listen.ts'
import type { Inbound } from '../../../src/sandbox/slack/inbound.ts'
import type { SlackMessage, SlackResponse, SlackView } from '../../../src/sandbox/slack.ts'
import type { TelegramMessage } from '../../../src/sandbox/telegram.ts'
import { createWorld, type World } from '../../../src/sandbox/world.ts'
import { temporaryFolder } from '../../support/app.ts'
import { START } from '../../support/engine.ts'
import { loadedOf } from '../../support/policy.ts'

export const CHANNEL = 'C0CRITICAL'
export const GROUP = -1001
/** What a person needs before the next act; lanes have room for another answer by then. */
const MOMENT = 3 * SECOND
/** Who is who on each platform; `stranger` is linked nowhere. */
export const SLACK = { dana: 'U0DANA', lee: 'U0LEE', vic: 'U0VIC', stranger: 'U0STRANGER' } as const
export const TELEGRAM = { dana: 4711, lee: 4712, vic: 4713, stranger: 666 } as const
/** The incident's own page. */
export const KEY = 'claw/sandbox/1'

export type RigOptions = {
  /** Slack over its WebSocket instead of HTTP */
  socket?: boolean
  /** Telegram by long poll instead of webhook */
  polling?: boolean
  /** no simulated edge */
  edge?: boolean
  /** further configuration */
  yaml?: string
}

export type Rig = {
  app: App
  world: World
  slack: World['slack']['state']
  telegram: World['telegram']['state']
  pagerduty: World['pagerduty']['state']
  /** for the look-alike Slack: where Claw listens */
  to: Inbound
  folder: string
  /** SQLite file of this Claw */
  database: string
  now: Clock
  pass(ms: number): void
  /** posts one webhook of Alertmanager's */
  alert(...alerts: ReceivedAlert[]): Promise<void>
  /** until nothing is due at this moment */
  settle(): Promise<void>
  /** one incident message in the Slack channel, the first */
  slackMessage(): SlackMessage
  telegramMessage(): TelegramMessage
  /** types `/claw text`; the answer that only the asker sees */
  slackSays(user: string, text: string): Promise<SlackResponse>
  /** presses a button; the answer */
  slackClicks(user: string, shown: SlackMessage | SlackResponse, action: string): Promise<SlackResponse>
  /** presses a button that asks back; the modal */
  slackAsks(user: string, shown: SlackMessage | SlackResponse, action: string): Promise<SlackView>
  /** confirms a modal; the answer */
  slackConfirms(user: string, view: SlackView, note?: string): Promise<SlackResponse>
  /** writes in a chat; all messages of the answer */
  telegramSays(user: number, text: string, replyTo?: number): Promise<TelegramMessage>
  telegramPresses(user: number, message: TelegramMessage, data: string): Promise<TelegramMessage>
  /** `POST /api/v1/commands` */
  terminal(person: string, text: string, more?: Record<string, unknown>, key?: string): Promise<Typed>
  audit(): Promise<AuditRow[]>
}

export type Typed = Pick<Reply, 'ok' | 'code' | 'summary' | 'lines' | 'table'> & { status: number }

/**
 * The whole program, its API included, in the sandbox's world over real HTTP; one clock, moved by hand. The look-alikes have a
 * server of their own, since Claw's address is known only once it listens.
 */
export async function startRig(t: TestContext, options: RigOptions = {}): Promise<Rig> {
  let now = START
  let claw = ''
  const clock = () => now
  const world = createWorld({ clock, clawUrl: () => claw, rateLimits: false })
  const { slack, telegram, pagerduty } = {
    slack: world.slack.state,
    telegram: world.telegram.state,
    pagerduty: world.pagerduty.state,
  }
  const server = await listen(Router().use('/sandbox', world.router))
  const folder = temporaryFolder(t)
  const database = `${folder}/claw.db`
  const loaded = loadedOf(configOf(`${server.url}/sandbox`, database, options))
  const app = await start(loaded, {
    log: pino({ level: 'silent' }),
    clock,
    random: () => 1,
    pages: (parts, run) => createPages(parts, run, { sandbox: null, log: pino({ level: 'silent' }) }),
  })
  claw = app.url
  t.after(async () => {
    for (const { faults } of [world.slack, world.telegram, world.pagerduty]) faults.clear()
    await app.stop()
    world.reset()
    await world.stop()
    await server.close()
  })
  pagerduty.webhooks.target = { url: `${claw}/webhooks/pagerduty`, secret: 'sandbox' }
  if (options.socket) await slack.waitFor((state) => state.sockets.connections === 1)
  if (options.polling) await telegram.waitFor((state) => state.updates.polled)
  else {
    await telegram.waitFor((state) => state.updates.webhook !== null && state.count('setWebhook') === 1)
    // The public address, as whatever stands in front of Claw would lead it there.
    if (telegram.updates.webhook) telegram.updates.webhook.url = `${claw}/webhooks/telegram`
  }
  const to: Inbound = { url: options.socket ? null : `${claw}/slack/events`, base: `${server.url}/sandbox/slack` }

  /** What Claw answers at a response URL because of `act`. */
  async function answered(act: () => Promise<{ status: number; body: string }>): Promise<SlackResponse> {
    now += MOMENT
    const before = slack.responses.length
    const { status, body } = await act()
    assert.equal(status, 200, body)
    return await slack.waitFor((state) => state.responses[before])
  }
  async function replied(chat: number, act: () => { update: { update_id: number } }): Promise<TelegramMessage> {
    now += MOMENT
    const seen = new Set(telegram.inChat(chat).filter((one) => one.own))
    // An incident's own news are replies as well; the answer names no incident message but what was typed or pressed.
    act()
    return await telegram.waitFor((state) =>
      state.inChat(chat).find((one) => one.own && !seen.has(one) && one.replyTo !== null && !one.silent),
    )
  }

  return {
    app,
    world,
    slack,
    telegram,
    pagerduty,
    to,
    folder,
    database,
    now: clock,
    pass(ms) {
      now += ms
    },
    async alert(...alerts) {
      const answer = await fetch(`${claw}/webhooks/alertmanager`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Authorization: 'Bearer sandbox' },
        body: webhook(alerts),
      })
      assert.equal(answer.status, 200)
    },
    async settle() {
      await pagerduty.webhooks.settled()
      await app.tick()
      for (;;) {
        let started = 0
        for (const lane of app.lanes()) started += await lane.tick()
        if (started === 0) return
      }
    },
    slackMessage() {
      const found = slack.inChannel(CHANNEL).find((one) => one.own && one.threadTs === null)
      assert.ok(found, 'no incident message in Slack')
      return found
    },
    telegramMessage() {
      const found = telegram.inChat(GROUP).find((one) => one.own && one.replyTo === null)
      assert.ok(found, 'no incident message in Telegram')
      return found
    },
    slackSays: (user, text) => answered(() => slack.command(user, CHANNEL, text, to)),
    slackClicks: (user, shown, action) => answered(() => slack.click(user, shown, action, to)),
    async slackAsks(user, shown, action) {
      const before = slack.views.length
      const { status } = await slack.click(user, shown, action, to)
      assert.equal(status, 200)
      return await slack.waitFor((state) => state.views[before])
    },
    slackConfirms: (user, view, note) =>
      answered(() => slack.submit(user, view, note === undefined ? {} : { 'claw:note': { 'claw:note': note } }, to)),
    telegramSays: (user, text, replyTo) =>
      replied(GROUP, () => telegram.userSays(GROUP, user, text, replyTo === undefined ? {} : { replyTo })),
    telegramPresses: (user, message, data) =>
      replied(message.chat, () => telegram.press(message.chat, message.id, data, user)),
    async terminal(person, text, more = {}, key) {
      const answer = await fetch(`${claw}/api/v1/commands`, {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          Authorization: `Bearer token-of-${person}`,
          ...(key === undefined ? {} : { 'Idempotency-Key': key }),
        },
        body: JSON.stringify({ text, via: 'terminal', ...more }),
      })
      return { status: answer.status, ...((await answer.json()) as Omit<Typed, 'status'>) }
    },
    async audit() {
      const answer = await fetch(`${claw}/api/v1/audit?limit=200`, {
        headers: { Authorization: 'Bearer token-of-Dana' },
      })
      assert.equal(answer.status, 200)
      return ((await answer.json()) as { audit: AuditRow[] }).audit
    },
  }
}

/** As src/sandbox/config.ts, with more people, and without what comes by itself from time to time. */
export function configOf(base: string, database: string, options: RigOptions): string {
  const { socket = false, polling = false, edge = true, yaml = '' } = options
  return `
installation: sandbox
listen: 127.0.0.1:0
public_url: https://claw.example.com
store: ${JSON.stringify(`sqlite:${database}`)}
alertmanager: { token: sandbox }
pagerduty:
  routing_key: sandbox
  api_token: sandbox
  from: claw@example.com
  webhook_secret: sandbox
  events_url: ${base}/pagerduty
  api_url: ${base}/pagerduty
slack:
  bot_token: sandbox
  ${socket ? 'app_token: sandbox' : 'signing_secret: sandbox'}
  api_url: ${base}/slack/api/
telegram:
  bot_token: sandbox
  api_root: ${base}/telegram
  ${polling ? 'mode: polling' : 'mode: webhook\n  webhook_secret: sandbox'}
${edge ? `edge: { url: ${base}/edge, token: sandbox }` : ''}
receivers:
  - { name: critical, pagerduty: {}, slack: { channel: ${CHANNEL} }, telegram: { chat: ${GROUP} }, fallback: default }
  - { name: default, slack: { channel: C0ALERTS } }
route:
  receiver: default
  routes: [{ matchers: ['level="P1"'], receiver: critical }]
api: { tokens: { Dana: token-of-Dana, Lee: token-of-Lee, Vic: token-of-Vic } }
people:
  - { name: Dana, roles: [commander], slack: ${SLACK.dana}, telegram: ${TELEGRAM.dana}, pagerduty: PDANA01 }
  - { name: Lee, roles: [responder], slack: ${SLACK.lee}, telegram: ${TELEGRAM.lee}, pagerduty: PLEE002 }
  - { name: Vic, roles: [viewer], slack: ${SLACK.vic}, telegram: ${TELEGRAM.vic} }
${yaml}`
}

/** What a person reads of blocks: texts and `[buttons]`, in order. */
export function readBlocks(blocks: unknown): string {
  const texts: string[] = []
  const walk = (value: unknown): void => {
    if (Array.isArray(value)) for (const one of value) walk(one)
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return
    const { type, text, elements, fields, accessory, label } = value as Record<string, unknown>
    if (type === 'button') {
      texts.push(`[${(text as { text: string }).text}]`)
      return
    }
    if (typeof text === 'string') texts.push(text)
    else walk(text)
    for (const inner of [label, elements, fields, accessory]) walk(inner)
  }
  walk(blocks)
  return texts.join('\n').replace(/\]\n\[/g, '] [')
}

/** What a person reads of a message in Telegram, its buttons last. */
export function readTelegram(message: TelegramMessage): string {
  const markup = message.markup as { inline_keyboard?: { text: string }[][] } | null
  const rows = (markup?.inline_keyboard ?? []).map((row) => row.map(({ text }) => `[${text}]`).join(' '))
  return [message.text, ...rows].join('\n')
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

/** An alert of the evening, with the texts that the rules file gives it. */
export const TEXTS = {
  annotations: {
    summary: 'Fewer than 10 % of the tokens are left',
    runbook_url: 'https://runbooks.example.com/bucket',
  },
  generatorURL: 'http://prometheus.example.com:9090/graph?g0.expr=bucket',
}

export const MINUTE = 60 * SECOND
