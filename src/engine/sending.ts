import type { Logger } from 'pino'
import { type Clock, SECOND } from '../core/clock.ts'
import type { Reply } from '../core/command.ts'
import type { Destination, Json, StepResult } from '../core/delivery.ts'
import { messageOf } from '../core/errors.ts'
import type { Delivery, Store } from '../core/store.ts'
import { type Traced, type Tracer, tracesBetween } from '../core/trace.ts'
import type { IncidentView } from '../core/view.ts'

export type SendingDeps = {
  store: Pick<Store, 'references'>
  loadView: (incidentId: number) => Promise<(IncidentView & Traced) | null>
  clock: Clock
  installation: string
  log: Logger
  tracer: Tracer
}

/** Beyond the adapters' own time-outs (5 s a request, few requests a step): the step is given up as doubtful. */
const STEP_LIMIT = 20 * SECOND
/** Ids of one's own messages handed to an adapter that searches for a lost one. */
const REFERENCES = 200

/**
 * Renders the newest version of what a delivery shows and makes one step at the destination. Never rejects; `version` is what
 * the destination shows when the step is done.
 */
export function createSending(
  destination: Destination,
  deps: SendingDeps,
): (row: Delivery, inDoubt: boolean) => Promise<StepResult & { version: number }> {
  const { store, clock, log, tracer } = deps

  async function stepOf(row: Delivery, inDoubt: boolean): Promise<StepResult & { version: number }> {
    const controller = new AbortController()
    let limit: NodeJS.Timeout | undefined
    let begun = false
    try {
      const sending = await sendingOf(row, inDoubt, controller.signal)
      if (sending === null)
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
      begun = true
      return { ...(await Promise.race([sending.send(), late])), version: sending.version }
    } catch (error) {
      log.error({ err: error, lane: destination.lane, delivery: row.id }, 'a delivery step failed in Claw itself')
      const reason = `Claw could not prepare the message: ${messageOf(error).slice(0, 200)}`
      return { outcome: 'retry', reason, retryAfterMs: null, inDoubt: begun, scope: 'target', version: row.shown }
    } finally {
      clearTimeout(limit)
    }
  }

  /** A delivery shows an incident, or says one answer of a command (`addReply`). */
  async function sendingOf(
    row: Delivery,
    inDoubt: boolean,
    signal: AbortSignal,
  ): Promise<{ version: number; send: () => Promise<StepResult> } | null> {
    const base = { target: row.target, state: row.adapterState, inDoubt, now: clock(), signal }
    if (row.incidentId < 0) {
      const { address = null, reply } = row.settings as { address?: Json; reply: unknown }
      const send = async (): Promise<StepResult> =>
        (await destination.reply?.({ ...base, address, reply: reply as Reply })) ?? {
          outcome: 'dead',
          reason: 'This destination cannot answer commands.',
        }
      return { version: row.wanted, send }
    }
    const incident = await deps.loadView(row.incidentId)
    if (incident === null) return null
    const { installation } = deps
    const { settings } = row
    const send = () =>
      destination.step({ ...base, settings, incident, installation, knownReferences: () => knownReferences(row) })
    const traced = tracer.on ? traceOf(row, inDoubt, incident, send) : null
    return { version: incident.version, send: traced ?? send }
  }

  /** The step within the trace of what it shows; null where that is not traced. */
  function traceOf(
    row: Delivery,
    doubted: boolean,
    { traces, version }: IncidentView & Traced,
    send: () => Promise<StepResult>,
  ): (() => Promise<StepResult>) | null {
    const { parent, links } = tracesBetween(traces, row, version)
    if (parent === null) return null
    const about = { incident: row.incidentId, destination: row.lane, version, attempt: row.attempts + 1, doubted }
    return () =>
      tracer.span(
        `deliver ${row.lane}`,
        about,
        parent,
        async (span) => {
          const result = await send()
          span.set({ outcome: result.outcome })
          return result
        },
        { kind: 'consumer', links },
      )
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

  return stepOf
}
