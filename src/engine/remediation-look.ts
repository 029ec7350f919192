import type { EdgeConflict } from '../core/edge.ts'
import type { Incident } from '../core/incident.ts'
import type { Policy } from '../core/policy.ts'
import { AUTOMATION_KEY, type AutomationSwitch, type Remediation, readSwitch } from '../core/remediation.ts'
import type { RemedyFacts } from '../core/remedy.ts'
import type { Reads } from '../core/store.ts'
import type { WorkflowRun } from '../core/workflow.ts'
import type { EdgeSight, Sight } from './remediation-sight.ts'

/** Runs and remediations that are read back. */
export const MAX_RUNS = 200
export const MAX_HISTORY = 500

/** What one look has found outside, the same for all incidents. No transaction waits for the outside. */
export type Look = EdgeSight & {
  /** ms since the epoch */
  now: number
  policy: Policy
  conflicts: EdgeConflict[] | null
  automation: AutomationSwitch['state']
  /** newest first, of any incident; those under way among them are `running` */
  recent: WorkflowRun[]
  running: WorkflowRun[]
  /** what the service level says; null while it is kept */
  breach: string | null
  cluster: boolean
  alertsAlone: boolean
}

/** What is known of one incident: its facts, and its remediations, newest first. */
export type Seen = { incident: Incident; facts: RemedyFacts; history: Remediation[] }

/** All that is stored of an open incident now, for a decision in a transaction; null when it is over or gone. */
export async function see(tx: Reads, sight: Sight, id: number, at: Look): Promise<Seen | null> {
  const [incident] = await tx.incidents([id])
  if (!incident || incident.state === 'resolved') return null
  const { state: automation } = readSwitch(await tx.meta(AUTOMATION_KEY))
  const running = await tx.workflows({ states: ['running'], limit: MAX_RUNS })
  return glance(tx, sight, incident, { ...at, automation, running })
}

/** The same at the cost of two queries, with what the look has read for all incidents. */
export async function glance(reads: Reads, sight: Sight, incident: Incident, at: Look): Promise<Seen> {
  const { id } = incident
  const alerts = incident.firing > 0 ? await sight.alertsOf(reads, incident, at.policy) : []
  const own = await reads.workflows({ incident: id, limit: MAX_RUNS })
  const facts: RemedyFacts = {
    automation: at.automation,
    incident: { id, stopped: incident.automationStopped !== undefined, proposals: incident.proposals ?? [] },
    alerts,
    edge: at.edge,
    regions: at.regions,
    cluster: at.cluster,
    conflicts: at.conflicts,
    runs: [...own, ...at.running.filter((run) => run.incident !== id)],
    alertsAlone: at.alertsAlone,
  }
  return { incident, facts, history: await reads.remediations({ incident: id, limit: MAX_HISTORY }) }
}
