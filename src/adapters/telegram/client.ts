import { Agent } from 'node:https'
import { Telegram, TelegramError } from 'telegraf'
import { z } from 'zod'
import { plainText } from './html.ts'
import type { Keyboard } from './keyboard.ts'

/** What people see of one message. `keyboard` null takes an old one away. */
export type Content = { html: string; keyboard: Keyboard | null }

export type Bot = {
  /** @returns the new message's id */
  send(to: SendTo, content: Content, signal: AbortSignal): Promise<number>
  /** @returns the id of the message that it replies to, null for none */
  edit(chat: string, messageId: number, content: Content, signal: AbortSignal): Promise<number | null>
  close(): void
}

export type SendTo = { chat: string; thread: number | null; replyTo: number | null; silent: boolean }

/** Any method of the Bot API, ended by `signal` or after `timeoutMs`. Throws what `judge` understands. */
export type Call = (method: string, payload: object, signal: AbortSignal, timeoutMs: number) => Promise<unknown>

const Sent = z.object({ message_id: z.int() })
const Edited = z.object({ reply_to_message: z.object({ message_id: z.int() }) })

/** What telegraf's clients are made with. The agent is ours, so that its sockets can be closed; telegraf drops it for http. */
export function clientOptions(apiRoot: string): { apiRoot: string; agent: Agent; webhookReply: false } {
  const agent = new Agent({ keepAlive: true, keepAliveMsecs: 10_000 })
  // Without the slash a path in it would lose its last part.
  return { apiRoot: apiRoot.endsWith('/') ? apiRoot : `${apiRoot}/`, agent, webhookReply: false }
}

/** The one way to the Bot API: telegraf's own methods cannot be aborted and wait for 500 s. */
export function callerOf(telegram: Telegram): Call {
  return async (method, payload, signal, timeoutMs) => {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
    // node-fetch does not look at a signal that was aborted before (telegraf's type of it is a shim of its own).
    bounded.throwIfAborted()
    return await telegram.callApi(method as never, payload as never, { signal: bounded as never })
  }
}

/** The two calls that a destination needs. All throw what `judge` understands. */
export function createBot(options: { token: string; apiRoot: string; timeoutMs: number }): Bot {
  const client = clientOptions(options.apiRoot)
  const api = callerOf(new Telegram(options.token, client))
  const call = (method: string, payload: object, signal: AbortSignal) => api(method, payload, signal, options.timeoutMs)

  return {
    async send({ chat, thread, replyTo, silent }, content, signal) {
      const payload = {
        chat_id: chat,
        ...(thread === null ? {} : { message_thread_id: thread }),
        ...(replyTo === null ? {} : { reply_parameters: { message_id: replyTo, allow_sending_without_reply: true } }),
        disable_notification: silent,
        link_preview_options: { is_disabled: true },
      }
      const sent = await leniently(content, (fields) => call('sendMessage', { ...payload, ...fields }, signal))
      return Sent.parse(sent).message_id
    },
    async edit(chat, messageId, content, signal) {
      const payload = { chat_id: chat, message_id: messageId, link_preview_options: { is_disabled: true } }
      const edited = await leniently(content, (fields) => call('editMessageText', { ...payload, ...fields }, signal))
      return Edited.safeParse(edited).data?.reply_to_message.message_id ?? null
    },
    close: () => client.agent.destroy(),
  }
}

/**
 * What Telegram refuses did nothing, so the same words are sent without the markup or the buttons that it dislikes: never
 * drop a message over its looks.
 */
async function leniently<T>(content: Content, call: (fields: { [key: string]: unknown }) => Promise<T>): Promise<T> {
  let text: { text: string; parse_mode?: string } = { text: content.html, parse_mode: 'HTML' }
  let keyboard = content.keyboard
  for (;;) {
    try {
      return await call({ ...text, ...(keyboard === null ? {} : { reply_markup: keyboard }) })
    } catch (error) {
      if (!(error instanceof TelegramError && error.code === 400)) throw error
      const description = error.description ?? ''
      if (keyboard !== null && /button|reply.markup is|reply_markup|wrong http url/i.test(description)) keyboard = null
      else if (text.parse_mode !== undefined && /parse entities|too.long/i.test(description))
        text = { text: plainText(content.html).slice(0, 4_000).toWellFormed() }
      else throw error
    }
  }
}
