import type { Reply } from '../core/command.ts'
import type { DestinationKind, Json } from '../core/delivery.ts'
import type { Delivery, DeliveryOutcome, DeliveryState, NewDelivery } from '../core/store.ts'
import { chunks, eachChunk, marks, type Row, type Sql, tuples, type Value } from './sql.ts'

const COLUMNS =
  'id, incident_id, lane, kind, target, receiver, settings, state, priority, due_at, changed_at, wanted, shown, attempts, inflight, in_doubt, reference, reason, adapter_state, created_at, delivered_at'

function toDelivery(row: Row): Delivery {
  return {
    id: row.id as number,
    incidentId: row.incident_id as number,
    lane: row.lane as string,
    kind: row.kind as DestinationKind,
    target: row.target as string,
    receiver: row.receiver as string,
    settings: JSON.parse(row.settings as string),
    state: row.state as DeliveryState,
    priority: row.priority as number,
    dueAt: row.due_at as number,
    changedAt: row.changed_at as number | null,
    wanted: row.wanted as number,
    shown: row.shown as number,
    attempts: row.attempts as number,
    inflight: row.inflight as number | null,
    inDoubt: row.in_doubt === 1,
    reference: row.reference as string | null,
    reason: row.reason === null ? null : JSON.parse(row.reason as string),
    adapterState: JSON.parse(row.adapter_state as string),
    createdAt: row.created_at as number,
    deliveredAt: row.delivered_at as number | null,
  }
}

export async function addDeliveries(sql: Sql, rows: readonly NewDelivery[]): Promise<void> {
  await eachChunk(rows, async (chunk) => {
    await sql.run(
      `INSERT INTO deliveries (incident_id, lane, kind, target, receiver, settings, due_at, changed_at, wanted, created_at, adapter_state,
        state, priority, shown, attempts, in_doubt)
       SELECT v.column1, v.column2, v.column3, v.column4, v.column5, v.column6, v.column7, v.column8, v.column9, v.column10, v.column11,
        'pending', 0, 0, 0, 0 FROM (VALUES ${tuples(chunk.length, ['bigint', '', '', '', '', '', 'bigint', 'bigint', 'bigint', 'bigint', ''])}) AS v
       WHERE true ON CONFLICT (incident_id, lane, target) DO NOTHING`,
      chunk.flatMap((row): Value[] => [
        row.incidentId,
        row.lane,
        row.kind,
        row.target,
        row.receiver,
        JSON.stringify(row.settings),
        row.createdAt,
        row.createdAt,
        row.wanted,
        row.createdAt,
        'null',
      ]),
    )
  })
}

/**
 * A reply is a delivery without an incident, kept under a falling negative number: it shares pacing, retry and dead letters
 * with everything else that is said.
 */
export async function addReply(
  sql: Sql,
  to: { lane: string; target: string; address: Json },
  kind: DestinationKind,
  reply: Reply,
  at: number,
): Promise<void> {
  const [row] = await sql.all('SELECT min(incident_id) AS id FROM deliveries')
  await addDeliveries(sql, [
    {
      incidentId: Math.min(0, Number(row?.id ?? 0)) - 1,
      lane: to.lane,
      kind,
      target: to.target,
      receiver: '',
      settings: { address: to.address, reply: reply as unknown as Json },
      wanted: 1,
      createdAt: at,
    },
  ])
}

export async function wakeDeliveries(
  sql: Sql,
  rows: readonly { incidentId: number; wanted: number; priority: number; dueAt: number; changedAt: number }[],
): Promise<void> {
  await eachChunk(rows, async (chunk) => {
    // What is about to be sent anyway shows the newest version and needs no nudge.
    // An urgent change also brings forward what waits for its turn, but not what a platform told to wait.
    await sql.run(
      `UPDATE deliveries SET wanted = v.column2,
         priority = CASE WHEN deliveries.state = 'delivered' OR deliveries.priority > v.column3 THEN v.column3 ELSE deliveries.priority END,
         due_at = CASE WHEN deliveries.state = 'delivered' OR (deliveries.attempts = 0 AND deliveries.due_at > v.column4
             AND (v.column3 = 0 OR deliveries.created_at <= v.column5))
           THEN v.column4 ELSE deliveries.due_at END,
         changed_at = CASE WHEN deliveries.changed_at IS NULL OR (v.column3 = 0 AND deliveries.changed_at > v.column5)
           THEN v.column5 ELSE deliveries.changed_at END,
         created_at = CASE WHEN v.column3 = 0 AND deliveries.created_at > v.column5 THEN v.column5 ELSE deliveries.created_at END,
         state = CASE WHEN deliveries.state = 'delivered' THEN 'pending' ELSE deliveries.state END
       FROM (VALUES ${tuples(chunk.length, ['bigint', 'bigint', 'bigint', 'bigint', 'bigint'])}) AS v
       WHERE deliveries.incident_id = v.column1 AND deliveries.wanted < v.column2
         AND NOT (deliveries.state = 'pending' AND deliveries.inflight IS NULL
           AND deliveries.priority <= v.column3 AND deliveries.due_at <= v.column4)`,
      chunk.flatMap((row) => [row.incidentId, row.wanted, row.priority, row.dueAt, row.changedAt]),
    )
  })
}

