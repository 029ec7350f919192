import type { Pacing } from '../../core/delivery.ts'

/**
 * Slack's limits, in UTF-16 units of the escaped text where they count characters.
 * Sources: docs.slack.dev/reference/block-kit/blocks (50 blocks a message, section text 3000, context 10 elements),
 * docs.slack.dev/reference/methods/chat.postMessage (text 40 000, of which 4 000 are recommended; about one message a
 * second per channel), docs.slack.dev/apis/web-api/rate-limits (chat.update Tier 3, 50 a minute; conversations.history and
 * .replies Tier 3). That all blocks together may hold about 13 200 characters is undocumented (`msg_blocks_too_long`).
 */
export const LIMITS = {
  blocks: 50,
  sectionText: 3_000,
  /** of all blocks as JSON, the strictest reading */
  allBlocks: 13_000,
  fallbackText: 4_000,
  /** block elements: button (text 75, value 2000), actions (25 elements) */
  buttonText: 75,
  buttonValue: 2_000,
  actionElements: 25,
  /** ours: what all buttons of a message may take of its room */
  allButtons: 5_000,
  /** docs.slack.dev/reference/views: blocks, private_metadata; input: plain_text_input's max_length is ours */
  viewBlocks: 100,
  privateMetadata: 3_000,
  note: 300,
  /** objects a page of history; distributed apps outside the marketplace get 15 whatever they ask for */
  page: 100,
  /** pages looked through for a lost message */
  pages: 10,
} as const

/** One push reply a minute (contract.md, section 8), and the same for lines of the story alone. */
export const REPLY_INTERVAL_MS = 60_000

/**
 * Progress of work on the edge comes in lines of a few seconds each: one edit and one reply for all of them in this time, 12
 * edits a minute of the 50 that chat.update allows, and far below one message a second in the channel.
 */
export const PROGRESS_INTERVAL_MS = 5_000

/**
 * After a request that we gave up on: it may still be worked on over there, so a look for its message waits this long.
 */
export const SETTLE_MS = 2_000

/** While a token is refused: a new one must deliver what waits, so nothing is given up. */
export const AUTH_RETRY_MS = 60_000

/** "Several hundred messages per minute" per workspace; one a second per channel, short bursts allowed (rate-limits). */
export const PACING: Pacing = {
  concurrency: 4,
  perTarget: 1,
  lane: { burst: 20, perSecond: 4 },
  target: { burst: 3, perSecond: 1 },
  reserve: 0.3,
}

/** docs.slack.dev/interactivity/handling-user-interaction: a response URL lives 30 minutes (and has 5 uses) */
export const RESPONSE_URL_MS = 30 * 60_000

/** docs.slack.dev/authentication/verifying-requests-from-slack: "more than five minutes" from local time is a replay */
export const MAX_SKEW_SECONDS = 300

/** docs.slack.dev/interactivity: acknowledge within 3 s; a trigger_id lives as long. Ours leave time for the way. */
export const ACK_MS = 2_500
export const MODAL_MS = 1_800

/** Ours: a second press of the same button by the same person within this is the same press. */
export const DOUBLE_CLICK_MS = 1_000

/** Ours, as an unanswered approval: what a confirmation says may no longer be so. */
export const CONFIRM_MS = 15 * 60_000

/** Ours: a request is read up to this size; Slack's own are below 200 kB. */
export const BODY_LIMIT = 1_000_000
