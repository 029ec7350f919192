import { webApi } from '@slack/bolt'
import { z } from 'zod'
import { LIMITS } from './limits.ts'
import type { Message } from './message.ts'

/** The few calls that a destination needs. All of them throw what `judge` understands. */
export type Slack = {
  post(to: { channel: string; thread: string | null }, message: Message, metadata: Metadata): Promise<string>
  update(at: { channel: string; ts: string }, message: Message, metadata: Metadata): Promise<void>
  /** newest first; null when Slack does not let us look */
  history(channel: string, oldestMs: number): AsyncGenerator<Found>
  replies(channel: string, ts: string, oldestMs: number): AsyncGenerator<Found>
  /** a message that nobody needs to find again */
  say(to: { channel: string; thread: string | null }, message: Message): Promise<void>
  /** seen by one person only */
  whisper(to: { channel: string; thread: string | null; user: string }, message: Message): Promise<void>
  openView(trigger: string, view: View): Promise<void>
  publishHome(user: string, view: View): Promise<void>
}

/** A modal or App Home, as `views.open` and `views.publish` take it. */
export type View = { type: 'modal' | 'home'; blocks: unknown[]; [key: string]: unknown }

/** Lets Claw find its own messages again: all values are flat, as Slack wants them. */
export type Metadata = {
  installation: string
  incident: string
  /** the incident's version that a top-level message shows */
  version?: number
  /** newest story event that is told */
  upto: number
  part: 'message' | 'story'
}

export type Found = { ts: string; metadata: Metadata }

export const EVENT_TYPE = 'claw_incident'

const Posted = z.object({ ts: z.string().min(1) })
const Page = z.object({
  messages: z.array(
    z.object({
      ts: z.string(),
      metadata: z
        .object({ event_type: z.string(), event_payload: z.record(z.string(), z.unknown()) })
        .optional()
        .catch(undefined),
    }),
  ),
  has_more: z.boolean().optional(),
  response_metadata: z.object({ next_cursor: z.string().optional() }).optional(),
})
const Payload = z.object({
  installation: z.string(),
  incident: z.string(),
  version: z.number().optional(),
  upto: z.number(),
  part: z.enum(['message', 'story']),
})

export type ClientOptions = { token: string; apiUrl: string; timeoutMs: number }

/**
 * A client whose requests end with `signal` or after the time-out. Bolt's client cannot be aborted, so each step takes
 * one of its own (0.1 ms) over a fetch that knows the signal. No retries, no waiting inside: lanes do both.
 */
export function createClient(options: ClientOptions, signal: AbortSignal): Slack {
  const web = new webApi.WebClient(options.token, {
    slackApiUrl: options.apiUrl.endsWith('/') ? options.apiUrl : `${options.apiUrl}/`,
    retryConfig: { retries: 0 },
    rejectRateLimitedCalls: true,
    timeout: options.timeoutMs,
    allowAbsoluteUrls: false,
    logger: SILENT,
    fetch: (url, init) =>
      fetch(url, { ...init, signal: init?.signal ? AbortSignal.any([signal, init.signal]) : signal } as RequestInit),
  })

  async function* pages(method: string, args: { [key: string]: unknown }): AsyncGenerator<Found> {
    let cursor: string | undefined
    for (let page = 0; page < LIMITS.pages; page++) {
      const answer = Page.parse(
        await web.apiCall(method, {
          ...args,
          limit: LIMITS.page,
          include_all_metadata: true,
          ...(cursor ? { cursor } : {}),
        }),
      )
      for (const { ts, metadata } of answer.messages) {
        const payload = metadata?.event_type === EVENT_TYPE ? Payload.safeParse(metadata.event_payload) : null
        if (payload?.success) yield { ts, metadata: payload.data as Metadata }
      }
      cursor = answer.response_metadata?.next_cursor || undefined
      if (cursor === undefined) return
    }
  }

  return {
    async post({ channel, thread }, message, metadata) {
      const answer = await withPlainText(message, (content) =>
        web.apiCall('chat.postMessage', {
          channel,
          ...(thread === null ? {} : { thread_ts: thread }),
          ...content,
          metadata: { event_type: EVENT_TYPE, event_payload: metadata },
          unfurl_links: false,
          unfurl_media: false,
        }),
      )
      return Posted.parse(answer).ts
    },
    async update({ channel, ts }, message, metadata) {
      await withPlainText(message, (content) =>
        web.apiCall('chat.update', {
          channel,
          ts,
          ...content,
          metadata: { event_type: EVENT_TYPE, event_payload: metadata },
        }),
      )
    },
    async say({ channel, thread }, message) {
      await withPlainText(message, (content) =>
        web.apiCall('chat.postMessage', {
          channel,
          ...(thread === null ? {} : { thread_ts: thread }),
          ...content,
          unfurl_links: false,
          unfurl_media: false,
        }),
      )
    },
    async whisper({ channel, thread, user }, message) {
      await withPlainText(message, (content) =>
        web.apiCall('chat.postEphemeral', {
          channel,
          user,
          ...(thread === null ? {} : { thread_ts: thread }),
          ...content,
        }),
      )
    },
    async openView(trigger, view) {
      await web.apiCall('views.open', { trigger_id: trigger, view })
    },
    async publishHome(user, view) {
      await web.apiCall('views.publish', { user_id: user, view })
    },
    history: (channel, oldestMs) => pages('conversations.history', { channel, oldest: seconds(oldestMs) }),
    replies: (channel, ts, oldestMs) => pages('conversations.replies', { channel, ts, oldest: seconds(oldestMs) }),
  }
}

/** Blocks that Slack refuses did nothing, so the same words are sent as text alone: never drop a message over its looks. */
async function withPlainText<T>(
  message: Message,
  call: (content: { [key: string]: unknown }) => Promise<T>,
): Promise<T> {
  try {
    return await call({ text: message.text, blocks: message.blocks })
  } catch (error) {
    if (!isUnfit(error)) throw error
    return await call({ text: message.plain, blocks: [] })
  }
}

function isUnfit(error: unknown): boolean {
  if (error instanceof webApi.WebAPIHTTPError) return error.statusCode === 413
  return (
    error instanceof webApi.WebAPIPlatformError && /^(invalid_blocks|msg_|too_many_)/.test(String(error.data.error))
  )
}

function seconds(ms: number): string {
  return (Math.max(0, ms) / 1_000).toFixed(6)
}

/** What web-api has to say goes out as an outcome; its debug lines would hold whole messages. */
export const SILENT: webApi.Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  setLevel() {},
  getLevel: () => webApi.LogLevel.ERROR,
  setName() {},
}
