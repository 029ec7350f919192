import { ClawError, messageOf } from '../core/errors.ts'
import type { Reads, Store, Tx } from '../core/store.ts'
import * as alerts from './alerts.ts'
import * as audit from './audit.ts'
import * as chatops from './chatops.ts'
import * as deliveries from './deliveries.ts'
import * as incidents from './incidents.ts'
import { migrate } from './migrations.ts'
import { openPostgres } from './postgres.ts'
import type { Driver, Sql } from './sql.ts'
import { openSqlite } from './sqlite.ts'
import * as workflows from './workflows.ts'

/**
 * Opens the store and brings its schema up to date.
 *
 * @param url `sqlite:path` or `postgres://…`
 * @throws ClawError('invalid') for another scheme, ClawError('unavailable') when it cannot be opened
 */
export async function openStore(url: string): Promise<Store> {
  return storeOver(await openDriver(url, false))
}

/**
 * Opens the store for reading, beside a Claw that runs on it. Nothing is migrated; writing fails.
 * @throws as `openStore`
 */
export async function openReader(url: string): Promise<Reads & { close(): Promise<void> }> {
  const driver = await openDriver(url, true)
  return { ...reads(driver), close: () => driver.close() }
}

/** The store on an open driver, which it closes when that fails, and with the store. @throws as `openStore` */
export async function storeOver(driver: Driver): Promise<Store> {
  try {
    await migrate(driver)
  } catch (error) {
    await driver.close()
    throw unavailable(error)
  }
  return makeStore(driver)
}

