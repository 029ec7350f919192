import type { Logger } from 'pino'
import { type Clock, SECOND } from '../core/clock.ts'
import { reply } from '../core/command.ts'
import type { DestinationKind } from '../core/delivery.ts'
import { ClawError, messageOf } from '../core/errors.ts'
import { draftOf, type Incident, tell } from '../core/incident.ts'
import type { Policy } from '../core/policy.ts'
import type { Reads, Store, Tx } from '../core/store.ts'
import { noTracer, type Tracer } from '../core/trace.ts'
import { worsen } from '../core/transitions.ts'
import { type Outcome, runName, type Workflow, type WorkflowRun, type WorkflowServices } from '../core/workflow.ts'
import { storeDrafts } from './changes.ts'
import { createFlow, type Line, stoppedBy } from './flow.ts'

export type WorkflowDeps = {
  store: Store
  definitions: readonly Workflow[]
  services: () => WorkflowServices
  policy: () => Policy
  installation: () => string
  clock: Clock
  log: Logger
  /** this process, as the holder of leases */
  owner: string
  /** spreads retries; default Math.random */
  random?: () => number
  /** something was stored: wake the lanes */
  onStored: () => void
  onEnded: (kind: string, outcome: string) => void
  /** opens an incident for a run that has none, or whose own is over: somebody must be woken. Doing it twice is harmless */
  raise: (run: WorkflowRun, text: string) => Promise<void>
  /** default: none */
  tracer?: () => Tracer
}

export type Workflows = {
  /** Begins one round: what is due runs on until it has to wait. Does not wait for it. */
  tick(): void
  /** until nothing that is due at this moment is left, for tests */
  idle(): Promise<void>
  /** No step begins any more; those under way are recorded. */
  stop(): Promise<void>
}

/** Renewed every second while a step is under way: whoever takes over from a dead process waits no longer than this. */
const LEASE = 4 * SECOND
const RENEW_EVERY = SECOND
/** Runs that one process carries at once. */
const CONCURRENCY = 20
/** Incidents merged into each other, followed at most so far. */
const MAX_MERGES = 5

/**
 * Runs workflows over leased rows. A run executes from its beginning each time; steps that are done give their stored result,
 * so a crash, a restart or another replica goes on where it was. Every step's outcome is stored with its line of the story in
 * one transaction, under a fence: whoever lost the lease can write nothing more.
 */