function notIn(except: readonly string[]): string {
  return except.length > 0 ? ` AND target NOT IN (${marks(except.length)})` : ''
}

export async function due(
  sql: Sql,
  query: { lane: string; fence: number; now: number; limit: number; except: readonly string[] },
): Promise<Delivery[]> {
  const { lane, fence, now, limit, except } = query
  const rows = await sql.all(
    `SELECT ${COLUMNS} FROM deliveries WHERE lane = ? AND state IN ('pending', 'waiting') AND due_at <= ? AND (inflight IS NULL OR inflight < ?)${notIn(except)}
     ORDER BY priority, due_at LIMIT ?`,
    [lane, now, fence, ...except, limit],
  )
  return rows.map(toDelivery)
}

export async function nextDue(sql: Sql, lane: string, fence: number): Promise<number | null> {
  const [row] = await sql.all(
    `SELECT min(due_at) AS at FROM deliveries WHERE lane = ? AND state IN ('pending', 'waiting') AND (inflight IS NULL OR inflight < ?)`,
    [lane, fence],
  )
  return (row?.at as number | null | undefined) ?? null
}

export async function lanes(sql: Sql): Promise<string[]> {
  const rows = await sql.all(`SELECT DISTINCT lane FROM deliveries WHERE state IN ('pending', 'waiting')`)
  return rows.map((row) => row.lane as string)
}

/**
 * Marks steps as begun. What an earlier lease began and never recorded becomes doubtful. `inflight` holds the fence, so a
 * lane that lost its lease cannot write over a newer one.
 * @returns the ids of those that had been begun before
 */
export async function beginSteps(sql: Sql, ids: readonly number[], fence: number): Promise<number[]> {
  const begun: number[] = []
  for (const chunk of chunks(ids)) {
    const rows = await sql.all(
      `UPDATE deliveries SET in_doubt = CASE WHEN inflight IS NULL THEN in_doubt ELSE 1 END, inflight = ?
       WHERE id IN (${marks(chunk.length)}) AND (inflight IS NULL OR inflight < ?) AND state IN ('pending', 'waiting')
       RETURNING id, in_doubt`,
      [fence, ...chunk, fence],
    )
    for (const row of rows) if (row.in_doubt === 1) begun.push(row.id as number)
  }
  return begun
}

const OUTCOME_TYPES = ['bigint', 'bigint', '', 'bigint', 'bigint', 'bigint', 'bigint', 'bigint', '', '', '', 'bigint']

/** @returns how many were written; fewer than given when the lane lost its lease meanwhile */
export async function recordOutcomes(sql: Sql, rows: readonly DeliveryOutcome[]): Promise<number> {
  let written = 0
  for (const chunk of chunks(rows)) {
    written += await sql.run(
      `UPDATE deliveries SET
         state = CASE WHEN v.column3 = 'delivered' AND deliveries.wanted > coalesce(v.column6, deliveries.shown) THEN 'pending' ELSE v.column3 END,
         due_at = v.column4,
         priority = CASE WHEN v.column3 = 'delivered' AND deliveries.wanted <= coalesce(v.column6, deliveries.shown) THEN 1
           WHEN deliveries.priority < v.column5 THEN deliveries.priority ELSE v.column5 END,
         shown = coalesce(v.column6, deliveries.shown),
         changed_at = CASE WHEN v.column3 <> 'delivered' THEN deliveries.changed_at
           WHEN deliveries.wanted > coalesce(v.column6, deliveries.shown) THEN v.column12 ELSE NULL END,
         attempts = v.column7, in_doubt = v.column8, reference = coalesce(v.column9, deliveries.reference), reason = v.column10,
         adapter_state = v.column11, delivered_at = coalesce(v.column12, deliveries.delivered_at), inflight = NULL
       FROM (VALUES ${tuples(chunk.length, OUTCOME_TYPES)}) AS v
       WHERE deliveries.id = v.column1 AND deliveries.inflight = v.column2`,
      chunk.flatMap((row): Value[] => [
        row.id,
        row.fence,
        row.state,
        row.dueAt,
        row.priority,
        row.shown,
        row.attempts,
        row.inDoubt ? 1 : 0,
        row.reference,
        row.reason === null ? null : JSON.stringify(row.reason),
        JSON.stringify(row.adapterState),
        row.deliveredAt,
      ]),
    )
  }
  return written
}

