import { z } from 'zod'

/** What Slack sends, as far as Claw reads it. Source: docs.slack.dev, slash commands; interaction payloads; Events API. */
const id = z.string().min(1).max(300)
const url = z
  .url({ protocol: /^https?$/ })
  .max(2_000)
  .nullable()
  .catch(null)

export const SlashPayload = z.object({
  trigger_id: id,
  user_id: id,
  channel_id: id,
  text: z.string().catch(''),
  response_url: url,
})

export const ClickPayload = z.object({
  trigger_id: id,
  user: z.object({ id }),
  channel: z.object({ id }).nullable().catch(null),
  container: z
    .object({
      message_ts: z.string().optional(),
      thread_ts: z.string().optional(),
      view_id: z.string().optional(),
    })
    .catch({}),
  message: z.object({ ts: z.string().optional(), thread_ts: z.string().optional() }).optional().catch(undefined),
  response_url: url,
  actions: z
    .array(z.object({ action_id: z.string(), value: z.string().catch(''), action_ts: z.string().catch('') }))
    .min(1),
})

export const SubmissionPayload = z.object({
  user: z.object({ id }),
  view: z.object({
    id,
    hash: z.string().catch(''),
    private_metadata: z.string(),
    blocks: z.array(z.unknown()).catch([]),
    state: z
      .object({ values: z.record(z.string(), z.record(z.string(), z.object({ value: z.string().nullish() }))) })
      .catch({ values: {} }),
  }),
})

export const HomePayload = z.object({ event: z.object({ user: id, tab: z.string().catch('home') }) })

export const MentionPayload = z.object({
  event_id: id,
  event: z.object({
    user: id,
    channel: id,
    text: z.string(),
    ts: id,
    thread_ts: z.string().optional(),
    bot_id: z.string().optional(),
  }),
})

export type Slash = z.infer<typeof SlashPayload>
export type Click = z.infer<typeof ClickPayload>
export type Submission = z.infer<typeof SubmissionPayload>
export type Mention = z.infer<typeof MentionPayload>

/** The incident that a button's command names, e.g. 12 of `ack 12`; null for none. */
export function incidentOf(command: string): number | null {
  const found = /^\s*[a-z]+\s+#?(\d{1,15})(?!\S)/i.exec(command)?.[1]
  return found === undefined ? null : Number(found)
}
