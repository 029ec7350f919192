import { Router } from 'express'
import { Faults } from './faults.ts'
import { asRecord, type Call, createFront } from './front.ts'
import type { FakeOptions } from './slack.ts'
import { METHODS, type Params, type Refusal, refuse, whole } from './telegram/methods.ts'
import { TelegramState } from './telegram/state.ts'

export { TELEGRAM_BOT, type TelegramMessage, TelegramState } from './telegram/state.ts'

export type FakeTelegram = { router: Router; state: TelegramState; faults: Faults; reset(): void }

/** Sources: core.telegram.org/bots/faq, "My bot is hitting limits": 1/s per chat (short bursts pass), 20/min per group, 30/s. */
const RATES = {
  chat: { burst: 3, perSecond: 1 },
  group: { burst: 20, perSecond: 20 / 60 },
  all: { burst: 30, perSecond: 30 },
}
const PACED = new Set(['sendmessage', 'editmessagetext', 'editmessagereplymarkup'])

const NAMES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  409: 'Conflict',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
}

function tooMany(seconds: number): Refusal {
  return refuse(429, `Too Many Requests: retry after ${seconds}`, { retry_after: seconds })
}

/** Takes from every bucket that a message fills. Returns the seconds to wait, 0 for none. */
function paced(state: TelegramState, params: Params): number {
  const chat = String(params.chat_id)
  const waits = [
    state.buckets.take('all', RATES.all.burst, RATES.all.perSecond),
    state.buckets.take(`chat ${chat}`, RATES.chat.burst, RATES.chat.perSecond),
    chat.startsWith('-') ? state.buckets.take(`group ${chat}`, RATES.group.burst, RATES.group.perSecond) : 0,
  ]
  return Math.max(...waits)
}

/**
 * Telegram's Bot API over HTTP at `/bot<token>/<method>` (JSON, forms or query). It refuses what Telegram refuses, in
 * Telegram's words, and hands out updates by long poll or webhook.
 */
export function createFakeTelegram(options: FakeOptions): FakeTelegram {
  const { clock, token = 'sandbox', rateLimits = false, seed = 1 } = options
  const state = new TelegramState(clock, rateLimits)
  const faults = new Faults((status, retryAfter) => {
    if (status === 429) return tooMany(Math.ceil(retryAfter ?? 1))
    return refuse(status, NAMES[status] ?? 'Error')
  }, seed)
  const reset = () => {
    faults.reset()
    state.clear()
  }
  const router = Router()
  router.use(
    createFront({
      state,
      faults,
      reset,
      limit: 4_000_000,
      nameOf: (req) => /^\/bot[^/]*\/([^/]+)$/.exec(req.path)?.[1] ?? req.path.slice(1),
      snapshot: () => ({
        messages: state.messages,
        answers: state.answers,
        pending: state.updates.queue,
        deliveries: state.updates.deliveries,
      }),
    }),
  )
  router.all('/bot:token/:method', async (req, res) => {
    const call = res.locals.call as Call
    const send = (reply: { ok: boolean; error_code?: number }) => {
      res.status(reply.error_code ?? 200).json(reply)
    }
    if (req.params.token !== token) return send(refuse(401, 'Unauthorized'))
    const params = asRecord(call.body)
    if (call.malformed || params === null) return send(refuse(400, "Bad Request: can't parse JSON object"))
    const name = call.name.toLowerCase()
    if (name === 'getupdates') return send(await getUpdates(state, params, (stop) => res.once('close', stop)))
    const method = Object.hasOwn(METHODS, name) ? METHODS[name] : undefined
    if (method === undefined) return send(refuse(404, 'Not Found: method not found'))
    if (state.rateLimits && PACED.has(name)) {
      const wait = paced(state, params)
      if (wait > 0) return send(tooMany(wait))
    }
    send(method(state, params))
  })
  router.use((_req, res) => {
    res.status(404).json(refuse(404, 'Not Found'))
  })
  return { router, state, faults, reset }
}

/** Long poll: `timeout` in seconds, at most 50 as on the real server; `gone` is told how to end it. */
async function getUpdates(state: TelegramState, params: Params, gone: (stop: () => void) => void) {
  if (state.updates.webhook !== null) {
    const text = "can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
    return refuse(409, `Conflict: ${text}`)
  }
  const limit = Math.min(Math.max(whole(params.limit) ?? 100, 1), 100)
  const timeout = Math.min(Math.max(whole(params.timeout) ?? 0, 0), 50) * 1_000
  const updates = await state.updates.poll(whole(params.offset) ?? 0, limit, timeout, gone)
  if (updates !== 'conflict') return { ok: true, result: updates }
  const text = 'terminated by other getUpdates request; make sure that only one bot instance is running'
  return refuse(409, `Conflict: ${text}`)
}
