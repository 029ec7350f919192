import { channelOf, fail, type Method, type Params, type Reply, show, TS, truthy } from './answers.ts'
import type { SlackMessage, SlackState } from './state.ts'

const micros = (ts: string): number => Number(ts.replace('.', ''))

/** Timestamps in queries may be short (`0`, `1700000000`); NaN when they are none. */
function bound(value: unknown, otherwise: number): number {
  if (value === undefined || value === '') return otherwise
  const text = String(value)
  return /^\d+(\.\d{1,6})?$/.test(text) ? Math.round(Number(text) * 1_000_000) : Number.NaN
}

/** A page of messages, already in the order of the answer. Limits: docs.slack.dev, conversations.history (1 to 999). */
function page(state: SlackState, list: SlackMessage[], params: Params, defaultLimit: number): Reply {
  const oldest = bound(params.oldest, 0)
  const latest = bound(params.latest, Number.POSITIVE_INFINITY)
  if (Number.isNaN(oldest)) return fail('invalid_ts_oldest')
  if (Number.isNaN(latest)) return fail('invalid_ts_latest')
  const inclusive = truthy(params.inclusive)
  const within = list.filter((m) => {
    const ts = micros(m.ts)
    return inclusive ? ts >= oldest && ts <= latest : ts > oldest && ts < latest
  })
  const asked = params.limit === undefined || params.limit === '' ? defaultLimit : Number(params.limit)
  if (!Number.isInteger(asked) || asked < 0) return fail('invalid_limit')
  const limit = Math.min(asked === 0 ? defaultLimit : asked, 999)
  let from = 0
  if (typeof params.cursor === 'string' && params.cursor !== '') {
    const ts = /^next_ts:(\d{10}\.\d{6})$/.exec(Buffer.from(params.cursor, 'base64').toString())?.[1]
    from = ts === undefined ? -1 : within.findIndex((m) => m.ts === ts)
    if (from === -1) return fail('invalid_cursor')
  }
  const next = within[from + limit]
  const metadata = truthy(params.include_all_metadata)
  return {
    ok: true,
    messages: within.slice(from, from + limit).map((m) => show(state, m, metadata)),
    has_more: next !== undefined,
    ...(next ? { response_metadata: { next_cursor: Buffer.from(`next_ts:${next.ts}`).toString('base64') } } : {}),
  }
}

/** conversations.history: newest first, without replies unless they were broadcast. */
export const history: Method = (state, params) => {
  const channel = channelOf(state, params.channel)
  if (typeof channel !== 'string') return channel
  if (state.channels?.get(channel)?.member === false) return fail('not_in_channel')
  const list = state.inChannel(channel).filter((m) => m.threadTs === null || m.broadcast)
  return page(state, list.reverse(), params, 100)
}

/** conversations.replies: the parent first, then its replies, oldest first. */
export const replies: Method = (state, params) => {
  const channel = channelOf(state, params.channel)
  if (typeof channel !== 'string') return channel
  const found = typeof params.ts === 'string' && TS.test(params.ts) ? state.find(channel, params.ts) : null
  if (found === null) return fail('thread_not_found')
  const parent = found.threadTs === null ? found : state.find(channel, found.threadTs)
  if (parent === null) return fail('thread_not_found')
  return page(state, [parent, ...state.replies(channel, parent.ts)], params, 999)
}
