import { ClawError } from './errors.ts'

/**
 * Regular expressions with the syntax and the guarantee of Go's regexp package (RE2), which Alertmanager's matchers use:
 * no backtracking, so that a hostile label value cannot stall the process however the operator wrote the expression.
 * Syntax after https://github.com/google/re2/wiki/Syntax and Go's regexp/syntax.
 */

type Char = { kind: 'char'; point: number | null; test: (point: number) => boolean }
type Node =
  | Char
  | { kind: 'cat'; items: Node[] }
  | { kind: 'alt'; items: Node[] }
  | { kind: 'repeat'; item: Node; min: number; max: number }
  | { kind: 'assert'; what: Assertion }
type Assertion = 'text-start' | 'text-end' | 'line-start' | 'line-end' | 'word' | 'no-word'
type Flags = { i: boolean; s: boolean; m: boolean }

/** Go allows counts up to 1000 and bounds what nested counts expand to; so do we. */
const MAX_COUNT = 1_000
const MAX_PROGRAM = 20_000
const MAX_DEPTH = 500

/**
 * Compiles `source` and returns a test that is true when the whole text matches, as `^(?:source)$` would. Time is linear in
 * the text's length.
 * @throws ClawError('invalid') saying what RE2 does not take
 */
export function compileRegex(source: string): (text: string) => boolean {
  const tree = new Parser(source).parse()
  const words = literals(tree)
  if (words !== null) return (text) => words.has(text)
  return remembering(assemble(tree))
}

/** Label values repeat: short ones are answered from memory. */
function remembering(test: (text: string) => boolean): (text: string) => boolean {
  const known = new Map<string, boolean>()
  return (text) => {
    const before = known.get(text)
    if (before !== undefined) return before
    const answer = test(text)
    if (text.length <= 128) {
      if (known.size >= 256) known.clear()
      known.set(text, answer)
    }
    return answer
  }
}

/** The words of an expression that is nothing but `a|b|c`, else null. */
function literals(node: Node): Set<string> | null {
  const branches = node.kind === 'alt' ? node.items : [node]
  const words = new Set<string>()
  for (const branch of branches) {
    const items = branch.kind === 'cat' ? branch.items : [branch]
    let word = ''
    for (const item of items) {
      if (item.kind !== 'char' || item.point === null) return null
      word += String.fromCodePoint(item.point)
    }
    words.add(word)
  }
  return words
}

function fail(reason: string): never {
  throw new ClawError('invalid', `invalid regular expression: ${reason}`)
}

// ---- parsing --------------------------------------------------------------------------------------------------------

const PERL: Readonly<Record<string, string>> = {
  d: '0-9',
  w: '0-9A-Za-z_',
  s: '\\t\\n\\f\\r\\u{20}',
}

const POSIX: Readonly<Record<string, string>> = {
  alnum: '0-9A-Za-z',
  alpha: 'A-Za-z',
  ascii: '\\u{0}-\\u{7f}',
  blank: '\\t\\u{20}',
  cntrl: '\\u{0}-\\u{1f}\\u{7f}',
  digit: '0-9',
  graph: '\\u{21}-\\u{7e}',
  lower: 'a-z',
  print: '\\u{20}-\\u{7e}',
  punct: '\\u{21}-\\u{2f}\\u{3a}-\\u{40}\\u{5b}-\\u{60}\\u{7b}-\\u{7e}',
  space: '\\t\\n\\v\\f\\r\\u{20}',
  upper: 'A-Z',
  word: '0-9A-Za-z_',
  xdigit: '0-9A-Fa-f',
}

const CONTROL: Readonly<Record<string, number>> = { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11 }

/** a single character, or the text of a set for use inside `[...]` with JavaScript's v flag */
type Escape = { point: number } | { set: string }

class Parser {
  readonly source: string
  at = 0
  depth = 0
  names = new Set<string>()

  constructor(source: string) {
    this.source = source
  }

  parse(): Node {
    const node = this.alternatives({ i: false, s: false, m: false })
    if (this.at < this.source.length) fail(`unexpected ) at character ${this.at + 1}`)
    return node
  }

