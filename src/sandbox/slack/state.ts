import type { Clock } from '../../core/clock.ts'
import { Buckets } from '../buckets.ts'
import { asRecord, maybeJson } from '../front.ts'
import { Recorder } from '../recorder.ts'
import { checkBlocks } from './blocks.ts'
import {
  type Inbound,
  type Sent,
  type Shown,
  sendAgain,
  sendClick,
  sendCommand,
  sendEvent,
  sendSubmit,
} from './inbound.ts'
import { SocketMode } from './socketmode.ts'

export type SlackMessage = {
  channel: string
  /** `1700000000.000123`; with `channel` the message's identity */
  ts: string
  /** user id of the author */
  user: string
  /** written by the app itself, so that it may edit and delete it */
  own: boolean
  /** exactly as sent: look for injected mentions here and in `blocks` */
  text: string
  blocks: unknown[] | null
  attachments: unknown[] | null
  metadata: { event_type: string; event_payload: object } | null
  /** parent's ts when it is a reply */
  threadTs: string | null
  broadcast: boolean
  /** how often it was edited, and when last (ms) */
  edits: number
  editedAt: number | null
  reactions: Array<{ name: string; users: string[] }>
}

export type SlackEphemeral = { channel: string; user: string; ts: string; text: string; blocks: unknown[] | null }
export type SlackView = {
  id: string
  kind: 'modal' | 'home'
  user: string
  view: Record<string, unknown>
  /** changes with every version of the view */
  hash: string
  /** a modal until it is submitted or replaced by nothing */
  open: boolean
}
/** What was posted to a response URL, and as which message its reader sees it. */
export type SlackResponse = {
  url: string
  body: unknown
  at: number
  channel: string
  user: string
  ts: string
  text: string
  blocks: unknown[] | null
}
export type SlackAnswer = { status: number; body: string }

/** The sandbox's own bot. */
export const SLACK_BOT = { user: 'U0CLAW', bot: 'B0CLAW', app: 'A0CLAW', team: 'T0SANDBOX', name: 'claw' } as const

export class SlackState extends Recorder {
  /** everything that people can see in channels, oldest first; deleted ones are gone */
  readonly messages: SlackMessage[] = []
  readonly ephemerals: SlackEphemeral[] = []
  readonly views: SlackView[] = []
  /** what was posted to response URLs */
  readonly responses: SlackResponse[] = []
  /** switches the real rate limits on */
  rateLimits: boolean
  /** null: any id that looks like one exists */
  channels: Map<string, { name: string; archived: boolean; member: boolean }> | null = null
  /** null: any id that looks like one exists */
  users: Map<string, { name: string }> | null = null
  /** how requests to Claw are signed */
  signingSecret = 'sandbox'
  readonly buckets: Buckets
  /** Socket Mode connections of Claw */
  readonly sockets: SocketMode
  /** the last thing that a person did, for `again` */
  lastSent: Sent | null = null
  readonly #channels = new Map<string, Map<string, SlackMessage>>()
  /** replies by channel and parent, so that a long channel stays quick */
  readonly #threads = new Map<string, SlackMessage[]>()
  readonly #lastTs = new Map<string, number>()
  /** trigger_id -> when it was issued and whether it was used */
  readonly triggers = new Map<string, { at: number; user: string; used: boolean }>()
  /** response_url id -> where it leads */
  readonly responseUrls = new Map<
    string,
    { at: number; uses: number; channel: string; user: string; ts: string | null }
  >()
  #ids = 0

  constructor(clock: Clock, rateLimits: boolean) {
    super(clock)
    this.rateLimits = rateLimits
    this.buckets = new Buckets(clock)
    this.sockets = new SocketMode(this)
  }

