import express, { type NextFunction, type Request, type Response, Router } from 'express'
import type { ApiRoute } from '../core/api.ts'
import { ClawError } from '../core/errors.ts'
import { readTraceparent } from '../core/trace.ts'
import type { Session } from './session.ts'

/** A command with its note; nothing here is longer. */
const BODY_LIMIT = 64 * 1024

/**
 * The HTTP API, to be mounted at `/api/v1` before the problem handler. Checks in this order: who speaks (401), origin of
 * what a browser sends with the cookie (403), path (404), method (405 with Allow); then the route answers.
 */
export function createApi(deps: { session: Session; routes: readonly ApiRoute[] }): Router {
  const router = Router({ caseSensitive: true })
  const raw = express.raw({ type: () => true, limit: BODY_LIMIT, inflate: false })
  router.use((req: Request, res: Response, next: NextFunction) => {
    res.setHeader('Cache-Control', 'no-store')
    res.setHeader('X-Content-Type-Options', 'nosniff')
    res.setHeader('Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'")
    const who = deps.session.who(req)
    if (who === null) {
      throw new ClawError('unauthorized', 'Send Authorization: Bearer with one of the tokens under api.tokens.')
    }
    if (who.by === 'cookie' && !['GET', 'HEAD'].includes(req.method) && !deps.session.sameOrigin(req)) {
      throw new ClawError('forbidden', 'This came from another site. Use the console, or send a bearer token.')
    }
    res.locals.person = who.person
    next()
  })
  for (const path of new Set(deps.routes.map((route) => route.path))) {
    const here = router.route(path)
    const allowed: string[] = []
    for (const route of deps.routes.filter((one) => one.path === path)) {
      allowed.push(...(route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]))
      if (route.method === 'GET') here.get(async (req, res) => answer(route, req, res))
      else here.post(raw, async (req, res) => answer(route, req, res))
    }
    here.all((_req, res) => {
      res.setHeader('Allow', allowed.join(', '))
      throw new ClawError('method_not_allowed', `Use ${allowed.join(' or ')}.`)
    })
  }
  router.use(() => {
    throw new ClawError('not_found', 'The API has nothing at this path.')
  })
  return router
}

async function answer(route: ApiRoute, req: Request, res: Response): Promise<void> {
  const id = req.params.id
  const at = req.originalUrl.indexOf('?')
  const traceparent = readTraceparent(req.headers.traceparent)
  const { status, type, body } = await route.handle({
    id: typeof id === 'string' ? id : '',
    query: new URLSearchParams(at < 0 ? '' : req.originalUrl.slice(at + 1)),
    person: String(res.locals.person),
    body: Buffer.isBuffer(req.body) ? req.body : Buffer.alloc(0),
    idempotencyKey: req.get('idempotency-key')?.slice(0, 200) ?? null,
    ...(traceparent === null ? {} : { traceparent }),
  })
  res.statusCode = status
  res.setHeader('Content-Type', type)
  res.setHeader('Content-Length', Buffer.byteLength(body))
  res.end(body)
}
