import { z } from 'zod'
import type { Reply } from '../../core/command.ts'
import type { Json, Renderer, ReplyInput, StepResult } from '../../core/delivery.ts'
import type { Bot } from './client.ts'
import { type Failure, judge } from './errors.ts'
import { escapeBare, htmlLength, splitHtml } from './html.ts'
import { replyKeyboard } from './keyboard.ts'
import { LIMITS } from './limits.ts'

/** Where a command was given, as `CommandRequest.replyTo.address` keeps it. */
export type ReplyAddress = {
  chat: string
  /** topic of a forum */
  thread: number | null
  /** the message that gave the command, or whose button was pressed */
  replyTo: number | null
  /** id of the callback query, answered already when the command was taken */
  callback: string | null
}

const Address = z.object({
  chat: z.string().min(1),
  thread: z.int().positive().nullable().catch(null),
  replyTo: z.int().positive().nullable().catch(null),
})

/** `replies` is the name under which the store's `references` looks for ids of messages that are ours. */
const State = z.object({ chat: z.string(), parts: z.int().nonnegative(), replies: z.array(z.int()).catch([]) })
type ReplyState = z.infer<typeof State>

/** No single line may meet the renderer's own bound for one value, 1000 characters; words stay whole. */
const LINE = /[\s\S]{1,800}(?:\s|$)|[\s\S]{1,800}/gu

/**
 * Says one answer where it was asked, one message a step. When an answer to that was lost, the message is sent again: what a
 * command says may be read twice without harm, and to look for it by editing could only overwrite what others say there.
 * @param told is given the id of each message that went out
 */
export async function sayReply(
  bot: Bot,
  renderer: Renderer,
  input: ReplyInput,
  told: (chat: string, id: number) => void,
): Promise<StepResult> {
  const address = Address.safeParse(input.address)
  if (!address.success) return { outcome: 'dead', reason: 'The answer does not say which Telegram chat it belongs to' }
  const { thread, replyTo } = address.data
  const state = State.safeParse(input.state).data ?? { chat: address.data.chat, parts: 0, replies: [] }
  const parts = replyParts(renderer, input.reply, input.now)
  const html = parts[state.parts]
  if (html === undefined) return shown(state, parts.length)
  const last = state.parts === parts.length - 1
  try {
    // Every part replies, so that none is ever taken for an incident's own lost message. Only the first makes a sound.
    const to = { chat: state.chat, thread, replyTo, silent: state.parts > 0 }
    const keyboard = last ? replyKeyboard(input.reply.buttons) : null
    const id = await bot.send(to, { html, keyboard }, input.signal)
    told(state.chat, id)
    return shown({ ...state, parts: state.parts + 1, replies: [...state.replies, id] }, parts.length)
  } catch (error) {
    return failed(judge(error), state, input.inDoubt)
  }
}

function shown(state: ReplyState, parts: number): StepResult {
  const json: Json = { chat: state.chat, parts: state.parts, replies: state.replies }
  const first = state.replies[0]
  const reference = first === undefined ? null : String(first)
  return { outcome: state.parts >= parts ? 'done' : 'progress', state: json, reference }
}

function failed(failure: Failure, state: ReplyState, inDoubt: boolean): StepResult {
  switch (failure.kind) {
    case 'moved':
      // Sent in the next step: one request a step.
      return { outcome: 'progress', state: { ...state, chat: failure.chat }, reference: null }
    case 'retry':
      return {
        outcome: 'retry',
        reason: failure.reason,
        retryAfterMs: failure.retryAfterMs,
        inDoubt: failure.inDoubt || inDoubt,
        scope: failure.scope,
      }
    case 'same':
      return { outcome: 'dead', reason: 'Telegram gave an answer that makes no sense' }
    default:
      return { outcome: 'dead', reason: failure.reason }
  }
}

/** An answer as messages: each valid HTML of at most 4096 visible characters, at least one, at most 8. */
export function replyParts(renderer: Renderer, reply: Reply, now: number): string[] {
  const parts = splitHtml(whole(renderer, reply, now), LIMITS.text - 40, LIMITS.html)
  if (parts.length <= LIMITS.parts) return parts
  return [...parts.slice(0, LIMITS.parts - 1), `${parts[LIMITS.parts - 1]}\n<i>The rest is left out.</i>`]
}

/** A template that fails must not cost the answer. */
function whole(renderer: Renderer, reply: Reply, now: number): string {
  const lines = reply.lines.flatMap(pieces)
  const table = reply.table === null ? [] : tableRows(reply.table)
  try {
    const html = renderer
      .render('telegram/reply', { reply, lines, table, now })
      .trim()
      .replace(/\n{3,}/g, '\n\n')
      .toWellFormed()
    if (htmlLength(html.replace(/\s/g, '')) > 0) return withCommands(html)
  } catch {
    // As below.
  }
  const rest = [...table, ...lines].map(escapeBare)
  return `<b>${escapeBare(reply.summary).trim() || (reply.ok ? 'Done' : 'No')}</b>\n${rest.join('\n')}`
}

function pieces(line: string): string[] {
  return line.split('\n').flatMap((one) => (one === '' ? [''] : Array.from(one.match(LINE) ?? [])))
}

/** The rows of a table as texts of columns in line, the head and a rule under it first. */
export function tableRows(table: { head: string[]; rows: string[][] }): string[] {
  const all = [table.head, ...table.rows].map((row) =>
    row.map((cell) =>
      cell
        .replace(/[\p{C}\s]+/gu, ' ')
        .toWellFormed()
        .slice(0, LIMITS.cell),
    ),
  )
  const widths = table.head.map((_, i) => Math.max(1, ...all.map((row) => width(row[i] ?? ''))))
  const lines = all.map((row) =>
    widths
      .map((wide, i) => `${row[i] ?? ''}${' '.repeat(wide - width(row[i] ?? ''))}`)
      .join('  ')
      .trimEnd(),
  )
  const rule = widths.map((wide) => '─'.repeat(wide)).join('  ')
  return [lines[0] ?? '', rule, ...lines.slice(1)]
}

/** Characters as a fixed-width font shows them, near enough. */
function width(text: string): number {
  return [...text].length
}

/**
 * Escaping makes look-alikes of all slashes, so that no label becomes a command to tap. Claw's own `/claw …` must work when it
 * is copied: it is shown as code, which Telegram copies at a tap and never runs. Within `<pre>` nothing may be nested.
 */
function withCommands(html: string): string {
  return html
    .split(/(<pre>[\s\S]*?<\/pre>)/)
    .map((piece) =>
      piece.startsWith('<pre>') ? piece : piece.replace(COMMAND, (_, rest: string) => `<code>/claw${rest}</code>`),
    )
    .join('')
}

/** `/claw approve a7`, `/claw rollback 12`, `/claw failover A B`: a word, then ids or names in capitals. */
const COMMAND = /\u2215claw((?: [a-z]+(?: (?:[a-z]?\d+|[A-Z][A-Z0-9_-]*)(?![\p{L}\p{N}])){0,3})?)(?![\p{L}\p{N}])/gu
