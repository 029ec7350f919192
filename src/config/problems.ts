import type { z } from 'zod'
import { ClawError } from '../core/errors.ts'
import { suggestion } from '../core/suggest.ts'

export type Path = readonly (string | number)[]

/** One mistake. `line` and `column` count from 1; `path` is e.g. `route.routes[0].receiver`, '' for the whole file. */
export type Problem = { line: number; column: number; path: string; message: string }

/** All mistakes of one file, in the order of its lines. */
export class ConfigError extends ClawError {
  readonly problems: readonly Problem[]
  readonly file: string

  constructor(file: string, problems: readonly Problem[]) {
    const sorted = [...problems].sort((a, b) => a.line - b.line || a.column - b.column)
    super('invalid', sorted.map((problem) => problemText(file, problem)).join('\n'))
    this.name = 'ConfigError'
    this.file = file
    this.problems = sorted
  }
}

/** `claw.yaml:12:5: receiver "critcal" does not exist; did you mean "critical"?` */
export function problemText(file: string, problem: Problem): string {
  return `${file}:${problem.line}:${problem.column}: ${problem.message}`
}

/** `route.routes[0].receiver`; '' for the whole file. */
export function pathText(path: Path): string {
  return path.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : text === '' ? part : `${text}.${part}`),
    '',
  )
}

/** Alertmanager's keys that mean nothing here, and where their meaning went. */
const FOREIGN: Readonly<Record<string, string>> = {
  group_by: 'Claw groups by incidents.correlate_by',
  group_wait: 'Claw notifies at once and edits; there is nothing to wait for',
  group_interval: 'Claw edits its messages in place',
  repeat_interval: 'Claw asks again as incidents.acknowledge_within says',
  match: 'write matchers instead',
  match_re: 'write matchers instead',
  source_match: 'write source_matchers instead',
  source_match_re: 'write source_matchers instead',
  target_match: 'write target_matchers instead',
  target_match_re: 'write target_matchers instead',
}

/** A mistake found by the schema: `key` when it is about the key itself. Never quotes a value. */
export type Finding = { path: Path; key: boolean; message: string }

/** Turns zod's issues into sentences; `keysAt` knows which keys are allowed at a path. */
export function findings(issues: readonly z.core.$ZodIssue[], keysAt: (path: Path) => string[]): Finding[] {
  return issues.flatMap((issue) => {
    const path = issue.path.filter((part) => typeof part !== 'symbol')
    const name = nameOf(path)
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({ path: [...path, key], key: true, message: unknownKey(key, keysAt(path)) }))
    }
    if (issue.code === 'invalid_union') {
      const branches = issue.errors.map((errors) => findings(errors as z.core.$ZodIssue[], () => []))
      const deeper = branches.find((branch) => branch.some((found) => found.path.length > 0))
      const sameKind = issue.errors.findIndex((errors) => errors.every((one) => one.code !== 'invalid_type'))
      const chosen = deeper ?? branches[sameKind]
      if (chosen !== undefined)
        return chosen.map((found) => ({
          ...found,
          path: [...path, ...found.path],
          message: found.path.length > 0 ? found.message : found.message.replace(/^the file/, name),
        }))
      const kinds = issue.errors.flatMap((errors) =>
        errors.flatMap((one) => (one.code === 'invalid_type' ? [KINDS[one.expected] ?? one.expected] : [])),
      )
      return [{ path, key: false, message: `${name} must be ${[...new Set(kinds)].join(' or ')}` }]
    }
    const key = issue.code === 'invalid_type' && issue.input === null
    return [{ path, key, message: sentence(name, issue) }]
  })
}

/** `channel`, `when[1]`, or `the file` */
function nameOf(path: Path): string {
  const last = path.findLastIndex((part) => typeof part === 'string')
  return path.length === 0 ? 'the file' : pathText(path.slice(Math.max(0, last)))
}

function unknownKey(key: string, known: string[]): string {
  const foreign = FOREIGN[key]
  if (foreign !== undefined && !known.includes(key)) return `unknown key "${key}": ${foreign}`
  return `unknown key "${key}"${suggestion(key, known)}`
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map of keys',
  record: 'a map of keys',
}

function sentence(name: string, issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type') {
    if (issue.input === undefined) return `${name} is missing`
    if (issue.input === null) return `${name} is empty; remove the key or give it a value`
    if (!issue.message.startsWith('Invalid input')) return `${name} ${issue.message}`
    const quotes = issue.expected === 'string' && typeof issue.input !== 'object' ? '; put it in quotes' : ''
    return `${name} must be ${KINDS[issue.expected] ?? issue.expected}${quotes}`
  }
  if (issue.code === 'invalid_value') return `${name} must be one of ${issue.values.map(String).join(', ')}`
  if (issue.code === 'too_small' && issue.origin !== 'string' && issue.origin !== 'array')
    return `${name} must be at least ${issue.minimum}`
  if (issue.code === 'invalid_key') return `${name} is no valid key`
  return `${name} ${issue.message.replace(/^Invalid input:? ?/, 'is invalid ').trim()}`
}
