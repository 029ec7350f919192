import type { Logger } from 'pino'
import { type Clock, SECOND } from '../core/clock.ts'
import type { Destination, StepResult } from '../core/delivery.ts'
import { messageOf } from '../core/errors.ts'
import type { Delivery, DeliveryOutcome, Store } from '../core/store.ts'
import type { IncidentView } from '../core/view.ts'
import { backOff, Pacer } from './pacing.ts'

export type LaneDeps = {
  store: Store
  loadView: (incidentId: number) => Promise<IncidentView | null>
  clock: Clock
  /** names this process in the lanes' leases */
  owner: string
  installation: string
  log: Logger
  random?: () => number
  /** an undeliverable message is a dead letter after this; milliseconds */
  giveUpAfter: number
  onOutcome?: (
    destination: Destination,
    outcome: 'delivered' | 'progress' | 'retry' | 'dead',
    lagMs: number | null,
  ) => void
}

/** Replica leases last at most 30 s (contract.md, section 8); shorter means a faster take-over. */
const LEASE = 12 * SECOND
const RENEW_AFTER = 3 * SECOND
/** Beyond the adapters' own time-outs (5 s a request, few requests a step): the step is given up as doubtful. */
const STEP_LIMIT = 20 * SECOND
/** Other replicas commit too: look for their changes this often. */
const POLL = 500
/** Ids of one's own messages handed to an adapter that searches for a lost one. */
const REFERENCES = 200

export type Lane = {
  readonly name: string
  /** something may be due */
  wake(): void
  /** one round: starts what may start, waits for it and records it. For tests and for draining. */
  tick(): Promise<number>
  /** starts nothing new, waits for what runs, records it */
  stop(): Promise<void>
}

/**
 * The lane of one destination: claim -> render -> send -> record, isolated from every other. What it stores is "destination
 * D shows version N of incident I", so a slow destination gets one edit, not forty. A step is marked as begun before it is
 * sent; whoever finds such a mark later looks before repeating it.
 */
