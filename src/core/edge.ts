import type { Json } from './delivery.ts'

/** One region as the edge reports it; null for what it left out. Units are in the names, ratios are 0..1. */
export type EdgeRegion = {
  region: string
  healthy: boolean | null
  receiving: boolean | null
  bucket: { capacity: number | null; available: number | null; ratio: number } | null
  syncLagSeconds: number | null
  conflictsPerMinute: number | null
  p95LatencySeconds: number | null
  errorRatio: number | null
  canaryWeight: number | null
  version: string | null
  /** requests a second */
  requestRate: number | null
  refusedRatio: number | null
  /** tokens a second */
  refillRate: number | null
  /** 0..1, of the canary; optional, not in every edge */
  ratingScore: number | null
  jitterSeconds: number | null
  replicas: number | null
  nodes: unknown[] | null
}

export type EdgeRegions = { ok: true; regions: EdgeRegion[] } | { ok: false; reason: string }

/** A key whose copies differ. `values`: tokens by region; `since`: ms since the epoch, null when the edge does not say. */
export type EdgeConflict = { key: string; values: Readonly<Record<string, number>>; since: number | null }

export const RECONCILE_POLICIES = ['highest-capacity', 'lowest-available', 'reset-and-reseed'] as const
export type ReconcilePolicy = (typeof RECONCILE_POLICIES)[number]

/** Long work of the edge (contract.md, section 5). `incident` is the incident's id in digits, or null. */
export type EdgeAct = { by: string; incident: string | null } & (
  | { kind: 'reconcile'; regions: readonly string[]; policy: ReconcilePolicy }
  | { kind: 'reset'; region: string }
  | { kind: 'capacity'; region: string; factor: number; ttlSeconds: number }
  | { kind: 'scale'; region: string; replicas: number; ttlSeconds: number }
  | { kind: 'revert'; region: string }
  | { kind: 'failover'; from: string; to: string }
)

export type EdgeOperation = {
  id: string
  kind: string
  state: 'running' | 'succeeded' | 'failed'
  /** 0..1; null when the edge does not say */
  progress: number | null
  detail: string
  /** by the edge's own clock, ms since the epoch; null while it runs, or when the edge does not say */
  endedAt: number | null
}

/**
 * What Claw may do on the edge. Every call throws ClawError: `unavailable` or `timeout` may be tried again with the same
 * key, anything else is the edge's last word. Texts hold no address and no token.
 */
export type EdgeAdmin = {
  /** Fresh, not from a cache. */
  regions(signal: AbortSignal): Promise<EdgeRegion[]>
  /** Up to `limit` diverged keys; of all regions when `region` is null. */
  conflicts(region: string | null, limit: number, signal: AbortSignal): Promise<EdgeConflict[]>
  /** @returns the id of the operation; `key` is the Idempotency-Key */
  start(act: EdgeAct, key: string, signal: AbortSignal): Promise<string>
  operation(id: string, signal: AbortSignal): Promise<EdgeOperation>
  /** @returns the snapshot's id; null when this edge takes none (404) */
  snapshot(
    regions: readonly string[],
    by: string,
    incident: string | null,
    key: string,
    signal: AbortSignal,
  ): Promise<string | null>
  /** `weight` in percent 0..100, as the edge counts it */
  setCanary(weight: number, by: string, key: string, signal: AbortSignal): Promise<void>
  /** `GET /health?region=`; of the whole edge when null */
  health(region: string | null, signal: AbortSignal): Promise<{ serving: boolean; detail: string }>
}

/** Who sends clients to regions, behind one port: the edge itself, Cloudflare, Route 53. Throws as EdgeAdmin does. */
export type TrafficSwitch = {
  readonly kind: 'edge' | 'cloudflare' | 'route53'
  /** How long clients may keep what they know, in ms (TTL; 60 s by default, 300 s where Cloudflare proxies the record). */
  readonly settlesWithin: number
  /** What stands now, to compare with and to put back. */
  read(signal: AbortSignal): Promise<Json>
  /**
   * Sends the clients of `from` to `to`. Compare-and-set: changes only what still is as `expected` (what `read` gave);
   * doing it twice is harmless.
   * @returns the edge's operation to wait for, or null when it is done
   * @throws ClawError('conflict') when somebody else changed it meanwhile
   */
  move(change: TrafficChange, signal: AbortSignal): Promise<string | null>
  /** Puts back what `expected` says, where it still is as `move` left it. Same result and errors as `move`. */
  restore(change: TrafficChange, signal: AbortSignal): Promise<string | null>
}

export type TrafficChange = {
  from: string
  to: string
  expected: Json
  key: string
  by: string
  incident: string | null
}

/** What a change on the cluster did. JSON, so that a workflow can keep it. */
export type ClusterChange = {
  /** e.g. `Rollout edge/rating-api` */
  object: string
  /** one sentence */
  done: string
  before: Json
  after: Json
  /** Argo CD application that owns the object: it may undo the change; null when none */
  owner: string | null
  /** what a person should do so that it lasts; null when nothing */
  advice: string | null
}

export type CanaryPart = {
  part: 'rollout' | 'configmap'
  object: string
  /** percent 0..100 */
  weight: number | null
  /** as Argo Rollouts says it: Healthy, Progressing, Paused, Degraded …; null for the ConfigMap */
  phase: string | null
  stable: string | null
  canary: string | null
  aborted: boolean
  owner: string | null
}

/**
 * The Kubernetes cluster that the edge runs on. Each part is optional: what is not configured is null. Throws as EdgeAdmin
 * does; a conflict of resourceVersions is tried again inside, a few times.
 */
export type Cluster = {
  readonly parts: { rollout: boolean; configMap: boolean; scales: readonly string[] }
  canary(signal: AbortSignal): Promise<CanaryPart[]>
  /** Argo Rollouts: aborts the running update; null when there is none to abort */
  abortRollout(signal: AbortSignal): Promise<ClusterChange | null>
  /** ConfigMap `token-bucket-policy`: only the weight changes; null when it is so already */
  setWeight(weight: number, signal: AbortSignal): Promise<ClusterChange | null>
  /** Argo Rollouts: back to the revision before; null when there is none */
  undoRollout(signal: AbortSignal): Promise<ClusterChange | null>
  /** scale subresource, or a Job from a template, as configured for the region; null when not configured or so already */
  scale(region: string, replicas: number, key: string, signal: AbortSignal): Promise<ClusterChange | null>
  /** whether the change still stands (Argo CD heals patches away) */
  held(change: ClusterChange, signal: AbortSignal): Promise<{ held: boolean; detail: string }>
}
