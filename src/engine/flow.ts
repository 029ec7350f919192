import { createHash } from 'node:crypto'
import type { Clock } from '../core/clock.ts'
import { SECOND } from '../core/clock.ts'
import type { Json } from '../core/delivery.ts'
import type { EdgeOperation } from '../core/edge.ts'
import { ClawError, messageOf } from '../core/errors.ts'
import type { Tracer } from '../core/trace.ts'
import {
  type Flow,
  type PollOptions,
  runName,
  type StepContext,
  type StepRecord,
  type WorkflowRun,
  type WorkflowServices,
} from '../core/workflow.ts'

/** A line of the story that is stored together with a step. */
export type Line = { kind: string; text: string; push: boolean; alarm?: boolean }

export type FlowDeps = {
  run: WorkflowRun
  services: WorkflowServices
  installation: string
  clock: Clock
  random: () => number
  /** no step begins any more */
  stopping: () => boolean
  signal: AbortSignal
  /** @returns false when another process carries the run now. @throws ClawError when nothing can be stored */
  save: (release: boolean, lines: readonly Line[]) => Promise<boolean>
  /** wakes somebody where the run's incident cannot */
  raise: (text: string) => Promise<void>
  tracer: Tracer
}

/** What a step throws that does not begin because the run was cancelled. */
export const stoppedBy = (person: string): string => `Stopped by ${person}.`

const TIMEOUT = 10 * SECOND
const ATTEMPTS = 6
const POLL_EVERY = SECOND
const MAX_BACK_OFF = 15 * SECOND

/** The edge keeps keys of this length at most. */
const MAX_KEY = 255

/**
 * The flow of one execution of a run. `suspended` resolves (with null) when the run has to wait, or another process took it,
 * and rejects when nothing can be stored: this execution is over then, and the promise that the workflow hangs on never
 * settles. So what the store cannot do is never taken for a failure of the workflow, and undoes nothing.
 */
