import type { Destination, Renderer, StepInput, StepResult } from '../../core/delivery.ts'
import type { PagerDutyRest } from '../../core/pagerduty.ts'
import { type NetworkFailure, retryAfterMs } from '../http.ts'
import { createEnqueue, type EnqueueAnswer } from './enqueue.ts'
import { cut, dedupKey, plainEvent, safeText, triggerEvent } from './event.ts'
import { LIMITS, PACING, RATE_LIMIT_PAUSE_MS, REFUSED_PAUSE_MS } from './limits.ts'
import { createNotes, lineToNote } from './notes.ts'
import { accepted, nextEvent, readState, settled } from './plan.ts'

export type PagerDutyOptions = {
  /** integration (routing) key by target */
  routingKeys: ReadonlyMap<string, string>
  /** `pagerduty.events_url`; http is allowed, and so is a path prefix */
  eventsUrl: string
  renderer: Renderer
  /** for one event, answer included; default 5 000 */
  timeoutMs?: number
  /** `client_url` of incidents without a page of their own */
  clientUrl?: string
  /** REST API, to name the person behind an acknowledgement or a resolve in a note; none without it */
  rest?: PagerDutyRest | null
  /** e-mail address of a person, so that the note is theirs */
  emailOf?: (person: string) => string | null
}

/**
 * The PagerDuty destination: Events API v2 through pdjs. Level-triggered over `incident.pages`: each step sends the one
 * event that PagerDuty still lacks, and the step after which nothing is lacking is `done`. A trigger in doubt is simply repeated: its
 * dedup key makes it wake nobody twice. `reference` is the dedup key of the incident's own page. No reason holds a routing key.
 * @throws ClawError('invalid') when `eventsUrl` is no http(s) URL
 */
export function createPagerDutyDestination(options: PagerDutyOptions): Destination {
  const { routingKeys, eventsUrl, renderer, timeoutMs = 5_000, clientUrl } = options
  const enqueue = createEnqueue(eventsUrl, timeoutMs)
  const { rest = null, emailOf = () => null } = options
  const notes = rest === null ? null : createNotes({ rest, emailOf })

  return {
    kind: 'pagerduty',
    lane: 'pagerduty',
    pacing: PACING,
    async close() {
      enqueue.close()
      await notes?.close()
    },
    async step(input: StepInput): Promise<StepResult> {
      const { incident, installation, target, now } = input
      const before = readState(input.state)
      const state = input.inDoubt ? { ...before, doubt: true as const } : before
      const reference = incident.pages.length === 0 ? null : dedupKey(installation, incident.id, '')
      const next = nextEvent(incident.pages, state)
      if (next === null) return { outcome: 'done', state: settled(state, incident.pages), reference }

      const routingKey = routingKeys.get(target)
      if (routingKey === undefined) {
        const reason = `No PagerDuty routing key for "${cut(safeText(target), 100)}": set pagerduty.routing_key, then redeliver`
        return { outcome: 'dead', reason }
      }
      const eventInput = { incident, page: next.page, routingKey, installation, renderer, clientUrl, now }
      const event = next.action === 'trigger' ? triggerEvent(eventInput) : plainEvent(next.action, eventInput)
      const answer = await enqueue.send(event, input.signal)
      const failure = failureOf(answer, routingKey, now)
      if (failure !== null) return failure

      let after = accepted(state, next)
      const line =
        notes === null || next.action === 'trigger' ? null : lineToNote(incident, next.action, after.noted ?? 0, now)
      if (line !== null) {
        notes?.write(event.dedup_key, line)
        after = { ...after, noted: line.seq }
      }
      return nextEvent(incident.pages, after) === null
        ? { outcome: 'done', state: settled(after, incident.pages), reference }
        : { outcome: 'progress', state: after, reference }
    },
  }
}

/** What an answer means for the delivery; null when PagerDuty took the event ("Events API v2 Overview", response codes). */
function failureOf(answer: EnqueueAnswer | NetworkFailure, routingKey: string, now: number): StepResult | null {
  if ('reason' in answer) {
    const reason = `PagerDuty: ${answer.reason}`
    return { outcome: 'retry', reason, retryAfterMs: null, inDoubt: answer.sent, scope: 'target' }
  }
  const { status } = answer
  if (status === 202 || (status >= 200 && status <= 299 && answer.json)) return null
  if (status >= 200 && status <= 299) {
    // perhaps a proxy's page in front of PagerDuty: a page must not be lost to it, and the dedup key makes asking again safe
    const reason = `PagerDuty: answered ${status} with something else than JSON; check pagerduty.events_url`
    return { outcome: 'retry', reason, retryAfterMs: null, inDoubt: true, scope: 'target' }
  }
  const wait = retryAfterMs(answer.retryAfter, now)
  const words = cut(safeText(answer.problem.replaceAll(routingKey, '[routing key]')), LIMITS.field)
  const said = words === '' ? '' : `: ${words}`
  if (status === 429) {
    const reason = 'PagerDuty: too many events for this integration (429)'
    return { outcome: 'retry', reason, retryAfterMs: wait ?? RATE_LIMIT_PAUSE_MS, inDoubt: false, scope: 'target' }
  }
  if (status >= 500 || status === 408) {
    const reason = `PagerDuty: answered ${status}`
    return { outcome: 'retry', reason, retryAfterMs: wait, inDoubt: true, scope: 'target' }
  }
  if (status === 401 || status === 403) {
    const reason = `PagerDuty refused the credentials (${status})${said}; check pagerduty.routing_key`
    return { outcome: 'retry', reason, retryAfterMs: REFUSED_PAUSE_MS, inDoubt: false, scope: 'lane' }
  }
  if (status < 400 || status === 404 || status === 405) {
    // whoever answered, it was not the Events API: an address to mend, not an event to give up
    const reason = `PagerDuty: answered ${status}, which is not its Events API; check pagerduty.events_url`
    return { outcome: 'retry', reason, retryAfterMs: REFUSED_PAUSE_MS, inDoubt: false, scope: 'lane' }
  }
  return { outcome: 'dead', reason: `PagerDuty refused the event (${status})${said}` }
}
