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
