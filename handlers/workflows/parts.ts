import { MINUTE, SECOND } from '../../src/core/clock.ts'
import type { Json } from '../../src/core/delivery.ts'
import type { Cluster, ClusterChange, EdgeAdmin, EdgeRegion, TrafficSwitch } from '../../src/core/edge.ts'
import { ClawError } from '../../src/core/errors.ts'
import type { Flow, StepContext, WorkflowServices } from '../../src/core/workflow.ts'

// What several workflows share. Step names are part of what is stored: change none.

/** Operations of the edge take seconds; one that is not over by then is not waited for. */
export const OPERATION_TIMEOUT = 5 * MINUTE
/** Argo CD heals a patch away 5 s after it saw it (its `--self-heal-timeout-seconds`, default 5): looked at after twice that. */
export const HEALS_WITHIN = 10 * SECOND

/** @throws ClawError('invalid') when no edge is configured */
export function edgeOf(services: WorkflowServices): EdgeAdmin {
  if (services.edge) return services.edge
  throw new ClawError('invalid', 'No edge is configured: set edge.url and edge.token.')
}

/** @throws ClawError('invalid') when nothing that switches traffic is configured */
export function trafficOf(services: WorkflowServices): TrafficSwitch {
  if (services.traffic) return services.traffic
  throw new ClawError('invalid', 'Nothing is configured that switches traffic: set edge.url or failover.traffic.')
}

/** Whether a step did not begin because somebody stopped the operation: that is passed on, whatever else may fail. */
export function isStop(error: unknown): boolean {
  return error instanceof ClawError && error.code === 'conflict' && error.message.startsWith('Stopped by ')
}

/** What may fail without harm to the rest. @returns why it failed; null when it did not. @throws when the operation was stopped */
export async function tryTo(work: () => Promise<unknown>): Promise<string | null> {
  try {
    await work()
    return null
  } catch (error) {
    if (!(error instanceof ClawError) || isStop(error)) throw error
    return error.message
  }
}

/** The regions that are meant: those named, or all that the edge has. A step where it must ask. */
export async function regionsMeant(flow: Flow, named: readonly string[]): Promise<string[]> {
  if (named.length > 0) return [...named]
  return await flow.step('regions', {}, async ({ signal }) => {
    const regions = await edgeOf(flow.services).regions(signal)
    if (regions.length === 0) throw new ClawError('conflict', 'The edge names no region.')
    return regions.map(({ region }) => region)
  })
}

/** Takes the edge's snapshot before it is changed. @returns its id; null when this edge takes none (contract.md, section 5) */
export async function takeSnapshot(flow: Flow, regions: readonly string[]): Promise<string | null> {
  return await flow.step(
    'snapshot',
    {
      say: (id: string | null) =>
        id === null ? 'This edge takes no snapshots; going on without one.' : `Snapshot ${id} taken.`,
    },
    ({ key, signal }) => edgeOf(flow.services).snapshot(regions, flow.by, flow.incident, key, signal),
  )
}

/** One region as the edge says now. @throws ClawError('not_found') when it has none of this name */
export function regionIn(regions: readonly EdgeRegion[], name: string): EdgeRegion {
  const found = regions.find(({ region }) => region === name)
  if (found) return found
  throw new ClawError('not_found', `The edge has no region ${name}.`)
}

/** Waits for an operation of the edge that a step started; null: nothing to wait for. @throws as `Flow.operation` */
export async function follow(flow: Flow, name: string, id: string | null): Promise<void> {
  if (id === null) return
  const what = `Operation ${id} of the edge did not end`
  const ended = await flow.poll(name, { timeout: OPERATION_TIMEOUT, what }, async ({ signal }) => {
    const said = await edgeOf(flow.services).operation(id, signal)
    return said.state === 'running' ? null : said
  })
  if (ended.state === 'failed') throw new ClawError('conflict', `The edge could not do it: ${ended.detail}`)
}

/** @throws ClawError('invalid') when no cluster is configured (any more) */
export function clusterOf(services: WorkflowServices): Cluster {
  if (services.cluster) return services.cluster
  throw new ClawError('invalid', 'No Kubernetes cluster is configured: set kubernetes.')
}

/** A change on the cluster; `lost`: an earlier attempt made it, and its answer did not come, so what it was is not known. */
export type Made = { change: ClusterChange | null; lost: boolean }

/** Changes the cluster in a step, once: a change that is there already at a later attempt was made by an earlier one. */
export async function change(
  flow: Flow,
  name: string,
  work: (cluster: Cluster, step: StepContext) => Promise<ClusterChange | null>,
): Promise<Made> {
  return await flow.step(name, { say: saidOf }, async (step) => {
    const made = await work(clusterOf(flow.services), step)
    return { change: made, lost: made === null && step.attempt > 1 }
  })
}

function saidOf({ change: made, lost }: Made): string | null {
  if (made) return sentence(made.done)
  return lost ? 'The cluster is as it should be; the answer to the change was lost.' : null
}

/**
 * Whether a change on the cluster lasts: looked at once, and where Argo CD owns the object after the time that it takes to heal
 * the change away. @returns why not; null when it held
 */
export async function didNotHold(flow: Flow, name: string, change: ClusterChange): Promise<string | null> {
  if (change.owner !== null) await flow.wait(`${name}: time for Argo CD`, HEALS_WITHIN)
  const { held, detail } = await flow.step(`${name}: did it hold`, {}, ({ signal }) =>
    clusterOf(flow.services).held(change, signal),
  )
  if (held) return null
  return change.owner === null ? detail : `${detail} (Argo CD application ${change.owner} owns ${change.object})`
}

/** `14:05 UTC` of a time in ms. */
export function timeOfDay(at: number): string {
  return `${new Date(at).toISOString().slice(11, 16)} UTC`
}

/** `12 %`; `unknown` for null. */
export function percent(ratio: number | null): string {
  return ratio === null ? 'unknown' : `${Math.round(ratio * 100)} %`
}

/** `1 key`, `2 keys`. */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`
}

/** `1 key diverges`, `2 keys diverge`: the verb's plural is given. */
export function doing(n: number, noun: string, verb: string): string {
  return `${count(n, noun)} ${verb}${n === 1 ? 's' : ''}`
}

/** A sentence ends once. */
export function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`
}

/** For `Outcome.data`, which is JSON. */
export const json = (value: unknown): Json => JSON.parse(JSON.stringify(value)) as Json
