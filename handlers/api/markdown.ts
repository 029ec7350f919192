import { oneLine } from './present.ts'

/**
 * A value as Markdown shows it literally, on one line, within a paragraph or a table cell: no HTML, markup, link, mention
 * or table cell can come out of it. The caller puts something of its own before it on the line.
 * @param limit characters before escaping
 */
export function md(value: string, limit = 300): string {
  return (
    oneLine(value, limit)
      .replace(/[\\`*[\]~#!$]/g, '\\$&')
      .replace(/(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu, '\\_')
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('|', '&#124;')
      // Renderers make links of bare addresses, and mentions and mail links of @, even escaped.
      .replaceAll('://', '\\://')
      .replace(/www\./gi, (text) => `${text.slice(0, 3)}\\.`)
      .replaceAll('@', '\uff20')
  )
}

/** A table; cells are Markdown already. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
