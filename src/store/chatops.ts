import type { Approval, Silence, StoredRequest } from '../core/chatops.ts'
import type { CommandRequest, Reply } from '../core/command.ts'
import type { Row, Sql } from './sql.ts'

function toRequest(row: Row): StoredRequest {
  return {
    request: JSON.parse(row.doc as string) as CommandRequest,
    at: row.at as number,
    state: row.state as StoredRequest['state'],
    reply: row.reply === null ? null : (JSON.parse(row.reply as string) as Reply),
  }
}

/** Ids come from outside: JSON text keeps any of them storable. */
const key = (id: string): string => JSON.stringify(id)

/** @returns false when a request of this id was taken before */
export async function addRequest(sql: Sql, request: CommandRequest, at: number): Promise<boolean> {
  const added = await sql.run(
    `INSERT INTO requests (id, at, state, doc) VALUES (?, ?, 'waiting', ?) ON CONFLICT (id) DO NOTHING`,
    [key(request.id), at, JSON.stringify(request)],
  )
  return added > 0
}

export async function request(sql: Sql, id: string): Promise<StoredRequest | null> {
  const [row] = await sql.all('SELECT at, state, doc, reply FROM requests WHERE id = ?', [key(id)])
  return row ? toRequest(row) : null
}

export async function waitingRequests(sql: Sql, limit: number): Promise<StoredRequest[]> {
  const rows = await sql.all(
    `SELECT at, state, doc, reply FROM requests WHERE state = 'waiting' ORDER BY at, id LIMIT ?`,
    [limit],
  )
  return rows.map(toRequest)
}

/** @returns false when it was answered meanwhile: then nothing of this transaction may stay */
export async function answerRequest(sql: Sql, id: string, answer: Reply): Promise<boolean> {
  const changed = await sql.run(`UPDATE requests SET state = 'done', reply = ? WHERE id = ? AND state = 'waiting'`, [
    JSON.stringify(answer),
    key(id),
  ])
  return changed > 0
}

export async function pruneRequests(sql: Sql, before: number): Promise<void> {
  await sql.run(`DELETE FROM requests WHERE at < ? AND state = 'done'`, [before])
}

const toApproval = (row: Row): Approval => JSON.parse(row.doc as string) as Approval

export async function nextApprovalId(sql: Sql): Promise<number> {
  const [row] = await sql.all('SELECT max(id) AS id FROM approvals')
  return Number(row?.id ?? 0) + 1
}

export async function saveApproval(sql: Sql, approval: Approval): Promise<void> {
  await sql.run(
    `INSERT INTO approvals (id, state, expires_at, doc) VALUES (?, ?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET state = excluded.state, expires_at = excluded.expires_at, doc = excluded.doc`,
    [approval.id, approval.state, approval.expiresAt, JSON.stringify(approval)],
  )
}

export async function approval(sql: Sql, id: number): Promise<Approval | null> {
  const [row] = await sql.all('SELECT doc FROM approvals WHERE id = ?', [id])
  return row ? toApproval(row) : null
}

export async function openApprovals(sql: Sql, limit: number): Promise<Approval[]> {
  const rows = await sql.all(`SELECT doc FROM approvals WHERE state = 'open' ORDER BY expires_at LIMIT ?`, [limit])
  return rows.map(toApproval)
}

const toSilence = (row: Row): Silence => JSON.parse(row.doc as string) as Silence

export async function nextSilenceId(sql: Sql): Promise<number> {
  const [row] = await sql.all('SELECT max(id) AS id FROM silences')
  return Number(row?.id ?? 0) + 1
}

export async function saveSilence(sql: Sql, silence: Silence): Promise<void> {
  await sql.run(
    `INSERT INTO silences (id, incident_id, state, ends_at, pending, doc) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET state = excluded.state, ends_at = excluded.ends_at, pending = excluded.pending, doc = excluded.doc`,
    [silence.id, silence.incident, silence.state, silence.endsAt, silence.pending, JSON.stringify(silence)],
  )
}

export async function silence(sql: Sql, id: number): Promise<Silence | null> {
  const [row] = await sql.all('SELECT doc FROM silences WHERE id = ?', [id])
  return row ? toSilence(row) : null
}

export async function activeSilences(sql: Sql): Promise<Silence[]> {
  const rows = await sql.all(`SELECT doc FROM silences WHERE state = 'active' ORDER BY ends_at LIMIT 1000`)
  return rows.map(toSilence)
}

/** Silences that Alertmanager has yet to be told of. */
export async function pendingSilences(sql: Sql, limit: number): Promise<Silence[]> {
  const rows = await sql.all('SELECT doc FROM silences WHERE pending IS NOT NULL ORDER BY id LIMIT ?', [limit])
  return rows.map(toSilence)
}
