import type { Context } from 'liquidjs'
import { type Format, link } from './escape.ts'
import { cleanText, cutText } from './text.ts'

type FilterThis = { context: Context }
type Filter = (this: FilterThis, value: unknown, ...args: unknown[]) => unknown

const MINUTE = 60_000

/** The filters that Claw adds to Liquid's own. Times are milliseconds since the epoch; texts are escaped when printed. */
export function filters(format: Format): Record<string, Filter> {
  return {
    /** `4 min ago`, `just now`; for what is read at once, a message that stays should say `utc` */
    ago(value) {
      const time = asNumber(value)
      if (time === null) return ''
      const age = nowOf(this) - time
      return age < MINUTE ? 'just now' : `${duration(age)} ago`
    },
    /** how long from then to `end` (default: now): `31 min`, `2 h 5 min` */
    since(value, end) {
      const time = asNumber(value)
      if (time === null) return ''
      return duration((asNumber(end) ?? nowOf(this)) - time)
    },
    /** `02:15 UTC`, with the date when it is not today */
    utc(value) {
      const time = asNumber(value)
      if (time === null) return ''
      const [date, clock] = isoParts(time)
      const [today] = isoParts(nowOf(this))
      if (date === '') return 'unknown time'
      return date === today ? `${clock} UTC` : `${date} ${clock} UTC`
    },
    /** 0.04 -> `4 %`; nothing known: `unknown` */
    percent(value) {
      const ratio = asNumber(value)
      if (ratio === null) return 'unknown'
      const percent = ratio * 100
      if (percent > 0 && percent < 1) return 'under 1 %'
      return `${Math.round(percent)} %`
    },
    /** ["A","B","C"] -> `A, B and C`; more than `max`: `A, B and 98 more` */
    join_and(value, max) {
      const items = Array.isArray(value)
        ? value.map((item) => cutText(cleanText(String(item ?? '')), 80) || 'unnamed')
        : []
      const limit = asNumber(max) ?? 10
      const shown = items.length > limit ? [...items.slice(0, limit), `${items.length - limit} more`] : items
      return shown.length < 2 ? (shown[0] ?? '') : `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}`
    },
    /** cuts to `n` UTF-16 units, never inside a character */
    truncate_text(value, limit) {
      return cutText(cleanText(String(value ?? '')), asNumber(limit) ?? 100)
    },
    /** a link for a strict http(s) URL, else the text alone: `{{ incident.graphUrl | link: 'Graph' }}` */
    link(value, text) {
      return link(format, value, text ?? value)
    },
  }
}

/** `under a minute`, `31 min`, `2 h 5 min`, `3 d 4 h`. */
function duration(ms: number): string {
  const minutes = Math.floor(Math.max(0, ms) / MINUTE)
  if (minutes < 1) return 'under a minute'
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`
  return hours % 24 === 0 ? `${Math.floor(hours / 24)} d` : `${Math.floor(hours / 24)} d ${hours % 24} h`
}

function isoParts(time: number): [date: string, clock: string] {
  const date = new Date(time)
  if (Number.isNaN(date.getTime())) return ['', '']
  const iso = date.toISOString()
  const split = iso.indexOf('T')
  return [iso.slice(0, split), iso.slice(split + 1, split + 6)]
}

function asNumber(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null
}

function nowOf(filter: FilterThis): number {
  const { now } = filter.context.globals as { now?: unknown }
  return asNumber(now) ?? Date.now()
}
