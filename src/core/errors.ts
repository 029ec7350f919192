/** Every error that Claw raises on purpose carries one of these codes. */
export type ErrorCode =
  | 'invalid'
  | 'unauthorized'
  | 'forbidden'
  | 'not_found'
  | 'conflict'
  | 'method_not_allowed'
  | 'timeout'
  | 'too_large'
  | 'unsupported'
  | 'unavailable'
  | 'internal'

/** The one table from code to HTTP status. */
export const HTTP_STATUS: Readonly<Record<ErrorCode, number>> = {
  invalid: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  timeout: 408,
  conflict: 409,
  too_large: 413,
  unsupported: 415,
  internal: 500,
  unavailable: 503,
}

/**
 * The one error class. `message` says what happened, where, and what to do; it is shown to people and therefore never
 * holds a secret or an internal detail. `cause` is for the log only.
 */
export class ClawError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'ClawError'
    this.code = code
  }
}

/** The text of anything that was thrown, for a log line or a reason; never empty. */
export function messageOf(error: unknown): string {
  if (error instanceof Error) return error.message || error.name
  return String(error) || 'unknown error'
}
