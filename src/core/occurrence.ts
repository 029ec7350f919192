import type { Alert } from './alert.ts'
import type { Occurrence } from './incident.ts'

/** What a reception means for what is already known of its fingerprint. Every decision has a name, kept in metrics. */
export type Reception =
  /** never seen, or its last occurrence is over and a new one began: it joins an incident */
  | { decision: 'new' | 'again' }
  /** known and firing: counters only; `startsAt` may be that of a later occurrence whose resolve was lost */
  | { decision: 'repeated' }
  /** firing again of an occurrence that was resolved: an HA pair's stale copy, or honest; held until `doubtUntil` */
  | { decision: 'doubted'; doubtUntil: number }
  /** held already */
  | { decision: 'still_doubted' }
  /** firing of an occurrence older than the known one: late delivery */
  | { decision: 'late' }
  /** the firing occurrence ended */
  | { decision: 'resolved' }
  /** a resolve of what is resolved: nothing; ends a doubt */
  | { decision: 'resolve_repeated' }
  /** a resolve of an occurrence older than the one that fires now: it does not end that */
  | { decision: 'resolve_late' }
  /** a resolve of something never seen firing (`max_alerts`, or our firing still on its way) */
  | { decision: 'resolve_unknown' }

/**
 * Decides what one reception of an alert means (protocols.md, section 1: repeats, HA twins, stale firing after a
 * resolve, out-of-order delivery). Pure.
 *
 * @param known the newest occurrence of the same fingerprint, if any
 * @param doubtFor milliseconds that a firing of a resolved occurrence is held
 */
export function receive(alert: Alert, known: Occurrence | undefined, now: number, doubtFor: number): Reception {
  if (alert.status === 'firing') {
    if (!known) return { decision: 'new' }
    if (known.state === 'firing') return { decision: 'repeated' }
    if (alert.startsAt > known.startsAt) return { decision: 'again' }
    if (alert.startsAt < known.startsAt) return { decision: 'late' }
    return known.doubtUntil === null
      ? { decision: 'doubted', doubtUntil: now + doubtFor }
      : { decision: 'still_doubted' }
  }
  if (!known) return { decision: 'resolve_unknown' }
  if (known.state === 'resolved') return { decision: 'resolve_repeated' }
  // Alertmanager merges overlapping copies and may then tell an earlier start, so an end after our start ends it too.
  const ends = alert.startsAt >= known.startsAt || (alert.endsAt ?? now) > known.startsAt
  return { decision: ends ? 'resolved' : 'resolve_late' }
}
