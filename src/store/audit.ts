import { type AuditEntry, type AuditRow, auditHash, GENESIS } from '../core/audit.ts'
import type { Row, Sql } from './sql.ts'

const COLUMNS = 'id, at, actor, via, action, target, outcome, detail, previous, hash'

/** Free text is stored as JSON text where a database would refuse it as it is. The hash is over the text that is meant. */
const FREE = ['actor', 'via', 'action', 'target', 'outcome', 'detail'] as const

function toRow(row: Row): AuditRow {
  const read = { id: row.id, at: row.at, previous: row.previous, hash: row.hash } as Record<string, unknown>
  for (const name of FREE) read[name] = decoded(row[name] as string)
  return read as AuditRow
}

/** Plain text stays readable in the table; what starts like JSON text, or cannot be stored, is quoted. */
function encoded(text: string): string {
  return text.startsWith('"') || text.includes('\u0000') || !text.isWellFormed() ? JSON.stringify(text) : text
}

function decoded(text: string): string {
  if (!text.startsWith('"')) return text
  try {
    return String(JSON.parse(text))
  } catch {
    return text
  }
}

/** Number and hash of the newest row, kept apart from the table, so that cutting off its end shows. */
export async function auditHead(sql: Sql): Promise<{ count: number; hash: string }> {
  const [row] = await sql.all(`SELECT value FROM meta WHERE key = 'audit_head'`)
  const [count = '0', hash = GENESIS] = row ? (row.value as string).split(' ') : []
  return { count: Number(count), hash }
}

/** Appends one row to the chain. */
export async function appendAudit(sql: Sql, entry: AuditEntry): Promise<void> {
  const head = await auditHead(sql)
  const row = { ...entry, id: String(head.count + 1), previous: head.hash }
  const hash = auditHash(row)
  await sql.run(`INSERT INTO audit (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, [
    row.id,
    row.at,
    ...FREE.map((name) => encoded(row[name])),
    row.previous,
    hash,
  ])
  await sql.run(
    `INSERT INTO meta (key, value) VALUES ('audit_head', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
    [`${row.id} ${hash}`],
  )
}

/** Rows after `after` (a number of rows), in order. */
export async function auditRows(sql: Sql, after: number, limit: number): Promise<AuditRow[]> {
  const rows = await sql.all(
    `SELECT ${COLUMNS} FROM audit WHERE cast(id AS bigint) > ? ORDER BY length(id), id LIMIT ?`,
    [after, limit],
  )
  return rows.map(toRow)
}

/** The newest rows, newest first; of one target when given. */
export async function newestAudit(sql: Sql, target: string | null, limit: number): Promise<AuditRow[]> {
  const rows = await sql.all(
    `SELECT ${COLUMNS} FROM audit${target === null ? '' : ' WHERE target = ?'} ORDER BY length(id) DESC, id DESC LIMIT ?`,
    target === null ? [limit] : [encoded(target), limit],
  )
  return rows.map(toRow)
}
