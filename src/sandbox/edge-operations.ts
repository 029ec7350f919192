import { SECOND } from '../core/clock.ts'
import { ClawError } from '../core/errors.ts'
import { capacityOf, type Region } from './edge-region.ts'

/** How long each kind of work takes on the model, ms. */
const DURATION = {
  reconcile: 6 * SECOND,
  reset: 3 * SECOND,
  capacity: 2 * SECOND,
  scale: 8 * SECOND,
  revert: 8 * SECOND,
  failover: 10 * SECOND,
} as const

export type OperationKind = keyof typeof DURATION
export const RECONCILE_POLICIES = ['highest-capacity', 'lowest-available', 'reset-and-reseed'] as const
export type ReconcilePolicy = (typeof RECONCILE_POLICIES)[number]

/** An operation as `GET /admin/v1/operations/{id}` answers it; progress 0..1, times ISO 8601. */
export type OperationView = {
  id: string
  kind: OperationKind
  state: 'running' | 'succeeded' | 'failed'
  progress: number
  detail: string
  started_at: string
  ended_at: string | null
}

type Operation = {
  id: string
  kind: OperationKind
  state: OperationView['state']
  detail: string
  startedAt: number
  endedAt: number | null
  /** runs each tick with the progress so far */
  during: (progress: number) => void
  /** runs once at the end; gives the outcome */
  finish: () => { state: 'succeeded' | 'failed'; detail: string }
}

/** The long work of the edge. Every start answers the operation's id; unknown regions throw ClawError('not_found'). */
export type Operations = {
  /** Brings the copies of `regions` (all when empty) together. */
  reconcile(regions: readonly string[], policy: ReconcilePolicy): string
  /** Fills the bucket to 100 %; requests in flight are kept. */
  resetBucket(region: string): string
  /** Multiplies capacity and refill rate for `ttlMs`. */
  capacity(region: string, factor: number, ttlMs: number): string
  /** Sets the replicas for `ttlMs`; the refill rate follows. */
  scale(region: string, replicas: number, ttlMs: number): string
  /** Back to the version before the last rollout. */
  revert(region: string): string
  /**
   * Moves traffic from one region to another. When `from` serves clients that belong to `to`, only those go home;
   * otherwise all that `from` serves moves.
   */
  failover(from: string, to: string): string
  get(id: string): OperationView
  list(): OperationView[]
  step(dtMs: number): void
  /** Share 0..1 of the clients at home in `origin` that `target` serves. */
  share(origin: string, target: string): number
  /** Whether `target` serves any clients. */
  receiving(target: string): boolean
  /** Forgets running work and sends all clients home. */
  reset(): void
}

