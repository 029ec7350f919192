import { parse, stringify } from 'yaml'

/**
 * Renders the part of Go's text/template, with Sprig and Helm's functions, that our chart uses. It is stricter than Helm
 * where Helm would quietly print `<no value>`: anything undefined, unknown or of the wrong type throws.
 */
export type Templates = {
  /** @throws Error with the template's name and the action that failed */
  render(name: string, data: unknown): string
}

type Node =
  | { kind: 'text'; text: string }
  | { kind: 'print'; pipe: string }
  | { kind: 'assign'; pipe: string }
  | { kind: 'if' | 'with' | 'range'; branches: { pipe: string | null; body: Node[] }[] }
type Scope = { dot: unknown; root: unknown; file: string; variables: Map<string, unknown> }
type Token = string

const ACTION = /\{\{(- )?\s*(\/\*[\s\S]*?\*\/|(?:"(?:\\.|[^"\\])*"|`[^`]*`|[^"`])*?)\s*( -)?\}\}/g
const TOKEN = /\s*(?:("(?:\\.|[^"\\])*"|`[^`]*`)|(:=|[|()])|(-?\d+)|([$.\w]+))/y

/** @param files templates by name; `define`d ones may be included from all of them */
export function goTemplates(files: Readonly<Record<string, string>>): Templates {
  const defined = new Map<string, Node[]>()
  const bodies = new Map(Object.entries(files).map(([name, text]) => [name, parseTemplate(text, name, defined)]))

  function run(nodes: readonly Node[], scope: Scope): string {
    return nodes.map((node) => runOne(node, scope)).join('')
  }

  function runOne(node: Node, scope: Scope): string {
    if (node.kind === 'text') return node.text
    if (node.kind === 'assign') {
      const [name = '', pipe = ''] = node.pipe.split(/\s*:=\s*/, 2)
      scope.variables.set(name, evaluate(pipe, scope))
      return ''
    }
    if (node.kind === 'print') return printed(evaluate(node.pipe, scope), `${scope.file}: {{ ${node.pipe} }}`)
    for (const { pipe, body } of node.branches) {
      if (pipe === null) return run(body, scope)
      const value = evaluate(pipe, scope)
      if (!truthy(value)) continue
      const inner = (dot: unknown) => run(body, { ...scope, dot, variables: new Map(scope.variables) })
      if (node.kind === 'if') return inner(scope.dot)
      if (node.kind === 'with') return inner(value)
      if (!Array.isArray(value)) throw new Error(`${scope.file}: range over something that is no list: ${pipe}`)
      return value.map(inner).join('')
    }
    return ''
  }

  function evaluate(pipe: string, scope: Scope): unknown {
    const tokens = tokensOf(pipe, scope.file)
    let at = 0
    const fail = (why: string): never => {
      throw new Error(`${scope.file}: {{ ${pipe} }}: ${why}`)
    }
    function pipeline(): unknown {
      let value = command([])
      while (tokens[at] === '|') {
        at++
        value = command([value])
      }
      return value
    }
    function command(piped: readonly unknown[]): unknown {
      const head = tokens[at]
      if (head !== undefined && /^[A-Za-z]\w*$/.test(head) && head !== 'true' && head !== 'false') {
        at++
        const args: unknown[] = []
        while (at < tokens.length && tokens[at] !== '|' && tokens[at] !== ')') args.push(operand())
        return call(head, [...args, ...piped])
      }
      if (piped.length > 0) fail('a value is piped into something that is no function')
      return operand()
    }
    function operand(): unknown {
      const token = tokens[at++]
      if (token === undefined) return fail('ends too soon')
      if (token === '(') {
        const value = pipeline()
        if (tokens[at++] !== ')') fail('misses a )')
        const field = tokens[at]
        if (field === undefined || !/^\.\w/.test(field)) return value
        at++
        return follow(value, field)
      }
      if (/^["`]/.test(token)) return token.startsWith('"') ? (JSON.parse(token) as string) : token.slice(1, -1)
      if (/^-?\d+$/.test(token)) return Number(token)
      if (token === 'true' || token === 'false') return token === 'true'
      // `.Files.Get` is a method; its argument follows
      if (token === '.Files.Get') return call('.Files.Get', [operand()])
      if (token.startsWith('.')) return follow(scope.dot, token)
      if (token === '$') return scope.root
      if (token.startsWith('$.')) return follow(scope.root, token.slice(1))
      const [variable = '', ...path] = token.split('.')
      if (!scope.variables.has(variable)) fail(`${variable} is not known`)
      return follow(scope.variables.get(variable), path.length > 0 ? `.${path.join('.')}` : '.')
    }
    function follow(from: unknown, path: string): unknown {
      let value = from
      for (const key of path.split('.').filter((part) => part !== '')) {
        if (value === null || typeof value !== 'object') return fail(`nil has no field ${key}`)
        value = (value as Record<string, unknown>)[key]
      }
      return value
    }
    function call(name: string, args: readonly unknown[]): unknown {
      if (name === '.Files.Get') {
        const get = (scope.root as { Files: { Get: (path: string) => string } }).Files.Get
        return get(text(args[0]))
      }
      if (name === 'include') {
        const body = defined.get(text(args[0])) ?? fail(`no template ${text(args[0])}`)
        return run(body, { dot: args[1], root: args[1], file: text(args[0]), variables: new Map() })
      }
      const found = FUNCTIONS[name] ?? fail(`${name} is no function of this renderer`)
      return found(...args)
    }
    const value = pipeline()
    if (at < tokens.length) fail(`cannot be read from ${tokens[at]}`)
    return value
  }

  return {
    render(name, data) {
      const body = bodies.get(name)
      if (!body) throw new Error(`there is no template ${name}`)
      return run(body, { dot: data, root: data, file: name, variables: new Map() })
    },
  }
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new Error(`${JSON.stringify(value)} is no string`)
  return value
}

function printed(value: unknown, where: string): string {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return String(value)
  throw new Error(`${where} prints ${value === undefined ? 'nothing' : JSON.stringify(value)}`)
}

/** Go's truth: empty strings, lists and maps, 0, false and nil are not. */
function truthy(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0
  if (value !== null && typeof value === 'object') return Object.keys(value).length > 0
  return Boolean(value)
}

const indented = (n: unknown, value: unknown) => text(value).replace(/^/gm, ' '.repeat(Number(n)))

const FUNCTIONS: Readonly<Record<string, (...args: unknown[]) => unknown>> = {
  toYaml: (value) => stringify(value, { lineWidth: 0, sortMapEntries: true, aliasDuplicateObjects: false }).trimEnd(),
  fromYaml: (value) => parse(text(value)) as unknown,
  nindent: (n, value) => `\n${indented(n, value)}`,
  indent: indented,
  quote: (value) => JSON.stringify(printed(value, 'quote')),
  default: (fallback, value) => (truthy(value) ? value : fallback),
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  not: (value) => !truthy(value),
  and: (...values) => values.find((value) => !truthy(value)) ?? values.at(-1),
  or: (...values) => values.find(truthy) ?? values.at(-1),
  add: (...values) => values.reduce((sum: number, value) => sum + Number(value), 0),
  trunc: (n, value) => text(value).slice(0, Number(n)),
  trimSuffix: (suffix, value) =>
    text(value).endsWith(text(suffix)) ? text(value).slice(0, -text(suffix).length) : value,
  contains: (part, value) => text(value).includes(text(part)),
  printf: (format, ...args) => args.reduce((out: string, arg) => out.replace('%s', text(arg)), text(format)),
}

function tokensOf(pipe: string, file: string): Token[] {
  const tokens: Token[] = []
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < pipe.length) {
    const at = TOKEN.lastIndex
    const found = TOKEN.exec(pipe)
    if (!found) throw new Error(`${file}: cannot be read: {{ ${pipe.slice(at)} }}`)
    tokens.push(found[0].trim())
  }
  return tokens
}

/** Text and actions as a tree; white space around actions goes where `{{-` and `-}}` say so. */
function parseTemplate(source: string, file: string, defined: Map<string, Node[]>): Node[] {
  const top: Node[] = []
  const stack: { nodes: Node[]; block: Node | null }[] = [{ nodes: top, block: null }]
  const here = () => stack.at(-1) ?? { nodes: top, block: null }
  let from = 0
  let trimNext = false
  const addText = (piece: string, trimEnd: boolean) => {
    const started = trimNext ? piece.trimStart() : piece
    const cut = trimEnd ? started.trimEnd() : started
    if (cut !== '') here().nodes.push({ kind: 'text', text: cut })
  }
  for (const match of source.matchAll(ACTION)) {
    const [whole, left, action = '', right] = match
    addText(source.slice(from, match.index), left !== undefined)
    from = match.index + whole.length
    trimNext = right !== undefined
    if (action.startsWith('/*')) continue
    const [word = '', rest = ''] = /^(\w+)\b\s*([\s\S]*)$/.exec(action)?.slice(1) ?? []
    if (word === 'if' || word === 'with' || word === 'range') {
      const block: Node = { kind: word, branches: [{ pipe: rest, body: [] }] }
      here().nodes.push(block)
      stack.push({ nodes: block.branches[0]?.body ?? [], block })
    } else if (word === 'else') {
      const { block } = stack.pop() ?? { block: null }
      if (!block || !('branches' in block)) throw new Error(`${file}: else without if`)
      const branch = { pipe: rest === '' ? null : rest.replace(/^if\s+/, ''), body: [] }
      block.branches.push(branch)
      stack.push({ nodes: branch.body, block })
    } else if (word === 'define') {
      const nodes: Node[] = []
      defined.set(JSON.parse(rest) as string, nodes)
      stack.push({ nodes, block: null })
    } else if (word === 'end') {
      if (stack.length === 1) throw new Error(`${file}: end without a beginning`)
      stack.pop()
    } else here().nodes.push({ kind: /^\$\w+\s*:=/.test(action) ? 'assign' : 'print', pipe: action })
  }
  addText(source.slice(from), false)
  if (stack.length > 1) throw new Error(`${file}: an end is missing`)
  return top
}
