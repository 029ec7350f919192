import { z } from 'zod'
import type { Reply } from '../../core/command.ts'
import type { Json, ReplyInput, StepResult } from '../../core/delivery.ts'
import { createClient, type Slack } from './client.ts'
import { type Failure, judge } from './errors.ts'
import { RESPONSE_URL_MS } from './limits.ts'
import type { Message } from './message.ts'
import { replyMessage } from './reply.ts'

const Address = z.object({
  /** where Slack takes an answer seen by the asker alone; null where it gave none (App Home, mentions) */
  responseUrl: z
    .url({ protocol: /^https?$/ })
    .max(2_000)
    .nullable(),
  /** null in App Home */
  channel: z.string().min(1).max(100).nullable(),
  user: z.string().min(1).max(100),
  /** the message under which a public answer belongs */
  thread: z.string().max(40).nullable().default(null),
  /** asked in the thread itself, so the private answer belongs there as well */
  inThread: z.boolean().default(false),
  /** asked aloud (a mention), or asking others: answered aloud */
  aloud: z.boolean().default(false),
  /** when Slack issued the response URL, ms; null when nobody knows */
  at: z.number().nullable().default(null),
})

/** Where an answer goes: `replyTo.address` of a command from Slack. Its response URL is good for 30 minutes; never log it. */
export type Address = z.infer<typeof Address>

export function readAddress(json: unknown): Address | null {
  const parsed = Address.safeParse(json)
  return parsed.success ? parsed.data : null
}

/** The ways to answer, best first. */
type Way = 'url' | 'whisper' | 'thread' | 'direct'

export type AnswerOptions = { token: string; apiUrl: string; timeoutMs: number }

/**
 * Says a command's answer: by response URL for the asker alone, else (expired, used up) as an ephemeral message, else in the
 * thread, else as a direct message. A way that Slack refuses for good gives way to the next; anything else is an outcome.
 * A response URL whose answer was lost is used again: seen twice by one person is better than never.
 */
export async function sendReply(options: AnswerOptions, input: ReplyInput): Promise<StepResult> {
  const address = readAddress(input.address)
  if (address === null) return { outcome: 'dead', reason: 'The answer has no address in Slack.' }
  return await deliver(options, heardBy(address, input.reply), replyMessage(input.reply), input)
}

/** Who is to agree has to see that somebody asked; a link that signs in is for the asker alone, wherever it was asked. */
function heardBy(address: Address, reply: Reply): Address {
  if (reply.link !== undefined) return { ...address, aloud: false, thread: null, inThread: false }
  return asksOthers(reply.data) ? { ...address, aloud: true } : address
}

function asksOthers(data: Json): boolean {
  return z.object({ needed: z.number().positive() }).safeParse(data).success
}

export async function deliver(
  options: AnswerOptions,
  address: Address,
  message: Message,
  { state, now, signal, inDoubt }: { state: Json; now: number; signal: AbortSignal; inDoubt: boolean },
): Promise<StepResult> {
  const slack = createClient(options, signal)
  const ways = waysOf(address, now)
  const begun = ways.indexOf(wayOf(state) ?? ways[0] ?? 'direct')
  let reason = 'Slack takes the answer nowhere.'
  for (const way of ways.slice(Math.max(0, begun))) {
    const failure = await tryWay(way, { options, slack, address, message, signal })
    if (failure === null) return { outcome: 'done', state: { way }, reference: null }
    reason = failure.reason
    if (failure.kind === 'retry') {
      const { retryAfterMs, scope } = failure
      return { outcome: 'retry', reason, retryAfterMs, inDoubt: failure.inDoubt || inDoubt, scope, state: { way } }
    }
  }
  return { outcome: 'dead', reason }
}

function waysOf(address: Address, now: number): Way[] {
  const { responseUrl, channel, thread, aloud, at } = address
  const ways: Way[] = []
  if (responseUrl !== null && (at === null || now < at + RESPONSE_URL_MS)) ways.push('url')
  if (channel !== null && !aloud) ways.push('whisper')
  if (channel !== null && (thread !== null || aloud)) ways.push('thread')
  return [...ways, 'direct']
}

function wayOf(state: Json): Way | null {
  const parsed = z.object({ way: z.enum(['url', 'whisper', 'thread', 'direct']) }).safeParse(state)
  return parsed.success ? parsed.data.way : null
}

type Attempt = { options: AnswerOptions; slack: Slack; address: Address; message: Message; signal: AbortSignal }

/** Null when it was said. */
async function tryWay(way: Way, attempt: Attempt): Promise<Failure | null> {
  const { slack, address, message } = attempt
  const { channel, user, thread, inThread } = address
  try {
    switch (way) {
      case 'url':
        return await byUrl(attempt)
      case 'whisper':
        await slack.whisper({ channel: channel ?? user, thread: inThread ? thread : null, user }, message)
        return null
      case 'thread':
        await slack.say({ channel: channel ?? user, thread }, message)
        return null
      case 'direct':
        await slack.say({ channel: user, thread: null }, message)
        return null
    }
  } catch (error) {
    return judge(error)
  }
}

const Refusal = z.object({ ok: z.literal(false), error: z.string().optional() })

async function byUrl(attempt: Attempt): Promise<Failure | null> {
  const { message } = attempt
  const failure = await postUrl(attempt, { text: message.text, blocks: message.blocks })
  return failure?.kind === 'unfit' ? await postUrl(attempt, { text: message.plain }) : failure
}

/** Response URLs answer in their own way: 404 once used up or expired, 4xx or `ok: false` for what they do not like. */
async function postUrl({ options, address, signal }: Attempt, content: object): Promise<Failure | null> {
  const { responseUrl, thread, inThread, aloud } = address
  const response = await fetch(responseUrl ?? '', {
    method: 'POST',
    headers: { 'content-type': 'application/json; charset=utf-8' },
    body: JSON.stringify({
      response_type: aloud ? 'in_channel' : 'ephemeral',
      replace_original: false,
      ...(inThread && thread !== null ? { thread_ts: thread } : {}),
      ...content,
    }),
    // A response URL never redirects; following one would carry the answer elsewhere.
    redirect: 'error',
    signal: AbortSignal.any([signal, AbortSignal.timeout(options.timeoutMs)]),
  })
  const { status } = response
  const body = (await response.text()).slice(0, 2_000)
  if (status === 429) {
    const seconds = Number(response.headers.get('retry-after'))
    const retryAfterMs = Number.isFinite(seconds) && seconds > 0 ? seconds * 1_000 : null
    return { kind: 'retry', reason: 'Slack limits the rate', retryAfterMs, inDoubt: false, scope: 'target' }
  }
  const refusal = refusalOf(body)
  if (refusal === null && response.ok) return null
  if (refusal !== null && /^(invalid_blocks|msg_|no_text|too_many_)/.test(refusal))
    return { kind: 'unfit', reason: 'Slack refused the answer: its blocks do not fit' }
  if (status >= 500 || status === 408)
    return {
      kind: 'retry',
      reason: `Slack answered HTTP ${status}`,
      retryAfterMs: null,
      inDoubt: true,
      scope: 'target',
    }
  return { kind: 'gone', reason: 'The response URL is used up or expired' }
}

function refusalOf(body: string): string | null {
  try {
    const parsed = Refusal.safeParse(JSON.parse(body))
    return parsed.success ? (parsed.data.error ?? 'unknown') : null
  } catch {
    return null
  }
}
