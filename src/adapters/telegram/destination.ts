import type { Destination, Renderer, StepInput, StepResult } from '../../core/delivery.ts'
import { isProgress, type StoryEvent } from '../../core/view.ts'
import { type Bot, type Content, createBot } from './client.ts'
import { type Failure, judge } from './errors.ts'
import { incidentKeyboard } from './keyboard.ts'
import { PACING, PROGRESS_INTERVAL_MS, PUSH_INTERVAL_MS } from './limits.ts'
import { mainMessage, pushReply } from './message.ts'
import { highest, Probes } from './probe.ts'
import { sayReply } from './reply.ts'
import { newestSeq, readSettings, readState, type TelegramSettings, type TelegramState, withReply } from './state.ts'

export type TelegramOptions = {
  token: string
  /** e.g. https://api.telegram.org */
  apiRoot: string
  renderer: Renderer
  /** of one request, default 5000 */
  timeoutMs?: number | undefined
}

/**
 * One chat shows an incident as one message that is edited in place; what should be noticed besides is a reply to it
 * (contract.md, section 8). A step makes one call that people can see. `reference` is the message's id; ids of replies
 * are in `state.replies`, and both belong into what `knownReferences()` gives.
 */
export function createTelegramDestination(options: TelegramOptions): Destination {
  const { token, apiRoot, renderer } = options
  const bot = createBot({ token, apiRoot, timeoutMs: options.timeoutMs ?? 5_000 })
  const probes = new Probes(bot)
  return {
    kind: 'telegram',
    lane: 'telegram',
    pacing: PACING,
    async step(input) {
      const settings = readSettings(input.settings)
      if (settings === null)
        return { outcome: 'dead', reason: 'The Telegram settings of the receiver are not valid: check chat and thread' }
      return await new Step(bot, probes, renderer, settings, input).run()
    },
    reply: (input) => sayReply(bot, renderer, input, (chat, id) => probes.sent(chat, id, 'answer')),
    async close() {
      bot.close()
    },
  }
}

const HELD = 'At most one push a minute, and progress every few seconds'

/** No reply is announced. */
const NO_REPLY = { replyAfter: null, replyUpto: null } as const

class Step {
  readonly #bot: Bot
  readonly #probes: Probes
  readonly #renderer: Renderer
  readonly #settings: TelegramSettings
  readonly #input: StepInput
  readonly #state: TelegramState

