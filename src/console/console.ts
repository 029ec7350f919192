import express, { type NextFunction, type Request, type RequestHandler, type Response, Router } from 'express'
import { ClawError, HTTP_STATUS } from '../core/errors.ts'
import { commandPages } from './act.ts'
import { loadAssets } from './assets.ts'
import { chartPages } from './charts.ts'
import { configPages } from './configuration.ts'
import { createFeed, digestOf, type Feed } from './events.ts'
import { homePage } from './home.ts'
import { incidentPages } from './incident.ts'
import { auditPages, deliveryPages, silencePages } from './lists.ts'
import { backTo, type ConsoleDeps, createShell, field } from './page.ts'
import { headers, signInPages } from './signin.ts'

export type { ChartQueries, ConsoleDeps, RangeQuery, Sample, Sandbox, Series, Watch } from './page.ts'

export type Console = {
  router: Router
  /** live updates: `tick` is one round, `close` ends them */
  feed: Feed
}

/**
 * The web pages. They work without JavaScript; with it they renew themselves (`/events`) and draw charts. Reading needs a
 * session; changing something needs one of our own forms besides, and is a chat command like any other.
 */
export function createConsole(deps: ConsoleDeps): Console {
  const { session } = deps
  const assets = loadAssets()
  const shell = createShell(deps, assets)
  const feed = createFeed({
    digest: () => digestOf(deps.store, deps.watch()?.history().at(-1)?.at ?? null),
    clock: deps.clock,
    onError: deps.onError,
    ...(deps.timer === undefined ? {} : { timer: deps.timer }),
  })
  const router = Router({ caseSensitive: true })
  const form = express.urlencoded({ extended: false, limit: '16kb' })

  /** Whoever is not signed in gets the form instead of the page, at the same address. */
  const signedIn: RequestHandler = async (req, res, next) => {
    const who = session.who(req)
    if (who !== null) res.locals.person = who.person
    else if (deps.sandbox !== null) {
      session.start(res, deps.sandbox.person)
      res.locals.person = deps.sandbox.person
    } else if (req.get('hx-request') === 'true') {
      // A live page whose session is over loads itself anew, and shows the form then.
      res.setHeader('HX-Refresh', 'true')
      res.statusCode = 401
      return void res.end()
    } else {
      const back = backTo(req.originalUrl)
      return shell.show(req, res, 'signin', { problem: null, back }, req.path === '/' ? 200 : 401)
    }
    next()
  }

  const sameOrigin: RequestHandler = (req, _res, next) => {
    if (!session.sameOrigin(req)) throw new ClawError('forbidden', 'This form was sent from another site.')
    next()
  }

  const ownForm: RequestHandler = (req, res, next) => {
    if (!session.ownForm(String(res.locals.person), field(req, 'token'))) {
      throw new ClawError(
        'forbidden',
        'This form is not one of ours, or it is too old. Go back, load the page again, and press it there.',
      )
    }
    next()
  }

  router.use(headers)
  router.get('/assets/:name', (req, res) => {
    const asset = assets.at(req.path)
    if (asset === null) throw new ClawError('not_found', 'There is no such file. Load the page again.')
    res.setHeader('Content-Type', asset.type)
    res.setHeader('Cache-Control', 'public, max-age=31536000, immutable')
    res.setHeader('Vary', 'Accept-Encoding')
    const zipped = req.acceptsEncodings('gzip') === 'gzip'
    if (zipped) res.setHeader('Content-Encoding', 'gzip')
    res.end(zipped ? asset.gzipped : asset.body)
  })
  // Forms are checked for where they come from before they are read.
  signInPages(router, shell, [sameOrigin, form])

  router.get('/events', (req, res) => {
    const who = session.who(req)
    if (who === null) throw new ClawError('unauthorized', 'Sign in first.')
    const stillOwn = () => session.who(req)?.person === who.person
    if (!feed.open(req, res, who.person, stillOwn)) {
      res.setHeader('Retry-After', '30')
      throw new ClawError('unavailable', 'Too many pages are open at once. This one does not renew itself.')
    }
  })

  router.get(PAGES, signedIn)
  router.post('/commands', signedIn, sameOrigin, form, ownForm)
  homePage(router, shell)
  incidentPages(router, shell)
  deliveryPages(router, shell)
  auditPages(router, shell)
  silencePages(router, shell)
  configPages(router, shell)
  chartPages(router, shell)
  commandPages(router, shell)

  router.use((error: unknown, req: Request, res: Response, next: NextFunction) => {
    const known = error instanceof ClawError ? error : clientError(error)
    const status = known === null ? 500 : HTTP_STATUS[known.code]
    const own = known !== null && (status < 500 || (known.code === 'unavailable' && known.cause === undefined))
    if (!own) deps.onError(error)
    if (res.headersSent) return next(error)
    const text = own ? known.message : 'Claw could not make this page. The reason is in its log.'
    shell.show(req, res, 'message', { text, answer: null }, status).catch((broken) => {
      // A template that an operator changed may be what is broken.
      deps.onError(broken)
      res.statusCode = status
      res.setHeader('Content-Type', 'text/plain; charset=utf-8')
      res.end(`${text}\n`)
    })
  })
  return { router, feed }
}

/** Addresses that show something to those who are signed in. */
const PAGES = [
  '/',
  '/incidents/:id',
  '/deliveries',
  '/audit',
  '/silences',
  '/config',
  '/charts',
  '/console-data/charts',
  '/answers/:number',
]

/** What Express and its body parser say of a malformed request. */
function clientError(error: unknown): ClawError | null {
  const status = typeof error === 'object' && error !== null && 'status' in error ? error.status : undefined
  if (typeof status !== 'number' || status < 400 || status >= 500) return null
  return new ClawError('invalid', 'The request cannot be read.')
}
