import type { Clock } from '../../core/clock.ts'

export type Update = { update_id: number; [key: string]: unknown }
export type Webhook = { url: string; secret: string | null; allowed: string[] | null; maxConnections: number }
export type Delivery = { update_id: number; status: number; at: number }
type Poller = { done: (answer: Update[] | 'conflict') => void; limit: number }

/** First pause before a refused webhook update is tried again, and the longest; ms. Telegram's own are not documented. */
const RETRY = { first: 1_000, max: 60_000 }

/** Telegram's queue of updates: handed out to one long poll at a time, or posted to the webhook one after the other. */
export class Updates {
  /** waiting to be fetched or posted */
  queue: Update[] = []
  /** every update ever made, for `redeliver` */
  readonly made: Update[] = []
  /** every attempt at the webhook; status 0 for no answer */
  readonly deliveries: Delivery[] = []
  webhook: Webhook | null = null
  lastError: { at: number; message: string } | null = null
  readonly #clock: Clock
  readonly #tell: (event: string, payload: unknown) => void
  #next = 1
  #poller: Poller | null = null
  #pump: Promise<void> | null = null
  #retry: { timer: NodeJS.Timeout | null; pause: number } = { timer: null, pause: RETRY.first }
  #stop = new AbortController()

  constructor(clock: Clock, tell: (event: string, payload: unknown) => void) {
    this.#clock = clock
    this.#tell = tell
  }

  /** Enqueues an update and hands it out at once where somebody waits for it. */
  add(kind: string, content: unknown): Update {
    const update: Update = { update_id: this.#next++, [kind]: content }
    this.made.push(update)
    const allowed = this.webhook?.allowed
    if (!allowed || allowed.length === 0 || allowed.includes(kind)) this.queue.push(update)
    this.#tell('update', update)
    const poller = this.#poller
    if (poller && this.queue.length > 0) {
      this.#poller = null
      poller.done(this.queue.slice(0, poller.limit))
    }
    void this.deliver()
    return update
  }

  /** Whether a long poll waits right now. */
  get polled(): boolean {
    return this.#poller !== null
  }

  /**
   * One getUpdates. Confirms all updates before `offset`. Waits up to `timeoutMs` for the first update; a poll that comes
   * while another one waits ends that one with 'conflict'.
   */
  poll(
    offset: number,
    limit: number,
    timeoutMs: number,
    gone: (stop: () => void) => void,
  ): Promise<Update[] | 'conflict'> {
    this.#poller?.done('conflict')
    this.#poller = null
    if (offset < 0) this.queue = this.queue.slice(offset)
    else if (offset > 0) this.queue = this.queue.filter((u) => u.update_id >= offset)
    if (this.queue.length > 0 || timeoutMs <= 0) return Promise.resolve(this.queue.slice(0, limit))
    return new Promise((resolve) => {
      const poller: Poller = {
        limit,
        done: (answer) => {
          clearTimeout(timer)
          if (this.#poller === poller) this.#poller = null
          resolve(answer)
          this.#tell('poll', null)
        },
      }
      const timer = setTimeout(() => poller.done([]), timeoutMs)
      this.#poller = poller
      gone(() => poller.done([]))
      this.#tell('poll', null)
    })
  }

  /** Posts what waits to the webhook, in order, until it is empty or refused. Resolves when this round is over. */
  deliver(): Promise<void> {
    if (this.webhook === null) return Promise.resolve()
    if (this.#retry.timer) clearTimeout(this.#retry.timer)
    this.#retry.timer = null
    this.#pump ??= this.#drain().finally(() => {
      this.#pump = null
    })
    return this.#pump
  }

  async #drain(): Promise<void> {
    const stop = this.#stop
    for (let update = this.queue[0]; update && this.webhook; update = this.queue[0]) {
      const status = await this.post(update)
      if (stop.signal.aborted) return
      if (status >= 200 && status < 300) {
        this.queue = this.queue.filter((u) => u !== update)
        this.#retry.pause = RETRY.first
        continue
      }
      this.#retry.timer = setTimeout(() => void this.deliver(), this.#retry.pause).unref()
      this.#retry.pause = Math.min(RETRY.max, this.#retry.pause * 2)
      return
    }
  }

  /** Posts one update to the webhook, whether it waits or was delivered before. Resolves with the status, 0 for none. */
  async post(update: Update): Promise<number> {
    const webhook = this.webhook
    if (webhook === null) return 0
    let status = 0
    let message = 'Connection failed'
    try {
      const response = await fetch(webhook.url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(webhook.secret === null ? {} : { 'x-telegram-bot-api-secret-token': webhook.secret }),
        },
        body: JSON.stringify(update),
        signal: this.#stop.signal,
      })
      status = response.status
      message = `Wrong response from the webhook: ${status} ${response.statusText}`
      await response.arrayBuffer()
    } catch {
      status = 0
    }
    if (status < 200 || status >= 300) this.lastError = { at: this.#clock(), message }
    const delivery = { update_id: update.update_id, status, at: this.#clock() }
    this.deliveries.push(delivery)
    this.#tell('delivery', delivery)
    return status
  }

  /** Ends polls and posts, forgets everything, the webhook too. Update ids go on rising, as the real ones do. */
  clear(): void {
    this.#stop.abort()
    this.#stop = new AbortController()
    this.#pump = null
    if (this.#retry.timer) clearTimeout(this.#retry.timer)
    this.#retry = { timer: null, pause: RETRY.first }
    this.#poller?.done([])
    this.#poller = null
    this.queue = []
    this.made.length = 0
    this.deliveries.length = 0
    this.webhook = null
    this.lastError = null
  }
}
