import type { Reads } from '../core/store.ts'
import type { Flags } from '../main.ts'
import { auditState } from '../store/inspect.ts'
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

/** Exit 0 when every row follows the one before it and none is missing, at the end neither. */
async function verify(store: Reads): Promise<number> {
  const { count, hash, problem } = await auditState(store)
  if (problem !== null) {
    process.stderr.write(`The audit trail was tampered with: ${problem}.\n`)
    return 1
  }
  process.stdout.write(`The audit trail is whole: ${count} ${count === 1 ? 'row' : 'rows'}, last hash ${hash}.\n`)
  return 0
}

/** One JSON object per line. */
async function exportRows(store: Reads): Promise<number> {
  for (let after = 0; ; ) {
    const rows = await store.auditRows(after, PAGE)
    process.stdout.write(rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    const last = Number(rows.at(-1)?.id)
    // A row whose id was made smaller must not send the reader round in circles.
    if (!(last > after)) return 0
    after = last
  }
}
