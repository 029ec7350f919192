import { AsyncLocalStorage } from 'node:async_hooks'
import http from 'node:http'
import https from 'node:https'
import { ClawError, type ErrorCode } from '../core/errors.ts'

/** What is known of a request that got no answer. `reason` never holds an address, a header or a body. */
export type NetworkFailure = {
  reason: string
  /** false only when the request certainly never left this machine */
  sent: boolean
}

export type HttpAnswer = { status: number; headers: http.IncomingHttpHeaders; body: Buffer }

export type HttpRequest = {
  /** made once by `requestOptions`, so that the hot path parses no URL */
  options: https.RequestOptions
  /** headers of this request, on top of those in `options` */
  headers?: http.OutgoingHttpHeaders
  body?: string
  /** for the whole exchange, the last byte of the answer included */
  timeoutMs: number
  signal: AbortSignal
  /** an answer longer than this is an error; null: the body is thrown away and only status and headers are awaited */
  maxBytes: number | null
  /** who is asked (`edge`), where the trace that this belongs to may go on; left out: it is told of no trace */
  traced?: string | undefined
}

/** Records a call outside below the span that it is made in; see `callTrace`. */
export type CallTrace = {
  call(
    peer: string,
    method: string,
    send: (traceparent: string) => Promise<HttpAnswer | NetworkFailure>,
  ): Promise<HttpAnswer | NetworkFailure>
}

/**
 * The span that code runs in, for the calls it makes: ports such as the edge's have no room for a trace, and their callers
 * need not know of it. Set by the adapter that traces; null or nothing: nobody listens.
 */
export const callTrace = new AsyncLocalStorage<CallTrace | null>()

export type JsonAnswer =
  | { ok: true; status: number; body: unknown }
  /** `body` is what came with a refusal, when that was JSON; `status` null when there was no answer */
  | { ok: false; status: number | null; reason: string; body: unknown }

export type JsonRequest = {
  headers?: http.OutgoingHttpHeaders
  timeoutMs: number
  signal: AbortSignal
  /** default 8 MiB */
  maxBytes?: number
  /** as in HttpRequest */
  traced?: string
}

export type Credentials = { token: string } | { username: string; password: string }

const MIB = 1024 * 1024

/** Bytes of an unwanted body that are read so that the connection can be used again; beyond that it is closed. */
const DRAIN_BYTES = 64 * 1024

/** Characters of somebody else's text that an error quotes. */
const QUOTED = 300

/** Errors that happen before a single byte of the request was written (Node: errors.html, `ErrorCode` of system errors). */
const NEVER_SENT: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ENOTFOUND: 'host name not found',
  EAI_AGAIN: 'host name not resolved',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  EADDRNOTAVAIL: 'no local address or port free',
  EMFILE: 'too many open files',
}

const IN_DOUBT: Readonly<Record<string, string>> = {
  ECONNRESET: 'connection reset',
  EPIPE: 'connection closed',
  ETIMEDOUT: 'connection timed out',
}

const CERTIFICATE = /^(ERR_TLS_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH)/

/**
 * Says in a few words what became of a request that failed with `error`, and whether it may have been received. Only the
 * error's code is looked at: messages quote addresses.
 */
export function networkFailure(error: unknown): NetworkFailure {
  const code = codeOf(error)
  const known = NEVER_SENT[code]
  if (known !== undefined) return { reason: known, sent: false }
  if (CERTIFICATE.test(code)) return { reason: `TLS certificate not accepted (${code})`, sent: false }
  if (code.startsWith('ERR_SSL_') || code === 'EPROTO') return { reason: 'TLS handshake failed', sent: false }
  const doubt = IN_DOUBT[code]
  if (doubt !== undefined) return { reason: doubt, sent: true }
  if (code.startsWith('HPE_')) return { reason: 'answer is not HTTP', sent: true }
  return { reason: code === '' ? 'network error' : `network error (${code})`, sent: true }
}

function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return ''
  // codes are upper-case identifiers; anything else is somebody's text
  return typeof error.code === 'string' && /^[A-Z][A-Z0-9_]{1,63}$/.test(error.code) ? error.code : ''
}

/** The words for a time-out after `timeoutMs`; used wherever one is reported, so that they read alike. */
export function timeoutReason(timeoutMs: number): string {
  return `no answer within ${timeoutMs % 1_000 === 0 ? `${timeoutMs / 1_000} s` : `${timeoutMs} ms`}`
}

/**
 * `Retry-After` in milliseconds from `now` (ms since the epoch): seconds or an HTTP date (RFC 9110, 10.2.3), at most one
 * hour. Null when absent or malformed.
 */
