import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Row } from './stats.ts'

/** What each benchmark is given. */
export type Context = {
  rounds: number
  /** of load in each round */
  seconds: number
  /** `src/main.ts` of the tree that is measured */
  main: string
  /** says what is being done */
  note: (text: string) => void
}

export type Benchmark = (context: Context) => Promise<Row[]>

type Closable = { close(): Promise<void> } | { stop(): Promise<void> }

/** Runs `work` with a folder of its own, on the disk that temporary files are on, and closes what it opened, newest first. */
export async function bench<T>(
  work: (folder: string, open: <C extends Closable>(one: C) => C) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'claw-bench-'))
  const opened: Closable[] = []
  const open = <C extends Closable>(one: C): C => {
    opened.push(one)
    return one
  }
  try {
    return await work(folder, open)
  } finally {
    for (const one of opened.reverse()) await ('close' in one ? one.close() : one.stop())
    rmSync(folder, { recursive: true, force: true })
  }
}

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

export function skipped(name: string, goal: string, why: string): Row {
  console.error(`\n!!! ${name} SKIPPED: ${why}\n`)
  return { name, claw: 'skipped', reference: why, ratio: null, goal, met: null }
}
