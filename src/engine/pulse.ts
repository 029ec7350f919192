import type { Logger } from 'pino'
import type { Clock } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { Store } from '../core/store.ts'

export type PulseDeps = {
  store: Store
  clock: Clock
  log: Logger
  /** how often, milliseconds; null: nobody outside listens */
  every: () => number | null
  /** tells the outside watchdog that Claw lives. @throws when it does not answer */
  send: () => Promise<void>
}

/**
 * Claw's own sign of life for a watchdog outside (healthchecks.io, Dead Man's Snitch …): sent only while Claw can store, so that
 * a Claw that runs but has lost its database falls silent too.
 */
export function createPulse(deps: PulseDeps): { tick(): Promise<void> } {
  let dueAt = 0
  return {
    async tick() {
      const every = deps.every()
      const now = deps.clock()
      if (every === null || now < dueAt) return
      dueAt = now + every
      try {
        await deps.store.ping()
        await deps.send()
      } catch (error) {
        deps.log.warn(`the outside watchdog was not told that Claw lives: ${messageOf(error)}`)
      }
    },
  }
}
