import { webApi } from '@slack/bolt'
import { AUTH_RETRY_MS, SETTLE_MS } from './limits.ts'

/** What a failed call means. Reasons are our own words plus Slack's error name: nothing an answer holds is passed on. */
export type Failure =
  | { kind: 'retry'; reason: string; retryAfterMs: number | null; inDoubt: boolean; scope: 'target' | 'lane' }
  | { kind: 'dead'; reason: string }
  /** the message (or thread) is not there any more */
  | { kind: 'gone'; reason: string }
  /** the message may not be edited (any more) */
  | { kind: 'frozen'; reason: string }
  /** Slack dislikes the blocks; plain text may pass */
  | { kind: 'unfit'; reason: string }

type Meaning = 'dead' | 'auth' | 'busy' | 'doubt' | 'gone' | 'frozen' | 'unfit'

/**
 * Slack's error names that mean something to us, and what to do about those that need a person. Source:
 * docs.slack.dev/reference/methods/chat.postMessage, .../chat.postEphemeral, .../chat.update, .../views.open,
 * .../conversations.history (tables of errors).
 * `fatal_error` and `internal_error`: "some aspect of the operation may have succeeded".
 */
const MEANINGS: Readonly<Record<string, readonly [Meaning, string]>> = {
  channel_not_found: ['dead', 'check the channel id, and invite the bot to a private channel: /invite @claw'],
  not_in_channel: ['dead', 'invite the bot to the channel: /invite @claw'],
  is_archived: ['dead', 'the channel is archived: unarchive it or name another one'],
  is_inactive: ['dead', 'the channel is frozen: name another one'],
  restricted_action: ['dead', 'posting in this channel is restricted: allow the bot to post'],
  restricted_action_read_only_channel: ['dead', 'the channel is read-only: allow the bot to post'],
  restricted_action_thread_locked: ['dead', 'the thread is locked: unlock it'],
  restricted_action_thread_only_channel: ['dead', 'the channel takes replies only: name another one'],
  restricted_action_non_threadable_channel: ['dead', 'the channel takes no replies: name another one'],
  messages_tab_disabled: ['dead', 'the app takes no direct messages: name a channel'],
  team_access_not_granted: ['dead', 'the app is not installed in that workspace: install it'],
  ekm_access_denied: ['dead', 'an administrator has suspended access to the channel'],
  cannot_reply_to_message: ['dead', 'the message takes no replies'],
  user_not_in_channel: ['dead', 'the person is not in the channel'],
  user_not_found: ['dead', 'Slack does not know the person'],
  expired_trigger_id: ['dead', 'the press is more than 3 s old'],
  exchanged_trigger_id: ['dead', 'the press was used already'],
  invalid_trigger_id: ['dead', 'Slack does not know the press'],
  no_text: ['dead', 'the message was empty: check the templates'],
  invalid_arguments: ['dead', 'Slack does not understand the request: check the channel id'],
  invalid_thread_ts: ['dead', 'the thread does not exist'],
  invalid_metadata_schema: ['dead', 'the metadata is malformed'],
  metadata_too_large: ['dead', 'the metadata is too large'],
  invalid_metadata_format: ['dead', 'the metadata is malformed'],
  invalid_auth: ['auth', 'the token is not valid: check slack.bot_token'],
  not_authed: ['auth', 'no token was sent: check slack.bot_token'],
  token_revoked: ['auth', 'the token was revoked: install the app again and set slack.bot_token'],
  token_expired: ['auth', 'the token has expired: set a new slack.bot_token'],
  account_inactive: ['auth', 'the app was removed from the workspace: install it again and set slack.bot_token'],
  missing_scope: [
    'auth',
    'the app lacks a scope: compare its scopes with deploy/slack/manifest.yaml, and install it again',
  ],
  not_allowed_token_type: ['auth', 'slack.bot_token must be a bot token (xoxb-…)'],
  no_permission: ['auth', 'the app lacks a permission: check its scopes'],
  access_denied: ['auth', 'access is denied: check the app in the workspace'],
  org_login_required: ['auth', 'the workspace is being moved: try again later'],
  ratelimited: ['busy', 'too many requests'],
  rate_limited: ['busy', 'too many requests'],
  message_limit_exceeded: ['busy', 'the workspace sends too many messages'],
  accesslimited: ['busy', 'access is limited for the moment'],
  service_unavailable: ['busy', 'the service is unavailable'],
  request_timeout: ['busy', 'the request arrived cut off'],
  team_added_to_org: ['busy', 'the workspace is being moved'],
  external_channel_migrating: ['busy', 'the channel is being moved'],
  internal_error: ['doubt', 'an error inside Slack'],
  fatal_error: ['doubt', 'an error inside Slack'],
  message_not_found: ['gone', 'somebody deleted the message'],
  thread_not_found: ['gone', 'somebody deleted the message'],
  cant_update_message: ['gone', 'the message is not ours to edit'],
  edit_window_closed: ['frozen', 'the workspace forbids to edit messages this old'],
  invalid_blocks: ['unfit', 'the blocks are invalid: check the templates'],
  invalid_blocks_format: ['unfit', 'the blocks are invalid: check the templates'],
  msg_blocks_too_long: ['unfit', 'the blocks are too long: shorten the templates'],
  msg_too_long: ['unfit', 'the text is too long: shorten the templates'],
  too_many_attachments: ['unfit', 'too many attachments: check the templates'],
}

