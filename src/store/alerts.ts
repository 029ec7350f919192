import type { Level } from '../core/alert.ts'
import type { Occurrence } from '../core/incident.ts'
import type { AlertsMoved, OccurrencePayload, OccurrenceRow, Repeat, Touch } from '../core/store.ts'
import { chunks, eachChunk, lookups, marks, type Row, type Sql, tuples, type Value } from './sql.ts'

const COLUMNS =
  'fingerprint, incident_id, name, region, level, state, starts_at, ends_at, first_seen, last_seen, times_seen, digest, suppressed, doubt_until'
const QUALIFIED = COLUMNS.split(', ')
  .map((column) => `a.${column}`)
  .join(', ')

function toOccurrence(row: Row): Occurrence {
  return {
    fingerprint: row.fingerprint as string,
    incidentId: row.incident_id as number,
    name: JSON.parse(row.name as string),
    region: JSON.parse(row.region as string),
    level: row.level as Level,
    state: row.state as Occurrence['state'],
    startsAt: row.starts_at as number,
    endsAt: row.ends_at as number | null,
    firstSeen: row.first_seen as number,
    lastSeen: row.last_seen as number,
    timesSeen: row.times_seen as number,
    digest: row.digest as number,
    suppressed: row.suppressed as string | null,
    doubtUntil: row.doubt_until as number | null,
  }
}

function toRow(row: Row): OccurrenceRow {
  return { ...toOccurrence(row), payload: JSON.parse(row.payload as string) as OccurrencePayload }
}

export async function occurrences(sql: Sql, fingerprints: readonly string[]): Promise<Occurrence[]> {
  const newest = new Map<string, Occurrence>()
  for (const chunk of lookups(fingerprints)) {
    const rows = await sql.all(`SELECT ${COLUMNS} FROM alerts WHERE fingerprint IN (${marks(chunk.length)})`, chunk)
    for (const row of rows) {
      const seen = newest.get(row.fingerprint as string)
      if (!seen || seen.incidentId < (row.incident_id as number)) {
        newest.set(row.fingerprint as string, toOccurrence(row))
      }
    }
  }
  return [...newest.values()]
}

const INSERT_TYPES = `${COLUMNS}, payload`.split(', ').map(() => '')
const OVERWRITE = `${COLUMNS}, payload`
  .split(', ')
  .slice(2)
  .map((column) => `${column} = excluded.${column}`)
  .join(', ')

/** A row can be there already when `correlate_by` was changed and changed back: the newer one replaces it. */
function insertText(rows: number): string {
  return `INSERT INTO alerts (${COLUMNS}, payload) VALUES ${tuples(rows, INSERT_TYPES)}
    ON CONFLICT (fingerprint, incident_id) DO UPDATE SET ${OVERWRITE}`
}

export async function insertOccurrences(sql: Sql, rows: readonly OccurrenceRow[]): Promise<void> {
  await eachChunk(rows, async (chunk) => {
    const values: Value[] = []
    for (const row of chunk) {
      values.push(
        row.fingerprint,
        row.incidentId,
        JSON.stringify(row.name),
        JSON.stringify(row.region),
        row.level,
        row.state,
        row.startsAt,
        row.endsAt,
        row.firstSeen,
        row.lastSeen,
        row.timesSeen,
        row.digest,
        row.suppressed,
        row.doubtUntil,
        JSON.stringify(row.payload),
      )
    }
    await sql.run(insertText(chunk.length), values)
  })
}

const TOUCH_TYPES = ['', 'bigint', 'bigint', 'bigint', 'bigint', '', 'bigint']

export async function touchOccurrences(sql: Sql, rows: readonly Touch[]): Promise<void> {
  await eachChunk(rows, async (chunk) => {
    const values: Value[] = []
    for (const row of chunk) {
      values.push(
        row.fingerprint,
        row.incidentId,
        row.startsAt,
        row.lastSeen,
        row.timesSeen,
        JSON.stringify(row.payload),
        row.digest,
      )
    }
    await sql.run(
      `UPDATE alerts SET starts_at = v.column3, last_seen = v.column4, times_seen = v.column5, payload = v.column6, digest = v.column7
       FROM (VALUES ${tuples(chunk.length, TOUCH_TYPES)}) AS v
       WHERE alerts.fingerprint = v.column1 AND alerts.incident_id = v.column2`,
      values,
    )
  })
}

export async function countRepeats(sql: Sql, rows: readonly Repeat[]): Promise<void> {
  await eachChunk(rows, async (chunk) => {
    await sql.run(
      `UPDATE alerts SET times_seen = alerts.times_seen + v.column3,
         last_seen = CASE WHEN alerts.last_seen > v.column4 THEN alerts.last_seen ELSE v.column4 END
       FROM (VALUES ${tuples(chunk.length, ['', 'bigint', 'bigint', 'bigint'])}) AS v
       WHERE alerts.fingerprint = v.column1 AND alerts.incident_id = v.column2`,
      chunk.flatMap((row): Value[] => [row.fingerprint, row.incidentId, row.times, row.lastSeen]),
    )
  })
}

const UPDATE =
  'UPDATE alerts SET name = ?, region = ?, level = ?, state = ?, starts_at = ?, ends_at = ?, first_seen = ?, last_seen = ?, times_seen = ?, digest = ?, suppressed = ?, doubt_until = ?'

function updateValues(row: Occurrence): Value[] {
  return [
    JSON.stringify(row.name),
    JSON.stringify(row.region),
    row.level,
    row.state,
    row.startsAt,
    row.endsAt,
    row.firstSeen,
    row.lastSeen,
    row.timesSeen,
    row.digest,
    row.suppressed,
    row.doubtUntil,
  ]
}

