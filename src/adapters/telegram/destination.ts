import type { Destination, Renderer, StepInput, StepResult } from '../../core/delivery.ts'
import type { StoryEvent } from '../../core/view.ts'
import { type Bot, type Content, createBot } from './client.ts'
import { type Failure, judge } from './errors.ts'
import { incidentKeyboard } from './keyboard.ts'
import { PACING, PUSH_INTERVAL_MS } from './limits.ts'
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
      replies: [],
      replyAfter: null,
      postAfter: null,
    }
  }

  async run(): Promise<StepResult> {
    const { messageId, version } = this.#state
    const { inDoubt, incident } = this.#input
    if (messageId === null) return inDoubt ? this.#findMain() : this.#post()
    const events = this.#pushes()
    // The doubt comes first: once the message is edited nobody would know of it any more.
    if (inDoubt && this.#state.replyAfter !== null && events.length > 0)
      return this.#findReply(messageId, events, this.#state.replyAfter)
    if (version < incident.version) {
      // Else a lost answer to the edit would look like a lost reply.
      if (this.#state.replyAfter !== null) return this.#shown({ ...this.#state, replyAfter: null })
      return this.#edit(messageId, events)
    }
    return events.length === 0 ? this.#shown(this.#told()) : this.#reply(messageId, events)
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
    const told = { storySeq: newestSeq(story), replyAfter: null, postAfter: null }
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
    return this.#shown(events.length === 0 ? this.#told(shown) : { ...shown, replyAfter: await this.#highestKnown() })
  }

  async #reply(messageId: number, events: StoryEvent[]): Promise<StepResult> {
    const { chat, lastPushAt, replyAfter } = this.#state
    const { now, signal } = this.#input
    if (lastPushAt !== null && now < lastPushAt + PUSH_INTERVAL_MS) {
      const state = { ...this.#state, replyAfter: null }
      const at = lastPushAt + PUSH_INTERVAL_MS
      return { outcome: 'later', state, reference: String(messageId), at, reason: 'At most one reply a minute' }
    }
    // Stored before anything is sent: only so is a crash in between noticed.
    if (replyAfter === null) return this.#shown({ ...this.#state, replyAfter: await this.#highestKnown() })
    const { thread, notify } = this.#settings
    try {
      const to = { chat, thread, replyTo: messageId, silent: !notify }
      return this.#replied(await this.#bot.send(to, this.#push(events), signal))
    } catch (error) {
      return await this.#failed(judge(error), this.#key('reply'), replyAfter)
    }
  }

  async #findReply(messageId: number, events: StoryEvent[], after: number): Promise<StepResult> {
    const sought = { chat: this.#state.chat, content: this.#push(events), after, repliesTo: [messageId] }
    const result = await this.#probes.search(this.#key('reply'), this.#input, sought)
    if ('found' in result) return this.#replied(result.found)
    if ('failure' in result) return this.#failed(result.failure, null)
    return this.#reply(messageId, events)
  }

  #replied(id: number): StepResult {
    this.#probes.forget(this.#key('reply'))
    this.#probes.sent(this.#state.chat, id, this.#key('reply'))
    const replies = withReply(this.#state.replies, id)
    return this.#shown({ ...this.#told(), lastPushAt: this.#input.now, replies, replyAfter: null })
  }

  /** What should be noticed and was not told yet. The message itself tells all that came before it was posted. */
  #pushes(): StoryEvent[] {
    return this.#input.incident.story.filter((event) => event.push && event.seq > this.#state.storySeq)
  }

  #told(state = this.#state): TelegramState {
    return { ...state, storySeq: Math.max(state.storySeq, newestSeq(this.#input.incident.story)), replyAfter: null }
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
    const quiet = !story.some((event) => event.push && event.seq > state.storySeq)
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
          replyAfter: null,
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
