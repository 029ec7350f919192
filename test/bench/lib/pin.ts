import { execFileSync } from 'node:child_process'
import { missing } from '../../../src/sandbox/real/process.ts'

/** Servers run on one core, load and destinations on another, so that neither takes time from the other. */
export const SERVER_CORE = 0
export const LOAD_CORE = 1

export const canPin = missing(['taskset']).length === 0

/** Moves this process, with all its threads and what it starts from now on, to one core (null: any). */
export function pinSelf(core: number | null): void {
  if (!canPin) return
  const pin = () =>
    execFileSync('taskset', ['-a', '-c', '-p', core === null ? '0-1' : String(core), String(process.pid)], {
      stdio: 'pipe',
    })
  try {
    pin()
  } catch {
    // A thread that ended while taskset went through the list makes it give up; there are few of those.
    pin()
  }
}

/** The command line that starts a program on one core (null: any). */
export function pinned(core: number | null, command: string, args: readonly string[]): [string, string[]] {
  return canPin ? ['taskset', ['-c', core === null ? '0-1' : String(core), command, ...args]] : [command, [...args]]
}
