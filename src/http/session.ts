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
  /** who may sign in by a one-time link although they have no token; nobody when absent */
  people?: () => readonly string[]
  /** signs the cookies of those who have no token of their own; null while it is not loaded */
  key?: () => string | null
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
  /** Sets the cookie for a person who has a token, or who is known. @returns false when there is no such person */
  start(res: ServerResponse, person: string): boolean
  /** Takes the cookie away. */
  end(res: ServerResponse): void
  /** What a form of this person's pages carries, so that no other page can make one; '' for the unknown. */
  formToken(person: string): string
  /** Whether a form carried this person's token. */
  ownForm(person: string, given: string): boolean
}

/**
 * The cookie is `person.expiry.signature`, signed (HMAC-SHA256) with that person's API token, so that a changed or removed
 * token ends its sessions at once; for somebody without one, with a key of the installation's, and while they are known.
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

  /** What signs for a person; null for somebody unknown. */
  function keyOf(person: string): string | null {
    const token = tokenOf(person)
    if (token !== null || !(deps.people?.() ?? []).includes(person)) return token
    const key = deps.key?.() ?? null
    return key === null ? null : sign(key, 'claw_person', [person])
  }

  function fromCookie(value: string): string | null {
    const [name = '', expiry = '', signature = '', ...rest] = value.split('.')
    if (rest.length > 0 || !/^\d{1,15}$/.test(expiry) || Number(expiry) <= deps.clock()) return null
    const person = Buffer.from(name, 'base64url').toString()
    const key = keyOf(person)
    return key !== null && sameSecret(sign(key, COOKIE, [person, Number(expiry)]), signature) ? person : null
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
      const key = keyOf(person)
      if (key === null) return false
      const expiry = deps.clock() + LASTS
      const name = Buffer.from(person).toString('base64url')
      setCookie(res, `${name}.${expiry}.${sign(key, COOKIE, [person, expiry])}`, LASTS / SECOND)
      return true
    },
    end(res) {
      setCookie(res, '', 0)
    },
    formToken(person) {
      const key = keyOf(person)
      return key === null ? '' : sign(key, 'claw_form', [person])
    },
    ownForm(person, given) {
      const key = keyOf(person)
      return key !== null && sameSecret(sign(key, 'claw_form', [person]), given)
    },
  }
}

function sign(key: string, purpose: string, parts: readonly (string | number)[]): string {
  return createHmac('sha256', key)
    .update(JSON.stringify([purpose, ...parts]))
    .digest('base64url')
}

/** Every value sent under our cookie's name: a neighbour on the same domain may have set one of its own. */
function cookies(req: IncomingMessage): string[] {
  const parts = (req.headers.cookie ?? '').split(';').map((part) => part.trim())
  return parts.filter((part) => part.startsWith(`${COOKIE}=`)).map((part) => part.slice(COOKIE.length + 1))
}
