import { SECOND } from '../../core/clock.ts'
import type { Json } from '../../core/delivery.ts'

/** What `failover.regions` says of one region. */
export type CloudflareRegion = { address?: string | undefined; pool?: string | undefined }

/** One thing at Cloudflare that decides where clients go: a DNS record or a load balancer. */
export type Target<S extends { [key: string]: Json }> = {
  /** `record rating.example.com` */
  name: string
  /** what `look` gave before, as stored; null when it is none */
  parse(stored: Json): S | null
  look(signal: AbortSignal): Promise<S>
  /** `state` with the clients of `from` sent to `to`; unchanged when they go there already. @throws ClawError */
  moved(state: S, from: string, to: string): S
  same(a: S, b: S): boolean
  /** in words, for a conflict */
  shown(state: S): string
  write(now: S, wanted: S, signal: AbortSignal): Promise<void>
  /** ms */
  settlesWithin(state: S): number
}

/**
 * Until nothing of the target is known: automatic TTL and proxied records are both 300 s (Cloudflare, "Time to Live (TTL)").
 */
export const UNKNOWN_SETTLES_WITHIN = 300 * SECOND

/** Resolvers keep an answer a little longer than they should; below this no wait is worth counting on. */
const LEAST = 60 * SECOND

/** How long clients may keep the old answer, ms. `ttl` in seconds, 1 is automatic; null when it is not given. */
export function settlesWithin(ttl: number | null, proxied: boolean): number {
  if (proxied || ttl === 1) return UNKNOWN_SETTLES_WITHIN
  return Math.max(LEAST, (ttl ?? 0) * SECOND)
}
