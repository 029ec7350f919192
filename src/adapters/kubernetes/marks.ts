import { z } from 'zod'

/** What a change leaves in `ClusterChange.after`, for telling later whether it still stands. Kept by workflows: only add. */
const abort = z.object({
  kind: z.literal('abort'),
  /** pod template hash of the aborted version */
  canary: z.string(),
  stable: z.string(),
})

const template = z.object({
  kind: z.literal('template'),
  /** SHA-256 of the pod template, sorted, without the controller's hash label */
  digest: z.string(),
  version: z.string(),
})

/** percent */
const weight = z.object({ kind: z.literal('weight'), weight: z.number() })

const replicas = z.object({ kind: z.literal('replicas'), replicas: z.number() })

const job = z.object({ kind: z.literal('job'), replicas: z.number() })

export const mark = z.discriminatedUnion('kind', [abort, template, weight, replicas, job])

export type AbortMark = z.infer<typeof abort>
export type TemplateMark = z.infer<typeof template>
export type WeightMark = z.infer<typeof weight>
export type ReplicasMark = z.infer<typeof replicas>
export type JobMark = z.infer<typeof job>
