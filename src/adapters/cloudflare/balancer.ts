import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { ClawError } from '../../core/errors.ts'
import type { CloudflareApi } from './api.ts'
import { type CloudflareRegion, settlesWithin, type Target } from './target.ts'

const pools = z.array(z.string())
const poolsByPlace = z
  .record(z.string(), pools)
  .nullish()
  .transform((map) => map ?? {})

const balancerSchema = z.object({
  default_pools: pools,
  fallback_pool: z
    .string()
    .nullish()
    .transform((pool) => pool ?? null),
  // these go before default_pools for clients of a region, country or data centre
  region_pools: poolsByPlace,
  country_pools: poolsByPlace,
  pop_pools: poolsByPlace,
  ttl: z
    .number()
    .nullish()
    .transform((ttl) => ttl ?? null),
  proxied: z
    .boolean()
    .nullish()
    .transform((proxied) => proxied === true),
})

type Balancer = z.infer<typeof balancerSchema>

const POOLS = ['default_pools', 'fallback_pool', 'region_pools', 'country_pools', 'pop_pools'] as const

/**
 * A load balancer: wherever the pool of `from` stands (default pools, fallback, pools by place), the pool of `to` takes its
 * place, so that in a list by priority nobody else's clients move. Only the lists that differ are sent.
 */
export function balancerTarget(
  api: CloudflareApi,
  zone: string,
  id: string,
  regions: Readonly<Record<string, CloudflareRegion>>,
): Target<Balancer> {
  const name = `load balancer ${id}`
  const path = `/zones/${encodeURIComponent(zone)}/load_balancers/${encodeURIComponent(id)}`
  const poolOf = (region: string): string => {
    const pool = regions[region]?.pool
    if (pool !== undefined) return pool
    throw new ClawError('invalid', `Cloudflare, ${name}: failover.regions.${region}.pool is not set`)
  }

  return {
    name,
    parse: (stored) => balancerSchema.safeParse(stored).data ?? null,
    look: (signal) => api.get(name, path, [], balancerSchema, signal),
    moved(state, from, to) {
      const [old, next] = [poolOf(from), poolOf(to)]
      const list = (before: string[]) => [...new Set(before.map((pool) => (pool === old ? next : pool)))]
      const map = (before: Record<string, string[]>) =>
        Object.fromEntries(Object.entries(before).map(([place, entry]) => [place, list(entry)]))
      const after = {
        ...state,
        default_pools: list(state.default_pools),
        fallback_pool: state.fallback_pool === old ? next : state.fallback_pool,
        region_pools: map(state.region_pools),
        country_pools: map(state.country_pools),
        pop_pools: map(state.pop_pools),
      }
      if (isDeepStrictEqual(after, state) && !state.default_pools.includes(next)) {
        throw new ClawError('conflict', `Cloudflare, ${name}: uses neither the pool of ${from} nor that of ${to}`)
      }
      return after
    },
    same: (a, b) => POOLS.every((key) => isDeepStrictEqual(a[key], b[key])),
    shown: (state) => `its default pools are ${state.default_pools.join(', ')}`,
    async write(now, wanted, signal) {
      const changed = POOLS.filter((key) => !isDeepStrictEqual(now[key], wanted[key]))
      await api.patch(name, path, Object.fromEntries(changed.map((key) => [key, wanted[key]])), signal)
    },
    settlesWithin: ({ ttl, proxied }) => settlesWithin(ttl, proxied),
  }
}
