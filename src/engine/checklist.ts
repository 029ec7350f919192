import { paged } from '../core/checklist.ts'
import type { Clock } from '../core/clock.ts'
import { SECOND } from '../core/clock.ts'
import type { Incident } from '../core/incident.ts'
import type { Delivery, Store } from '../core/store.ts'

export type ChecklistDeps = { store: Store; clock: Clock }

/** Incidents of one round, the newest. */
const MAX_INCIDENTS = 20
const EVERY = 2 * SECOND

/**
 * Ticks "alerting" once a page has arrived: no line of the story tells of deliveries. Nothing is sent for it; messages show it
 * with their next change.
 */
export function createChecklistRounds(deps: ChecklistDeps): { tick(): Promise<void> } {
  const { store, clock } = deps
  let nextAt = 0
  return {
    async tick() {
      const now = clock()
      if (now < nextAt && nextAt - now <= EVERY) return
      nextAt = now + EVERY
      const open = await store.listIncidents({ states: ['open', 'acknowledged'], limit: MAX_INCIDENTS, before: null })
      const waiting = open.filter((incident) => !incident.synthetic && waits(incident))
      if (waiting.length === 0) return
      const deliveries = await store.deliveriesOf(waiting.map(({ id }) => id))
      const reached = waiting.flatMap(({ id }) => {
        const first = reachedBy(deliveries.filter((delivery) => delivery.incidentId === id))
        return first ? [{ id, ...first }] : []
      })
      if (reached.length === 0) return
      await store.write(async (tx) => {
        const incidents = await tx.incidents(reached.map(({ id }) => id))
        const changed = incidents.filter((incident) => {
          const told = reached.find(({ id }) => id === incident.id)
          const next = told ? paged(incident.checklist, told.at, told.where) : incident.checklist
          if (next === incident.checklist || next === undefined) return false
          incident.checklist = [...next]
          return true
        })
        if (changed.length > 0) await tx.saveIncidents(changed)
      })
    },
  }
}

function waits(incident: Incident): boolean {
  return (incident.checklist?.find(({ phase }) => phase === 'alerting')?.state ?? 'open') === 'open'
}

/** The first page that arrived; a message counts only where nobody is paged. */
function reachedBy(deliveries: readonly Delivery[]): { at: number; where: string } | null {
  const people = deliveries.filter(({ kind }) => Object.hasOwn(NAMES, kind))
  const pages = people.filter(({ kind }) => kind === 'pagerduty')
  const told = (pages.length > 0 ? pages : people).filter(({ deliveredAt }) => deliveredAt !== null)
  const [first] = told.sort((a, b) => (a.deliveredAt ?? 0) - (b.deliveredAt ?? 0))
  if (!first) return null
  return { at: first.deliveredAt ?? 0, where: NAMES[first.kind] ?? first.kind }
}

/** Where people are reached; other destinations are programs. */
const NAMES: { readonly [kind in Delivery['kind']]?: string } = {
  pagerduty: 'PagerDuty',
  slack: 'Slack',
  telegram: 'Telegram',
}
