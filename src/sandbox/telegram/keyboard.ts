import { asRecord, maybeJson } from '../front.ts'

/** Sources: core.telegram.org/bots/api, InlineKeyboardButton; counts as refused by the server (REPLY_MARKUP_TOO_LONG). */
const LIMITS = { callbackBytes: 64, buttons: 100, perRow: 8 } as const

const ACTIONS = ['url', 'callback_data', 'web_app', 'login_url', 'switch_inline_query', 'copy_text', 'pay']

/** Telegram takes no address that nobody else can reach: a bare name such as `localhost` is refused. */
function goodUrl(value: unknown): boolean {
  if (typeof value !== 'string' || !URL.canParse(value)) return false
  const url = new URL(value)
  if (url.protocol === 'tg:') return true
  return (url.protocol === 'http:' || url.protocol === 'https:') && /[.:]/.test(url.hostname)
}

/** Reads `reply_markup`. Returns the markup (null for none or an empty one), or Telegram's refusal without `Bad Request: `. */
export function readMarkup(value: unknown): { markup: object | null } | string {
  if (value === undefined || value === null || value === '') return { markup: null }
  const markup = asRecord(maybeJson(value))
  if (markup === null) return 'object expected as reply markup'
  const rows = markup.inline_keyboard
  if (rows === undefined) return { markup }
  if (!Array.isArray(rows)) return "can't parse reply keyboard markup JSON object"
  let count = 0
  for (const row of rows) {
    if (!Array.isArray(row))
      return "can't parse inline keyboard button row: Inline keyboard button row must be an Array"
    if (row.length > LIMITS.perRow) return 'BUTTON_ROW_TOO_LONG'
    for (const raw of row) {
      count++
      const button = asRecord(raw)
      if (button === null) return "can't parse inline keyboard button: InlineKeyboardButton must be an Object"
      if (typeof button.text !== 'string' || button.text.trim() === '') {
        return 'can\'t parse inline keyboard button: Field "text" must be a non-empty string'
      }
      const actions = ACTIONS.filter((key) => button[key] !== undefined)
      if (actions.length === 0) {
        return "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard"
      }
      if (actions.length > 1) return "can't parse inline keyboard button: exactly one action is allowed"
      if (button.callback_data !== undefined) {
        const bytes = typeof button.callback_data === 'string' ? Buffer.byteLength(button.callback_data) : 0
        if (bytes < 1 || bytes > LIMITS.callbackBytes) return 'BUTTON_DATA_INVALID'
      }
      if (button.url !== undefined && !goodUrl(button.url)) {
        return `inline keyboard button URL '${String(button.url)}' is invalid: Wrong HTTP URL`
      }
    }
  }
  if (count > LIMITS.buttons) return 'REPLY_MARKUP_TOO_LONG'
  return { markup: count === 0 ? null : markup }
}

/** The inline buttons of a markup, row by row. */
export function buttonsOf(markup: object | null): Array<{ text: string; callback_data?: string; url?: string }> {
  const rows = asRecord(markup)?.inline_keyboard
  return Array.isArray(rows) ? rows.flat() : []
}
