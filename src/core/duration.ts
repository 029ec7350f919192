import { ClawError } from './errors.ts'

/** Units as Prometheus defines them: a day has 24 hours, a year 365 days (prometheus/common, model.ParseDuration). */
const UNITS = [
  ['y', 365 * 24 * 3_600_000],
  ['w', 7 * 24 * 3_600_000],
  ['d', 24 * 3_600_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
] as const

/** What a duration looks like: `1h30m`, `5m`, `500ms`, `1d`, `1w`, `0`; each unit at most once, the largest first. */
export const DURATION_PATTERN =
  /^(?:0|(?=\d)(?:\d{1,9}y)?(?:\d{1,9}w)?(?:\d{1,9}d)?(?:\d{1,9}h)?(?:\d{1,9}m(?!s))?(?:\d{1,9}s)?(?:\d{1,9}ms)?)$/

/**
 * Milliseconds of a duration as Prometheus and Alertmanager write it.
 * @throws ClawError('invalid') when it is not written so
 */
export function parseDuration(text: string): number {
  if (!DURATION_PATTERN.test(text))
    throw new ClawError('invalid', `"${text.slice(0, 40)}" is no duration: write it as 30s, 5m, 1h30m or 1d`)
  let total = 0
  for (const [, count, unit] of text.matchAll(/(\d+)(ms|[ywdhms])/g))
    total += Number(count) * (UNITS.find(([name]) => name === unit)?.[1] ?? 0)
  return total
}

/** The shortest text that parseDuration reads back, e.g. 5400000 -> `1h30m`; whole milliseconds, 0 -> `0s`. */
export function formatDuration(ms: number): string {
  let rest = Math.max(0, Math.round(ms))
  let out = ''
  for (const [name, size] of UNITS) {
    // weeks and years only when nothing is left over: 90d reads better than 12w6d
    if ((name === 'y' || name === 'w') && rest % size !== 0) continue
    const count = Math.floor(rest / size)
    if (count > 0) out += `${count}${name}`
    rest -= count * size
  }
  return out || '0s'
}
