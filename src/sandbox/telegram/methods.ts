import { isDeepStrictEqual } from 'node:util'
import { asRecord, maybeJson } from '../front.ts'
import { type Formatted, parseHtml, tidy } from './html.ts'
import { readMarkup } from './keyboard.ts'
import { TELEGRAM_BOT, type TelegramMessage, type TelegramState } from './state.ts'

/** Source: core.telegram.org/bots/api, method descriptions. Lengths in UTF-16 units, the strictest reading. */
export const TELEGRAM_LIMITS = { text: 4_096, callbackAnswer: 200, commands: 100, deleteHours: 48 } as const

export type Params = Record<string, unknown>
export type Refusal = { ok: false; error_code: number; description: string; parameters?: Record<string, number> }
export type Reply = { ok: true; result: unknown } | Refusal

/** What the Bot API answers to a call it refuses; `error_code` is also the HTTP status. */
export function refuse(code: number, description: string, parameters?: Record<string, number>): Refusal {
  return { ok: false, error_code: code, description, ...(parameters ? { parameters } : {}) }
}

const bad = (text: string) => refuse(400, `Bad Request: ${text}`)
const good = (result: unknown): Reply => ({ ok: true, result })
export const truthy = (value: unknown): boolean => value === true || value === 'true' || value === '1' || value === 1

const isRefusal = (value: object | number): value is Refusal => typeof value === 'object' && 'error_code' in value

/** A whole number given as number or text; null when it is neither. */
export function whole(value: unknown): number | null {
  if (typeof value === 'string' && !/^-?\d{1,16}$/.test(value)) return null
  if (typeof value !== 'string' && typeof value !== 'number') return null
  const n = Number(value)
  return Number.isSafeInteger(n) ? n : null
}

/** The chat that a call names, refused in the order of the real server. */
export function chatOf(state: TelegramState, params: Params): number | Refusal {
  if (params.chat_id === undefined || params.chat_id === '') return bad('chat_id is empty')
  const id = whole(params.chat_id)
  if (id === null || id === 0) return bad('chat not found')
  const to = state.migratedTo(id)
  if (to !== null) {
    const description = 'Bad Request: group chat was upgraded to a supergroup chat'
    return refuse(400, description, { migrate_to_chat_id: to })
  }
  if (state.chats !== null && !state.chats.has(id)) return bad('chat not found')
  if (state.kicked(id)) {
    if (id > 0) return refuse(403, 'Forbidden: bot was blocked by the user')
    return refuse(403, `Forbidden: bot was kicked from the ${state.chatView(id).type} chat`)
  }
  return id
}

function textOf(params: Params): (Formatted & { source: string }) | Refusal {
  const source = params.text === undefined || params.text === null ? '' : String(params.text)
  if (!source.isWellFormed()) return bad('strings must be encoded in UTF-8')
  let formatted: Formatted = { text: source, entities: [] }
  const mode = params.parse_mode === undefined ? '' : String(params.parse_mode).toLowerCase()
  if (mode === 'html') {
    const parsed = parseHtml(source)
    if (typeof parsed === 'string') return bad(`can't parse entities: ${parsed}`)
    formatted = parsed
    // The Markdown modes exist on the real server; the sandbox does not speak them.
  } else if (mode !== '') return bad('unsupported parse_mode')
  const tidied = tidy(formatted)
  if (tidied.text === '') return bad('message text is empty')
  if (tidied.text.length > TELEGRAM_LIMITS.text) return bad('message is too long')
  return { ...tidied, source }
}

function markupOf(params: Params): { markup: object | null } | Refusal {
  const read = readMarkup(params.reply_markup)
  return typeof read === 'string' ? bad(read) : read
}

