import { type AuditRow, auditProblem, GENESIS } from '../core/audit.ts'
import type { Reads } from '../core/store.ts'
import type { Flags } from '../main.ts'
import { openReader } from '../store/store.ts'
import { configOf } from './config.ts'

const PAGE = 1000

/** `claw audit verify` and `claw audit export`: work beside a running Claw. */
export async function audit(flags: Flags, [what]: string[]): Promise<number> {
  if (what !== 'verify' && what !== 'export') {
    process.stderr.write('claw audit: say verify or export.\n')
    return 2
  }
  const { config } = await configOf(flags.config)
  const store = await openReader(config.store)
  try {
    return what === 'verify' ? await verify(store) : await exportRows(store)
  } finally {
    await store.close()
  }
}

async function* pages(store: Reads): AsyncGenerator<AuditRow[]> {
  let after = 0
  for (;;) {
    const rows = await store.auditRows(after, PAGE)
    if (rows.length === 0) return
    yield rows
    const last = Number(rows.at(-1)?.id)
    // A row whose id was made smaller must not send the reader round in circles.
    if (!(last > after)) return
    after = last
  }
}

/** Exit 0 when every row follows the one before it and none is missing, at the end neither. */
async function verify(store: Reads): Promise<number> {
  // Read first: rows that a running Claw adds meanwhile are not missing.
  const head = await store.auditHead()
  let count = 0
  let hash = GENESIS
  let atHead = GENESIS
  for await (const rows of pages(store)) {
    const problem = auditProblem(rows, hash, count)
    if (problem) return tampered(`row ${problem.id} ${problem.problem}`)
    for (const row of rows) {
      count += 1
      hash = row.hash
      if (count === head.count) atHead = hash
    }
  }
  if (count < head.count) return tampered(`${head.count - count} rows are missing at the end`)
  if (atHead !== head.hash) return tampered(`row ${head.count} is not the one that was written`)
  process.stdout.write(`The audit trail is whole: ${count} ${count === 1 ? 'row' : 'rows'}, last hash ${hash}.\n`)
  return 0
}

function tampered(problem: string): number {
  process.stderr.write(`The audit trail was tampered with: ${problem}.\n`)
  return 1
}

/** One JSON object per line. */
async function exportRows(store: Reads): Promise<number> {
  for await (const rows of pages(store)) {
    process.stdout.write(rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  }
  return 0
}
