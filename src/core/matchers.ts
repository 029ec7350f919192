import type { Labels } from './alert.ts'
import { ClawError } from './errors.ts'
import { compileRegex } from './regex.ts'

export type MatchOp = '=' | '!=' | '=~' | '!~'

export type Matcher = {
  readonly name: string
  readonly op: MatchOp
  readonly value: string
  /** whether these labels match; a missing label counts as the empty string */
  readonly test: (labels: Labels) => boolean
  /** the one canonical spelling, e.g. `level="P1"`; parses back to the same matcher */
  readonly text: string
}

/** Where a text went wrong: `column` counts UTF-16 units from 1. */
export type MatcherProblem = { readonly column: number; readonly message: string }

export type MatchersResult =
  | { readonly matchers: Matcher[]; readonly problem: null }
  | { readonly matchers: null; readonly problem: MatcherProblem }

/** A label's value, '' when it is missing; safe for names such as `constructor`. */
export function labelOf(labels: Labels, name: string): string {
  return Object.hasOwn(labels, name) ? (labels[name] ?? '') : ''
}

/** True when all matchers match (so true for none), as in Alertmanager. */
export function matchAll(matchers: readonly Matcher[], labels: Labels): boolean {
  for (const matcher of matchers) if (!matcher.test(labels)) return false
  return true
}

/**
 * Reads zero or more matchers, `{a="b", c=~"d.*"}`, with or without braces: the syntax of Alertmanager 0.27 and later in
 * its default mode, which takes the UTF-8 parser's reading, or the classic parser's where only that accepts the text or
 * the two disagree (Alertmanager, matcher/compat).
 * @throws ClawError('invalid') naming the column and what was expected
 */
export function parseMatchers(text: string): Matcher[] {
  const result = readMatchers(text)
  if (result.problem === null) return result.matchers
  throw new ClawError(
    'invalid',
    `matcher ${quote(clip(text))}, column ${result.problem.column}: ${result.problem.message}`,
  )
}

/**
 * Reads exactly one matcher.
 * @throws ClawError('invalid') also when there are none or several
 */
export function parseMatcher(text: string): Matcher {
  const [first, ...more] = parseMatchers(text)
  if (first === undefined)
    throw new ClawError('invalid', `matcher ${quote(clip(text))}, column 1: expected a matcher, found none`)
  if (more.length > 0)
    throw new ClawError('invalid', `matcher ${quote(clip(text))}: expected 1 matcher, found ${more.length + 1}`)
  return first
}

/** As parseMatchers, but returns the problem instead of throwing it. */
export function readMatchers(text: string): MatchersResult {
  const modern = readUtf8(text)
  const classic = readClassic(text)
  if (modern.problem !== null) return classic ?? modern
  if (classic === null) return modern
  return same(modern.matchers, classic.matchers) ? modern : classic
}

/**
 * Makes one matcher from its parts.
 * @throws ClawError('invalid') when `value` is no regular expression that RE2 would take
 */
export function matcher(name: string, op: MatchOp, value: string): Matcher {
  const text = `${CLASSIC_NAME.test(name) ? name : quote(name)}${op}${quote(value)}`
  if (op === '=') return { name, op, value, text, test: (labels) => labelOf(labels, name) === value }
  if (op === '!=') return { name, op, value, text, test: (labels) => labelOf(labels, name) !== value }
  const regex = compileRegex(value)
  const wanted = op === '=~'
  return { name, op, value, text, test: (labels) => regex(labelOf(labels, name)) === wanted }
}

/** Canonical text of a list, without braces; '' for none. */
export function matchersText(matchers: readonly Matcher[]): string {
  return matchers.map((m) => m.text).join(', ')
}

const CLASSIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/

function same(a: readonly Matcher[], b: readonly Matcher[] | null): boolean {
  return b !== null && a.length === b.length && a.every((m, i) => m.text === b[i]?.text)
}

function quote(value: string): string {
  return `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`
}

function clip(text: string): string {
  return text.length <= 100 ? text : `${text.slice(0, 99)}…`
}

// ---- the UTF-8 parser -----------------------------------------------------------------------------------------------

type Token = { kind: '{' | '}' | ',' | MatchOp | 'word' | 'quoted' | 'end'; text: string; column: number }

