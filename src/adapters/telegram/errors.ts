import { TelegramError } from 'telegraf'
import { AUTH_RETRY_MS, SETTLE_MS } from './limits.ts'

/** What a failed call means. Reasons are our own words and Telegram's short refusals, never an address or a token. */
export type Failure =
  | { kind: 'retry'; reason: string; retryAfterMs: number | null; inDoubt: boolean; scope: 'target' | 'lane' }
  | { kind: 'dead'; reason: string }
  /** the text is as wanted already */
  | { kind: 'same' }
  /** no message of that id that we may edit */
  | { kind: 'gone'; reason: string }
  /** the group became a supergroup */
  | { kind: 'moved'; chat: string }
  /** Telegram dislikes the markup or the length; plain text may pass */
  | { kind: 'unfit'; reason: string }

/** Refusals by a part of their description, in lower case. Telegram documents no list: these are what its server says. */
const REFUSALS: ReadonlyArray<readonly [string, 'same' | 'gone' | 'unfit' | 'dead', string]> = [
  ['message is not modified', 'same', ''],
  ['message to edit not found', 'gone', 'the message was deleted'],
  ["message can't be edited", 'gone', 'the message may not be edited'],
  ['message_id_invalid', 'gone', 'the message was deleted'],
  ["can't parse entities", 'unfit', 'the markup is not valid: check the templates'],
  ['message is too long', 'unfit', 'the text is too long: shorten the templates'],
  ['message_too_long', 'unfit', 'the text is too long: shorten the templates'],
  ['message text is empty', 'unfit', 'the text is empty: check the templates'],
  ['text must be non-empty', 'unfit', 'the text is empty: check the templates'],
  ['chat not found', 'dead', 'check the chat id, and add the bot to the chat'],
  ['message thread not found', 'dead', 'the topic does not exist: check the thread'],
  ['topic_closed', 'dead', 'the topic is closed: open it or name another one'],
  ['topic_deleted', 'dead', 'the topic was deleted: name another one'],
  ['not enough rights', 'dead', 'allow the bot to post in the chat'],
  ['have no rights to send', 'dead', 'allow the bot to post in the chat'],
  ['need administrator rights', 'dead', 'make the bot an administrator of the channel'],
  ['chat_write_forbidden', 'dead', 'allow the bot to post in the chat'],
  ['chat_restricted', 'dead', 'the chat is restricted'],
  ['user is deactivated', 'dead', 'the account was deleted: name another chat'],
  ['peer_id_invalid', 'dead', 'check the chat id'],
  ['group chat was deleted', 'dead', 'the group was deleted: name another chat'],
  ['bot was blocked', 'dead', 'the person has blocked the bot'],
  ['bot was kicked', 'dead', 'add the bot to the chat again'],
  ['bot is not a member', 'dead', 'add the bot to the chat'],
  ["bot can't initiate", 'dead', 'the person must write to the bot first'],
]

/** Failures before anything was sent: the request cannot have taken effect. */
const NOT_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'CERT_HAS_EXPIRED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
])

/**
 * The one place where a failed call of the Bot API is judged. Never throws. telegraf's texts hold the token where an
 * answer is no JSON, so only codes are taken from anything but a TelegramError.
 */
export function judge(error: unknown): Failure {
  return error instanceof TelegramError ? judgeRefusal(error) : judgeNetwork(error)
}

function judgeRefusal(error: TelegramError): Failure {
  const status = typeof error.code === 'number' ? error.code : 0
  const description = typeof error.description === 'string' ? error.description.toLowerCase() : ''
  const { migrate_to_chat_id: moved, retry_after: seconds } = (error.parameters ?? {}) as {
    migrate_to_chat_id?: unknown
    retry_after?: unknown
  }
  if (typeof moved === 'number' || typeof moved === 'string') return { kind: 'moved', chat: String(moved) }
  if (status === 429) {
    // Nearly always the chat's own limit (20 a minute in a group): other chats go on.
    const retryAfterMs = typeof seconds === 'number' && seconds >= 0 ? seconds * 1_000 : null
    return { kind: 'retry', reason: 'Telegram limits the rate', retryAfterMs, inDoubt: false, scope: 'target' }
  }
  if (status >= 500) return doubt(`Telegram answered HTTP ${status}`)
  // A token of the wrong form is answered 404.
  if (status === 401 || status === 404)
    return {
      kind: 'retry',
      reason: `Telegram refused the token (${status}): check telegram.bot_token`,
      retryAfterMs: AUTH_RETRY_MS,
      inDoubt: false,
      scope: 'lane',
    }
  const known = REFUSALS.find(([part]) => description.includes(part))
  if (known !== undefined) {
    const [part, kind, advice] = known
    return kind === 'same' ? { kind } : { kind, reason: `Telegram refused: ${part}; ${advice}` }
  }
  if (status === 403) return { kind: 'dead', reason: 'Telegram refused: the bot may not post in the chat; add it' }
  if (status === 413) return { kind: 'unfit', reason: 'Telegram refused: the message is too large' }
  if (status === 400)
    return { kind: 'dead', reason: 'Telegram refused the request (400); check the chat and the thread' }
  return doubt('Telegram gave an answer of an unknown form')
}

function judgeNetwork(error: unknown): Failure {
  const { name, type, code } = (typeof error === 'object' && error !== null ? error : {}) as { [key: string]: unknown }
  if (name === 'AbortError' || name === 'TimeoutError' || type === 'request-timeout' || type === 'body-timeout')
    return { ...doubt('Telegram did not answer in time'), retryAfterMs: SETTLE_MS }
  if (type === 'invalid-json')
    return doubt('Telegram answered with something that is not its API; check telegram.api_root and proxies')
  const known = typeof code === 'string' && /^[A-Z][A-Z0-9_]{2,60}$/.test(code) ? code : null
  if (known !== null && NOT_SENT.has(known)) return { ...doubt(`Telegram cannot be reached: ${known}`), inDoubt: false }
  return doubt(`The connection to Telegram broke${known === null ? '' : `: ${known}`}`)
}

function doubt(reason: string): Failure & { kind: 'retry' } {
  return { kind: 'retry', reason, retryAfterMs: null, inDoubt: true, scope: 'target' }
}
