/**
 * Plain text as Slack's mrkdwn shows it literally, on one line. Slack has no escape for what formats, so look-alikes stand
 * in; commands (`/claw approve a7`) and names (`rating_api`, `api.example.com`) stay as they are, for `verbatim` texts make no
 * links of them. Source: docs.slack.dev, "Formatting message text" (escaping `&`, `<` and `>`).
 */
export function escapePlain(text: string): string {
  return entities(
    oneLine(text)
      .replaceAll('@', '\uff20')
      .replaceAll('://', ':\u2215\u2215')
      .replaceAll('*', '\u2217')
      .replaceAll('~', '\u223c')
      .replaceAll('`', '\u02cb')
      .replace(/(?<![\p{L}\p{N}_])_+|_+(?![\p{L}\p{N}_])/gu, (run) => '\uff3f'.repeat(run.length))
      .replace(/^>/, '\uff1e')
      .replace(/:(?=(?!\d\d:)[\w+'-]+:)/g, '\u2236'),
  )
}

/** Text for a fixed-width block before `entities`: only what would end the block, or mention somebody, is changed. */
export function codeText(text: string): string {
  return oneLine(text).replaceAll('`', '\u02cb').replaceAll('@', '\uff20')
}

/** For `plain_text` objects (button labels): Slack shows them literally. */
export function oneLine(text: string): string {
  return text
    .toWellFormed()
    .replace(/[\s\u2028\u2029]+/g, ' ')
    .replace(/\p{C}/gu, '\ufffd')
    .trim()
}

/** What people typed: Slack escapes three characters, and phones make quotes curly. */
export function unescapeTyped(text: string): string {
  return text
    .replace(/[\u201c\u201d\u201e]/g, '"')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
}

/** The three characters that Slack wants escaped. */
export function entities(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
