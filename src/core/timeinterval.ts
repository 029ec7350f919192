import { ClawError } from './errors.ts'

type Range = readonly [begin: number, end: number]

/** One entry of Alertmanager's `time_intervals[].time_intervals`; null means "not restricted". */
export type TimeInterval = {
  /** minutes of the day, end excluded, 0..1440 */
  readonly times: readonly Range[] | null
  /** 0 = Sunday, both ends included */
  readonly weekdays: readonly Range[] | null
  /** 1..31, or -1 (last day) .. -31, both ends included */
  readonly daysOfMonth: readonly Range[] | null
  readonly months: readonly Range[] | null
  readonly years: readonly Range[] | null
  /** IANA name, `Local`, or UTC */
  readonly location: string
}

/** As it is written: `{ times: [{ start_time: '09:00', end_time: '17:00' }], weekdays: ['monday:friday'] }`. */
export type TimeIntervalInput = {
  times?: { start_time: string; end_time: string }[] | undefined
  weekdays?: string[] | undefined
  days_of_month?: string[] | undefined
  months?: string[] | undefined
  years?: string[] | undefined
  location?: string | undefined
}

const WEEKDAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday']
const MONTHS = [
  'january',
  'february',
  'march',
  'april',
  'may',
  'june',
  'july',
  'august',
  'september',
  'october',
  'november',
  'december',
]

/**
 * Reads a time interval as Alertmanager does (timeinterval.TimeInterval).
 * @throws ClawError('invalid') naming the field
 */
export function parseTimeInterval(input: TimeIntervalInput): TimeInterval {
  return {
    times: list(input.times, parseTimeRange),
    weekdays: list(input.weekdays, (text) => range('weekdays', text, (part) => WEEKDAYS.indexOf(part), 0, 6)),
    daysOfMonth: list(input.days_of_month, parseDays),
    months: list(input.months, (text) =>
      range('months', text, (part) => (MONTHS.includes(part) ? MONTHS.indexOf(part) + 1 : whole(part)), 1, 12),
    ),
    years: list(input.years, (text) => range('years', text, whole, 0, 9999)),
    location: parseLocation(input.location),
  }
}

function list<In>(input: In[] | undefined, read: (item: In) => Range): Range[] | null {
  return input === undefined || input.length === 0 ? null : input.map(read)
}

function whole(text: string): number {
  return /^[+-]?\d{1,6}$/.test(text) ? Number(text) : Number.NaN
}

function range(field: string, text: string, read: (part: string) => number, min: number, max: number): Range {
  const parts = text.toLowerCase().split(':')
  const [begin, end] = [read((parts[0] ?? '').trim()), read((parts[1] ?? parts[0] ?? '').trim())]
  const fits = (n: number) => n >= min && n <= max
  if (parts.length > 2 || !fits(begin) || !fits(end))
    throw new ClawError('invalid', `${field}: "${text}" is not valid; write ${EXAMPLES[field] ?? 'a:b'}`)
  if (begin > end) throw new ClawError('invalid', `${field}: "${text}" ends before it starts`)
  return [begin, end]
}

const EXAMPLES: Readonly<Record<string, string>> = {
  weekdays: 'monday:friday or sunday',
  months: 'january:march, 1:3 or may',
  years: '2026:2027 or 2026',
  days_of_month: '1:5, 15 or -3:-1 (counted from the end)',
}

function parseDays(text: string): Range {
  const parts = text.split(':')
  const [begin, end] = [whole((parts[0] ?? '').trim()), whole((parts[1] ?? parts[0] ?? '').trim())]
  const fits = (n: number) => n !== 0 && n >= -31 && n <= 31
  if (parts.length > 2 || !fits(begin) || !fits(end))
    throw new ClawError('invalid', `days_of_month: "${text}" is not valid; write ${EXAMPLES.days_of_month}`)
  if (begin < 0 && end > 0)
    throw new ClawError('invalid', `days_of_month: "${text}": the end must be negative when the start is`)
  // whether a mixed range is empty depends on the month; refuse what is empty in every month (Alertmanager counts 28 days)
  const from = (n: number) => (n < 0 ? 28 + n : n)
  if (from(begin) > from(end)) throw new ClawError('invalid', `days_of_month: "${text}" ends before it starts`)
  return [begin, end]
}

