import { App, ExpressReceiver, type ReceiverEvent, type ViewSubmitAction } from '@slack/bolt'
import { Router } from 'express'
import type { Clock } from '../../core/clock.ts'
import type { Inbox } from '../../core/command.ts'
import type { IncidentView } from '../../core/view.ts'
import { SILENT } from './client.ts'
import { judge } from './errors.ts'
import { ACK_MS } from './limits.ts'
import { createListeners } from './listeners.ts'
import { createSocketMode } from './socket.ts'
import { guard } from './verify.ts'
import { CONFIRM, REFRESH } from './views.ts'

export type Log = {
  info(fields: { [key: string]: unknown }, message: string): void
  warn(fields: { [key: string]: unknown }, message: string): void
  error(fields: { [key: string]: unknown }, message: string): void
}

export type SlackInboundOptions = {
  /** HTTP mode; null: every HTTP request is refused */
  signingSecret: string | null
  /** Socket Mode instead, when given */
  appToken: string | null
  botToken: string
  /** e.g. https://slack.com/api/ */
  apiUrl: string
  inbox: Inbox
  /** what App Home shows, worst first */
  openIncidents: () => Promise<IncidentView[]>
  clock: Clock
  log: Log
  /** how long an acknowledgement may wait for the store, ms; 2500 */
  ackMs?: number | undefined
}

export type SlackInbound = {
  /** mount at /slack/events, before any body parser */
  router: Router
  /** Socket Mode: connects in the background and stays connected. HTTP mode: nothing to do. */
  start(): Promise<void>
  /** Ends the connection; waits at most a second, and for what is being answered. */
  stop(): Promise<void>
}

/** Bolt never acknowledges what it has no listener for, and acknowledges events before anybody has stored them. */
class ClawApp extends App {
  override async processEvent(event: ReceiverEvent): Promise<void> {
    let acknowledged = false
    const ack: ReceiverEvent['ack'] = async (answer) => {
      if (acknowledged) return
      acknowledged = true
      await event.ack(answer)
    }
    const isEvent = 'event' in event.body && event.body.event !== undefined
    await super.processEvent({ ...event, ack: isEvent ? async () => {} : ack })
    await ack()
  }
}

/**
 * What people say in Slack: slash commands, buttons, confirmations, mentions and App Home, through Bolt. Signature and age are
 * checked here (HTTP), everything is stored before it is acknowledged, and identity is Slack's own, so that a retry runs once.
 */
export function createSlackInbound(options: SlackInboundOptions): SlackInbound {
  const { clock, log } = options
  const apiUrl = options.apiUrl.endsWith('/') ? options.apiUrl : `${options.apiUrl}/`
  const router = Router()
  const socket = options.appToken === null ? null : createSocketMode({ appToken: options.appToken, apiUrl, log })
  const onRefused = (reason: string) => log.warn({ reason }, 'a request to /slack/events was refused')
  // In Socket Mode nothing comes by HTTP, so nothing is taken there.
  router.use(...guard({ secret: socket === null ? options.signingSecret : null, clock, onRefused }))
  const app = new ClawApp({
    receiver: socket?.receiver ?? expressReceiver(router, log),
    // Given a token, Bolt asks auth.test at the start (whose failure ends the process) or at the first request.
    authorize: async () => ({ botToken: options.botToken }),
    convoStore: false,
    logger: SILENT,
    clientOptions: { slackApiUrl: apiUrl, retryConfig: { retries: 0 }, logger: SILENT },
  })
  const listeners = createListeners({ ...options, apiUrl, ackMs: options.ackMs ?? ACK_MS })
  app.command(/.*/, async ({ body, ack }) => listeners.command(body, ack))
  app.action(/^claw:/, async ({ body, ack }) => listeners.click(body, () => ack()))
  app.action(REFRESH, async ({ body }) => listeners.home({ event: { user: body.user.id } }))
  app.view<ViewSubmitAction>(CONFIRM, async ({ body, ack }) => listeners.confirm(body, ack))
  app.event('app_home_opened', async ({ body }) => listeners.home(body))
  app.event('app_mention', async ({ body }) => listeners.mention(body))
  // Rethrown so that the receiver answers 500 at once (Slack tries events again) instead of hanging for 3 s.
  app.error(async (error) => {
    throw error
  })
  return {
    router,
    async start() {
      socket?.start()
    },
    async stop() {
      await socket?.stop()
      await listeners.idle()
    },
  }
}

function expressReceiver(router: Router, log: Log): ExpressReceiver {
  return new ExpressReceiver({
    router,
    endpoints: '/',
    // `guard` has checked it, by our clock and in both directions.
    signingSecret: '',
    signatureVerification: false,
    logger: SILENT,
    async processEventErrorHandler({ error, response }) {
      log.error({ reason: judge(error).reason }, 'a request from Slack could not be handled')
      if (!response.headersSent) response.writeHead(500).end()
      return true
    },
  })
}
