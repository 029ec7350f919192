import type { Destination, Renderer, StepInput, StepResult } from '../../core/delivery.ts'
import { type IncidentView, isProgress, type StoryEvent } from '../../core/view.ts'
import { sendReply } from './answer.ts'
import { createClient, type Metadata, type Slack } from './client.ts'
import { type Failure, judge } from './errors.ts'
import { PACING, PROGRESS_INTERVAL_MS, REPLY_INTERVAL_MS } from './limits.ts'
import { storyReply, topMessage } from './message.ts'
import { newestSeq, openingSeq, readSettings, readState, type SlackSettings, type SlackState } from './state.ts'

export type SlackOptions = {
  token: string
  /** e.g. https://slack.com/api/ */
  apiUrl: string
  renderer: Renderer
  /** of one request, default 5000 */
  timeoutMs?: number | undefined
  logger?: { warn(fields: { [key: string]: unknown }, message: string): void } | undefined
}

/** Why a reply waits. */
const HELD = 'At most one push a minute, and progress every few seconds'

/** How far clocks (ours and Slack's) may differ when a lost message is looked for. */
const CLOCK_SLACK_MS = 10 * 60_000

/**
 * One channel shows an incident as one top-level message that is edited in place, with its story in the thread
 * (contract.md, section 8). A step makes one call that people can see. `reference` is the message's `ts`.
 */
export function createSlackDestination(options: SlackOptions): Destination {
  const timeoutMs = options.timeoutMs ?? 5_000
  const shared: Shared = { renderer: options.renderer, logger: options.logger, editsHeldUntil: 0 }
  return {
    kind: 'slack',
    lane: 'slack',
    pacing: PACING,
    async step(input) {
      const settings = readSettings(input.settings)
      if (settings === null)
        return {
          outcome: 'dead',
          reason: 'The Slack settings of the receiver are not valid: check channel and mention',
        }
      const slack = createClient({ token: options.token, apiUrl: options.apiUrl, timeoutMs }, input.signal)
      return await new Step(shared, slack, settings, input).run()
    },
    reply: (input) => sendReply({ token: options.token, apiUrl: options.apiUrl, timeoutMs }, input),
    async close() {},
  }
}

type Shared = {
  renderer: Renderer
  logger: SlackOptions['logger']
  /** chat.update has a limit of its own (Tier 3): while it is used up, messages and replies still go out */
  editsHeldUntil: number
}

class Step {
  readonly #shared: Shared
  readonly #slack: Slack
  readonly #settings: SlackSettings
  readonly #input: StepInput
  readonly #incident: IncidentView
  readonly #state: SlackState

