import { type Incident, newIncident } from '../core/incident.ts'
import type { StoryEvent } from '../core/view.ts'
import type { WorkflowRun } from '../core/workflow.ts'
import { chunks, eachChunk, lookups, marks, type Row, type Sql, tuples, type Value } from './sql.ts'

const COLUMNS = 'id, key, state, level, resolved_at, next_check_at, doc'
const EMPTY_BUCKET: Incident['bucket'] = newIncident(0, '', {}, 0).bucket

const filled = <T>(list: T[]): T[] | undefined => (list.length > 0 ? list : undefined)

/**
 * The document of an incident without what has a column of its own, and without what is as `newIncident` has it: every alert
 * that joins rewrites it, and the shorter it is, the more of them share a page of the write-ahead log. JSON leaves out
 * what is undefined. One literal, because an object of constant shape is written fastest.
 */
function toDoc(incident: Incident): string {
  const { bucket } = incident
  return JSON.stringify({
    ...incident,
    id: undefined,
    key: undefined,
    state: undefined,
    level: undefined,
    resolvedAt: undefined,
    nextCheckAt: undefined,
    baseReason: incident.baseReason === incident.levelReason ? undefined : incident.baseReason,
    sameReason: incident.baseReason === incident.levelReason || undefined,
    levelSetBy: incident.levelSetBy ?? undefined,
    muted: filled(incident.muted),
    classes: filled(incident.classes),
    suppressed: incident.suppressed || undefined,
    acknowledgedAt: incident.acknowledgedAt ?? undefined,
    acknowledgedBy: incident.acknowledgedBy ?? undefined,
    resolvedBy: incident.resolvedBy ?? undefined,
    recurredAt: filled(incident.recurredAt),
    recurrences: incident.recurrences || undefined,
    flapping: incident.flapping || undefined,
    signalLost: incident.signalLost || undefined,
    check: incident.check ?? undefined,
    checks: incident.checks || undefined,
    bucket: bucket.source === EMPTY_BUCKET.source && bucket.ratio === null && bucket.at === 0 ? undefined : bucket,
    externalURL: incident.externalURL || undefined,
    synthetic: incident.synthetic || undefined,
  })
}

/** Also reads documents that hold every field, as they were written before. */
function toIncident(row: Row): Incident {
  const { sameReason, ...doc } = JSON.parse(row.doc as string) as Partial<Incident> & { sameReason?: true }
  const incident: Incident = { ...newIncident(0, '', {}, 0), ...doc }
  incident.id = row.id as number
  incident.key = row.key as string
  incident.state = row.state as Incident['state']
  incident.level = row.level as Incident['level']
  incident.resolvedAt = row.resolved_at as number | null
  incident.nextCheckAt = row.next_check_at as number | null
  if (sameReason) incident.baseReason = incident.levelReason
  return incident
}

export async function latestIncidents(sql: Sql, keys: readonly string[]): Promise<Incident[]> {
  const found: Incident[] = []
  for (const chunk of lookups(keys)) {
    const rows = await sql.all(
      `SELECT ${COLUMNS} FROM incidents WHERE id IN (SELECT max(id) FROM incidents WHERE key IN (${marks(chunk.length)}) GROUP BY key)`,
      chunk,
    )
    for (const row of rows) found.push(toIncident(row))
  }
  return found
}

export async function incidents(sql: Sql, ids: readonly number[]): Promise<Incident[]> {
  const found: Incident[] = []
  for (const chunk of lookups(ids)) {
    const rows = await sql.all(`SELECT ${COLUMNS} FROM incidents WHERE id IN (${marks(chunk.length)})`, chunk)
    for (const row of rows) found.push(toIncident(row))
  }
  return found
}

export async function listIncidents(
  sql: Sql,
  query: { states: readonly string[]; limit: number; before: number | null },
): Promise<Incident[]> {
  const rows = await sql.all(
    `SELECT ${COLUMNS} FROM incidents WHERE id < ?${query.states.length > 0 ? ` AND state IN (${marks(query.states.length)})` : ''} ORDER BY id DESC LIMIT ?`,
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
  await eachChunk(changed, async (chunk) => {
    const values: Value[] = []
    for (const incident of chunk) {
      values.push(
        incident.id,
        incident.key,
        incident.state,
        incident.level,
        incident.resolvedAt,
        incident.nextCheckAt,
        toDoc(incident),
      )
    }
    await sql.run(
      `INSERT INTO incidents (id, key, state, level, resolved_at, next_check_at, doc) VALUES ${tuples(chunk.length, TYPES)}
       ON CONFLICT (id) DO UPDATE SET state = excluded.state, level = excluded.level, resolved_at = excluded.resolved_at,
       next_check_at = excluded.next_check_at, doc = excluded.doc`,
      values,
    )
  })
}

export async function incidentsToCheck(sql: Sql, now: number, limit: number): Promise<Incident[]> {
  const rows = await sql.all(
    `SELECT ${COLUMNS} FROM incidents WHERE next_check_at IS NOT NULL AND next_check_at <= ? ORDER BY next_check_at LIMIT ?`,
    [now, limit],
  )
  return rows.map(toIncident)
}

export async function addStory(sql: Sql, events: readonly (StoryEvent & { incidentId: number })[]): Promise<void> {
  await eachChunk(events, async (chunk) => {
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
  })
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

/**
 * The newest incident, workflow and remediation stay, so that ids never start again: a workflow's is part of the edge's
 * Idempotency-Keys.
 */
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
  await sql.run(
    `DELETE FROM remediations WHERE at < ? AND id < (SELECT max(id) FROM remediations)
     AND NOT EXISTS (SELECT 1 FROM incidents WHERE incidents.id = remediations.incident_id)`,
    [before],
  )
  await pruneWorkflows(sql, before, limit)
  return rows.length
}

/** What ended before `before` and whose incident is gone, or that never had one. */
async function pruneWorkflows(sql: Sql, before: number, limit: number): Promise<void> {
  const rows = await sql.all(
    `SELECT id, doc FROM workflows WHERE state <> 'running' AND due_at < ? AND id < (SELECT max(id) FROM workflows)
     AND NOT EXISTS (SELECT 1 FROM incidents WHERE incidents.id = workflows.incident_id) ORDER BY id LIMIT ?`,
    [before, limit],
  )
  // A cancelled run may have been due long before it ended.
  const over = rows.filter((row) => ((JSON.parse(row.doc as string) as WorkflowRun).endedAt ?? 0) < before)
  for (const chunk of chunks(over.map((row) => row.id as number))) {
    await sql.run(`DELETE FROM workflows WHERE id IN (${marks(chunk.length)})`, chunk)
  }
}
