import type { Logger } from 'pino'
import { workflows as definitions } from '../handlers/workflows/index.ts'
import type { Parts } from './app.ts'
import type { WorkflowServices } from './core/workflow.ts'
import { runName } from './core/workflow.ts'
import type { Outside } from './destinations.ts'
import { createChecklistRounds } from './engine/checklist.ts'
import type { Ingest } from './engine/ingest.ts'
import { createRaised } from './engine/raised.ts'
import { createRemediation } from './engine/remediation.ts'
import { createTriage } from './engine/triage.ts'
import { createWatch, type Watch } from './engine/watch.ts'
import { createWorkflows, type Workflows } from './engine/workflows.ts'

export type ActionDeps = Omit<Parts, 'watch' | 'stopping'> & {
  log: Logger
  owner: string
  random?: (() => number) | undefined
  outside: () => Outside
  ingest: Ingest
  onAction: (kind: string, outcome: string) => void
}

export type Actions = {
  workflows: Workflows
  /** what the edge was like lately, and what changed on it */
  watch: Watch
  /** what workflows, previews and policies reach */
  services: () => WorkflowServices
  /** one round of what waits for time; a slow edge holds up nothing else */
  tick(): Promise<void>
  /** until nothing of it is under way, for tests */
  idle(): Promise<void>
  stop(): Promise<void>
}

/** What Claw sees and does on the edge: watching, triage, policies, and the durable workflows that they and people start. */
export function createActions(deps: ActionDeps): Actions {
  const { store, clock, log, loaded, ingest } = deps
  const policy = () => loaded().policy
  const edge = () => deps.outside().admin

  function services(): WorkflowServices {
    const { admin, traffic, cluster, query, load } = deps.outside()
    return { edge: admin, traffic, cluster, query, load, settings: policy().actions }
  }

  const raised = createRaised({ store, ingest, clock })
  const workflows = createWorkflows({
    store,
    tracer: deps.tracer,
    definitions,
    services,
    policy,
    installation: () => loaded().config.installation,
    clock,
    log,
    owner: deps.owner,
    ...(deps.random ? { random: deps.random } : {}),
    onStored: deps.wake,
    onEnded: deps.onAction,
    raise: (run, text) =>
      raised.raise(
        `action ${loaded().config.installation} ${run.id} ${run.startedAt}`,
        {
          alertname: 'ClawActionFailed',
          severity: 'critical',
          operation: runName(run.id),
          region: run.regions[0] ?? '',
        },
        { summary: `${run.title} went wrong`, description: text },
      ),
  })
  const watch = createWatch({ edge, store, clock, log })
  const triage = createTriage({ store, policy, watch, services, clock, log, onStored: deps.wake })
  const remediation = createRemediation({
    store,
    policy,
    services,
    clock,
    log,
    onStored: deps.wake,
    wakeWorkflows: () => workflows.tick(),
    onAction: deps.onAction,
  })
  const checklist = createChecklistRounds({ store, clock })
  const rounds = new Map<{ tick(): Promise<void> }, Promise<void>>()

  /** Each round by itself; the one before must be over. */
  function begin(): void {
    for (const one of [watch, triage, remediation, checklist, raised]) {
      if (rounds.has(one)) continue
      const round = one
        .tick()
        .catch((error) => log.warn({ err: error }, 'a look at the edge failed, trying again'))
        .finally(() => rounds.delete(one))
      rounds.set(one, round)
    }
  }

  return {
    workflows,
    watch,
    services,
    async tick() {
      begin()
      workflows.tick()
    },
    async idle() {
      await Promise.all(rounds.values())
      await workflows.idle()
    },
    async stop() {
      await Promise.all([workflows.stop(), ...rounds.values()])
    },
  }
}
