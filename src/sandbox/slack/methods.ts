import { asRecord, maybeJson } from '../front.ts'
import { channelOf, fail, type Method, type Params, type Reply, show, TS, truthy } from './answers.ts'
import { checkBlocks, SLACK_LIMITS } from './blocks.ts'
import { history, replies } from './history.ts'
import { TRIGGER_MS } from './inbound.ts'
import { SLACK_BOT, type SlackMessage, type SlackState, type SlackView } from './state.ts'

const isFail = (value: object): value is Reply => 'ok' in value && value.ok === false

type Content = {
  text: string | null
  blocks: unknown[] | null
  attachments: unknown[] | null
  metadata: SlackMessage['metadata'] | 'none' | null
}

/** text, blocks, attachments and metadata of a call; null where absent. */
function contentOf(params: Params): Content | Reply {
  const given = (key: string) => params[key] !== undefined && params[key] !== ''
  const text = params.text === undefined || params.text === null ? null : String(params.text)
  let blocks: unknown[] | null = null
  if (given('blocks')) {
    const parsed = maybeJson(params.blocks)
    if (!Array.isArray(parsed)) return fail('invalid_blocks_format')
    const complaints = checkBlocks(parsed)
    if (complaints.length > 0) return fail('invalid_blocks', complaints)
    if (JSON.stringify(parsed).length > SLACK_LIMITS.all) return fail('msg_blocks_too_long')
    blocks = parsed
  }
  let attachments: unknown[] | null = null
  if (given('attachments')) {
    const parsed = maybeJson(params.attachments)
    if (!Array.isArray(parsed)) return fail('invalid_attachments')
    if (parsed.length > 100) return fail('too_many_attachments')
    for (const attachment of parsed) {
      const inner = asRecord(attachment)
      if (inner === null) return fail('invalid_attachments')
      const complaints = inner.blocks === undefined ? [] : checkBlocks(inner.blocks)
      if (complaints.length > 0) return fail('invalid_blocks', complaints)
    }
    attachments = parsed
  }
  let metadata: Content['metadata'] = null
  if (given('metadata')) {
    const parsed = asRecord(maybeJson(params.metadata))
    if (parsed === null) return fail('invalid_metadata_format')
    const payload = asRecord(parsed.event_payload)
    if (Object.keys(parsed).length === 0) metadata = 'none'
    else if (typeof parsed.event_type !== 'string' || parsed.event_type === '' || payload === null) {
      return fail('invalid_metadata_schema')
    } else metadata = { event_type: parsed.event_type, event_payload: payload }
    if (JSON.stringify(parsed).length > SLACK_LIMITS.metadata) return fail('metadata_too_large')
  }
  if (text !== null && text.length > SLACK_LIMITS.text) return fail('msg_too_long')
  return { text, blocks, attachments, metadata }
}

const empty = (list: unknown[] | null): boolean => list === null || list.length === 0

function postMessage(state: SlackState, params: Params): Reply {
  const channel = channelOf(state, params.channel)
  if (typeof channel !== 'string') return channel
  const known = state.channels?.get(channel)
  if (known?.archived) return fail('is_archived')
  if (known?.member === false) return fail('not_in_channel')
  const content = contentOf(params)
  if (isFail(content)) return content
  if ((content.text ?? '') === '' && empty(content.blocks) && empty(content.attachments)) return fail('no_text')
  let threadTs: string | null = null
  if (params.thread_ts !== undefined && params.thread_ts !== '') {
    if (typeof params.thread_ts !== 'string' || !TS.test(params.thread_ts)) return fail('invalid_thread_ts')
    const parent = state.find(channel, params.thread_ts)
    // Slack is laxer: strict here, because an answer that hangs in no thread is an answer that nobody reads.
    if (parent === null) return fail('thread_not_found')
    threadTs = parent.threadTs ?? parent.ts
  }
  const message: SlackMessage = {
    channel,
    ts: state.nextTs(channel),
    user: SLACK_BOT.user,
    own: true,
    text: content.text ?? '',
    blocks: content.blocks,
    attachments: content.attachments,
    metadata: content.metadata === 'none' ? null : content.metadata,
    threadTs,
    broadcast: threadTs !== null && truthy(params.reply_broadcast),
    edits: 0,
    editedAt: null,
    reactions: [],
  }
  state.add(message)
  return { ok: true, channel, ts: message.ts, message: show(state, message) }
}

