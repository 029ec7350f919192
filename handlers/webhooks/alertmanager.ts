import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { Alert } from '../../src/core/alert.ts'
import type { Json } from '../../src/core/delivery.ts'
import { ClawError } from '../../src/core/errors.ts'

/** Largest body, in bytes (contract.md, section 8). */
export const BODY_LIMIT = 16 * 1024 * 1024
/** Fields that we do not know are kept, but not at any depth. */
const MAX_DEPTH = 32

const strings = z.record(z.string(), z.string())
const time = z.string().transform((text, context) => {
  // Nanoseconds are cut to milliseconds; year 1 stands for "not yet".
  const ms = Date.parse(text)
  if (Number.isNaN(ms)) {
    context.addIssue({ code: 'custom', message: 'not an RFC 3339 time' })
    return z.NEVER
  }
  return ms
})

const alert = z.looseObject({
  status: z.enum(['firing', 'resolved']),
  labels: strings,
  annotations: strings.nullish(),
  startsAt: time,
  endsAt: time.nullish(),
  generatorURL: z.string().nullish(),
  fingerprint: z.string().nullish(),
})

const webhook = z.looseObject({
  version: z.literal('4'),
  receiver: z.string().nullish(),
  externalURL: z.string().nullish(),
  truncatedAlerts: z.number().nullish(),
  alerts: z.array(alert),
})

export type ParsedWebhook = {
  alerts: (Alert & { extra?: Json })[]
  /** alerts that Alertmanager left out of the body (`max_alerts`) */
  truncated: number
  /** the Alertmanager receiver that was notified */
  receiver: string
}

/**
 * Reads the body of an Alertmanager webhook, version 4 (protocols.md, section 1). Each alert's own status and fingerprint
 * decide; the group's are computed on a cut list and never trusted. Unknown fields are kept.
 *
 * @throws ClawError('invalid') naming what is wrong and where
 */
export function parseAlertmanagerWebhook(body: Buffer): ParsedWebhook {
  if (body.length === 0) throw new ClawError('invalid', 'The body is empty. Send an Alertmanager webhook, version 4.')
  if (!isUtf8(body)) throw new ClawError('invalid', 'The body is not UTF-8.')
  let json: unknown
  try {
    json = JSON.parse(body.toString('utf8'))
  } catch {
    throw new ClawError('invalid', 'The body is not JSON.')
  }
  const parsed = webhook.safeParse(json)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    const where = issue?.path.map(String).join('.').slice(0, 100) || 'the body'
    const what = (issue?.message ?? 'is malformed').slice(0, 200)
    throw new ClawError('invalid', `Not an Alertmanager webhook of version 4: ${where}: ${what}`)
  }
  const { alerts, externalURL, truncatedAlerts, receiver } = parsed.data
  return {
    alerts: alerts.map((one, index) => toAlert(one, externalURL ?? '', index)),
    truncated: truncatedAlerts ?? 0,
    receiver: receiver ?? '',
  }
}

function toAlert(one: z.output<typeof alert>, externalURL: string, index: number): Alert & { extra?: Json } {
  const { status, labels, annotations, startsAt, endsAt, generatorURL, fingerprint, ...rest } = one
  const normal: Alert & { extra?: Json } = {
    fingerprint: usable(fingerprint) ? fingerprint : identity(labels),
    status,
    labels,
    annotations: annotations ?? {},
    startsAt,
    endsAt: status === 'resolved' && typeof endsAt === 'number' && endsAt > 0 ? endsAt : null,
    generatorURL: generatorURL ?? '',
    externalURL,
  }
  for (const _ in rest) {
    if (depth(rest) > MAX_DEPTH)
      throw new ClawError('invalid', `alerts.${index} is nested deeper than ${MAX_DEPTH} levels.`)
    normal.extra = rest as Json
    break
  }
  return normal
}

/** Alertmanager's are 16 hex digits; other senders' are taken as they are while they are short and printable. */
function usable(fingerprint: string | null | undefined): fingerprint is string {
  return typeof fingerprint === 'string' && /^[\x21-\x7e]{1,128}$/.test(fingerprint)
}

/** Identity of an alert whose sender gave no usable fingerprint: a hash of its labels. */
function identity(labels: Record<string, string>): string {
  const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))
  return createHash('sha256').update(JSON.stringify(sorted)).digest('hex').slice(0, 16)
}

/** Depth of nesting, without recursion: the input may be built to overflow a stack. */
function depth(value: unknown): number {
  let level: unknown[] = [value]
  for (let deep = 0; deep <= MAX_DEPTH + 1; deep++) {
    const next: unknown[] = []
    for (const one of level) {
      // No spread: a list of a million would overflow the stack.
      if (typeof one === 'object' && one !== null) for (const inner of Object.values(one)) next.push(inner)
    }
    if (next.length === 0) return deep
    level = next
  }
  return MAX_DEPTH + 1
}
