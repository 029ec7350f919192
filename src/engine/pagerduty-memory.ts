import { z } from 'zod'
import type { PagerDutyStatus } from '../core/pagerduty.ts'
import type { Reads, Tx } from '../core/store.ts'

const seen = z.object({
  incident: z.number(),
  page: z.string(),
  at: z.number(),
  status: z.enum(['triggered', 'acknowledged', 'resolved']).nullable(),
})

const schema = z.object({
  /** by PagerDuty's id, oldest first */
  incidents: z.record(z.string(), seen),
  /** escalation policies that our pages follow */
  policies: z.array(z.string()),
  /** pages that were told to be missing there */
  warned: z.array(z.string()),
})

/** What is known of PagerDuty's side; bounded, one document in `meta`. */
export type Memory = z.output<typeof schema>

const KEY = 'pagerduty'
/** A PagerDuty incident that is forgotten is found again by its key; only notes and order lose by it. */
const MAX_INCIDENTS = 1000
const MAX_POLICIES = 20

export async function readMemory(from: Pick<Reads, 'meta'>): Promise<Memory> {
  const text = await from.meta(KEY)
  const parsed = schema.safeParse(text === null ? null : JSON.parse(text))
  return parsed.success ? parsed.data : { incidents: {}, policies: [], warned: [] }
}

export async function writeMemory(tx: Tx, memory: Memory): Promise<void> {
  const text = JSON.stringify(memory)
  if (text !== (await tx.meta(KEY))) await tx.setMeta(KEY, text)
}

/** The newest that is known of one PagerDuty incident. */
export function remember(
  memory: Memory,
  id: string,
  place: { incident: number; page: string },
  at: number,
  status: PagerDutyStatus | null,
): void {
  const known = Object.hasOwn(memory.incidents, id) ? memory.incidents[id] : undefined
  const next = {
    ...place,
    // only what tells a status has a place in the order of statuses
    at: status === null ? (known?.at ?? 0) : Math.max(known?.at ?? 0, at),
    status: status ?? known?.status ?? null,
  }
  const others = Object.entries(memory.incidents).filter(([other]) => other !== id)
  memory.incidents = Object.fromEntries([...others.slice(1 - MAX_INCIDENTS), [id, next]])
}

export function rememberPolicy(memory: Memory, id: string | null): void {
  if (id === null || memory.policies.includes(id)) return
  memory.policies = [...memory.policies, id].slice(-MAX_POLICIES)
}