/** Failures before anything was sent: the request cannot have taken effect. */
const NOT_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
  'CERT_HAS_EXPIRED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
])

/** The one place where a failed call of Slack's Web API is judged. Never throws. */
export function judge(error: unknown): Failure {
  if (error instanceof webApi.WebAPIRateLimitedError) return limited(error.retryAfter * 1_000)
  if (error instanceof webApi.WebAPIHTTPError) return judgeStatus(error.statusCode)
  if (error instanceof webApi.WebAPIPlatformError) return judgeName(error.data)
  if (error instanceof webApi.WebAPIRequestError) return judgeNetwork(error.original)
  if (error instanceof Error && error.name === 'ZodError') return doubt('Slack gave an answer of an unknown form')
  // web-api throws a bare error for a 429 without a usable Retry-After.
  if (error instanceof Error && error.message.startsWith('Retry header did not')) return limited(null)
  return judgeNetwork(error)
}

function judgeName(data: { error?: unknown; response_metadata?: { retryAfter?: number } }): Failure {
  const name = data.error
  // A 200 that is no JSON becomes an "error" that is the page itself: some proxy answered.
  if (typeof name !== 'string' || !/^[a-z][a-z0-9_]{0,79}$/.test(name))
    return doubt('Slack answered with something that is not its API; check slack.api_url and proxies')
  const known = MEANINGS[name]
  if (known === undefined) return retry(`Slack refused: ${name}`)
  const [meaning, advice] = known
  const reason = `Slack refused: ${name}, ${advice}`
  switch (meaning) {
    case 'auth':
      return { kind: 'retry', reason, retryAfterMs: AUTH_RETRY_MS, inDoubt: false, scope: 'lane' }
    case 'busy': {
      if (name.endsWith('limited') || name === 'message_limit_exceeded') {
        const seconds = data.response_metadata?.retryAfter
        return limited(seconds === undefined ? null : seconds * 1_000)
      }
      return retry(reason)
    }
    case 'doubt':
      return doubt(reason)
    default:
      return { kind: meaning, reason }
  }
}

function judgeStatus(status: number): Failure {
  if (status >= 500 || status === 408) return doubt(`Slack answered HTTP ${status}`)
  if (status === 413) return { kind: 'unfit', reason: 'Slack answered HTTP 413: the message is too large' }
  // Not Slack's way of refusing: a proxy, or a wrong address, which somebody will put right.
  const reason = `Slack's address answered HTTP ${status}; check slack.api_url and proxies`
  return { kind: 'retry', reason, retryAfterMs: AUTH_RETRY_MS, inDoubt: false, scope: 'lane' }
}

function judgeNetwork(error: unknown): Failure {
  const name = error instanceof Error ? error.name : ''
  if (name === 'TimeoutError' || name === 'AbortError')
    return { ...doubt('Slack did not answer in time'), retryAfterMs: SETTLE_MS }
  const code = codeOf(error)
  if (code !== null && NOT_SENT.has(code)) return retry(`Slack cannot be reached: ${code}`)
  return doubt(`The connection to Slack broke${code === null ? '' : `: ${code}`}`)
}

/** The system's error code at the bottom of a chain of causes, or null; never a text. */
function codeOf(error: unknown): string | null {
  let current = error
  for (let depth = 0; depth < 5 && typeof current === 'object' && current !== null; depth++) {
    const { code, cause, errors } = current as { code?: unknown; cause?: unknown; errors?: unknown }
    if (typeof code === 'string' && /^[A-Z][A-Z0-9_]{2,60}$/.test(code)) return code
    current = cause ?? (Array.isArray(errors) ? errors[0] : null)
  }
  return null
}

function limited(retryAfterMs: number | null): Failure {
  return { kind: 'retry', reason: 'Slack limits the rate', retryAfterMs, inDoubt: false, scope: 'lane' }
}

function retry(reason: string): Failure {
  return { kind: 'retry', reason, retryAfterMs: null, inDoubt: false, scope: 'target' }
}

function doubt(reason: string): Failure & { kind: 'retry' } {
  return { kind: 'retry', reason, retryAfterMs: null, inDoubt: true, scope: 'target' }
}
