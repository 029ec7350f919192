import type { CommandRequest, Reply } from '../../core/command.ts'
import { ClawError } from '../../core/errors.ts'
import type { Address } from './answer.ts'
import { deliver } from './answer.ts'
import { createClient, type Slack } from './client.ts'
import { judge } from './errors.ts'
import { unescapeTyped } from './escape.ts'
import type { SlackInboundOptions } from './inbound.ts'
import { CONFIRM_MS, DOUBLE_CLICK_MS, MODAL_MS } from './limits.ts'
import {
  type Click,
  ClickPayload,
  HomePayload,
  incidentOf,
  MentionPayload,
  SlashPayload,
  SubmissionPayload,
} from './payloads.ts'
import { noteMessage } from './reply.ts'
import { confirmView, homeNotice, homeView, NOTE, type Question, readQuestion, sayingView } from './views.ts'

/** Bolt's `ack`, whose type differs per kind of request. */
type Ack<T> = (answer?: T) => Promise<void>
type Ephemeral = { response_type: 'ephemeral'; text: string }
type ViewAnswer = { response_action: 'update'; view: never } | { response_action: 'clear' }

export type Listeners = {
  command(body: unknown, ack: Ack<Ephemeral>): Promise<void>
  click(body: unknown, ack: Ack<never>): Promise<void>
  confirm(body: unknown, ack: Ack<ViewAnswer>): Promise<void>
  mention(body: unknown): Promise<void>
  home(body: unknown): void
  /** resolves when nothing that was begun after an acknowledgement is under way */
  idle(): Promise<void>
}

const LOST = 'Claw could not store this, so nothing was done. Try again in a moment.'
const SLOW = 'Claw is slow to store this. Its answer follows; if none comes within a minute, try again.'
const UNREADABLE = 'Claw could not read this request. Try again.'
const EXPIRED = 'This question is too old: press the button again, so that you see what would happen now.'

