import type { Reply } from '../../core/command.ts'
import { strictUrl } from '../../core/incidentview.ts'
import { actionsBlock } from './buttons.ts'
import { codeText, entities, escapePlain } from './escape.ts'
import { type Block, cutMrkdwn, firstThatFits, type Message, section, splitLines } from './message.ts'

/** Of the text of a reply, before what is left out is only counted: characters of lines, and of the table. */
const LINES_ROOM = 6_000
const TABLE_ROOM = 6_000
/** of one section with its fences; LIMITS.sectionText is 3000 */
const CODE_ROOM = 2_900
const CELL = 60
const COLUMNS = 12

/** A command's answer: summary in bold, lines, the table in fixed width, buttons. What does not fit is counted. */
export function replyMessage(reply: Reply): Message {
  const summary = cutMrkdwn(escapePlain(reply.summary) || (reply.ok ? 'Done.' : 'No.'), 1_000)
  const lines = reply.lines.map((line) => cutMrkdwn(escapePlain(line), 1_000))
  const url = reply.link === undefined ? null : strictUrl(reply.link.url)
  if (reply.link && url !== null) lines.unshift(`<${entities(url)}|${escapePlain(reply.link.label)}>`)
  const rows = reply.table === null ? [] : tableRows(reply.table)
  const buttons = actionsBlock(reply.buttons)
  const blocks = firstThatFits(
    [1, 0.6, 0.3, 0.1].map((share) => (): Block[] => [
      ...splitLines([`*${summary}*`, ...fit(lines, LINES_ROOM * share, 'line')].join('\n'), CODE_ROOM).flatMap(section),
      ...codeBlocks(fit(rows, TABLE_ROOM * share, 'row')),
      ...buttons,
    ]),
  )
  return { text: summary, blocks, plain: cutMrkdwn([summary, ...lines].join('\n'), CODE_ROOM) }
}

/** One short line of our own, as a reply. */
export function noteMessage(text: string): Message {
  const escaped = escapePlain(text)
  return { text: escaped, blocks: section(escaped), plain: escaped }
}

/** The first lines that have room, the last of the rest (it says what to do next), and how many are left out. */
function fit(lines: readonly string[], room: number, noun: string): string[] {
  let length = 0
  const kept = lines.findIndex((line) => {
    length += line.length + 1
    return length > room
  })
  if (kept === -1) return [...lines]
  const left = lines.length - kept
  const more = `… ${left} more ${noun}${left === 1 ? '' : 's'}`
  const last = lines.at(-1) ?? ''
  return noun === 'line' && left > 1
    ? [...lines.slice(0, kept), `… ${left - 1} more ${noun}${left === 2 ? '' : 's'}`, last]
    : [...lines.slice(0, kept), more]
}

function tableRows({ head, rows }: NonNullable<Reply['table']>): string[] {
  const cells = [head, ...rows].map((row) => row.slice(0, COLUMNS).map((cell) => cutCell(codeText(cell))))
  const widths: number[] = []
  for (const row of cells) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, widthOf(cell))
  const pad = (cell: string, i: number) => cell + ' '.repeat((widths[i] ?? 0) - widthOf(cell))
  return cells.map((row) => entities(row.map(pad).join('  ').trimEnd()))
}

function codeBlocks(rows: readonly string[]): Block[] {
  if (rows.every((row) => row.trim() === '')) return []
  return splitLines(rows.join('\n'), CODE_ROOM).flatMap((piece) => section(`\`\`\`\n${piece}\n\`\`\``))
}

function cutCell(text: string): string {
  const chars = Array.from(text.slice(0, 4 * CELL))
  return chars.length <= CELL && text.length <= 4 * CELL ? chars.join('') : `${chars.slice(0, CELL - 1).join('')}…`
}

function widthOf(text: string): number {
  return Array.from(text).length
}
