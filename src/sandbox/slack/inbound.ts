import { createHmac } from 'node:crypto'
import { ClawError } from '../../core/errors.ts'
import { asRecord } from '../front.ts'
import type { Envelope } from './socketmode.ts'
import {
  SLACK_BOT,
  type SlackAnswer,
  type SlackEphemeral,
  type SlackMessage,
  type SlackResponse,
  type SlackState,
  type SlackView,
} from './state.ts'

export type Inbound = {
  /** Claw's `POST /slack/events`; null: over the Socket Mode connection that Claw holds */
  url: string | null
  /** where the fake itself is reachable, for `response_url`; missing: a URL that nobody serves */
  base?: string
  command?: string
  /** seconds to add to the timestamp, or another secret, to send a stale or forged request */
  skewSeconds?: number
  secret?: string
}

/** What a person can press a button of. */
export type Shown = SlackMessage | SlackEphemeral | SlackResponse | SlackView

/** One thing a person did, as Slack passes it on; kept so that it can be sent again. */
export type Sent = {
  kind: Envelope['type']
  payload: Record<string, unknown>
  to: Inbound
  headers: Record<string, string>
}

/** Slack's own limits of what people do: a trigger lives 3 s, a response URL 30 min and 5 uses (docs.slack.dev). */
export const TRIGGER_MS = 3_000
export const RESPONSE_URL = { ms: 30 * 60_000, uses: 5 } as const

/** `X-Slack-Signature` of a raw body, version v0 (docs.slack.dev, "Verifying requests from Slack"). */
export function signSlack(secret: string, timestamp: string, body: string): string {
  return `v0=${createHmac('sha256', secret).update(`v0:${timestamp}:${body}`).digest('hex')}`
}

function bodyOf({ kind, payload }: Pick<Sent, 'kind' | 'payload'>): { body: string; type: string } {
  const form = 'application/x-www-form-urlencoded'
  if (kind === 'events_api') return { body: JSON.stringify(payload), type: 'application/json' }
  if (kind === 'interactive')
    return { body: new URLSearchParams({ payload: JSON.stringify(payload) }).toString(), type: form }
  return { body: new URLSearchParams(payload as Record<string, string>).toString(), type: form }
}

async function send(
  state: SlackState,
  kind: Sent['kind'],
  payload: Record<string, unknown>,
  to: Inbound,
): Promise<SlackAnswer> {
  const timestamp = String(Math.floor(state.clock() / 1_000) + (to.skewSeconds ?? 0))
  const { body, type } = bodyOf({ kind, payload })
  const headers = {
    'content-type': type,
    'x-slack-request-timestamp': timestamp,
    'x-slack-signature': signSlack(to.secret ?? state.signingSecret, timestamp, body),
  }
  state.lastSent = { kind, payload, to, headers }
  return pass(state, state.lastSent)
}

async function pass(state: SlackState, { kind, payload, to, headers }: Sent, retry = 0): Promise<SlackAnswer> {
  if (to.url === null) return state.sockets.send({ type: kind, payload, retry })
  const again = retry > 0 ? { 'x-slack-retry-num': String(retry), 'x-slack-retry-reason': 'http_timeout' } : {}
  const { body } = bodyOf({ kind, payload })
  const response = await fetch(to.url, { method: 'POST', headers: { ...headers, ...again }, body })
  return { status: response.status, body: await response.text() }
}

/** The same request once more: as somebody replays it (`retry` 0), or as Slack retries it (signed anew, numbered). */
export function sendAgain(state: SlackState, retry: number): Promise<SlackAnswer> {
  const { lastSent: sent } = state
  if (sent === null) throw new ClawError('conflict', 'nothing was sent yet')
  if (retry === 0) return pass(state, sent)
  const timestamp = String(Math.floor(state.clock() / 1_000))
  const signature = signSlack(sent.to.secret ?? state.signingSecret, timestamp, bodyOf(sent).body)
  const headers = { ...sent.headers, 'x-slack-request-timestamp': timestamp, 'x-slack-signature': signature }
  return pass(state, { ...sent, headers }, retry)
}

function triggerOf(state: SlackState, user: string): { trigger_id: string } {
  const trigger = state.nextId('1.2.trigger')
  state.triggers.set(trigger, { at: state.clock(), user, used: false })
  return { trigger_id: trigger }
}

function handles(state: SlackState, user: string, channel: string, ts: string | null, to: Inbound) {
  const id = state.nextId('R')
  state.responseUrls.set(id, { at: state.clock(), uses: 0, channel, user, ts })
  return { ...triggerOf(state, user), response_url: `${to.base ?? 'http://127.0.0.1:1'}/response/${id}` }
}

