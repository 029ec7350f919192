import { isUtf8 } from 'node:buffer'
import { createHmac, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import { ClawError } from '../../src/core/errors.ts'
import type { PagerDutyAgent, PagerDutyEvent } from '../../src/core/pagerduty.ts'

/** Largest body in bytes; one event is a few kB ("Webhooks v3": one event per POST). */
export const PAGERDUTY_BODY_LIMIT = 1024 * 1024

/** More signatures than any rotation has; what is behind them is not looked at. */
const MAX_SIGNATURES = 20

/**
 * Whether PagerDuty sent this body: `X-PagerDuty-Signature` holds `v1=<hex>` once per secret of the subscription, and any
 * match passes ("Verifying signatures"). Compared in constant time, every signature with every secret. Without a secret
 * nothing passes.
 * @param body the raw bytes, before any parsing
 */
export function verifyPagerDuty(body: Buffer, header: string | undefined, secrets: readonly string[]): boolean {
  const given = (header ?? '')
    .split(',', MAX_SIGNATURES)
    .map((part) => /^v1=([0-9a-f]{64})$/i.exec(part.trim())?.[1])
    .flatMap((hex) => (hex === undefined ? [] : [Buffer.from(hex, 'hex')]))
  let ok = false
  for (const secret of secrets) {
    if (secret === '') continue
    const wanted = createHmac('sha256', secret).update(body).digest()
    for (const one of given) ok = timingSafeEqual(wanted, one) || ok
  }
  return ok
}

const text = z.string().catch('')
const time = z.string().transform((value) => {
  const ms = Date.parse(value)
  return Number.isNaN(ms) ? null : ms
})
/** a reference to a user, service, policy or priority */
const reference = z.looseObject({ id: text, type: text, summary: text, name: text })
const optional = reference.nullish().catch(null)
const references = z.array(reference).max(100).catch([])
const assignments = z
  .array(z.looseObject({ assignee: reference }))
  .max(100)
  .catch([])
const status = z.enum(['triggered', 'acknowledged', 'resolved']).nullish().catch(null)

const data = z.looseObject({
  id: text,
  type: text,
  status,
  incident_key: z.string().nullish().catch(null),
  created_at: time.nullish().catch(null),
  priority: optional,
  assignees: references,
  assignments,
  escalation_policy: optional,
  /** of what is about an incident, such as a note */
  incident: optional,
  content: text,
  message: text,
  user: optional,
  resolve_reason: z.looseObject({ type: text }).nullish().catch(null),
})

const webhook = z.looseObject({
  event: z.looseObject({
    id: z.string().min(1).max(200),
    event_type: z.string().min(1).max(200),
    occurred_at: time,
    agent: optional,
    data: data.nullish().catch(null),
  }),
})

/**
 * Reads a v3 webhook ("Webhooks v3", event data types). Whatever is not known or has another shape counts as not told.
 * @throws ClawError('invalid') when it is no event of PagerDuty at all
 */
export function parsePagerDutyEvent(body: Buffer): PagerDutyEvent {
  if (!isUtf8(body)) throw new ClawError('invalid', 'The body is not UTF-8.')
  let json: unknown
  try {
    json = JSON.parse(body.toString('utf8'))
  } catch {
    throw new ClawError('invalid', 'The body is not JSON.')
  }
  const parsed = webhook.safeParse(json)
  if (!parsed.success) {
    const where = parsed.error.issues[0]?.path.map(String).join('.').slice(0, 100) || 'the body'
    throw new ClawError('invalid', `Not a PagerDuty webhook of version 3: ${where} is missing or malformed.`)
  }
  const { event } = parsed.data
  const about = event.data ?? null
  // a note, a status update or a responder only refers to its incident
  const own = about === null || about.incident ? null : about
  const named = about?.incident && about.user ? [about.user] : []
  const assignees = own?.assignees.length ? own.assignees : (own?.assignments ?? []).map((one) => one.assignee)
  return {
    id: event.id,
    type: event.event_type,
    incidentKey: own?.incident_key || null,
    pdIncidentId: (about?.incident?.id ?? own?.id) || null,
    status: own?.status ?? null,
    agent: agentOf(event.agent ?? null),
    at: event.occurred_at ?? 0,
    createdAt: own?.created_at ?? null,
    note: about?.content || about?.message || null,
    priority: own?.priority ? nameOf(own.priority) : null,
    assignees: [...named, ...assignees].map(nameOf).filter(Boolean),
    policyId: own?.escalation_policy?.id || null,
    merged: own?.resolve_reason?.type === 'merge_resolve_reason',
  }
}

type Reference = z.output<typeof reference>

const nameOf = (one: Reference): string => (one.summary || one.name || one.id).slice(0, 200)

function agentOf(agent: Reference | null): PagerDutyAgent | null {
  if (agent === null || agent.id === '') return null
  return { id: agent.id, name: nameOf(agent), person: /^user(_reference)?$/.test(agent.type) }
}
