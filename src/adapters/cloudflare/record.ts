import { isIP } from 'node:net'
import { z } from 'zod'
import { ClawError } from '../../core/errors.ts'
import type { CloudflareApi } from './api.ts'
import { type CloudflareRegion, settlesWithin, type Target } from './target.ts'

const TYPES = ['A', 'AAAA', 'CNAME'] as const

const recordSchema = z.object({
  id: z.string().min(1),
  type: z.enum(TYPES),
  name: z.string(),
  content: z.string(),
  ttl: z.number(),
  proxied: z
    .boolean()
    .nullish()
    .transform((proxied) => proxied === true),
})

const listSchema = z.array(z.unknown())

type DnsRecord = z.infer<typeof recordSchema>

/**
 * The one address record (A, AAAA or CNAME) of a name. Several of them share the clients between them, which one change
 * cannot switch: that is refused, a load balancer is for it.
 */
export function recordTarget(
  api: CloudflareApi,
  zone: string,
  record: string,
  regions: Readonly<Record<string, CloudflareRegion>>,
): Target<DnsRecord> {
  const name = `record ${record}`
  const path = `/zones/${encodeURIComponent(zone)}/dns_records`
  const addressOf = (region: string): string => {
    const address = regions[region]?.address
    if (address !== undefined) return address
    throw new ClawError('invalid', `Cloudflare, ${name}: failover.regions.${region}.address is not set`)
  }

  return {
    name,
    parse: (stored) => recordSchema.safeParse(stored).data ?? null,
    async look(signal) {
      const query: [string, string][] = [
        ['name', record],
        ['per_page', '100'],
      ]
      const listed = await api.get(name, path, query, listSchema, signal)
      const found = listed.flatMap((entry) => {
        const parsed = recordSchema.safeParse(entry)
        return parsed.success && plain(parsed.data.name) === plain(record) ? [parsed.data] : []
      })
      const [only] = found
      if (only !== undefined && found.length === 1) return only
      if (only === undefined) {
        throw new ClawError('not_found', `Cloudflare, ${name}: the zone has no A, AAAA or CNAME record of that name`)
      }
      throw new ClawError(
        'invalid',
        `Cloudflare, ${name}: there are ${found.length} address records of that name, only one can be switched; use a load balancer`,
      )
    },
    moved(state, from, to) {
      const [old, next] = [addressOf(from), addressOf(to)]
      if (plain(state.content) === plain(next)) return state
      if (plain(state.content) !== plain(old)) {
        throw new ClawError(
          'conflict',
          `Cloudflare, ${name}: holds ${state.content}, not the address of ${from} (${old})`,
        )
      }
      if (typeOf(next) !== state.type) {
        throw new ClawError(
          'invalid',
          `Cloudflare, ${name}: is of type ${state.type}, failover.regions.${to}.address needs ${typeOf(next)}`,
        )
      }
      return { ...state, content: next }
    },
    // an other id is the record deleted and made again; TTL and proxying are not ours to put back
    same: (a, b) => a.type === b.type && plain(a.content) === plain(b.content),
    shown: (state) => `it holds ${state.content}`,
    async write(now, wanted, signal) {
      const { type, name: full, ttl } = now
      await api.patch(
        name,
        `${path}/${encodeURIComponent(now.id)}`,
        { type, name: full, ttl, content: wanted.content },
        signal,
      )
    },
    settlesWithin: ({ ttl, proxied }) => settlesWithin(ttl, proxied),
  }
}

function typeOf(address: string): DnsRecord['type'] {
  const family = isIP(address)
  return family === 4 ? 'A' : family === 6 ? 'AAAA' : 'CNAME'
}

/** Names and addresses are compared without regard to case and the root's dot. */
function plain(text: string): string {
  return text.toLowerCase().replace(/\.$/, '')
}