export function createFlow(deps: FlowDeps): { flow: Flow; suspended: Promise<null> } {
  const { run, clock, save } = deps
  const { promise: suspended, resolve: leave, reject: giveUp } = Promise.withResolvers<null>()
  let compensating = 0

  /** Ends this execution; the next one comes to this place again at `dueAt`. */
  async function suspend(dueAt: number, lines: readonly Line[] = []): Promise<never> {
    run.dueAt = dueAt
    await keep(true, lines)
    return away()
  }
  function away(): Promise<never> {
    leave(null)
    return new Promise<never>(() => {})
  }
  async function keep(release: boolean, lines: readonly Line[]): Promise<boolean> {
    try {
      return await save(release, lines)
    } catch (error) {
      giveUp(error)
      return new Promise<never>(() => {})
    }
  }
  async function store(lines: readonly Line[] = []): Promise<void> {
    if (!(await keep(false, lines))) await away()
  }

  const find = (name: string) => run.steps.find((step) => step.name === name)
  function keyOf(name: string): string {
    const whole = `${deps.installation}-${runName(run.id)}-${run.startedAt}-${name}`.replaceAll(' ', '_')
    const key = encodeURIComponent(whole.toWellFormed())
    if (key.length <= MAX_KEY) return key
    return `${key.slice(0, MAX_KEY - 65)}-${createHash('sha256').update(key).digest('hex')}`
  }

  /**
   * The step's record: as stored, or begun now; it is to be worked on unless it is done. A step whose effect may have happened
   * already (`attempt`, begun) goes on although the run was cancelled: only its end tells what there is to undo. Without `begin`
   * nothing is stored yet.
   */
  async function enter(name: string, attempt: boolean, begin = true): Promise<StepRecord> {
    const known = find(name)
    if (known?.state === 'done') return known
    // The clock was set back: counted from now, nothing waits for longer than it was meant to.
    if (known && known.startedAt > clock() + SECOND) known.startedAt = clock()
    if (known?.state === 'failed') {
      throw new ClawError(known.error?.code ?? 'internal', known.error?.message ?? `${name} failed.`)
    }
    const inDoubt = attempt && known !== undefined
    if (run.cancelledBy !== null && compensating === 0 && !inDoubt) {
      throw new ClawError('conflict', stoppedBy(run.cancelledBy))
    }
    if (deps.stopping()) return suspend(clock())
    const record: StepRecord = known ?? {
      name,
      state: 'running',
      attempts: 0,
      startedAt: clock(),
      endedAt: null,
      result: null,
      error: null,
    }
    if (!known) run.steps.push(record)
    if (attempt) record.attempts += 1
    if (begin && (attempt || !known)) await store()
    return record
  }

  async function finish<T extends Json>(record: StepRecord, result: T, line: string | null): Promise<T> {
    Object.assign(record, { state: 'done', endedAt: clock(), result, error: null })
    await store(line === null ? [] : [{ kind: 'step', text: `${runName(run.id)}: ${line}`, push: false }])
    return result
  }

  async function fail(record: StepRecord, error: ClawError): Promise<never> {
    Object.assign(record, {
      state: 'failed',
      endedAt: clock(),
      error: { code: error.code, message: error.message },
    })
    await store([
      { kind: 'step_failed', text: `${runName(run.id)}: ${record.name} failed: ${error.message}`, push: false },
    ])
    throw error
  }

  /** A step goes on in the trace of what started the run; of a run that nothing traced started, in that of its first step. */
  function traced<T>(record: StepRecord, work: () => Promise<T>): Promise<T> {
    const { tracer } = deps
    if (!tracer.on) return work()
    const about = {
      operation: run.kind,
      run: runName(run.id),
      step: record.name,
      attempt: record.attempts,
      ...(run.incident === null ? {} : { incident: run.incident }),
    }
    return tracer.span(`step ${run.kind}`, about, run.trace ?? null, (span) => {
      if (run.trace === undefined && span.traceparent !== null) run.trace = span.traceparent
      return work()
    })
  }

  /** One attempt within its time. Mistakes of ours fail the step at once: they are no `unavailable`. */
  async function attempt<T>(
    record: StepRecord,
    timeout: number,
    work: (step: StepContext) => Promise<T>,
  ): Promise<{ result: T } | { error: ClawError; retry: boolean }> {
    const limit = new AbortController()
    const timer = setTimeout(() => limit.abort(), timeout).unref()
    const late = new Promise<never>((_, reject) => {
      limit.signal.addEventListener('abort', () => {
        reject(new ClawError('timeout', `${record.name}: no answer within ${Math.round(timeout / SECOND)} s.`))
      })
    })
    try {
      const signal = AbortSignal.any([limit.signal, deps.signal])
      const step = { key: keyOf(record.name), attempt: record.attempts, signal, now: clock() }
      return { result: await traced(record, () => Promise.race([work(step), late])) }
    } catch (thrown) {
      const error =
        thrown instanceof ClawError
          ? thrown
          : new ClawError('internal', `${record.name}: Claw made a mistake (${messageOf(thrown).slice(0, 200)}).`, {
              cause: thrown,
            })
      return { error, retry: error.code === 'unavailable' || error.code === 'timeout' }
    } finally {
      clearTimeout(timer)
    }
  }

  const flow: Flow = {
    id: run.id,
    name: runName(run.id),
    by: run.by,
    incident: run.incident === null ? null : String(run.incident),
    startedAt: run.startedAt,
    services: deps.services,

    async step(name, options, work) {
      const record = await enter(name, true)
      if (record.state === 'done') return record.result as Awaited<ReturnType<typeof work>>
      const outcome = await attempt(record, options.timeout ?? TIMEOUT, work)
      if ('result' in outcome) return finish(record, outcome.result, options.say?.(outcome.result) ?? null)
      if (!outcome.retry || record.attempts >= (options.attempts ?? ATTEMPTS)) return fail(record, outcome.error)
      record.error = { code: outcome.error.code, message: outcome.error.message }
      const pause = Math.min(MAX_BACK_OFF, 500 * 2 ** (record.attempts - 1)) * (0.5 + deps.random() / 2)
      return suspend(clock() + Math.round(pause))
    },

    async poll<T extends Json>(
      name: string,
      options: PollOptions<T>,
      look: (step: StepContext) => Promise<T | null>,
    ): Promise<T> {
      const record = await enter(name, false)
      if (record.state === 'done') return record.result as T
      const outcome = await attempt(record, TIMEOUT, look)
      if ('result' in outcome && outcome.result !== null) {
        return finish(record, outcome.result, options.say?.(outcome.result) ?? null)
      }
      if ('error' in outcome) {
        if (!outcome.retry) return fail(record, outcome.error)
        record.error = { code: outcome.error.code, message: outcome.error.message }
      }
      const until = record.startedAt + options.timeout
      if (clock() >= until) {
        const last = 'error' in outcome ? ` Last answer: ${outcome.error.message}` : ''
        return fail(
          record,
          new ClawError('timeout', `${options.what} within ${Math.round(options.timeout / SECOND)} s.${last}`),
        )
      }
      return suspend(Math.min(until, clock() + (options.every ?? POLL_EVERY)))
    },

    async operation(name, timeout, start) {
      const id = await flow.step(`${name}: start`, {}, start)
      const ended = await flow.poll(
        name,
        { timeout, what: `Operation ${id} of the edge did not end` },
        async ({ signal }) => {
          const { edge } = deps.services
          if (!edge) throw new ClawError('invalid', 'No edge is configured: set edge.url.')
          const said = await edge.operation(id, signal)
          return said.state === 'running' ? null : said
        },
      )
      if (ended.state === 'failed') {
        throw new ClawError('conflict', `The edge could not do it (${ended.kind}): ${ended.detail}`)
      }
      return ended satisfies EdgeOperation
    },

    async wait(name, ms) {
      const record = await enter(name, false)
      if (record.state === 'done') return
      const until = record.startedAt + ms
      if (clock() >= until) await finish(record, null, null)
      else await suspend(until)
    },

    async tell(name, text, push = false) {
      const record = await enter(name, false, false)
      if (record.state === 'done') return
      Object.assign(record, { state: 'done', endedAt: clock() })
      await store([{ kind: 'operation', text: `${runName(run.id)}: ${text}`, push }])
    },

    async alarm(name, text) {
      const record = await enter(name, false, false)
      if (record.state === 'done') return
      try {
        await deps.raise(text)
      } catch (error) {
        giveUp(error)
        return new Promise<never>(() => {})
      }
      Object.assign(record, { state: 'done', endedAt: clock() })
      await store([{ kind: 'operation_alarm', text: `${runName(run.id)}: ${text}`, push: true, alarm: true }])
    },

    async compensate(work) {
      compensating += 1
      try {
        return await work()
      } finally {
        compensating -= 1
      }
    },
  }
  return { flow, suspended }
}
