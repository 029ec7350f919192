import { z } from 'zod'
import { ClawError } from '../../core/errors.ts'

/** What can be made to go wrong: long work by its kind, and the calls that are answered at once. */
export const FAULT_KINDS = [
  'reconcile',
  'reset',
  'capacity',
  'scale',
  'revert',
  'failover',
  'canary',
  'snapshot',
  'acknowledgement',
  '*',
] as const
export type FaultKind = (typeof FAULT_KINDS)[number]

export const EdgeFault = z.strictObject({
  kind: z.enum(FAULT_KINDS).default('failover'),
  /**
   * `fail`: accepted, fails at its end without effect · `stuck`: stays half-way until it is superseded or the world is reset ·
   * `refuse`: answered 503, nothing begins · `missing`: answered 404, as by an edge that lacks the call ·
   * `unhealthy-after-failover`: the failover succeeds, then the target's bucket collapses and its health fails while it serves
   * clients of other regions. Calls that are answered at once have only `refuse` and `missing`; the others refuse them too.
   */
  mode: z.enum(['fail', 'stuck', 'refuse', 'missing', 'unhealthy-after-failover']),
  /** how many calls it hits before it is spent */
  times: z.coerce.number().int().min(1).max(1_000).default(1),
})
export type EdgeFault = z.infer<typeof EdgeFault>

/** The switch for failures of the admin API. The oldest fault that fits acts. */
export type EdgeFaults = {
  /** @throws ClawError('invalid') for a mode that the kind cannot have */
  add(fault: z.input<typeof EdgeFault>): void
  /** those that are not spent, oldest first; `times` is what is left */
  list(): EdgeFault[]
  clear(): void
  /** Spends one fault for a call of this kind. @throws ClawError for `refuse` and `missing` */
  take(kind: Exclude<FaultKind, '*'>): 'fail' | 'stuck' | 'unhealthy-after-failover' | null
}

/** Makes a switch with nothing set. */
export function createEdgeFaults(): EdgeFaults {
  let faults: EdgeFault[] = []
  return {
    add(input) {
      const fault = EdgeFault.parse(input)
      if (fault.mode === 'unhealthy-after-failover' && fault.kind !== 'failover' && fault.kind !== '*') {
        throw new ClawError('invalid', `${fault.kind} cannot have the fault unhealthy-after-failover; failover can.`)
      }
      faults.push(fault)
    },
    list: () => faults.map((fault) => ({ ...fault })),
    clear() {
      faults = []
    },
    take(kind) {
      const fault = faults.find(
        (one) =>
          (one.kind === kind || one.kind === '*') && (one.mode !== 'unhealthy-after-failover' || kind === 'failover'),
      )
      if (!fault) return null
      fault.times -= 1
      if (fault.times === 0) faults = faults.filter((one) => one !== fault)
      if (fault.mode === 'missing') throw new ClawError('not_found', `This edge has no ${kind}; a fault was set.`)
      if (fault.mode === 'refuse') throw new ClawError('unavailable', `The edge refuses ${kind}; a fault was set.`)
      return fault.mode
    },
  }
}
