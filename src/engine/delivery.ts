import type { Logger } from 'pino'
import { type Clock, SECOND } from '../core/clock.ts'
import type { Destination, StepResult } from '../core/delivery.ts'
import type { Delivery, DeliveryOutcome, Store } from '../core/store.ts'
import { noTracer, type Traced, type Tracer } from '../core/trace.ts'
import type { IncidentView } from '../core/view.ts'
import { backOff, Pacer } from './pacing.ts'
import { createSending } from './sending.ts'

export type LaneDeps = {
  store: Store
  loadView: (incidentId: number) => Promise<(IncidentView & Traced) | null>
  clock: Clock
  /** names this process in the lanes' leases */
  owner: string
  installation: string
  log: Logger
  random?: () => number
  /** an undeliverable message is a dead letter after this; milliseconds */
  giveUpAfter: number
  /** default: none */
  tracer?: Tracer
  onOutcome?: (
    destination: Destination,
    outcome: 'delivered' | 'progress' | 'retry' | 'dead',
    lagMs: number | null,
  ) => void
}

/** Replica leases last at most 30 s (contract.md, section 8); shorter means a faster take-over. */
const LEASE = 12 * SECOND
const RENEW_AFTER = 3 * SECOND
/** Other replicas commit too: look for their changes this often. */
const POLL = 500
/** What a process that died was sending may still be worked on over there: a look for it waits this long. */
const SETTLE = SECOND / 2
/** How long an outcome waits for others, so that they share a commit. */
const GATHER = 3
/** Targets left out of a look; more would make the statement large, and the rest can wait for the next round. */
const MAX_EXCEPT = 200

/** Makes the owner of each lane object another one, so that each has a fence of its own. */
let made = 0

