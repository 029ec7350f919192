import type { Access } from '../../src/core/access.ts'
import type { ApiAnswer } from '../../src/core/api.ts'
import type { Clock } from '../../src/core/clock.ts'
import { ClawError } from '../../src/core/errors.ts'
import type { Incident } from '../../src/core/incident.ts'
import type { Store } from '../../src/core/store.ts'
import type { IncidentView } from '../../src/core/view.ts'

/** What the API works with. */
export type ApiDeps = {
  store: Store
  viewOf: (incident: Incident) => Promise<IncidentView>
  clock: Clock
  /** tells the lanes that something is due */
  wake: () => void
  /** who may do what */
  access: () => Access
}

const JSON_TYPE = 'application/json; charset=utf-8'

export function json(value: unknown, status = 200): ApiAnswer {
  return { status, type: JSON_TYPE, body: JSON.stringify(value) }
}

/** A list whose items are JSON text already. */
export function jsonList(name: string, items: readonly string[], nextCursor: string | null): ApiAnswer {
  const body = `{"${name}":[${items.join(',')}],"next_cursor":${JSON.stringify(nextCursor)}}`
  return { status: 200, type: JSON_TYPE, body }
}

/** @returns the id in a path. @throws ClawError('invalid') */
export function readId(text: string, what: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text))
    throw new ClawError('invalid', `The id of ${what} is a decimal number, such as 12.`)
  return Number(text)
}

/** @throws ClawError('invalid') unless 1..1000 */
export function readLimit(query: URLSearchParams): number {
  const text = query.get('limit') ?? ''
  if (text === '') return 50
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0
  if (limit < 1 || limit > 1000) throw new ClawError('invalid', 'limit: must be a whole number from 1 to 1000.')
  return limit
}

/**
 * Values of `state`: a comma list, repeated, or both; none means all.
 * @throws ClawError('invalid') naming those that exist
 */
export function readStates(query: URLSearchParams, known: readonly string[]): string[] {
  const asked = query
    .getAll('state')
    .flatMap((text) => text.split(','))
    .map((text) => text.trim())
    .filter((text) => text !== '')
  if (asked.some((state) => !known.includes(state))) {
    throw new ClawError('invalid', `state: must be ${known.slice(0, -1).join(', ')} or ${known.at(-1)}.`)
  }
  return known.filter((state) => asked.includes(state))
}

/** Where a list goes on: before this id. `list` keeps the cursors of different lists apart. */
export function cursorOf(list: string, before: number): string {
  return Buffer.from(`${list}:${before}`).toString('base64url')
}

/** @throws ClawError('invalid') for anything that `cursorOf` did not make for this list */
export function readCursor(query: URLSearchParams, list: string): number | null {
  const text = query.get('cursor') ?? ''
  if (text === '') return null
  const [name, digits = ''] = Buffer.from(text.slice(0, 100), 'base64url').toString().split(':')
  const before = /^[1-9]\d{0,14}$/.test(digits) ? Number(digits) : 0
  if (name !== list || before === 0 || cursorOf(list, before) !== text) {
    throw new ClawError('invalid', 'cursor: pass next_cursor of the page before, unchanged, to the same list.')
  }
  return before
}
