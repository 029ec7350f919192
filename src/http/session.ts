import { createHmac } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Clock, HOUR, MINUTE, SECOND } from '../core/clock.ts'
import { sameSecret } from '../core/credentials.ts'

const COOKIE = 'claw_session'
/** How long a sign-in lasts. */
const LASTS = 12 * HOUR
/** Failed sign-ins that one address has per `FAILURE_SPAN`; tokens are long, so this only keeps the log and the CPU quiet. */
const MAX_FAILURES = 10
const FAILURE_SPAN = MINUTE
/** Addresses remembered; an attacker with more of them than this gets no more memory. */
const MAX_ADDRESSES = 10_000

export type SessionDeps = {
  /** person to API token, as configured now */
  tokens: () => Readonly<Record<string, string>>
  clock: Clock
  /** Claw's own address: an https one makes the cookie `Secure`, and its host counts as the same origin */
  publicUrl: () => string | null
}

export type SignIn = { person: string } | { refused: 'wrong' | 'wait' }

/** Who speaks: by bearer token or by the console's cookie. Stateless, so that it holds over replicas and restarts. */
export type Session = {
  /** The person a request speaks for, and how it proved that; null when it did not. */
  who(req: IncomingMessage): { person: string; by: 'token' | 'cookie' } | null
  /** Whether a request that a browser sent with the cookie comes from our own pages, not from somebody else's. */
  sameOrigin(req: IncomingMessage): boolean
  /** Checks a token that was typed in. `wait`: too many wrong ones came from this address within a minute. */
  signIn(req: IncomingMessage, token: string): SignIn
  /** Sets the cookie for a person who has a token. */
  start(res: ServerResponse, person: string): void
  /** Takes the cookie away. */
  end(res: ServerResponse): void
}

/**
 * The cookie is `person.expiry.signature`, signed (HMAC-SHA256) with that person's API token: a changed or removed token
 * ends its sessions at once, and there is no further secret to keep.
 */
export function createSession(deps: SessionDeps): Session {
  const failures = new Map<string, { count: number; until: number }>()

  function personWith(token: string): string | null {
    let found: string | null = null
    // All are compared, so that the time tells nothing about which is right. An empty token opens nothing.
    for (const [person, expected] of Object.entries(deps.tokens())) {
      if (sameSecret(expected, token) && expected !== '') found = person
    }
    return found
  }

  function tokenOf(person: string): string | null {
    const tokens = deps.tokens()
    return (Object.hasOwn(tokens, person) && tokens[person]) || null
  }

  function fromCookie(value: string): string | null {
    const [name = '', expiry = '', signature = '', ...rest] = value.split('.')
    if (rest.length > 0 || !/^\d{1,15}$/.test(expiry) || Number(expiry) <= deps.clock()) return null
    const person = Buffer.from(name, 'base64url').toString()
    const token = tokenOf(person)
    return token !== null && sameSecret(sign(token, person, Number(expiry)), signature) ? person : null
  }

  function setCookie(res: ServerResponse, value: string, maxAge: number): void {
    const secure = deps.publicUrl()?.startsWith('https:') ? '; Secure' : ''
    // Lax, not Strict: a link from Slack must find the person signed in. Changing requests check their origin besides.
    res.appendHeader('Set-Cookie', `${COOKIE}=${value}; Path=/; HttpOnly; SameSite=Lax; Max-Age=${maxAge}${secure}`)
  }

  function sameHost(origin: string, host: string | undefined): boolean {
    if (!URL.canParse(origin)) return false
    const url = new URL(origin)
    if (url.protocol !== 'http:' && url.protocol !== 'https:') return false
    const own = deps.publicUrl()
    // Behind a proxy the Host header may be an inner one.
    return url.host === host?.toLowerCase() || (own !== null && URL.canParse(own) && url.origin === new URL(own).origin)
  }

  return {
    who(req) {
      // Another scheme is a proxy's own business: the browser sends that along with the cookie.
      const bearer = /^bearer(?: +(\S*))? *$/i.exec(req.headers.authorization ?? '')
      if (bearer) {
        const person = personWith(bearer[1] ?? '')
        return person === null ? null : { person, by: 'token' }
      }
      for (const value of cookies(req)) {
        const person = fromCookie(value)
        if (person !== null) return { person, by: 'cookie' }
      }
      return null
    },
    sameOrigin(req) {
      const site = req.headers['sec-fetch-site']
      if (site !== undefined) return site === 'same-origin'
      // Browsers leave Sec-Fetch-Site out on plain http; each of them sends Origin with a POST.
      return req.headers.origin !== undefined && sameHost(req.headers.origin, req.headers.host)
    },
    signIn(req, token) {
      const now = deps.clock()
      const address = req.socket.remoteAddress ?? ''
      const known = failures.get(address)
      const before = known && known.until > now ? known : { count: 0, until: now + FAILURE_SPAN }
      if (before.count >= MAX_FAILURES) return { refused: 'wait' }
      const person = personWith(token)
      if (person !== null) return { person }
      if (failures.size >= MAX_ADDRESSES) failures.clear()
      failures.set(address, { count: before.count + 1, until: before.until })
      return { refused: 'wrong' }
    },
    start(res, person) {
      const token = tokenOf(person)
      if (token === null) return
      const expiry = deps.clock() + LASTS
      const name = Buffer.from(person).toString('base64url')
      setCookie(res, `${name}.${expiry}.${sign(token, person, expiry)}`, LASTS / SECOND)
    },
    end(res) {
      setCookie(res, '', 0)
    },
  }
}

function sign(token: string, person: string, expiry: number): string {
  return createHmac('sha256', token)
    .update(JSON.stringify([COOKIE, person, expiry]))
    .digest('base64url')
}

/** Every value sent under our cookie's name: a neighbour on the same domain may have set one of its own. */
function cookies(req: IncomingMessage): string[] {
  const parts = (req.headers.cookie ?? '').split(';').map((part) => part.trim())
  return parts.filter((part) => part.startsWith(`${COOKIE}=`)).map((part) => part.slice(COOKIE.length + 1))
}
