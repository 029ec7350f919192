import type { Pacing } from '../../core/delivery.ts'

/**
 * Telegram's limits. Sources: core.telegram.org/bots/api#sendmessage (text 1-4096 characters after entities parsing; they
 * are counted in UTF-16 units here, never less than Telegram counts), core.telegram.org/bots/faq (about 30 messages a
 * second over all, one a second in a chat, 20 a minute in a group).
 */
export const LIMITS = {
  text: 4_096,
  /** markup and text together: far over what 4096 characters need, and under the server's own bound for a request */
  html: 32_000,
  storyLines: 5,
  /** ids of replies remembered with an incident */
  replies: 20,
  /** ids tried when a lost message of our own is looked for */
  probes: 30,
} as const

/** One push reply a minute (contract.md, section 8). */
export const PUSH_INTERVAL_MS = 60_000

/** After a request that we gave up on: it may still be worked on over there, so a look for its message waits this long. */
export const SETTLE_MS = 2_000

/** While a token is refused: a new one must deliver what waits, so nothing is given up. */
export const AUTH_RETRY_MS = 60_000

/** Of 20 a minute in a group no minute may see more: 5 at once and one every 4 s after that. */
export const PACING: Pacing = {
  concurrency: 8,
  perTarget: 1,
  lane: { burst: 20, perSecond: 25 },
  target: { burst: 5, perSecond: 0.25 },
  reserve: 0.3,
}
