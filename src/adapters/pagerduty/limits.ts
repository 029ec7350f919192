import type { Pacing } from '../../core/delivery.ts'

/** What PagerDuty's Events API v2 takes, each with its source. Lengths are in UTF-16 units, the strictest reading. */
export const LIMITS = {
  /** "Send an Alert Event": summary, maximum permitted length 1024 characters */
  summary: 1_024,
  /** "Send an Alert Event": dedup_key, maximum permitted length 255 characters */
  dedupKey: 255,
  /** "Events API v2 Overview", size limits: an event of more than 512 KB is answered 400 */
  eventBytes: 512 * 1_024,
  /** ours: no platform limit, but nobody reads more on a phone */
  source: 255,
  field: 1_024,
  labels: 64,
  labelValue: 4_096,
  description: 100_000,
} as const

/**
 * "Events API v2 Overview", rate limits: about 120 events a minute per integration key. The order of events within one
 * incident is kept by the lane, so several incidents may be under way at once.
 */
export const PACING: Pacing = {
  concurrency: 8,
  perTarget: 4,
  lane: null,
  target: { burst: 60, perSecond: 2 },
  reserve: 0.3,
}

/** "Events API v2 Overview": 429 comes without a promise of when; Retry-After is honoured where it is sent. */
export const RATE_LIMIT_PAUSE_MS = 10_000

/** A refused key or a wrong address is mended by a person; ask again once a minute instead of losing the page. */
export const REFUSED_PAUSE_MS = 60_000

/** REST API v2. "REST API Rate Limits": 960 requests a minute per token; what polls stays at a quarter of it. */
export const REST_LIMITS = {
  requestsPerMinute: 960,
  /** ours: "Create a note on an incident" documents 25 000 characters, nobody reads more than this */
  note: 2_000,
} as const
