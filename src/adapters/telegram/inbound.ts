import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { Telegraf } from 'telegraf'
import { z } from 'zod'
import type { Clock } from '../../core/clock.ts'
import type { Inbox } from '../../core/command.ts'
import { ClawError, messageOf } from '../../core/errors.ts'
import { type Call, callerOf, clientOptions } from './client.ts'
import { BACK_OFF, LIMITS, SAY_AGAIN_MS } from './limits.ts'
import { createPolling, type Round } from './polling.ts'
import { problemOf } from './problem.ts'
import { ALLOWED_UPDATES, commandOf, readMessage, readPress, requestOf } from './update.ts'

export type TelegramInboundOptions = {
  token: string
  /** e.g. https://api.telegram.org */
  apiRoot: string
  mode: 'polling' | 'webhook'
  /** webhook mode: 1-256 letters, digits, _ or - */
  webhookSecret: string | null
  /** webhook mode: where Telegram finds this server */
  publicUrl: string | null
  inbox: Inbox
  clock: Clock
  log: Pick<Logger, 'info' | 'warn' | 'error'>
  /** whether this replica may poll now; asked before each getUpdates, which then takes up to 25 s */
  holdPolling: () => Promise<boolean>
  /** the first update id that was not taken yet, kept over restarts; 0 for none */
  offset: { load(): Promise<number>; save(next: number): Promise<void> }
  /** the open incident that a message of ours in this chat shows; null for another message */
  incidentOf: (chat: string, messageId: number) => Promise<number | null>
  /** for Telegram's own menu of commands; what it would refuse is left out */
  commands: readonly { command: string; description: string }[]
  /** of one short request, default 5000 */
  timeoutMs?: number | undefined
  /** for tests; resolves early when aborted */
  pause?: ((ms: number, signal: AbortSignal) => Promise<void>) | undefined
}

export type TelegramInbound = {
  /**
   * Takes one update: a command in it is on disk when this resolves. Anything else is ignored.
   * @throws ClawError('unavailable') when it could not be stored: Telegram must send it again
   */
  handle(update: unknown): Promise<void>
  /** Polls, or tells Telegram where to post, in the background; goes on trying while Telegram cannot be reached. */
  start(): Promise<void>
  /** Ends a long poll at once. What was not confirmed comes again. */
  stop(): Promise<void>
  /**
   * One round without waiting: a poll, or the set-up of the webhook. @returns how many updates were taken
   * @throws ClawError('unavailable') with the reason
   */
  tick(): Promise<number>
}

const Update = z.looseObject({ update_id: z.int() })
const Me = z.object({ id: z.int(), is_bot: z.boolean(), first_name: z.string(), username: z.string() })

/**
 * What people say to the bot, through telegraf: commands typed in private chats, groups and topics, and pressed buttons. An
 * update counts as taken only once its request is stored; a repeated one is known by its id.
 * @throws ClawError('invalid') when webhook mode lacks its secret or address
 */
