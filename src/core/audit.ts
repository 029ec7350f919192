import { createHash } from 'node:crypto'

/** What is recorded of an attempt, allowed or not. Times are ISO 8601 UTC. */
export type AuditEntry = {
  at: string
  /** a person's name, `policy:NAME`, or `claw` */
  actor: string
  /** platform that it came by */
  via: string
  /** command or act, e.g. `ack` */
  action: string
  /** what it was about, e.g. `incident 12`; '' for nothing in particular */
  target: string
  /** `done`, `refused`, `forbidden`, `asked`, `failed` */
  outcome: string
  /** the words of it, and why */
  detail: string
}

export type AuditRow = AuditEntry & { id: string; previous: string; hash: string }

/** Hash of the row before the first one. */
export const GENESIS = '0'.repeat(64)

/** SHA-256 over the previous row's hash and all fields, as JSON, so that no two rows can be confused. */
export function auditHash(row: Omit<AuditRow, 'hash'>): string {
  const { id, at, actor, via, action, target, outcome, detail, previous } = row
  const text = JSON.stringify([previous, id, at, actor, via, action, target, outcome, detail])
  return createHash('sha256').update(text).digest('hex')
}

/**
 * Checks a stretch of the chain, in order.
 * @param previous hash of the row before the first one given
 * @param count number of rows before it
 * @returns null when it is whole, else the first row that is not, and how
 */
export function auditProblem(
  rows: readonly AuditRow[],
  previous: string,
  count: number,
): { id: string; problem: string } | null {
  let before = previous
  let n = count
  for (const row of rows) {
    n += 1
    if (row.id !== String(n)) return { id: row.id, problem: `row ${n} is missing` }
    if (row.previous !== before) return { id: row.id, problem: 'does not follow the row before it' }
    if (row.hash !== auditHash(row)) return { id: row.id, problem: 'was changed after it was written' }
    before = row.hash
  }
  return null
}
