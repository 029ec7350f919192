import { z } from 'zod'
import { SECOND } from '../../core/clock.ts'
import type { EdgeAdmin, TrafficChange, TrafficSwitch } from '../../core/edge.ts'
import { ClawError } from '../../core/errors.ts'

type Receiving = Readonly<Record<string, boolean | null>>

const stateSchema = z.object({ receiving: z.record(z.string(), z.boolean().nullable()) })

/** TTL of the DNS record before the edge (system.md, section 3: "TTL 60 s") */
const SETTLES_WITHIN = 60 * SECOND

/**
 * The edge as the one that sends clients to regions. `read` gives `{"receiving": {region: true | false | null}}`; null is a
 * region of which the edge does not say so, and such a one never conflicts. `move` and `restore` return the operation to
 * wait for; the edge's Idempotency-Key makes repeating them harmless. `restore` belongs after the end of move's operation:
 * where `from` receives as before, nothing was moved and nothing is put back (null).
 */
export function createEdgeTraffic(admin: Pick<EdgeAdmin, 'regions' | 'start'>): TrafficSwitch {
  async function receiving(signal: AbortSignal): Promise<Receiving> {
    const regions = await admin.regions(signal)
    return Object.fromEntries(regions.map((entry) => [entry.region, entry.receiving]))
  }

  /** @throws ClawError('conflict') unless each region is as it was, or as a move (under way or done) makes it */
  async function compare(change: TrafficChange, signal: AbortSignal): Promise<{ before: Receiving; now: Receiving }> {
    const parsed = stateSchema.safeParse(change.expected)
    if (!parsed.success) throw new ClawError('invalid', 'Edge, traffic: what it is to be compared with is not known')
    const before = parsed.data.receiving
    const now = await receiving(signal)
    const moved: Receiving = { ...before, [change.from]: false, [change.to]: true }
    const changed = Object.keys(before).filter((region) => {
      const is = now[region] ?? null
      return is !== null && before[region] !== null && is !== before[region] && is !== moved[region]
    })
    if (changed.length === 0) return { before, now }
    const list = changed.map((region) => `${region} ${now[region] ? 'receives' : 'no longer receives'} traffic`)
    throw new ClawError(
      'conflict',
      `Edge, traffic: changed by somebody else meanwhile (${list.join(', ')}); look at it, then ask again`,
    )
  }

  return {
    kind: 'edge',
    settlesWithin: SETTLES_WITHIN,
    async read(signal) {
      return { receiving: await receiving(signal) }
    },
    async move(change, signal) {
      await compare(change, signal)
      const { from, to, by, incident, key } = change
      return await admin.start({ kind: 'failover', from, to, by, incident }, key, signal)
    },
    async restore(change, signal) {
      const { before, now } = await compare(change, signal)
      const { from, to, by, incident, key } = change
      // asked all the same, the edge would send the clients of `to` itself to `from`
      if (now[from] === true && before[from] === true && now[to] === before[to]) return null
      return await admin.start({ kind: 'failover', from: to, to: from, by, incident }, key, signal)
    },
  }
}
