import { z } from 'zod'
import type {
  AlertmanagerApi,
  AlertmanagerFailure,
  ListedAlert,
  ListedSilence,
  NewSilence,
} from '../../core/alertmanager.ts'
import {
  authorization,
  type Credentials,
  exchange,
  getJson,
  type JsonAnswer,
  requestOptions,
  resolveUrl,
} from '../http.ts'

export type AlertmanagerApiOptions = {
  url: string
  auth?: Credentials
  /** for one question; default 5 000 */
  timeoutMs?: number
  /** bounds of a listing of alerts; default 128 MiB, which is about 100 000 alerts */
  maxBytes?: number
}

const MIB = 1024 * 1024

/** Bounds of what is taken from Alertmanager (it has no paging: api/v2/openapi.yaml, getAlerts and getSilences). */
const LIMITS = {
  /** alerts of one listing; an alert with usual labels is about 1 kB of JSON */
  alerts: 100_000,
  alertBytes: 128 * MIB,
  silenceBytes: 16 * MIB,
  /** of a refusal's text that is passed on */
  problem: 200,
}

const strings = z.record(z.string(), z.string())
const time = z.string().transform((text, context) => {
  const ms = Date.parse(text)
  if (!Number.isNaN(ms)) return ms
  context.addIssue({ code: 'custom', message: 'not an RFC 3339 time' })
  return z.NEVER
})

/** api/v2/openapi.yaml, gettableAlert */
const alertSchema = z
  .object({
    fingerprint: z.string(),
    labels: strings,
    annotations: strings.nullish(),
    startsAt: time,
    generatorURL: z.string().nullish(),
    receivers: z.array(z.object({ name: z.string() })).nullish(),
    status: z.object({ state: z.enum(['active', 'suppressed', 'unprocessed']) }),
  })
  .transform(
    (alert): ListedAlert => ({
      fingerprint: alert.fingerprint,
      labels: alert.labels,
      annotations: alert.annotations ?? {},
      startsAt: alert.startsAt,
      generatorURL: alert.generatorURL ?? '',
      receivers: (alert.receivers ?? []).map((receiver) => receiver.name),
      state: alert.status.state,
    }),
  )

/** api/v2/openapi.yaml, gettableSilence */
const silenceSchema = z
  .object({
    id: z.string(),
    status: z.object({ state: z.enum(['active', 'pending', 'expired']) }),
    startsAt: time,
    endsAt: time,
    comment: z.string().nullish(),
  })
  .transform(
    ({ id, status, startsAt, endsAt, comment }): ListedSilence => ({
      id,
      state: status.state,
      startsAt,
      endsAt,
      comment: comment ?? '',
    }),
  )

/** api/v2/openapi.yaml, alertmanagerStatus: `uptime` is the time of its start */
const statusSchema = z.object({ uptime: z.string().nullish() })

const savedSchema = z.object({ silenceID: z.string().min(1) })

/**
 * Alertmanager's API v2: what fires there, and its silences. Answers are bounded and checked; one malformed entry makes the
 * whole answer unusable, since an alert that is overlooked would count as over.
 * @throws ClawError('invalid') when `url` is no http(s) URL
 */
