import type { Clock } from '../core/clock.ts'

/** Token buckets by key, as the platforms' rate limits behave seen from outside. */
export class Buckets {
  readonly #clock: Clock
  readonly #buckets = new Map<string, { tokens: number; at: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Takes one token. Returns 0 when there was one, else the whole seconds until there is (at least 1). */
  take(key: string, burst: number, perSecond: number): number {
    const now = this.#clock()
    const bucket = this.#buckets.get(key) ?? { tokens: burst, at: now }
    bucket.tokens = Math.min(burst, bucket.tokens + (Math.max(0, now - bucket.at) / 1_000) * perSecond)
    bucket.at = now
    this.#buckets.set(key, bucket)
    // Refilling in fractions must not leave a token at 0.9999999.
    if (bucket.tokens >= 1 - 1e-9) {
      bucket.tokens -= 1
      return 0
    }
    return Math.max(1, Math.ceil((1 - bucket.tokens) / perSecond - 1e-9))
  }

  reset(): void {
    this.#buckets.clear()
  }
}
