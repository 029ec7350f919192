import { createHash } from 'node:crypto'
import { type Incident, newIncident } from '../../../src/core/incident.ts'
import type { Delivery, DeliveryOutcome, NewDelivery, OccurrenceRow, Store } from '../../../src/core/store.ts'

export const T = Date.UTC(2026, 4, 4, 2, 15)

/** A fresh, empty store on one of the databases; closed after the test. */
export type Fresh = (t: { after(done: () => Promise<void>): void }) => Promise<Store>

/** 20 kB that do not compress, so that no database can squeeze them into an index. */
const noise = Array.from({ length: 320 }, (_, n) => createHash('sha256').update(String(n)).digest('hex')).join('')

/** Every valid JSON string must survive (contract.md, section 8). */
export const NASTY: readonly string[] = [
  '',
  'a\0b',
  '\ud800',
  '\udc00\ud800',
  '🔥 Ünïcode ​‮',
  `'; DROP TABLE alerts; -- ? $1 \\ " %`,
  '__proto__',
  noise,
]

export function row(overrides: Partial<OccurrenceRow> = {}): OccurrenceRow {
  return {
    fingerprint: 'f1',
    incidentId: 1,
    name: 'TokenBucketDepleted',
    region: 'A',
    level: 'P1',
    state: 'firing',
    startsAt: T,
    endsAt: null,
    firstSeen: T,
    lastSeen: T,
    timesSeen: 1,
    suppressed: null,
    doubtUntil: null,
    digest: 0,
    payload: { labels: { alertname: 'TokenBucketDepleted' }, annotations: {}, generatorURL: '' },
    ...overrides,
  }
}

export function incident(id: number, overrides: Partial<Incident> = {}): Incident {
  return { ...newIncident(id, `{"service":"s${id}"}`, { service: `s${id}` }, T), ...overrides }
}

export function newDelivery(overrides: Partial<NewDelivery> = {}): NewDelivery {
  return {
    incidentId: 1,
    lane: 'slack',
    kind: 'slack',
    target: 'C1',
    receiver: 'default',
    settings: { channel: 'C1', notify: true },
    wanted: 1,
    createdAt: T,
    ...overrides,
  }
}

/** What a lane records when all went well; override what did not. */
export function outcome(of: Delivery, fence: number, overrides: Partial<DeliveryOutcome> = {}): DeliveryOutcome {
  return {
    id: of.id,
    fence,
    state: 'delivered',
    dueAt: T + 100,
    priority: of.priority,
    shown: of.wanted,
    attempts: 0,
    inDoubt: false,
    reference: 'ts-1',
    reason: null,
    adapterState: { ts: '1' },
    deliveredAt: T + 100,
    ...overrides,
  }
}

/** The only delivery of incident 1. */
export async function delivery(store: Store): Promise<Delivery> {
  const [first] = await store.deliveriesOf([1])
  if (!first) throw new Error('there is no delivery')
  return first
}
