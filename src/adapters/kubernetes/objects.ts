import { z } from 'zod'
import { ClawError } from '../../core/errors.ts'
import type { Target } from './api.ts'
import { nameOf } from './api.ts'

// The fields that Claw reads, of objects that have many more; everything else passes through untouched.

const texts = z
  .record(z.string(), z.string())
  .nullish()
  .transform((value) => value ?? {})

export const metadata = z.object({
  name: z.string(),
  namespace: z.string().nullish(),
  uid: z.string().nullish(),
  resourceVersion: z.string(),
  generation: z.number().nullish(),
  labels: texts,
  annotations: texts,
  ownerReferences: z
    .array(z.object({ kind: z.string(), uid: z.string(), controller: z.boolean().nullish() }))
    .nullish()
    .transform((value) => value ?? []),
})

export type Metadata = z.infer<typeof metadata>

export const configMap = z.object({ metadata, data: texts, immutable: z.boolean().nullish() })

const template = z.looseObject({})

export const replicaSet = z.object({ metadata, spec: z.object({ template }) })

export type ReplicaSet = z.infer<typeof replicaSet>

/** Rollout or Deployment; the template of a Rollout that refers to a Deployment is empty. */
export const templated = z.object({ metadata, spec: z.object({ template: template.nullish() }) })

/** Deployment, StatefulSet, Rollout; one replica is the default of all three. */
export const scalable = z.object({
  metadata,
  spec: z.object({
    replicas: z
      .number()
      .nullish()
      .transform((count) => count ?? 1),
  }),
})

export const cronJob = z.object({
  metadata,
  spec: z.object({
    jobTemplate: z.object({
      metadata: z.object({ labels: texts, annotations: texts }).nullish(),
      spec: z.looseObject({}),
    }),
  }),
})

export const job = z.object({
  metadata,
  status: z.object({ conditions: z.array(z.object({ type: z.string(), status: z.string() })).nullish() }).nullish(),
})

/** Argo Rollouts, `pkg/apis/rollouts/v1alpha1/types.go`. */
export const rollout = z.object({
  metadata,
  spec: z.object({
    selector: z.object({ matchLabels: texts }).nullish(),
    template: template.nullish(),
    workloadRef: z.object({ kind: z.string(), name: z.string() }).nullish(),
    strategy: z
      .object({
        canary: z
          .object({
            steps: z.array(z.looseObject({ setWeight: z.number().nullish() })).nullish(),
            trafficRouting: z.object({ maxTrafficWeight: z.number().nullish() }).nullish(),
          })
          .nullish(),
      })
      .nullish(),
  }),
  status: z
    .object({
      abort: z.boolean().nullish(),
      phase: z.string().nullish(),
      currentPodHash: z.string().nullish(),
      stableRS: z.string().nullish(),
      observedGeneration: z.string().nullish(),
      workloadObservedGeneration: z.string().nullish(),
      currentStepIndex: z.number().nullish(),
      canary: z.object({ weights: z.object({ canary: z.object({ weight: z.number() }) }).nullish() }).nullish(),
    })
    .nullish()
    .transform((value) => value ?? {}),
})

export type Rollout = z.infer<typeof rollout>

/** Argo CD, `pkg/apis/application/v1alpha1/types.go`. */
export const application = z.object({
  metadata,
  spec: z.object({
    syncPolicy: z
      .object({
        automated: z.object({ enabled: z.boolean().nullish(), selfHeal: z.boolean().nullish() }).nullish(),
      })
      .nullish(),
  }),
  status: z
    .object({
      resources: z
        .array(
          z.object({
            group: z.string().nullish(),
            kind: z.string().nullish(),
            namespace: z.string().nullish(),
            name: z.string().nullish(),
          }),
        )
        .nullish(),
    })
    .nullish(),
})

/** @throws ClawError('invalid') that names the field which is not as documented */
export function read<T extends z.ZodType>(schema: T, object: unknown, target: Target): z.output<T> {
  const parsed = schema.safeParse(object)
  if (parsed.success) return parsed.data
  const field = parsed.error.issues[0]?.path.join('.') ?? ''
  throw new ClawError('invalid', `Kubernetes: ${nameOf(target)} is not as expected at ${field || 'its root'}`)
}