  /** Up to `)` or the end. Flags set inside, `(?i)`, hold to the end of the group, across `|`. */
  alternatives(outer: Flags): Node {
    if (++this.depth > MAX_DEPTH) fail('groups are nested too deeply')
    const flags = { ...outer }
    const branches: Node[] = []
    let items: Node[] = []
    let repeatable = false
    let repeated = false
    while (this.at < this.source.length && this.peek() !== ')') {
      const start = this.at
      const count = this.quantifier()
      if (count !== null) {
        if (repeated) fail(`two repetitions in a row at character ${start + 1}`)
        const item = repeatable ? items.pop() : undefined
        if (item === undefined) fail(`nothing to repeat before ${this.source.slice(start, this.at)}`)
        items.push({ kind: 'repeat', item, ...count })
        repeated = true
        continue
      }
      repeated = false
      repeatable = true
      if (this.take('|')) {
        branches.push({ kind: 'cat', items })
        items = []
        repeatable = false
      } else if (this.source.startsWith('\\Q', this.at)) {
        const end = this.source.indexOf('\\E', this.at)
        const text = this.source.slice(this.at + 2, end < 0 ? undefined : end)
        for (const char of text) items.push(literal(char.codePointAt(0) ?? 0, flags.i))
        this.at = end < 0 ? this.source.length : end + 2
      } else {
        const node = this.atom(flags)
        if (node === null) repeatable = false
        else items.push(node)
      }
    }
    this.depth--
    branches.push({ kind: 'cat', items })
    return branches.length === 1 ? (branches[0] as Node) : { kind: 'alt', items: branches }
  }

  /** One atom; null for `(?flags)`, which changes `flags` in place. */
  atom(flags: Flags): Node | null {
    const char = this.next()
    if (char === '(') return this.group(flags)
    if (char === '[') return set(this.charClass(), flags.i)
    if (char === '.') return flags.s ? set('\\u{0}-\\u{10ffff}', false) : set('^\\n', false)
    if (char === '^') return { kind: 'assert', what: flags.m ? 'line-start' : 'text-start' }
    if (char === '$') return { kind: 'assert', what: flags.m ? 'line-end' : 'text-end' }
    if (char !== '\\') return literal(char.codePointAt(0) ?? 0, flags.i)
    const what = ASSERTIONS[this.peek()]
    if (what !== undefined) {
      this.at++
      return { kind: 'assert', what }
    }
    const escaped = this.escape()
    return 'point' in escaped ? literal(escaped.point, flags.i) : set(escaped.set, flags.i)
  }

