import { TelegramError } from 'telegraf'
import { z } from 'zod'
import { ClawError, messageOf } from '../../core/errors.ts'
import type { Call } from './client.ts'
import type { TelegramInboundOptions } from './inbound.ts'
import { LIMITS, OFFSET_LIFE_MS, POLL_GRACE_MS, STANDBY_MS } from './limits.ts'
import { problemOf } from './problem.ts'
import { ALLOWED_UPDATES } from './update.ts'

/** What one round brought. `waitMs`: before the next one; null for a back-off. */
export type Round = { taken: number; waitMs: number | null; problem: string | null }

type PollingDeps = Pick<TelegramInboundOptions, 'clock' | 'log' | 'holdPolling' | 'offset'> & {
  call: Call
  handle: (update: unknown) => Promise<void>
  /** before the first poll, and whenever polling was somebody else's turn */
  prepare: (signal: AbortSignal) => Promise<void>
}

const Updates = z.array(z.looseObject({ update_id: z.int() }))

/** How often an update may fail in Claw itself before it is passed over, so that it holds up no others for ever. */
const ATTEMPTS = 5

/** Fetches updates in order. Asking with an offset confirms all before it, so it never passes what is not stored. */
export function createPolling(deps: PollingDeps): { round(waitSeconds: number, signal: AbortSignal): Promise<Round> } {
  const { call, clock, log } = deps
  let prepared = false
  /** the first id that was not taken yet, when it was last stored: only tells what to pass over, since it may be old */
  let stored = 0
  /** what the next poll confirms; null until an update has come since polling became our turn */
  let confirm: { next: number; at: number } | null = null
  let stuck = { id: -1, attempts: 0 }

  async function prepare(signal: AbortSignal): Promise<void> {
    await deps.prepare(signal)
    stored = await ours('the offset', () => deps.offset.load())
    confirm = null
    prepared = true
  }

  async function fetchUpdates(waitSeconds: number, signal: AbortSignal): Promise<z.infer<typeof Updates>> {
    if (confirm !== null && clock() - confirm.at > OFFSET_LIFE_MS) confirm = null
    const payload = {
      ...(confirm === null ? {} : { offset: confirm.next }),
      limit: LIMITS.updates,
      timeout: waitSeconds,
      allowed_updates: ALLOWED_UPDATES,
    }
    return Updates.parse(await call('getUpdates', payload, signal, waitSeconds * 1_000 + POLL_GRACE_MS))
  }

  /** @returns false when it was taken before; throws when it must come again */
  async function take(update: { update_id: number }): Promise<boolean> {
    const id = update.update_id
    // Not confirmed before a restart: one answer of getUpdates at most.
    if (id < stored && id >= stored - LIMITS.updates) return false
    try {
      await deps.handle(update)
    } catch (error) {
      if (error instanceof ClawError && error.code === 'unavailable') throw error
      stuck = { id, attempts: stuck.id === id ? stuck.attempts + 1 : 1 }
      if (stuck.attempts < ATTEMPTS) throw error
      log.error({ err: error, update: id }, 'an update from Telegram fails again and again; it is passed over')
    }
    return true
  }

  /** Takes them in order; what comes behind one that fails waits with it. */
  async function takeAll(updates: readonly { update_id: number }[]): Promise<Round> {
    let taken = 0
    let problem: string | null = null
    for (const update of updates) {
      try {
        if (await take(update)) taken++
      } catch (error) {
        const known = error instanceof ClawError && error.code !== 'internal'
        if (!known) log.error({ err: error, update: update.update_id }, 'an update from Telegram failed in Claw itself')
        problem = `A command could not be stored: ${known ? error.message : 'Claw made a mistake, see the log'}`
        break
      }
      confirm = { next: update.update_id + 1, at: clock() }
    }
    // Should this fail, what is sent again after a restart is known by its id.
    const next = confirm?.next
    if (taken > 0 && next !== undefined) await ours('the offset', () => deps.offset.save(next))
    return { taken, waitMs: problem === null ? 0 : null, problem }
  }

  return {
    async round(waitSeconds, signal) {
      try {
        if (!(await ours('the lease', () => deps.holdPolling()))) {
          prepared = false
          return { taken: 0, waitMs: STANDBY_MS, problem: null }
        }
        if (!prepared) await prepare(signal)
        return await takeAll(await fetchUpdates(waitSeconds, signal))
      } catch (error) {
        if (error instanceof ClawError) return { taken: 0, waitMs: null, problem: error.message }
        if (error instanceof TelegramError && error.code === 409) prepared = false
        const { problem, waitMs } = problemOf(error)
        return { taken: 0, waitMs, problem }
      }
    },
  }
}

/** What fails in Claw's own parts is not Telegram's fault, and says so. */
async function ours<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof ClawError) throw error
    throw new ClawError('unavailable', `Claw cannot reach ${what} of polling: ${messageOf(error)}`, { cause: error })
  }
}
