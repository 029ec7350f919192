import { type Clock, HOUR, MINUTE, SECOND } from '../core/clock.ts'
import type { OnCall, PagerDutyRest } from '../core/pagerduty.ts'
import type { Reads } from '../core/store.ts'
import { readMemory } from './pagerduty-memory.ts'

export type OnCallLookup = {
  /** who is on call, lowest level first; null when it cannot be asked. Answers within 2 s. */
  list(): Promise<OnCall[] | null>
  /** names for a message, the first level first, at most 5; what is known now, without waiting for PagerDuty */
  names(): string[]
}

const FRESH = 5 * MINUTE
/** An answer of this age is better than none. */
const USABLE = HOUR
/** After a failure the next question waits, so that nobody waits for a PagerDuty that is down. */
const PAUSE = 30 * SECOND
const PATIENCE = 2 * SECOND

/** On-call people of the escalation policies that our pages follow (of all, before the first page), asked every 5 minutes at most. */
export function createOnCall(deps: {
  rest: () => PagerDutyRest | null
  store: Pick<Reads, 'meta'>
  clock: Clock
}): OnCallLookup {
  let known: { list: OnCall[]; at: number } | null = null
  let under: Promise<void> | null = null
  let pausedUntil = 0

  function refresh(rest: PagerDutyRest): Promise<void> {
    under ??= (async () => {
      try {
        const { policies } = await readMemory(deps.store)
        known = { list: await rest.onCall(policies), at: deps.clock() }
      } catch {
        pausedUntil = deps.clock() + PAUSE
      } finally {
        under = null
      }
    })()
    return under
  }

  const usable = (within: number): OnCall[] | null => {
    if (known === null || deps.clock() - known.at > within) return null
    const now = deps.clock()
    return known.list.filter((one) => one.until === null || one.until > now)
  }

  function start(): Promise<void> | null {
    const rest = deps.rest()
    if (rest === null || usable(FRESH) !== null || deps.clock() < pausedUntil) return null
    return refresh(rest)
  }

  return {
    async list() {
      const asked = start()
      if (asked !== null) {
        let timer: NodeJS.Timeout | undefined
        const late = new Promise<void>((resolve) => {
          timer = setTimeout(resolve, PATIENCE)
        })
        await Promise.race([asked, late])
        clearTimeout(timer)
      }
      return usable(USABLE)
    },
    names() {
      void start()
      const list = usable(USABLE) ?? []
      return [...new Set(list.map((one) => one.name))].slice(0, 5)
    },
  }
}
