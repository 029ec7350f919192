import { Router } from 'express'
import type { Logger } from 'pino'
import { postmortemOf } from '../handlers/api/incidents.ts'
import { commandSpecs } from '../handlers/commands/index.ts'
import { PAGERDUTY_BODY_LIMIT, parsePagerDutyEvent, verifyPagerDuty } from '../handlers/webhooks/pagerduty.ts'
import { parseTelegramUpdate, TELEGRAM_BODY_LIMIT, telegramAuthenticator } from '../handlers/webhooks/telegram.ts'
import type { Parts } from './app.ts'
import type { Config } from './config/index.ts'
import type { Access } from './core/access.ts'
import { SECOND } from './core/clock.ts'
import type { CommandRequest, Inbox, Reply, Services } from './core/command.ts'
import { ClawError, messageOf } from './core/errors.ts'
import type { PagerDutyRest } from './core/pagerduty.ts'
import { createCommands } from './engine/commands.ts'
import type { OnCallLookup } from './engine/oncall.ts'
import { createPagerDutySync } from './engine/pagerduty.ts'
import { createServices, type RegionsSource } from './engine/services.ts'
import { receiver } from './http/webhook.ts'

/** Longer than a long poll of Telegram's, so that the lease does not lapse while one is under way. */
const POLLING_LEASE = 40 * SECOND
/** Open incidents that App Home shows. */
const HOME_INCIDENTS = 10
/** Newest messages among which the one is looked for that somebody replied to. */
const RECENT_MESSAGES = 200

export type ChatDeps = Parts & {
  log: Logger
  owner: string
  believes: () => boolean
  edge: () => RegionsSource | null
  rest: () => PagerDutyRest | null
  onCall: OnCallLookup
  outside: Services['outside']
  changes: Services['changes']
  onCommand: (command: string, outcome: string) => void
  onWebhook: (source: string, code: number) => void
}

export type ChatOps = {
  /** /slack/events, /webhooks/telegram, /webhooks/pagerduty; to be mounted before any body parser */
  router: Router
  /** runs a command and gives its answer (HTTP, terminal, console) */
  run(request: CommandRequest): Promise<Reply>
  /** one round of what waits for time */
  tick(): Promise<void>
  /** begins to listen with this configuration; what listened before stops */
  listen(config: Config): Promise<void>
  stop(): Promise<void>
}

type Ear = {
  router?: Router
  handle?: (update: unknown) => Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
}

/** People, roles and identities as the configuration has them. */
export function accessOf({ people, roles }: Config): Access {
  return {
    roles,
    people: people.map(({ name, roles: given, slack, telegram, pagerduty }) => ({
      name,
      roles: given,
      slack: slack ?? null,
      telegram: telegram ?? null,
      pagerduty: pagerduty ?? null,
    })),
  }
}