/** The app's own message that a call names by channel and ts. */
function ownMessage(state: SlackState, params: Params, notOwn: string): SlackMessage | Reply {
  const channel = channelOf(state, params.channel)
  if (typeof channel !== 'string') return channel
  const message = typeof params.ts === 'string' ? state.find(channel, params.ts) : null
  if (message === null) return fail('message_not_found')
  if (!message.own) return fail(notOwn)
  return message
}

function update(state: SlackState, params: Params): Reply {
  const message = ownMessage(state, params, 'cant_update_message')
  if (isFail(message)) return message
  if (state.channels?.get(message.channel)?.archived) return fail('is_inactive')
  const content = contentOf(params)
  if (isFail(content)) return content
  if (content.text === null && content.blocks === null && content.attachments === null) return fail('no_text')
  // What a call does not name is kept (docs.slack.dev, chat.update); an empty list removes.
  const blocks = content.blocks ?? message.blocks
  const attachments = content.attachments ?? message.attachments
  const text = content.text ?? message.text
  if (text === '' && empty(blocks) && empty(attachments)) return fail('no_text')
  message.text = text
  message.blocks = empty(blocks) ? null : blocks
  message.attachments = empty(attachments) ? null : attachments
  if (content.metadata !== null) message.metadata = content.metadata === 'none' ? null : content.metadata
  message.edits++
  message.editedAt = state.clock()
  state.tell('edit', message)
  return { ok: true, channel: message.channel, ts: message.ts, text: message.text, message: show(state, message) }
}

function remove(state: SlackState, params: Params): Reply {
  const message = ownMessage(state, params, 'cant_delete_message')
  if (isFail(message)) return message
  state.remove(message)
  return { ok: true, channel: message.channel, ts: message.ts }
}

function postEphemeral(state: SlackState, params: Params): Reply {
  const channel = channelOf(state, params.channel)
  if (typeof channel !== 'string') return channel
  const user = userOf(state, params.user)
  if (typeof user !== 'string') return fail('user_not_in_channel')
  const content = contentOf(params)
  if (isFail(content)) return content
  if ((content.text ?? '') === '' && empty(content.blocks) && empty(content.attachments)) return fail('no_text')
  const ephemeral = { channel, user, ts: state.nextTs(channel), text: content.text ?? '', blocks: content.blocks }
  state.ephemerals.push(ephemeral)
  state.tell('ephemeral', ephemeral)
  return { ok: true, message_ts: ephemeral.ts }
}

function userOf(state: SlackState, value: unknown): string | Reply {
  if (typeof value !== 'string') return fail('user_not_found')
  if (state.users === null ? !/^[UW][A-Z0-9_]+$/.test(value) : !state.users.has(value)) return fail('user_not_found')
  return value
}

