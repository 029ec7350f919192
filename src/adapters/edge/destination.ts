import { z } from 'zod'
import type { Destination, Json, Pacing, StepInput, StepResult } from '../../core/delivery.ts'
import type { IncidentView } from '../../core/view.ts'
import { authorization, exchange, requestOptions, resolveUrl, retryAfterMs } from '../http.ts'

export type EdgeDestinationOptions = {
  url: string
  token: string
  /** for one call; default 5 000 */
  timeoutMs?: number
  /** fingerprints of all alerts of an incident; default: of those that its view shows, at most 10 */
  fingerprints?: (incident: IncidentView) => Promise<readonly string[]>
}

/** The contract names no limit; one acknowledgement at a time per incident, a few incidents at once. */
const PACING: Pacing = { concurrency: 4, perTarget: 4, lane: null, target: null, reserve: 0 }

/** After refused credentials: long enough to mend them, short enough to be noticed. */
const REFUSED_PAUSE_MS = 60_000

/** Alerts of one acknowledgement, as many as the API lists of an incident (contract.md, section 8). */
const MAX_ALERTS = 1_000

/** `told`: `acknowledgedAt` of the acknowledgement that the edge knows; `note`: why it knows of none. */
const stateSchema = z.object({ told: z.number() })

/**
 * Tells the edge of acknowledgements: `POST /admin/v1/acknowledgements` (contract.md, section 5), once per acknowledgement, under a
 * key that stays the same however often it is tried. It outlives the incident: an edge that was down hears of it later.
 * @throws ClawError('invalid') when `url` is no http(s) URL
 */
export function createEdgeDestination(options: EdgeDestinationOptions): Destination {
  const { url, token, timeoutMs = 5_000 } = options
  const fingerprints = options.fingerprints ?? (async (incident) => incident.alerts.map((alert) => alert.fingerprint))
  const target = requestOptions('POST', resolveUrl('edge.url', url, '/admin/v1/acknowledgements'))

  return {
    kind: 'edge',
    lane: 'edge',
    pacing: PACING,
    close: async () => {},
    async step(input: StepInput): Promise<StepResult> {
      const { incident, installation, signal, now } = input
      const { acknowledgedAt, acknowledgedBy } = incident
      const state = stateSchema.safeParse(input.state)
      const told = state.success ? state.data.told : null
      if (acknowledgedAt === null || acknowledgedBy === null || (told !== null && acknowledgedAt <= told)) {
        return { outcome: 'done', state: input.state, reference: null }
      }
      const known = await fingerprints(incident).catch(() => incident.alerts.map((alert) => alert.fingerprint))
      const answer = await exchange({
        options: target,
        headers: {
          Authorization: authorization({ token }),
          'Content-Type': 'application/json',
          'Idempotency-Key': encodeURIComponent(`${installation}-${incident.id}-ack-${acknowledgedAt}`.toWellFormed()),
        },
        body: JSON.stringify({
          incident: incident.id,
          alerts: known.slice(0, MAX_ALERTS),
          by: acknowledgedBy,
          note: noteOf(incident, acknowledgedAt, acknowledgedBy),
        }),
        timeoutMs,
        signal,
        maxBytes: null,
        traced: 'edge',
      })
      if ('reason' in answer) return retry(answer.reason, null, answer.sent, 'target')
      const { status, headers } = answer
      const done = (more: { [key: string]: Json } = {}): StepResult => ({
        outcome: 'done',
        state: { told: acknowledgedAt, ...more },
        reference: null,
      })
      if (status >= 200 && status <= 299) return done()
      if (status === 404) return done({ note: 'this edge takes no acknowledgements (404)' })
      if (status === 401 || status === 403) {
        return retry(`refused the credentials (${status}); check edge.token`, REFUSED_PAUSE_MS, false, 'lane')
      }
      if (status === 408 || status === 429 || status >= 500) {
        const wait = retryAfterMs(headers['retry-after'], now)
        return retry(`answered ${status}`, wait, status !== 429, 'target')
      }
      const hint = status < 400 ? '; give the final address in edge.url, redirects are not followed' : ''
      return { outcome: 'dead', reason: `Edge: did not take the acknowledgement (${status})${hint}` }
    },
  }
}

function retry(reason: string, retryAfter: number | null, inDoubt: boolean, scope: 'target' | 'lane'): StepResult {
  return { outcome: 'retry', reason: `Edge: ${reason}`, retryAfterMs: retryAfter, inDoubt, scope }
}

/** What the person said with it; the story tells it as `Acknowledged by Dana: looking`. */
function noteOf(incident: IncidentView, at: number, by: string): string {
  const line = incident.story.findLast((event) => event.kind === 'acknowledged' && event.at === at)
  const before = `Acknowledged by ${by}: `
  return line?.text.startsWith(before) ? line.text.slice(before.length) : ''
}