/** What people say, wherever they say it: commands, Slack, Telegram, PagerDuty. */
export function createChatOps(deps: ChatDeps): ChatOps {
  const { store, clock, log, loaded } = deps
  const access = () => accessOf(loaded().config)
  const policy = () => loaded().policy
  const services = createServices({
    store,
    edge: deps.edge,
    onCall: () => deps.onCall.list(),
    clock,
    specs: () => commandSpecs,
    async renderPostmortem(id) {
      const [incident] = await store.incidents([id])
      return incident ? postmortemOf({ store, viewOf: deps.views.of, clock }, incident) : null
    },
    prepareApproval: (id) => commands.approval(id),
    outside: deps.outside,
    changes: deps.changes,
    publicUrl: () => loaded().config.public_url ?? null,
  })
  const commands = createCommands({
    store,
    tracer: deps.tracer,
    specs: commandSpecs,
    services,
    access,
    policy,
    approvals() {
      const { expire_after: expireAfter, ...needed } = loaded().config.approvals
      return { needed, expireAfter }
    },
    believes: deps.believes,
    clock,
    log,
    onStored: deps.wake,
    onRun: deps.onCommand,
  })
  const inbox: Inbox = {
    submit: (request) => commands.submit(request),
    preview: (request) => commands.preview(request),
  }
  const pagerduty = createPagerDutySync({
    store,
    policy,
    installation: () => loaded().config.installation,
    access,
    clock,
    log,
    believes: deps.believes,
    onStored: deps.wake,
    rest: deps.rest,
    every: () => loaded().config.pagerduty.poll_interval,
    emailOf: (name) => loaded().config.people.find((person) => person.name === name)?.email ?? null,
  })

  // -- what listens; made anew by a reload
  let slack: Ear | null = null
  let telegram: Ear | null = null

  async function slackEar(config: Config): Promise<Ear | null> {
    const { bot_token: botToken, signing_secret: signing, app_token: app, api_url: apiUrl } = config.slack
    if (botToken === undefined) return null
    const { createSlackInbound } = await import('./adapters/slack/inbound.ts')
    return createSlackInbound({
      signingSecret: signing ?? null,
      appToken: app ?? null,
      botToken,
      apiUrl,
      inbox,
      async openIncidents() {
        const open = await store.listIncidents({ states: ['open', 'acknowledged'], limit: 200, before: null })
        const worst = open.sort((a, b) => (a.level === b.level ? b.id - a.id : a.level < b.level ? -1 : 1))
        return Promise.all(worst.slice(0, HOME_INCIDENTS).map((incident) => deps.views.of(incident)))
      },
      clock,
      log,
    })
  }

  async function telegramEar(config: Config): Promise<Ear | null> {
    const { bot_token: token, mode, webhook_secret: secret, api_root: apiRoot } = config.telegram
    if (token === undefined) return null
    const { createTelegramInbound } = await import('./adapters/telegram/inbound.ts')
    return createTelegramInbound({
      token,
      apiRoot,
      mode,
      webhookSecret: secret ?? null,
      publicUrl: config.public_url ?? null,
      inbox,
      clock,
      log,
      holdPolling: () => holdPolling(),
      offset: {
        load: async () => Number((await store.meta('telegram_offset')) ?? 0),
        save: (next) => store.write((tx) => tx.setMeta('telegram_offset', String(next))),
      },
      incidentOf,
      commands: commandSpecs.map(({ name, summary }) => ({ command: name, description: summary })),
    })
  }

  async function holdPolling(): Promise<boolean> {
    const now = clock()
    const until = now + POLLING_LEASE
    const fence = await store.write((tx) => tx.takeLane('telegram:polling', deps.owner, now, until, store.exclusive))
    return fence !== null
  }

  async function incidentOf(chat: string, messageId: number): Promise<number | null> {
    for (const one of await store.references('telegram', chat, RECENT_MESSAGES)) {
      const state = one.adapterState
      const replies = state !== null && typeof state === 'object' && !Array.isArray(state) ? state.replies : null
      const ids = [one.reference, ...(Array.isArray(replies) ? replies.map(String) : [])]
      if (one.incidentId > 0 && ids.includes(String(messageId))) return one.incidentId
    }
    return null
  }

  const router = Router()
  router.use('/slack/events', (req, res, next) => {
    if (slack?.router) slack.router(req, res, next)
    else next(new ClawError('not_found', 'Slack is not configured: set slack.bot_token and slack.signing_secret.'))
  })
  router.all(
    '/webhooks/telegram',
    receiver({
      limit: TELEGRAM_BODY_LIMIT,
      authenticate: (req) => telegramAuthenticator(loaded().config.telegram.webhook_secret ?? null)(req),
      async handle(body) {
        const update = parseTelegramUpdate(body)
        await telegram?.handle?.(update)
        deps.onWebhook('telegram', 200)
      },
    }),
  )
  router.all(
    '/webhooks/pagerduty',
    receiver({
      limit: PAGERDUTY_BODY_LIMIT,
      // The signature is over the body, so that it is checked with it.
      authenticate() {},
      async handle(body, req) {
        const secrets = [loaded().config.pagerduty.webhook_secret ?? []].flat()
        if (!verifyPagerDuty(body, req.get('x-pagerduty-signature'), secrets)) {
          throw new ClawError('unauthorized', 'The signature is missing or wrong. Check pagerduty.webhook_secret.')
        }
        await pagerduty.receive(parsePagerDutyEvent(body))
        deps.onWebhook('pagerduty', 200)
      },
    }),
  )

  let polling: Promise<void> = Promise.resolve()
  return {
    router,
    run: (request) => commands.run(request),
    async tick() {
      // Kept warm, so that the first message of an incident can name who is on call.
      deps.onCall.names()
      await commands.tick()
      // PagerDuty may take its time; nothing else waits for it.
      polling = pagerduty
        .tick()
        .catch((error) => log.warn({ err: error }, `PagerDuty was not polled: ${messageOf(error)}`))
    },
    async listen(config) {
      const next = await Promise.all([slackEar(config), telegramEar(config)])
      await Promise.all([slack?.stop(), telegram?.stop()])
      ;[slack, telegram] = next
      await Promise.all([slack?.start(), telegram?.start()])
    },
    async stop() {
      await Promise.all([slack?.stop(), telegram?.stop(), polling])
    },
  }
}
