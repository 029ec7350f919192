import { spawnSync } from 'node:child_process'

/** Runs a program to its end and answers its exit code and all it printed; null when it is not on the PATH. */
export function run(program: string, args: readonly string[]): { code: number | null; output: string } | null {
  const { error, status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 60_000 })
  if (error && 'code' in error && error.code === 'ENOENT') return null
  if (error) throw error
  return { code: status, output: `${stdout}${stderr}` }
}

/** What a test says when it cannot run; loud, so that nobody takes it for a pass. */
export function skipped(program: string): string {
  const text = `SKIPPED: ${program} is not installed; .ci/run installs it`
  console.error(`\n${'!'.repeat(text.length)}\n${text}\n${'!'.repeat(text.length)}\n`)
  return text
}
