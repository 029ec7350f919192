import { SECOND } from '../../core/clock.ts'
import type { EdgeAct, ReconcilePolicy } from '../../core/edge.ts'
import { ClawError } from '../../core/errors.ts'
import type { EdgeFaults } from './faults.ts'
import { reconcile } from './reconcile.ts'
import { full, type Region, resize, seed } from './region.ts'
import type { Routing } from './routing.ts'

/** How long each kind of work takes on the model, ms. */
const DURATION: Readonly<Record<OperationKind, number>> = {
  reconcile: 4 * SECOND,
  reset: 3 * SECOND,
  capacity: 2 * SECOND,
  scale: 5 * SECOND,
  revert: 5 * SECOND,
  failover: 6 * SECOND,
}
/** Where stuck work stays. */
const STUCK_AT = 0.5

export type OperationKind = EdgeAct['kind']

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

type Outcome = { state: 'succeeded' | 'failed'; detail: string }
type Work = {
  kind: OperationKind
  detail: string
  /** runs each tick with the progress so far */
  during?: (progress: number) => void
  /** runs once at the end; gives the outcome */
  finish: () => Outcome
  /** takes back what `during` did when the work is made to fail */
  undo?: () => void
}
type Operation = Work & {
  id: string
  state: OperationView['state']
  fault: ReturnType<EdgeFaults['take']>
  startedAt: number
  endedAt: number | null
  /** clients that a failover moves, by their home */
  origins: readonly string[]
}

/**
 * The long work of the edge. Every start answers the operation's id; unknown regions throw ClawError('not_found'), a fault that
 * refuses throws as EdgeFaults.take does.
 */
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
  /** Moves traffic, see Routing.plan; ends another failover of the same clients. */
  failover(from: string, to: string): string
  get(id: string): OperationView
  list(): OperationView[]
  step(): void
  /** Share 0..1 of the clients at home in `origin` that `target` serves. */
  share: Routing['share']
  /** Whether `target` serves any clients. */
  receiving: Routing['receiving']
  /** Forgets running work and sends all clients home. */
  reset(): void
}

const done = (detail: string): Outcome => ({ state: 'succeeded', detail })
const failed = (detail: string): Outcome => ({ state: 'failed', detail })
const nameList = (regions: readonly Region[]) => regions.map((region) => region.name).join(', ')

/** Makes the operations over the model's live regions. `now` is the model's time. */
export function createOperations(options: {
  regions: Map<string, Region>
  routing: Routing
  faults: EdgeFaults
  now: () => number
}): Operations {
  const { regions, routing, faults, now } = options
  const operations = new Map<string, Operation>()
  const running = new Set<Operation>()
  let count = 0

  const named = (name: string): Region => {
    const region = regions.get(name)
    if (region) return region
    const known = [...regions.keys()].join(', ')
    throw new ClawError('not_found', `There is no region ${JSON.stringify(name)}; there are ${known}.`)
  }

  function start(work: Work, origins: readonly string[] = []): string {
    const fault = faults.take(work.kind)
    const id = `op_${++count}`
    const operation: Operation = { ...work, id, state: 'running', fault, startedAt: now(), endedAt: null, origins }
    for (const other of running) {
      if (!other.origins.some((origin) => origins.includes(origin))) continue
      end(other, failed(`Ended half-way: ${id} moves the same traffic.`))
    }
    operations.set(id, operation)
    running.add(operation)
    return id
  }

  function end(operation: Operation, outcome: Outcome): void {
    Object.assign(operation, outcome, { endedAt: now() })
    running.delete(operation)
  }

  /** `act` runs at the end when the region still answers then; it answers the outcome, null when there is no earlier version. */
  const onRegion = (kind: OperationKind, region: Region, detail: string, act: () => string | null): string =>
    start({
      kind,
      detail,
      finish() {
        if (region.pressure.down) return failed(`Region ${region.name} does not answer.`)
        const outcome = act()
        return outcome === null ? failed(`Region ${region.name} has no earlier version.`) : done(outcome)
      },
    })

  return {
    reconcile(names, policy) {
      const wanted = names.length === 0 ? [...regions.values()] : [...new Set(names)].map(named)
      return start({
        kind: 'reconcile',
        detail: `Merging ${nameList(wanted)} with ${policy}`,
        finish() {
          const dead = wanted.filter((region) => region.pressure.down)
          const alive = wanted.filter((region) => !region.pressure.down)
          const { keys, more, fewer } = reconcile(alive, policy)
          const told = `${keys} diverged ${keys === 1 ? 'key' : 'keys'} reconciled in ${nameList(alive)} with ${policy}: ${more} tokens more, ${fewer} fewer.`
          if (dead.length > 0) return failed(`No answer from ${nameList(dead)}.${alive.length > 0 ? ` ${told}` : ''}`)
          return done(told)
        },
      })
    },
    resetBucket(name) {
      const region = named(name)
      return onRegion('reset', region, `Filling the bucket of ${name}`, () => {
        seed(region, full(region))
        return `Bucket of ${name} at 100 %; requests in flight kept.`
      })
    },
    capacity(name, factor, ttlMs) {
      const region = named(name)
      return onRegion('capacity', region, `Capacity of ${name} times ${factor}`, () => {
        resize(region, factor, now() + ttlMs)
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
      const { origins, move } = routing.plan(from.name, to.name)
      const operation = {
        kind: 'failover',
        detail: `Moving traffic from ${from.name} to ${to.name}`,
        undo: () => move(0),
        during(progress: number) {
          if (!to.pressure.down) move(progress)
        },
        finish(): Outcome {
          if (to.pressure.down) {
            move(0)
            return failed(`Region ${to.name} does not answer; traffic stays in ${from.name}.`)
          }
          move(1)
          return done(`Traffic of ${from.name} is served by ${to.name}.`)
        },
      } as const
      const id = start(operation, origins)
      const started = operations.get(id)
      if (started?.fault === 'unhealthy-after-failover') {
        started.finish = () => {
          const outcome = operation.finish()
          to.collapsing = outcome.state === 'succeeded'
          return outcome
        }
      }
      return id
    },
    get(id) {
      const operation = operations.get(id)
      if (!operation) throw new ClawError('not_found', `There is no operation ${JSON.stringify(id)}.`)
      return viewOf(operation, now())
    },
    list: () => [...operations.values()].map((operation) => viewOf(operation, now())),
    step() {
      for (const operation of running) {
        const progress = progressOf(operation, now())
        operation.during?.(progress)
        if (progress < 1) continue
        if (operation.fault === 'fail') {
          operation.undo?.()
          end(operation, failed(`${operation.detail} failed; nothing was changed.`))
        } else end(operation, operation.finish())
      }
    },
    share: routing.share,
    receiving: routing.receiving,
    reset() {
      for (const operation of running) end(operation, failed('The sandbox was reset.'))
      routing.goHome()
    },
  }
}

function viewOf(operation: Operation, now: number): OperationView {
  const { id, kind, state, detail, startedAt, endedAt } = operation
  return {
    id,
    kind,
    state,
    progress: state === 'running' ? progressOf(operation, now) : 1,
    detail,
    started_at: new Date(startedAt).toISOString(),
    ended_at: endedAt === null ? null : new Date(endedAt).toISOString(),
  }
}

function progressOf({ startedAt, kind, fault }: Operation, now: number): number {
  const progress = Math.min(1, Math.max(0, (now - startedAt) / DURATION[kind]))
  return fault === 'stuck' ? Math.min(STUCK_AT, progress) : progress
}
