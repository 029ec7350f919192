import type { Button } from '../../core/command.ts'
import { oneLine } from './escape.ts'
import { LIMITS } from './limits.ts'

export type ButtonElement = {
  type: 'button'
  action_id: string
  text: { type: 'plain_text'; text: string; emoji: false }
  value: string
  style?: 'primary' | 'danger'
}

export type ActionsBlock = { type: 'actions'; block_id?: string; elements: ButtonElement[] }

/** Every button of ours starts with this; the rest of the `action_id` is the command's name. */
export const ACTION_PREFIX = 'claw:'

/**
 * Buttons as at most one block, none when there are none. `value` is the command; one too long to be carried whole is left
 * out, for a command that lost its end is another command.
 */
export function actionsBlock(buttons: readonly Button[], blockId?: string): ActionsBlock[] {
  const elements: ButtonElement[] = []
  const taken = new Set<string>()
  let room: number = LIMITS.allButtons
  for (const { label, command, style } of buttons) {
    const value = command.trim()
    room -= value.length + 150
    if (value === '' || value.length > LIMITS.buttonValue || room < 0) continue
    if (elements.length === LIMITS.actionElements) break
    elements.push({
      type: 'button',
      action_id: idOf(value, taken),
      text: { type: 'plain_text', text: cutChars(oneLine(label) || oneLine(value), LIMITS.buttonText), emoji: false },
      value,
      ...(style === 'plain' ? {} : { style }),
    })
  }
  if (elements.length === 0) return []
  return [{ type: 'actions', ...(blockId === undefined ? {} : { block_id: blockId }), elements }]
}

function idOf(command: string, taken: Set<string>): string {
  const name = `${ACTION_PREFIX}${/^[a-z]{1,40}/i.exec(command)?.[0].toLowerCase() ?? 'run'}`
  let id = name
  for (let n = 2; taken.has(id); n++) id = `${name}:${n}`
  taken.add(id)
  return id
}

/** At most `limit` UTF-16 units, never half a character. */
export function cutChars(text: string, limit: number): string {
  if (text.length <= limit) return text
  let cut = ''
  for (const char of text) {
    if (cut.length + char.length > limit - 1) break
    cut += char
  }
  return `${cut.trimEnd()}…`
}
