import { cleanText, cutText, defuse } from './text.ts'

export type Format = 'mrkdwn' | 'html' | 'telegram' | 'plain'

/** Text that is already in the destination's markup. Only filters of this folder make it; no template or value can. */
export class Markup {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  toString(): string {
    return this.#text
  }
}

/** No single value fills a message, whatever a template forgets to shorten. UTF-16 units before escaping. */
export const VALUE_LIMIT = 1_000

const ESCAPERS: Readonly<Record<Format, (text: string) => string>> = {
  mrkdwn: (text) => escapeMrkdwn(defuse(text)),
  html: escapeHtml,
  telegram: (text) => escapeHtml(defuse(text)),
  plain: (text) => text,
}

/** One value as the destination shows it literally: cleaned, at most `VALUE_LIMIT` long, escaped. */
export function escapeValue(format: Format, value: unknown): string {
  if (value instanceof Markup) return value.toString()
  return ESCAPERS[format](cutText(cleanText(textOf(value)), VALUE_LIMIT))
}

/** What a link's address may be: strict http(s), nothing that ends or splits markup (contract.md, section 8). */
export function strictUrl(value: unknown): string | null {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it refuses
  if (typeof value !== 'string' || value.length > 2_000 || /[<>|\s"'`\\\u0000-\u001f\u007f-\u009f]/u.test(value))
    return null
  if (!/^https?:\/\/[^/?#]/i.test(value) || cleanText(value) !== value) return null
  return URL.canParse(value) ? value : null
}

/** A link in the destination's markup, or the escaped text alone when the address is not strict. */
export function link(format: Format, url: unknown, text: unknown): Markup {
  const address = strictUrl(url)
  const label = escapeValue(format, text)
  if (address === null) return new Markup(label)
  switch (format) {
    case 'mrkdwn':
      // Slack wants & escaped in addresses too; < > | cannot occur.
      return new Markup(`<${address.replaceAll('&', '&amp;')}|${label.replaceAll('|', '\u2223')}>`)
    case 'html':
      return new Markup(`<a href="${escapeHtml(address)}" rel="noopener noreferrer">${label}</a>`)
    case 'telegram':
      return new Markup(`<a href="${escapeHtml(address)}">${label}</a>`)
    case 'plain':
      return new Markup(`${label}: ${address}`)
  }
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

/**
 * Slack's three escapes, and look-alikes for what formats: it has no escape for `*`, `~`, the back-tick and `_`. A `_`
 * inside a word (`rating_api`) formats nothing and stays. `:name:` would become an emoji, and `>` at the start a quote.
 */
function escapeMrkdwn(text: string): string {
  return text
    .replaceAll('*', '\u2217')
    .replaceAll('~', '\u223c')
    .replaceAll('`', '\u02cb')
    .replace(/(?<![\p{L}\p{N}_])_+|_+(?![\p{L}\p{N}_])/gu, (run) => '\uff3f'.repeat(run.length))
    .replace(/^(\s*)>/, '$1\uff1e')
    .replace(/:(?=(?!\d\d:)[\w+'-]+:)/g, '\u2236')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (Array.isArray(value)) return value.map(textOf).join(', ')
  if (typeof value === 'object') return JSON.stringify(value)
  return String(value)
}
