import { isIP } from 'node:net'
import { z } from 'zod'
import { DURATION_PATTERN, parseDuration } from '../core/duration.ts'

/** A duration as Prometheus writes it, read as milliseconds. */
export function duration() {
  const message = 'must be a duration such as 30s, 5m, 1h30m or 1d'
  return z
    .string(message)
    .regex(DURATION_PATTERN, message)
    .transform((text) => (DURATION_PATTERN.test(text) ? parseDuration(text) : 0))
}

/** A duration longer than 0. */
export function positiveDuration() {
  return duration().refine((ms) => ms > 0, 'must be longer than 0')
}

/** A text that must not be empty. */
export function text() {
  return z.string().min(1, 'must not be empty')
}

/** A secret: an empty one (an unset variable in a deployment, say) must never mean "none". */
export function secret() {
  return z
    .string()
    .min(1, 'must not be empty; remove the key or give it a value')
    .regex(/^[\x20-\x7e]*$/, 'must be printable ASCII on one line')
}

/** A number or text that identifies something elsewhere, such as a Telegram chat. */
export function identifier() {
  return z.union([text(), z.int()]).transform(String)
}

/** An http(s) URL without blanks; credentials in it are allowed, fragments are not. */
export function httpUrl() {
  const message = 'must be an http:// or https:// URL'
  return z.string(message).refine((value) => {
    if (/[\s<>|"\\]/.test(value) || !/^https?:\/\//i.test(value)) return false
    const url = URL.parse(value)
    return url !== null && url.hash === '' && url.hostname !== ''
  }, message)
}

/** One text or a list of them, read as a list. */
export function oneOrMany(item: z.ZodType<string, string>) {
  return z
    .union([item, z.array(item).min(1, 'must not be an empty list')])
    .transform((value) => (typeof value === 'string' ? [value] : value))
}

/**
 * Whom a Slack message mentions: `here`, `channel`, or the id of a person (U…, W…) or user group (S…), read as Slack writes
 * mentions; see "Formatting text for app surfaces" in Slack's documentation.
 */
export function mention() {
  return z
    .string()
    .regex(
      /^(?:@?(?:here|channel)|[UW][A-Z0-9]{1,30}|S[A-Z0-9]{1,30}|<(?:!here|!channel|@[UW][A-Z0-9]{1,30}|!subteam\^S[A-Z0-9]{1,29})>)$/,
      'must be here, channel, or the id of a person (U…) or user group (S…)',
    )
    .transform((value) => {
      if (value.startsWith('<')) return value
      const bare = value.replace(/^@/, '')
      if (bare === 'here' || bare === 'channel') return `<!${bare}>`
      return bare.startsWith('S') ? `<!subteam^${bare}>` : `<@${bare}>`
    })
}

export type ListenAddress = { host: string; port: number }

/** Reads `host:port`, `:port` (all addresses) or `[::1]:port`; null when it is none. */
export function readListen(value: string): ListenAddress | null {
  const read = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]*)):(\d{1,5})$/.exec(value)
  if (read === null || Number(read[3]) > 65_535) return null
  if (read[1] !== undefined && isIP(read[1]) !== 6) return null
  return { host: read[1] ?? (read[2] === '' || read[2] === undefined ? '0.0.0.0' : read[2]), port: Number(read[3]) }
}

/** `sqlite:<path>` or a PostgreSQL URL. */
export function storeUrl() {
  return z.string().refine((value) => {
    if (value.startsWith('sqlite:')) return value.length > 'sqlite:'.length
    return /^postgres(?:ql)?:\/\//.test(value) && URL.canParse(value)
  }, 'must be sqlite:<path> or postgres://user:password@host:5432/database')
}

/** A date and time with its offset, read as milliseconds since the epoch. */
export function timestamp() {
  return z
    .string()
    .regex(
      /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})$/,
      'must be a time such as 2026-03-01T22:00:00Z',
    )
    .refine((value) => !Number.isNaN(Date.parse(value)), 'is no valid date')
    .transform((value) => Date.parse(value))
}
