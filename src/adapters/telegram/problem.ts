import { TelegramError } from 'telegraf'
import { judge } from './errors.ts'
import { CONFLICT_MS } from './limits.ts'

/** Why Telegram is not heard: in words without a secret, and how long to wait; null for a back-off. */
export type Problem = { problem: string; waitMs: number | null }

/**
 * Judges a failed call that people do not see.
 * @param refused what a 400 means here
 */
export function problemOf(
  error: unknown,
  refused = 'Telegram refused the request (400)',
): Problem & { reason: string } {
  const { problem, waitMs } = judged(error, refused)
  return { problem, waitMs, reason: problem }
}

function judged(error: unknown, refused: string): Problem {
  if (error instanceof TelegramError) {
    if (error.code === 409)
      return {
        problem: 'Somebody else hears this bot (409): only one program may use a token, in one mode',
        waitMs: CONFLICT_MS,
      }
    if (error.code === 400) return { problem: refused, waitMs: null }
  }
  const failure = judge(error)
  if (failure.kind === 'retry') return { problem: failure.reason, waitMs: failure.retryAfterMs }
  if (failure.kind === 'dead' || failure.kind === 'gone' || failure.kind === 'unfit')
    return { problem: failure.reason, waitMs: null }
  return { problem: 'Telegram gave an answer that makes no sense', waitMs: null }
}