const person = (state: SlackState, user: string) => ({
  id: user,
  username: state.users?.get(user)?.name ?? user.toLowerCase(),
  team_id: SLACK_BOT.team,
})

// A function: this module and the state's import each other.
const envelope = () => ({ api_app_id: SLACK_BOT.app, token: 'sandbox', enterprise: null, is_enterprise_install: false })

export function sendCommand(state: SlackState, user: string, channel: string, text: string, to: Inbound) {
  const form = {
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
  }
  return send(state, 'slash_commands', form, to)
}

export async function sendClick(
  state: SlackState,
  user: string,
  shown: Shown,
  actionId: string,
  to: Inbound,
): Promise<SlackAnswer> {
  const blocks = ('view' in shown ? shown.view.blocks : shown.blocks) as unknown[] | null | undefined
  for (const [i, block] of (blocks ?? []).entries()) {
    const b = asRecord(block)
    const elements = [b?.elements, b?.accessory].flat().map(asRecord)
    const element = elements.find((e) => e?.action_id === actionId)
    if (!element) continue
    const action = { ...element, block_id: b?.block_id ?? `b${i}`, action_ts: String(state.clock() / 1_000) }
    const payload = {
      type: 'block_actions',
      user: person(state, user),
      ...envelope(),
      team: { id: SLACK_BOT.team, domain: 'sandbox' },
      ...placeOf(state, user, shown, to),
      actions: [action],
    }
    return send(state, 'interactive', payload, to)
  }
  const name = 'view' in shown ? `view ${shown.id}` : `message ${shown.ts}`
  throw new ClawError('not_found', `${name} has no element with the action_id ${actionId}`)
}

/** Where a button was pressed: a message, one that only its reader sees (Slack then sends no `message`), or a view. */
function placeOf(state: SlackState, user: string, shown: Shown, to: Inbound): Record<string, unknown> {
  if ('view' in shown) {
    const view = { ...shown.view, id: shown.id, hash: shown.hash }
    return { container: { type: 'view', view_id: shown.id }, view, ...triggerOf(state, user) }
  }
  const { channel, ts } = shown
  const own = 'own' in shown ? shown : null
  const thread = own?.threadTs ?? null
  const threaded = thread === null ? {} : { thread_ts: thread }
  return {
    container: { type: 'message', message_ts: ts, channel_id: channel, is_ephemeral: own === null, ...threaded },
    channel: { id: channel, name: channel.toLowerCase() },
    ...(own === null
      ? {}
      : { message: { type: 'message', user: own.user, ts, text: own.text, blocks: own.blocks, ...threaded } }),
    ...handles(state, user, channel, ts, to),
  }
}

/** Presses a modal's submit button; `values` by block_id and action_id. Slack's `response_action` is obeyed. */
export async function sendSubmit(
  state: SlackState,
  user: string,
  view: SlackView,
  values: Record<string, Record<string, string>>,
  to: Inbound,
): Promise<SlackAnswer> {
  if (!view.open || view.view.submit === undefined)
    throw new ClawError('conflict', `view ${view.id} cannot be submitted`)
  const entries = Object.entries(values).map(([block, fields]) => [
    block,
    Object.fromEntries(Object.entries(fields).map(([id, value]) => [id, { type: 'plain_text_input', value }])),
  ])
  const payload = {
    type: 'view_submission',
    user: person(state, user),
    ...envelope(),
    team: { id: SLACK_BOT.team, domain: 'sandbox' },
    ...triggerOf(state, user),
    view: { ...view.view, id: view.id, hash: view.hash, state: { values: Object.fromEntries(entries) } },
    response_urls: [],
  }
  const answer = await send(state, 'interactive', payload, to)
  if (answer.status === 200) state.afterSubmit(view, answer.body)
  return answer
}

/** An event of the Events API, e.g. `app_home_opened`. */
export function sendEvent(state: SlackState, event: Record<string, unknown>, to: Inbound): Promise<SlackAnswer> {
  const payload = {
    token: 'sandbox',
    team_id: SLACK_BOT.team,
    api_app_id: SLACK_BOT.app,
    type: 'event_callback',
    event_id: state.nextId('Ev'),
    event_time: Math.floor(state.clock() / 1_000),
    authorizations: [{ team_id: SLACK_BOT.team, user_id: SLACK_BOT.user, is_bot: true, is_enterprise_install: false }],
    event,
  }
  return send(state, 'events_api', payload, to)
}
