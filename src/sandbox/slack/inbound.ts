import { createHmac } from 'node:crypto'
import { ClawError } from '../../core/errors.ts'
import { asRecord } from '../front.ts'
import { SLACK_BOT, type SlackAnswer, type SlackMessage, type SlackState } from './state.ts'

export type Inbound = {
  /** Claw's `POST /slack/events` */
  url: string
  /** where the fake itself is reachable, for `response_url`; missing: a URL that nobody serves */
  base?: string
  command?: string
  /** seconds to add to the timestamp, or another secret, to send a stale or forged request */
  skewSeconds?: number
  secret?: string
}

/** Slack's own limits of what people do: a trigger lives 3 s, a response URL 30 min and 5 uses (docs.slack.dev). */
export const TRIGGER_MS = 3_000
export const RESPONSE_URL = { ms: 30 * 60_000, uses: 5 } as const

/** `X-Slack-Signature` of a raw body, version v0 (docs.slack.dev, "Verifying requests from Slack"). */
export function signSlack(secret: string, timestamp: string, body: string): string {
  return `v0=${createHmac('sha256', secret).update(`v0:${timestamp}:${body}`).digest('hex')}`
}

async function post(state: SlackState, body: string, to: Inbound): Promise<SlackAnswer> {
  const timestamp = String(Math.floor(state.clock() / 1_000) + (to.skewSeconds ?? 0))
  const response = await fetch(to.url, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      'x-slack-request-timestamp': timestamp,
      'x-slack-signature': signSlack(to.secret ?? state.signingSecret, timestamp, body),
    },
    body,
  })
  return { status: response.status, body: await response.text() }
}

function handles(state: SlackState, user: string, channel: string, ts: string | null, to: Inbound) {
  const trigger = state.nextId('1.2.trigger')
  state.triggers.set(trigger, { at: state.clock(), user, used: false })
  const id = state.nextId('R')
  state.responseUrls.set(id, { at: state.clock(), uses: 0, channel, user, ts })
  return { trigger_id: trigger, response_url: `${to.base ?? 'http://127.0.0.1:1'}/response/${id}` }
}

export function sendCommand(state: SlackState, user: string, channel: string, text: string, to: Inbound) {
  const form = new URLSearchParams({
    token: 'sandbox',
    team_id: SLACK_BOT.team,
    team_domain: 'sandbox',
    channel_id: channel,
    channel_name: state.channels?.get(channel)?.name ?? channel.toLowerCase(),
    user_id: user,
    user_name: state.users?.get(user)?.name ?? user.toLowerCase(),
    command: to.command ?? '/claw',
    text,
    api_app_id: SLACK_BOT.app,
    is_enterprise_install: 'false',
    ...handles(state, user, channel, null, to),
  })
  return post(state, form.toString(), to)
}

export async function sendClick(
  state: SlackState,
  user: string,
  message: SlackMessage,
  actionId: string,
  to: Inbound,
): Promise<SlackAnswer> {
  for (const [i, block] of (message.blocks ?? []).entries()) {
    const b = asRecord(block)
    const elements = [b?.elements, b?.accessory].flat().map(asRecord)
    const element = elements.find((e) => e?.action_id === actionId)
    if (!element) continue
    const action = { ...element, block_id: b?.block_id ?? `b${i}`, action_ts: String(state.clock() / 1_000) }
    const payload = {
      type: 'block_actions',
      user: { id: user, username: state.users?.get(user)?.name ?? user.toLowerCase(), team_id: SLACK_BOT.team },
      api_app_id: SLACK_BOT.app,
      token: 'sandbox',
      container: { type: 'message', message_ts: message.ts, channel_id: message.channel, is_ephemeral: false },
      team: { id: SLACK_BOT.team, domain: 'sandbox' },
      enterprise: null,
      is_enterprise_install: false,
      channel: { id: message.channel, name: message.channel.toLowerCase() },
      message: { type: 'message', user: message.user, ts: message.ts, text: message.text, blocks: message.blocks },
      actions: [action],
      ...handles(state, user, message.channel, message.ts, to),
    }
    return post(state, new URLSearchParams({ payload: JSON.stringify(payload) }).toString(), to)
  }
  throw new ClawError('not_found', `message ${message.ts} has no element with the action_id ${actionId}`)
}
