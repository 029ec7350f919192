import { createHash, timingSafeEqual } from 'node:crypto'

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Compares secrets in constant time, whatever their lengths. */
export function sameSecret(a: string, b: string): boolean {
  return timingSafeEqual(digest(a), digest(b))
}

/**
 * A check of one `Authorization` header against several accepted values. All of them are compared, so that the time tells
 * nothing about which is right.
 * @param accepted whole header values, e.g. `Bearer x`; none accepts nothing
 */
export function headerCheck(accepted: readonly string[]): (header: string | undefined) => boolean {
  const digests = accepted.map(digest)
  // Alertmanager sends the same header with every webhook: what was right is right again, without hashing it.
  let right: Buffer | null = null
  return (header) => {
    if (header === undefined) return false
    const raw = Buffer.from(header)
    if (right !== null && right.length === raw.length && timingSafeEqual(right, raw)) return true
    // The scheme is case-insensitive (RFC 9110, section 11.1), the credentials are not.
    const space = header.indexOf(' ')
    const scheme = header.slice(0, space).toLowerCase()
    const given = digest(
      `${scheme === 'basic' ? 'Basic' : scheme === 'bearer' ? 'Bearer' : scheme} ${header.slice(space + 1).trim()}`,
    )
    let ok = false
    for (const one of digests) ok = timingSafeEqual(one, given) || ok
    if (ok) right = raw
    return ok
  }
}

/** `Basic` header value of a user and password (RFC 7617). */
export function basicHeader(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}
