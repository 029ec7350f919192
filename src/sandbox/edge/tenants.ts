import { SECOND } from '../../core/clock.ts'
import type { Random } from '../random.ts'

/** Rate-limit keys: the same tenants in every region, each with an equal share of a region's bucket and refill. */
export const KEYS = 50

/** The name of a key as the admin API lists it. */
export function keyName(key: number): string {
  return `tenant-${1000 + key}`
}

/** Mean lengths of a tenant's burst and of the quiet between two, ms. */
const BURST = 7 * SECOND
const QUIET = 14 * SECOND

/** How the clients of a region share its traffic: each in bursts of its own, all together at an even rate. */
export type Tenants = {
  /** Moves on to `now` (ms) and answers the share of each key, 1 in all. `burst` 1: half as much again in bursts. */
  shares(now: number, burst: number): Float64Array
}

/** Makes tenants that are in the middle of what they do. */
export function createTenants(random: Random): Tenants {
  const busy = Array.from({ length: KEYS }, () => random() < BURST / (BURST + QUIET))
  const until = new Float64Array(KEYS)
  const shares = new Float64Array(KEYS)
  let started = false
  const lasting = (key: number) => (busy[key] ? BURST : QUIET) * (0.5 + random())

  return {
    shares(now, burst) {
      let sum = 0
      for (let k = 0; k < KEYS; k++) {
        if (!started) until[k] = now + lasting(k) * random()
        else if (now >= (until[k] ?? 0)) {
          busy[k] = !busy[k]
          until[k] = now + lasting(k)
        }
        const weight = busy[k] ? 1 + 0.5 * burst : Math.max(0.05, 1 - 0.25 * burst)
        shares[k] = weight
        sum += weight
      }
      started = true
      for (let k = 0; k < KEYS; k++) shares[k] = (shares[k] ?? 0) / sum
      return shares
    },
  }
}
