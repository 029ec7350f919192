import type { StepInput } from '../../core/delivery.ts'
import type { Bot, Content } from './client.ts'
import { type Failure, judge } from './errors.ts'
import { LIMITS } from './limits.ts'

export type Probed = { found: number } | { none: true } | { failure: Failure }

/** Ids of own messages remembered for each chat: more than a search looks at. */
const SENT = 500

/** What was lost in this process: where its id must lie, and how far the search has come. */
type Lost = { after: number; next: number }

/**
 * Telegram has no way to look up one's own messages. A lost one is found by editing: the ids after the highest known one
 * are tried with our text, and the one that takes it is ours. Ids that other incidents own are skipped. A search that
 * is cut short (rate limit) goes on where it stopped.
 */
export class Probes {
  readonly #lost = new Map<string, Lost>()
  readonly #sent = new Map<string, Map<number, string>>()
  readonly #bot: Bot

  constructor(bot: Bot) {
    this.#bot = bot
  }

  /** Remembers, right after an answer was lost, that the message can only have an id after those known now. */
  async lost(key: string, input: StepInput, after?: number): Promise<void> {
    if (this.#lost.has(key)) return
    // Bounded: a forgotten entry only makes the search start at the newest known id.
    if (this.#lost.size >= 10_000) this.#lost.clear()
    const known = after ?? highest(await knownIds(input))
    this.#lost.set(key, { after: known, next: known + 1 })
  }

  /**
   * Remembers what this process sent, and for what (`key`): the ids that the store knows are those of one target, and a
   * chat's topics and answers share one row of ids. The search for that same thing may find it: it can have been sent
   * without being stored.
   */
  sent(chat: string, id: number, key: string): void {
    if (this.#sent.size >= 10_000) this.#sent.clear()
    const ids = this.#sent.get(chat) ?? new Map<number, string>()
    this.#sent.set(chat, ids.set(id, key))
    for (const oldest of ids.keys()) {
      if (ids.size <= SENT) break
      ids.delete(oldest)
    }
  }

  forget(key: string): void {
    this.#lost.delete(key)
  }

  /**
   * @param after the highest id known before the message was sent
   * @param repliesTo what the lost message replies to, one of these; another one is a lost message of another incident,
   * which gets its own text back as soon as that looks for it
   */
  async search(
    key: string,
    input: StepInput,
    sought: { chat: string; content: Content; after: number; repliesTo: readonly (number | null)[] },
  ): Promise<Probed> {
    const { chat, content, after, repliesTo } = sought
    const known = await knownIds(input)
    const lost = this.#lost.get(key) ?? { after, next: after + 1 }
    this.#lost.set(key, lost)
    let tried = 0
    for (let id = lost.after + 1; tried < LIMITS.probes && id <= lost.after + 10 * LIMITS.probes; id++) {
      if (known.has(id) || (this.#sent.get(chat)?.get(id) ?? key) !== key) continue
      tried++
      if (id < lost.next) continue
      const failure = await this.#try(chat, id, content, repliesTo, input.signal)
      if (failure === null) {
        this.#lost.delete(key)
        return { found: id }
      }
      if (failure.kind !== 'gone') return { failure }
      lost.next = id + 1
    }
    this.#lost.delete(key)
    return { none: true }
  }

  async #try(
    chat: string,
    id: number,
    content: Content,
    repliesTo: readonly (number | null)[],
    signal: AbortSignal,
  ): Promise<Failure | null> {
    // "Not modified" does not say what the message replies to; an invisible character more makes Telegram say it.
    for (const html of [content.html, `${content.html}\u2060`]) {
      try {
        const repliedTo = await this.#bot.edit(chat, id, { ...content, html }, signal)
        return repliesTo.includes(repliedTo) ? null : { kind: 'gone', reason: 'it is not the message that was lost' }
      } catch (error) {
        const failure = judge(error)
        if (failure.kind !== 'same') return failure
      }
    }
    return null
  }
}

async function knownIds(input: StepInput): Promise<Set<number>> {
  const ids = (await input.knownReferences()).map(Number)
  return new Set(ids.filter((id) => Number.isSafeInteger(id) && id > 0))
}

export function highest(ids: Iterable<number>): number {
  let top = 0
  for (const id of ids) if (id > top) top = id
  return top
}