function addReaction(state: SlackState, params: Params): Reply {
  const channel = channelOf(state, params.channel)
  if (typeof channel !== 'string') return channel
  if (typeof params.timestamp !== 'string' || !TS.test(params.timestamp)) return fail('bad_timestamp')
  const message = state.find(channel, params.timestamp)
  if (message === null) return fail('message_not_found')
  if (typeof params.name !== 'string' || !/^[a-z0-9_+'-]+$/.test(params.name)) return fail('invalid_name')
  const reaction = message.reactions.find((r) => r.name === params.name)
  if (reaction?.users.includes(SLACK_BOT.user)) return fail('already_reacted')
  if (reaction) reaction.users.push(SLACK_BOT.user)
  else message.reactions.push({ name: params.name, users: [SLACK_BOT.user] })
  state.tell('reaction', message)
  return { ok: true }
}

/** Limits of views: docs.slack.dev, "View objects". */
function viewOf(params: Params, kind: 'modal' | 'home'): Record<string, unknown> | Reply {
  const view = asRecord(maybeJson(params.view))
  if (view === null || view.type !== kind)
    return fail('invalid_arguments', ['[ERROR] invalid view [json-pointer:/view]'])
  const bad = checkBlocks(view.blocks, { max: 100, view: true })
  const plain = (key: string, max: number) => {
    if (view[key] === undefined) return
    const text = asRecord(view[key])
    const ok =
      text?.type === 'plain_text' && typeof text.text === 'string' && text.text !== '' && text.text.length <= max
    if (!ok) bad.push(`[ERROR] must be plain_text of 1 to ${max} characters [json-pointer:/view/${key}]`)
  }
  if (kind === 'modal' && view.title === undefined)
    bad.push('[ERROR] missing required field: title [json-pointer:/view]')
  for (const key of ['title', 'submit', 'close']) plain(key, 24)
  for (const [key, max] of [['callback_id', 255] as const, ['private_metadata', 3_000] as const]) {
    const value = view[key]
    if (value !== undefined && (typeof value !== 'string' || value.length > max)) {
      bad.push(`[ERROR] must be less than ${max + 1} characters [json-pointer:/view/${key}]`)
    }
  }
  return bad.length > 0 ? fail('invalid_arguments', bad) : view
}

function openView(state: SlackState, params: Params): Reply {
  const trigger = typeof params.trigger_id === 'string' ? state.triggers.get(params.trigger_id) : undefined
  if (trigger === undefined) return fail('invalid_trigger_id')
  if (trigger.used) return fail('exchanged_trigger_id')
  if (state.clock() - trigger.at > TRIGGER_MS) return fail('expired_trigger_id')
  const view = viewOf(params, 'modal')
  if (isFail(view)) return view
  trigger.used = true
  return keepView(state, 'modal', trigger.user, view)
}

function publishView(state: SlackState, params: Params): Reply {
  const user = userOf(state, params.user_id)
  if (typeof user !== 'string') return user
  const view = viewOf(params, 'home')
  return isFail(view) ? view : keepView(state, 'home', user, view)
}

function keepView(state: SlackState, kind: 'modal' | 'home', user: string, view: Record<string, unknown>): Reply {
  const kept = { id: state.nextId('V'), kind, user, view, hash: state.nextId('hash'), open: true }
  state.views.push(kept)
  state.tell('view', kept)
  return shown(kept)
}

function shown({ id, hash, view }: SlackView): Reply {
  return { ok: true, view: { ...view, id, hash, team_id: SLACK_BOT.team, app_id: SLACK_BOT.app } }
}

function updateView(state: SlackState, params: Params): Reply {
  const kept = state.views.find((one) => one.id === params.view_id)
  if (kept === undefined || !kept.open) return fail('not_found')
  if (params.hash !== undefined && params.hash !== '' && params.hash !== kept.hash) return fail('hash_conflict')
  const view = viewOf(params, kept.kind)
  if (isFail(view)) return view
  kept.view = view
  kept.hash = state.nextId('hash')
  state.tell('view', kept)
  return shown(kept)
}

/** Every method that the sandbox's Slack knows. */
export const METHODS: Readonly<Record<string, Method>> = {
  'api.test': () => ({ ok: true }),
  'auth.test': () => ({
    ok: true,
    url: 'https://sandbox.slack.com/',
    team: 'Sandbox',
    user: SLACK_BOT.name,
    team_id: SLACK_BOT.team,
    user_id: SLACK_BOT.user,
    bot_id: SLACK_BOT.bot,
    is_enterprise_install: false,
  }),
  'chat.postMessage': postMessage,
  'chat.update': update,
  'chat.delete': remove,
  'chat.postEphemeral': postEphemeral,
  'chat.getPermalink': (state, params) => {
    const channel = channelOf(state, params.channel)
    if (typeof channel !== 'string') return channel
    const ts = String(params.message_ts)
    if (state.find(channel, ts) === null) return fail('message_not_found')
    const permalink = `https://sandbox.slack.com/archives/${channel}/p${ts.replace('.', '')}`
    return { ok: true, channel, permalink }
  },
  'conversations.history': history,
  'conversations.replies': replies,
  'conversations.info': (state, params) => {
    const id = channelOf(state, params.channel)
    if (typeof id !== 'string') return id
    const known = state.channels?.get(id)
    const { name = id.toLowerCase(), archived = false, member = true } = known ?? {}
    return { ok: true, channel: { id, name, is_channel: id.startsWith('C'), is_archived: archived, is_member: member } }
  },
  'users.info': (state, params) => {
    const id = userOf(state, params.user)
    if (typeof id !== 'string') return id
    const name = state.users?.get(id)?.name ?? id.toLowerCase()
    return { ok: true, user: { id, team_id: SLACK_BOT.team, name, real_name: name, deleted: false, is_bot: false } }
  },
  'views.open': openView,
  'views.publish': publishView,
  'views.update': updateView,
  'reactions.add': addReaction,
}
