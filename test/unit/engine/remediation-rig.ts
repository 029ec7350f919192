import type { TestContext } from 'node:test'
import { SECOND } from '../../../src/core/clock.ts'
import type { Json } from '../../../src/core/delivery.ts'
import type { EdgeConflict, EdgeRegion } from '../../../src/core/edge.ts'
import { ClawError } from '../../../src/core/errors.ts'
import type { WorkflowRun } from '../../../src/core/workflow.ts'
import { createRemediation, type Noted } from '../../../src/engine/remediation.ts'
import { createWorld, PLATFORMS, silent } from '../../support/engine.ts'
import { policyOf } from '../../support/policy.ts'

/** What the edge says of a region where all is well. */
export const WELL: EdgeRegion = {
  region: 'A',
  healthy: true,
  receiving: true,
  bucket: { capacity: 1000, available: 900, ratio: 0.9 },
  syncLagSeconds: 0.1,
  conflictsPerMinute: 0,
  p95LatencySeconds: 0.05,
  errorRatio: 0,
  canaryWeight: 10,
  version: '1.9.0',
  requestRate: 100,
  refusedRatio: 0,
  refillRate: 200,
  ratingScore: 0.95,
  jitterSeconds: 0.01,
  replicas: 3,
  nodes: null,
}

export const RECEIVERS = `${PLATFORMS}
receivers:
  - { name: default, slack: { channel: ALL } }
  - { name: leads, slack: { channel: LEADS } }
route: { receiver: default }
automation: { leads: leads }
`

/** A policy that resets an empty bucket, with what a test changes. */
export const resetting = (more = 'mode: automatic'): string => `
remediation:
  - name: reset
    when: { class: exhaustion, below: 0.10, for: 1m }
    action: reset
    cool_down: 5m
    budget: { max: 2, per: 1h }
    verify: { after: 30s }
    ${more}
`

/** The engine with a policy, a made-up edge and operations that the test ends. */
export async function createRig(t: TestContext, remediation: string, receivers = RECEIVERS) {
  const yaml = { text: receivers + remediation }
  const world = await createWorld(t, yaml.text)
  const edge = {
    regions: new Map<string, EdgeRegion>(),
    conflicts: [] as EdgeConflict[],
    down: false,
    asked: 0,
    configured: true,
  }
  const actions: string[] = []
  const woken = { workflows: 0 }
  const query: { answer: number | null } = { answer: null }
  const refuse = () => {
    if (edge.down) throw new ClawError('unavailable', 'Edge: no answer')
  }
  const make = (onDecision: (one: Noted) => void = () => {}) =>
    createRemediation({
      store: world.store,
      policy: () => policyOf(yaml.text),
      services: () => ({
        edge: edge.configured
          ? {
              async regions() {
                edge.asked += 1
                refuse()
                return [...edge.regions.values()]
              },
              async conflicts() {
                refuse()
                return edge.conflicts
              },
            }
          : null,
        cluster: null,
        query: async () => query.answer,
        settings: policyOf(yaml.text).actions,
      }),
      clock: world.now,
      log: silent,
      onStored: () => {},
      wakeWorkflows: () => {
        woken.workflows += 1
      },
      onAction: (kind, outcome) => actions.push(`${kind} ${outcome}`),
      onDecision,
    })
  const rig = {
    world,
    edge,
    actions,
    woken,
    query,
    make,
    remediation: make(),
    /** another process on the same store: it remembers nothing */
    restart() {
      rig.remediation = make()
    },
    reload(text: string) {
      yaml.text = receivers + text
      world.reload(yaml.text)
    },
    /** sets what the edge says of a region */
    says(region: string, figures: Partial<EdgeRegion> & { ratio?: number } = {}) {
      const { ratio, ...rest } = figures
      const bucket = ratio === undefined ? {} : { bucket: { capacity: 1000, available: 1000 * ratio, ratio } }
      edge.regions.set(region, { ...(edge.regions.get(region) ?? WELL), region, ...bucket, ...rest })
    },
    /** time passes in steps of two seconds, as it does for Claw */
    async pass(ms: number) {
      for (let passed = 0; passed < ms; passed += 2 * SECOND) {
        world.wait(2 * SECOND)
        await rig.remediation.tick()
      }
    },
    runs: async (): Promise<WorkflowRun[]> => (await world.store.workflows({ limit: 100 })).reverse(),
    running: async () => (await rig.runs()).filter((run) => run.state === 'running'),
    rows: async () => (await world.store.remediations({ limit: 100 })).reverse(),
    /** texts of the story's lines of one kind */
    said: async (kind: string, id = 1) =>
      (await world.store.story(id, 999)).filter((line) => line.kind === kind).map((line) => line.text),
    /** an operation ends, as the runner stores it */
    async end(id: number, state: WorkflowRun['state'] = 'succeeded', data: Json = null) {
      await world.store.write(async (tx) => {
        const fence = await tx.claimWorkflow(id, 'test', world.now(), world.now() + 1000, true)
        const run = await tx.workflow(id)
        if (fence === null || !run) throw new Error(`o${id} does not run`)
        await tx.saveWorkflow({ ...run, state, data, endedAt: world.now(), outcome: state }, fence, true)
      })
    },
    why: (region = 'A', policy?: string) =>
      rig.remediation
        .decisions()
        .find((one) => one.region === region && (policy === undefined || one.policy === policy)),
    switch: (state: 'on' | 'off') =>
      world.store.write((tx) => tx.setMeta('automation', JSON.stringify({ state, by: 'Dana', at: world.now() }))),
  }
  return rig
}
export type Rig = Awaited<ReturnType<typeof createRig>>