  /** A new ts of a channel: unique and rising there, also when the clock stands still or goes back. */
  nextTs(channel: string): string {
    const micros = Math.max((this.#lastTs.get(channel) ?? 0) + 1, this.clock() * 1_000)
    this.#lastTs.set(channel, micros)
    return `${Math.floor(micros / 1_000_000)}.${String(micros % 1_000_000).padStart(6, '0')}`
  }

  nextId(prefix: string): string {
    this.#ids++
    return `${prefix}${String(this.#ids).padStart(6, '0')}`
  }

  find(channel: string, ts: string): SlackMessage | null {
    return this.#channels.get(channel)?.get(ts) ?? null
  }

  /** Messages of one channel, oldest first, replies included. */
  inChannel(channel: string): SlackMessage[] {
    return [...(this.#channels.get(channel)?.values() ?? [])]
  }

  /** Replies to one message, oldest first, without the message itself. */
  replies(channel: string, ts: string): SlackMessage[] {
    return [...(this.#threads.get(`${channel} ${ts}`) ?? [])]
  }

  add(message: SlackMessage): void {
    const channel = this.#channels.get(message.channel) ?? new Map<string, SlackMessage>()
    this.#channels.set(message.channel, channel.set(message.ts, message))
    this.messages.push(message)
    if (message.threadTs !== null) {
      const key = `${message.channel} ${message.threadTs}`
      const thread = this.#threads.get(key) ?? []
      thread.push(message)
      this.#threads.set(key, thread)
    }
    this.tell('message', message)
  }

  remove(message: SlackMessage): void {
    this.#channels.get(message.channel)?.delete(message.ts)
    this.messages.splice(this.messages.indexOf(message), 1)
    const thread = this.#threads.get(`${message.channel} ${message.threadTs}`)
    thread?.splice(thread.indexOf(message), 1)
    this.tell('delete', message)
  }

  /** Makes a channel known; from then on only known ones exist. */
  addChannel(id: string, options: { name?: string; archived?: boolean; member?: boolean } = {}): void {
    this.channels ??= new Map()
    const { name = id.toLowerCase(), archived = false, member = true } = options
    this.channels.set(id, { name, archived, member })
  }

  /** A person writes in a channel. Returns the message; Claw can neither edit nor delete it. */
  userSays(channel: string, user: string, text: string, threadTs: string | null = null): SlackMessage {
    const message: SlackMessage = {
      channel,
      ts: this.nextTs(channel),
      user,
      own: false,
      text,
      blocks: null,
      attachments: null,
      metadata: null,
      threadTs,
      broadcast: false,
      edits: 0,
      editedAt: null,
      reactions: [],
    }
    this.add(message)
    return message
  }

  /** Posts a signed slash command to Claw, `text` being all behind the command. Resolves with Claw's answer. */
  command(user: string, channel: string, text: string, to: Inbound): Promise<SlackAnswer> {
    return sendCommand(this, user, channel, text, to)
  }

  /**
   * Presses a button of a message, of an answer by response URL, of an ephemeral message or of App Home (signed
   * `block_actions`). Rejects when there is no such button.
   */
  click(user: string, shown: Shown, actionId: string, to: Inbound): Promise<SlackAnswer> {
    return sendClick(this, user, shown, actionId, to)
  }

  /** Submits a modal; `values` by block_id and action_id. Rejects when it is closed already. */
  submit(user: string, view: SlackView, values: Record<string, Record<string, string>>, to: Inbound) {
    return sendSubmit(this, user, view, values, to)
  }

  /** Closes a modal without submitting it; Slack tells nobody unless the view asks for it, and Claw's do not. */
  dismiss(view: SlackView): void {
    view.open = false
    this.tell('view', view)
  }

  /** Opens the app's Home tab (`app_home_opened`). */
  home(user: string, to: Inbound): Promise<SlackAnswer> {
    const ts = String(this.clock() / 1_000)
    return sendEvent(
      this,
      { type: 'app_home_opened', user, channel: `D${user.slice(1)}`, tab: 'home', event_ts: ts },
      to,
    )
  }

  /** Writes `@claw text` in a channel or thread (`app_mention`). */
  mention(user: string, channel: string, text: string, threadTs: string | null, to: Inbound): Promise<SlackAnswer> {
    const said = this.userSays(channel, user, `<@${SLACK_BOT.user}> ${text}`, threadTs)
    const thread = threadTs === null ? {} : { thread_ts: threadTs }
    const event = { type: 'app_mention', user, text: said.text, ts: said.ts, channel, event_ts: said.ts, ...thread }
    return sendEvent(this, event, to)
  }

  /** Sends the last request again: the very same bytes (0), or as Slack's retry of that number. */
  again(retry = 0): Promise<SlackAnswer> {
    return sendAgain(this, retry)
  }

  /** What a modal does with the answer to its submission. */
  afterSubmit(view: SlackView, body: string): void {
    const answer = body === '' ? null : asRecord(maybeJson(body))
    if (answer?.response_action === 'errors') return
    const next = answer?.response_action === 'update' ? asRecord(answer.view) : null
    if (next === null) view.open = false
    else if (checkBlocks(next.blocks, { max: 100, view: true }).length === 0) {
      view.view = next
      view.hash = this.nextId('hash')
    }
    this.tell('view', view)
  }

  /** Back to an empty workspace; known channels and users, and listeners, stay. */
  clear(): void {
    this.forget()
    for (const list of [this.messages, this.ephemerals, this.views, this.responses]) list.length = 0
    for (const map of [this.#channels, this.#threads, this.#lastTs, this.triggers, this.responseUrls]) map.clear()
    this.buckets.reset()
    this.sockets.cut()
    this.lastSent = null
    this.tell('reset')
  }
}
