import type { Clock } from '../../core/clock.ts'
import { ClawError } from '../../core/errors.ts'
import { Buckets } from '../buckets.ts'
import { Recorder } from '../recorder.ts'
import type { Entity } from './html.ts'
import { buttonsOf } from './keyboard.ts'
import { type Update, Updates } from './updates.ts'

export type TelegramMessage = {
  chat: number
  /** rises per chat; with `chat` the message's identity */
  id: number
  from: number
  /** written by the bot, so that it may edit it */
  own: boolean
  /** what people read: without tags */
  text: string
  /** as sent, tags and escapes included */
  source: string
  entities: Entity[]
  markup: object | null
  threadId: number | null
  replyTo: number | null
  /** `disable_notification` */
  silent: boolean
  at: number
  edits: number
  editedAt: number | null
}

export type CallbackAnswer = { id: string; text: string; alert: boolean; at: number }

/** The sandbox's own bot. */
export const TELEGRAM_BOT = { id: 900_001, is_bot: true, first_name: 'Claw', username: 'claw_sandbox_bot' } as const

export class TelegramState extends Recorder {
  /** everything in all chats, oldest first; deleted ones are gone */
  readonly messages: TelegramMessage[] = []
  readonly answers: CallbackAnswer[] = []
  readonly actions: Array<{ chat: number; action: string; at: number }> = []
  readonly updates: Updates
  readonly buckets: Buckets
  /** switches the real rate limits on */
  rateLimits: boolean
  /** null: every chat with a number exists */
  chats: Map<number, { title: string; topics: Set<number> | null }> | null = null
  commands: unknown[] = []
  /** callback queries that can still be answered */
  readonly callbacks = new Set<string>()
  readonly #byId = new Map<string, TelegramMessage>()
  readonly #lastId = new Map<number, number>()
  readonly #kicked = new Set<number>()
  readonly #migrated = new Map<number, number>()
  #queries = 0

  constructor(clock: Clock, rateLimits: boolean) {
    super(clock)
    this.rateLimits = rateLimits
    this.buckets = new Buckets(clock)
    this.updates = new Updates(clock, (event, payload) => this.tell(event, payload))
  }

  find(chat: number, id: number): TelegramMessage | null {
    return this.#byId.get(`${chat} ${id}`) ?? null
  }

  inChat(chat: number): TelegramMessage[] {
    return this.messages.filter((m) => m.chat === chat)
  }

  add(content: Omit<TelegramMessage, 'id' | 'at' | 'edits' | 'editedAt'>): TelegramMessage {
    const id = (this.#lastId.get(content.chat) ?? 0) + 1
    this.#lastId.set(content.chat, id)
    const message: TelegramMessage = { ...content, id, at: this.clock(), edits: 0, editedAt: null }
    this.#byId.set(`${message.chat} ${id}`, message)
    this.messages.push(message)
    this.tell('message', message)
    return message
  }

  remove(message: TelegramMessage): void {
    this.#byId.delete(`${message.chat} ${message.id}`)
    this.messages.splice(this.messages.indexOf(message), 1)
    this.tell('delete', message)
  }

  /** Makes a chat known; from then on only known ones exist. `topics`: its thread ids; missing: any exists. */
  addChat(id: number, options: { title?: string; topics?: number[] } = {}): void {
    this.chats ??= new Map()
    const { title = `Chat ${id}`, topics } = options
    this.chats.set(id, { title, topics: topics ? new Set(topics) : null })
  }

  /** The bot is thrown out of a group, or blocked by a person; `false` lets it in again. */
  kick(chat: number, kicked = true): void {
    if (kicked) this.#kicked.add(chat)
    else this.#kicked.delete(chat)
  }

  kicked(chat: number): boolean {
    return this.#kicked.has(chat)
  }

  /** A group becomes a supergroup with another id. */
  migrate(from: number, to: number): void {
    this.#migrated.set(from, to)
    const known = this.chats?.get(from)
    if (known) this.chats?.set(to, known)
  }

  migratedTo(chat: number): number | null {
    return this.#migrated.get(chat) ?? null
  }

  chatView(id: number): Record<string, unknown> {
    const title = this.chats?.get(id)?.title ?? `Chat ${id}`
    if (id > 0) return { id, type: 'private', first_name: title }
    return { id, type: id <= -1_000_000_000_000 ? 'supergroup' : 'group', title }
  }

  /** A message as the Bot API shows it. */
  show(m: TelegramMessage, withReply = true): Record<string, unknown> {
    const reply = m.replyTo === null || !withReply ? null : this.find(m.chat, m.replyTo)
    return {
      message_id: m.id,
      from: m.own ? TELEGRAM_BOT : { id: m.from, is_bot: false, first_name: `User ${m.from}` },
      chat: this.chatView(m.chat),
      date: Math.floor(m.at / 1_000),
      ...(m.editedAt === null ? {} : { edit_date: Math.floor(m.editedAt / 1_000) }),
      ...(m.threadId === null ? {} : { message_thread_id: m.threadId, is_topic_message: true }),
      ...(reply === null ? {} : { reply_to_message: this.show(reply, false) }),
      text: m.text,
      ...(m.entities.length > 0 ? { entities: m.entities } : {}),
      ...(m.markup === null ? {} : { reply_markup: m.markup }),
    }
  }

  /** A person writes in a chat; the bot gets it as an update (getUpdates or webhook). */
  userSays(
    chat: number,
    user: number,
    text: string,
    options: { threadId?: number; replyTo?: number } = {},
  ): { update: Update; message: TelegramMessage } {
    const command = /^\/[a-z0-9_]{1,32}(@\w+)?/i.exec(text)
    const message = this.add({
      chat,
      from: user,
      own: false,
      text,
      source: text,
      entities: command ? [{ type: 'bot_command', offset: 0, length: command[0].length }] : [],
      markup: null,
      threadId: options.threadId ?? null,
      replyTo: options.replyTo ?? null,
      silent: false,
    })
    return { update: this.updates.add('message', this.show(message)), message }
  }

  /**
   * A person presses an inline button; the bot gets a callback query.
   * @throws ClawError('not_found') when there is no such message, or no such button on it
   */
  press(chat: number, messageId: number, data: string, user: number): { update: Update; queryId: string } {
    const message = this.find(chat, messageId)
    const button = message && buttonsOf(message.markup).find((b) => b.callback_data === data)
    if (!message || !button)
      throw new ClawError('not_found', `no button ${data} on message ${messageId} of chat ${chat}`)
    const queryId = String(7_000_000 + ++this.#queries)
    this.callbacks.add(queryId)
    const update = this.updates.add('callback_query', {
      id: queryId,
      from: { id: user, is_bot: false, first_name: `User ${user}` },
      message: this.show(message),
      chat_instance: String(chat),
      data,
    })
    return { update, queryId }
  }

  /** Posts an update to the webhook once more, as Telegram does when it missed the answer. Resolves with the status. */
  redeliver(updateId: number): Promise<number> {
    const update = this.updates.made.find((u) => u.update_id === updateId)
    if (!update) throw new ClawError('not_found', `no update ${updateId}`)
    return this.updates.post(update)
  }

  /** Back to empty chats; known chats and listeners stay. */
  clear(): void {
    this.forget()
    this.updates.clear()
    for (const list of [this.messages, this.answers, this.actions, this.commands]) list.length = 0
    for (const set of [this.#byId, this.#lastId, this.#kicked, this.#migrated, this.callbacks]) set.clear()
    this.buckets.reset()
    this.tell('reset')
  }
}
