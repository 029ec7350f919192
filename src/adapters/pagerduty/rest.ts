import { z } from 'zod'
import { ClawError } from '../../core/errors.ts'
import type { OnCall, PagerDutyAgent, PagerDutyIncident, PagerDutyRest } from '../../core/pagerduty.ts'
import { exchange, requestOptions, resolveUrl } from '../http.ts'
import { cut, safeText } from './event.ts'
import { REST_LIMITS } from './limits.ts'

export type PagerDutyRestOptions = {
  apiToken: string
  /** `pagerduty.api_url`; http is allowed, and so is a path prefix */
  apiUrl: string
  /** e-mail address of the user in whose name Claw writes; null: it can only read */
  from: string | null
  /** for one request, answer included; default 2 000 */
  timeoutMs?: number
}

const MAX_ANSWER_BYTES = 4 * 1024 * 1024
const ERRORS = {
  alreadyResolved: 1001,
  alreadyAcknowledged: 1002,
  cannotEscalate: 1006,
  requesterUnknown: 1008,
} as const

const text = z.string().catch('')
const time = z.string().transform((value) => {
  const ms = Date.parse(value)
  return Number.isNaN(ms) ? 0 : ms
})
const reference = z.looseObject({ id: text, type: text, summary: text })
type Reference = z.output<typeof reference>

const incidentSchema = z.looseObject({
  id: z.string().min(1),
  incident_key: z.string().nullish().catch(null),
  status: z.enum(['triggered', 'acknowledged', 'resolved']),
  created_at: time,
  last_status_change_at: time.nullish().catch(null),
  last_status_change_by: reference.nullish().catch(null),
  acknowledgements: z.array(z.looseObject({ acknowledger: reference })).catch([]),
  escalation_policy: reference.nullish().catch(null),
  resolve_reason: z.looseObject({ type: text }).nullish().catch(null),
})
const incidentsSchema = z.looseObject({ incidents: z.array(incidentSchema) })
const oneIncidentSchema = z.looseObject({ incident: incidentSchema })
const onCallsSchema = z.looseObject({
  oncalls: z.array(
    z.looseObject({
      user: reference,
      escalation_policy: reference,
      escalation_level: z.number(),
      end: time.nullish().catch(null),
    }),
  ),
})
const usersSchema = z.looseObject({ users: z.array(z.looseObject({ id: z.string(), email: text })) })
const errorSchema = z.looseObject({
  error: z.looseObject({ code: z.number().catch(0), message: text, errors: z.array(z.string()).catch([]) }),
})

type Answer = { status: number; body: unknown }
type Failure = { code: number; words: string }

/**
 * PagerDuty's REST API v2, over the shared client: pdjs' `api()` can be neither aborted nor kept from waiting on a 429
 * (protocols.md, section 2). Nothing is retried here.
 * @throws ClawError('invalid') when `apiUrl` is no http(s) URL
 */
