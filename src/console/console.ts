import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import express, { type NextFunction, type Request, type Response, Router } from 'express'
import type { Clock } from '../core/clock.ts'
import type { Renderer } from '../core/delivery.ts'
import { ClawError, HTTP_STATUS } from '../core/errors.ts'
import type { Incident } from '../core/incident.ts'
import type { Store } from '../core/store.ts'
import type { IncidentView } from '../core/view.ts'
import { byUrgency, deliveryRow, incidentCard, incidentPage } from './present.ts'

export type ConsoleDeps = {
  store: Store
  viewOf: (incident: Incident) => Promise<IncidentView>
  /** escapes HTML in `templates/console` */
  renderer: Renderer
  /** what the console needs of `src/http/session.ts` */
  session: {
    who(req: IncomingMessage): { person: string } | null
    sameOrigin(req: IncomingMessage): boolean
    signIn(req: IncomingMessage, token: string): { person: string } | { refused: 'wrong' | 'wait' }
    start(res: ServerResponse, person: string): void
    end(res: ServerResponse): void
  }
  /** puts a delivery back in line. @throws ClawError `not_found`, `conflict` */
  redeliver: (id: number) => Promise<unknown>
  /** the sandbox signs everybody in as this person and shows what to try; null outside of it */
  sandbox: { person: string; scenarios: readonly { name: string; text: string }[] } | null
  clock: Clock
  /** hears of what went wrong on our side */
  onError: (error: unknown) => void
}

/** Open incidents on the first page; the others are counted. */
const SHOWN_OPEN = 40
/** Open incidents that are looked through for the most urgent ones. */
const SORTED_OPEN = 500
const SHOWN_RESOLVED = 8
const SHOWN_DEAD = 10
const SHOWN_ALERTS = 100
const SHOWN_STORY = 200

const HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  // Not `no-referrer`: browsers would then send `Origin: null` with our own forms.
  'Referrer-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
  'Cache-Control': 'no-store',
} as const

const SIGN_IN_FAILED = {
  wrong: { status: 401, text: 'That is not one of the tokens under api.tokens.' },
  wait: { status: 429, text: 'Too many wrong tokens came from here. Try again in a minute.' },
} as const