  constructor(bot: Bot, probes: Probes, renderer: Renderer, settings: TelegramSettings, input: StepInput) {
    this.#bot = bot
    this.#probes = probes
    this.#renderer = renderer
    this.#settings = settings
    this.#input = input
    this.#state = readState(input.state) ?? {
      chat: settings.chat,
      messageId: null,
      version: 0,
      storySeq: -1,
      lastPushAt: null,
      lastReplyAt: null,
      replies: [],
      replyAfter: null,
      replyUpto: null,
      postAfter: null,
    }
  }

  async run(): Promise<StepResult> {
    const { messageId, version } = this.#state
    const { inDoubt, incident } = this.#input
    if (messageId === null) return inDoubt ? this.#findMain() : this.#post()
    const events = this.#untold()
    // The doubt comes first: once the message is edited nobody would know of it any more.
    if (inDoubt && this.#state.replyAfter !== null && events.length > 0)
      return this.#findReply(messageId, events, this.#state.replyAfter)
    if (version < incident.version) {
      // Else a lost answer to the edit would look like a lost reply.
      if (this.#state.replyAfter !== null) return this.#shown({ ...this.#state, ...NO_REPLY })
      // Steps follow each other within seconds: message and reply tell of several at once.
      const at = this.#progressOnly() ? this.#replyFrom(events) : null
      return at === null ? this.#edit(messageId, events) : this.#later(messageId, at)
    }
    return events.length === 0 ? this.#shown(this.#told()) : this.#reply(messageId, events)
  }

  /** When these may be told as a reply; null for now. */
  #replyFrom(events: StoryEvent[]): number | null {
    const { lastPushAt, lastReplyAt } = this.#state
    const push = events.some((event) => event.push)
    const last = push ? lastPushAt : lastReplyAt
    const interval = push ? PUSH_INTERVAL_MS : PROGRESS_INTERVAL_MS
    return last !== null && this.#input.now < last + interval ? last + interval : null
  }

  #progressOnly(): boolean {
    const news = this.#input.incident.story.filter((event) => event.seq > this.#state.storySeq)
    return news.length > 0 && news.every(isProgress)
  }

  async #post(): Promise<StepResult> {
    const { chat } = this.#state
    const { thread, notify } = this.#settings
    try {
      const to = { chat, thread, replyTo: null, silent: !notify }
      return this.#posted(await this.#bot.send(to, this.#main(), this.#input.signal))
    } catch (error) {
      const failure = judge(error)
      const result = await this.#failed(failure, null)
      if (result.outcome !== 'retry' || failure.kind !== 'retry' || !failure.inDoubt) return result
      // Stored before others post here: after a crash nobody would know any more where to look.
      return { ...result, state: { ...this.#state, postAfter: await this.#highestKnown() } }
    }
  }

  async #findMain(): Promise<StepResult> {
    const { chat } = this.#state
    const after = this.#state.postAfter ?? (await this.#highestKnown())
    const sought = { chat, content: this.#main(), after, repliesTo: [null, this.#settings.thread] }
    const result = await this.#probes.search(this.#key('main'), this.#input, sought)
    if ('found' in result) return this.#posted(result.found)
    if ('none' in result) return this.#post()
    const failed = await this.#failed(result.failure, null)
    return failed.outcome === 'retry' ? { ...failed, state: { ...this.#state, postAfter: after } } : failed
  }

  #posted(messageId: number): StepResult {
    this.#probes.forget(this.#key('main'))
    this.#probes.sent(this.#state.chat, messageId, this.#key('main'))
    const { version, story } = this.#input.incident
    const told = { storySeq: newestSeq(story), ...NO_REPLY, postAfter: null }
    return this.#shown({ ...this.#state, messageId, version, ...told })
  }

  async #edit(messageId: number, events: StoryEvent[]): Promise<StepResult> {
    const { chat } = this.#state
    try {
      await this.#bot.edit(chat, messageId, this.#main(), this.#input.signal)
    } catch (error) {
      const failure = judge(error)
      // Posted anew in the next step, so that a lost answer to that is looked for like any other.
      if (failure.kind === 'gone') return this.#shown({ ...this.#state, messageId: null, version: 0 })
      if (failure.kind !== 'same') return await this.#failed(failure, null)
    }
    const shown = { ...this.#state, version: this.#input.incident.version }
    return this.#shown(events.length === 0 ? this.#told(shown) : { ...shown, ...(await this.#announced(events)) })
  }

  async #reply(messageId: number, untold: StoryEvent[]): Promise<StepResult> {
    const { chat, replyAfter, replyUpto } = this.#state
    const events = this.#batch(untold)
    const at = this.#replyFrom(events)
    if (at !== null) return this.#later(messageId, at)
    // Stored before anything is sent: only so is a crash in between noticed.
    if (replyAfter === null || replyUpto !== newestSeq(events)) {
      return this.#shown({ ...this.#state, ...(await this.#announced(untold)) })
    }
    const { thread, notify } = this.#settings
    try {
      const silent = !notify || !events.some((event) => event.push)
      const to = { chat, thread, replyTo: messageId, silent }
      return this.#replied(await this.#bot.send(to, this.#push(events), this.#input.signal), events)
    } catch (error) {
      return await this.#failed(judge(error), this.#key('reply'), replyAfter)
    }
  }

  async #findReply(messageId: number, untold: StoryEvent[], after: number): Promise<StepResult> {
    // Of an older Claw it is not known how far its reply told.
    const { replyUpto } = this.#state
    const sent = untold.filter((event) => replyUpto === null || event.seq <= replyUpto)
    const events = sent.length > 0 ? sent : this.#batch(untold)
    const sought = { chat: this.#state.chat, content: this.#push(events), after, repliesTo: [messageId] }
    const result = await this.#probes.search(this.#key('reply'), this.#input, sought)
    if ('found' in result) return this.#replied(result.found, events)
    if ('failure' in result) return this.#failed(result.failure, null)
    return this.#reply(messageId, untold)
  }

  #replied(id: number, events: StoryEvent[]): StepResult {
    this.#probes.forget(this.#key('reply'))
    this.#probes.sent(this.#state.chat, id, this.#key('reply'))
    const { now } = this.#input
    const state: TelegramState = {
      ...this.#state,
      ...NO_REPLY,
      storySeq: Math.max(this.#state.storySeq, newestSeq(events)),
      replies: withReply(this.#state.replies, id),
      lastReplyAt: now,
      lastPushAt: events.some((event) => event.push) ? now : this.#state.lastPushAt,
    }
    const rest = this.#untold().some((event) => event.seq > state.storySeq)
    return this.#shown(rest ? state : this.#told(state))
  }

  /**
   * What the next reply tells: all of it, unless a push must wait; the progress before that goes ahead. What was announced is
   * sent as it was announced.
   */
  #batch(untold: StoryEvent[]): StoryEvent[] {
    const { replyAfter, replyUpto } = this.#state
    const announced = replyAfter === null ? [] : untold.filter(({ seq }) => replyUpto !== null && seq <= replyUpto)
    if (announced.length > 0 && this.#replyFrom(announced) === null) return announced
    const push = untold.findIndex((event) => event.push)
    return push > 0 && this.#replyFrom(untold) !== null ? untold.slice(0, push) : untold
  }

  /** Where a reply would be looked for if its answer were lost, and what it tells. */
  async #announced(untold: StoryEvent[]): Promise<Pick<TelegramState, 'replyAfter' | 'replyUpto'>> {
    return { replyAfter: await this.#highestKnown(), replyUpto: newestSeq(this.#batch(untold)) }
  }

  /** What should be noticed, or told in a reply, and was not yet. The message itself tells all that came before it was posted. */
  #untold(): StoryEvent[] {
    const { storySeq } = this.#state
    return this.#input.incident.story.filter((event) => (event.push || isProgress(event)) && event.seq > storySeq)
  }

  #told(state = this.#state): TelegramState {
    return { ...state, ...NO_REPLY, storySeq: Math.max(state.storySeq, newestSeq(this.#input.incident.story)) }
  }

  #later(messageId: number, at: number): StepResult {
    return { outcome: 'later', state: { ...this.#state, ...NO_REPLY }, reference: String(messageId), at, reason: HELD }
  }

  #main(): Content {
    const { incident, now } = this.#input
    return { html: mainMessage(this.#renderer, incident, now), keyboard: incidentKeyboard(incident) }
  }

  #push(events: StoryEvent[]): Content {
    return { html: pushReply(this.#renderer, this.#input.incident, events, this.#input.now), keyboard: null }
  }

  async #highestKnown(): Promise<number> {
    const { messageId, replies } = this.#state
    const known = (await this.#input.knownReferences()).map(Number).filter(Number.isSafeInteger)
    return highest([...known, ...replies, messageId ?? 0])
  }

  #key(part: 'main' | 'reply'): string {
    const { installation, incident, target } = this.#input
    return JSON.stringify([part, installation, incident.id, target])
  }

  /** `done` when nothing is left to do in this state, else `progress`. */
  #shown(state: TelegramState): StepResult {
    const { version, story } = this.#input.incident
    const quiet = !story.some((event) => (event.push || isProgress(event)) && event.seq > state.storySeq)
    const done = state.messageId !== null && state.version >= version && quiet
    const reference = state.messageId === null ? null : String(state.messageId)
    return { outcome: done ? 'done' : 'progress', state, reference }
  }

  /** A doubt from before this step stays until something is found or sent. `lost` names what may have been sent. */
  async #failed(failure: Failure, lost: string | null, after?: number): Promise<StepResult> {
    switch (failure.kind) {
      case 'moved':
        return this.#shown({
          ...this.#state,
          chat: failure.chat,
          messageId: null,
          version: 0,
          ...NO_REPLY,
          postAfter: null,
        })
      case 'retry': {
        if (failure.inDoubt && lost !== null) await this.#probes.lost(lost, this.#input, after)
        const { reason, retryAfterMs, scope } = failure
        return { outcome: 'retry', reason, retryAfterMs, inDoubt: failure.inDoubt || this.#input.inDoubt, scope }
      }
      case 'same':
        return {
          outcome: 'retry',
          reason: 'Telegram gave an answer that makes no sense',
          retryAfterMs: null,
          inDoubt: true,
          scope: 'target',
        }
      default:
        return { outcome: 'dead', reason: failure.reason }
    }
  }
}
