import { describeRoute } from '../config/index.ts'
import { ClawError } from '../core/errors.ts'
import type { Flags } from '../main.ts'
import { configOf } from './config.ts'

/** `claw route label=value...`: which receivers an alert would reach, at which level, and why. Exit 1 when none would hear. */
export async function route(flags: Flags, rest: string[]): Promise<number> {
  const labels: Record<string, string> = {}
  for (const pair of rest) {
    const at = pair.indexOf('=')
    if (at < 1) throw new ClawError('invalid', `${JSON.stringify(pair)} is not label=value.`)
    labels[pair.slice(0, at)] = pair.slice(at + 1).replace(/^"(.*)"$/s, '$1')
  }
  const { policy } = await configOf(flags.config)
  const hits = describeRoute(policy, labels, Date.now())
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify(hits, null, 2)}\n`)
  } else {
    const [first] = hits
    if (first) process.stdout.write(`level ${first.level}: ${first.levelReason}\n`)
    for (const hit of hits) {
      const receiver = policy.receivers.get(hit.receiver)
      const where = receiver?.destinations.map(({ lane, target }) =>
        lane.startsWith('webhook') ? lane : `${lane} ${target}`,
      )
      const to = where && where.length > 0 ? where.join(', ') : 'nobody: this receiver has no destinations'
      const mute = hit.muted === null ? '' : ` (muted now: ${hit.muted})`
      process.stdout.write(`receiver ${hit.receiver}${mute}: ${to}\n  because ${hit.why}\n`)
    }
  }
  const heard = hits.some((hit) => (policy.receivers.get(hit.receiver)?.destinations.length ?? 0) > 0)
  return heard ? 0 : 1
}
