import { z } from 'zod'
import type { Labels } from '../../core/alert.ts'
import type { AlertLookup } from '../../core/signal.ts'
import { authorization, type Credentials, getJson, resolveUrl } from '../http.ts'

export type AlertLookupOptions = {
  url: string
  auth?: Credentials
  /** for one question; default 3 000 */
  timeoutMs?: number
}

/** 10 000 alerts of one name are about 8 MB; more is not asked for in one piece. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024

/** Alertmanager's limit on a request line is Go's 1 MB; proxies in front of it start refusing at 8 KB. */
const MAX_FILTER_CHARACTERS = 2_000

/** Alertmanager cuts no fractions of a millisecond, this side does. */
const START_TOLERANCE_MS = 1

/** Alertmanager, API v2 (openapi.yaml), gettableAlert */
const alertsSchema = z.array(z.object({ fingerprint: z.string(), startsAt: z.string() }))

/**
 * Asks Alertmanager whether an alert still fires there. Silenced and inhibited alerts count: they fire. Anything but a
 * clear answer is `unreachable`.
 * @throws ClawError('invalid') when `url` is no http(s) URL
 */
export function createAlertLookup(options: AlertLookupOptions): AlertLookup {
  const { url, auth, timeoutMs = 3_000 } = options
  resolveUrl('alertmanager.url', url, '')
  const headers = auth === undefined ? {} : { Authorization: authorization(auth) }

  return {
    async lookup(fingerprint, labels, startsAt, signal) {
      const parameters: [string, string][] = [
        ['active', 'true'],
        ['silenced', 'true'],
        ['inhibited', 'true'],
        ['unprocessed', 'true'],
        ...filters(labels).map((filter): [string, string] => ['filter', filter]),
      ]
      const target = resolveUrl('alertmanager.url', url, '/api/v2/alerts', parameters)
      const answer = await getJson(target, { headers, timeoutMs, signal, maxBytes: MAX_ANSWER_BYTES })
      const parsed = alertsSchema.safeParse(answer.ok ? answer.body : undefined)
      if (!parsed.success) return 'unreachable'
      const fires = parsed.data.some(
        (alert) => alert.fingerprint === fingerprint && Date.parse(alert.startsAt) >= startsAt - START_TOLERANCE_MS,
      )
      return fires ? 'active' : 'absent'
    },
  }
}

/**
 * Matchers that narrow the answer, the alert name first. A label is left out when its name or value is one that old and new
 * Alertmanagers (0.27 brought UTF-8 names and a second parser) might read differently: the fingerprint decides anyway.
 */
export function filters(labels: Labels): string[] {
  const names = Object.keys(labels).sort((a, b) => Number(b === 'alertname') - Number(a === 'alertname'))
  const found: string[] = []
  let length = 0
  for (const name of names) {
    const value = labels[name] ?? ''
    if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name) || !safeValue(value)) continue
    const filter = `${name}="${value.replace(/["\\]/g, '\\$&')}"`
    length += encodeURIComponent(filter).length
    if (length > MAX_FILTER_CHARACTERS) break
    found.push(filter)
  }
  return found
}

/** Text without controls and broken characters; an empty value would also match alerts without that label. */
function safeValue(value: string): boolean {
  return value !== '' && value.isWellFormed() && !/[\ufffd\p{Cc}]/u.test(value)
}
