import http from 'node:http'
import https from 'node:https'
import type { Destination, Pacing, StepInput, StepResult } from '../../core/delivery.ts'
import type { AlertView, IncidentView } from '../../core/view.ts'
import { authorization, exchange, type HttpRequest, requestOptions, resolveUrl, retryAfterMs } from '../http.ts'

export type WebhookOptions = {
  /** `webhook:<receiver>` */
  lane: string
  url: string
  /** sent as `Authorization: Bearer` */
  token?: string
  /** for one delivery; default 5 000 */
  timeoutMs?: number
  /** default: unpaced, as many at once as there are connections */
  pacing?: Pacing | null
}

/** Connections to one receiver; also how many deliveries of an unpaced lane are under way at once. */
const CONNECTIONS = 64

const UNPACED: Pacing = { concurrency: CONNECTIONS, perTarget: CONNECTIONS, lane: null, target: null, reserve: 0 }

/**
 * The generic webhook: POST of `{ version: '1', event: 'incident', incident }` (see `incidentJson`) with the header
 * `Idempotency-Key: <installation>-<incident>-<version>`, by which a receiver drops repeats: a delivery in doubt is sent again. 2xx
 * is success; 408, 429 and 5xx are tried again (Retry-After honoured); everything else, redirects included, is given up.
 * Reasons hold neither URL nor token.
 * @throws ClawError('invalid') when `url` is no http(s) URL
 */
export function createWebhookDestination(options: WebhookOptions): Destination {
  const { lane, token, timeoutMs = 5_000, pacing } = options
  const url = resolveUrl(`The URL of ${lane}`, options.url, '')
  const pool = { keepAlive: true, maxSockets: CONNECTIONS }
  const agent = url.protocol === 'https:' ? new https.Agent(pool) : new http.Agent(pool)
  const base = {
    ...requestOptions('POST', url, agent),
    headers: {
      'Content-Type': 'application/json; charset=utf-8',
      'User-Agent': 'claw',
      ...(token === undefined ? {} : { Authorization: authorization({ token }) }),
    },
  }

  return {
    kind: 'webhook',
    lane,
    pacing: pacing ?? UNPACED,
    close: async () => agent.destroy(),
    async step(input: StepInput): Promise<StepResult> {
      const { incident, installation, signal, now } = input
      const key = `${installation}-${incident.id}-${incident.version}`
      const request: HttpRequest = {
        options: base,
        // a header takes no blanks, controls or non-ASCII
        headers: { 'Idempotency-Key': /^[\x21-\x7e]+$/.test(key) ? key : encodeURIComponent(key.toWellFormed()) },
        body: webhookBody(incident),
        timeoutMs,
        signal,
        maxBytes: null,
        traced: 'webhook',
      }
      const answer = await exchange(request)
      if ('reason' in answer) {
        const reason = `Webhook: ${answer.reason}`
        return { outcome: 'retry', reason, retryAfterMs: null, inDoubt: answer.sent, scope: 'target' }
      }
      const { status, headers } = answer
      if (status >= 200 && status <= 299) return { outcome: 'done', state: null, reference: null }
      if (status === 408 || status === 429 || status >= 500) {
        const wait = retryAfterMs(headers['retry-after'], now)
        const reason = `Webhook: answered ${status}`
        return { outcome: 'retry', reason, retryAfterMs: wait, inDoubt: status !== 429, scope: 'target' }
      }
      if (status < 400)
        return {
          outcome: 'dead',
          reason: `Webhook: answered ${status}; give the final URL, redirects are not followed`,
        }
      return { outcome: 'dead', reason: `Webhook: refused with ${status}` }
    },
  }
}

/** The body of one delivery. */
export function webhookBody(incident: IncidentView): string {
  return JSON.stringify({ version: '1', event: 'incident', incident: incidentJson(incident) })
}

/**
 * An incident in the words of the HTTP API (contract.md, section 3), times as ISO 8601 in UTC: what people see of it, without
 * Claw's own bookkeeping (pages, story). `alerts` are the most important ones, at most 10; `alert_count` counts them all.
 */
function incidentJson(incident: IncidentView) {
  return {
    id: incident.id,
    version: incident.version,
    state: incident.state,
    level: incident.level,
    level_reason: incident.levelReason,
    title: incident.what,
    headline: incident.headline,
    key: incident.key,
    classes: incident.classes,
    regions: incident.regions,
    all_regions: incident.allRegions,
    opened_at: iso(incident.openedAt),
    updated_at: iso(incident.updatedAt),
    acknowledged_at: iso(incident.acknowledgedAt),
    acknowledged_by: incident.acknowledgedBy,
    resolved_at: iso(incident.resolvedAt),
    resolved_by: incident.resolvedBy,
    recurrences: incident.recurrences,
    flapping: incident.flapping,
    signal_lost: incident.signalLost,
    synthetic: incident.synthetic,
    bucket: incident.bucket,
    alert_count: incident.counts.total,
    alerts_firing: incident.counts.firing,
    alert_names: incident.alertNames,
    alerts: incident.alerts.map(alertJson),
    graph_url: incident.graphUrl,
    runbook_url: incident.runbookUrl,
    incident_url: incident.incidentUrl,
    on_call: incident.onCall,
    next_step: incident.nextStep,
  }
}

function alertJson(alert: AlertView) {
  return {
    fingerprint: alert.fingerprint,
    name: alert.name,
    state: alert.state,
    level: alert.level,
    region: alert.region,
    labels: alert.labels,
    annotations: alert.annotations,
    starts_at: iso(alert.startsAt),
    ends_at: iso(alert.endsAt),
    times_seen: alert.timesSeen,
  }
}

/** Null also for a time that no date can hold. */
function iso(at: number | null): string | null {
  return at === null || !(Math.abs(at) <= 8.64e15) ? null : new Date(at).toISOString()
}