export function createListeners(options: SlackInboundOptions & { ackMs: number }): Listeners {
  const { inbox, clock, log, ackMs } = options
  const connection = { token: options.botToken, apiUrl: options.apiUrl, timeoutMs: 5_000 }
  const background = new Set<Promise<void>>()
  /** presses that were just taken: key to the time of the press, ms */
  const pressed = new Map<string, number>()

  function behind(work: Promise<unknown>, what: string): void {
    const task: Promise<void> = work
      .then(
        () => {},
        (error) => log.warn({ reason: reasonOf(error) }, what),
      )
      .finally(() => background.delete(task))
    background.add(task)
  }

  /** Stored, or why the acknowledgement cannot wait for it. When it fails later than that, the person is told. */
  async function store(request: CommandRequest, address: Address, begun: number): Promise<'stored' | 'slow' | 'lost'> {
    const submitted = inbox.submit(request).then(
      () => 'stored' as const,
      (error: unknown) => {
        const expected = error instanceof ClawError && error.code === 'unavailable'
        log[expected ? 'warn' : 'error'](
          { err: error, command: request.id },
          'a command from Slack could not be stored',
        )
        return 'lost' as const
      },
    )
    const outcome = await within(Math.max(0, ackMs - (performance.now() - begun)), submitted)
    if (outcome !== null) return outcome
    const late = submitted.then((end) => (end === 'lost' ? tell(address, LOST) : undefined))
    behind(late, 'cannot tell that a command was not stored')
    return 'slow'
  }

  /** Best effort: a short line for the one who asked. */
  async function tell(address: Address, text: string): Promise<void> {
    const signal = AbortSignal.timeout(10_000)
    const now = clock()
    const result = await deliver(connection, address, noteMessage(text), { state: null, now, signal, inDoubt: false })
    if (result.outcome !== 'done') {
      const reason = 'reason' in result ? result.reason : result.outcome
      log.warn({ reason }, 'cannot tell somebody in Slack what became of a request')
    }
  }

  function requestOf(id: string, user: string, text: string, address: Address, more: Partial<CommandRequest> = {}) {
    const request: CommandRequest = {
      id: `slack:${id}`,
      via: 'slack',
      person: null,
      user,
      text,
      incident: null,
      confirmed: false,
      override: null,
      replyTo: { lane: 'slack', target: address.channel ?? user, address: { ...address } },
      ...more,
    }
    return request
  }

  async function command(body: unknown, ack: Ack<Ephemeral>): Promise<void> {
    const begun = performance.now()
    const parsed = SlashPayload.safeParse(body)
    if (!parsed.success) return ack({ response_type: 'ephemeral', text: UNREADABLE })
    const { trigger_id, user_id, channel_id, text, response_url } = parsed.data
    const address = { ...NOWHERE, responseUrl: response_url, channel: channel_id, user: user_id, at: clock() }
    const request = requestOf(trigger_id, user_id, unescapeTyped(text), address)
    const outcome = await store(request, address, begun)
    if (outcome === 'stored') return ack()
    return ack({ response_type: 'ephemeral', text: outcome === 'slow' ? SLOW : LOST })
  }

  async function click(body: unknown, ack: Ack<never>): Promise<void> {
    const begun = performance.now()
    const parsed = ClickPayload.safeParse(body)
    const action = parsed.data?.actions[0]
    if (!parsed.success || action === undefined || action.value === '') return ack()
    const payload = parsed.data
    const key = [payload.user.id, payload.channel?.id, payload.container.message_ts, payload.container.view_id]
      .concat(action.value)
      .join('\n')
    const pressedAt = Number(action.action_ts) * 1_000 || clock()
    const last = pressed.get(key)
    // A double click has a trigger of its own each time. A retry of Slack's has the same, and is told apart by its id.
    if (last !== undefined && last !== pressedAt && Math.abs(pressedAt - last) < DOUBLE_CLICK_MS) return ack()
    remember(key, pressedAt)
    const address = addressOf(payload, clock())
    const incident = incidentOf(action.value)
    const request = requestOf(payload.trigger_id, payload.user.id, action.value, address, { incident })
    if (await asked(request, address, payload.trigger_id)) return ack()
    const outcome = await store(request, address, begun)
    if (outcome === 'lost') pressed.delete(key)
    await ack()
    // An acknowledged press shows nothing, so what went wrong is said aside.
    if (outcome !== 'stored') behind(tell(address, outcome === 'slow' ? SLOW : LOST), 'cannot answer a press')
  }

  function remember(key: string, at: number): void {
    pressed.delete(key)
    pressed.set(key, at)
    for (const [old] of pressed) {
      if (pressed.size <= 1_000) break
      pressed.delete(old)
    }
  }

  /**
   * Opens the confirmation of a dangerous command. False when it needs none, is refused, or the modal cannot be opened: then the
   * command is submitted, and the engine refuses it or asks, for the record and in its own words.
   */
  async function asked(request: CommandRequest, address: Address, trigger: string): Promise<boolean> {
    const limit = AbortSignal.timeout(MODAL_MS)
    try {
      const preview = await within(MODAL_MS / 2, inbox.preview(request))
      if (preview === null || !preview.ok) return false
      const notable = await within(
        MODAL_MS / 4,
        takesNote(request, preview).catch(() => false),
      )
      const { text, incident, user } = request
      const view = confirmView({ text, incident, user, address, at: clock() }, preview, notable ?? false)
      if (view === null) return false
      await slack(limit).openView(trigger, view)
      return true
    } catch (error) {
      const reason = reasonOf(error)
      // This very press has opened it already: Slack sent it twice.
      if (reason.includes('exchanged_trigger_id')) return true
      log.warn({ reason }, 'cannot open a confirmation in Slack; asking by message')
      return false
    }
  }

  /** A note may follow the command when that changes nothing about what will happen. */
  async function takesNote(request: CommandRequest, preview: Reply): Promise<boolean> {
    const noted = await inbox.preview({ ...request, text: `${request.text} note` })
    return (
      noted?.ok === true && noted.summary === preview.summary && noted.lines.join('\n') === preview.lines.join('\n')
    )
  }

  async function confirm(body: unknown, ack: Ack<ViewAnswer>): Promise<void> {
    const begun = performance.now()
    const parsed = SubmissionPayload.safeParse(body)
    const question = parsed.success ? readQuestion(parsed.data.view.private_metadata) : null
    if (!parsed.success || question === null || question.user !== parsed.data.user.id)
      return ack(showing(sayingView(UNREADABLE)))
    if (clock() - question.at > CONFIRM_MS) return ack(showing(sayingView(EXPIRED)))
    const { view } = parsed.data
    const note = (view.state.values[NOTE]?.[NOTE]?.value ?? '').replace(/\s+/g, ' ').trim()
    const { address, incident, user } = question
    const text = note === '' ? question.text : `${question.text} ${unescapeTyped(note)}`
    const request = requestOf(`${view.id}:${view.hash}`, user, text, address, { incident, confirmed: true })
    const outcome = await store(request, address, begun)
    if (outcome === 'lost') return ack(showing(again(question, view.blocks)))
    if (outcome === 'slow') return ack(showing(sayingView(SLOW)))
    return ack()
  }

  async function mention(body: unknown): Promise<void> {
    const parsed = MentionPayload.safeParse(body)
    if (!parsed.success || parsed.data.event.bot_id !== undefined) return
    const { event, event_id } = parsed.data
    const thread = event.thread_ts ?? event.ts
    const address = { ...NOWHERE, channel: event.channel, user: event.user, thread, aloud: true, inThread: true }
    const incident = event.thread_ts === undefined ? null : await incidentOfThread(event.channel, event.thread_ts)
    const text = unescapeTyped(event.text.replace(/^\s*<@[UW][A-Z0-9]+(?:\|[^>]*)?>\s*/, ''))
    // Not caught: an event that is not acknowledged comes again.
    await inbox.submit(requestOf(event_id, event.user, text, address, { incident }))
  }

  /** The incident whose message began a thread, from the metadata that Claw posted it with. */
  async function incidentOfThread(channel: string, ts: string): Promise<number | null> {
    try {
      for await (const { ts: found, metadata } of slack(AbortSignal.timeout(MODAL_MS / 2)).replies(channel, ts, 0)) {
        if (found !== ts || metadata.part !== 'message') return null
        return /^\d{1,15}$/.test(metadata.incident) ? Number(metadata.incident) : null
      }
    } catch (error) {
      log.warn({ reason: reasonOf(error) }, 'cannot see whose thread a command was typed in')
    }
    return null
  }

  function home(body: unknown): void {
    const parsed = HomePayload.safeParse(body)
    if (parsed.success && parsed.data.event.tab === 'home')
      behind(publish(parsed.data.event.user), 'cannot show App Home')
  }

  async function publish(user: string): Promise<void> {
    const address = { ...NOWHERE, user }
    // Who may list incidents sees them; others read why not, and how to be linked.
    const refused = await inbox.preview(requestOf('home', user, 'incidents', address, { replyTo: null }))
    const view =
      refused !== null && !refused.ok
        ? homeNotice(refused.summary, refused.lines)
        : await options.openIncidents().then(
            (incidents) => homeView(incidents, clock()),
            () => homeNotice('Claw cannot read its incidents right now.', ['Open this page again in a moment.']),
          )
    await slack(AbortSignal.timeout(10_000)).publishHome(user, view)
  }

  function slack(signal: AbortSignal): Slack {
    return createClient(connection, signal)
  }

  return {
    command,
    click,
    confirm,
    mention,
    home,
    async idle() {
      while (background.size > 0) await Promise.all(background)
    },
  }
}

