export type Entity = { type: string; offset: number; length: number; url?: string; language?: string }
export type Formatted = { text: string; entities: Entity[] }

/** Tag to entity type; core.telegram.org/bots/api, "HTML style". */
const TAGS: Readonly<Record<string, string>> = {
  b: 'bold',
  strong: 'bold',
  i: 'italic',
  em: 'italic',
  u: 'underline',
  ins: 'underline',
  s: 'strikethrough',
  strike: 'strikethrough',
  del: 'strikethrough',
  code: 'code',
  pre: 'pre',
  a: 'text_link',
  blockquote: 'blockquote',
  'tg-spoiler': 'spoiler',
}

const NAMED: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"' }
const ENTITY = /&(?:(lt|gt|amp|quot)|#(\d{1,7})|#x([0-9a-f]{1,6}));/iy
const END = /<\/\s*([a-z-]*)\s*>/iy
const START = /<([a-z][a-z0-9-]*)((?:\s+[a-z-]+(?:\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>=]+))?)*)\s*>/iy
const ATTRIBUTE = /([a-z-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"']+)))?/gi

function unescapeAttribute(value: string): string {
  return value.replace(/&(lt|gt|amp|quot);/g, (_, name: string) => NAMED[name] ?? '')
}

/**
 * Reads Telegram's HTML. Returns text without tags and its entities (offsets in UTF-16 units), or the end of Telegram's
 * refusal, what stands behind `can't parse entities: `.
 *
 * Stricter than the real server where that is lax and its documentation is not: an unescaped `&`, a nested blockquote and tags
 * within code are shown by it in some other way than was meant; here they are refused, so that a test sees it.
 */
export function parseHtml(source: string): Formatted | string {
  const entities: Entity[] = []
  const open: Array<{ tag: string; at: number; offset: number; attributes: Map<string, string> }> = []
  const bytes = (i: number) => Buffer.byteLength(source.slice(0, i))
  let text = ''
  let i = 0
  while (i < source.length) {
    const c = source[i]
    if (c === '&') {
      ENTITY.lastIndex = i
      const m = ENTITY.exec(source)
      if (m === null) return `Unescaped "&" at byte offset ${bytes(i)}`
      const code = m[2] !== undefined ? Number(m[2]) : Number.parseInt(m[3] ?? '0', 16)
      const named = m[1]?.toLowerCase()
      if (named === undefined && (code === 0 || code > 0x10ffff)) return `Invalid entity at byte offset ${bytes(i)}`
      text += named === undefined ? String.fromCodePoint(code) : (NAMED[named] ?? '')
      i = ENTITY.lastIndex
      continue
    }
    if (c !== '<') {
      text += c
      i++
      continue
    }
    if (source[i + 1] === '/') {
      END.lastIndex = i
      const m = END.exec(source)
      if (m === null) return `Unclosed end tag at byte offset ${bytes(i)}`
      const name = m[1]?.toLowerCase() ?? ''
      const top = open.pop()
      if (top === undefined) return `Unexpected end tag at byte offset ${bytes(i)}`
      if (name !== '' && name !== top.tag) {
        return `Unmatched end tag at byte offset ${bytes(i)}, expected "</${top.tag}>", found "</${name}>"`
      }
      close(top, text.length, entities)
      i = END.lastIndex
      continue
    }
    START.lastIndex = i
    const m = START.exec(source)
    if (m === null) {
      const name = /^<([a-z][a-z0-9-]*)/i.exec(source.slice(i, i + 64))?.[1] ?? ''
      if (name !== '' && !Object.hasOwn(TAGS, name.toLowerCase())) {
        return `Unsupported start tag "${name.toLowerCase()}" at byte offset ${bytes(i)}`
      }
      return name === ''
        ? `Unsupported start tag "" at byte offset ${bytes(i)}`
        : `Unclosed start tag at byte offset ${bytes(i)}`
    }
    const tag = m[1]?.toLowerCase() ?? ''
    if (!Object.hasOwn(TAGS, tag)) return `Unsupported start tag "${tag}" at byte offset ${bytes(i)}`
    const above = open.map((o) => o.tag)
    const inPre = above.at(-1) === 'pre' && tag === 'code'
    if ((above.includes('code') || above.includes('pre')) && !inPre)
      return `Tag "${tag}" within code at byte offset ${bytes(i)}`
    if (tag === 'blockquote' && above.includes('blockquote')) return `Nested blockquote at byte offset ${bytes(i)}`
    const attributes = new Map<string, string>()
    for (const a of (m[2] ?? '').matchAll(ATTRIBUTE)) {
      attributes.set(String(a[1]).toLowerCase(), unescapeAttribute(a[2] ?? a[3] ?? a[4] ?? ''))
    }
    open.push({ tag, at: i, offset: text.length, attributes })
    i = START.lastIndex
  }
  const left = open.at(-1)
  if (left) return `Can't find end tag corresponding to start tag "${left.tag}"`
  return { text, entities: entities.sort((a, b) => a.offset - b.offset || b.length - a.length) }
}

function close(
  top: { tag: string; offset: number; attributes: Map<string, string> },
  end: number,
  entities: Entity[],
): void {
  const length = end - top.offset
  if (length === 0) return
  const entity: Entity = { type: TAGS[top.tag] ?? '', offset: top.offset, length }
  if (top.tag === 'a') {
    const url = top.attributes.get('href') ?? ''
    // As the real server does: a link that leads nowhere stays as plain text.
    if (!/^(https?|tg|mailto|tel):/i.test(url) || !URL.canParse(url)) return
    entity.url = url
  }
  const language = /^language-(.+)$/.exec(top.attributes.get('class') ?? '')?.[1]
  if (top.tag === 'code' && language !== undefined) entity.language = language
  if (top.tag === 'blockquote' && top.attributes.has('expandable')) entity.type = 'expandable_blockquote'
  entities.push(entity)
}

/** Text as Telegram keeps it: no control characters but the line feed, no blanks at the ends; entities move along. */
export function tidy(formatted: Formatted): Formatted {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  const clean = formatted.text.replace(/[\x00-\x09\x0b-\x1f]/g, ' ')
  const start = clean.length - clean.trimStart().length
  const text = clean.trim()
  const entities: Entity[] = []
  for (const entity of formatted.entities) {
    const offset = Math.max(0, entity.offset - start)
    const length = Math.min(text.length, entity.offset - start + entity.length) - offset
    if (length > 0) entities.push({ ...entity, offset, length })
  }
  return { text, entities }
}
