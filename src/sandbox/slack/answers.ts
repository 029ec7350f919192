import { SLACK_BOT, type SlackMessage, type SlackState } from './state.ts'

export type Params = Record<string, unknown>
export type Reply = { ok: boolean; error?: string; [key: string]: unknown }
export type Method = (state: SlackState, params: Params) => Reply

/** What Slack answers to a call it refuses; the HTTP status stays 200. */
export function fail(error: string, messages: string[] = []): Reply {
  if (messages.length === 0) return { ok: false, error }
  const errors = messages.map((m) => m.replace(/^\[ERROR\] /, ''))
  return { ok: false, error, errors, response_metadata: { messages } }
}

/** Forms carry 'true' and '1', JSON carries true. */
export const truthy = (value: unknown): boolean => value === true || value === 'true' || value === '1' || value === 1

export const TS = /^\d{10}\.\d{6}$/

/** The channel that a call names; a user's id means the direct conversation with them. */
export function channelOf(state: SlackState, value: unknown): string | Reply {
  if (typeof value !== 'string' || value === '') return fail('channel_not_found')
  const id = /^U[A-Z0-9_]+$/.test(value) ? `D${value.slice(1)}` : value
  if (state.channels === null ? !/^[CGD][A-Z0-9_]+$/.test(id) : !state.channels.has(id))
    return fail('channel_not_found')
  return id
}

/** A message as Slack shows it to programs. */
export function show(state: SlackState, m: SlackMessage, withMetadata = true): Record<string, unknown> {
  const thread = m.threadTs === null ? state.replies(m.channel, m.ts) : []
  return {
    type: 'message',
    user: m.user,
    ...(m.own ? { bot_id: SLACK_BOT.bot, app_id: SLACK_BOT.app, team: SLACK_BOT.team } : {}),
    ts: m.ts,
    text: m.text,
    ...(m.blocks ? { blocks: m.blocks } : {}),
    ...(m.attachments ? { attachments: m.attachments } : {}),
    ...(withMetadata && m.metadata ? { metadata: m.metadata } : {}),
    ...(m.threadTs !== null ? { thread_ts: m.threadTs, parent_user_id: state.find(m.channel, m.threadTs)?.user } : {}),
    ...(thread.length > 0 ? { thread_ts: m.ts, reply_count: thread.length, latest_reply: thread.at(-1)?.ts } : {}),
    ...(m.editedAt !== null ? { edited: { user: m.user, ts: `${Math.floor(m.editedAt / 1_000)}.000000` } } : {}),
    ...(m.reactions.length > 0 ? { reactions: m.reactions.map((r) => ({ ...r, count: r.users.length })) } : {}),
  }
}