/** The web page: `/`, `/incidents/{id}`, sign-in and sign-out, `/console.css`. Works without JavaScript. */
export function createConsole(deps: ConsoleDeps): Router {
  const { store, session } = deps
  const css = readFileSync(new URL('./console.css', import.meta.url), 'utf8')
  const router = Router({ caseSensitive: true })
  const form = express.urlencoded({ extended: false, limit: '4kb' })

  function show(req: Request, res: Response, template: string, data: { [key: string]: unknown }, status = 200): void {
    const person = (res.locals.person as string | undefined) ?? null
    const html = deps.renderer.render(`console/${template}`, {
      now: deps.clock(),
      person,
      sandbox: deps.sandbox !== null,
      path: req.path,
      ...data,
    })
    res.statusCode = status
    for (const [name, value] of Object.entries(HEADERS)) res.setHeader(name, value)
    res.setHeader('Content-Type', 'text/html; charset=utf-8')
    res.end(html)
  }

  /** Whoever is not signed in gets the form instead of the page, at the same address. */
  function signedIn(req: Request, res: Response, next: NextFunction): void {
    const who = session.who(req)
    if (who !== null) res.locals.person = who.person
    else if (deps.sandbox !== null) {
      session.start(res, deps.sandbox.person)
      res.locals.person = deps.sandbox.person
    } else {
      show(req, res, 'signin', { problem: null, back: backTo(req.path) }, req.path === '/' ? 200 : 401)
      return
    }
    next()
  }

  function ownForm(req: Request, _res: Response, next: NextFunction): void {
    if (!session.sameOrigin(req)) throw new ClawError('forbidden', 'This form was sent from another site.')
    next()
  }

  router.get('/console.css', (_req, res) => {
    res.setHeader('Content-Type', 'text/css; charset=utf-8')
    res.setHeader('X-Content-Type-Options', 'nosniff')
    res.setHeader('Cache-Control', 'max-age=60')
    res.end(css)
  })

  router.get('/', signedIn, async (req, res) => {
    const now = deps.clock()
    const [counts, queue, open, resolved, dead, beats] = await Promise.all([
      store.countIncidents(),
      store.countDeliveries(),
      store.listIncidents({ states: ['open', 'acknowledged'], limit: SORTED_OPEN, before: null }),
      store.listIncidents({ states: ['resolved'], limit: SHOWN_RESOLVED, before: null }),
      store.listDeliveries({ state: 'dead', limit: SHOWN_DEAD, before: null }),
      store.heartbeats(),
    ])
    const shown = open.sort(byUrgency).slice(0, SHOWN_OPEN)
    const cards = await cardsOf([...shown, ...resolved], now)
    const firing = counts.filter((one) => one.state !== 'resolved')
    const levels = (['P1', 'P2', 'P3'] as const).map((level) => ({ level, count: total(firing, level) }))
    const openCount = total(firing)
    show(req, res, 'home', {
      levels: levels.filter(({ count }) => count > 0),
      worst: levels.find(({ count }) => count > 0)?.level ?? null,
      openCount,
      unacknowledged: total(counts.filter((one) => one.state === 'open')),
      moreOpen: Math.max(0, openCount - shown.length),
      deadCount: total(queue.filter((one) => one.state === 'dead')),
      waitingCount: total(queue.filter((one) => one.state === 'waiting')),
      allTold: total(queue) === 0,
      // The one that was silent longest: the others are better.
      heartbeat: beats.length === 0 ? null : Math.min(...beats.map((beat) => beat.lastAt)),
      open: cards.slice(0, shown.length),
      resolved: cards.slice(shown.length),
      deadLetters: dead.map((delivery) => ({ ...deliveryRow(delivery, now), incidentId: delivery.incidentId })),
      scenarios: deps.sandbox?.scenarios ?? [],
    })
  })

  async function cardsOf(incidents: readonly Incident[], now: number) {
    const [views, deliveries] = await Promise.all([
      Promise.all(incidents.map((incident) => deps.viewOf(incident))),
      store.deliveriesOf(incidents.map((incident) => incident.id)),
    ])
    const groups = Map.groupBy(deliveries, (delivery) => String(delivery.incidentId))
    return views.map((view) => incidentCard(view, groups.get(view.id) ?? [], now))
  }

  router.get('/incidents/:id', signedIn, async (req, res) => {
    const id = idOf(req)
    const [incident] = id === null ? [] : await store.incidents([id])
    if (!incident) throw new ClawError('not_found', 'There is no such incident. It may have been too old to keep.')
    const [view, deliveries, alerts, story] = await Promise.all([
      deps.viewOf(incident),
      store.deliveriesOf([incident.id]),
      store.alertsOf(incident.id, SHOWN_ALERTS),
      store.story(incident.id, SHOWN_STORY),
    ])
    const page = incidentPage({ incident, view, deliveries, alerts, story, now: deps.clock() })
    show(req, res, 'incident', { incident: page })
  })

  router.post('/deliveries/:id/redeliver', signedIn, ownForm, form, async (req, res) => {
    const id = idOf(req)
    if (id === null) throw new ClawError('not_found', 'There is no such delivery.')
    await deps.redeliver(id)
    seeOther(res, backTo(field(req, 'back')))
  })

  router.post('/signin', ownForm, form, (req, res) => {
    const back = backTo(field(req, 'back'))
    const answer = session.signIn(req, field(req, 'token').trim())
    if ('refused' in answer) {
      const { status, text } = SIGN_IN_FAILED[answer.refused]
      show(req, res, 'signin', { problem: text, back }, status)
      return
    }
    session.start(res, answer.person)
    seeOther(res, back)
  })

  router.post('/signout', ownForm, (_req, res) => {
    session.end(res)
    seeOther(res, '/')
  })

  router.use((error: unknown, req: Request, res: Response, next: NextFunction) => {
    const known = error instanceof ClawError ? error : clientError(error)
    const status = known === null ? 500 : HTTP_STATUS[known.code]
    if (status >= 500) deps.onError(error)
    if (res.headersSent) return next(error)
    const text =
      status >= 500 || known === null ? 'Claw could not make this page. The reason is in its log.' : known.message
    try {
      show(req, res, 'message', { text }, status)
    } catch (broken) {
      // A template that an operator changed may be what is broken.
      deps.onError(broken)
      res.statusCode = status
      res.setHeader('Content-Type', 'text/plain; charset=utf-8')
      res.end(`${text}\n`)
    }
  })
  return router
}

function total(rows: readonly { level?: string; count: number }[], level?: string): number {
  return rows.reduce((sum, row) => sum + (level === undefined || row.level === level ? row.count : 0), 0)
}

function idOf(req: Request): number | null {
  const { id } = req.params
  return typeof id === 'string' && /^[1-9]\d{0,14}$/.test(id) ? Number(id) : null
}

function field(req: Request, name: string): string {
  const body: unknown = req.body
  const value = typeof body === 'object' && body !== null ? (body as Record<string, unknown>)[name] : undefined
  return typeof value === 'string' ? value : ''
}

/** Only pages of ours: a form must not send anybody elsewhere. */
function backTo(path: string): string {
  return /^\/incidents\/[1-9]\d{0,14}$/.test(path) ? path : '/'
}

function seeOther(res: Response, path: string): void {
  res.setHeader('Cache-Control', 'no-store')
  res.setHeader('Location', path)
  res.statusCode = 303
  res.end()
}

/** What Express and its body parser say of a malformed request. */
function clientError(error: unknown): ClawError | null {
  const status = typeof error === 'object' && error !== null && 'status' in error ? error.status : undefined
  if (typeof status !== 'number' || status < 400 || status >= 500) return null
  return new ClawError('invalid', 'The request cannot be read.')
}
