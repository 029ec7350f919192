import type { Pacing } from '../core/delivery.ts'

/** A token bucket. Times in milliseconds. */
class Bucket {
  readonly #burst: number
  readonly #perMs: number
  #tokens: number
  #at: number

  constructor(limit: { burst: number; perSecond: number }, now: number) {
    this.#burst = limit.burst
    this.#perMs = limit.perSecond / 1000
    this.#tokens = limit.burst
    this.#at = now
  }

  /** Milliseconds until a token above `keep` is there; 0 when it is. */
  wait(now: number, keep: number): number {
    this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, now - this.#at) * this.#perMs)
    this.#at = now
    const missing = keep + 1 - this.#tokens
    return missing <= 1e-9 ? 0 : Math.max(1, Math.ceil(missing / this.#perMs))
  }

  take(): void {
    this.#tokens -= 1
  }

  full(now: number): boolean {
    return this.wait(now, this.#burst - 1) === 0
  }
}

type Target = { bucket: Bucket | null; busy: number; pausedUntil: number; failures: number; probing: boolean }

/** Failures in a row after which a target is left alone for a while, and then tried by a single step. */
const TRIP_AFTER = 5
const MAX_PAUSE = 30_000

/**
 * Keeps one lane within its platform's limits: concurrency, token buckets per lane and target with a reserve for urgent
 * steps, pauses that a platform asked for, and a breaker per target.
 */
export class Pacer {
  readonly #pacing: Pacing
  readonly #lane: Bucket | null
  readonly #targets = new Map<string, Target>()
  #busy = 0
  #pausedUntil = 0

  constructor(pacing: Pacing, now: number) {
    this.#pacing = pacing
    this.#lane = pacing.lane ? new Bucket(pacing.lane, now) : null
  }

  get busy(): number {
    return this.#busy
  }

  free(now: number): number {
    return now < this.#pausedUntil ? 0 : this.#pacing.concurrency - this.#busy
  }

  #target(name: string, now: number): Target {
    let target = this.#targets.get(name)
    if (!target) {
      if (this.#targets.size > 1000) this.#forget(now)
      const bucket = this.#pacing.target ? new Bucket(this.#pacing.target, now) : null
      target = { bucket, busy: 0, pausedUntil: 0, failures: 0, probing: false }
      this.#targets.set(name, target)
    }
    return target
  }

  #forget(now: number): void {
    for (const [name, target] of this.#targets) {
      const idle = target.busy === 0 && target.failures === 0 && target.pausedUntil <= now
      if (idle && (target.bucket?.full(now) ?? true)) this.#targets.delete(name)
    }
  }

  /** Milliseconds until a step to this target may start; 0: now; Infinity: when one that runs has ended. */
  wait(name: string, urgent: boolean, now: number): number {
    if (this.#busy >= this.#pacing.concurrency) return Number.POSITIVE_INFINITY
    const target = this.#target(name, now)
    if (target.busy >= this.#pacing.perTarget || target.probing) return Number.POSITIVE_INFINITY
    const share = urgent ? 0 : this.#pacing.reserve
    return Math.max(
      this.#pausedUntil - now,
      target.pausedUntil - now,
      this.#lane?.wait(now, Math.floor((this.#pacing.lane?.burst ?? 0) * share)) ?? 0,
      target.bucket?.wait(now, Math.floor((this.#pacing.target?.burst ?? 0) * share)) ?? 0,
      0,
    )
  }

  /** Targets to which not even an urgent step may go now, and when the first of them is free again. */
  blocked(now: number): { targets: string[]; until: number } {
    const targets: string[] = []
    let until = Number.POSITIVE_INFINITY
    for (const name of this.#targets.keys()) {
      const wait = this.wait(name, true, now)
      if (wait === 0) continue
      targets.push(name)
      until = Math.min(until, now + wait)
    }
    return { targets, until }
  }

  start(name: string, now: number): void {
    const target = this.#target(name, now)
    target.probing = target.failures >= TRIP_AFTER
    target.busy += 1
    this.#busy += 1
    target.bucket?.take()
    this.#lane?.take()
  }

  ended(name: string, now: number): void {
    const target = this.#target(name, now)
    target.busy -= 1
    target.probing = false
    this.#busy -= 1
  }

  succeeded(name: string, now: number): void {
    this.#target(name, now).failures = 0
  }

  /** @param random 0..1, for the jitter of the breaker's pause */
  failed(name: string, now: number, random: number): void {
    const target = this.#target(name, now)
    target.failures += 1
    const over = target.failures - TRIP_AFTER
    if (over >= 0) {
      const pause = Math.min(MAX_PAUSE, 1000 * 2 ** Math.min(over, 10))
      target.pausedUntil = Math.max(target.pausedUntil, now + pause / 2 + (random * pause) / 2)
    }
  }

  /** The platform asked for a pause (429). */
  pause(name: string | null, until: number): void {
    if (name === null) this.#pausedUntil = Math.max(this.#pausedUntil, until)
    else {
      const target = this.#target(name, until)
      target.pausedUntil = Math.max(target.pausedUntil, until)
    }
  }

  pausedUntil(): number {
    return this.#pausedUntil
  }
}

/**
 * Exponential back-off with full jitter: 0.5 s doubled per attempt, at most 30 s (contract.md, section 8), never less than
 * what the platform asked for. Milliseconds.
 */
export function backOff(attempts: number, retryAfterMs: number | null, random: number): number {
  const ceiling = Math.min(MAX_PAUSE, 500 * 2 ** Math.min(attempts, 10))
  return Math.max(retryAfterMs ?? 0, Math.min(MAX_PAUSE, Math.round(50 + random * ceiling)))
}
