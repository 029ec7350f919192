import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { createServer } from 'node:net'
import { delimiter, join } from 'node:path'

/** How many lines of a program's output are kept for the report of a failure. */
const KEPT = 40

export type Program = {
  readonly name: string
  /** the newest lines of stdout and stderr */
  output(): string
  /** Resolves with the first match in its output; rejects when it ends before, or after `timeoutMs`. */
  says(pattern: RegExp, timeoutMs: number): Promise<RegExpExecArray>
  /** Sends SIGTERM, SIGKILL after `graceMs` (10 s); resolves with the exit code, null when it was killed. May be called twice. */
  stop(graceMs?: number): Promise<number | null>
}

/** Starts a program that runs until it is stopped; it never outlives this process. */
export function start(name: string, command: string, args: readonly string[], env = process.env): Program {
  const child: ChildProcess = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
  const ended = new Promise<number | null>((resolve) => {
    child.once('error', () => resolve(null))
    child.once('close', (code) => resolve(code))
  })
  const kill = () => void child.kill('SIGKILL')
  process.once('exit', kill)
  void ended.then(() => process.off('exit', kill))

  let lines: string[] = []
  const listeners = new Set<() => void>()
  const hear = (chunk: Buffer) => {
    lines = [...lines, ...chunk.toString('utf8').split('\n').filter(Boolean)].slice(-KEPT)
    for (const listener of listeners) listener()
  }
  child.stdout?.on('data', hear)
  child.stderr?.on('data', hear)
  child.once('error', (error) => hear(Buffer.from(error.message)))
  const output = () => lines.join('\n')

  return {
    name,
    output,
    says(pattern, timeoutMs) {
      return new Promise((resolve, reject) => {
        const done = (act: () => void) => {
          clearTimeout(timer)
          listeners.delete(look)
          act()
        }
        const look = () => {
          const match = pattern.exec(output())
          if (match) done(() => resolve(match))
        }
        const give = (why: string) => done(() => reject(new Error(`${name} ${why}; it said:\n${output()}`)))
        const timer = setTimeout(() => give(`did not say ${pattern} within ${timeoutMs} ms`), timeoutMs)
        listeners.add(look)
        void ended.then((code) => give(`ended with ${code} before it said ${pattern}`))
        look()
      })
    },
    async stop(graceMs = 10_000) {
      child.kill('SIGTERM')
      const timer = setTimeout(kill, graceMs)
      const code = await ended
      clearTimeout(timer)
      return code
    },
  }
}

/** A port of loopback that was free a moment ago, for programs that cannot take port 0 and say which they got. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

/** The names among `programs` that are not on the PATH. */
export function missing(programs: readonly string[]): string[] {
  const folders = (process.env.PATH ?? '').split(delimiter)
  const there = (program: string) =>
    folders.some((folder) => {
      try {
        accessSync(join(folder, program), constants.X_OK)
        return true
      } catch {
        return false
      }
    })
  return programs.filter((program) => !there(program))
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/**
 * Asks until `look` no longer throws, a bounded number of times; only here, where real programs that tell nobody when they
 * are ready are waited for.
 * @throws the last error, with `what` and how long it took
 */
export async function eventually<T>(what: string, seconds: number, look: () => Promise<T>): Promise<T> {
  const everyMs = 250
  let last: unknown
  for (let attempt = 0; attempt < (seconds * 1000) / everyMs; attempt++) {
    try {
      return await look()
    } catch (error) {
      last = error
    }
    await pause(everyMs)
  }
  const why = last instanceof Error ? last.message : String(last)
  throw new Error(`After ${seconds} s still not: ${what}. Last: ${why}`, { cause: last })
}

/** Looks every half second for `seconds`; `look` throws when something happened that must not. */
export async function meanwhile(seconds: number, look: () => Promise<void>): Promise<void> {
  for (let attempt = 0; attempt < seconds * 2; attempt++) {
    await look()
    await pause(500)
  }
  await look()
}
