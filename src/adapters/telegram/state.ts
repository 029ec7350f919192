import { z } from 'zod'
import type { Json } from '../../core/delivery.ts'
import type { StoryEvent } from '../../core/view.ts'
import { LIMITS } from './limits.ts'

/** What Claw remembers of one incident in one chat. Times are milliseconds since the epoch. */
export type TelegramState = {
  /** where it really is: differs from the settings after a group became a supergroup */
  chat: string
  /** the incident's message; null before it is posted or after somebody deleted it */
  messageId: number | null
  /** the version of the incident that the message shows */
  version: number
  /** newest story event that the message or a reply has told */
  storySeq: number
  lastPushAt: number | null
  lastReplyAt: number | null
  /** ids of our replies, newest last, at most 20 */
  replies: number[]
  /** set before a reply may be sent: the highest id that was known then, where a lost reply is looked for */
  replyAfter: number | null
  /** the newest story event that such a reply tells: a lost one is looked for with the same text */
  replyUpto: number | null
  /** set when the message itself may have been posted without our knowing: the highest id that was known then */
  postAfter: number | null
}

const State = z.object({
  chat: z.string(),
  messageId: z.int().nullable(),
  version: z.number(),
  storySeq: z.number(),
  lastPushAt: z.number().nullable().catch(null),
  lastReplyAt: z.number().nullable().catch(null),
  replies: z.array(z.int()).catch([]),
  replyAfter: z.int().nullable().catch(null),
  replyUpto: z.number().nullable().catch(null),
  postAfter: z.int().nullable().catch(null),
})

/** The stored state, or null where there is none; one of an unknown shape counts as none. */
export function readState(json: Json): TelegramState | null {
  const parsed = State.safeParse(json)
  return parsed.success ? parsed.data : null
}

const Settings = z.object({
  /** numeric id, or the @name of a public group or channel */
  chat: z.union([z.int(), z.string().regex(/^(-?\d{1,20}|@[A-Za-z][A-Za-z0-9_]{3,31})$/)]),
  /** topic of a forum */
  thread: z.int().positive().nullable().optional(),
  /** false: no sound, something else does the waking */
  notify: z.boolean().default(true),
})

export type TelegramSettings = { chat: string; thread: number | null; notify: boolean }

/** The receiver's settings, or null where they make no sense. */
export function readSettings(json: { [key: string]: Json }): TelegramSettings | null {
  const parsed = Settings.safeParse(json)
  if (!parsed.success) return null
  return { chat: String(parsed.data.chat), thread: parsed.data.thread ?? null, notify: parsed.data.notify }
}

export function newestSeq(story: StoryEvent[]): number {
  return story.at(-1)?.seq ?? 0
}

export function withReply(replies: number[], id: number): number[] {
  return [...replies.filter((known) => known !== id), id].slice(-LIMITS.replies)
}
