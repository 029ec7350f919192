import { createHmac, timingSafeEqual } from 'node:crypto'
import express, { type ErrorRequestHandler, type RequestHandler } from 'express'
import type { Clock } from '../../core/clock.ts'
import { BODY_LIMIT, MAX_SKEW_SECONDS } from './limits.ts'

export type SignedRequest = { timestamp: unknown; signature: unknown; body: Buffer }

/**
 * Why a request is not Slack's, or null when it is: `v0=` and the HMAC-SHA256 of `v0:<timestamp>:<body>`, the timestamp at most
 * five minutes from `now` in either direction (Bolt takes one from the future). Without a secret nothing is genuine.
 * Source: docs.slack.dev, "Verifying requests from Slack".
 */
export function forgery(secret: string | null, request: SignedRequest, now: number): string | null {
  const { timestamp, signature, body } = request
  if (secret === null || secret === '') return 'no signing secret is configured (slack.signing_secret)'
  if (typeof timestamp !== 'string' || !/^\d{1,12}$/.test(timestamp)) return 'it has no timestamp'
  if (typeof signature !== 'string' || !/^v0=[0-9a-f]{64}$/.test(signature)) return 'it has no signature'
  const expected = createHmac('sha256', secret).update(`v0:${timestamp}:`).update(body).digest()
  if (!timingSafeEqual(expected, Buffer.from(signature.slice(3), 'hex'))) return 'its signature is wrong'
  const skew = now / 1_000 - Number(timestamp)
  return Math.abs(skew) > MAX_SKEW_SECONDS ? `its timestamp is ${skew > 0 ? 'too old' : 'in the future'}` : null
}

export type GuardOptions = { secret: string | null; clock: Clock; onRefused: (reason: string) => void }

/**
 * Reads the raw body, checks the signature by our clock, and leaves both to Bolt. Anything else ends here: 405, 413, 401.
 * Mount it where no body parser ran before.
 */
export function guard({ secret, clock, onRefused }: GuardOptions): Array<RequestHandler | ErrorRequestHandler> {
  const method: RequestHandler = (req, res, next) => {
    if (req.method === 'POST') return next()
    res.set('Allow', 'POST')
    problem(res, 405, 'Slack posts here.')
  }
  const raw = express.raw({ type: () => true, limit: BODY_LIMIT, inflate: false })
  const unreadable: ErrorRequestHandler = (error, _req, res, _next) => {
    const { status } = error as { status?: unknown }
    const code = typeof status === 'number' && status >= 400 && status < 500 ? status : 400
    problem(res, code, code === 413 ? `A request may have ${BODY_LIMIT} bytes.` : 'The body could not be read.')
  }
  const check: RequestHandler = (req, res, next) => {
    const body = Buffer.isBuffer(req.body) ? req.body : Buffer.alloc(0)
    const timestamp = req.headers['x-slack-request-timestamp']
    const reason = forgery(secret, { timestamp, signature: req.headers['x-slack-signature'], body }, clock())
    if (reason !== null) {
      onRefused(reason)
      problem(res, 401, 'The request is not signed as Slack signs, or not now.')
      return
    }
    // Bolt takes the body from here, and knows forms only by the bare media type.
    Object.assign(req, { rawBody: body })
    const type = req.headers['content-type']
    if (type !== undefined) req.headers['content-type'] = type.split(';')[0]?.trim().toLowerCase()
    next()
  }
  return [method, raw, unreadable, check]
}

function problem(res: Parameters<RequestHandler>[1], status: number, detail: string): void {
  res
    .status(status)
    .type('application/problem+json')
    .send(JSON.stringify({ type: 'about:blank', status, detail }))
}
