import { MINUTE, SECOND } from '../../core/clock.ts'
import { isPlaced, OWN_NOTE, type PagerDutyRest } from '../../core/pagerduty.ts'
import type { IncidentView, StoryEvent } from '../../core/view.ts'

export type NotesOptions = {
  rest: PagerDutyRest
  /** e-mail address of a person, so that PagerDuty shows the note as theirs; null when not known */
  emailOf: (person: string) => string | null
}

export type Notes = {
  /** Writes the line under the newest PagerDuty incident of the key, by and by. Never throws, never waits. */
  write(key: string, line: StoryEvent): void
  /** resolves when nothing is under way */
  idle(): Promise<void>
  close(): Promise<void>
}

/** A few seconds of acts by people; beyond that PagerDuty is down, and its pages matter more than its notes. */
const MAX_WAITING = 100

/**
 * Names the person behind our own acknowledge and resolve events, which PagerDuty shows as the service's. Beside the lane, so that
 * a slow REST API delays no page: tried once, lost in a crash.
 */
export function createNotes({ rest, emailOf }: NotesOptions): Notes {
  let waiting = 0
  let closed = false
  let last: Promise<void> = Promise.resolve()

  async function one(key: string, line: StoryEvent): Promise<void> {
    try {
      if (closed) return
      const [newest] = await rest.incidentsByKey(key)
      if (newest === undefined || closed) return
      await rest.note(newest.id, `${OWN_NOTE}${line.text}`, line.actor === null ? null : emailOf(line.actor))
    } catch {
      // a note is a courtesy; what hinders it is seen where polling fails as well
    } finally {
      waiting -= 1
    }
  }

  return {
    write(key, line) {
      if (closed || waiting >= MAX_WAITING) return
      waiting += 1
      last = last.then(() => one(key, line))
    },
    idle: () => last,
    async close() {
      closed = true
      await last
    },
  }
}

/** An act older than this is history by the time PagerDuty hears of it. */
const NEWS_FOR = 10 * MINUTE

/**
 * The line of the story that names who did what an event just told PagerDuty; null when no person did it, when it was done
 * in PagerDuty itself, or when it was noted before.
 * @param noted `seq` of the newest line that was noted
 */
export function lineToNote(
  incident: IncidentView,
  action: 'acknowledge' | 'resolve',
  noted: number,
  now: number,
): StoryEvent | null {
  const kind = action === 'acknowledge' ? 'acknowledged' : 'resolved'
  const line = incident.story.findLast((event) => event.kind === kind)
  if (line === undefined || line.actor === null || line.seq <= noted || isPlaced(line)) return null
  return now - line.at <= NEWS_FOR + SECOND ? line : null
}
