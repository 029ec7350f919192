import { createHash } from 'node:crypto'
import type { Level } from '../../core/alert.ts'
import type { Renderer } from '../../core/delivery.ts'
import type { IncidentView, Page } from '../../core/view.ts'
import { LIMITS } from './limits.ts'
import type { EventAction } from './plan.ts'

/** An event of PagerDuty's Events API v2, as it goes over the wire. */
export type PagerDutyEvent = {
  routing_key: string
  event_action: EventAction
  dedup_key: string
  client?: string
  client_url?: string
  links?: { href: string; text: string }[]
  payload?: {
    summary: string
    source: string
    severity: 'critical' | 'error' | 'info'
    timestamp?: string
    component: string
    group: string
    class: string
    custom_details: { [name: string]: unknown }
  }
}

export type EventInput = {
  incident: IncidentView
  page: Page
  routingKey: string
  installation: string
  renderer: Renderer
  /** shown as Claw's own page where the incident has none */
  clientUrl: string | undefined
  /** ms since the epoch */
  now: number
}

const SEVERITY: Readonly<Record<Level, 'critical' | 'error' | 'info'>> = { P1: 'critical', P2: 'error', P3: 'info' }

/**
 * The dedup key of one page: `claw/<installation>/<incident>`, and `/<page key>` for a worsening (contract.md, section 8).
 * A key over PagerDuty's 255 characters is replaced by a hash of itself.
 */
export function dedupKey(installation: string, incidentId: string, pageKey: string): string {
  const key = `claw/${installation}/${incidentId}${pageKey === '' ? '' : `/${pageKey}`}`
  return key.length <= LIMITS.dedupKey ? key : `claw/${createHash('sha256').update(key).digest('hex')}`
}

/** An acknowledge or resolve event: key and action, nothing else. */
export function plainEvent(
  action: EventAction,
  { incident, page, routingKey, installation }: EventInput,
): PagerDutyEvent {
  return { routing_key: routingKey, event_action: action, dedup_key: dedupKey(installation, incident.id, page.key) }
}

/**
 * A trigger event with everything a responder needs, under 512 KB whatever the labels hold: what matters least is cut
 * first. A broken template costs its text only; the headline stands in for it.
 */
export function triggerEvent(input: EventInput): PagerDutyEvent {
  const { incident, page, renderer, clientUrl, now } = input
  const data = { incident, page, now }
  const headline = oneLine(incident.headline) || `${incident.level} · incident ${incident.id}`
  const summary = cut(oneLine(rendered(renderer, 'pagerduty/summary', data)) || headline, LIMITS.summary)
  const description = cut(safeText(rendered(renderer, 'pagerduty/description', data)) || headline, LIMITS.description)
  const regions = (incident.regions.length > 0 ? incident.regions : incident.allRegions).map(oneLine).filter(Boolean)
  const keyValues = Object.values(incident.key).map(oneLine).filter(Boolean)
  const region = cut(regions.join(', ') || 'unknown', LIMITS.field)
  const url = strictUrl(incident.incidentUrl) ?? strictUrl(clientUrl)
  const links = [
    { href: strictUrl(incident.graphUrl), text: 'Prometheus graph' },
    { href: strictUrl(incident.runbookUrl), text: 'Runbook' },
    { href: strictUrl(incident.incidentUrl), text: `Incident ${oneLine(incident.id)} in Claw` },
  ].flatMap(({ href, text }) => (href === null ? [] : [{ href, text }]))
  const timestamp = isoTime(incident.openedAt)

  const event: PagerDutyEvent = {
    ...plainEvent('trigger', input),
    client: 'Claw',
    ...(url === null ? {} : { client_url: url }),
    links,
    payload: {
      summary,
      source: cut(regions.join(', ') || keyValues.join(', ') || 'claw', LIMITS.source),
      severity: SEVERITY[incident.level],
      ...(timestamp === null ? {} : { timestamp }),
      component: cut(keyValues.join(' / ') || oneLine(incident.what), LIMITS.field),
      group: cut(keyText(incident.key), LIMITS.field),
      class: cut(incident.classes.join(', '), LIMITS.field),
      custom_details: {
        summary,
        description,
        region,
        bucket_level: bucketText(incident.bucket),
        level: incident.level,
        level_reason: cut(oneLine(incident.levelReason), LIMITS.field),
        page_reason: cut(oneLine(page.reason), LIMITS.field),
        next_step: cut(oneLine(incident.nextStep), LIMITS.field),
        graph_url: strictUrl(incident.graphUrl),
        runbook_url: strictUrl(incident.runbookUrl),
        alerts: incident.counts,
        alert_names: incident.alertNames.slice(0, 20).map((name) => cut(oneLine(name), 200)),
        labels: safeLabels(incident.alerts[0]?.labels ?? incident.key, LIMITS.labelValue),
      },
    },
  }
  return fitted(event, incident)
}

