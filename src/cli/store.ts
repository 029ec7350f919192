import type { Flags } from '../main.ts'
import { backupStore, copyStore } from '../store/copy.ts'
import { type AuditState, type Counts, checkStore, type Place, placeOf } from '../store/inspect.ts'
import { configOf } from './config.ts'

const USAGE = 'say copy --to URL [--from URL] [--dry-run], check, or backup FILE'

/** `claw store copy`, `check` and `backup`: what the configuration names as `store`, or `--from`. */
export async function store(flags: Flags, [what, file, ...rest]: string[]): Promise<number> {
  if (what === 'copy' && file === undefined && flags.to !== undefined) return copy(flags, placeOf(flags.to))
  if (what === 'check' && file === undefined) return check(flags)
  if (what === 'backup' && file !== undefined && rest.length === 0) return backup(flags, file)
  process.stderr.write(`claw store: ${USAGE}.\n`)
  return 2
}

async function source(flags: Flags): Promise<Place> {
  return placeOf(flags.from ?? (await configOf(flags.config)).config.store)
}

async function copy(flags: Flags, to: Place): Promise<number> {
  const from = await source(flags)
  const dryRun = flags['dry-run'] === true
  const { version, counts, audit } = await copyStore(from, to, { dryRun, now: Date.now() })
  print(
    `${dryRun ? 'Would copy' : 'Copied'} ${from.shown} to ${to.shown}, schema version ${version}:`,
    ...countLines(counts),
  )
  if (dryRun) {
    print('Nothing was copied. Stop every Claw on the source before you copy.')
    return 0
  }
  print('Every table has as many rows as before.', ...(audit === null || audit.problem !== null ? [] : [whole(audit)]))
  print('Now set store: to the new address and start Claw. The source is as it was: start no Claw on it again.')
  if (audit?.problem == null) return 0
  process.stderr.write(
    `The audit trail was copied as it is, but it was tampered with in the source: ${audit.problem}.\n`,
  )
  return 1
}

/** Exit 0 when the store can be used as it is. */
async function check(flags: Flags): Promise<number> {
  const place = await source(flags)
  const { program, version, known, counts, audit, damage, problems } = await checkStore(place)
  const age = version === known ? '' : version < known && version > 0 ? `, ${known} once this Claw starts on it` : ''
  print(`${place.shown}: ${program}, schema version ${version}${age}`, ...countLines(counts))
  if (place.dialect === 'sqlite' && damage === null) print('The file is whole (PRAGMA integrity_check).')
  if (audit !== null && audit.problem === null) print(whole(audit))
  for (const problem of problems) process.stderr.write(`${problem}\n`)
  return problems.length === 0 ? 0 : 1
}

async function backup(flags: Flags, file: string): Promise<number> {
  const place = await source(flags)
  const { bytes, report } = await backupStore(place, file)
  print(
    `Wrote ${file}: ${bytes} bytes, one moment of ${place.shown}, schema version ${report.version}. The file is whole.`,
    ...countLines(report.counts),
  )
  if (report.audit?.problem === null) print(whole(report.audit))
  print(`To restore: stop Claw, move its database away with its -wal and -shm files, and copy ${file} to its place.`)
  for (const problem of report.problems) process.stderr.write(`${problem}\n`)
  return report.problems.length === 0 ? 0 : 1
}

const whole = ({ count, hash }: AuditState): string =>
  `The audit trail is whole: ${count} ${count === 1 ? 'row' : 'rows'}, last hash ${hash}.`

function countLines(counts: Counts): string[] {
  const filled = counts.filter(({ rows }) => rows > 0)
  const width = Math.max(0, ...filled.map(({ rows }) => String(rows).length))
  if (filled.length === 0) return ['  nothing is stored in it']
  return filled.map(({ table, rows }) => `  ${String(rows).padStart(width)} ${table}`)
}

function print(...lines: string[]): void {
  process.stdout.write(lines.map((line) => `${line}\n`).join(''))
}
