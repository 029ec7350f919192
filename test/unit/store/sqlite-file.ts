import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'

const folder = mkdtempSync(join(tmpdir(), 'claw-store-'))
after(() => rmSync(folder, { recursive: true, force: true }))
let count = 0

/** Path of a file that is not there yet, gone after the test file. */
export function sqlitePath(): string {
  count += 1
  return join(folder, `claw-${count}.db`)
}

/** The same as a store's URL. */
export const sqliteUrl = (): string => `sqlite:${sqlitePath()}`
