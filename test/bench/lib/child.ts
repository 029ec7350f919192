import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { pinned } from './pin.ts'

const KEPT = 30

export type Child = {
  readonly pid: number
  /** the newest lines of output */
  output(): string
  /** resolves with the first match in the output; rejects when the program ends first, or after 30 s */
  says(pattern: RegExp): Promise<RegExpExecArray>
  /** SIGTERM (or another signal), SIGKILL after 15 s; resolves when it has ended */
  stop(signal?: NodeJS.Signals): Promise<void>
}

/** Starts a program on `core`; it never outlives this process. */
export function launch(core: number | null, command: string, args: readonly string[]): Child {
  const [program, list] = pinned(core, command, args)
  const child = spawn(program, list, { stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => resolve())
    child.once('close', () => resolve())
  })
  const kill = () => void child.kill('SIGKILL')
  process.once('exit', kill)
  void ended.then(() => process.off('exit', kill))
  let lines: string[] = []
  let listener: (line: string) => void = () => {}
  let rest = ''
  const hear = (chunk: Buffer) => {
    const parts = (rest + chunk.toString('utf8')).split('\n')
    rest = parts.pop() ?? ''
    for (const line of parts) listener(line)
    lines = [...lines, ...parts].slice(-KEPT)
  }
  child.stdout.on('data', hear)
  child.stderr.on('data', hear)
  return {
    pid: child.pid ?? 0,
    output: () => lines.join('\n'),
    says: (pattern) =>
      new Promise((resolve, reject) => {
        const fail = (why: string) => reject(new Error(`${command} ${args.join(' ')} ${why}:\n${lines.join('\n')}`))
        const timer = setTimeout(() => fail(`did not say ${pattern}`), 30_000)
        const look = (line: string) => {
          const match = pattern.exec(line)
          if (!match) return
          clearTimeout(timer)
          listener = () => {}
          resolve(match)
        }
        void ended.then(() => fail(`ended before it said ${pattern}`))
        listener = look
        for (const line of lines) look(line)
      }),
    async stop(signal = 'SIGTERM') {
      child.kill(signal)
      const timer = setTimeout(kill, 15_000)
      await ended
      clearTimeout(timer)
    },
  }
}

/** Resident memory of a process in MiB: now, and the most it ever had. NaN where /proc is missing. */
export function memory(pid: number): { now: number; peak: number } {
  try {
    const text = readFileSync(`/proc/${pid}/status`, 'latin1')
    const mib = (key: string) => Number(new RegExp(`${key}:\\s+(\\d+) kB`).exec(text)?.[1]) / 1024
    return { now: mib('VmRSS'), peak: mib('VmHWM') }
  } catch {
    return { now: Number.NaN, peak: Number.NaN }
  }
}

/** CPU time that a process has used, user and system, in seconds. NaN where /proc is missing. */
export function cpuSeconds(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? []
    // clock ticks of 10 ms
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return Number.NaN
  }
}
