import { z } from 'zod'
import type { Json } from '../../core/delivery.ts'
import type { StoryEvent } from '../../core/view.ts'

/** What Claw remembers of one incident in one channel. Times are milliseconds since the epoch. */
export type SlackState = {
  channel: string
  /** the top-level message; null before it is posted or after somebody deleted it */
  ts: string | null
  /** the version of the incident that the message shows */
  version: number
  /** newest story event that a message or reply has told */
  storySeq: number
  /** newest story event there was when the message was posted: nobody is mentioned again for those */
  told: number
  lastPushAt: number | null
  lastReplyAt: number | null
}

const State = z.object({
  channel: z.string(),
  ts: z.string().nullable(),
  version: z.number(),
  storySeq: z.number(),
  told: z.number().catch(0),
  lastPushAt: z.number().nullable().catch(null),
  lastReplyAt: z.number().nullable().catch(null),
})

/** The stored state, or null where there is none; one of an unknown shape counts as none. */
export function readState(json: Json): SlackState | null {
  const parsed = State.safeParse(json)
  return parsed.success ? parsed.data : null
}

const Settings = z.object({
  /** channel id, e.g. C0CRITICAL */
  channel: z.string().min(1).max(100),
  /** whom a P1 mentions: a group, a person, or those present */
  mention: z
    .string()
    .regex(/^<(?:!subteam\^[A-Z0-9]{1,30}|@[UW][A-Z0-9]{1,30}|!here|!channel)>$/)
    .optional(),
  /** false: mention nobody, something else does the waking */
  notify: z.boolean().default(true),
})

export type SlackSettings = { channel: string; mention: string | null }

/** The receiver's settings, or null where they make no sense. */
export function readSettings(json: { [key: string]: Json }): SlackSettings | null {
  const parsed = Settings.safeParse(json)
  if (!parsed.success) return null
  const { channel, mention, notify } = parsed.data
  return { channel, mention: notify ? (mention ?? null) : null }
}

/** What the top-level message itself tells: the opening, and all that happened in the same instant. */
export function openingSeq(story: StoryEvent[]): number {
  const [first] = story
  if (first?.kind !== 'opened') return (first?.seq ?? 1) - 1
  return story.findLast((event) => event.at === first.at)?.seq ?? first.seq
}

export function newestSeq(story: StoryEvent[]): number {
  return story.at(-1)?.seq ?? 0
}
