import { INPUTS } from '../../src/core/acts.ts'
import { SECOND } from '../../src/core/clock.ts'
import type { ClusterChange } from '../../src/core/edge.ts'
import { ClawError } from '../../src/core/errors.ts'
import type { Flow } from '../../src/core/workflow.ts'
import { defineWorkflow } from './define.ts'
import { change, didNotHold, edgeOf, HEALS_WITHIN, json, type Made, sentence, tryTo } from './parts.ts'

/** The edge reloads the ConfigMap within 30 s (system.md, section 1); twice that. */
const WEIGHT_WITHIN = 60 * SECOND

const NOTHING_CONFIGURED =
  'Nothing is configured that aborts a canary: set kubernetes.rollout, kubernetes.config_map or edge.url.'

/** Takes the canary out of the traffic by every way that is configured, at once: one that fails does not hold up the next. */
export const canaryAbort = defineWorkflow({
  kind: 'canary abort',
  input: INPUTS['canary abort'],
  async run(flow) {
    const { cluster, edge } = flow.services
    const changes: ClusterChange[] = []
    const problems: string[] = []
    let unsaid = false
    const attempt = async (part: string, work: () => Promise<void>) => {
      const why = await tryTo(work)
      if (why !== null) problems.push(`${part}: ${sentence(why)}`)
    }
    if (!edge && !cluster?.parts.rollout && !cluster?.parts.configMap)
      throw new ClawError('invalid', NOTHING_CONFIGURED)
    // The edge's own call works at once, so it comes first.
    if (edge) {
      await attempt('Edge', async () => {
        await flow.step('weight at the edge', { say: (text: string) => text }, async ({ key, signal }) => {
          try {
            await edgeOf(flow.services).setCanary(0, flow.by, key, signal)
            return 'The edge gives the canary no traffic any more.'
          } catch (error) {
            if (!(error instanceof ClawError && error.code === 'not_found') || !cluster) throw error
            return 'This edge has no canary call of its own; the cluster decides.'
          }
        })
      })
    }
    const note = ({ change: made, lost }: Made) => {
      if (made) changes.push(made)
      unsaid ||= lost
    }
    if (cluster?.parts.configMap) {
      await attempt('ConfigMap', async () =>
        note(await change(flow, 'weight in the ConfigMap', (there, { signal }) => there.setWeight(0, signal))),
      )
    }
    if (cluster?.parts.rollout) {
      await attempt('Rollout', async () =>
        note(await change(flow, 'abort the rollout', (there, { signal }) => there.abortRollout(signal))),
      )
    }
    // Who owns the object was lost as well.
    if (unsaid) await flow.wait('time for Argo CD', HEALS_WITHIN)
    await attempt('Weight', () => seenAtZero(flow))
    for (const made of changes) {
      await attempt(made.object, async () => {
        const lost = await didNotHold(flow, made.object, made)
        if (lost !== null) throw new ClawError('conflict', lost)
      })
    }
    const advice = [...new Set(changes.flatMap(({ advice: one }) => (one === null ? [] : [sentence(one)])))]
    const data = json({ changes, problems })
    if (problems.length > 0) {
      return { state: 'failed', summary: ['The canary is not safely out.', ...problems, ...advice].join(' '), data }
    }
    return { state: 'succeeded', summary: ['The canary gets no traffic any more.', ...advice].join(' '), data }
  },
})

/** Waits until edge and cluster both say that the canary has no weight; a part that says nothing of it is not waited for. */
async function seenAtZero(flow: Flow): Promise<void> {
  await flow.poll(
    'no weight is left',
    { timeout: WEIGHT_WITHIN, what: 'The weight of the canary did not come down to 0' },
    async ({ signal }) => {
      const { edge, cluster } = flow.services
      const regions = edge ? await edge.regions(signal) : []
      const parts = cluster ? await cluster.canary(signal) : []
      return [...regions.map(({ canaryWeight }) => canaryWeight), ...parts.map(({ weight }) => weight)].every(
        (weight) => !weight,
      )
        ? true
        : null
    },
  )
}
