import type { Json } from '../../src/core/delivery.ts'
import type {
  Cluster,
  ClusterChange,
  EdgeAct,
  EdgeAdmin,
  EdgeConflict,
  EdgeRegion,
  TrafficSwitch,
} from '../../src/core/edge.ts'
import { ClawError, type ErrorCode } from '../../src/core/errors.ts'
import type { ActionSettings, WorkflowServices } from '../../src/core/workflow.ts'

/** A region that does well; override what does not. */
export function regionOf(region: string, more: Partial<EdgeRegion> = {}): EdgeRegion {
  return {
    region,
    healthy: true,
    receiving: true,
    bucket: { capacity: 1000, available: 950, ratio: 0.95 },
    syncLagSeconds: 0.05,
    conflictsPerMinute: 0,
    p95LatencySeconds: 0.02,
    errorRatio: 0,
    canaryWeight: 0,
    version: '1.8.0',
    requestRate: 100,
    refusedRatio: 0,
    refillRate: 1000,
    ratingScore: null,
    jitterSeconds: 0.01,
    replicas: 3,
    nodes: null,
    ...more,
  }
}

export const SETTINGS: ActionSettings = {
  bucketMetric: 'openclaw_token_bucket_available',
  failover: { propagationWait: 60_000, soak: 30_000, minBucket: 0.8, headroom: 0.1 },
  reconcile: { policy: 'highest-capacity', settle: 10_000 },
  revert: { capacityFactor: 1.5, capacityFor: 1_800_000, watch: 30_000 },
  scale: { standby: null, replicas: 6, lasts: 1_800_000 },
}

type Method = keyof EdgeAdmin | 'read' | 'move' | 'restore' | keyof Cluster | 'query' | 'load'

/**
 * The outside as workflows see it, with two regions A and B, and everything that was done to it. Effects honour their key, as
 * the edge's Idempotency-Key does. `gate` is passed before each call takes effect, and what it gives after.
 */
export type Outside = ReturnType<typeof createOutside>