async function openDriver(url: string, readOnly: boolean): Promise<Driver> {
  if (url.startsWith('sqlite:')) return openSqlite(url.slice('sqlite:'.length).replace(/^\/\/(?=\/)/, ''), readOnly)
  if (/^postgres(ql)?:\/\//.test(url)) return openPostgres(url)
  throw new ClawError('invalid', 'store: must be sqlite:<file> or postgres://user:pass@host:5432/database.')
}

function reads(sql: Sql): Reads {
  return {
    occurrences: (fingerprints) => alerts.occurrences(sql, fingerprints),
    latestIncidents: (keys) => incidents.latestIncidents(sql, keys),
    incidents: (ids) => incidents.incidents(sql, ids),
    listIncidents: (query) => incidents.listIncidents(sql, query),
    countIncidents: () => incidents.countIncidents(sql),
    alertsOf: (id, limit) => alerts.alertsOf(sql, id, limit),
    story: (id, limit) => incidents.story(sql, id, limit),
    deliveriesOf: (ids) => deliveries.deliveriesOf(sql, ids),
    delivery: (id) => deliveries.delivery(sql, id),
    listDeliveries: (query) => deliveries.listDeliveries(sql, query),
    countDeliveries: () => deliveries.countDeliveries(sql),
    references: (lane, target, limit) => deliveries.references(sql, lane, target, limit),
    due: (query) => deliveries.due(sql, query),
    nextDue: (lane, fence) => deliveries.nextDue(sql, lane, fence),
    lanes: () => deliveries.lanes(sql),
    incidentsToCheck: (now, limit) => incidents.incidentsToCheck(sql, now, limit),
    doubted: (limit) => alerts.doubted(sql, limit),
    suppressedFiring: (limit, after) => alerts.suppressedFiring(sql, limit, after),
    firingRows: (id, limit) => alerts.firingRows(sql, id, limit),
    firingOf: (id, limit, after) => alerts.firingOf(sql, id, limit, after),
    inhibitors: (keys) => alerts.inhibitors(sql, keys),
    unconfirmedPages: (before, limit) => deliveries.unconfirmedPages(sql, before, limit),
    request: (id) => chatops.request(sql, id),
    waitingRequests: (limit) => chatops.waitingRequests(sql, limit),
    approval: (id) => chatops.approval(sql, id),
    openApprovals: (limit) => chatops.openApprovals(sql, limit),
    silence: (id) => chatops.silence(sql, id),
    activeSilences: () => chatops.activeSilences(sql),
    pendingSilences: (limit) => chatops.pendingSilences(sql, limit),
    auditRows: (after, limit) => audit.auditRows(sql, after, limit),
    auditHead: () => audit.auditHead(sql),
    newestAudit: (target, limit) => audit.newestAudit(sql, target, limit),
    workflow: (id) => workflows.workflow(sql, id),
    workflows: (query) => workflows.workflows(sql, query),
    dueWorkflows: (owner, now, limit) => workflows.dueWorkflows(sql, owner, now, limit),
    nextWorkflowDue: () => workflows.nextWorkflowDue(sql),
    remediations: (query) => workflows.remediations(sql, query),
    remediationsToVerify: (now, limit) => workflows.remediationsToVerify(sql, now, limit),
    async heartbeats() {
      const rows = await sql.all('SELECT source, last_at, missing FROM heartbeats ORDER BY source')
      return rows.map((row) => ({
        source: JSON.parse(row.source as string) as string,
        lastAt: row.last_at as number,
        missing: row.missing === 1,
      }))
    },
    async meta(key) {
      const [row] = await sql.all('SELECT value FROM meta WHERE key = ?', [key])
      return row ? (row.value as string) : null
    },
  }
}

function transaction(sql: Sql): Tx {
  return {
    ...reads(sql),
    nextIncidentId: () => incidents.nextIncidentId(sql),
    insertOccurrences: (rows) => alerts.insertOccurrences(sql, rows),
    touchOccurrences: (rows) => alerts.touchOccurrences(sql, rows),
    countRepeats: (rows) => alerts.countRepeats(sql, rows),
    updateOccurrences: (rows) => alerts.updateOccurrences(sql, rows),
    moveAlerts: (from, to) => alerts.moveAlerts(sql, from, to),
    updateOccurrenceStates: (rows) => alerts.updateOccurrenceStates(sql, rows),
    saveIncidents: (rows) => incidents.saveIncidents(sql, rows),
    addStory: (events) => incidents.addStory(sql, events),
    addDeliveries: (rows) => deliveries.addDeliveries(sql, rows),
    wakeDeliveries: (rows) => deliveries.wakeDeliveries(sql, rows),
    beginSteps: (ids, fence) => deliveries.beginSteps(sql, ids, fence),
    recordOutcomes: (rows) => deliveries.recordOutcomes(sql, rows),
    redeliver: (id, now) => deliveries.redeliver(sql, id, now),
    takeLane: (lane, owner, now, until, steal) => deliveries.takeLane(sql, lane, owner, now, until, steal),
    releaseLanes: (owner) => deliveries.releaseLanes(sql, owner),
    addInhibitors: (rows) => alerts.addInhibitors(sql, rows),
    removeInhibitors: (fingerprints) => alerts.removeInhibitors(sql, fingerprints),
    addRequest: (request, at) => chatops.addRequest(sql, request, at),
    answerRequest: (id, reply) => chatops.answerRequest(sql, id, reply),
    addReply: (to, kind, reply, at) => deliveries.addReply(sql, to, kind, reply, at),
    pruneRequests: (before) => chatops.pruneRequests(sql, before),
    nextApprovalId: () => chatops.nextApprovalId(sql),
    saveApproval: (approval) => chatops.saveApproval(sql, approval),
    nextSilenceId: () => chatops.nextSilenceId(sql),
    saveSilence: (silence) => chatops.saveSilence(sql, silence),
    appendAudit: (entry) => audit.appendAudit(sql, entry),
    nextWorkflowId: () => workflows.nextWorkflowId(sql),
    insertWorkflow: (run) => workflows.insertWorkflow(sql, run),
    claimWorkflow: (id, owner, now, until, steal) => workflows.claimWorkflow(sql, id, owner, now, until, steal),
    extendWorkflow: (id, fence, until) => workflows.extendWorkflow(sql, id, fence, until),
    saveWorkflow: (run, fence, release) => workflows.saveWorkflow(sql, run, fence, release),
    cancelWorkflow: (id, by, now) => workflows.cancelWorkflow(sql, id, by, now),
    saveRemediation: (remediation) => workflows.saveRemediation(sql, remediation),
    prune: (before, limit) => incidents.prune(sql, before, limit),
    async beat(source, at) {
      await sql.run(
        `INSERT INTO heartbeats (source, last_at, missing) VALUES (?, ?, 0)
         ON CONFLICT (source) DO UPDATE SET last_at = excluded.last_at, missing = 0`,
        [JSON.stringify(source), at],
      )
    },
    async markHeartbeats(sources, missing) {
      for (const source of sources) {
        await sql.run('UPDATE heartbeats SET missing = ? WHERE source = ?', [missing ? 1 : 0, JSON.stringify(source)])
      }
    },
    async forgetHeartbeats(sources, before) {
      for (const source of sources) {
        await sql.run('DELETE FROM heartbeats WHERE source = ? AND last_at < ?', [JSON.stringify(source), before])
      }
    },
    async setMeta(key, value) {
      await sql.run(
        'INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
        [key, value],
      )
    },
  }
}

function makeStore(driver: Driver): Store {
  return {
    ...reads(driver),
    exclusive: driver.exclusive,
    async write(work) {
      try {
        return await driver.transaction((sql) => work(transaction(sql)))
      } catch (error) {
        throw unavailable(error)
      }
    },
    async ping() {
      try {
        await driver.transaction(async (sql) => {
          await sql.run(
            `INSERT INTO meta (key, value) VALUES ('ping', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
            [String(Date.now())],
          )
        })
      } catch (error) {
        throw unavailable(error)
      }
    },
    close: () => driver.close(),
  }
}

/** Our own errors pass; anything else means that the database could not do its work. */
function unavailable(error: unknown): ClawError {
  if (error instanceof ClawError) return error
  const text = messageOf(error)
  const advice = /full|space|ENOSPC/i.test(text) ? ' Free some disk space.' : ''
  return new ClawError('unavailable', `The database cannot store: ${text}.${advice}`, { cause: error })
}