  constructor(shared: Shared, slack: Slack, settings: SlackSettings, input: StepInput) {
    this.#shared = shared
    this.#slack = slack
    this.#settings = settings
    this.#input = input
    this.#incident = input.incident
    this.#state = readState(input.state) ?? {
      channel: settings.channel,
      ts: null,
      version: 0,
      storySeq: -1,
      told: 0,
      lastPushAt: null,
      lastReplyAt: null,
    }
  }

  async run(): Promise<StepResult> {
    const found = this.#input.inDoubt ? await this.#look() : null
    if (found !== null) return found
    const { ts, version } = this.#state
    if (ts === null) return this.#post()
    const events = this.#untold()
    if (version < this.#incident.version) {
      // Steps follow each other within seconds: message and thread tell of several at once.
      const at = events.length > 0 && events.every(isProgress) ? this.#replyFrom(events) : null
      return at === null ? this.#edit(ts) : this.#later(at, HELD)
    }
    return events.length === 0 ? this.#shown(this.#state) : this.#reply(ts, events)
  }

  /** When these may be told as a reply; null for now. Pushes wait for pushes, progress not as long as other quiet lines. */
  #replyFrom(events: StoryEvent[]): number | null {
    const { lastPushAt, lastReplyAt } = this.#state
    const push = events.some((event) => event.push)
    const last = push ? lastPushAt : lastReplyAt
    const interval = !push && events.some(isProgress) ? PROGRESS_INTERVAL_MS : REPLY_INTERVAL_MS
    return last !== null && this.#input.now < last + interval ? last + interval : null
  }

  /** Finds what a lost answer left behind, for it would be posted twice. Null when there is nothing. */
  async #look(): Promise<StepResult | null> {
    const { ts, channel } = this.#state
    try {
      if (ts === null) {
        for await (const hit of this.#slack.history(channel, this.#incident.openedAt - CLOCK_SLACK_MS))
          if (this.#isOurs(hit.metadata, 'message')) return this.#adoptMessage(hit.ts, hit.metadata)
        return null
      }
      const [oldest] = this.#untold()
      if (oldest === undefined) return null
      let upto = -1
      for await (const hit of this.#slack.replies(channel, ts, oldest.at - CLOCK_SLACK_MS))
        if (this.#isOurs(hit.metadata, 'story')) upto = Math.max(upto, hit.metadata.upto)
      return upto > this.#state.storySeq ? this.#adoptReply(upto) : null
    } catch (error) {
      const failure = judge(error)
      // Without the right to look there is no way to know: one message too many is better than one lost.
      if (failure.kind === 'retry' && !failure.reason.includes('missing_scope')) return this.#failed(failure)
      this.#shared.logger?.warn(
        { incident: this.#incident.id, reason: failure.reason },
        'cannot look for a lost message',
      )
      return null
    }
  }

  #isOurs(metadata: Metadata, part: Metadata['part']): boolean {
    const { installation, incident } = metadata
    return part === metadata.part && installation === this.#input.installation && incident === this.#incident.id
  }

  #adoptMessage(ts: string, { version, upto }: Metadata): StepResult {
    const storySeq = this.#state.storySeq < 0 ? openingSeq(this.#incident.story) : this.#state.storySeq
    return this.#shown({ ...this.#state, ts, version: version ?? 0, storySeq, told: upto })
  }

  #adoptReply(upto: number): StepResult {
    const { now } = this.#input
    return this.#shown({ ...this.#state, storySeq: upto, lastPushAt: now, lastReplyAt: now })
  }

  async #post(): Promise<StepResult> {
    const { channel, storySeq } = this.#state
    const told = newestSeq(this.#incident.story)
    const message = topMessage(this.#shared.renderer, this.#incident, this.#input.now, this.#mention())
    try {
      const ts = await this.#slack.post({ channel, thread: null }, message, this.#metadata('message', told))
      return this.#shown({
        ...this.#state,
        ts,
        version: this.#incident.version,
        storySeq: storySeq < 0 ? openingSeq(this.#incident.story) : storySeq,
        told,
      })
    } catch (error) {
      return this.#failed(judge(error))
    }
  }

  async #edit(ts: string): Promise<StepResult> {
    const { now } = this.#input
    const at = this.#shared.editsHeldUntil
    if (now < at) return this.#later(at, 'Slack limits edits')
    const message = topMessage(this.#shared.renderer, this.#incident, now, this.#mention())
    const { channel, told } = this.#state
    try {
      await this.#slack.update({ channel, ts }, message, this.#metadata('message', told))
    } catch (error) {
      const failure = judge(error)
      // Posted anew in the next step, so that a lost answer to that is looked for like any other.
      if (failure.kind === 'gone') return this.#shown({ ...this.#state, ts: null, version: 0 })
      if (failure.kind !== 'frozen') return this.#failed(this.#holdEdits(failure))
    }
    return this.#shown({ ...this.#state, version: this.#incident.version })
  }

  async #reply(ts: string, untold: StoryEvent[]): Promise<StepResult> {
    const { channel, lastPushAt, told } = this.#state
    const { now } = this.#input
    let events = untold
    let held = this.#replyFrom(events)
    const push = events.findIndex((event) => event.push)
    if (held !== null && push > 0 && events.slice(0, push).some(isProgress)) {
      // A push that must wait does not hold up the progress before it.
      const before = events.slice(0, push)
      const from = this.#replyFrom(before)
      if (from === null) events = before
      held = from === null ? null : Math.min(from, held)
    }
    if (held !== null) return this.#later(held, HELD)
    const pushes = events.some((event) => event.push)
    const upto = newestSeq(events)
    const news = events.some((event) => event.push && event.seq > told)
    const mention = news && this.#incident.state === 'open' ? this.#mention() : null
    const message = storyReply(this.#shared.renderer, this.#incident, events, now, mention)
    try {
      await this.#slack.post({ channel, thread: ts }, message, this.#metadata('story', upto))
    } catch (error) {
      const failure = judge(error)
      if (failure.kind === 'gone') return this.#shown({ ...this.#state, ts: null, version: 0 })
      return this.#failed(failure)
    }
    return this.#shown({ ...this.#state, storySeq: upto, lastReplyAt: now, lastPushAt: pushes ? now : lastPushAt })
  }

  #untold(): StoryEvent[] {
    return this.#incident.story.filter((event) => event.seq > this.#state.storySeq)
  }

  #mention(): string | null {
    const { level, state } = this.#incident
    return level === 'P1' && state !== 'resolved' ? this.#settings.mention : null
  }

  #metadata(part: Metadata['part'], upto: number): Metadata {
    const { id: incident, version } = this.#incident
    return { installation: this.#input.installation, incident, version, upto, part }
  }

  /** `done` when nothing is left to do in this state, else `progress`. */
  #shown(state: SlackState): StepResult {
    const { version, story } = this.#incident
    const done = state.ts !== null && state.version >= version && newestSeq(story) <= state.storySeq
    return { outcome: done ? 'done' : 'progress', state, reference: state.ts }
  }

  #later(at: number, reason: string): StepResult {
    return { outcome: 'later', state: this.#state, reference: this.#state.ts, at, reason }
  }

  #holdEdits(failure: Failure): Failure {
    if (failure.kind !== 'retry' || failure.reason !== 'Slack limits the rate') return failure
    this.#shared.editsHeldUntil = this.#input.now + (failure.retryAfterMs ?? 0)
    return { ...failure, scope: 'target' }
  }

  /** A doubt from before this step stays until something is found or posted. */
  #failed(failure: Failure): StepResult {
    if (failure.kind !== 'retry') return { outcome: 'dead', reason: failure.reason }
    const { reason, retryAfterMs, scope } = failure
    return { outcome: 'retry', reason, retryAfterMs, inDoubt: failure.inDoubt || this.#input.inDoubt, scope }
  }
}
