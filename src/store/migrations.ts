import { ClawError } from '../core/errors.ts'
import type { Driver } from './sql.ts'

/**
 * The schema, one entry per version, never edited once released. `{{serial}}` is the database's own rising key. Arbitrary
 * text (labels, keys, reasons) is stored as JSON text in TEXT columns, because PostgreSQL takes neither NUL nor lone surrogates.
 */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);

  CREATE TABLE incidents (
    id BIGINT PRIMARY KEY,
    key TEXT NOT NULL,
    state TEXT NOT NULL,
    level TEXT NOT NULL,
    resolved_at BIGINT,
    next_check_at BIGINT,
    doc TEXT NOT NULL
  );
  CREATE INDEX incidents_key ON incidents (key, id);
  CREATE INDEX incidents_state ON incidents (state, id);
  CREATE INDEX incidents_check ON incidents (next_check_at) WHERE next_check_at IS NOT NULL;

  CREATE TABLE alerts (
    fingerprint TEXT NOT NULL,
    incident_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    region TEXT NOT NULL,
    level TEXT NOT NULL,
    state TEXT NOT NULL,
    starts_at BIGINT NOT NULL,
    ends_at BIGINT,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    times_seen BIGINT NOT NULL,
    digest BIGINT NOT NULL,
    suppressed TEXT,
    doubt_until BIGINT,
    payload TEXT NOT NULL,
    PRIMARY KEY (fingerprint, incident_id)
  );
  CREATE INDEX alerts_incident ON alerts (incident_id);
  CREATE INDEX alerts_doubt ON alerts (doubt_until) WHERE doubt_until IS NOT NULL;
  CREATE INDEX alerts_suppressed ON alerts (fingerprint, incident_id) WHERE suppressed IS NOT NULL;

  CREATE TABLE story (
    incident_id BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    push BIGINT NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (incident_id, seq)
  );

  CREATE TABLE deliveries (
    id {{serial}},
    incident_id BIGINT NOT NULL,
    lane TEXT NOT NULL,
    kind TEXT NOT NULL,
    target TEXT NOT NULL,
    receiver TEXT NOT NULL,
    settings TEXT NOT NULL,
    state TEXT NOT NULL,
    priority BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    changed_at BIGINT,
    wanted BIGINT NOT NULL,
    shown BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    inflight BIGINT,
    in_doubt BIGINT NOT NULL,
    reference TEXT,
    reason TEXT,
    adapter_state TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    delivered_at BIGINT,
    UNIQUE (incident_id, lane, target)
  );
  CREATE INDEX deliveries_due ON deliveries (lane, priority, due_at) WHERE state IN ('pending', 'waiting');
  CREATE INDEX deliveries_dead ON deliveries (id) WHERE state = 'dead';
  CREATE INDEX deliveries_target ON deliveries (lane, target, id);

  CREATE TABLE lanes (
    name TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    fence BIGINT NOT NULL,
    until BIGINT NOT NULL
  );

  CREATE TABLE inhibitors (key TEXT NOT NULL, fingerprint TEXT NOT NULL, PRIMARY KEY (key, fingerprint));
  CREATE INDEX inhibitors_fingerprint ON inhibitors (fingerprint);

  CREATE TABLE heartbeats (source TEXT PRIMARY KEY, last_at BIGINT NOT NULL, missing BIGINT NOT NULL);
  `,
  `
  CREATE TABLE requests (
    id TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    state TEXT NOT NULL,
    doc TEXT NOT NULL,
    reply TEXT
  );
  CREATE INDEX requests_waiting ON requests (at) WHERE state = 'waiting';
  CREATE INDEX requests_at ON requests (at);

  CREATE TABLE approvals (id BIGINT PRIMARY KEY, state TEXT NOT NULL, expires_at BIGINT NOT NULL, doc TEXT NOT NULL);
  CREATE INDEX approvals_open ON approvals (expires_at) WHERE state = 'open';

  CREATE TABLE silences (
    id BIGINT PRIMARY KEY,
    incident_id BIGINT,
    state TEXT NOT NULL,
    ends_at BIGINT NOT NULL,
    pending TEXT,
    doc TEXT NOT NULL
  );
  CREATE INDEX silences_active ON silences (ends_at) WHERE state = 'active';
  CREATE INDEX silences_pending ON silences (id) WHERE pending IS NOT NULL;

  CREATE TABLE audit (
    id TEXT PRIMARY KEY,
    at TEXT NOT NULL,
    actor TEXT NOT NULL,
    via TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL
  );
  CREATE INDEX audit_order ON audit (length(id), id);
  CREATE INDEX audit_target ON audit (target);
  `,
  `
  CREATE TABLE workflows (
    id BIGINT PRIMARY KEY,
    incident_id BIGINT,
    state TEXT NOT NULL,
    due_at BIGINT NOT NULL,
    cancelled_by TEXT,
    owner TEXT,
    lease_until BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    doc TEXT NOT NULL
  );
  CREATE INDEX workflows_running ON workflows (due_at) WHERE state = 'running';
  CREATE INDEX workflows_incident ON workflows (incident_id);

  CREATE TABLE remediations (
    id BIGINT PRIMARY KEY,
    policy TEXT NOT NULL,
    incident_id BIGINT NOT NULL,
    at BIGINT NOT NULL,
    verify_at BIGINT,
    doc TEXT NOT NULL
  );
  CREATE INDEX remediations_incident ON remediations (incident_id);
  CREATE INDEX remediations_policy ON remediations (policy, id);
  CREATE INDEX remediations_verify ON remediations (verify_at) WHERE verify_at IS NOT NULL;
  `,
]

const SERIAL = {
  sqlite: 'INTEGER PRIMARY KEY AUTOINCREMENT',
  postgres: 'BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY',
} as const

/**
 * Brings the database to this version's schema.
 * @throws ClawError('unavailable') when the database was written by a newer Claw: an old one must not touch it
 */
export async function migrate(driver: Driver): Promise<void> {
  await driver.transaction(async (sql) => {
    // Inside: PostgreSQL fails when two replicas create a table at once, IF NOT EXISTS or not.
    await sql.run('CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY)')
    const [row] = await sql.all('SELECT max(version) AS version FROM schema_version')
    const from = Number(row?.version ?? 0)
    if (from > MIGRATIONS.length) {
      throw new ClawError(
        'unavailable',
        `The database has schema version ${from}, this Claw knows ${MIGRATIONS.length}. Start the newer Claw again, or restore a backup.`,
      )
    }
    for (let version = from + 1; version <= MIGRATIONS.length; version++) {
      for (const statement of split(MIGRATIONS[version - 1] ?? '', driver.dialect)) await sql.run(statement)
      await sql.run('INSERT INTO schema_version (version) VALUES (?)', [version])
    }
  })
}

function split(text: string, dialect: 'sqlite' | 'postgres'): string[] {
  return text
    .replaceAll('{{serial}}', SERIAL[dialect])
    .split(';')
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '')
}
