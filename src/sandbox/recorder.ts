import { EventEmitter } from 'node:events'
import type { Clock } from '../core/clock.ts'
import { ClawError } from '../core/errors.ts'

/** One request as a look-alike saw it. */
export type RequestRecord = {
  /** rises by one with every request, also when old ones have left the ring */
  readonly seq: number
  /** Slack and Telegram: the API method; PagerDuty: `POST /v2/enqueue` and the like */
  readonly name: string
  readonly method: string
  readonly path: string
  /** parsed parameters or JSON; the raw text when it could not be parsed */
  readonly body: unknown
  /** ms since the epoch, by the injected clock */
  readonly at: number
  /** kind of the fault that hit it, null for none */
  fault: string | null
  /** what was answered; null while it runs, and for ever when no answer was sent */
  status: number | null
}

/** How many requests are remembered. */
export const RING = 10_000

/**
 * What every look-alike remembers and tells: a bounded ring of requests, and events ('request', 'message', 'edit',
 * 'delete', 'page', 'incident' … as each platform has them; 'change' comes with every one of them).
 */
export class Recorder {
  readonly requests: RequestRecord[] = []
  readonly events = new EventEmitter().setMaxListeners(0)
  readonly clock: Clock
  #seq = 0

  constructor(clock: Clock) {
    this.clock = clock
  }

  /** Remembers a request and emits 'request' with it. */
  record(request: Pick<RequestRecord, 'name' | 'method' | 'path' | 'body'>): RequestRecord {
    const kept: RequestRecord = { ...request, seq: ++this.#seq, at: this.clock(), fault: null, status: null }
    this.requests.push(kept)
    if (this.requests.length > RING) this.requests.shift()
    this.tell('request', kept)
    return kept
  }

  /** Emits an event, and 'change' after it. */
  tell(event: string, payload?: unknown): void {
    this.events.emit(event, payload)
    this.events.emit('change')
  }

  /** How many remembered requests have this name; those hit by a fault included. */
  count(name: string): number {
    let n = 0
    for (const request of this.requests) if (request.name === name) n++
    return n
  }

  /**
   * Resolves with the first truthy value of `predicate`, which is asked now and after each event; no polling.
   * @throws ClawError('timeout') after `timeoutMs`, with what had been requested so far
   */
  waitFor<T>(predicate: (state: this) => T, timeoutMs = 5_000): Promise<NonNullable<T>> {
    return new Promise((resolve, reject) => {
      const stop = () => {
        clearTimeout(timer)
        this.events.off('change', look)
      }
      const look = () => {
        try {
          const found = predicate(this)
          if (!found) return
          stop()
          resolve(found)
        } catch (error) {
          stop()
          reject(error)
        }
      }
      const timer = setTimeout(() => {
        stop()
        const last = this.requests.slice(-8).map((r) => `${r.name} ${r.fault ?? r.status ?? 'unanswered'}`)
        const text = `${predicate} did not come true within ${timeoutMs} ms; last requests: ${last.join(', ') || 'none'}`
        reject(new ClawError('timeout', text))
      }, timeoutMs)
      this.events.on('change', look)
      look()
    })
  }

  /** Forgets the requests. Listeners stay. */
  forget(): void {
    this.requests.length = 0
  }
}
