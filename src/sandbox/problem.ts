import { timingSafeEqual } from 'node:crypto'
import type { ErrorRequestHandler, RequestHandler, Response } from 'express'
import { ClawError, HTTP_STATUS, messageOf } from '../core/errors.ts'

/** Answers with `application/problem+json` (RFC 9457). `extra` are further members, e.g. the names that would do. */
export function sendProblem(res: Response, status: number, title: string, detail: string, extra: object = {}): void {
  res
    .status(status)
    .type('application/problem+json')
    .send(JSON.stringify({ type: 'about:blank', title, status, detail, ...extra }))
}

/** Turns whatever a handler threw into a problem; what the body parser refused keeps its own status (400, 413, 415). */
export const problems: ErrorRequestHandler = (error: unknown, _req, res, next) => {
  if (res.headersSent) return next(error)
  if (error instanceof ClawError) return sendProblem(res, HTTP_STATUS[error.code], error.code, error.message)
  const status = parserStatus(error)
  if (status === null) return sendProblem(res, 500, 'internal', 'The sandbox failed; its log says why.')
  sendProblem(res, status, 'invalid', `The body could not be read: ${messageOf(error)}.`)
}

/** Says 404 for every path that no route took. */
export const noSuchPath: RequestHandler = (req, _res, next) => {
  next(new ClawError('not_found', `There is nothing at ${req.method} ${req.baseUrl}${req.path}.`))
}

/** Refuses what a browser sends from somebody else's page; the sandbox has no password. */
export const ownPagesOnly: RequestHandler = (req, _res, next) => {
  const site = req.get('sec-fetch-site')
  if (site === undefined || site === 'same-origin' || site === 'none') return next()
  next(new ClawError('forbidden', 'Another site’s page may not change the sandbox.'))
}

/** Lets only `Authorization: Bearer <token>` pass; the comparison takes constant time for equal lengths. */
export function requireBearer(token: string): RequestHandler {
  const wanted = Buffer.from(`Bearer ${token}`)
  return (req, res, next) => {
    const given = Buffer.from(req.get('authorization') ?? '')
    if (given.length === wanted.length && timingSafeEqual(given, wanted)) return next()
    res.set('WWW-Authenticate', 'Bearer realm="sandbox"')
    next(
      new ClawError('unauthorized', 'The bearer token is missing or wrong; in the sandbox it is the word `sandbox`.'),
    )
  }
}

function parserStatus(error: unknown): number | null {
  if (typeof error !== 'object' || error === null || !('status' in error)) return null
  const { status } = error
  return typeof status === 'number' && status >= 400 && status < 500 ? status : null
}
