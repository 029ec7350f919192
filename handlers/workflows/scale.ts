import { z } from 'zod'
import { INPUTS } from '../../src/core/acts.ts'
import { SECOND } from '../../src/core/clock.ts'
import type { ClusterChange } from '../../src/core/edge.ts'
import { ClawError, messageOf } from '../../src/core/errors.ts'
import type { Flow, Outcome } from '../../src/core/workflow.ts'
import { defineWorkflow } from './define.ts'
import { change, clusterOf, didNotHold, edgeOf, isStop, json, OPERATION_TIMEOUT, sentence, timeOfDay } from './parts.ts'

type Input = { region: string; replicas: number; lasts: number }

/** What the cluster's adapter notes of the object before it changed it. */
const mark = z.object({ replicas: z.int().min(0) })

/** Scales a region out, with an end: through the cluster where that is configured for the region, else through the edge. */
export const scale = defineWorkflow({
  kind: 'scale',
  input: INPUTS.scale,
  async run(flow, input) {
    const { cluster, edge } = flow.services
    if (cluster?.parts.scales.includes(input.region)) return await onCluster(flow, input)
    if (edge) return await onEdge(flow, input)
    throw new ClawError(
      'invalid',
      `Nothing is configured that scales ${input.region}: set edge.url or kubernetes.scale.`,
    )
  },
})

async function onEdge(flow: Flow, { region, replicas, lasts }: Input): Promise<Outcome> {
  const ttlSeconds = Math.max(1, Math.round(lasts / SECOND))
  const by = { by: flow.by, incident: flow.incident }
  await flow.operation('scale', OPERATION_TIMEOUT, ({ key, signal }) =>
    edgeOf(flow.services).start({ kind: 'scale', region, replicas, ttlSeconds, ...by }, key, signal),
  )
  const until = await flow.step('scaled', {}, async ({ now }) => now + ttlSeconds * SECOND)
  return {
    state: 'succeeded',
    summary: `${region} has ${replicas} replicas until ${timeOfDay(until)}; the edge scales it in again by itself.`,
    data: { until },
  }
}

async function onCluster(flow: Flow, { region, replicas, lasts }: Input): Promise<Outcome> {
  const looked = await flow.step('replicas before', {}, async ({ signal }) => {
    const regions = flow.services.edge ? await flow.services.edge.regions(signal) : []
    return regions.find((one) => one.region === region)?.replicas ?? null
  })
  const { change: made, lost: unsaid } = await change(flow, 'scale out', (cluster, { key, signal }) =>
    cluster.scale(region, replicas, key, signal),
  )
  const before = mark.safeParse(made?.before)
  const own = before.success ? before.data.replicas : unsaid ? looked : null
  if (own === null || own === replicas) {
    // A Job ends by itself.
    const summary = made ? sentence(made.done) : `${region} has ${replicas} replicas already; nothing was changed.`
    return { state: 'succeeded', summary, data: json({ change: made }) }
  }
  let why: string | null = null
  try {
    const lost = made ? await didNotHold(flow, 'scale out', made) : null
    if (lost !== null) {
      const summary = `${region} was scaled out, but that did not last: ${sentence(lost)}`
      return { state: 'failed', summary, data: json({ change: made }) }
    }
    await flow.wait('until it scales in', lasts)
  } catch (error) {
    if (!isStop(error)) throw error
    why = messageOf(error)
  }
  return await flow.compensate(() => scaleIn(flow, region, own, made, why))
}

/** Back to what it had, unless somebody else has changed it meanwhile. `why`: who ended it early; null when its time was over. */
async function scaleIn(
  flow: Flow,
  region: string,
  own: number,
  made: ClusterChange | null,
  why: string | null,
): Promise<Outcome> {
  const state = why === null ? 'succeeded' : 'failed'
  const early = why === null ? '' : `${why} `
  try {
    const still = made
      ? await flow.step('is it still scaled out', {}, ({ signal }) => clusterOf(flow.services).held(made, signal))
      : null
    if (still?.held === false) {
      const summary = `${early}${region} was not scaled in: somebody has changed it since. ${sentence(still.detail)}`
      return { state, summary, data: json({ change: made }) }
    }
    await flow.step('scale in', {}, ({ key, signal }) => clusterOf(flow.services).scale(region, own, key, signal))
  } catch (error) {
    const problem = sentence(messageOf(error))
    await flow.alarm(
      'scale in failed',
      `${region} could not be scaled in to ${own} replicas: ${problem} Do it by hand.`,
    )
    return {
      state: 'failed',
      summary: `${early}${region} is still scaled out: ${problem}`,
      data: json({ change: made }),
    }
  }
  return { state, summary: `${early}${region} was scaled in again, to ${own} replicas.`, data: json({ change: made }) }
}