const OPERATORS = ['=', '!=', '=~', '!~'] as const
/** Go's unicode.IsSpace; JavaScript's \s has U+FEFF besides and lacks U+0085. */
const SPACE = /(?!\ufeff)\s|\u0085/u
const RESERVED = '{}!=~,\\"\'`'

class Refusal extends Error {
  readonly problem: MatcherProblem
  constructor(column: number, message: string) {
    super(message)
    this.problem = { column, message }
  }
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  while (at < text.length) {
    const char = text.charAt(at)
    const column = at + 1
    if (SPACE.test(char)) {
      at++
    } else if (char === '{' || char === '}' || char === ',') {
      tokens.push({ kind: char, text: char, column })
      at++
    } else if (char === '=' || char === '!') {
      const two = text.slice(at, at + 2)
      const found = OPERATORS.find((op) => op === two) ?? (char === '=' ? '=' : undefined)
      if (found === undefined) throw new Refusal(column, `expected an operator such as =, !=, =~ or !~, found "${two}"`)
      tokens.push({ kind: found, text: found, column })
      at += found.length
    } else if (char === '"') {
      let end = at + 1
      while (end < text.length && text[end] !== '"') end += text[end] === '\\' ? 2 : 1
      if (end >= text.length) throw new Refusal(column, 'the quote that opens here is never closed')
      tokens.push({ kind: 'quoted', text: text.slice(at, end + 1), column })
      at = end + 1
    } else if (RESERVED.includes(char)) {
      throw new Refusal(column, `unexpected ${char}: put values with special characters in double quotes`)
    } else {
      let end = at
      while (end < text.length && !RESERVED.includes(text.charAt(end)) && !SPACE.test(text.charAt(end))) end++
      tokens.push({ kind: 'word', text: text.slice(at, end), column })
      at = end
    }
  }
  tokens.push({ kind: 'end', text: 'the end', column: text.length + 1 })
  return tokens
}

function readUtf8(text: string): MatchersResult {
  try {
    return { matchers: parseUtf8(tokenize(text)), problem: null }
  } catch (error) {
    if (error instanceof Refusal) return { matchers: null, problem: error.problem }
    throw error
  }
}

function parseUtf8(tokens: Token[]): Matcher[] {
  let at = 0
  const peek = (): Token => tokens[at] as Token
  const expect = (what: string, ...kinds: Token['kind'][]): Token => {
    const token = peek()
    if (!kinds.includes(token.kind)) throw new Refusal(token.column, `expected ${what}, found ${shown(token)}`)
    at++
    return token
  }
  const matchers: Matcher[] = []
  const braced = peek().kind === '{'
  if (braced) at++
  if (braced || (peek().kind !== 'end' && peek().kind !== '}')) {
    while (peek().kind !== '}') {
      if (braced && matchers.length === 0 && peek().kind === 'end') break
      const nameToken = expect('a label name', 'word', 'quoted')
      const name = plain(nameToken)
      if (name === '') throw new Refusal(nameToken.column, 'expected a label name, found ""')
      const op = expect('an operator such as =, !=, =~ or !~', '=', '!=', '=~', '!~').kind as MatchOp
      const valueToken = expect('a label value', 'word', 'quoted')
      matchers.push(make(name, op, plain(valueToken), valueToken.column))
      if (peek().kind !== ',') break
      at++
      if (peek().kind === 'end') break
    }
  }
  const next = peek()
  if (braced) expect(next.kind === 'end' ? 'a closing brace' : 'a comma or a closing brace', '}')
  else if (next.kind === '}') throw new Refusal(next.column, 'found a closing brace, but no opening brace before it')
  else if (next.kind !== 'end') throw new Refusal(next.column, `expected a comma or the end, found ${shown(next)}`)
  expect('the end', 'end')
  return matchers
}

function shown(token: Token): string {
  return token.kind === 'end' ? 'the end' : token.kind === 'quoted' ? clip(token.text) : `"${clip(token.text)}"`
}

function plain(token: Token): string {
  return token.kind === 'quoted' ? unquote(token.text, token.column) : token.text
}

function make(name: string, op: MatchOp, value: string, column: number): Matcher {
  try {
    return matcher(name, op, value)
  } catch (error) {
    if (error instanceof ClawError) throw new Refusal(column, error.message)
    throw error
  }
}