export function createWorkflows(deps: WorkflowDeps): Workflows {
  const { store, clock, log, owner } = deps
  const tracer = deps.tracer ?? (() => noTracer)
  const definitions = new Map(deps.definitions.map((one) => [one.kind, one]))
  const active = new Map<number, Promise<void>>()
  const unknown = new Set<number>()
  let looking: Promise<void> | null = null
  let again = false
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  // With SQLite nobody else can hold a lease: what a dead process of ours held is taken at once.
  const steal = store.exclusive

  function tick(): void {
    if (stopped) return
    again = looking !== null
    // Whoever woke it may be traced; what it finds has traces of its own.
    looking ??= tracer()
      .apart(look)
      .catch((error) => log.warn({ err: error }, `workflows wait: ${messageOf(error)}`))
      .finally(() => {
        looking = null
        if (again) tick()
      })
  }

  async function look(): Promise<void> {
    const now = clock()
    const room = CONCURRENCY - active.size
    const due = steal
      ? await dueHere(now, room)
      : await store.dueWorkflows(owner, now, room + active.size + unknown.size)
    for (const id of due) {
      if (active.has(id) || unknown.has(id) || active.size >= CONCURRENCY || stopped) continue
      const going = advance(id)
        .then(
          () => soon(),
          // The next round tries again: sooner would only hammer a store that cannot write.
          (error) => log.warn({ err: error, run: runName(id) }, `a workflow waits: ${messageOf(error)}`),
        )
        .finally(() => active.delete(id))
      active.set(id, going)
    }
  }

  async function dueHere(now: number, room: number): Promise<number[]> {
    const running = await store.workflows({ states: ['running'], limit: 200 })
    return running
      .filter((run) => (run.dueAt <= now || beganLater(run, now)) && !active.has(run.id) && !unknown.has(run.id))
      .slice(0, Math.max(0, room))
      .map(({ id }) => id)
  }

  /** The clock was set back: when this is due was counted from a time that has not come yet. */
  function beganLater({ steps, dueAt }: WorkflowRun, now: number): boolean {
    const last = steps.findLast(({ state }) => state === 'running')
    return dueAt > now && last !== undefined && last.startedAt > now + SECOND
  }

  /** Looks again when the next one is due; the round of every second is the safety net. */
  function soon(): void {
    if (stopped) return
    clearTimeout(timer)
    void store
      .nextWorkflowDue()
      .then((at) => {
        if (at === null || stopped) return
        const wait = at - clock()
        if (wait < SECOND) timer = setTimeout(tick, Math.max(20, wait)).unref()
      })
      .catch(() => {})
  }

  async function advance(id: number): Promise<void> {
    const now = clock()
    const claimed = await store.write(async (tx) => {
      const run = await tx.workflow(id)
      const definition = run ? definitions.get(run.kind) : undefined
      if (!run || !definition) return { run, definition: null, fence: null }
      return { run, definition, fence: await tx.claimWorkflow(id, owner, now, now + LEASE, steal) }
    })
    const { run, definition, fence } = claimed
    if (run && !definition && !unknown.has(id)) {
      // Left alone: a newer Claw beside this one may know it.
      unknown.add(id)
      log.error({ run: runName(id), kind: run.kind }, 'this Claw has no such workflow: start a newer one')
    }
    if (!run || !definition || fence === null) return
    const stop = new AbortController()
    const keeper = setInterval(() => {
      store
        .write((tx) => tx.extendWorkflow(id, fence, clock() + LEASE))
        .then(
          (held) => held || stop.abort(),
          () => {},
        )
    }, RENEW_EVERY)
    keeper.unref()
    try {
      const { flow, suspended } = createFlow({
        run,
        services: deps.services(),
        installation: deps.installation(),
        clock,
        random: deps.random ?? Math.random,
        stopping: () => stopped,
        signal: stop.signal,
        save: (release, lines) => save(run, fence, release, lines),
        raise: (text) => raise(run, text),
        tracer: tracer(),
      })
      const input = definition.input.safeParse(run.input)
      const running = input.success
        ? definition.run(flow, input.data)
        : Promise.reject(new ClawError('invalid', 'What it was to do cannot be read.'))
      const ended = await Promise.race([
        suspended,
        running.then(
          (outcome) => ({ outcome }),
          (error: unknown) => ({ error }),
        ),
      ])
      if (ended !== null) await conclude(run, fence, ended)
    } finally {
      clearInterval(keeper)
      stop.abort()
    }
  }

  async function conclude(
    run: WorkflowRun,
    fence: number,
    ended: { outcome: Outcome } | { error: unknown },
  ): Promise<void> {
    const now = clock()
    if ('error' in ended && !(ended.error instanceof ClawError && ended.error.code !== 'internal')) {
      log.error({ err: ended.error, run: runName(run.id), kind: run.kind }, 'a workflow failed in Claw itself')
    }
    if ('outcome' in ended) {
      // Stopped, and undone what had to be.
      const stopped = run.cancelledBy !== null && ended.outcome.state === 'failed'
      run.state = stopped ? 'cancelled' : ended.outcome.state
      run.outcome = ended.outcome.summary
      run.data = ended.outcome.data ?? null
    } else if (run.cancelledBy !== null && messageOf(ended.error).startsWith(stoppedBy(run.cancelledBy))) {
      run.state = 'cancelled'
      // What the workflow itself says of how far it came.
      const rest = messageOf(ended.error).slice(stoppedBy(run.cancelledBy).length)
      run.outcome = `${run.title} was stopped by ${run.cancelledBy}${goesOn(run) ? '; what the edge had begun may go on there' : ''}.${rest}`
    } else {
      const why = ended.error instanceof ClawError ? messageOf(ended.error) : 'Claw made a mistake; it is in the log.'
      run.state = 'failed'
      run.outcome = `${run.title} failed: ${why}`
    }
    run.endedAt = now
    const text = `${runName(run.id)}: ${run.outcome}`
    const stored = await save(run, fence, true, [
      { kind: run.state === 'succeeded' ? 'operation_done' : 'operation_failed', text, push: run.state === 'failed' },
    ])
    if (!stored) return
    log[run.state === 'failed' ? 'warn' : 'info'](
      { run: runName(run.id), kind: run.kind, incident: run.incident },
      text,
    )
    deps.onEnded(run.kind, run.state)
  }

  /** @returns false when another process carries the run now: nothing was stored */
  async function save(run: WorkflowRun, fence: number, release: boolean, lines: readonly Line[]): Promise<boolean> {
    const now = clock()
    const stored = await store.write(async (tx) => {
      if (!(await tx.saveWorkflow(run, fence, release))) return false
      // Somebody may have asked to stop while a step was under way.
      if (!release) run.cancelledBy = (await tx.workflow(run.id))?.cancelledBy ?? null
      if (lines.length > 0) await say(tx, run, lines, now)
      if (run.endedAt !== null) {
        await tx.appendAudit({
          at: new Date(now).toISOString(),
          actor: run.by,
          via: run.via,
          action: run.kind,
          target: run.incident === null ? '' : `incident ${run.incident}`,
          outcome: run.state === 'succeeded' ? 'done' : run.state,
          detail: `${runName(run.id)} ${run.outcome ?? ''}`.slice(0, 1000),
        })
      }
      return true
    })
    if (stored && lines.length > 0) deps.onStored()
    return stored
  }

  async function raise(run: WorkflowRun, text: string): Promise<void> {
    const incident = await incidentOf(store, run)
    if (!incident || incident.state === 'resolved') await deps.raise(run, text)
  }

  async function say(tx: Tx, run: WorkflowRun, lines: readonly Line[], now: number): Promise<void> {
    const incident = await incidentOf(tx, run)
    if (incident) {
      const draft = draftOf(incident)
      if (run.trace !== undefined) draft.traces = [run.trace]
      for (const { kind, text, push, alarm } of lines) {
        if (alarm && incident.state !== 'resolved') worsen(draft, text)
        tell(draft, now, kind, text, push)
      }
      await storeDrafts(tx, [draft], deps.policy(), now)
      return
    }
    const to = run.replyTo
    if (!to) return
    // Without an incident only what matters is said where it was asked, not every step.
    for (const { kind, text } of lines) {
      if (kind === 'step') continue
      await tx.addReply(to, to.lane.split(':')[0] as DestinationKind, reply(text), now)
    }
  }

  /** Where the run reports: its incident, or the one that this was merged into. */
  async function incidentOf(reads: Pick<Reads, 'incidents'>, run: WorkflowRun): Promise<Incident | null> {
    let id = run.incident
    for (let hop = 0; id !== null && hop < MAX_MERGES; hop++) {
      const [incident] = await reads.incidents([id])
      if (incident?.mergedInto === undefined) return incident ?? null
      id = incident.mergedInto
    }
    return null
  }

  return {
    tick,
    async idle() {
      for (let round = 0; round < 1000; round++) {
        tick()
        while (looking) await looking
        if (active.size === 0) return
        await Promise.all(active.values())
      }
      throw new ClawError('internal', 'a workflow never waits')
    },
    async stop() {
      stopped = true
      clearTimeout(timer)
      await looking
      await Promise.all(active.values())
    },
  }
}

/** Whether an operation of the edge was started whose end nobody waited for; steps are named by `Flow.operation`. */
function goesOn({ steps }: WorkflowRun): boolean {
  const done = (name: string) => steps.some((step) => step.name === name && step.state !== 'running')
  return steps.some(({ name, state }) => {
    const of = /^(.*): start$/.exec(name)?.[1]
    return of !== undefined && state === 'done' && !done(of)
  })
}
