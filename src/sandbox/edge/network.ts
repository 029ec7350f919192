import type { Random } from '../random.ts'
import type { BucketState } from './crdt.ts'

/** What one node sent another. Nodes by their number over all regions, times in ms since the epoch. */
export type Message = {
  from: number
  to: number
  sentAt: number
  dueAt: number
  states: readonly BucketState[]
}

/** The way of a message: seconds; `loss` 0..1. */
export type Link = { latency: number; jitter: number; loss: number }

/** Messages under way. They arrive late, overtake each other, or never arrive, as the seed says. */
export type Network = {
  send(message: Omit<Message, 'dueAt'>, link: Link): void
  /** Takes what has arrived by `now`, in the order of arrival. */
  arrived(now: number): Message[]
  inFlight(): number
  /** Moves everything under way on by `ms`: time that nobody lived through. */
  shift(ms: number): void
  clear(): void
}

/** Makes a network in which nothing is under way. */
export function createNetwork(random: Random): Network {
  let flying: Message[] = []
  return {
    send(message, { latency, jitter, loss }) {
      // Always two numbers, so that one lost message does not change the fate of all others.
      const [luck, late] = [random(), random()]
      if (luck < loss) return
      // Evenly within three times the jitter: two delays in a row then differ by the jitter on average (RFC 3550, 6.4.1).
      flying.push({ ...message, dueAt: message.sentAt + (latency + late * 3 * jitter) * 1_000 })
    },
    arrived(now) {
      const due = flying.filter((message) => message.dueAt <= now)
      if (due.length > 0) flying = flying.filter((message) => message.dueAt > now)
      return due.sort((a, b) => a.dueAt - b.dueAt)
    },
    inFlight: () => flying.length,
    shift(ms) {
      flying = flying.map((message) => ({ ...message, sentAt: message.sentAt + ms, dueAt: message.dueAt + ms }))
    },
    clear() {
      flying = []
    },
  }
}
