import type { Delivery, OccurrenceRow } from '../../src/core/store.ts'
import type { StoryEvent } from '../../src/core/view.ts'
import { destinationOf, iso, oneLine } from './present.ts'

export type TimelineEntry = {
  /** ISO 8601, UTC */
  at: string | null
  kind: string
  /** who did it; null when Claw or an alert did */
  actor: string | null
  /** one line; may quote labels */
  text: string
}

/**
 * All that happened, oldest first: the story, each alert's start and end, each destination's first and latest message.
 * What happened in the same millisecond keeps that order.
 */
export function timelineOf(from: {
  story: readonly StoryEvent[]
  alerts: readonly OccurrenceRow[]
  deliveries: readonly Delivery[]
}): TimelineEntry[] {
  const entries: { at: number; kind: string; actor: string | null; text: string }[] = []
  for (const { at, kind, actor, text } of from.story) entries.push({ at, kind, actor, text: oneLine(text, 1000) })
  for (const row of from.alerts) {
    const where = row.region === '' ? '' : ` in ${row.region}`
    const what = oneLine(`${row.name || 'An alert without a name'}${where}`, 300)
    const why = row.suppressed === null ? '' : `, suppressed: ${oneLine(row.suppressed, 100)}`
    entries.push({ at: row.firstSeen, kind: 'alert_firing', actor: null, text: `${what} fires (${row.level})${why}.` })
    if (row.state === 'resolved' && row.endsAt !== null) {
      entries.push({ at: row.endsAt, kind: 'alert_resolved', actor: null, text: `${what} ended.` })
    }
  }
  for (const delivery of from.deliveries) {
    const destination = oneLine(destinationOf(delivery), 200)
    const receiver = oneLine(delivery.receiver, 100)
    entries.push({
      at: delivery.createdAt,
      kind: 'delivery_created',
      actor: null,
      text: `${destination} is to be told, for receiver ${receiver}.`,
    })
    if (delivery.deliveredAt !== null) {
      entries.push({ at: delivery.deliveredAt, kind: 'delivered', actor: null, text: `${destination} was told.` })
    }
  }
  // The sort is stable.
  return entries.sort((a, b) => a.at - b.at).map((entry) => ({ ...entry, at: iso(entry.at) }))
}
