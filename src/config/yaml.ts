import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument, type Scalar } from 'yaml'
import { messageOf } from '../core/errors.ts'
import type { Path, Problem } from './problems.ts'
import { pathText } from './problems.ts'

/** Where values with `${…}` come from. `readFile` gives the text of a file named in `${file:…}` and may throw. */
export type Sources = {
  env: Readonly<Record<string, string | undefined>>
  readFile: (path: string) => string
}

export type Tree = {
  /** plain objects, lists and scalars, everything substituted; {} for an empty file */
  value: unknown
  problems: Problem[]
  /** a problem at the value that stands at a path, or at the nearest parent that exists */
  at(path: Path, message: string, options?: { key?: boolean; column?: number }): Problem
  /** true when the value there came, wholly or in part, from the environment or a file */
  substituted(path: Path): boolean
  /** whole values from `${NAME}`, which may have to become numbers or booleans: see retype */
  retype(path: Path, wanted: 'number' | 'boolean'): boolean
  /** every value that came from the environment or a file */
  secrets: string[]
}

/** More than any configuration needs, and little enough that nested aliases cannot blow up memory. */
const MAX_NODES = 50_000
const MAX_DEPTH = 64
const MAX_TEXT = 4 * 1024 * 1024

type Spot = { key: number; value: number; raw: string; text: string; substituted: boolean; whole: boolean }

/** Reads YAML 1.2 with anchors and merge keys, and remembers where everything stood. Never throws. */
export function readTree(text: string, sources: Sources): Tree {
  const lines = new LineCounter()
  const spots = new Map<string, Spot>()
  const problems: Problem[] = []
  const secrets = new Set<string>()
  const problem = (offset: number, path: Path, message: string): Problem => {
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(1, line), column: Math.max(1, col), path: pathText(path), message }
  }
  const report = (offset: number, path: Path, message: string) => void problems.push(problem(offset, path, message))

  let value: unknown = {}
  if (text.length > MAX_TEXT) {
    lines.addNewLine(0)
    report(0, [], `the file is larger than ${MAX_TEXT / 1024 / 1024} MB`)
  } else {
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true, version: '1.2' })
    let broken = false
    for (const error of [...document.errors, ...document.warnings]) {
      // after the first syntax error the rest of the file reads as nonsense; the other mistakes stand for themselves
      const own = SAID[error.code]
      if (own === undefined && broken) continue
      broken ||= own === undefined
      report(error.pos[0], [], own ?? syntax(error.message, text, error.pos[0]))
    }
    if (problems.length === 0 && document.contents !== null) value = walker().read(document.contents, [], 0) ?? {}
  }

  function walker() {
    let nodes = 0
    let full = false
    const read = (node: unknown, path: Path, depth: number): unknown => {
      const start = offsetOf(node)
      if (++nodes > MAX_NODES || depth > MAX_DEPTH) {
        if (!full) report(start, path, 'too many or too deeply nested values; do aliases refer to each other?')
        full = true
        return undefined
      }
      if (isAlias(node)) {
        const target = resolved(node)
        if (target === undefined) report(start, path, `alias *${node.source} refers to nothing`)
        return target === undefined ? undefined : read(target, path, depth + 1)
      }
      if (!spots.has(keyOf(path)))
        spots.set(keyOf(path), { key: start, value: start, raw: '', text: '', substituted: false, whole: false })
      if (isMap(node)) return readMap(node.items, path, depth)
      if (isSeq(node)) return node.items.map((item, index) => read(item, [...path, index], depth + 1))
      return isScalar(node) ? readScalar(node, path) : null
    }
    const readMap = (items: Pair[], path: Path, depth: number): unknown => {
      const out: Record<string, unknown> = {}
      const own = items.filter((pair) => !isMergeKey(pair.key))
      // merged keys come first, so that the map's own keys take their place
      for (const pair of items) {
        if (!isMergeKey(pair.key)) continue
        const sources = isAlias(pair.value) ? resolved(pair.value) : pair.value
        for (const source of isSeq(sources) ? [...sources.items].reverse() : [pair.value]) {
          const merged = read(source, path, depth + 1)
          if (typeof merged === 'object' && merged !== null && !Array.isArray(merged)) Object.assign(out, merged)
          else report(offsetOf(pair.key), path, '<< must refer to a map')
        }
      }
      for (const pair of own) {
        const name = isScalar(pair.key) ? String(pair.key.value) : null
        if (name === null || name === '__proto__') {
          report(offsetOf(pair.key), path, 'a key must be plain text')
          continue
        }
        const at = [...path, name]
        const key = offsetOf(pair.key)
        spots.set(keyOf(at), {
          key,
          value: pair.value === null ? key : offsetOf(pair.value),
          raw: '',
          text: '',
          substituted: false,
          whole: false,
        })
        out[name] = read(pair.value, at, depth + 1)
      }
      return out
    }
    const readScalar = (node: Scalar, path: Path): unknown => {
      const spot = spots.get(keyOf(path))
      if (typeof node.value !== 'string' || spot === undefined) return node.value
      spot.raw = text.slice(node.range?.[0] ?? 0, node.range?.[1] ?? 0)
      spot.text = node.value
      if (!node.value.includes('${')) return node.value
      const done = substitute(node.value, sources, (part, message) => {
        const inside = spot.raw.indexOf(part)
        report(spot.value + Math.max(0, inside), path, message)
      })
      for (const secret of done.values) secrets.add(secret)
      spot.substituted = done.values.length > 0
      spot.whole = done.whole
      return done.text
    }
    const resolved = (alias: Node): Node | undefined => {
      if (!isAlias(alias)) return undefined
      return anchors.get(alias.source)
    }
    const anchors = new Map<string, Node>()
    return {
      read(root: Node, path: Path, depth: number): unknown {
        collectAnchors(root, anchors)
        return read(root, path, depth)
      },
    }
  }

  const spotAt = (path: Path): { spot: Spot; exact: boolean } | null => {
    for (let length = path.length; length >= 0; length--) {
      const spot = spots.get(keyOf(path.slice(0, length)))
      if (spot !== undefined) return { spot, exact: length === path.length }
    }
    return null
  }

  return {
    get value() {
      return value
    },
    problems,
    secrets: [...secrets],
    at(path, message, options = {}) {
      const found = spotAt(path)
      if (found === null) return problem(0, path, message)
      const { spot, exact } = found
      let offset = options.key || !exact ? spot.key : spot.value
      if (options.column !== undefined && exact && !spot.substituted && !spot.raw.includes('\n')) {
        // only where the text stands as it reads, without escapes, do its columns map to the file's
        const inside = spot.raw.indexOf(spot.text)
        if (inside >= 0) offset = spot.value + inside + options.column - 1
      }
      return problem(offset, path, message)
    },
    substituted(path) {
      return spots.get(keyOf(path))?.substituted ?? false
    },
    retype(path, wanted) {
      if (!spots.get(keyOf(path))?.whole) return false
      let holder: unknown = value
      for (const part of path.slice(0, -1)) holder = (holder as Record<string | number, unknown> | undefined)?.[part]
      const last = path.at(-1)
      if (typeof holder !== 'object' || holder === null || last === undefined) return false
      const record = holder as Record<string | number, unknown>
      const now = record[last]
      const typed = typeof now === 'string' ? typedValue(now.trim(), wanted) : undefined
      if (typed === undefined) return false
      record[last] = typed
      return true
    },
  }
}