export function createOutside(clock: () => number, gate: () => Promise<() => Promise<void>>) {
  const regions = new Map([regionOf('A'), regionOf('B')].map((one) => [one.region, one]))
  /** effects in order, each once per key */
  const applied: string[] = []
  const calls: Method[] = []
  const operations = new Map<
    string,
    { kind: string; endsAt: number; failed: boolean; done: boolean; end: () => void }
  >()
  const keys = new Map<string, string>()
  const failing = new Map<Method, { code: ErrorCode; when: 'before' | 'after' }[]>()
  const outside = {
    regions,
    applied,
    calls,
    keys,
    conflicts: [] as EdgeConflict[],
    /** ms that operations of the edge take, and clients to follow */
    takes: 1_500,
    follows: 3_000,
    /** operations of these kinds end as failed */
    broken: new Set<string>(),
    /** what a reconcile leaves */
    left: [] as EdgeConflict[],
    snapshots: true,
    /** level after a reset */
    refills: 1,
    serving: new Map<string, boolean>(),
    loadPasses: true,
    level: null as number | null,
    /** where the clients are to be, and since when they follow */
    traffic: { A: 'A', B: 'B' } as Record<string, string>,
    /** Argo CD heals patches away */
    heals: false,
    owner: null as string | null,
    rollout: { canary: true, undone: false, aborted: false },
    weight: 20 as number,
    replicas: 3,
    settings: structuredClone(SETTINGS),
    /** the next `times` calls of a method fail; `after` its effect when the answer is lost */
    fail(method: Method, code: ErrorCode, times = 1, when: 'before' | 'after' = 'before') {
      failing.set(method, [...(failing.get(method) ?? []), ...Array.from({ length: times }, () => ({ code, when }))])
    },
    region(name: string): EdgeRegion {
      const found = regions.get(name)
      if (!found) throw new Error(`no region ${name}`)
      return found
    },
    set(name: string, more: Partial<EdgeRegion>) {
      regions.set(name, { ...outside.region(name), ...more })
    },
    services,
  }

  async function call<T>(method: Method, work: () => T): Promise<T> {
    calls.push(method)
    const leave = await gate()
    const failure = failing.get(method)?.shift()
    if (failure?.when === 'before') throw new ClawError(failure.code, `Edge: ${method} ${failure.code}`)
    const result = work()
    await leave()
    if (failure) throw new ClawError(failure.code, `Edge: answer to ${method} lost`)
    return result
  }

  const once = (key: string, work: () => string): string => {
    const known = keys.get(key)
    if (known !== undefined) return known
    const id = work()
    keys.set(key, id)
    return id
  }

  function begin(kind: string, what: string, end: () => void): string {
    applied.push(what)
    const id = `op_${operations.size + 1}`
    operations.set(id, { kind, endsAt: clock() + outside.takes, failed: outside.broken.has(kind), done: false, end })
    return id
  }

  function act(wanted: EdgeAct): string {
    switch (wanted.kind) {
      case 'reconcile':
        return begin('reconcile', `reconcile ${wanted.regions.join(',')} ${wanted.policy}`, () => {
          outside.conflicts = [...outside.left]
        })
      case 'reset':
        return begin('reset', `reset ${wanted.region}`, () => {
          outside.set(wanted.region, {
            bucket: { capacity: 1000, available: 1000 * outside.refills, ratio: outside.refills },
          })
        })
      case 'capacity':
        return begin('capacity', `capacity ${wanted.region} x${wanted.factor} ${wanted.ttlSeconds}s`, () => {})
      case 'scale':
        return begin('scale', `scale ${wanted.region} ${wanted.replicas} ${wanted.ttlSeconds}s`, () => {})
      case 'revert':
        return begin('revert', `revert ${wanted.region}`, () => outside.set(wanted.region, { version: '1.7.0' }))
      default:
        return begin(wanted.kind, wanted.kind, () => {})
    }
  }

  /** Clients are where they were sent once they have followed. */
  let moving: { at: number; rates: Record<string, number> } | null = null
  function send(to: Record<string, string>): void {
    outside.traffic = { ...to }
    const rates: Record<string, number> = { A: 0, B: 0 }
    for (const target of Object.values(to)) rates[target] = (rates[target] ?? 0) + 100
    moving = { at: clock() + outside.follows, rates }
  }
  function settle(): void {
    if (!moving || clock() < moving.at) return
    for (const [name, requestRate] of Object.entries(moving.rates)) {
      if (outside.region(name).requestRate !== null) outside.set(name, { requestRate })
    }
    moving = null
  }

  const edge: EdgeAdmin = {
    regions: () =>
      call('regions', () => {
        settle()
        return structuredClone([...regions.values()])
      }),
    conflicts: (_region, limit) => call('conflicts', () => structuredClone(outside.conflicts.slice(0, limit))),
    start: (wanted, key) => call('start', () => once(key, () => act(wanted))),
    operation: (id) =>
      call('operation', () => {
        const found = operations.get(id)
        if (!found) throw new ClawError('not_found', `Edge: there is no operation ${id}`)
        const over = clock() >= found.endsAt
        if (over && !found.done && !found.failed) found.end()
        if (over) found.done = true
        const state = !over ? 'running' : found.failed ? 'failed' : 'succeeded'
        const detail = found.failed ? 'a node did not answer' : 'done'
        return { id, kind: found.kind, state, progress: null, detail, endedAt: over ? found.endsAt : null }
      }),
    snapshot: (where, _by, _incident, key) =>
      call('snapshot', () => {
        if (!outside.snapshots) return null
        return once(key, () => {
          applied.push(`snapshot ${where.join(',')}`)
          return 'snap_1'
        })
      }),
    setCanary: (weight, _by, key) =>
      call('setCanary', () => {
        once(key, () => {
          applied.push(`edge weight ${weight}`)
          for (const name of regions.keys()) outside.set(name, { canaryWeight: weight })
          return ''
        })
      }),
    health: (region) =>
      call('health', () =>
        (outside.serving.get(region ?? '') ?? true)
          ? { serving: true, detail: 'answers 200' }
          : { serving: false, detail: 'answers 503' },
      ),
  }

  const traffic: TrafficSwitch & { kind: 'edge' } = {
    kind: 'edge',
    settlesWithin: 60_000,
    read: () => call('read', () => structuredClone(outside.traffic) as Json),
    move: ({ from, to, expected, key }) =>
      call('move', () =>
        once(key, () => {
          if (JSON.stringify(outside.traffic) !== JSON.stringify(expected)) {
            throw new ClawError('conflict', 'Somebody else has changed the traffic meanwhile.')
          }
          send({ ...outside.traffic, [from]: to })
          return begin('move', `move ${from} to ${to}`, () => {})
        }),
      ),
    restore: ({ from, to, expected, key }) =>
      call('restore', () =>
        once(key, () => {
          send(expected as Record<string, string>)
          return begin('restore', `restore ${from} from ${to}`, () => {})
        }),
      ),
  }

  const change = (object: string, done: string, before: Json, after: Json): ClusterChange => ({
    object,
    done,
    before,
    after,
    owner: outside.owner,
    advice: outside.owner === null ? null : 'Commit it in git',
  })

  const cluster: Cluster = {
    parts: { rollout: true, configMap: true, scales: ['B'] },
    canary: () =>
      call('canary', () => [
        partOf('rollout', outside.rollout.aborted ? 0 : outside.weight),
        partOf('configmap', outside.weight),
      ]),
    abortRollout: () =>
      call('abortRollout', () => {
        if (outside.rollout.aborted) return null
        outside.rollout.aborted = true
        applied.push('abort rollout')
        return change('Rollout edge/rating-api', 'Aborted the update', null, { kind: 'abort' })
      }),
    setWeight: (weight) =>
      call('setWeight', () => {
        if (outside.weight === weight) return null
        const before = outside.weight
        outside.weight = weight
        applied.push(`ConfigMap weight ${weight}`)
        return change(
          'ConfigMap edge/token-bucket-policy',
          `Weight from ${before} to ${weight}`,
          { weight: before },
          { weight },
        )
      }),
    undoRollout: () =>
      call('undoRollout', () => {
        if (outside.rollout.undone) return null
        outside.rollout.undone = true
        applied.push('undo rollout')
        for (const name of regions.keys()) outside.set(name, { version: '1.7.0' })
        return change('Rollout edge/rating-api', 'Took it back to 1.7.0', { version: '1.8.0' }, { version: '1.7.0' })
      }),
    scale: (region, replicas) =>
      call('scale', () => {
        if (outside.replicas === replicas) return null
        const before = outside.replicas
        outside.replicas = replicas
        applied.push(`cluster scale ${region} ${before} to ${replicas}`)
        return change('Deployment edge/b', `Scaled B from ${before} to ${replicas}`, { replicas: before }, { replicas })
      }),
    held: () =>
      call('held', () =>
        outside.heals ? { held: false, detail: 'It is as it was again' } : { held: true, detail: 'It stands' },
      ),
  }
  const partOf = (part: 'rollout' | 'configmap', weight: number) => ({
    part,
    object: part,
    weight,
    phase: null,
    stable: null,
    canary: null,
    aborted: false,
    owner: null,
  })

  /** What is configured; all but the cluster and Prometheus unless given. */
  function services(
    has: {
      edge?: boolean
      traffic?: boolean | Partial<TrafficSwitch>
      cluster?: boolean | Partial<Cluster>
      query?: boolean
    } = {},
  ): WorkflowServices {
    return {
      edge: has.edge === false ? null : edge,
      traffic:
        has.traffic === false ? null : typeof has.traffic === 'object' ? { ...traffic, ...has.traffic } : traffic,
      cluster: typeof has.cluster === 'object' ? { ...cluster, ...has.cluster } : has.cluster ? cluster : null,
      query: has.query ? () => call('query', () => outside.level) : null,
      load: () =>
        call('load', () => ({
          passed: outside.loadPasses,
          detail: outside.loadPasses ? 'answered 200' : 'answered 503',
        })),
      settings: outside.settings,
    }
  }
  return outside
}