export function createLane(destination: Destination, deps: LaneDeps): Lane {
  const { store, clock, log } = deps
  const random = deps.random ?? Math.random
  const pacer = new Pacer(destination.pacing, clock())
  const running = new Set<Promise<void>>()
  let outcomes: DeliveryOutcome[] = []
  let fence: number | null = null
  let leasedUntil = 0
  let renewAt = 0
  let stopped = false
  let again = false
  let round: Promise<number> | null = null
  let timer: NodeJS.Timeout | undefined

  async function hold(now: number): Promise<number | null> {
    if (fence !== null && now < renewAt && now < leasedUntil) return fence
    const until = now + LEASE
    // A SQLite file is ours alone: whoever held the lane before is dead.
    const steal = store.exclusive && fence === null
    const taken = await store.write((tx) => tx.takeLane(destination.lane, deps.owner, now, until, steal))
    fence = taken
    leasedUntil = taken === null ? 0 : until
    renewAt = now + RENEW_AFTER
    return taken
  }

  async function pump(): Promise<number> {
    let now = clock()
    const free = pacer.free(now)
    if (stopped || (free <= 0 && outcomes.length === 0)) return 0
    const held = await hold(now)
    if (held === null) return 0
    const { targets } = pacer.blocked(now)
    const found =
      free > 0 ? await store.due({ lane: destination.lane, fence: held, now, limit: free, except: targets }) : []
    now = clock()
    const chosen: Delivery[] = []
    for (const row of found) {
      if (pacer.wait(row.target, row.priority === 0, now) > 0) continue
      pacer.start(row.target, now)
      chosen.push(row)
    }
    const recording = outcomes
    outcomes = []
    if (chosen.length === 0 && recording.length === 0) return 0
    let doubtful: Set<number>
    try {
      const ids = chosen.map((row) => row.id)
      doubtful = new Set(
        await store.write(async (tx) => {
          if (recording.length > 0) await tx.recordOutcomes(recording)
          return ids.length > 0 ? tx.beginSteps(ids, held) : []
        }),
      )
    } catch (error) {
      outcomes = [...recording, ...outcomes]
      for (const row of chosen) pacer.ended(row.target, clock())
      throw error
    }
    for (const row of chosen) {
      const step = run(row, held, doubtful.has(row.id)).finally(() => {
        running.delete(step)
        wake()
      })
      running.add(step)
    }
    return chosen.length
  }

  async function run(row: Delivery, begun: number, inDoubt: boolean): Promise<void> {
    const result = await stepOf(row, inDoubt)
    const now = clock()
    pacer.ended(row.target, now)
    outcomes.push(outcomeOf(row, begun, inDoubt, result, now))
  }

  async function stepOf(row: Delivery, inDoubt: boolean): Promise<StepResult & { version: number }> {
    const controller = new AbortController()
    let limit: NodeJS.Timeout | undefined
    try {
      const incident = await deps.loadView(row.incidentId)
      if (incident === null)
        return { outcome: 'dead', reason: 'The incident was removed meanwhile.', version: row.shown }
      const late = new Promise<StepResult>((resolve) => {
        limit = setTimeout(() => {
          controller.abort()
          resolve({
            outcome: 'retry',
            reason: 'No answer in time.',
            retryAfterMs: null,
            inDoubt: true,
            scope: 'target',
          })
        }, STEP_LIMIT)
      })
      const step = destination.step({
        target: row.target,
        settings: row.settings,
        incident,
        installation: deps.installation,
        state: row.adapterState,
        inDoubt,
        knownReferences: () => knownReferences(row),
        now: clock(),
        signal: controller.signal,
      })
      return { ...(await Promise.race([step, late])), version: incident.version }
    } catch (error) {
      log.error({ err: error, lane: destination.lane, delivery: row.id }, 'a delivery step failed in Claw itself')
      const reason = `Claw could not prepare the message: ${messageOf(error).slice(0, 200)}`
      return { outcome: 'retry', reason, retryAfterMs: null, inDoubt: true, scope: 'target', version: row.shown }
    } finally {
      clearTimeout(limit)
    }
  }

  async function knownReferences(row: Delivery): Promise<string[]> {
    const rows = await store.references(row.lane, row.target, REFERENCES)
    return rows.flatMap(({ reference, adapterState }) => {
      const replies =
        adapterState !== null && typeof adapterState === 'object' && !Array.isArray(adapterState)
          ? adapterState.replies
          : null
      return [reference, ...(Array.isArray(replies) ? replies.map(String) : [])]
    })
  }

  function outcomeOf(
    row: Delivery,
    begun: number,
    doubted: boolean,
    result: StepResult & { version: number },
    now: number,
  ): DeliveryOutcome {
    const base: DeliveryOutcome = {
      id: row.id,
      fence: begun,
      state: 'pending',
      dueAt: now,
      priority: row.priority,
      shown: null,
      attempts: 0,
      inDoubt: false,
      reference: row.reference,
      reason: null,
      adapterState: row.adapterState,
      deliveredAt: null,
    }
    if (result.outcome === 'retry' || result.outcome === 'dead') return failure(base, row, doubted, result, now)
    pacer.succeeded(row.target, now)
    base.adapterState = result.state
    base.reference = result.reference ?? row.reference
    if (result.outcome === 'done') {
      deps.onOutcome?.(destination, 'delivered', row.changedAt === null ? null : now - row.changedAt)
      return { ...base, state: 'delivered', shown: result.version, deliveredAt: now }
    }
    if (result.outcome === 'progress') {
      deps.onOutcome?.(destination, 'progress', null)
      return base
    }
    return { ...base, state: 'waiting', dueAt: Math.max(result.at, now), reason: result.reason }
  }

  function failure(
    base: DeliveryOutcome,
    row: Delivery,
    doubted: boolean,
    result: Extract<StepResult, { outcome: 'retry' | 'dead' }>,
    now: number,
  ): DeliveryOutcome {
    const about = { lane: destination.lane, delivery: row.id, incident: row.incidentId, reason: result.reason }
    const tooOld = row.changedAt !== null && now - row.changedAt > deps.giveUpAfter
    if (result.outcome === 'dead' || tooOld) {
      deps.onOutcome?.(destination, 'dead', null)
      const reason = result.outcome === 'dead' ? result.reason : `Given up: ${result.reason}`
      log.error({ ...about, attempts: row.attempts + 1 }, 'dead letter: redeliver it when the cause is mended')
      return { ...base, state: 'dead', attempts: row.attempts + 1, reason, inDoubt: doubted }
    }
    deps.onOutcome?.(destination, 'retry', null)
    pacer.failed(row.target, now, random())
    if (result.retryAfterMs !== null) {
      pacer.pause(result.scope === 'lane' ? null : row.target, now + result.retryAfterMs)
    }
    const wait = backOff(row.attempts, result.retryAfterMs, random())
    log.warn({ ...about, attempts: row.attempts + 1, retryInMs: wait }, 'delivery failed, will be tried again')
    return {
      ...base,
      state: 'waiting',
      dueAt: now + wait,
      attempts: row.attempts + 1,
      inDoubt: doubted || result.inDoubt,
      reason: result.reason,
    }
  }

  /** Rounds follow each other without overlap; a wake during a round asks for one more. */
  function wake(): void {
    if (stopped) return
    if (round) {
      again = true
      return
    }
    round = loop().finally(() => {
      round = null
      if (again && !stopped) {
        again = false
        wake()
      }
    })
  }

  async function loop(): Promise<number> {
    clearTimeout(timer)
    try {
      const started = await pump()
      if (!stopped && !again) arm(await pause())
      return started
    } catch (error) {
      log.error({ err: error, lane: destination.lane }, 'the lane cannot reach the database, trying again')
      if (!stopped) arm(SECOND)
      return 0
    }
  }

  function arm(ms: number): void {
    timer = setTimeout(wake, ms)
    timer.unref()
  }

  /** How long until something can be done: the next due step, a bucket that refills, a pause that ends. */
  async function pause(): Promise<number> {
    const now = clock()
    if (outcomes.length > 0) return 0
    const longest = store.exclusive ? RENEW_AFTER * 10 : running.size > 0 ? RENEW_AFTER : POLL
    if (fence === null) return Math.min(longest, POLL)
    if (pacer.free(now) <= 0) {
      return running.size > 0 ? longest : Math.min(longest, Math.max(1, pacer.pausedUntil() - now))
    }
    const next = await store.nextDue(destination.lane, fence)
    if (next === null) return longest
    if (next > now) return Math.min(longest, next - now)
    // Due, yet it was not started: pacing holds it.
    const { until } = pacer.blocked(now)
    return Math.min(longest, Number.isFinite(until) ? Math.max(1, until - now) : 50)
  }

  return {
    name: destination.lane,
    wake,
    async tick() {
      while (round) await round
      const started = await pump()
      await Promise.all(running)
      while (round) await round
      if (outcomes.length > 0) await pump()
      return started
    },
    async stop() {
      stopped = true
      clearTimeout(timer)
      await Promise.all(running)
      while (round) await round
      if (outcomes.length > 0) {
        const recording = outcomes
        outcomes = []
        await store.write((tx) => tx.recordOutcomes(recording))
      }
      await destination.close()
    },
  }
}