function parseTimeRange(input: { start_time: string; end_time: string }): Range {
  const [start, end] = [minutes(input.start_time), minutes(input.end_time)]
  if (start >= end)
    throw new ClawError('invalid', `times: ${input.start_time} to ${input.end_time}: the start must be before the end`)
  return [start, end]
}

function minutes(text: string): number {
  const read = /^(?:([01]\d|2[0-3]):([0-5]\d)|24:00)$/.exec(text)
  if (read === null) throw new ClawError('invalid', `times: "${text}" is no time of day; write 09:00, at most 24:00`)
  return read[1] === undefined ? 1440 : Number(read[1]) * 60 + Number(read[2])
}

function parseLocation(text: string | undefined): string {
  if (text === undefined || text === '' || text === 'UTC') return 'UTC'
  if (text !== 'Local') formatterOf(text)
  return text
}

/** Whether the instant (milliseconds since the epoch) lies in the interval, in the interval's own time zone. */
export function contains(interval: TimeInterval, ms: number): boolean {
  const at = localTime(interval.location, ms)
  const inside = (ranges: readonly Range[] | null, n: number) =>
    ranges === null || ranges.some(([begin, end]) => n >= begin && n <= end)
  if (interval.times !== null && !interval.times.some(([s, e]) => at.minute >= s && at.minute < e)) return false
  if (!inside(interval.weekdays, at.weekday) || !inside(interval.months, at.month) || !inside(interval.years, at.year))
    return false
  if (interval.daysOfMonth === null) return true
  const days = new Date(Date.UTC(at.year, at.month, 0)).getUTCDate()
  const fromStart = (n: number) => (n < 0 ? days + n + 1 : n)
  return interval.daysOfMonth.some(([begin, end]) => at.day >= fromStart(begin) && at.day <= fromStart(end))
}

type LocalTime = { minute: number; weekday: number; day: number; month: number; year: number }

const formatters = new Map<string, Intl.DateTimeFormat>()
const newest = new Map<string, { minute: number; time: LocalTime }>()

function formatterOf(location: string): Intl.DateTimeFormat {
  const known = formatters.get(location)
  if (known !== undefined) return known
  try {
    const made = new Intl.DateTimeFormat('en-US-u-ca-gregory', {
      ...(location === 'Local' ? {} : { timeZone: location }),
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
    })
    formatters.set(location, made)
    return made
  } catch {
    throw new ClawError('invalid', `location: "${location}" is no time zone; write one such as Europe/Berlin or UTC`)
  }
}

/** Wall clock in a zone; the newest minute is kept per zone, because a storm asks for the same minute over and over. */
function localTime(location: string, ms: number): LocalTime {
  const minute = Math.floor(ms / 60_000)
  const kept = newest.get(location)
  if (kept?.minute === minute) return kept.time
  const time = location === 'UTC' ? utcTime(ms) : zonedTime(location, ms)
  newest.set(location, { minute, time })
  return time
}

function utcTime(ms: number): LocalTime {
  const date = new Date(ms)
  return {
    minute: date.getUTCHours() * 60 + date.getUTCMinutes(),
    weekday: date.getUTCDay(),
    day: date.getUTCDate(),
    month: date.getUTCMonth() + 1,
    year: date.getUTCFullYear(),
  }
}

function zonedTime(location: string, ms: number): LocalTime {
  const part: Record<string, number> = {}
  for (const { type, value } of formatterOf(location).formatToParts(ms)) part[type] = Number(value)
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0 } = part
  const weekday = new Date(Date.UTC(year, month - 1, day)).getUTCDay()
  return { minute: hour * 60 + minute, weekday, day, month, year }
}