export function createTelegramInbound(options: TelegramInboundOptions): TelegramInbound {
  const { token, mode, inbox, log, publicUrl, webhookSecret } = options
  if (mode === 'webhook' && (publicUrl === null || !webhookSecret))
    throw new ClawError('invalid', 'telegram.mode webhook needs public_url and telegram.webhook_secret.')
  const timeoutMs = options.timeoutMs ?? 5_000
  const pause = options.pause ?? rest
  const client = clientOptions(options.apiRoot)
  const bot = new Telegraf(token, { telegram: client })
  const call: Call = callerOf(bot.telegram)
  let stopping = new AbortController()
  let running: Promise<void> | null = null
  let username: string | null = null
  const underWay = new Set<Promise<void>>()

  // Set first: telegraf would remember a failed getMe for ever. The name follows as soon as Telegram tells it.
  bot.botInfo = botInfo({
    id: Number(/^\d{1,15}/.exec(token)?.[0] ?? 0),
    is_bot: true,
    first_name: 'Claw',
    username: '',
  })
  // telegraf's own would set the exit code and print the update.
  bot.catch((error) => {
    throw error
  })

  bot.on('message', async (context) => {
    const message = readMessage(context.message)
    if (message === null || message.from === undefined) return
    const found = commandOf(message, username)
    if (found === null) return
    if (found === 'unclear') throw new ClawError('unavailable', 'The name of the bot is not known yet.')
    const replied = message.reply_to_message?.message_id
    const incident = replied === undefined ? null : await options.incidentOf(String(message.chat.id), replied)
    const at = { message, callback: null }
    await inbox.submit(requestOf(context.update.update_id, message.from.id, found.text, incident, at))
  })

  bot.on('callback_query', async (context) => {
    const press = readPress(context.callbackQuery)
    if (press === null || press.from.is_bot) return
    const { id, data, message } = press
    if (data === undefined || data.trim() === '' || message === undefined) return inform(id, null)
    const incident = await options.incidentOf(String(message.chat.id), message.message_id)
    await inbox.submit(requestOf(context.update.update_id, press.from.id, data, incident, { message, callback: id }))
    inform(id, 'On it')
  })

  /** Ends the button's spinner. Nobody waits for it: the answer itself goes its own way, and this one expires soon. */
  function inform(id: string, text: string | null): void {
    const payload = { callback_query_id: id, ...(text === null ? {} : { text }) }
    const sent = call('answerCallbackQuery', payload, stopping.signal, timeoutMs).then(
      () => {},
      () => {},
    )
    underWay.add(sent)
    void sent.finally(() => underWay.delete(sent))
  }

  async function handle(raw: unknown): Promise<void> {
    const update = Update.safeParse(raw)
    if (!update.success) throw new ClawError('invalid', 'This is not a Telegram update.')
    await bot.handleUpdate(update.data as never)
  }

  /** Who we are, and what our menu shows. The menu is no reason to hear nothing. */
  async function introduce(signal: AbortSignal): Promise<void> {
    if (username !== null) return
    const me = Me.parse(await call('getMe', {}, signal, timeoutMs))
    bot.botInfo = botInfo(me)
    username = me.username
    try {
      await call('setMyCommands', { commands: menu(options.commands) }, signal, timeoutMs)
    } catch (error) {
      log.warn({ reason: problemOf(error).reason }, 'Telegram did not take the menu of commands')
    }
  }

  const polling = createPolling({
    ...options,
    call,
    handle,
    async prepare(signal) {
      await introduce(signal)
      // getUpdates is refused while a webhook is set. What waits is kept.
      await call('deleteWebhook', { drop_pending_updates: false }, signal, timeoutMs)
    },
  })

  async function announce(signal: AbortSignal): Promise<Round> {
    try {
      await introduce(signal)
      const url = `${publicUrl?.replace(/\/+$/, '')}/webhooks/telegram`
      const payload = { url, secret_token: webhookSecret, allowed_updates: ALLOWED_UPDATES }
      await call('setWebhook', payload, signal, timeoutMs)
      return { taken: 0, waitMs: 0, problem: null }
    } catch (error) {
      return {
        taken: 0,
        ...problemOf(error, 'Telegram refused the webhook: check public_url (https, port 443, 80, 88 or 8443)'),
      }
    }
  }

  const round = (waitSeconds: number, signal: AbortSignal): Promise<Round> =>
    mode === 'polling' ? polling.round(waitSeconds, signal) : announce(signal)

  async function loop(signal: AbortSignal): Promise<void> {
    /** what was said, and when: two pollers that disturb each other would fill the log */
    const said = new Map<string, number>()
    let failures = 0
    while (!signal.aborted) {
      const { waitMs, problem } = await round(LIMITS.pollSeconds, signal)
      if (signal.aborted) return
      if (problem !== null && options.clock() - (said.get(problem) ?? Number.NEGATIVE_INFINITY) > SAY_AGAIN_MS) {
        said.set(problem, options.clock())
        log.warn({ reason: problem, mode }, 'Telegram cannot be heard, trying again')
      }
      failures = problem === null ? 0 : failures + 1
      if (problem === null && mode === 'webhook') return
      const wait = waitMs ?? backOff(failures)
      if (wait > 0) await pause(wait, signal)
    }
  }

  return {
    handle,
    async start() {
      if (running !== null) return
      stopping = new AbortController()
      running = loop(stopping.signal).catch((error) =>
        log.error({ err: messageOf(error) }, 'Telegram is no longer heard'),
      )
    },
    async stop() {
      stopping.abort()
      await running
      running = null
      await Promise.all(underWay)
      client.agent.destroy()
    },
    async tick() {
      const { taken, problem } = await round(0, stopping.signal)
      if (problem !== null) throw new ClawError('unavailable', problem)
      await Promise.all(underWay)
      return taken
    },
  }
}

function botInfo(me: z.infer<typeof Me>) {
  return {
    can_join_groups: true,
    can_read_all_group_messages: false,
    supports_inline_queries: false,
    ...me,
    is_bot: true as const,
  }
}

function menu(commands: TelegramInboundOptions['commands']): { command: string; description: string }[] {
  const pattern = new RegExp(`^[a-z0-9_]{1,${LIMITS.commandName}}$`)
  return commands
    .filter(({ command, description }) => pattern.test(command) && description.trim() !== '')
    .slice(0, LIMITS.commands)
    .map(({ command, description }) => ({
      command,
      description: description.trim().slice(0, LIMITS.commandDescription).toWellFormed(),
    }))
}

/** Full jitter, so that replicas do not come together. */
function backOff(failures: number): number {
  if (failures === 0) return 0
  const longest = Math.min(BACK_OFF.maxMs, BACK_OFF.firstMs * 2 ** (failures - 1))
  return longest / 2 + Math.random() * (longest / 2)
}

async function rest(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal, ref: false }).catch(() => {})
}
