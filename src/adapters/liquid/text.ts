/** Characters that reorder text (bidi), or break lines where a reader would not expect it. */
const REORDERING = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g
/** Characters that show nothing and hide things: zero-width, soft hyphen, invisible operators, interlinear marks. */
const INVISIBLE = /[\u00ad\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb]/g
const BLANKS = /[\t\n\v\f\r\u0085\u2028\u2029]+/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const CONTROLS = /[\u0000-\u0008\u000e-\u001f\u007f-\u0084\u0086-\u009f]/g

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })

/**
 * Any string as text that is safe to show on one line: well-formed Unicode; control and reordering characters become the
 * visible U+FFFD, line breaks and tabs a blank, invisible ones are dropped.
 */
export function cleanText(text: string): string {
  return text
    .toWellFormed()
    .replace(BLANKS, ' ')
    .replace(CONTROLS, '\ufffd')
    .replace(REORDERING, '\ufffd')
    .replace(INVISIBLE, '')
}

/**
 * Cuts to at most `limit` UTF-16 units, `…` included, never inside what a reader takes for one character. A single
 * "character" longer than the limit (thousands of accents on one letter) is dropped.
 */
export function cutText(text: string, limit: number): string {
  if (text.length <= limit) return text
  if (limit <= 0) return ''
  let cut = ''
  // The slice bounds the work: nothing behind it can be kept. The segment it may have torn is left out.
  for (const { segment } of graphemes.segment(text.slice(0, limit + 1))) {
    if (cut.length + segment.length > limit - 1) break
    cut += segment
  }
  return `${cut.trimEnd()}…`
}

/**
 * Takes away what chat platforms would make clickable or notify about, even where markup is escaped: mentions, hash tags,
 * bot commands, URLs, domains and mail addresses. Telegram detects all of these in plain text and has no switch for it.
 * The characters are replaced by look-alikes, so that text reads as before and nothing invisible is added.
 */
export function defuse(text: string): string {
  return text
    .replaceAll('@', '\uff20')
    .replaceAll('://', ':\u2215\u2215')
    .replace(/(?<![\p{L}\p{N}_])\/(?=[\p{L}\p{N}_])/gu, '\u2215')
    .replace(/#(?=[\p{L}\p{N}_])/gu, '\uff03')
    .replace(/\$(?=[A-Za-z])/g, '\uff04')
    .replace(/(?<=[\p{L}\p{N}\p{M}_-])\.(?=[\p{L}\p{N}_-])/gu, (dot, at: number) =>
      isDecimalPoint(text, at) ? dot : '\u2024',
    )
}

/** A dot between two plain numbers, as in `0.05`: no domain and no IPv4 address. The positions are those before defusing. */
function isDecimalPoint(text: string, at: number): boolean {
  // All replacements above keep the length, so offsets in the result are offsets in the original.
  const before = /(?<![\p{L}\p{N}._-])[0-9]{1,15}$/u.test(text.slice(Math.max(0, at - 17), at))
  const after = /^[0-9]{1,15}(?![\p{L}\p{N}_-]|\.[\p{L}\p{N}])/u.test(text.slice(at + 1, at + 19))
  return before && after
}
