import { ClawError, type ErrorCode } from '../../core/errors.ts'
import { networkFailure, quote, timeoutReason } from '../http.ts'

/**
 * Route 53's error codes (API Reference, "Common Errors" and the errors of ListResourceRecordSets and
 * ChangeResourceRecordSets). Most come as status 400, so the code decides and not the status.
 */
const CODES: Readonly<Record<string, ErrorCode>> = {
  // beyond 10 requests a second for an account, bursts of 50 (Developer Guide, "Throttling for Amazon Route 53 API requests")
  Throttling: 'unavailable',
  ThrottlingException: 'unavailable',
  PriorRequestNotComplete: 'unavailable',
  RequestTimeout: 'unavailable',
  ServiceUnavailable: 'unavailable',
  InvalidChangeBatch: 'conflict',
  NoSuchHostedZone: 'not_found',
  InvalidInput: 'invalid',
  AccessDenied: 'unauthorized',
  AccessDeniedException: 'unauthorized',
  CredentialsProviderError: 'unauthorized',
  ExpiredToken: 'unauthorized',
  ExpiredTokenException: 'unauthorized',
  IncompleteSignature: 'unauthorized',
  InvalidClientTokenId: 'unauthorized',
  InvalidSignatureException: 'unauthorized',
  MissingAuthenticationToken: 'unauthorized',
  OptInRequired: 'unauthorized',
  RequestExpired: 'unauthorized',
  SignatureDoesNotMatch: 'unauthorized',
  UnrecognizedClientException: 'unauthorized',
}

type Thrown = { name: string; status: number | null; message: string }

/**
 * What the SDK threw, as a ClawError. AWS' own words are quoted for what was asked, but not for credentials: those texts
 * hold key ids, account numbers and the signed request.
 */
export function route53Error(error: unknown, where: string, timeoutMs: number, secrets: readonly string[]): ClawError {
  const { name, status, message } = thrownOf(error)
  // the SDK calls a connection that was reset a TimeoutError too (@smithy/node-http-handler, NODEJS_TIMEOUT_ERROR_CODES)
  const reset = error instanceof Error && 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
  if (name === 'TimeoutError' && !reset) return new ClawError('timeout', `${where}: ${timeoutReason(timeoutMs)}`)
  if (name === 'AbortError') return new ClawError('timeout', `${where}: stopped before the answer came`)
  const code = reset ? undefined : Object.hasOwn(CODES, name) ? CODES[name] : codeOf(status)
  if (code === undefined) return new ClawError('unavailable', `${where}: ${networkFailure(error).reason}`)
  const about = `${status === null ? '' : `answered ${status}, `}${quote(name)}`
  if (code === 'unauthorized') {
    const advice = 'check failover.route53, or the credentials that the AWS SDK finds'
    return new ClawError(code, `${where}: ${about}; ${advice}`)
  }
  const said = quote(message, secrets)
  return new ClawError(code, `${where}: ${about}${said === '' || said === name ? '' : `: ${said}`}`)
}

function codeOf(status: number | null): ErrorCode | undefined {
  if (status === null) return undefined
  if (status === 401 || status === 403) return 'unauthorized'
  if (status === 404) return 'not_found'
  if (status === 408 || status === 429 || status >= 500) return 'unavailable'
  // a success that could not be read
  return status >= 400 ? 'invalid' : 'unavailable'
}

function thrownOf(error: unknown): Thrown {
  if (!(error instanceof Error)) return { name: '', status: null, message: '' }
  const metadata: unknown = '$metadata' in error ? error.$metadata : null
  const known = typeof metadata === 'object' && metadata !== null && 'httpStatusCode' in metadata
  const status = known && typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : null
  return { name: error.name, status, message: error.message }
}
