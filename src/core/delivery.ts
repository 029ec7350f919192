import type { Reply } from './command.ts'
import type { IncidentView } from './view.ts'

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

export type DestinationKind = 'pagerduty' | 'slack' | 'telegram' | 'webhook' | 'edge' | 'grafana'

/** Where a receiver sends: one row of `deliveries` per incident and destination. Holds no secret. */
export type DestinationSpec = {
  kind: DestinationKind
  /** the bulkhead it belongs to: `pagerduty`, `slack`, `telegram`, `webhook:<receiver>` */
  lane: string
  /** Slack channel id, Telegram chat id (and `/thread`), or the receiver's name where the address is a secret */
  target: string
  /** how this receiver wants it, see the adapter's own type */
  settings: { [key: string]: Json }
}

export type Receiver = {
  name: string
  destinations: DestinationSpec[]
  /** receiver told when a page is not confirmed in time; null for none */
  fallback: string | null
}

/** Declared throttles of one lane, from the platform's documented limits. */
export type Pacing = {
  /** how many requests of the lane may be under way at once, over all targets */
  concurrency: number
  /** how many to one target at once; 1 keeps the order */
  perTarget: number
  /** whole lane: bucket of `burst` requests refilled at `perSecond`; null for unpaced */
  lane: { burst: number; perSecond: number } | null
  /** each target */
  target: { burst: number; perSecond: number } | null
  /** share of the buckets (0..1) that only urgent steps may use */
  reserve: number
}

export type StepInput = {
  target: string
  settings: { [key: string]: Json }
  incident: IncidentView
  /** identifies this installation in dedup keys and metadata */
  installation: string
  /** what the adapter returned as `state` last time; null before the first step */
  state: Json
  /**
   * A step like this one was begun before and nobody knows whether it took effect (crash, time-out, lost answer). Look
   * before sending anything that people would see twice.
   */
  inDoubt: boolean
  /** ids of messages in this target that other incidents already own (Telegram's search for its own lost message) */
  knownReferences: () => Promise<string[]>
  now: number
  signal: AbortSignal
}

export type ReplyInput = {
  target: string
  /** what the same adapter gave as `replyTo.address` */
  address: Json
  reply: Reply
  state: Json
  inDoubt: boolean
  now: number
  signal: AbortSignal
}

/** What became of one step; the lane owns all retrying, pacing and storing. Reasons never hold a secret. */
export type StepResult =
  /** the destination shows the incident as given */
  | { outcome: 'done'; state: Json; reference: string | null }
  /** one visible effect took place, more steps are needed */
  | { outcome: 'progress'; state: Json; reference: string | null }
  /** nothing to do before `at` (ms since the epoch): e.g. a push limited to one a minute */
  | { outcome: 'later'; state: Json; reference: string | null; at: number; reason: string }
  /**
   * failed and may be tried again; `inDoubt` when it may have taken effect; `scope` says who else must wait; `state` where
   * the next try should find another one
   */
  | {
      outcome: 'retry'
      reason: string
      retryAfterMs: number | null
      inDoubt: boolean
      scope: 'target' | 'lane'
      state?: Json
    }
  /** trying again cannot help: dead letter */
  | { outcome: 'dead'; reason: string }

/** A port: one per lane, implemented by `src/adapters/*`. */
export type Destination = {
  readonly kind: DestinationKind
  readonly lane: string
  readonly pacing: Pacing
  /** At most one effect that people can see. Never throws for what the platform or network does. */
  step(input: StepInput): Promise<StepResult>
  /** Says one answer of a command where it was asked. Never throws for what the platform or network does. */
  reply?(input: ReplyInput): Promise<StepResult>
  close(): Promise<void>
}

/** What a template renders to, per destination kind; made by `src/adapters/templates`. */
export type Renderer = {
  /** @throws ClawError('internal') when a template is broken; callers fall back to `headline` */
  render(name: string, data: { [key: string]: unknown }): string
}