const SIMPLE_ESCAPES: Readonly<Record<string, number>> = {
  a: 7,
  b: 8,
  f: 12,
  n: 10,
  r: 13,
  t: 9,
  v: 11,
  '\\': 92,
  '"': 34,
}

/** Go's strconv.Unquote for a double-quoted text; `\x` and octal escapes are bytes that must form UTF-8. */
function unquote(text: string, column: number): string {
  const inner = text.slice(1, -1)
  if (inner.includes('\n')) throw new Refusal(column, 'a line break inside quotes must be written \\n')
  if (!inner.includes('\\')) return inner
  const parts: (string | number)[] = []
  for (let at = 0; at < inner.length; ) {
    if (inner[at] !== '\\') {
      const end = inner.indexOf('\\', at)
      parts.push(inner.slice(at, end < 0 ? undefined : end))
      at = end < 0 ? inner.length : end
      continue
    }
    const rest = inner.slice(at)
    const hex = /^\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3}))/.exec(rest)
    const simple = SIMPLE_ESCAPES[rest.charAt(1)]
    if (simple !== undefined) {
      parts.push(simple)
      at += 2
    } else if (hex === null) {
      throw new Refusal(column + 1 + at, `unknown escape ${rest.slice(0, 2)}: write \\\\ for a backslash`)
    } else {
      const byte = hex[1] !== undefined ? Number.parseInt(hex[1], 16) : hex[4] ? Number.parseInt(hex[4], 8) : null
      const point = Number.parseInt(hex[2] ?? hex[3] ?? '0', 16)
      const wrong = byte !== null ? byte > 255 : point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)
      if (wrong) throw new Refusal(column + 1 + at, `${hex[0]} is no character`)
      parts.push(byte ?? String.fromCodePoint(point))
      at += hex[0].length
    }
  }
  return joinBytes(parts, column)
}

function joinBytes(parts: (string | number)[], column: number): string {
  let out = ''
  for (let at = 0; at < parts.length; ) {
    const part = parts[at] as string | number
    if (typeof part === 'string') {
      out += part
      at++
      continue
    }
    const bytes: number[] = []
    while (typeof parts[at] === 'number') bytes.push(parts[at++] as number)
    try {
      out += new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes))
    } catch {
      throw new Refusal(column, 'the escaped bytes are no valid UTF-8')
    }
  }
  return out
}

// ---- the classic parser ---------------------------------------------------------------------------------------------

/** null when the classic parser would refuse the text */
function readClassic(text: string): Extract<MatchersResult, { problem: null }> | null {
  const inner = text.replace(/^\{/, '').replace(/\}$/, '')
  const tokens: string[] = []
  let token = ''
  let inside = false
  let escaped = false
  for (const char of inner) {
    if (char === ',' && !inside) {
      tokens.push(token)
      token = ''
      continue
    }
    if (char === '"') {
      if (escaped) escaped = false
      else inside = !inside
    } else if (char === '\\') escaped = !escaped
    else if (char !== ',') escaped = false
    token += char
  }
  if (token.trim() !== '') tokens.push(token)
  const matchers: Matcher[] = []
  for (const part of tokens) {
    const read = /^[\t\n\f\r ]*([a-zA-Z_:][a-zA-Z0-9_:]*)[\t\n\f\r ]*(=~|=|!=|!~)(.*)$/s.exec(part)
    if (read === null) return null
    const value = classicValue((read[3] ?? '').replace(/^[\t\n\f\r ]+|[\t\n\f\r ]+$/g, ''))
    if (value === null) return null
    try {
      matchers.push(matcher(read[1] ?? '', read[2] as MatchOp, value))
    } catch (error) {
      if (error instanceof ClawError) return null
      throw error
    }
  }
  return { matchers, problem: null }
}

function classicValue(raw: string): string | null {
  let closing = raw.startsWith('"')
  const inner = closing ? raw.slice(1) : raw
  let out = ''
  for (let at = 0; at < inner.length; at++) {
    const char = inner.charAt(at)
    if (char === '\\' && at < inner.length - 1) {
      at++
      const next = inner.charAt(at)
      out += next === 'n' ? '\n' : next === '"' || next === '\\' ? next : `\\${next}`
    } else if (char === '"') {
      if (!closing || at < inner.length - 1) return null
      closing = false
    } else out += char
  }
  return closing ? null : out
}