function sendMessage(state: TelegramState, params: Params): Reply {
  const text = textOf(params)
  if (isRefusal(text)) return text
  const chat = chatOf(state, params)
  if (typeof chat !== 'number') return chat
  const keyboard = markupOf(params)
  if (isRefusal(keyboard)) return keyboard
  let threadId: number | null = null
  if (params.message_thread_id !== undefined) {
    threadId = whole(params.message_thread_id)
    const topics = state.chats?.get(chat)?.topics
    if (threadId === null || chat > 0 || (topics && !topics.has(threadId))) return bad('message thread not found')
  }
  let replyTo: number | null = null
  const reply = asRecord(maybeJson(params.reply_parameters))
  const wanted = reply ? reply.message_id : params.reply_to_message_id
  if (wanted !== undefined) {
    const id = whole(wanted)
    const found = id === null ? null : state.find(chat, id)
    const lenient = truthy(reply ? reply.allow_sending_without_reply : params.allow_sending_without_reply)
    if (found === null && !lenient) return bad('message to be replied not found')
    replyTo = found?.id ?? null
  }
  const message = state.add({
    chat,
    from: TELEGRAM_BOT.id,
    own: true,
    text: text.text,
    source: text.source,
    entities: text.entities,
    markup: keyboard.markup,
    threadId,
    replyTo,
    silent: truthy(params.disable_notification),
  })
  return good(state.show(message))
}

function target(state: TelegramState, params: Params, missing: string): TelegramMessage | Refusal {
  const chat = chatOf(state, params)
  if (typeof chat !== 'number') return chat
  const id = whole(params.message_id)
  return (id === null ? null : state.find(chat, id)) ?? bad(missing)
}

const UNCHANGED =
  'message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message'

function edit(state: TelegramState, params: Params, withText: boolean): Reply {
  const text = withText ? textOf(params) : null
  if (text !== null && isRefusal(text)) return text
  const message = target(state, params, 'message to edit not found')
  if (isRefusal(message)) return message
  if (!message.own) return bad("message can't be edited")
  const keyboard = markupOf(params)
  if (isRefusal(keyboard)) return keyboard
  const next = text ?? message
  const same = next.text === message.text && isDeepStrictEqual(next.entities, message.entities)
  if (same && isDeepStrictEqual(keyboard.markup, message.markup)) return bad(UNCHANGED)
  message.text = next.text
  message.source = next.source
  message.entities = next.entities
  // An edit without a keyboard takes the old one away.
  message.markup = keyboard.markup
  message.edits++
  message.editedAt = state.clock()
  state.tell('edit', message)
  return good(state.show(message))
}

function deleteMessage(state: TelegramState, params: Params): Reply {
  const message = target(state, params, 'message to delete not found')
  if (isRefusal(message)) return message
  const old = state.clock() - message.at > TELEGRAM_LIMITS.deleteHours * 3_600_000
  if (old || (!message.own && message.chat < 0)) return bad("message can't be deleted")
  state.remove(message)
  return good(true)
}

function answerCallbackQuery(state: TelegramState, params: Params): Reply {
  const id = String(params.callback_query_id)
  if (!state.callbacks.has(id)) {
    return bad('query is too old and response timeout expired or query ID is invalid')
  }
  const text = params.text === undefined ? '' : String(params.text)
  if (text.length > TELEGRAM_LIMITS.callbackAnswer) return bad('MESSAGE_TOO_LONG')
  state.callbacks.delete(id)
  const answer = { id, text, alert: truthy(params.show_alert), at: state.clock() }
  state.answers.push(answer)
  state.tell('answer_callback', answer)
  return good(true)
}

function setMyCommands(state: TelegramState, params: Params): Reply {
  const commands: unknown = maybeJson(params.commands)
  if (!Array.isArray(commands)) return bad("can't parse BotCommand: expected an Array")
  if (commands.length > TELEGRAM_LIMITS.commands) return bad('BOT_COMMANDS_TOO_MUCH')
  for (const entry of commands) {
    const { command, description } = asRecord(entry) ?? {}
    if (typeof command !== 'string' || !/^\/?[a-z0-9_]{1,32}$/.test(command)) return bad('BOT_COMMAND_INVALID')
    const length = typeof description === 'string' ? description.length : 0
    if (length < 1 || length > 256) return bad('BOT_COMMAND_DESCRIPTION_INVALID')
  }
  state.commands = commands
  return good(true)
}

