import { z } from 'zod'
import { ClawError } from '../../core/errors.ts'
import { authorization, getJson, type JsonAnswer, refusal, resolveUrl, sendJson } from '../http.ts'

// Three calls of API v4 over our own HTTP: the official client (npm `cloudflare` 7.3.0) installs 120 MB and retries by itself,
// which is the business of the workflow's steps here.

export type CloudflareApi = {
  /** @throws ClawError as EdgeAdmin does (core/edge.ts) */
  get<T>(what: string, path: string, query: [string, string][], schema: z.ZodType<T>, signal: AbortSignal): Promise<T>
  /** Sent once. @throws as `get` */
  patch(what: string, path: string, content: object, signal: AbortSignal): Promise<void>
}

export type CloudflareApiOptions = { apiUrl: string; token: string; timeoutMs: number }

/**
 * 1200 requests in 5 minutes for a user over all his tokens and the dashboard; beyond that every call is answered 429 for
 * 5 minutes (Cloudflare, "API limits"). A switch takes three requests.
 */
const MAX_BYTES = 4 * 1024 * 1024

/** "Invalid request headers": what a malformed token is answered, with status 400 */
const MALFORMED_TOKEN = 6003

const envelope = z.object({
  success: z.boolean(),
  errors: z
    .array(z.object({ code: z.number().nullish(), message: z.string() }))
    .nullish()
    .catch(null),
  result: z.unknown(),
})

/**
 * Cloudflare's API v4 and its envelope `{success, errors[], result}`.
 * @throws ClawError('invalid') when `apiUrl` is no http(s) URL
 */
export function createCloudflareApi({ apiUrl, token, timeoutMs }: CloudflareApiOptions): CloudflareApi {
  const setting = 'failover.cloudflare.api_url'
  const at = (path: string, query: [string, string][] = []) => resolveUrl(setting, apiUrl, path, query)
  at('')
  const headers = { Authorization: authorization({ token }) }

  function resultOf(what: string, answer: JsonAnswer): unknown {
    const where = `Cloudflare, ${what}`
    const parsed = envelope.safeParse(answer.body)
    if (answer.ok && parsed.success && parsed.data.success) return parsed.data.result
    const [error] = parsed.data?.errors ?? []
    if (answer.ok && !parsed.success) {
      throw new ClawError('unavailable', `${where}: answered ${answer.status}, but not as its API v4 does`)
    }
    // success: false under a 2xx is a refusal of what was asked
    const status = answer.ok ? 400 : error?.code === MALFORMED_TOKEN ? 401 : answer.status
    throw refusal(
      { ok: false, status, reason: answer.ok ? 'did not do it' : answer.reason, body: answer.body },
      {
        where,
        credentials: 'failover.cloudflare.token',
        address: setting,
        said: error?.message,
        secrets: [token],
      },
    )
  }

  return {
    async get(what, path, query, schema, signal) {
      const answer = await getJson(at(path, query), { headers, timeoutMs, signal, maxBytes: MAX_BYTES })
      const parsed = schema.safeParse(resultOf(what, answer))
      if (parsed.success) return parsed.data
      throw new ClawError('unavailable', `Cloudflare, ${what}: the answer is not of its API v4`)
    },
    async patch(what, path, content, signal) {
      resultOf(what, await sendJson('PATCH', at(path), content, { headers, timeoutMs, signal, maxBytes: MAX_BYTES }))
    },
  }
}
