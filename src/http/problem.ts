import type { NextFunction, Request, Response } from 'express'
import type { Logger } from 'pino'
import { ClawError, HTTP_STATUS } from '../core/errors.ts'

/** Seconds after which a refused webhook may come again; Alertmanager has its own pace and ignores it. */
const RETRY_AFTER = 5

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad request',
  401: 'Not signed in',
  403: 'Forbidden',
  404: 'Not found',
  405: 'Method not allowed',
  408: 'Request timed out',
  409: 'Conflict',
  413: 'Too large',
  415: 'Unsupported media type',
  500: 'Internal error',
  503: 'Unavailable',
}

/** Answers with RFC 9457 problem+json. `detail` is for people and holds nothing internal. */
export function sendProblem(res: Response, error: ClawError): void {
  const status = HTTP_STATUS[error.code]
  if (status === 503) res.setHeader('Retry-After', String(RETRY_AFTER))
  if (status === 401 && !res.hasHeader('WWW-Authenticate')) res.setHeader('WWW-Authenticate', 'Bearer')
  const body = JSON.stringify({
    type: 'about:blank',
    title: TITLES[status] ?? 'Error',
    status,
    code: error.code,
    detail: detailOf(error),
  })
  res.statusCode = status
  res.setHeader('Content-Type', 'application/problem+json; charset=utf-8')
  res.end(body)
}

/** What went wrong inside the database is for the log; the sender only needs to know that it must try again. */
function detailOf(error: ClawError): string {
  if (error.code === 'internal') return 'Claw made a mistake. It is in the log.'
  if (error.code === 'unavailable' && error.cause !== undefined) return 'Claw cannot store this now. Send it again.'
  return error.message
}

/** The last middleware: everything thrown becomes a problem; what is our fault is logged with its cause. */
export function problemHandler(log: Logger) {
  return (error: unknown, req: Request, res: Response, _next: NextFunction): void => {
    const known = toClawError(error)
    if (HTTP_STATUS[known.code] >= 500)
      log.error({ err: error, method: req.method, path: loggable(req.path) }, known.message)
    if (res.headersSent || res.destroyed) res.destroy()
    else sendProblem(res, known)
  }
}

/** A link that signs in is a secret until it is used. */
const loggable = (path: string): string => path.replace(/^(\/login\/).+/i, '$1…').slice(0, 200)

/** Express and its body parser throw errors with `status` and `type`. */
export function toClawError(error: unknown): ClawError {
  if (error instanceof ClawError) return error
  const type = typeof error === 'object' && error !== null && 'type' in error ? error.type : undefined
  const status = typeof error === 'object' && error !== null && 'status' in error ? error.status : undefined
  if (type === 'entity.too.large') return new ClawError('too_large', 'The body is too large.')
  if (type === 'encoding.unsupported') return new ClawError('unsupported', 'Send the body without Content-Encoding.')
  if (type === 'request.aborted' || type === 'request.size.invalid') {
    return new ClawError('invalid', 'The body ended before its Content-Length.')
  }
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return new ClawError('invalid', 'The request cannot be read.')
  }
  return new ClawError('internal', 'An unexpected error.', { cause: error })
}
