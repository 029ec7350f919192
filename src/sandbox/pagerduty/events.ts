import { asRecord, type Call } from '../front.ts'
import type { PagerDutyState, PdEvent } from './state.ts'

/**
 * Limits of Events v2; developer.pagerduty.com, "Send an alert event" and "PD-CEF". PagerDuty may cut a long summary rather
 * than refuse it; refused here, so that a test sees it.
 */
export const PD_LIMITS = {
  routingKey: 32,
  dedupKey: 255,
  summary: 1_024,
  bytes: 512 * 1_024,
  eventsPerMinute: 120,
  restPerMinute: 960,
} as const

const SEVERITIES = ['critical', 'warning', 'error', 'info']
const ACTIONS = ['trigger', 'acknowledge', 'resolve']
const blank = (value: unknown): boolean => value === undefined || value === null || value === ''

function wellFormed(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed()
  if (typeof value !== 'object' || value === null) return true
  return Object.entries(value).every(([key, inner]) => key.isWellFormed() && wellFormed(inner))
}

function isUrl(value: unknown, protocols: string[]): boolean {
  return typeof value === 'string' && URL.canParse(value) && protocols.includes(new URL(value).protocol)
}

function checkPayload(value: unknown, errors: string[]): void {
  const payload = asRecord(value)
  if (payload === null) {
    errors.push("'payload' is missing or blank")
    return
  }
  for (const key of ['summary', 'source', 'severity']) {
    if (blank(payload[key])) errors.push(`'payload.${key}' is missing or blank`)
    else if (typeof payload[key] !== 'string') errors.push(`'payload.${key}' is invalid (must be a string)`)
  }
  if (typeof payload.summary === 'string' && payload.summary.length > PD_LIMITS.summary) {
    errors.push(`'payload.summary' is too long (maximum is ${PD_LIMITS.summary} characters)`)
  }
  if (typeof payload.severity === 'string' && payload.severity !== '' && !SEVERITIES.includes(payload.severity)) {
    errors.push(
      "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')",
    )
  }
  for (const key of ['component', 'group', 'class']) {
    if (!blank(payload[key]) && typeof payload[key] !== 'string')
      errors.push(`'payload.${key}' is invalid (must be a string)`)
  }
  const { timestamp } = payload
  if (!blank(timestamp)) {
    const ok = typeof timestamp === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(timestamp)
    if (!ok || Number.isNaN(Date.parse(String(timestamp))))
      errors.push("'payload.timestamp' is invalid (must be ISO 8601)")
  }
  if (!blank(payload.custom_details) && asRecord(payload.custom_details) === null) {
    errors.push("'payload.custom_details' is invalid (must be an object)")
  }
}

/** What is wrong with an event, in PagerDuty's words; empty when it would be accepted. */
export function checkEvent(state: PagerDutyState, body: unknown): string[] {
  const event = asRecord(body)
  if (event === null) return ['Event is not a JSON object']
  const errors: string[] = []
  const key = event.routing_key
  if (blank(key)) errors.push("'routing_key' is missing or blank")
  else if (key !== 'sandbox') {
    if (typeof key !== 'string' || key.length !== PD_LIMITS.routingKey) {
      errors.push(`Length of 'routing_key' is incorrect (should be ${PD_LIMITS.routingKey} characters)`)
    } else if (state.routingKeys !== null && !state.routingKeys.has(key)) errors.push('Invalid routing key')
  }
  const action = event.event_action
  if (blank(action)) errors.push("'event_action' is missing or blank")
  else if (typeof action !== 'string' || !ACTIONS.includes(action)) {
    errors.push("'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')")
  }
  const dedup = event.dedup_key
  if (blank(dedup)) {
    if (action === 'acknowledge' || action === 'resolve') errors.push("'dedup_key' is missing or blank")
  } else if (typeof dedup !== 'string' || dedup.length > PD_LIMITS.dedupKey) {
    errors.push(`'dedup_key' is invalid (must be a string of at most ${PD_LIMITS.dedupKey} characters)`)
  }
  if (action === 'trigger') checkPayload(event.payload, errors)
  for (const [list, check] of [['images', checkImage] as const, ['links', checkLink] as const]) {
    if (event[list] === undefined || event[list] === null) continue
    if (!Array.isArray(event[list])) errors.push(`'${list}' is invalid (must be an array)`)
    else for (const item of event[list]) check(asRecord(item), errors)
  }
  if (!blank(event.client) && typeof event.client !== 'string') errors.push("'client' is invalid (must be a string)")
  if (!blank(event.client_url) && !isUrl(event.client_url, ['http:', 'https:'])) {
    errors.push("'client_url' is invalid (must be a URL)")
  }
  if (!wellFormed(event)) errors.push('Event contains text that is not valid UTF-8')
  return errors
}

function checkImage(image: Record<string, unknown> | null, errors: string[]): void {
  if (!isUrl(image?.src, ['https:'])) errors.push("'images.src' is invalid (must be an HTTPS URL)")
  if (!blank(image?.href) && !isUrl(image?.href, ['http:', 'https:'])) errors.push("'images.href' is invalid")
}

function checkLink(link: Record<string, unknown> | null, errors: string[]): void {
  if (!isUrl(link?.href, ['http:', 'https:', 'mailto:'])) errors.push("'links.href' is missing or invalid")
  if (!blank(link?.text) && typeof link?.text !== 'string') errors.push("'links.text' is invalid (must be a string)")
}

/** `POST /v2/enqueue`: the status and body of the answer. */
export function enqueue(state: PagerDutyState, call: Call): { status: number; body: object; retryAfter?: number } {
  if (call.bytes > PD_LIMITS.bytes) {
    return { status: 413, body: { status: 'invalid event', message: 'Event object is too large', errors: [] } }
  }
  const errors = call.malformed ? ['Event is not valid JSON'] : checkEvent(state, call.body)
  if (errors.length > 0) {
    return { status: 400, body: { status: 'invalid event', message: 'Event object is invalid', errors } }
  }
  const given = call.body as Omit<PdEvent, 'dedup_key'> & { dedup_key?: string }
  if (state.rateLimits) {
    const { eventsPerMinute } = PD_LIMITS
    const wait = state.buckets.take(`events ${given.routing_key}`, eventsPerMinute, eventsPerMinute / 60)
    if (wait > 0) return { status: 429, body: throttled(), retryAfter: wait }
  }
  const dedup_key = given.dedup_key || state.nextId('dedup')
  state.process({ ...given, dedup_key })
  return { status: 202, body: { status: 'success', message: 'Event processed', dedup_key } }
}

/** The body of a 429 of the events API. */
export function throttled(): object {
  return {
    status: 'throttle exceeded',
    message: 'Requests for this service are arriving too quickly. Please retry later.',
  }
}
