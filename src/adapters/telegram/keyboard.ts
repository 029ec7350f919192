import type { Button } from '../../core/command.ts'
import type { IncidentView } from '../../core/view.ts'
import { LIMITS } from './limits.ts'

type Key = { text: string; callback_data: string } | { text: string; url: string }

export type Keyboard = { inline_keyboard: Key[][] }

/** The buttons under an incident's message: what can be done, then where to look. None once it is resolved. */
export function incidentKeyboard(incident: IncidentView): Keyboard | null {
  if (incident.state === 'resolved') return null
  const links = [
    ['Graph', incident.graphUrl],
    ['Runbook', incident.runbookUrl],
    ['Details', incident.incidentUrl],
  ] as const
  const urls = links.flatMap(([text, url]): Key[] => (url !== null && openable(url) ? [{ text, url }] : []))
  return keyboardOf([...rowsOf(incident.actions), urls])
}

/** The buttons of an answer; null for none. */
export function replyKeyboard(buttons: readonly Button[]): Keyboard | null {
  return keyboardOf(rowsOf(buttons))
}

function keyboardOf(rows: Key[][]): Keyboard | null {
  const filled = rows.filter((row) => row.length > 0)
  return filled.length === 0 ? null : { inline_keyboard: filled }
}

/** A button whose command is longer than Telegram carries is left out: cut short it would be another command. */
function rowsOf(buttons: readonly Button[]): Key[][] {
  const keys = buttons.flatMap(({ label, command }): Key[] => {
    const text = label
      .toWellFormed()
      .replace(/[\p{C}\s]+/gu, ' ')
      .trim()
      .slice(0, LIMITS.buttonText)
      .toWellFormed()
    const bytes = Buffer.byteLength(command)
    if (text === '' || bytes < 1 || bytes > LIMITS.callbackBytes || !command.isWellFormed()) return []
    return [{ text, callback_data: command }]
  })
  const rows: Key[][] = []
  for (let at = 0; at < Math.min(keys.length, LIMITS.buttons); at += LIMITS.perRow)
    rows.push(keys.slice(at, at + LIMITS.perRow))
  return rows
}

/** Telegram refuses the whole message over a button to a host without a dot, such as `prometheus`. */
function openable(url: string): boolean {
  if (url.length > 2_000 || /[\s<>"\p{C}]/u.test(url)) return false
  const parsed = URL.parse(url)
  if (parsed === null || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')) return false
  return /[^.]\.[^.]/.test(parsed.hostname)
}