/** Makes the operations over the model's live regions. `now` is the model's time. */
export function createOperations(options: { regions: Map<string, Region>; now: () => number }): Operations {
  const { regions, now } = options
  const operations = new Map<string, Operation>()
  const running = new Set<Operation>()
  /** shares.get(origin).get(target) */
  const shares = new Map<string, Map<string, number>>()
  let count = 0

  const named = (name: string): Region => {
    const region = regions.get(name)
    if (region) return region
    const known = [...regions.keys()].join(', ')
    throw new ClawError('not_found', `There is no region ${JSON.stringify(name)}; there are ${known}.`)
  }

  function start(kind: OperationKind, detail: string, finish: Operation['finish'], during = (_: number) => {}): string {
    const id = `op_${++count}`
    const operation = { id, kind, state: 'running', detail, startedAt: now(), endedAt: null, during, finish } as const
    const stored: Operation = { ...operation }
    operations.set(id, stored)
    running.add(stored)
    return id
  }

  const done = (detail: string) => ({ state: 'succeeded', detail }) as const
  const failed = (detail: string) => ({ state: 'failed', detail }) as const
  /** `act` runs at the end when the region still answers then. */
  const onRegion = (kind: OperationKind, region: Region, detail: string, act: () => string | null): string =>
    start(kind, detail, () => {
      if (region.pressure.down) return failed(`Region ${region.name} does not answer.`)
      const outcome = act()
      return outcome === null ? failed(`Region ${region.name} has no earlier version.`) : done(outcome)
    })

  const shareOf = (origin: string, target: string) => shares.get(origin)?.get(target) ?? 0
  function goHome(): void {
    shares.clear()
    for (const name of regions.keys()) shares.set(name, new Map([[name, 1]]))
  }
  goHome()

  function view(operation: Operation): OperationView {
    const { id, kind, state, detail, startedAt, endedAt } = operation
    return {
      id,
      kind,
      state,
      progress: state === 'running' ? progressOf(operation, now()) : 1,
      detail,
      started_at: new Date(startedAt).toISOString(),
      ended_at: endedAt === null ? null : new Date(endedAt).toISOString(),
    }
  }

  return {
    reconcile(names, policy) {
      const wanted = names.length === 0 ? [...regions.values()] : names.map(named)
      const list = wanted.map((region) => region.name).join(', ')
      return start('reconcile', `Merging ${list} with ${policy}`, () => {
        const dead = wanted.filter((region) => region.pressure.down)
        const alive = wanted.filter((region) => !region.pressure.down)
        const merged = alive.reduce((sum, region) => sum + merge(region, policy), 0)
        if (dead.length > 0) return failed(`No answer from ${dead.map((region) => region.name).join(', ')}.`)
        return done(`${merged} diverged ${merged === 1 ? 'node' : 'nodes'} merged in ${list}.`)
      })
    },
    resetBucket(name) {
      const region = named(name)
      return onRegion('reset', region, `Filling the bucket of ${name}`, () => {
        region.available = capacityOf(region)
        return `Bucket of ${name} at 100 %; requests in flight kept.`
      })
    },
    capacity(name, factor, ttlMs) {
      const region = named(name)
      return onRegion('capacity', region, `Capacity of ${name} times ${factor}`, () => {
        region.capacityFactor = factor
        region.capacityUntil = now() + ttlMs
        return `Capacity of ${name} times ${factor} until ${new Date(now() + ttlMs).toISOString()}.`
      })
    },
    scale(name, replicas, ttlMs) {
      const region = named(name)
      return onRegion('scale', region, `Scaling ${name} to ${replicas}`, () => {
        region.replicas = replicas
        region.replicasUntil = now() + ttlMs
        return `${replicas} replicas in ${name} until ${new Date(now() + ttlMs).toISOString()}.`
      })
    },
    revert(name) {
      const region = named(name)
      return onRegion('revert', region, `Reverting ${name}`, () => {
        if (!region.previous) return null
        const undone = region.version
        region.version = region.previous
        region.previous = null
        return `${name} runs ${region.version.name} again instead of ${undone.name}.`
      })
    },
    failover(fromName, toName) {
      const from = named(fromName)
      const to = named(toName)
      if (from === to) throw new ClawError('invalid', 'A failover needs two different regions.')
      const homecoming = shareOf(to.name, from.name) > 0
      const origins = homecoming ? [to.name] : [...regions.keys()].filter((origin) => shareOf(origin, from.name) > 0)
      const before = new Map(
        origins.map((origin) => [origin, { left: shareOf(origin, from.name), had: shareOf(origin, to.name) }]),
      )
      const move = (progress: number) => {
        for (const [origin, { left, had }] of before) {
          shares.get(origin)?.set(from.name, left * (1 - progress))
          shares.get(origin)?.set(to.name, had + left * progress)
        }
      }
      const finish = () => {
        if (to.pressure.down) {
          move(0)
          return failed(`Region ${to.name} does not answer; traffic stays in ${from.name}.`)
        }
        move(1)
        return done(`Traffic of ${from.name} is served by ${to.name}.`)
      }
      return start('failover', `Moving traffic from ${from.name} to ${to.name}`, finish, (progress) => {
        if (!to.pressure.down) move(progress)
      })
    },
    get(id) {
      const operation = operations.get(id)
      if (!operation) throw new ClawError('not_found', `There is no operation ${JSON.stringify(id)}.`)
      return view(operation)
    },
    list: () => [...operations.values()].map(view),
    step() {
      for (const operation of running) {
        const progress = progressOf(operation, now())
        operation.during(progress)
        if (progress < 1) continue
        Object.assign(operation, operation.finish(), { endedAt: now() })
        running.delete(operation)
      }
    },
    share: shareOf,
    receiving: (target) => [...regions.keys()].some((origin) => shareOf(origin, target) > 0.001),
    reset() {
      for (const operation of running) Object.assign(operation, failed('The sandbox was reset.'), { endedAt: now() })
      running.clear()
      goHome()
    },
  }
}

function progressOf(operation: Operation, now: number): number {
  return Math.min(1, Math.max(0, (now - operation.startedAt) / DURATION[operation.kind]))
}

/** Clears the divergence of one region and answers how many nodes had diverged. */
function merge(region: Region, policy: ReconcilePolicy): number {
  const diverged = region.nodes.filter((node) => Math.abs(node.skew) > 0.05)
  const capacity = capacityOf(region)
  const copies = region.nodes.map((node) => Math.max(0, Math.min(capacity, region.available + node.skew * capacity)))
  if (policy === 'highest-capacity') region.available = Math.max(region.available, ...copies)
  if (policy === 'lowest-available') region.available = Math.min(...copies)
  if (policy === 'reset-and-reseed') region.available = capacity
  for (const node of region.nodes) node.skew = 0
  return diverged.length
}
