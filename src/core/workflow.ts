import type { ZodType } from 'zod'
import type { CommandRequest, Platform } from './command.ts'
import type { Json } from './delivery.ts'
import type { Cluster, EdgeAdmin, EdgeOperation, TrafficSwitch } from './edge.ts'
import type { ErrorCode } from './errors.ts'

/** One named step of a run, as stored. Times are milliseconds since the epoch. */
export type StepRecord = {
  name: string
  /** `running`: begun, outcome not known (also after a crash); it is begun again under the same key */
  state: 'running' | 'done' | 'failed'
  attempts: number
  startedAt: number
  endedAt: number | null
  result: Json
  error: { code: ErrorCode; message: string } | null
}

/** A workflow under way or over: one row, one JSON document. Shown to people as `o<id>`. */
export type WorkflowRun = {
  id: number
  /** `reconcile`, `reset`, `capacity`, `scale`, `failover`, `rollback`, `revert`, `canary abort` */
  kind: string
  input: Json
  /** `Reconcile A and B`: what it does, for lists and the thread */
  title: string
  /** regions that it acts on; two runs of one kind never act on one region at once, and a failover is alone on both of its */
  regions: string[]
  /** incident that hears of it; null for none */
  incident: number | null
  /** a person's name, or `policy:NAME` */
  by: string
  via: Platform
  /** where progress goes when there is no incident */
  replyTo: CommandRequest['replyTo']
  state: 'running' | 'succeeded' | 'failed' | 'cancelled'
  steps: StepRecord[]
  dueAt: number
  /** asked to stop: no new step begins, what was done is undone where the workflow can */
  cancelledBy: string | null
  startedAt: number
  endedAt: number | null
  /** one sentence, once it is over */
  outcome: string | null
  /** what a later command may need, e.g. the snapshot; from Outcome.data */
  data: Json
  /** `traceparent` of what started it, which its steps go on; absent where nothing is traced */
  trace?: string
}

export type NewRun = Pick<
  WorkflowRun,
  'kind' | 'input' | 'title' | 'regions' | 'incident' | 'by' | 'via' | 'replyTo' | 'trace'
>

/** `o9` */
export const runName = (id: number): string => `o${id}`

/** How a run ended. `failed` is a result too: what had to be undone is undone, and people know. */
export type Outcome = {
  state: 'succeeded' | 'failed'
  /** one sentence: what is so now, and what to do next */
  summary: string
  data?: Json
}

export type StepContext = {
  /** the edge's Idempotency-Key: the same for every attempt of this step, after a crash as well */
  key: string
  /** from 1 */
  attempt: number
  signal: AbortSignal
  now: number
}

export type StepOptions<T> = {
  /** of one attempt, ms; default 10 000 */
  timeout?: number
  /** attempts before it counts as failed, with back-off 0.5 s … 15 s; default 6; errors that are no `unavailable` or `timeout` fail at once */
  attempts?: number
  /** told in the incident's thread when it is done, in the same transaction; null for nothing */
  say?: (result: T) => string | null
}

export type PollOptions<T> = {
  /** ms between looks; default 1 000 */
  every?: number
  /** ms after which it fails with ClawError('timeout') */
  timeout: number
  /** what did not happen, for that error: `The operation op_1 did not end` */
  what: string
  say?: (result: T) => string | null
}

/**
 * What a workflow is given. `run` is executed again from its beginning after every wait, failure or crash; steps that are
 * done give their stored result at once. Hence: everything that reaches outside or depends on time stands in a step, and
 * step names are unique within a run.
 */
export type Flow = {
  readonly id: number
  /** `o9` */
  readonly name: string
  readonly by: string
  /** the incident's id in digits, for the edge; null for none */
  readonly incident: string | null
  readonly startedAt: number
  readonly services: WorkflowServices
  /**
   * Runs `work` until it succeeds once; its result (JSON) is stored.
   * @throws ClawError when it failed for good, or the run was cancelled before it began
   */
  step<T extends Json>(name: string, options: StepOptions<T>, work: (step: StepContext) => Promise<T>): Promise<T>
  /** Looks again and again until `look` gives something else than null. @throws ClawError('timeout') */
  poll<T extends Json>(
    name: string,
    options: PollOptions<T>,
    look: (step: StepContext) => Promise<T | null>,
  ): Promise<T>
  /** Starts something long on the edge and waits for its end. @throws ClawError('conflict') when the edge says it failed */
  operation(name: string, timeout: number, start: (step: StepContext) => Promise<string>): Promise<EdgeOperation>
  /** Lets time pass, over restarts. */
  wait(name: string, ms: number): Promise<void>
  /** A line in the thread (or where it was asked); `push` notifies people. Once. */
  tell(name: string, text: string, push?: boolean): Promise<void>
  /** Wakes somebody: a page of its own in the incident, or an incident of its own where there is none. Once. */
  alarm(name: string, text: string): Promise<void>
  /** Steps begun inside run although the run was cancelled or failed: for undoing. */
  compensate<T>(work: () => Promise<T>): Promise<T>
}

/** One durable workflow: `handlers/workflows` has one file for each. */
export type Workflow<I = unknown> = {
  kind: string
  input: ZodType<I>
  run(flow: Flow, input: I): Promise<Outcome>
}

/** The outside as workflows reach it; null where it is not configured. */
export type WorkflowServices = {
  edge: EdgeAdmin | null
  traffic: TrafficSwitch | null
  cluster: Cluster | null
  /** value of an instant query's first sample, null when it has none; throws as EdgeAdmin does; null when not configured */
  query: ((expression: string, signal: AbortSignal) => Promise<number | null>) | null
  /** a synthetic load test on a region; null when not configured */
  load: ((region: string, signal: AbortSignal) => Promise<{ passed: boolean; detail: string }>) | null
  settings: ActionSettings
}

/** Figures of the runbook, from the configuration; durations in ms, ratios 0..1. */
export type ActionSettings = {
  /** metric of the bucket's level, for Prometheus */
  bucketMetric: string
  failover: {
    propagationWait: number
    soak: number
    /** `openclaw_token_bucket_available` must be above this in the target (system.md, section 3: 0.80) */
    minBucket: number
    /** refill rate of what is left, over the offered rate it must carry; below 1 + headroom is refused */
    headroom: number
  }
  reconcile: { policy: 'highest-capacity' | 'lowest-available' | 'reset-and-reseed'; settle: number }
  /** after a revert: capacity for a while; factor 1 for none */
  revert: { capacityFactor: number; capacityFor: number; watch: number }
  scale: { standby: string | null; replicas: number; lasts: number }
}
