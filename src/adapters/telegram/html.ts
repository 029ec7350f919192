/** Visible characters of Telegram's HTML: UTF-16 units after tags are gone and entities are one character. */
export function htmlLength(html: string): number {
  return html.replace(/<[^<>]*>/g, '').replace(/&(?:#\d+|#x[0-9a-f]+|[a-z]+);/gi, '.').length
}

/**
 * Cuts Telegram's HTML to at most `limit` visible UTF-16 units, `…` included: never inside a tag, an entity or a
 * character, and every tag that is open is closed. What has no room left with `maxHtml` units of markup is cut, too.
 */
export function cutHtml(html: string, limit: number, maxHtml: number): string {
  if (limit <= 0) return ''
  if (html.length <= maxHtml && htmlLength(html) <= limit) return html
  const open: string[] = []
  let cut = ''
  let length = 0
  for (const [token] of html.matchAll(/<[^<>]*>|&(?:#\d+|#x[0-9a-f]+|[a-z]+);|[\s\S]/giu)) {
    const tag = /^<(\/?)([a-z][a-z-]*)/i.exec(token)
    const closing = open.reduce((sum, name) => sum + name.length + 3, 0)
    if (tag === null) {
      const size = token.startsWith('&') && token.length > 1 ? 1 : token.length
      if (length + size > limit - 1 || cut.length + token.length + closing + 1 > maxHtml) break
      length += size
    } else if (tag[1] === '/') {
      if (open.at(-1) !== tag[2]) continue
      open.pop()
    } else {
      const name = tag[2] ?? ''
      if (cut.length + token.length + closing + name.length + 4 > maxHtml) break
      open.push(name)
    }
    cut += token
  }
  return `${cut.trimEnd()}…${open
    .reverse()
    .map((name) => `</${name}>`)
    .join('')}`
}

/**
 * Splits Telegram's HTML into parts of at most `limit` visible UTF-16 units, each valid by itself: tags that are open at a
 * cut are closed there and opened again in the next part. Cut at a line's end where the part is half full, else at a
 * blank, else anywhere between characters. Parts without a visible character are left out.
 */
export function splitHtml(html: string, limit: number, maxHtml: number): string[] {
  const tokens = Array.from(html.matchAll(/<[^<>]*>|&(?:#\d+|#x[0-9a-f]+|[a-z]+);|[\s\S]/giu), ([token]) => token)
  const parts: string[] = []
  let open: string[] = []
  for (let at = 0; at < tokens.length; ) {
    const { end, openAt } = partEnd(tokens, at, open, limit, maxHtml)
    const part = `${open.join('')}${tokens.slice(at, end).join('')}${closing(openAt)}`
    if (htmlLength(part.replace(/\s/g, '')) > 0) parts.push(part)
    at = end
    open = openAt
    // What a part begins or ends with Telegram drops; a blank line that was cut would otherwise count.
    while (tokens[at] === '\n') at++
  }
  return parts
}

/** Where the part that begins at `at` ends, and what is open there. Always at least one token further. */
function partEnd(tokens: string[], at: number, before: string[], limit: number, maxHtml: number) {
  const open = [...before]
  let length = 0
  let bytes = open.join('').length + closing(open).length
  let line: { end: number; openAt: string[] } | null = null
  let blank: { end: number; openAt: string[] } | null = null
  for (let i = at; i < tokens.length; i++) {
    const token = tokens[i] as string
    const tag = /^<(\/?)([a-z][a-z-]*)/i.exec(token)
    const size = tag !== null ? 0 : token.startsWith('&') && token.length > 1 ? 1 : token.length
    // An opening tag needs room for its end as well.
    const more = token.length + (tag !== null && tag[1] === '' ? (tag[2]?.length ?? 0) + 3 : 0)
    if (i > at && (length + size > limit || bytes + more > maxHtml))
      return line ?? blank ?? { end: i, openAt: [...open] }
    length += size
    bytes += more
    if (tag !== null && tag[1] === '/') open.pop()
    else if (tag !== null) open.push(token)
    else if (token === '\n' && length > limit / 2) line = { end: i + 1, openAt: [...open] }
    else if (token === ' ' && length > limit / 2) blank = { end: i + 1, openAt: [...open] }
  }
  return { end: tokens.length, openAt: open }
}

function closing(open: readonly string[]): string {
  return open
    .map((tag) => `</${/^<([a-z][a-z-]*)/i.exec(tag)?.[1] ?? ''}>`)
    .reverse()
    .join('')
}

/** Text that no template escaped, with what Telegram would make clickable taken out. */
export function escapeBare(text: string): string {
  return text
    .toWellFormed()
    .replace(/[\s\u2028\u2029]+/g, ' ')
    .replace(/\p{C}/gu, '\ufffd')
    .replaceAll('@', '\uff20')
    .replaceAll('/', '\u2215')
    .replaceAll('#', '\uff03')
    .replace(/(?<=[\p{L}\p{N}])\.(?=[\p{L}\p{N}])/gu, '\u2024')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
}

/** The same words without markup, for a server that refuses it: links lose their addresses. */
export function plainText(html: string): string {
  return html
    .replace(/<[^<>]*>/g, '')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&')
}
