/** What an expression asks of its series. */
export type Reads = {
  /** each selector: the metric and the labels it matches on */
  selectors: { metric: string; labels: string[] }[]
  /** labels named by `by`, `on`, `ignoring`, `group_left` … anywhere in it */
  grouping: string[]
}

const TOKEN =
  /"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[A-Za-z_:][\w:]*|\d[\w.]*|=~|!~|!=|==|>=|<=|[{}()[\],=<>+\-*/%^]|\s+|#[^\n]*/y
const GROUPING = new Set(['by', 'without', 'on', 'ignoring', 'group_left', 'group_right'])
const WORDS = new Set(['and', 'or', 'unless', 'bool', 'offset', 'atan2', 'inf', 'nan'])

/** A reader of PromQL that knows just enough to name metrics and labels. @throws Error at what it does not know */
export function readsOf(expr: string): Reads {
  const tokens = tokensOf(expr)
  const selectors: Reads['selectors'] = []
  const grouping: string[] = []
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at] ?? ''
    if (!/^[A-Za-z_:]/.test(token) || WORDS.has(token.toLowerCase())) continue
    const next = tokens[at + 1]
    if (GROUPING.has(token)) {
      if (next !== '(') continue
      for (at += 2; tokens[at] !== ')'; at++) if (tokens[at] !== ',') grouping.push(nameAt(tokens, at, expr))
    } else if (next === '{') {
      const labels: string[] = []
      for (at += 2; tokens[at] !== '}'; at += tokens[at + 3] === ',' ? 4 : 3) labels.push(nameAt(tokens, at, expr))
      selectors.push({ metric: token, labels })
    } else if (next !== '(' && !GROUPING.has(next ?? '')) {
      selectors.push({ metric: token, labels: [] })
    }
  }
  return { selectors, grouping }
}

function nameAt(tokens: readonly string[], at: number, expr: string): string {
  const token = tokens[at]
  if (token === undefined || !/^[A-Za-z_]\w*$/.test(token)) throw new Error(`no label where one must be: ${expr}`)
  return token
}

function tokensOf(expr: string): string[] {
  const tokens: string[] = []
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < expr.length) {
    const at = TOKEN.lastIndex
    const [token] = TOKEN.exec(expr) ?? []
    if (token === undefined) throw new Error(`cannot be read from here: ${expr.slice(at)}`)
    if (!/^[\s#]/.test(token)) tokens.push(token)
  }
  return tokens
}