function typedValue(text: string, wanted: 'number' | 'boolean'): number | boolean | undefined {
  if (wanted === 'boolean') return text === 'true' ? true : text === 'false' ? false : undefined
  return /^[+-]?\d+(?:\.\d+)?$/.test(text) ? Number(text) : undefined
}

function keyOf(path: Path): string {
  return JSON.stringify(path)
}

function offsetOf(node: unknown): number {
  return (node as Node | null | undefined)?.range?.[0] ?? 0
}

function isMergeKey(key: unknown): boolean {
  if (!isScalar(key)) return false
  return key.value === '<<' || (typeof key.value === 'symbol' && key.value.description === '<<')
}

function collectAnchors(node: unknown, into: Map<string, Node>): void {
  if (isMap(node)) {
    if (node.anchor) into.set(node.anchor, node)
    for (const pair of node.items) {
      collectAnchors(pair.key, into)
      collectAnchors(pair.value, into)
    }
  } else if (isSeq(node)) {
    if (node.anchor) into.set(node.anchor, node)
    for (const item of node.items) collectAnchors(item, into)
  } else if (isScalar(node) && node.anchor) into.set(node.anchor, node)
}

const SAID: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: 'this key is given twice in the same map',
  TAB_AS_INDENT: 'a tab is used for indentation; use blanks',
  MULTIPLE_DOCS: 'the file holds several documents; only one is allowed',
  BAD_DIRECTIVE: 'a line that starts with % is a directive, and this one is not known',
  TAG_RESOLVE_FAILED: 'this tag is unknown; write plain values',
}

/** yaml's own message without the piece of the file that some of them quote: it may be a secret. */
function syntax(message: string, text: string, offset: number): string {
  const short = (message.split(/[:"\n]/)[0] ?? '').trim()
  const line = text.slice(text.lastIndexOf('\n', offset - 1) + 1).split('\n', 1)[0] ?? ''
  const hint = /[{[,].*\$\{/.test(line) ? `; inside { } and [ ], \${…} must stand in quotes` : ''
  return `not valid YAML: ${short}${hint}`
}

type Substituted = { text: string; values: string[]; whole: boolean }

/**
 * Replaces `${NAME}` and `${file:/path}`; `$${` is a literal `${`. What is put in is never looked at again, so a secret
 * cannot inject anything. `report` gets the part that failed, and why.
 */
function substitute(text: string, sources: Sources, report: (part: string, message: string) => void): Substituted {
  const values: string[] = []
  const out = text.replace(/\$\$\{|\$\{([^}]*)(\}?)/g, (part: string, inside: string | undefined, closed: string) => {
    if (inside === undefined) return '${'
    const found = closed === '' ? `write $\${ for a literal \${` : lookUp(inside, sources)
    if (typeof found === 'string') {
      report(part, closed === '' ? `\${ is never closed; ${found}` : found)
      return ''
    }
    values.push(found.value)
    return found.value
  })
  return { text: out, values, whole: /^\$\{[^}]*\}$/.test(text) }
}

/** The value, or what is wrong. */
function lookUp(inside: string, sources: Sources): { value: string } | string {
  if (inside.startsWith('file:')) {
    const path = inside.slice('file:'.length)
    try {
      return { value: sources.readFile(path).replace(/(?:\r?\n)+$/, '') }
    } catch (error) {
      const code = (error as { code?: unknown }).code
      return `file ${path} cannot be read: ${typeof code === 'string' ? code : messageOf(error)}`
    }
  }
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(inside))
    return `\${${inside.slice(0, 40)}} is not valid; write \${NAME}, \${file:/path}, or $\${ for a literal \${`
  const value = Object.hasOwn(sources.env, inside) ? sources.env[inside] : undefined
  return value === undefined ? `environment variable ${inside} is not set` : { value }
}
