import { draftOf, type Incident, tell } from '../core/incident.ts'
import type { Policy } from '../core/policy.ts'
import { actorName } from '../core/remediation.ts'
import type { Reads, Tx } from '../core/store.ts'
import { type NewRun, runName, type WorkflowRun } from '../core/workflow.ts'
import { storeDrafts } from './changes.ts'

/** Runs looked at for what is under way; more never run at once. */
const MAX_RUNNING = 200
/** Open incidents looked through for the one that a command reports in. */
const MAX_OPEN = 500

/** Kinds that move clients: nothing else may act on their regions meanwhile, and they on no region where something acts. */
const ALONE = ['failover', 'rollback']
/** Kinds that only add capacity or take a bad canary away: they wait for their own kind alone, and nothing waits for them. */
const HARMLESS = ['scale', 'capacity', 'canary abort']
/** Kinds that act on one region at a time, whichever (system.md, section 3). */
const ONE_AT_A_TIME = ['reset']

/**
 * Stores a new run, with a line in its incident's story, unless another one is in its way. It begins when the transaction is
 * over and the runner is woken.
 * @returns the run, or the one that is in the way
 */
export async function startRun(
  tx: Tx,
  wanted: NewRun,
  policy: Policy,
  now: number,
): Promise<{ run: WorkflowRun; busy: null } | { run: null; busy: WorkflowRun }> {
  const busy = await inTheWay(tx, wanted)
  if (busy) return { run: null, busy }
  const run: WorkflowRun = {
    ...wanted,
    id: await tx.nextWorkflowId(),
    state: 'running',
    steps: [],
    dueAt: now,
    cancelledBy: null,
    startedAt: now,
    endedAt: null,
    outcome: null,
    data: null,
  }
  await tx.insertWorkflow(run)
  const [incident] = run.incident === null ? [] : await tx.incidents([run.incident])
  if (incident) {
    const draft = draftOf(incident)
    if (run.trace !== undefined) draft.traces = [run.trace]
    tell(draft, now, 'operation', `${actorName(run.by)} started ${runName(run.id)}: ${run.title}.`, false, run.by)
    await storeDrafts(tx, [draft], policy, now)
  }
  return { run, busy: null }
}

/** The running run that one of this kind on these regions would have to wait for; null when there is none. */
export async function inTheWay(
  reads: Pick<Reads, 'workflows'>,
  wanted: Pick<NewRun, 'kind' | 'regions'>,
): Promise<WorkflowRun | null> {
  const running = await reads.workflows({ states: ['running'], limit: MAX_RUNNING })
  return (
    running.find((run) => {
      const kinds = [run.kind, wanted.kind]
      if (run.kind === wanted.kind) {
        if (ONE_AT_A_TIME.includes(run.kind)) return true
      } else if (!kinds.some((kind) => ALONE.includes(kind)) || kinds.some((kind) => HARMLESS.includes(kind))) {
        return false
      }
      // No region named means all of them.
      if (run.regions.length === 0 || wanted.regions.length === 0) return true
      return run.regions.some((region) => wanted.regions.includes(region))
    }) ?? null
  )
}

/** The newest open incident that touches one of the regions (contract.md, section 8); null when there is none. */
export async function incidentTouching(
  reads: Pick<Reads, 'listIncidents'>,
  regions: readonly string[],
): Promise<Incident | null> {
  const open = await reads.listIncidents({ states: ['open', 'acknowledged'], limit: MAX_OPEN, before: null })
  return (
    open.find(
      (incident) =>
        !incident.synthetic && (regions.length === 0 || incident.allRegions.some((region) => regions.includes(region))),
    ) ?? null
  )
}