export async function redeliver(sql: Sql, id: number, now: number): Promise<boolean> {
  const changed = await sql.run(
    `UPDATE deliveries SET state = 'pending', due_at = ?, priority = 0, attempts = 0, reason = NULL, changed_at = coalesce(changed_at, ?)
     WHERE id = ? AND state IN ('dead', 'waiting')`,
    [now, now, id],
  )
  return changed > 0
}

export async function deliveriesOf(sql: Sql, incidentIds: readonly number[]): Promise<Delivery[]> {
  const found: Delivery[] = []
  for (const chunk of chunks(incidentIds)) {
    const rows = await sql.all(
      `SELECT ${COLUMNS} FROM deliveries WHERE incident_id IN (${marks(chunk.length)}) ORDER BY id`,
      chunk,
    )
    for (const row of rows) found.push(toDelivery(row))
  }
  return found
}

export async function listDeliveries(
  sql: Sql,
  query: { state: string | null; limit: number; before: number | null },
): Promise<Delivery[]> {
  const rows = await sql.all(
    `SELECT ${COLUMNS} FROM deliveries WHERE id < ?${query.state === null ? '' : ' AND state = ?'} ORDER BY id DESC LIMIT ?`,
    [query.before ?? Number.MAX_SAFE_INTEGER, ...(query.state === null ? [] : [query.state]), query.limit],
  )
  return rows.map(toDelivery)
}

export async function delivery(sql: Sql, id: number): Promise<Delivery | null> {
  const [row] = await sql.all(`SELECT ${COLUMNS} FROM deliveries WHERE id = ?`, [id])
  return row ? toDelivery(row) : null
}

export async function countDeliveries(sql: Sql): Promise<{ lane: string; state: string; count: number }[]> {
  const rows = await sql.all(
    `SELECT lane, state, count(*) AS count FROM deliveries WHERE state IN ('pending', 'waiting') GROUP BY lane, state
     UNION ALL SELECT lane, state, count(*) AS count FROM deliveries WHERE state = 'dead' GROUP BY lane, state`,
  )
  return rows.map((row) => ({ lane: row.lane as string, state: row.state as string, count: Number(row.count) }))
}

/** A topic (`chat/thread`) shares its chat's message ids. */
export async function references(
  sql: Sql,
  lane: string,
  target: string,
  limit: number,
): Promise<{ incidentId: number; reference: string; adapterState: Json }[]> {
  const [chat = target] = target.split('/')
  const rows = await sql.all(
    `SELECT incident_id, reference, adapter_state FROM deliveries
     WHERE lane = ? AND (target = ? OR (target > ? AND target < ?)) AND reference IS NOT NULL ORDER BY id DESC LIMIT ?`,
    [lane, chat, `${chat}/`, `${chat}0`, limit],
  )
  return rows.map((row) => ({
    incidentId: row.incident_id as number,
    reference: row.reference as string,
    adapterState: JSON.parse(row.adapter_state as string) as Json,
  }))
}

export async function unconfirmedPages(sql: Sql, before: number, limit: number): Promise<Delivery[]> {
  const columns = COLUMNS.split(', ')
    .map((column) => `d.${column}`)
    .join(', ')
  const rows = await sql.all(
    `SELECT ${columns} FROM deliveries d JOIN incidents i ON i.id = d.incident_id
     WHERE d.kind = 'pagerduty' AND d.state <> 'delivered' AND d.changed_at <= ? AND d.priority = 0 AND i.state <> 'resolved'
     ORDER BY d.id LIMIT ?`,
    [before, limit],
  )
  return rows.map(toDelivery)
}

/**
 * Takes or renews a lane. `steal` ignores the other's lease: only for a database that no other process can have open.
 * @returns the fence, which rises with every change of owner; null while another owner's lease runs
 */
export async function takeLane(
  sql: Sql,
  lane: string,
  owner: string,
  now: number,
  until: number,
  steal: boolean,
): Promise<number | null> {
  const [row] = await sql.all(
    `INSERT INTO lanes (name, owner, fence, until) VALUES (?, ?, 1, ?)
     ON CONFLICT (name) DO UPDATE SET fence = CASE WHEN lanes.owner = excluded.owner THEN lanes.fence ELSE lanes.fence + 1 END,
       owner = excluded.owner, until = excluded.until
     WHERE lanes.owner = excluded.owner OR lanes.until < ? OR ? = 1
     RETURNING fence`,
    [lane, owner, until, now, steal ? 1 : 0],
  )
  return row ? (row.fence as number) : null
}

export async function releaseLanes(sql: Sql, owner: string): Promise<void> {
  await sql.run('UPDATE lanes SET until = 0 WHERE owner = ?', [owner])
}