export function retryAfterMs(header: string | undefined, now: number): number | null {
  const text = header?.trim() ?? ''
  if (text === '') return null
  const wanted = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - now
  if (Number.isNaN(wanted)) return null
  return Math.min(Math.max(Math.ceil(wanted), 0), 3_600_000)
}

/** The value of an `Authorization` header. */
export function authorization(credentials: Credentials): string {
  if ('token' in credentials) return `Bearer ${credentials.token}`
  return `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`
}

/**
 * `base` with `path` behind it (a prefix in `base` is kept) and `query` as parameters, repeated names allowed.
 * @throws ClawError('invalid') when `base` is no http(s) URL; the message names `what`, not the URL, which may hold a secret
 */
export function resolveUrl(what: string, base: string, path: string, query: [string, string][] = []): URL {
  const url = URL.parse(base)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new ClawError('invalid', `${what} is not an http or https URL`)
  }
  if (path !== '') url.pathname = `${url.pathname.replace(/\/+$/, '')}${path}`
  for (const [name, value] of query) url.searchParams.append(name, value)
  return url
}

/** Request options of `url` (credentials in it become basic authentication) over `agent`, or over Node's own keep-alive agent. */
export function requestOptions(method: string, url: URL, agent?: http.Agent): https.RequestOptions {
  return {
    method,
    protocol: url.protocol,
    hostname: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port || (url.protocol === 'https:' ? 443 : 80),
    path: `${url.pathname}${url.search}`,
    ...(url.username === '' && url.password === ''
      ? {}
      : { auth: `${percentDecoded(url.username)}:${percentDecoded(url.password)}` }),
    ...(agent === undefined ? {} : { agent }),
  }
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/**
 * One request, one answer, over node:http or node:https (global `fetch` manages a third of its rate). Redirects are not
 * followed. Never rejects.
 */
export function exchange(request: HttpRequest): Promise<HttpAnswer | NetworkFailure> {
  const { traced, options, headers } = request
  const trace = traced === undefined ? null : callTrace.getStore()
  if (traced === undefined || !trace) return send(request)
  return trace.call(traced, options.method ?? 'GET', (traceparent) =>
    send({ ...request, headers: { ...headers, traceparent } }),
  )
}

function send(request: HttpRequest): Promise<HttpAnswer | NetworkFailure> {
  const { options, headers, body, timeoutMs, signal, maxBytes } = request
  if (signal.aborted) return Promise.resolve({ reason: 'stopped before it was sent', sent: false })
  return new Promise((resolve) => {
    let outgoing: http.ClientRequest
    try {
      outgoing = (options.protocol === 'https:' ? https : http).request({
        ...options,
        headers: {
          ...options.headers,
          ...headers,
          ...(body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) }),
        },
      })
    } catch (error) {
      // a header or a port that Node refuses to send
      resolve({ reason: networkFailure(error).reason, sent: false })
      return
    }
    const give = (reason: string) => {
      const connected = outgoing.socket?.connecting === false
      settle({ reason, sent: connected })
      outgoing.destroy()
    }
    const timer = setTimeout(() => give(timeoutReason(timeoutMs)), timeoutMs)
    const onAbort = () => give('stopped before the answer came')
    signal.addEventListener('abort', onAbort, { once: true })
    // kept until the exchange is over, not only until it is settled: a body that trickles must end too
    outgoing.once('close', () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      settle({ reason: 'connection closed', sent: true })
    })
    outgoing.on('error', (error) => settle(networkFailure(error)))
    outgoing.once('response', (answer) => {
      const status = answer.statusCode ?? 0
      const chunks: Buffer[] = []
      let bytes = 0
      answer.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes > (maxBytes ?? DRAIN_BYTES)) {
          settle({ reason: `answer is longer than ${sizeText(maxBytes ?? DRAIN_BYTES)}`, sent: true })
          outgoing.destroy()
        } else if (maxBytes !== null) chunks.push(chunk)
      })
      answer.on('end', () => settle({ status, headers: answer.headers, body: Buffer.concat(chunks) }))
      answer.on('error', (error) => settle(networkFailure(error)))
      if (maxBytes === null) settle({ status, headers: answer.headers, body: Buffer.alloc(0) })
    })
    outgoing.end(body)

    function settle(result: HttpAnswer | NetworkFailure): void {
      resolve(result)
    }
  })
}

function sizeText(bytes: number): string {
  if (bytes >= MIB) return `${Math.round(bytes / MIB)} MiB`
  return bytes >= 1_024 ? `${Math.round(bytes / 1_024)} KiB` : `${bytes} bytes`
}

/**
 * GET of a JSON document, bounded in time (`timeoutMs`) and size (`maxBytes`). A connection that the server closed while
 * it was idle is replaced once, since a GET changes nothing. Never rejects; `reason` holds no address.
 */
