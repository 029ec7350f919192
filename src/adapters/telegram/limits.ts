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
  /** of one silent reply, ours; the rest stands in the story */
  progressLines: 12,
  /** ids of replies remembered with an incident */
  replies: 20,
  /** ids tried when a lost message of our own is looked for */
  probes: 30,
  /** core.telegram.org/bots/api#inlinekeyboardbutton: callback_data 1-64 bytes */
  callbackBytes: 64,
  /** ours: labels on a phone, two in a row; far under the 100 and 8 that the server takes */
  buttonText: 40,
  perRow: 2,
  buttons: 20,
  /** messages that one answer may take; ours */
  parts: 8,
  /** characters of one cell of a table, ours: a phone shows about 40 in a row */
  cell: 60,
  /** updates of one getUpdates, and how long it waits in seconds (core.telegram.org/bots/api#getupdates: 1-100) */
  updates: 100,
  pollSeconds: 25,
  /** core.telegram.org/bots/api#setmycommands and #botcommand */
  commands: 100,
  commandName: 32,
  commandDescription: 256,
} as const

/** One push reply a minute (contract.md, section 8). */
export const PUSH_INTERVAL_MS = 60_000

/**
 * Progress of work on the edge: one edit and one silent reply for all lines of this time. Twelve requests a minute of the 20
 * that a group takes.
 */
export const PROGRESS_INTERVAL_MS = 10_000

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

/** getUpdates: how long its answer may take beyond the wait itself. */
export const POLL_GRACE_MS = 10_000

/** Back-off of polling and of the set-up, first and longest (contract.md, section 8: at most 30 s). */
export const BACK_OFF = { firstMs: 1_000, maxMs: 30_000 } as const

/** Another program polls with the same token: taking it in turns would lose nothing, and help nobody. */
export const CONFLICT_MS = 10_000

/** While another replica polls: how often to ask whether it is our turn. */
export const STANDBY_MS = 2_000

/**
 * After a week without updates their ids start anew at random (core.telegram.org/bots/api#update), and an offset over them
 * would throw them away unseen. So an offset this old is not sent.
 */
export const OFFSET_LIFE_MS = 5 * 24 * 3_600_000

/** The same trouble is said again in the log after this. */
export const SAY_AGAIN_MS = 15 * 60_000
