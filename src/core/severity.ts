import type { AlertClass, Labels, Level } from './alert.ts'
import type { Matcher } from './matchers.ts'
import { labelOf, matchAll } from './matchers.ts'

/** `matchers` are joined by AND; none match everything. */
export type SeverityRule = { level: Level; matchers: Matcher[] }

export const LEVELS = ['P1', 'P2', 'P3'] as const satisfies readonly Level[]

export const CLASSES = [
  'exhaustion',
  'divergence',
  'sync lag',
  'latency',
  'errors',
  'canary',
  'capacity',
  'region',
] as const satisfies readonly AlertClass[]

/** Alert name to class, from contract.md, section 8. */
export const DEFAULT_CLASSES: Readonly<Record<string, AlertClass>> = {
  TokenBucketDepleted: 'exhaustion',
  TokenBucketCollapsing: 'exhaustion',
  TokenBucketLow: 'exhaustion',
  CrdtConflictsHigh: 'divergence',
  CrdtDriftHigh: 'divergence',
  WrongRefusals: 'divergence',
  CrdtSyncLagHigh: 'sync lag',
  ReplicationJitterHigh: 'sync lag',
  LatencyHigh: 'latency',
  ErrorRateHigh: 'errors',
  CanaryRatingLow: 'canary',
  BucketUtilizationHigh: 'capacity',
  TrafficSpike: 'capacity',
  RegionDown: 'region',
}

const PREFIX = 'OpenClaw'
const LOUD = 'rather too loud than lost'

/**
 * The level of an alert and, in words, why: the first rule that matches wins, and P2 when none does. The reason quotes
 * labels (cut at 60 characters): escape it where it is shown.
 */
export function levelOf(rules: readonly SeverityRule[], labels: Labels): { level: Level; reason: string } {
  for (const [index, rule] of rules.entries()) {
    if (!matchAll(rule.matchers, labels)) continue
    return { level: rule.level, reason: reasonOf(rules, index, rule, labels) }
  }
  return { level: 'P2', reason: `no severity rule matches: P2, ${LOUD}` }
}

function reasonOf(rules: readonly SeverityRule[], index: number, rule: SeverityRule, labels: Labels): string {
  const { level } = rule
  if (rule.matchers.length > 0) {
    const names = [...new Set(rule.matchers.map((m) => m.name))]
    const seen = names.map((name) => {
      const value = labelOf(labels, name)
      return value === '' ? `no ${name}` : `${name}=${quoted(value)}`
    })
    return `${seen.join(' and ')} makes it ${level} (rule ${index + 1})`
  }
  const asked = [...new Set(rules.slice(0, index).flatMap((r) => r.matchers.map((m) => m.name)))]
  if (asked.length === 0) return `every alert is ${level} (rule ${index + 1})`
  const why = asked.map((name) => {
    const value = labelOf(labels, name)
    return value === '' ? `${name} is missing` : `${name} ${quoted(value)} is unknown`
  })
  return `${why.join(', ')}: ${level}, ${level === 'P3' ? `by rule ${index + 1}` : LOUD}`
}

function quoted(value: string): string {
  const chars = Array.from(value.slice(0, 200))
  return JSON.stringify(chars.length <= 60 ? value : `${chars.slice(0, 59).join('')}…`)
}

/** One step up; never from P3, which is information, and not above P1. */
export function raise(level: Level): Level {
  return level === 'P2' ? 'P1' : level
}

/** True when `a` is worse (more urgent) than `b`. */
export function worse(a: Level, b: Level): boolean {
  return a < b
}

/** The more urgent of two levels. */
export function worst(a: Level, b: Level): Level {
  return a < b ? a : b
}

/** The class that a text names, in any case and with `_` or `-` for the blank; null when it names none. */
export function classNamed(text: string): AlertClass | null {
  const name = text.trim().toLowerCase().replace(/[_-]/g, ' ')
  return CLASSES.find((known) => known === name) ?? null
}

/**
 * What an alert is about: the label `class` where it names a class, else the map by alert name, in which `OpenClawX` and
 * `X` mean the same (contract.md, section 8); null when neither says.
 */
export function classOf(classes: Readonly<Record<string, AlertClass>>, labels: Labels): AlertClass | null {
  const own = classNamed(labelOf(labels, 'class'))
  if (own !== null) return own
  const name = labelOf(labels, 'alertname')
  const other = name.startsWith(PREFIX) ? name.slice(PREFIX.length) : PREFIX + name
  for (const key of [name, other]) if (Object.hasOwn(classes, key)) return classes[key] ?? null
  return null
}