export function createPagerDutyRest(options: PagerDutyRestOptions): PagerDutyRest {
  const { apiToken, apiUrl, from, timeoutMs = 2_000 } = options
  resolveUrl('pagerduty.api_url', apiUrl, '')
  let self: string | null = null

  async function ask(
    method: 'GET' | 'PUT' | 'POST',
    path: string,
    more: { query?: [string, string][]; body?: object; from?: string } = {},
  ): Promise<Answer> {
    const url = resolveUrl('pagerduty.api_url', apiUrl, path, more.query)
    const answer = await exchange({
      options: requestOptions(method, url),
      headers: {
        Accept: 'application/vnd.pagerduty+json;version=2',
        Authorization: `Token token=${apiToken}`,
        ...(more.body ? { 'Content-Type': 'application/json' } : {}),
        ...(more.from === undefined ? {} : { From: more.from }),
      },
      ...(more.body ? { body: JSON.stringify(more.body) } : {}),
      timeoutMs,
      signal: new AbortController().signal,
      maxBytes: MAX_ANSWER_BYTES,
    })
    if ('reason' in answer) throw new ClawError('unavailable', `PagerDuty's REST API: ${answer.reason}.`)
    return { status: answer.status, body: parsed(answer.body) }
  }

  function failureOf(answer: Answer): Failure | null {
    if (answer.status >= 200 && answer.status <= 299) return null
    const error = errorSchema.safeParse(answer.body)
    if (!error.success) return { code: 0, words: '' }
    const { code, message, errors } = error.data.error
    const words = [message, ...errors.slice(0, 3)].filter(Boolean).join('; ')
    return { code, words: cut(safeText(words.replaceAll(apiToken, '[token]')), 300) }
  }

  function raise(answer: Answer, { code, words }: Failure): never {
    const { status } = answer
    const said = words === '' ? '' : `: ${words}`
    const text = `PagerDuty's REST API answered ${status}${said}`
    if (status === 401 || status === 403) throw new ClawError('unavailable', `${text}; check pagerduty.api_token.`)
    if (status === 429) throw new ClawError('unavailable', "PagerDuty's REST API: too many requests (429).")
    if (status === 404) throw new ClawError('not_found', `${text}.`)
    if (code === ERRORS.requesterUnknown) throw new ClawError('conflict', `${text}; check pagerduty.from.`)
    if (code === ERRORS.cannotEscalate) {
      throw new ClawError('conflict', `PagerDuty cannot escalate this incident${said}; check its escalation policy.`)
    }
    throw new ClawError(status >= 400 && status < 500 ? 'conflict' : 'unavailable', `${text}.`)
  }

  async function read<T>(schema: z.ZodType<T>, path: string, query: [string, string][] = []): Promise<T> {
    const answer = await ask('GET', path, { query })
    const failure = failureOf(answer)
    if (failure !== null) raise(answer, failure)
    const result = schema.safeParse(answer.body)
    if (result.success) return result.data
    throw new ClawError('unavailable', "PagerDuty's REST API answered with something else; check pagerduty.api_url.")
  }

  /** Writes in a person's name, and in Claw's own where PagerDuty does not know that person. */
  async function write(
    method: 'PUT' | 'POST',
    path: string,
    body: object,
    person: string | null | undefined,
    fine: readonly number[] = [],
  ): Promise<void> {
    const names = [...new Set([person ?? null, from].filter((one) => one !== null))]
    if (names.length === 0) throw new ClawError('invalid', 'Set pagerduty.from: PagerDuty takes no change without it.')
    for (const [index, name] of names.entries()) {
      const answer = await ask(method, path, { body, from: name })
      const failure = failureOf(answer)
      if (failure === null || isFine(failure, fine)) return
      if (failure.code !== ERRORS.requesterUnknown || index === names.length - 1) raise(answer, failure)
    }
  }

  const change = (id: string, fields: object, person: string | null | undefined, fine: readonly number[]) =>
    write('PUT', pathOf(id), { incident: { type: 'incident_reference', ...fields } }, person, fine)

  return {
    async incidentsByKey(key) {
      const { incidents } = await read(incidentsSchema, '/incidents', [
        ['incident_key', key],
        // without it only the last month is searched ("List incidents")
        ['date_range', 'all'],
        ['sort_by', 'created_at:desc'],
        ['limit', '10'],
      ])
      return incidents.map(incidentOf).filter((one) => one.key === key)
    },
    async incident(id) {
      return incidentOf((await read(oneIncidentSchema, pathOf(id))).incident)
    },
    note: (id, words, person) =>
      write('POST', `${pathOf(id)}/notes`, { note: { content: cut(safeText(words), REST_LIMITS.note) } }, person),
    acknowledge: (id, person) =>
      change(id, { status: 'acknowledged' }, person, [ERRORS.alreadyAcknowledged, ERRORS.alreadyResolved]),
    resolve: (id, person) => change(id, { status: 'resolved' }, person, [ERRORS.alreadyResolved]),
    escalate: (id, level, person) => change(id, { escalation_level: level }, person, []),
    async onCall(policyIds = []) {
      const { oncalls } = await read(onCallsSchema, '/oncalls', [
        ...policyIds.map((id): [string, string] => ['escalation_policy_ids[]', id]),
        ['earliest', 'true'],
        ['limit', '100'],
      ])
      const all = oncalls.map(
        ({ user, escalation_policy: policy, escalation_level: level, end }): OnCall => ({
          level,
          name: nameOf(user),
          policy: nameOf(policy),
          until: end ?? null,
        }),
      )
      return all.sort((a, b) => a.level - b.level)
    },
    async self() {
      if (self !== null || from === null) return self
      const { users } = await read(usersSchema, '/users', [
        ['query', from],
        ['limit', '25'],
      ])
      self = users.find((user) => user.email.toLowerCase() === from.toLowerCase())?.id ?? null
      return self
    },
  }
}

const pathOf = (id: string): string => `/incidents/${encodeURIComponent(id)}`

/** Error codes as documented; some answers carry them only as words under the general code 2001. */
function isFine({ code, words }: Failure, fine: readonly number[]): boolean {
  if (fine.includes(code)) return true
  if (fine.includes(ERRORS.alreadyAcknowledged) && /already acknowledged/i.test(words)) return true
  return fine.includes(ERRORS.alreadyResolved) && /already resolved/i.test(words)
}

function incidentOf(one: z.output<typeof incidentSchema>): PagerDutyIncident {
  const acknowledger = one.acknowledgements.at(-1)?.acknowledger ?? null
  const changedBy =
    one.status === 'acknowledged' ? (acknowledger ?? one.last_status_change_by) : one.last_status_change_by
  return {
    id: one.id,
    key: one.incident_key ?? null,
    status: one.status,
    createdAt: one.created_at,
    statusChangedAt: one.last_status_change_at ?? one.created_at,
    changedBy: changedBy ? agentOf(changedBy) : null,
    policyId: one.escalation_policy?.id || null,
    merged: one.resolve_reason?.type === 'merge_resolve_reason',
  }
}

const nameOf = (one: Reference): string => cut(safeText(one.summary).replace(/\s+/g, ' ') || one.id, 100)

const agentOf = (one: Reference): PagerDutyAgent => ({
  id: one.id,
  name: nameOf(one),
  person: /^user(_reference)?$/.test(one.type),
})

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}