/** Cuts what matters least until the event is under PagerDuty's limit: long label values, names, labels, then prose. */
function fitted(event: PagerDutyEvent, incident: IncidentView): PagerDutyEvent {
  const details = event.payload?.custom_details ?? {}
  const cuts = [
    () => {
      details.labels = safeLabels(incident.alerts[0]?.labels ?? incident.key, 256)
    },
    () => {
      details.description = cut(String(details.description), 16_000)
    },
    () => {
      delete details.alert_names
      details.labels = {}
    },
    () => {
      // an URL is left out rather than cut
      details.graph_url = null
      details.runbook_url = null
      event.links = []
      delete event.client_url
    },
  ]
  for (const shorten of cuts) {
    if (Buffer.byteLength(JSON.stringify(event)) < LIMITS.eventBytes) break
    shorten()
  }
  return event
}

function rendered(renderer: Renderer, name: string, data: { [key: string]: unknown }): string {
  try {
    return renderer.render(name, data)
  } catch {
    // a broken template must not cost a page; `check` is where it is reported
    return ''
  }
}

/** `4 % (edge), falling`, or `unknown`. */
export function bucketText(bucket: IncidentView['bucket']): string {
  if (bucket.ratio === null || !Number.isFinite(bucket.ratio)) return 'unknown'
  const percent = bucket.ratio * 100
  const figure = percent > 0 && percent < 1 ? percent.toFixed(1) : String(Math.round(percent))
  const source = bucket.source === 'unknown' ? '' : ` (${bucket.source})`
  return `${figure} %${source}${bucket.trend === null ? '' : `, ${bucket.trend}`}`
}

function keyText(key: IncidentView['key']): string {
  return Object.entries(key)
    .map(([name, value]) => `${oneLine(name)}=${oneLine(value)}`)
    .join(', ')
}

function safeLabels(labels: IncidentView['key'], valueLength: number): { [name: string]: string } {
  const entries = Object.entries(labels).slice(0, LIMITS.labels)
  return Object.fromEntries(
    entries.map(([name, value]) => [cut(safeText(name), 256), cut(safeText(value), valueLength)]),
  )
}

/**
 * Text as PagerDuty, a phone and every JSON parser between them can show: no lone surrogates, no controls but line breaks
 * and tabs, nothing that turns the direction of writing.
 */
export function safeText(text: string): string {
  return text
    .toWellFormed()
    .replaceAll('\r\n', '\n')
    .replace(/(?![\n\t])\p{Cc}|[\u202a-\u202e\u2066-\u2069]/gu, '\ufffd')
    .trim()
}

function oneLine(text: string): string {
  return safeText(text).replace(/\s+/g, ' ')
}

/** At most `length` UTF-16 units, never half a surrogate pair, with an ellipsis where something is missing. */
export function cut(text: string, length: number): string {
  if (text.length <= length) return text
  return `${text.slice(0, length - 1).replace(/[\ud800-\udbff]$/, '')}…`
}

/** The URL when it is plain http(s) without `<`, `>`, `|`, blanks or controls (contract.md, section 8), else null. */
function strictUrl(text: string | null | undefined): string | null {
  if (text === null || text === undefined || /[<>|"\s\p{Cc}]/u.test(text)) return null
  const url = URL.parse(text.toWellFormed())
  return url !== null && (url.protocol === 'http:' || url.protocol === 'https:') ? text.toWellFormed() : null
}

function isoTime(at: number): string | null {
  const date = new Date(at)
  return Number.isNaN(date.getTime()) ? null : date.toISOString()
}