export function createAlertmanagerApi(options: AlertmanagerApiOptions): AlertmanagerApi {
  const { url, auth, timeoutMs = 5_000, maxBytes = LIMITS.alertBytes } = options
  const base = resolveUrl('alertmanager.url', url, '')
  const headers = auth === undefined ? {} : { Authorization: authorization(auth) }
  const at = (path: string, query: [string, string][] = []) => resolveUrl('alertmanager.url', url, path, query)

  async function get<T>(
    target: URL,
    schema: z.ZodType<T>,
    signal: AbortSignal,
    bytes: number,
  ): Promise<{ ok: true; value: T } | (AlertmanagerFailure & { status: number | null })> {
    const answer = await getJson(target, { headers, timeoutMs, signal, maxBytes: bytes })
    if (!answer.ok) return { ...refusal(answer), status: answer.status }
    const parsed = schema.safeParse(answer.body)
    if (parsed.success) return { ok: true, value: parsed.data }
    const where = parsed.error.issues[0]?.path.map(String).join('.').slice(0, 100)
    const reason = `Alertmanager: an answer that is not of its API v2${where ? ` (${where})` : ''}`
    return { ok: false, refused: true, reason, status: answer.status }
  }

  async function send(method: 'POST' | 'DELETE', target: URL, body: string | undefined, signal: AbortSignal) {
    const answer = await exchange({
      options: requestOptions(method, target),
      headers: { ...headers, Accept: 'application/json', ...(body ? { 'Content-Type': 'application/json' } : {}) },
      ...(body === undefined ? {} : { body }),
      timeoutMs,
      signal,
      maxBytes: MIB,
    })
    if ('reason' in answer) return { status: null, text: '', reason: answer.reason }
    return { status: answer.status, text: answer.body.toString('utf8'), reason: `answered ${answer.status}` }
  }

  return {
    address: `${base.origin}${base.pathname.replace(/\/+$/, '')}`,
    async alerts(signal) {
      const query = ['active', 'silenced', 'inhibited', 'unprocessed'].map((name): [string, string] => [name, 'true'])
      const answer = await get(at('/api/v2/alerts', query), z.array(alertSchema), signal, maxBytes)
      if (!answer.ok) return failure(answer)
      if (answer.value.length > LIMITS.alerts) {
        const reason = `Alertmanager: lists ${answer.value.length} alerts, more than the ${LIMITS.alerts} that are compared`
        return { ok: false, refused: true, reason }
      }
      return { ok: true, alerts: answer.value }
    },
    async startedAt(signal) {
      const answer = await get(at('/api/v2/status'), statusSchema, signal, 4 * MIB)
      if (!answer.ok) return failure(answer)
      const ms = Date.parse(answer.value.uptime ?? '')
      return { ok: true, at: Number.isNaN(ms) ? null : ms }
    },
    async silences(signal) {
      const answer = await get(at('/api/v2/silences'), z.array(silenceSchema), signal, LIMITS.silenceBytes)
      return answer.ok ? { ok: true, silences: answer.value } : failure(answer)
    },
    async silence(id, signal) {
      const target = at(`/api/v2/silence/${encodeURIComponent(id)}`)
      const answer = await get(target, silenceSchema, signal, MIB)
      if (answer.ok) return { ok: true, silence: answer.value }
      return answer.status === 404 ? { ok: true, silence: null } : failure(answer)
    },
    async saveSilence(silence, signal) {
      const { status, text, reason } = await send('POST', at('/api/v2/silences'), silenceBody(silence), signal)
      if (status === null || status < 200 || status > 299) return rejected(status, reason, text)
      const saved = savedSchema.safeParse(jsonOf(text))
      if (saved.success) return { ok: true, id: saved.data.silenceID }
      return { ok: false, refused: false, reason: 'Alertmanager: took the silence but gave no id' }
    },
    async endSilence(id, signal) {
      const target = at(`/api/v2/silence/${encodeURIComponent(id)}`)
      const { status, text, reason } = await send('DELETE', target, undefined, signal)
      // 404: gone. Up to 0.27 it answers 500, "silence not found" or "already expired" (tried with 0.25).
      if (status !== null && ((status >= 200 && status <= 299) || status === 404)) return { ok: true }
      if (status === 500 && /not found|already expired/.test(text)) return { ok: true }
      return rejected(status, reason, text)
    },
  }
}

function silenceBody({ id, matchers, startsAt, endsAt, createdBy, comment }: NewSilence): string {
  return JSON.stringify({
    ...(id === null ? {} : { id }),
    matchers: matchers.map(({ name, value, op }) => ({
      name,
      value,
      isRegex: op.endsWith('~'),
      isEqual: !op.startsWith('!'),
    })),
    startsAt: new Date(startsAt).toISOString(),
    endsAt: new Date(endsAt).toISOString(),
    createdBy,
    comment,
  })
}

function failure({ refused, reason }: AlertmanagerFailure): AlertmanagerFailure {
  return { ok: false, refused, reason }
}

function refusal(answer: Extract<JsonAnswer, { ok: false }>): AlertmanagerFailure {
  return rejected(answer.status, answer.reason, typeof answer.body === 'string' ? answer.body : '')
}

/** 400 and 422 are about what was asked; credentials, addresses and faults can be mended while Claw goes on asking. */
function rejected(status: number | null, reason: string, text: string): AlertmanagerFailure {
  const hint = status === 401 || status === 403 ? '; check alertmanager.api_auth' : ''
  const refused = status === 400 || status === 422
  const json = jsonOf(text)
  const said = refused && typeof json === 'string' ? `: ${plain(json)}` : ''
  return { ok: false, refused, reason: `Alertmanager: ${reason}${said}${hint}` }
}

function plain(text: string): string {
  return text
    .toWellFormed()
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim()
    .slice(0, LIMITS.problem)
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
