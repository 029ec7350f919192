import type { CommandRequest, Reply } from '../../../src/core/command.ts'
import type { Cluster, EdgeAdmin, EdgeConflict, EdgeRegion, TrafficSwitch } from '../../../src/core/edge.ts'
import { ClawError } from '../../../src/core/errors.ts'
import type { Outcome, WorkflowRun } from '../../../src/core/workflow.ts'
import { firing } from '../../support/engine.ts'
import { createRig, type Rig } from './rig.ts'

/** A region that does well; what is not given is that of A. */
export function edgeRegion(region: string, more: Partial<EdgeRegion> = {}): EdgeRegion {
  return {
    region,
    healthy: true,
    receiving: true,
    bucket: { capacity: 1000, available: 960, ratio: 0.96 },
    syncLagSeconds: 0.04,
    conflictsPerMinute: 0,
    p95LatencySeconds: 0.02,
    errorRatio: 0,
    canaryWeight: 0,
    version: '1.8.2',
    requestRate: 240,
    refusedRatio: 0,
    refillRate: 1500,
    ratingScore: null,
    jitterSeconds: null,
    replicas: 3,
    nodes: null,
    ...more,
  }
}

export type FakeEdge = {
  admin: EdgeAdmin
  regions: EdgeRegion[]
  conflicts: EdgeConflict[]
  /** every call fails from now on */
  down: boolean
  /** every call that changes something: there must be none before an operation runs */
  changed: string[]
}

export function fakeEdge(): FakeEdge {
  const answer = <T>(value: T): Promise<T> =>
    edge.down ? Promise.reject(new ClawError('unavailable', 'Edge, regions: no connection.')) : Promise.resolve(value)
  const change = (what: string): Promise<never> => {
    edge.changed.push(what)
    throw new ClawError('internal', 'a command changed the edge itself')
  }
  const edge: FakeEdge = {
    regions: [edgeRegion('A'), edgeRegion('B', { requestRate: 200 })],
    conflicts: [],
    down: false,
    changed: [],
    admin: {
      regions: () => answer(edge.regions),
      conflicts: (region, limit) =>
        answer(edge.conflicts.filter(({ values }) => region === null || Object.hasOwn(values, region)).slice(0, limit)),
      health: () => answer({ serving: true, detail: 'answered 200' }),
      operation: () => change('operation'),
      start: () => change('start'),
      snapshot: () => change('snapshot'),
      setCanary: () => change('setCanary'),
    },
  }
  return edge
}

export const fakeTraffic = (): TrafficSwitch => ({
  kind: 'edge',
  settlesWithin: 60_000,
  read: async () => ({ receiving: { A: true, B: true } }),
  move: () => Promise.reject(new ClawError('internal', 'a command moved traffic itself')),
  restore: () => Promise.reject(new ClawError('internal', 'a command moved traffic itself')),
})

export function fakeCluster(more: Partial<Cluster> = {}): Cluster {
  const change = () => Promise.reject(new ClawError('internal', 'a command changed the cluster itself'))
  return {
    parts: { rollout: true, configMap: true, scales: ['A'] },
    canary: async () => [],
    abortRollout: change,
    setWeight: change,
    undoRollout: change,
    scale: change,
    held: change,
    ...more,
  }
}

export type EdgeRig = Rig & {
  edge: FakeEdge
  /** `say`, confirmed */
  sure(text: string, more?: Partial<CommandRequest> & { as?: string }): Promise<Reply>
  run(id: number): Promise<WorkflowRun>
  /** ends a run as its workflow would */
  end(id: number, outcome: Outcome | 'cancelled'): Promise<void>
}

/** The rig of commands with an edge of two regions, and incident 1 open in A. */
export async function createEdgeRig(t: { after(done: () => Promise<void>): void }, yaml?: string): Promise<EdgeRig> {
  const rig = await createRig(t, yaml)
  const edge = fakeEdge()
  rig.outside.edge = edge.admin
  rig.outside.traffic = fakeTraffic()
  await rig.world.send(firing())
  const run = async (id: number) => {
    const found = await rig.store.workflow(id)
    if (!found) throw new Error(`there is no operation o${id}`)
    return found
  }
  return {
    ...rig,
    edge,
    sure: (text, more) => rig.say(text, { confirmed: true, ...more }),
    run,
    async end(id, outcome) {
      const now = rig.world.now()
      const over: Partial<WorkflowRun> =
        outcome === 'cancelled'
          ? { state: 'cancelled', outcome: 'It was stopped.' }
          : { state: outcome.state, outcome: outcome.summary, data: outcome.data ?? null }
      const before = await run(id)
      await rig.store.write(async (tx) => {
        const fence = await tx.claimWorkflow(id, 'test', now, now + 1000, true)
        if (fence === null || !(await tx.saveWorkflow({ ...before, ...over, endedAt: now }, fence, true))) {
          throw new Error(`o${id} cannot be ended`)
        }
      })
    },
  }
}