export async function getJson(url: URL, request: JsonRequest): Promise<JsonAnswer> {
  const { timeoutMs, signal, maxBytes = 8 * MIB, traced } = request
  const headers = { Accept: 'application/json', ...request.headers }
  const ask = () => exchange({ options: requestOptions('GET', url), headers, timeoutMs, signal, maxBytes, traced })
  let answer = await ask()
  if ('reason' in answer && answer.reason === IN_DOUBT.ECONNRESET) answer = await ask()
  if ('reason' in answer) return { ok: false, status: null, reason: answer.reason, body: undefined }
  const body = parse(answer.body)
  const { status } = answer
  if (status < 200 || status > 299) return { ok: false, status, reason: `answered ${status}`, body }
  if (body === undefined) return { ok: false, status, reason: `answered ${status}, but not with JSON`, body }
  return { ok: true, status, body }
}

/**
 * One request that changes something, its content as JSON: bounded like `getJson`, but never sent twice. A 2xx without JSON
 * is ok with `body` undefined. Never rejects; `reason` holds no address.
 */
export async function sendJson(
  method: 'POST' | 'PUT' | 'PATCH',
  url: URL,
  content: unknown,
  request: JsonRequest,
): Promise<JsonAnswer> {
  const { timeoutMs, signal, maxBytes = 8 * MIB, traced } = request
  const answer = await exchange({
    options: requestOptions(method, url),
    headers: { Accept: 'application/json', 'Content-Type': 'application/json', ...request.headers },
    body: JSON.stringify(content),
    timeoutMs,
    signal,
    maxBytes,
    traced,
  })
  if ('reason' in answer) return { ok: false, status: null, reason: answer.reason, body: undefined }
  const body = parse(answer.body)
  const { status } = answer
  if (status < 200 || status > 299) return { ok: false, status, reason: `answered ${status}`, body }
  return { ok: true, status, body }
}

export type RefusalContext = {
  /** who was asked, for what: `Edge, reconcile of A and B` */
  where: string
  /** setting that holds the credentials: `edge.token` */
  credentials: string
  /** setting that holds the address: `edge.url` */
  address: string
  /** what the other side said, if anything; quoted */
  said?: unknown
  /** texts that must not be quoted, however they got into the answer */
  secrets?: readonly string[]
}

/**
 * The error for a request that was refused or not answered. No answer in time is `timeout`; no answer at all, 408, 429 (the
 * callers' back-off gives way; Retry-After is not passed on), 5xx and a 2xx that makes no sense are `unavailable`: those two
 * may be tried again. 401 and 403 are `unauthorized`, 404 `not_found`, 409 and 412 `conflict`, 501 `unsupported`, the rest `invalid`.
 */
export function refusal(answer: Extract<JsonAnswer, { ok: false }>, context: RefusalContext): ClawError {
  const code = refusalCode(answer)
  const said = quote(context.said, context.secrets)
  const redirected = answer.status !== null && answer.status >= 300 && answer.status <= 399
  const advice =
    code === 'unauthorized'
      ? `; check ${context.credentials}`
      : redirected
        ? `; redirects are not followed, give the final address in ${context.address}`
        : ''
  return new ClawError(code, `${context.where}: ${answer.reason}${said === '' ? '' : `: ${said}`}${advice}`)
}

function refusalCode({ status, reason }: Extract<JsonAnswer, { ok: false }>): ErrorCode {
  if (status === null)
    return /^(no answer within|connection timed out|stopped )/.test(reason) ? 'timeout' : 'unavailable'
  if (status === 401 || status === 403) return 'unauthorized'
  if (status === 404) return 'not_found'
  if (status === 409 || status === 412) return 'conflict'
  if (status === 501) return 'unsupported'
  if (status === 408 || status === 429 || status >= 500 || status <= 299) return 'unavailable'
  return 'invalid'
}

/** Somebody else's text on one line: at most 300 characters, no control or direction characters, no `secrets`; '' for no text. */
export function quote(text: unknown, secrets: readonly string[] = []): string {
  if (typeof text !== 'string') return ''
  const hidden = secrets.reduce((kept, secret) => (secret === '' ? kept : kept.replaceAll(secret, '…')), text)
  const plain = hidden
    .toWellFormed()
    .replace(/[\p{Cc}\s\u202a-\u202e\u2066-\u2069]+/gu, ' ')
    .trim()
  return plain.length <= QUOTED ? plain : `${plain.slice(0, QUOTED - 1).toWellFormed()}…`
}

/** The `detail` of problem+json (RFC 9457), or its `title`. */
export function problemDetail(body: unknown): unknown {
  if (typeof body !== 'object' || body === null) return undefined
  if ('detail' in body && typeof body.detail === 'string') return body.detail
  return 'title' in body ? body.title : undefined
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}