export type Lane = {
  readonly name: string
  /** something may be due */
  wake(): void
  /** starts what may start, waits for it and for what follows, and records it; @returns how much. For tests. */
  tick(): Promise<number>
  /** starts nothing new, waits for what runs, records it, and gives the lane free */
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
  const tracer = deps.tracer ?? noTracer
  const stepOf = createSending(destination, { ...deps, tracer })
  const pacer = new Pacer(destination.pacing, clock())
  /** steps under way, by delivery */
  const running = new Map<number, Promise<void>>()
  let outcomes: DeliveryOutcome[] = []
  let owner = `${deps.owner}/${++made}`
  /** the name under which this lane was held before, until it is given free */
  let former: string | null = null
  let tryAt = 0
  let takenAt = 0
  let pumping: Promise<unknown> = Promise.resolve()
  let fence: number | null = null
  let leasedUntil = 0
  let renewAt = 0
  let stopped = false
  let again = false
  let round: Promise<number> | null = null
  let timer: NodeJS.Timeout | undefined
  let gathering: NodeJS.Timeout | undefined

  async function hold(now: number): Promise<number | null> {
    if (fence !== null && now < renewAt && now < leasedUntil) return fence
    if (fence === null && now < tryAt) return null
    const until = now + LEASE
    // A SQLite file is ours alone: whoever held the lane before is dead.
    const steal = store.exclusive && fence === null
    const taken = await store.write(async (tx) => {
      if (former !== null) await tx.releaseLanes(former)
      return tx.takeLane(destination.lane, owner, now, until, steal)
    })
    former = null
    if (taken !== fence) takenAt = now
    fence = taken
    leasedUntil = taken === null ? 0 : until
    renewAt = now + RENEW_AFTER
    tryAt = now + POLL
    return taken
  }

  /** Under another name the fence rises, and what was begun under the old one is looked at again, as doubtful. */
  function startAfresh(): void {
    former = owner
    owner = `${deps.owner}/${++made}`
    fence = null
    tryAt = 0
  }

  /** Rounds never overlap: two would choose the same deliveries. */
  function pump(): Promise<number> {
    const mine = pumping.then(async () => {
      let started = 0
      for (;;) {
        const recording = outcomes
        const goesOn = recording.some(({ state }) => state === 'pending')
        started += await pumpAlone()
        // A step that follows another is due once that is recorded, which the look before could not see.
        if (!goesOn || outcomes === recording) return started
      }
    })
    pumping = mine.catch(() => {})
    return mine
  }

  async function pumpAlone(): Promise<number> {
    const now = clock()
    const free = pacer.free(now)
    if (stopped) return 0
    if (free <= 0 && outcomes.length === 0) {
      // Else another replica would take over while ours still send.
      if (running.size > 0 && !store.exclusive) await hold(now)
      return 0
    }
    const held = await hold(now)
    if (held === null) {
      // Whoever holds the lane now has not begun them anew: then the marks are still ours, and so is the outcome.
      if (outcomes.length > 0) await record()
      return 0
    }
    const chosen = free > 0 ? await choose(held, free) : []
    const recording = outcomes
    outcomes = []
    if (chosen.length === 0 && recording.length === 0) return 0
    let doubtful: Set<number> | null
    try {
      doubtful = await store.write(async (tx) => {
        if (recording.length > 0) await tx.recordOutcomes(recording)
        if (chosen.length === 0) return new Set<number>()
        // Transactions are serial over all replicas: who holds the lane here holds it until the marks are stored.
        if (!store.exclusive && (await tx.takeLane(destination.lane, owner, now, now + LEASE, false)) !== held)
          return null
        const ids = chosen.map((row) => row.id)
        return new Set(await tx.beginSteps(ids, held))
      })
    } catch (error) {
      outcomes = [...recording, ...outcomes]
      for (const row of chosen) pacer.ended(row.target, clock())
      // The marks may be stored although nobody told us so.
      if (chosen.length > 0) startAfresh()
      throw error
    }
    if (doubtful === null) {
      for (const row of chosen) pacer.ended(row.target, clock())
      fence = null
      return 0
    }
    for (const row of chosen) {
      const step = run(row, held, doubtful.has(row.id)).finally(() => {
        running.delete(row.id)
        ended()
      })
      running.set(row.id, step)
    }
    return chosen.length
  }

  async function record(): Promise<void> {
    const recording = outcomes
    await store.write((tx) => tx.recordOutcomes(recording))
    outcomes = outcomes.filter((outcome) => !recording.includes(outcome))
  }

  /** What may start now. Targets that must wait are left out of the next look, so that they hold up no other. */
  async function choose(held: number, free: number): Promise<Delivery[]> {
    const now = clock()
    const except = new Set(pacer.blocked(now).targets)
    const chosen: Delivery[] = []
    for (;;) {
      // Those that settle after a crash must not crowd out the others.
      const settling = now < takenAt + SETTLE
      const limit = free - chosen.length + (settling ? destination.pacing.concurrency : 0)
      const query = { lane: destination.lane, fence: held, now, limit, except: [...except] }
      const found = await store.due(query)
      const before = chosen.length + except.size
      for (const row of found) {
        if (running.has(row.id) || chosen.some(({ id }) => id === row.id)) continue
        if (outcomes.some(({ id }) => id === row.id)) continue
        if (chosen.length >= free) break
        // What comes behind something that must wait keeps its place behind it.
        if (except.has(row.target)) continue
        if (settling && row.inflight !== null) {
          // Where order counts nothing may overtake it: the look for a lost message relies on that.
          if (destination.pacing.perTarget === 1) except.add(row.target)
          continue
        }
        if (pacer.wait(row.target, row.priority === 0, now) > 0) {
          except.add(row.target)
          continue
        }
        pacer.start(row.target, now)
        chosen.push(row)
      }
      const nothingNew = chosen.length + except.size === before
      if (chosen.length >= free || found.length < limit || nothingNew || except.size > MAX_EXCEPT) return chosen
    }
  }

  async function run(row: Delivery, begun: number, inDoubt: boolean): Promise<void> {
    const result = await stepOf(row, inDoubt)
    const now = clock()
    pacer.ended(row.target, now)
    outcomes.push(outcomeOf(row, begun, inDoubt, result, now))
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
      adapterState: result.state ?? row.adapterState,
      reason: result.reason,
    }
  }

  /** Steps that end close together share one commit. */
  function ended(): void {
    if (stopped) return
    if (outcomes.length >= running.size) wake()
    else gathering ??= setTimeout(wake, GATHER)
  }

  /** Rounds follow each other without overlap; a wake during a round asks for one more. */
  function wake(): void {
    if (stopped) return
    if (round) {
      again = true
      return
    }
    // What woke it may be traced; what it does next belongs to others as well.
    round = tracer.apart(loop).finally(() => {
      round = null
      if (again && !stopped) {
        again = false
        wake()
      }
    })
  }

  async function loop(): Promise<number> {
    clearTimeout(timer)
    clearTimeout(gathering)
    gathering = undefined
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
    const longest = store.exclusive ? RENEW_AFTER * 10 : running.size > 0 ? RENEW_AFTER : POLL
    if (fence === null) return Math.min(longest, POLL)
    if (outcomes.length > 0) return 0
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
      let started = await pump()
      for (;;) {
        if (running.size > 0) await Promise.all(running.values())
        else if (round) await round
        else if (outcomes.length > 0 && !stopped) started += await pump()
        else return started
      }
    },
    async stop() {
      stopped = true
      clearTimeout(timer)
      clearTimeout(gathering)
      await pumping
      while (running.size > 0) await Promise.all(running.values())
      while (round) await round
      try {
        if (outcomes.length > 0) await record()
        await store.write(async (tx) => {
          for (const name of [owner, former]) if (name !== null) await tx.releaseLanes(name)
        })
      } catch (error) {
        // Stored as begun, so the next owner looks before it repeats them.
        log.warn({ err: error, lane: destination.lane, steps: outcomes.length }, 'what was just sent is not recorded')
      }
      await destination.close()
    },
  }
}