const NOWHERE: Address = {
  responseUrl: null,
  channel: null,
  user: '',
  thread: null,
  inThread: false,
  aloud: false,
  at: null,
}

function addressOf(click: Click, now: number): Address {
  const ts = click.container.message_ts ?? click.message?.ts ?? null
  const thread = click.message?.thread_ts ?? click.container.thread_ts ?? null
  return {
    responseUrl: click.response_url,
    channel: click.channel?.id ?? null,
    user: click.user.id,
    thread: thread ?? ts,
    inThread: thread !== null && thread !== ts,
    aloud: false,
    at: now,
  }
}

/** The same question again, saying that it was not stored. */
function again(question: Question, blocks: readonly unknown[]) {
  const notable = JSON.stringify(blocks).includes(JSON.stringify(NOTE))
  const summary = 'Claw could not store this, so nothing was done.'
  const said: Reply = { ok: true, code: null, summary, lines: [], table: null, buttons: [], data: null, incident: null }
  const view = confirmView(question, { ...said, lines: ['Confirm again in a moment, or cancel.'] }, notable)
  return view ?? sayingView(LOST)
}

function showing(view: object): ViewAnswer {
  return { response_action: 'update', view: view as never }
}

function reasonOf(error: unknown): string {
  return error instanceof ClawError ? error.message : judge(error).reason
}

/** What a promise gives within `ms`, else null; a late rejection is nobody's business any more. */
async function within<T>(ms: number, promise: Promise<T>): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined
  promise.catch(() => {})
  try {
    return await Promise.race([
      promise,
      new Promise<null>((resolve) => {
        timer = setTimeout(() => resolve(null), ms)
      }),
    ])
  } finally {
    clearTimeout(timer)
  }
}