/** One statement each, sent without waiting for the one before: PostgreSQL runs them as one pipeline. */
export async function updateOccurrences(sql: Sql, rows: readonly OccurrenceRow[]): Promise<void> {
  await Promise.all(
    rows.map((row) =>
      sql.run(`${UPDATE}, payload = ? WHERE fingerprint = ? AND incident_id = ?`, [
        ...updateValues(row),
        JSON.stringify(row.payload),
        row.fingerprint,
        row.incidentId,
      ]),
    ),
  )
}

export async function updateOccurrenceStates(sql: Sql, rows: readonly Occurrence[]): Promise<void> {
  await Promise.all(
    rows.map((row) =>
      sql.run(`${UPDATE} WHERE fingerprint = ? AND incident_id = ?`, [
        ...updateValues(row),
        row.fingerprint,
        row.incidentId,
      ]),
    ),
  )
}

/**
 * Moves the alerts of one incident to another. The row in the incident of the higher number is the one that later webhooks
 * are compared with (`occurrences`), so where both have an alert that one stays.
 */
export async function moveAlerts(sql: Sql, from: number, to: number): Promise<AlertsMoved> {
  const [row] = await sql.all(
    `SELECT count(*) AS count FROM alerts a JOIN alerts b ON b.fingerprint = a.fingerprint
     WHERE a.incident_id = ? AND b.incident_id > ? AND b.incident_id < ?`,
    [from, to, from],
  )
  const replaced =
    from < to
      ? 0
      : await sql.run(
          `DELETE FROM alerts WHERE incident_id = ?
           AND fingerprint IN (SELECT fingerprint FROM alerts WHERE incident_id = ?)`,
          [to, from],
        )
  const moved = await sql.run(
    `UPDATE alerts SET incident_id = ? WHERE incident_id = ?
     AND fingerprint NOT IN (SELECT fingerprint FROM alerts WHERE incident_id = ?)`,
    [to, from, to],
  )
  return { moved, replaced, between: Number(row?.count ?? 0) }
}

export async function alertsOf(sql: Sql, incidentId: number, limit: number): Promise<OccurrenceRow[]> {
  const rows = await sql.all(
    `SELECT ${COLUMNS}, payload FROM alerts WHERE incident_id = ? ORDER BY state, level, last_seen DESC, fingerprint LIMIT ?`,
    [incidentId, limit],
  )
  return rows.map(toRow)
}

export async function firingRows(sql: Sql, incidentId: number, limit: number): Promise<OccurrenceRow[]> {
  const rows = await sql.all(
    `SELECT ${COLUMNS}, payload FROM alerts WHERE incident_id = ? AND state = 'firing' AND suppressed IS NULL LIMIT ?`,
    [incidentId, limit],
  )
  return rows.map(toRow)
}

export async function firingOf(sql: Sql, incidentId: number, limit: number, after: string): Promise<OccurrenceRow[]> {
  const rows = await sql.all(
    `SELECT ${COLUMNS}, payload FROM alerts WHERE incident_id = ? AND state = 'firing' AND fingerprint > ? ORDER BY fingerprint LIMIT ?`,
    [incidentId, after, limit],
  )
  return rows.map(toRow)
}

export async function doubted(sql: Sql, limit: number): Promise<OccurrenceRow[]> {
  const rows = await sql.all(
    `SELECT ${COLUMNS}, payload FROM alerts WHERE doubt_until IS NOT NULL ORDER BY doubt_until LIMIT ?`,
    [limit],
  )
  return rows.map(toRow)
}

export async function suppressedFiring(
  sql: Sql,
  limit: number,
  after: { fingerprint: string; incidentId: number } | null,
): Promise<OccurrenceRow[]> {
  const rows = await sql.all(
    `SELECT ${QUALIFIED}, a.payload FROM alerts a
     WHERE a.suppressed IS NOT NULL AND a.state = 'firing' AND (a.fingerprint > ? OR (a.fingerprint = ? AND a.incident_id > ?))
     ORDER BY a.fingerprint, a.incident_id LIMIT ?`,
    [after?.fingerprint ?? '', after?.fingerprint ?? '', after?.incidentId ?? -1, limit],
  )
  return rows.map(toRow)
}

export async function inhibitors(sql: Sql, keys: readonly string[]): Promise<{ key: string; fingerprint: string }[]> {
  const found: { key: string; fingerprint: string }[] = []
  for (const chunk of chunks(keys)) {
    const rows = await sql.all(`SELECT key, fingerprint FROM inhibitors WHERE key IN (${marks(chunk.length)})`, chunk)
    for (const row of rows) found.push({ key: row.key as string, fingerprint: row.fingerprint as string })
  }
  return found
}

export async function addInhibitors(sql: Sql, rows: readonly { key: string; fingerprint: string }[]): Promise<void> {
  for (const chunk of chunks(rows)) {
    await sql.run(
      `INSERT INTO inhibitors (key, fingerprint) VALUES ${tuples(chunk.length, ['', ''])} ON CONFLICT DO NOTHING`,
      chunk.flatMap((row) => [row.key, row.fingerprint]),
    )
  }
}

export async function removeInhibitors(sql: Sql, fingerprints: readonly string[]): Promise<void> {
  for (const chunk of chunks(fingerprints)) {
    await sql.run(`DELETE FROM inhibitors WHERE fingerprint IN (${marks(chunk.length)})`, chunk)
  }
}