  group(flags: Flags): Node | null {
    const start = this.at
    let inner = flags
    if (this.take('?')) {
      const rest = this.source.slice(this.at)
      if (/^<?[=!]/.test(rest)) fail(`look${rest.startsWith('<') ? 'behind' : 'ahead'} is not supported, as in RE2`)
      const named = /^P?<([^>]*)>/.exec(rest)
      const switched = /^([imsU]*)(?:-([imsU]+))?([:)])/.exec(rest)
      if (named !== null) {
        const name = named[1] ?? ''
        if (!/^\w+$/.test(name) || this.names.has(name)) fail(`group name "${name}" is invalid or used twice`)
        this.names.add(name)
        this.at += named[0].length
      } else if (switched !== null) {
        this.at += switched[0].length
        inner = switched[3] === ')' ? flags : { ...flags }
        for (const flag of switched[1] ?? '') if (flag !== 'U') inner[flag as keyof Flags] = true
        for (const flag of switched[2] ?? '') if (flag !== 'U') inner[flag as keyof Flags] = false
        if (switched[3] === ')') {
          if (switched[1] === '' && switched[2] === undefined) fail('missing argument in (?)')
          return null
        }
      } else fail(`(?${rest.slice(0, 2)} is not supported, as in RE2`)
    }
    const node = this.alternatives(inner)
    if (!this.take(')')) fail(`the group that opens at character ${start} is never closed`)
    return node
  }

  /** null, and nothing read, when no quantifier stands here; a brace that is none is a literal, as in Go */
  quantifier(): { min: number; max: number } | null {
    const read = /^(?:[*+?]|\{(\d+)(,?)(\d*)\})/.exec(this.source.slice(this.at, this.at + 24))
    if (read === null || (read[2] === '' && read[3] !== '')) return null
    this.at += read[0].length
    this.take('?')
    if (read[0] === '*') return { min: 0, max: Number.POSITIVE_INFINITY }
    if (read[0] === '+') return { min: 1, max: Number.POSITIVE_INFINITY }
    if (read[0] === '?') return { min: 0, max: 1 }
    const min = Number(read[1])
    const max = read[2] === '' ? min : read[3] === '' ? Number.POSITIVE_INFINITY : Number(read[3])
    if (min > MAX_COUNT || (max !== Number.POSITIVE_INFINITY && max > MAX_COUNT) || min > max)
      fail(`repetition ${read[0]} is out of range, at most ${MAX_COUNT}`)
    return { min, max }
  }

  /** After the backslash. */
  escape(): Escape {
    const rest = this.source.slice(this.at, this.at + 64)
    if (rest === '') fail('it ends in a backslash')
    const hex = /^x(?:([0-9a-fA-F]{2})|\{([0-9a-fA-F]{1,8})\})/.exec(rest)
    if (hex !== null) {
      this.at += hex[0].length
      const point = Number.parseInt(hex[1] ?? hex[2] ?? '', 16)
      return point <= 0x10ffff ? { point } : fail(`\\${hex[0]} is no character`)
    }
    const octal = /^(?:0[0-7]{0,2}|[1-7][0-7]{1,2})/.exec(rest)
    if (octal !== null) {
      this.at += octal[0].length
      return { point: Number.parseInt(octal[0], 8) }
    }
    const char = this.next()
    if (/^[1-9]$/.test(char)) fail('backreferences are not supported, as in RE2')
    const perl = PERL[char.toLowerCase()]
    if (perl !== undefined) return { set: char === char.toLowerCase() ? `[${perl}]` : `[^${perl}]` }
    if (char === 'p' || char === 'P') return { set: this.property(char === 'P') }
    const control = CONTROL[char]
    if (control !== undefined) return { point: control }
    if (/^[!-/:-@[-`{-~]$/.test(char)) return { point: char.charCodeAt(0) }
    return fail(`\\${char} is not supported, as in RE2`)
  }

  property(outerNegated: boolean): string {
    const read = /^(?:([A-Za-z])|\{(\^?)([A-Za-z_]+)\})/.exec(this.source.slice(this.at, this.at + 64))
    if (read === null) return fail('\\p needs a name, such as \\pL or \\p{Greek}')
    this.at += read[0].length
    const name = read[1] ?? read[3] ?? ''
    const letter = outerNegated !== (read[2] === '^') ? 'P' : 'p'
    if (name === 'Any') return `\\${letter}{Any}`
    for (const property of ['General_Category', 'Script']) {
      const text = `\\${letter}{${property}=${name}}`
      try {
        new RegExp(text, 'v')
        return text
      } catch {
        // not of this kind; the next one may know it
      }
    }
    return fail(`\\p{${name}} is no known class`)
  }

  /** After `[`, up to and including `]`; the inside of a class for JavaScript's v flag. */
  charClass(): string {
    const start = this.at
    const negated = this.take('^')
    let out = ''
    for (let first = true; first || this.peek() !== ']'; first = false) {
      if (this.at >= this.source.length) fail(`the class that opens at character ${start} is never closed`)
      const posix = /^\[:(\^?)([a-z]*):\]/.exec(this.source.slice(this.at, this.at + 16))
      if (posix !== null) {
        const known = POSIX[posix[2] ?? ''] ?? fail(`${posix[0]} is no known class`)
        out += posix[1] === '^' ? `[^${known}]` : `[${known}]`
        this.at += posix[0].length
        continue
      }
      const low = this.classItem()
      if ('set' in low) {
        out += low.set
        continue
      }
      let high = low.point
      if (this.peek() === '-' && this.source[this.at + 1] !== ']' && this.at + 1 < this.source.length) {
        this.at++
        const end = this.classItem()
        if ('set' in end || end.point < low.point) fail(`bad range in the class at character ${start}`)
        high = end.point
      }
      out += high === low.point ? hexed(high) : `${hexed(low.point)}-${hexed(high)}`
    }
    this.at++
    return `${negated ? '^' : ''}${out}`
  }

  classItem(): Escape {
    const char = this.next()
    return char === '\\' ? this.escape() : { point: char.codePointAt(0) ?? 0 }
  }

  peek(): string {
    return this.source.charAt(this.at)
  }

  next(): string {
    const char = String.fromCodePoint(this.source.codePointAt(this.at) ?? 0)
    this.at += char.length
    return char
  }

  take(char: string): boolean {
    if (this.peek() !== char) return false
    this.at++
    return true
  }
}

const ASSERTIONS: Readonly<Record<string, Assertion>> = { A: 'text-start', z: 'text-end', b: 'word', B: 'no-word' }

function hexed(point: number): string {
  return `\\u{${point.toString(16)}}`
}

function literal(point: number, ignoreCase: boolean): Char {
  if (!ignoreCase || !/\p{L}|\p{M}|\p{N}|\p{So}/u.test(String.fromCodePoint(point)))
    return { kind: 'char', point, test: (other) => other === point }
  return set(hexed(point), true)
}

/** `inside` is the inside of a class; asked only about one character at a time, so that its cost is constant. */
function set(inside: string, ignoreCase: boolean): Char {
  const regex = new RegExp(`^[${inside}]$`, ignoreCase ? 'vi' : 'v')
  const ascii = Uint8Array.from({ length: 128 }, (_, point) => (regex.test(String.fromCharCode(point)) ? 1 : 0))
  return {
    kind: 'char',
    point: null,
    test: (point) => (point < 128 ? ascii[point] === 1 : regex.test(String.fromCodePoint(point))),
  }
}

// ---- running --------------------------------------------------------------------------------------------------------

type Instruction =
  | { op: 'char'; test: (point: number) => boolean; next: number }
  | { op: 'split'; next: number; other: number }
  | { op: 'assert'; what: Assertion; next: number }
  | { op: 'match' }

/** Thompson's construction, built from the end, so that every node knows where it leads. */
function assemble(tree: Node): (text: string) => boolean {
  const program: Instruction[] = [{ op: 'match' }]
  const emit = (instruction: Instruction): number => {
    if (program.length >= MAX_PROGRAM) fail('it is too large')
    return program.push(instruction) - 1
  }
  const build = (node: Node, next: number): number => {
    if (node.kind === 'char') return emit({ op: 'char', test: node.test, next })
    if (node.kind === 'assert') return emit({ op: 'assert', what: node.what, next })
    if (node.kind === 'cat') return node.items.reduceRight((then, item) => build(item, then), next)
    if (node.kind === 'alt')
      return node.items
        .map((item) => build(item, next))
        .reduceRight((other, first) => emit({ op: 'split', next: first, other }))
    let then = next
    if (node.max === Number.POSITIVE_INFINITY) {
      const loop = { op: 'split' as const, next: 0, other: next }
      then = emit(loop)
      loop.next = build(node.item, then)
    } else {
      for (let n = node.min; n < node.max; n++) then = emit({ op: 'split', next: build(node.item, then), other: next })
    }
    for (let n = 0; n < node.min; n++) then = build(node.item, then)
    return then
  }
  const start = build(tree, 0)
  return (text) => run(program, start, text)
}

function run(program: readonly Instruction[], start: number, text: string): boolean {
  const seen = new Uint32Array(program.length)
  let current: number[] = []
  let upcoming: number[] = []
  const pending: number[] = []
  let round = 0
  // follows everything that consumes nothing; returns whether the end of the expression was reached
  const add = (list: number[], from: number, at: number): boolean => {
    let matched = false
    pending.push(from)
    for (let pc = pending.pop(); pc !== undefined; pc = pending.pop()) {
      if (seen[pc] === round) continue
      seen[pc] = round
      const instruction = program[pc] as Instruction
      if (instruction.op === 'char') list.push(pc)
      else if (instruction.op === 'match') matched = true
      else if (instruction.op === 'split') pending.push(instruction.other, instruction.next)
      else if (holds(instruction.what, text, at)) pending.push(instruction.next)
    }
    return matched
  }
  round = 1
  let matched = add(current, start, 0)
  for (let at = 0; at < text.length; ) {
    const point = text.codePointAt(at) as number
    at += point > 0xffff ? 2 : 1
    round++
    matched = false
    for (const pc of current) {
      const instruction = program[pc] as Extract<Instruction, { op: 'char' }>
      if (instruction.test(point) && add(upcoming, instruction.next, at)) matched = true
    }
    const spent = current
    current = upcoming
    upcoming = spent
    upcoming.length = 0
    if (current.length === 0 && !matched) return false
  }
  return matched
}

function holds(what: Assertion, text: string, at: number): boolean {
  if (what === 'text-start') return at === 0
  if (what === 'text-end') return at === text.length
  if (what === 'line-start') return at === 0 || text[at - 1] === '\n'
  if (what === 'line-end') return at === text.length || text[at] === '\n'
  const edge = WORD.test(text.charAt(at - 1)) !== WORD.test(text.charAt(at))
  return edge === (what === 'word')
}

const WORD = /^[0-9A-Za-z_]$/
