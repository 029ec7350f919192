import { createHmac, randomUUID } from 'node:crypto'
import type { PagerDutyState, PdIncident, PdUser } from './state.ts'
import { incidentView, userReference } from './views.ts'

export type WebhookDelivery = {
  /** `X-Webhook-Id` */
  id: string
  event: { id: string; event_type: string; [key: string]: unknown }
  body: string
  /** statuses of all attempts, 0 for no answer */
  statuses: number[]
}

/** `X-PagerDuty-Signature` of a raw body (developer.pagerduty.com, "Verifying signatures"); one `v1=` per secret. */
export function signPagerDuty(body: string, ...secrets: string[]): string {
  return secrets.map((secret) => `v1=${createHmac('sha256', secret).update(body).digest('hex')}`).join(',')
}

/** PagerDuty gives a receiver 5 s (developer.pagerduty.com, "Webhooks v3"). */
const TIMEOUT_MS = 5_000

/** Webhooks v3 of the account: one event per POST, one after the other. It does not retry by itself. */
export class Webhooks {
  /** null: nobody is told; `rotated` is a second secret, whose signature goes along while it is being replaced */
  target: { url: string; secret: string; rotated?: string } | null = null
  /** which events are sent; null: all */
  only: Set<string> | null = null
  readonly deliveries: WebhookDelivery[] = []
  readonly #state: PagerDutyState
  #last: Promise<unknown> = Promise.resolve()
  #stop = new AbortController()

  constructor(state: PagerDutyState) {
    this.#state = state
  }

  /** Builds, signs and posts an event. Resolves with the answer's status, 0 for none, null when nothing is sent. */
  send(
    type: string,
    incident: PdIncident,
    user: PdUser | null,
    data: object = incidentView(incident),
  ): Promise<number | null> {
    if (this.target === null || (this.only !== null && !this.only.has(type))) return Promise.resolve(null)
    const at = new Date(this.#state.clock()).toISOString()
    const event = {
      id: this.#state.nextId('01'),
      event_type: type,
      resource_type: 'incident',
      occurred_at: at,
      agent: user ? userReference(user) : { id: 'PSERVICE', type: 'service_reference', summary: 'rating-api' },
      client: null,
      data,
    }
    const delivery = { id: randomUUID(), event, body: JSON.stringify({ event }), statuses: [] }
    this.deliveries.push(delivery)
    return this.redeliver(delivery)
  }

  /** Resolves when everything that was sent so far has been answered. */
  async settled(): Promise<void> {
    await this.#last
  }

  redeliver(delivery: WebhookDelivery): Promise<number> {
    const turn = this.#last.then(() => this.#post(delivery))
    this.#last = turn
    return turn
  }

  async #post(delivery: WebhookDelivery): Promise<number> {
    const target = this.target
    let status = 0
    try {
      if (target === null) return 0
      const response = await fetch(target.url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'user-agent': 'PagerDuty-Webhook/V3.0',
          'x-pagerduty-signature': signPagerDuty(delivery.body, ...[target.secret, target.rotated ?? []].flat()),
          'x-webhook-id': delivery.id,
          'x-webhook-subscription': 'PSANDBOX',
        },
        body: delivery.body,
        signal: AbortSignal.any([this.#stop.signal, AbortSignal.timeout(TIMEOUT_MS)]),
      })
      await response.arrayBuffer()
      status = response.status
    } catch {
      // No answer; the receiver's own log says why.
    }
    delivery.statuses.push(status)
    this.#state.tell('webhook', delivery)
    return status
  }

  clear(): void {
    this.#stop.abort()
    this.#stop = new AbortController()
    this.deliveries.length = 0
  }
}