/** Sources: core.telegram.org/bots/api#setwebhook. Unlike there, plain http is taken to loopback, where the sandbox lives. */
function setWebhook(state: TelegramState, params: Params): Reply {
  const url = params.url === undefined ? '' : String(params.url)
  const parsed = URL.canParse(url) ? new URL(url) : null
  if (url !== '') {
    if (parsed === null) return bad('bad webhook: invalid webhook URL specified')
    const local = ['127.0.0.1', 'localhost', '[::1]'].includes(parsed.hostname)
    if (parsed.protocol !== 'https:' && !(local && parsed.protocol === 'http:')) {
      return bad('bad webhook: An HTTPS URL must be provided for webhook')
    }
    const port = parsed.port === '' ? 443 : Number(parsed.port)
    if (!local && ![80, 88, 443, 8443].includes(port)) {
      return bad('bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443')
    }
  }
  const secret = params.secret_token === undefined ? null : String(params.secret_token)
  if (secret !== null && secret.length > 256) return bad('secret token is too long')
  if (secret !== null && !/^[A-Za-z0-9_-]*$/.test(secret)) return bad('secret token contains unallowed characters')
  const allowed = maybeJson(params.allowed_updates)
  if (truthy(params.drop_pending_updates)) state.updates.queue = []
  state.updates.webhook =
    url === ''
      ? null
      : {
          url,
          secret: secret === '' ? null : secret,
          allowed: Array.isArray(allowed) ? allowed.map(String) : null,
          maxConnections: whole(params.max_connections) ?? 40,
        }
  void state.updates.deliver()
  return { ok: true, result: true }
}

export type Method = (state: TelegramState, params: Params) => Reply

/** Every method but getUpdates, which waits. Keys in lower case: the real server does not mind. */
export const METHODS: Readonly<Record<string, Method>> = {
  getme: () =>
    good({
      ...TELEGRAM_BOT,
      can_join_groups: true,
      can_read_all_group_messages: false,
      supports_inline_queries: false,
    }),
  sendmessage: sendMessage,
  editmessagetext: (state, params) => edit(state, params, true),
  editmessagereplymarkup: (state, params) => edit(state, params, false),
  deletemessage: deleteMessage,
  answercallbackquery: answerCallbackQuery,
  setwebhook: setWebhook,
  deletewebhook: (state, params) => {
    if (truthy(params.drop_pending_updates)) state.updates.queue = []
    state.updates.webhook = null
    return good(true)
  },
  getwebhookinfo: (state) => {
    const { webhook, lastError, queue } = state.updates
    return good({
      url: webhook?.url ?? '',
      has_custom_certificate: false,
      pending_update_count: queue.length,
      ...(webhook ? { max_connections: webhook.maxConnections } : {}),
      ...(webhook?.allowed ? { allowed_updates: webhook.allowed } : {}),
      ...(lastError
        ? { last_error_date: Math.floor(lastError.at / 1_000), last_error_message: lastError.message }
        : {}),
    })
  },
  setmycommands: setMyCommands,
  getmycommands: (state) => good(state.commands),
  getchat: (state, params) => {
    const chat = chatOf(state, params)
    return typeof chat === 'number' ? good(state.chatView(chat)) : chat
  },
  sendchataction: (state, params) => {
    const chat = chatOf(state, params)
    if (typeof chat !== 'number') return chat
    const action = String(params.action)
    if (!/^[a-z_]+$/.test(action)) return bad('wrong parameter action in request')
    state.actions.push({ chat, action, at: state.clock() })
    return good(true)
  },
}
