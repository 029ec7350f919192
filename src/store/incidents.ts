import type { Incident } from '../core/incident.ts'
import type { StoryEvent } from '../core/view.ts'
import { chunks, marks, type Row, type Sql, tuples, type Value } from './sql.ts'

const toIncident = (row: Row): Incident => JSON.parse(row.doc as string) as Incident

export async function latestIncidents(sql: Sql, keys: readonly string[]): Promise<Incident[]> {
  const found: Incident[] = []
  for (const chunk of chunks(keys)) {
    const rows = await sql.all(
      `SELECT doc FROM incidents WHERE id IN (SELECT max(id) FROM incidents WHERE key IN (${marks(chunk.length)}) GROUP BY key)`,
      chunk,
    )
    for (const row of rows) found.push(toIncident(row))
  }
  return found
}

export async function incidents(sql: Sql, ids: readonly number[]): Promise<Incident[]> {
  const found: Incident[] = []
  for (const chunk of chunks(ids)) {
    const rows = await sql.all(`SELECT doc FROM incidents WHERE id IN (${marks(chunk.length)})`, chunk)
    for (const row of rows) found.push(toIncident(row))
  }
  return found
}

export async function listIncidents(
  sql: Sql,
  query: { states: readonly string[]; limit: number; before: number | null },
): Promise<Incident[]> {
  const rows = await sql.all(
    `SELECT doc FROM incidents WHERE id < ?${query.states.length > 0 ? ` AND state IN (${marks(query.states.length)})` : ''} ORDER BY id DESC LIMIT ?`,
    [query.before ?? Number.MAX_SAFE_INTEGER, ...query.states, query.limit],
  )
  return rows.map(toIncident)
}

export async function countIncidents(sql: Sql): Promise<{ state: string; level: string; count: number }[]> {
  const rows = await sql.all('SELECT state, level, count(*) AS count FROM incidents GROUP BY state, level')
  return rows.map((row) => ({ state: row.state as string, level: row.level as string, count: Number(row.count) }))
}

export async function nextIncidentId(sql: Sql): Promise<number> {
  const [row] = await sql.all('SELECT max(id) AS id FROM incidents')
  return Number(row?.id ?? 0) + 1
}

const TYPES = ['bigint', '', '', '', 'bigint', 'bigint', '']

export async function saveIncidents(sql: Sql, changed: readonly Incident[]): Promise<void> {
  for (const chunk of chunks(changed)) {
    const values: Value[] = []
    for (const incident of chunk) {
      values.push(
        incident.id,
        incident.key,
        incident.state,
        incident.level,
        incident.resolvedAt,
        incident.nextCheckAt,
        JSON.stringify(incident),
      )
    }
    await sql.run(
      `INSERT INTO incidents (id, key, state, level, resolved_at, next_check_at, doc) VALUES ${tuples(chunk.length, TYPES)}
       ON CONFLICT (id) DO UPDATE SET state = excluded.state, level = excluded.level, resolved_at = excluded.resolved_at,
       next_check_at = excluded.next_check_at, doc = excluded.doc`,
      values,
    )
  }
}

export async function incidentsToCheck(sql: Sql, now: number, limit: number): Promise<Incident[]> {
  const rows = await sql.all(
    'SELECT doc FROM incidents WHERE next_check_at IS NOT NULL AND next_check_at <= ? ORDER BY next_check_at LIMIT ?',
    [now, limit],
  )
  return rows.map(toIncident)
}

export async function addStory(sql: Sql, events: readonly (StoryEvent & { incidentId: number })[]): Promise<void> {
  for (const chunk of chunks(events)) {
    await sql.run(
      `INSERT INTO story (incident_id, seq, at, kind, push, doc) VALUES ${tuples(chunk.length, ['', '', '', '', '', ''])}`,
      chunk.flatMap((event): Value[] => [
        event.incidentId,
        event.seq,
        event.at,
        event.kind,
        event.push ? 1 : 0,
        JSON.stringify({ actor: event.actor, text: event.text }),
      ]),
    )
  }
}

export async function story(sql: Sql, incidentId: number, limit: number): Promise<StoryEvent[]> {
  const rows = await sql.all(
    'SELECT seq, at, kind, push, doc FROM story WHERE incident_id = ? ORDER BY seq DESC LIMIT ?',
    [incidentId, limit],
  )
  return rows.reverse().map((row) => {
    const doc = JSON.parse(row.doc as string) as { actor: string | null; text: string }
    return {
      seq: row.seq as number,
      at: row.at as number,
      kind: row.kind as string,
      push: row.push === 1,
      actor: doc.actor,
      text: doc.text,
    }
  })
}

/** The newest incident stays, so that ids never start again. */
export async function prune(sql: Sql, before: number, limit: number): Promise<number> {
  const rows = await sql.all(
    `SELECT id FROM incidents WHERE state = 'resolved' AND resolved_at < ? AND next_check_at IS NULL
     AND id < (SELECT max(id) FROM incidents) ORDER BY id LIMIT ?`,
    [before, limit],
  )
  for (const chunk of chunks(rows.map((row) => row.id as number))) {
    for (const table of ['alerts', 'story', 'deliveries']) {
      await sql.run(`DELETE FROM ${table} WHERE incident_id IN (${marks(chunk.length)})`, chunk)
    }
    await sql.run(`DELETE FROM incidents WHERE id IN (${marks(chunk.length)})`, chunk)
  }
  await sql.run(`DELETE FROM deliveries WHERE incident_id < 0 AND state IN ('delivered', 'dead') AND created_at < ?`, [
    before,
  ])
  await sql.run('DELETE FROM alerts WHERE incident_id = 0 AND last_seen < ?', [before])
  return rows.length
}
