import { HOUR, MINUTE, SECOND } from '../../src/core/clock.ts'

const DAY = 24 * HOUR

/** One line of at most `limit` characters: control and text-reordering characters become blanks. */
export function line(text: string, limit = 200): string {
  const clean = text.toWellFormed().replace(/[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gu, ' ')
  const chars = Array.from(clean.slice(0, limit * 2))
  return chars.length <= limit && clean.length <= limit * 2 ? chars.join('') : `${chars.slice(0, limit - 1).join('')}…`
}

/** A span of milliseconds as people say it: `12 s`, `4 min`, `2 h 5 min`, `3 d 4 h`. */
export function span(ms: number): string {
  const whole = Math.max(0, ms)
  if (whole < MINUTE) return `${Math.round(whole / SECOND)} s`
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} min`
  const [large, small, size, part] =
    whole < DAY ? (['h', 'min', HOUR, MINUTE] as const) : (['d', 'h', DAY, HOUR] as const)
  const rest = Math.floor((whole % size) / part)
  return `${Math.floor(whole / size)} ${large}${rest > 0 ? ` ${rest} ${small}` : ''}`
}

/** `02:15 UTC`, with the date when it is not the day of `now`; milliseconds since the epoch. */
export function timeOf(at: number, now: number): string {
  const date = new Date(at)
  if (Number.isNaN(date.getTime())) return 'unknown'
  const iso = date.toISOString()
  const day = iso.slice(0, 10) === new Date(now).toISOString().slice(0, 10) ? '' : `${iso.slice(0, 10)} `
  return `${day}${iso.slice(11, 16)} UTC`
}

/** `1 alert`, `3 alerts`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`
}

/** A whole percent of a ratio 0..1, but never 0 % for something that is not empty. */
export function percent(ratio: number): string {
  const value = ratio * 100
  return value > 0 && value < 1 ? '< 1 %' : `${Math.round(value)} %`
}

/** `███░░ 52 %` */
export function bar(ratio: number): string {
  const full = Math.min(5, Math.max(0, Math.round(ratio * 5)))
  return `${'█'.repeat(full)}${'░'.repeat(5 - full)} ${percent(ratio)}`
}

/** At most three digits that matter: `0.04`, `1.5`, `240`, `12 k`. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return 'unknown'
  // What decays never quite reaches 0.
  if (Math.abs(value) < 0.001) return '0'
  if (Math.abs(value) >= 10_000) return `${Math.round(value / 1000)} k`
  return String(Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(2)))
}
