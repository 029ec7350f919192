import type { Remediation } from '../core/remediation.ts'
import type { WorkflowRun } from '../core/workflow.ts'
import type { Row, Sql } from './sql.ts'

/** `due_at` and `cancelled_by` are columns of their own: they are changed by others than the holder of the lease. */
const toRun = (row: Row): WorkflowRun => ({
  ...(JSON.parse(row.doc as string) as WorkflowRun),
  dueAt: Number(row.due_at),
  cancelledBy: row.cancelled_by as string | null,
})

const COLUMNS = 'due_at, cancelled_by, doc'

export async function nextWorkflowId(sql: Sql): Promise<number> {
  const [row] = await sql.all('SELECT max(id) AS id FROM workflows')
  return Number(row?.id ?? 0) + 1
}

export async function insertWorkflow(sql: Sql, run: WorkflowRun): Promise<void> {
  await sql.run(
    `INSERT INTO workflows (id, incident_id, state, due_at, cancelled_by, owner, lease_until, fence, doc)
     VALUES (?, ?, ?, ?, ?, NULL, 0, 0, ?)`,
    [run.id, run.incident, run.state, run.dueAt, run.cancelledBy, JSON.stringify(run)],
  )
}

export async function workflow(sql: Sql, id: number): Promise<WorkflowRun | null> {
  const [row] = await sql.all(`SELECT ${COLUMNS} FROM workflows WHERE id = ?`, [id])
  return row ? toRun(row) : null
}

export async function workflows(
  sql: Sql,
  query: { incident?: number | undefined; states?: readonly string[] | undefined; limit: number },
): Promise<WorkflowRun[]> {
  const where: string[] = []
  const values: (string | number)[] = []
  if (query.incident !== undefined) {
    where.push('incident_id = ?')
    values.push(query.incident)
  }
  if (query.states !== undefined) {
    where.push(`state IN (${query.states.map(() => '?').join(', ')})`)
    values.push(...query.states)
  }
  const filter = where.length > 0 ? `WHERE ${where.join(' AND ')}` : ''
  const rows = await sql.all(`SELECT ${COLUMNS} FROM workflows ${filter} ORDER BY id DESC LIMIT ?`, [
    ...values,
    query.limit,
  ])
  return rows.map(toRun)
}

export async function dueWorkflows(sql: Sql, owner: string, now: number, limit: number): Promise<number[]> {
  const rows = await sql.all(
    `SELECT id FROM workflows WHERE state = 'running' AND due_at <= ?
     AND (owner IS NULL OR owner = ? OR lease_until <= ?) ORDER BY due_at LIMIT ?`,
    [now, owner, now, limit],
  )
  return rows.map((row) => Number(row.id))
}

export async function nextWorkflowDue(sql: Sql): Promise<number | null> {
  const [row] = await sql.all(`SELECT min(due_at) AS due_at FROM workflows WHERE state = 'running'`)
  return row?.due_at == null ? null : Number(row.due_at)
}

export async function claimWorkflow(
  sql: Sql,
  id: number,
  owner: string,
  now: number,
  until: number,
  steal: boolean,
): Promise<number | null> {
  const [row] = await sql.all(
    `UPDATE workflows SET owner = ?, lease_until = ?, fence = fence + 1
     WHERE id = ? AND state = 'running' AND (owner IS NULL OR owner = ? OR lease_until <= ? OR ? = 1)
     RETURNING fence`,
    [owner, until, id, owner, now, steal ? 1 : 0],
  )
  return row ? Number(row.fence) : null
}

export async function extendWorkflow(sql: Sql, id: number, fence: number, until: number): Promise<boolean> {
  const rows = await sql.all('UPDATE workflows SET lease_until = ? WHERE id = ? AND fence = ? RETURNING id', [
    until,
    id,
    fence,
  ])
  return rows.length > 0
}

export async function saveWorkflow(sql: Sql, run: WorkflowRun, fence: number, release: boolean): Promise<boolean> {
  const { cancelledBy: _kept, ...doc } = run
  const rows = await sql.all(
    `UPDATE workflows SET state = ?, due_at = CASE WHEN cancelled_by IS NOT NULL AND ? = 0 THEN 0 ELSE CAST(? AS BIGINT) END,
     doc = ?${release ? ', owner = NULL, lease_until = 0' : ''} WHERE id = ? AND fence = ? RETURNING id`,
    // Who was not told of the cancellation yet looks again at once.
    [run.state, run.cancelledBy === null ? 0 : 1, run.dueAt, JSON.stringify(doc), run.id, fence],
  )
  return rows.length > 0
}

export async function cancelWorkflow(sql: Sql, id: number, by: string, now: number): Promise<boolean> {
  const rows = await sql.all(
    `UPDATE workflows SET cancelled_by = coalesce(cancelled_by, ?), due_at = ? WHERE id = ? AND state = 'running' RETURNING id`,
    [by, now, id],
  )
  return rows.length > 0
}

const toRemediation = (row: Row): Remediation => ({
  ...(JSON.parse(row.doc as string) as Remediation),
  id: Number(row.id),
})

export async function saveRemediation(sql: Sql, remediation: Remediation): Promise<number> {
  let { id } = remediation
  if (id === 0) {
    const [row] = await sql.all('SELECT max(id) AS id FROM remediations')
    id = Number(row?.id ?? 0) + 1
  }
  await sql.run(
    `INSERT INTO remediations (id, policy, incident_id, at, verify_at, doc) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET verify_at = excluded.verify_at, doc = excluded.doc`,
    [
      id,
      remediation.policy,
      remediation.incident,
      remediation.at,
      remediation.verifyAt,
      JSON.stringify({ ...remediation, id }),
    ],
  )
  return id
}

export async function remediations(
  sql: Sql,
  query: { policy?: string | undefined; incident?: number | undefined; since?: number | undefined; limit: number },
): Promise<Remediation[]> {
  const where: string[] = []
  const values: (string | number)[] = []
  for (const [column, value] of [
    ['policy = ?', query.policy],
    ['incident_id = ?', query.incident],
    ['at >= ?', query.since],
  ] as const) {
    if (value === undefined) continue
    where.push(column)
    values.push(value)
  }
  const filter = where.length > 0 ? `WHERE ${where.join(' AND ')}` : ''
  const rows = await sql.all(`SELECT id, doc FROM remediations ${filter} ORDER BY id DESC LIMIT ?`, [
    ...values,
    query.limit,
  ])
  return rows.map(toRemediation)
}

export async function remediationsToVerify(sql: Sql, now: number, limit: number): Promise<Remediation[]> {
  const rows = await sql.all('SELECT id, doc FROM remediations WHERE verify_at <= ? ORDER BY verify_at LIMIT ?', [
    now,
    limit,
  ])
  return rows.map(toRemediation)
}
