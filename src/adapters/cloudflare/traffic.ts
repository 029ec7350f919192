import type { Json } from '../../core/delivery.ts'
import type { TrafficChange, TrafficSwitch } from '../../core/edge.ts'
import { ClawError } from '../../core/errors.ts'
import { createCloudflareApi } from './api.ts'
import { balancerTarget } from './balancer.ts'
import { recordTarget } from './record.ts'
import { type CloudflareRegion, type Target, UNKNOWN_SETTLES_WITHIN } from './target.ts'

export type CloudflareOptions = {
  apiUrl: string
  token: string
  /** zone id */
  zone: string
  /** DNS name whose record is switched; this or `loadBalancer` */
  record?: string | undefined
  /** id of the load balancer whose pools are switched */
  loadBalancer?: string | undefined
  /** `failover.regions`: `address` for a record, `pool` for a load balancer */
  regions: Readonly<Record<string, CloudflareRegion>>
  /** for one of the three calls; default 3 000 */
  timeoutMs?: number
}

/**
 * Cloudflare as the one that sends clients to regions: a DNS record (content) or a load balancer (pools). Cloudflare has no
 * conditional writes, so compare-and-set is: look, compare, write, look again. `settlesWithin` follows the TTL as last seen.
 * @throws ClawError('invalid') when `apiUrl` is no http(s) URL, or not just one of `record` and `loadBalancer` is given
 */
export function createCloudflareTraffic(options: CloudflareOptions): TrafficSwitch {
  const { apiUrl, token, zone, record, loadBalancer, regions, timeoutMs = 3_000 } = options
  const api = createCloudflareApi({ apiUrl, token, timeoutMs })
  if (record !== undefined && loadBalancer === undefined) return over(recordTarget(api, zone, record, regions))
  if (loadBalancer !== undefined && record === undefined) return over(balancerTarget(api, zone, loadBalancer, regions))
  throw new ClawError('invalid', 'failover.cloudflare needs either record or load_balancer')
}

function over<S extends { [key: string]: Json }>(target: Target<S>): TrafficSwitch {
  let settlesWithin = UNKNOWN_SETTLES_WITHIN

  async function look(signal: AbortSignal): Promise<S> {
    const state = await target.look(signal)
    settlesWithin = target.settlesWithin(state)
    return state
  }

  async function change(back: boolean, { expected, from, to }: TrafficChange, signal: AbortSignal): Promise<null> {
    const before = target.parse(expected)
    if (before === null) {
      throw new ClawError('invalid', `Cloudflare, ${target.name}: what it is to be compared with is not known`)
    }
    const after = target.moved(before, from, to)
    const [base, goal] = back ? [after, before] : [before, after]
    const now = await look(signal)
    if (target.same(now, goal)) return null
    if (!target.same(now, base)) throw conflict(now)
    await target.write(now, goal, signal)
    const seen = await look(signal)
    if (!target.same(seen, goal)) throw conflict(seen)
    return null
  }

  function conflict(state: S): ClawError {
    return new ClawError(
      'conflict',
      `Cloudflare, ${target.name}: changed by somebody else meanwhile, ${target.shown(state)}; look at it, then ask again`,
    )
  }

  return {
    kind: 'cloudflare',
    get settlesWithin() {
      return settlesWithin
    },
    read: look,
    move: (wanted, signal) => change(false, wanted, signal),
    restore: (wanted, signal) => change(true, wanted, signal),
  }
}
