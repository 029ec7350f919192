import { Agent } from 'node:https'
import { Telegram, TelegramError } from 'telegraf'
import { z } from 'zod'
import { plainText } from './html.ts'

export type Bot = {
  /** @returns the new message's id */
  send(to: SendTo, html: string, signal: AbortSignal): Promise<number>
  /** @returns the id of the message that it replies to, null for none */
  edit(chat: string, messageId: number, html: string, signal: AbortSignal): Promise<number | null>
  close(): void
}

export type SendTo = { chat: string; thread: number | null; replyTo: number | null; silent: boolean }

const Sent = z.object({ message_id: z.int() })
const Edited = z.object({ reply_to_message: z.object({ message_id: z.int() }) })

/** The two calls that a destination needs, each ended by `signal` or the time-out. All throw what `judge` understands. */
export function createBot(options: { token: string; apiRoot: string; timeoutMs: number }): Bot {
  // Ours, so that its sockets can be closed; telegraf drops it for http.
  const agent = new Agent({ keepAlive: true, keepAliveMsecs: 10_000 })
  // Without the slash a path in it would lose its last part.
  const apiRoot = options.apiRoot.endsWith('/') ? options.apiRoot : `${options.apiRoot}/`
  const telegram = new Telegram(options.token, { apiRoot, agent, webhookReply: false })

  async function call(
    method: 'sendMessage' | 'editMessageText',
    payload: object,
    signal: AbortSignal,
  ): Promise<unknown> {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(options.timeoutMs)])
    // node-fetch does not look at a signal that was aborted before (telegraf's type of it is a shim of its own).
    bounded.throwIfAborted()
    return await telegram.callApi(method, payload as never, { signal: bounded as never })
  }

  return {
    async send({ chat, thread, replyTo, silent }, html, signal) {
      const payload = {
        chat_id: chat,
        ...(thread === null ? {} : { message_thread_id: thread }),
        ...(replyTo === null ? {} : { reply_parameters: { message_id: replyTo, allow_sending_without_reply: true } }),
        disable_notification: silent,
        link_preview_options: { is_disabled: true },
      }
      const sent = await withPlainText(html, (text) => call('sendMessage', { ...payload, ...text }, signal))
      return Sent.parse(sent).message_id
    },
    async edit(chat, messageId, html, signal) {
      const payload = { chat_id: chat, message_id: messageId, link_preview_options: { is_disabled: true } }
      const edited = await withPlainText(html, (text) => call('editMessageText', { ...payload, ...text }, signal))
      return Edited.safeParse(edited).data?.reply_to_message.message_id ?? null
    },
    close: () => agent.destroy(),
  }
}

/** Markup that Telegram refuses did nothing, so the same words are sent without: never drop a message over its looks. */
async function withPlainText<T>(html: string, call: (text: { [key: string]: string }) => Promise<T>): Promise<T> {
  try {
    return await call({ text: html, parse_mode: 'HTML' })
  } catch (error) {
    if (!(error instanceof TelegramError && error.code === 400)) throw error
    if (!/parse entities|too.long/i.test(error.description ?? '')) throw error
    return await call({ text: plainText(html).slice(0, 4_000).toWellFormed() })
  }
}
