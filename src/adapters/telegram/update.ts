import { z } from 'zod'
import type { CommandRequest } from '../../core/command.ts'
import type { ReplyAddress } from './reply.ts'

const User = z.object({ id: z.int(), is_bot: z.boolean().default(false) })
const Chat = z.object({ id: z.int(), type: z.string() })

/** What is read of a message (core.telegram.org/bots/api#message). */
const Message = z.object({
  message_id: z.int(),
  chat: Chat,
  from: User.optional(),
  text: z.string().optional(),
  message_thread_id: z.int().positive().optional(),
  is_topic_message: z.boolean().optional(),
  reply_to_message: z.object({ message_id: z.int() }).optional(),
  /** three signs that the words are somebody else's; `forward_date` is that of older servers */
  forward_origin: z.unknown().optional(),
  forward_date: z.unknown().optional(),
  via_bot: z.unknown().optional(),
})
export type Message = z.infer<typeof Message>

const Press = z.object({
  id: z.string().min(1),
  from: User,
  /** missing under inline results; only an outline for a message that is too old */
  message: Message.omit({ text: true }).optional(),
  data: z.string().optional(),
})
export type Press = z.infer<typeof Press>

/** Which updates are asked for: no edits, no reactions, no channel posts. */
export const ALLOWED_UPDATES = ['message', 'callback_query'] as const

export function readMessage(raw: unknown): Message | null {
  return Message.safeParse(raw).data ?? null
}

export function readPress(raw: unknown): Press | null {
  return Press.safeParse(raw).data ?? null
}

/** `/name`, `/name@bot`, and what follows. A copied look-alike of the slash (see `escapeBare`) counts as one. */
const COMMAND = /^[/\u2215]([A-Za-z][A-Za-z0-9_]{0,63})(?:@([A-Za-z0-9_]{1,64}))?(?:\s+([\s\S]*))?$/

/**
 * The command that a person gives with a message, without slash, `claw` and the bot's name; '' for `/claw` alone. Null where
 * it is none: chatter in groups, commands for other bots, forwarded words, what bots say. In a private chat everything is
 * said to Claw, slash or not.
 * @param me the bot's own name; null while it is not known: then a command that names a bot is 'unclear'
 */
export function commandOf(message: Message, me: string | null): { text: string } | 'unclear' | null {
  const { from, text, chat } = message
  if (text === undefined || from === undefined || from.is_bot) return null
  // Somebody else's words: who passes them on does not mean to run them.
  if (message.forward_origin ?? message.forward_date ?? message.via_bot) return null
  const said = text.trim()
  const match = COMMAND.exec(said)
  if (match === null) return chat.type === 'private' && said !== '' ? { text: typed(said) } : null
  const [, name = '', bot, rest = ''] = match
  if (bot !== undefined && me === null) return 'unclear'
  if (bot !== undefined && bot.toLowerCase() !== me?.toLowerCase()) return null
  const lower = name.toLowerCase()
  if (lower === 'claw') return { text: typed(rest.trim()) }
  // What Telegram itself sends when somebody opens a chat with the bot.
  if (lower === 'start') return { text: 'help' }
  return { text: typed(`${name} ${rest}`.trim()) }
}

/** Phones write `--option` as a dash and quotes as curly ones. */
function typed(text: string): string {
  return text.replace(/(?<=^|\s)[\u2013\u2014](?=[a-z])/g, '--').replace(/[\u201c\u201d]/g, '"')
}

/** The request of a command; `incident` is the one whose message was replied to or pressed. */
export function requestOf(
  updateId: number,
  user: number,
  text: string,
  incident: number | null,
  at: { message: Omit<Message, 'text'>; callback: string | null },
): CommandRequest {
  const { message, callback } = at
  const chat = String(message.chat.id)
  // Only in a forum is it a topic; elsewhere it counts replies, and sending with it is refused.
  const thread = message.is_topic_message === true ? (message.message_thread_id ?? null) : null
  const address: ReplyAddress = { chat, thread, replyTo: message.message_id, callback }
  return {
    id: `telegram:${updateId}`,
    via: 'telegram',
    person: null,
    user: String(user),
    text,
    incident,
    confirmed: false,
    override: null,
    // One target for a chat and all its topics: they share Telegram's rate.
    replyTo: { lane: 'telegram', target: chat, address },
  }
}
