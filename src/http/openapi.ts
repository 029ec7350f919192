import { type Request, type Response, Router } from 'express'
import { ClawError } from '../core/errors.ts'

/** Seconds that a copy may be used: it only changes with the version of Claw. */
const MAX_AGE = 300

/**
 * `GET /openapi.json`, for everybody: the document holds nothing of this installation. Mount it before the problem handler.
 * @param document a JSON value, written once
 */
export function createOpenApi(document: unknown): Router {
  const body = Buffer.from(JSON.stringify(document))
  const router = Router({ caseSensitive: true })
  const route = router.route('/openapi.json')
  route.get((_req: Request, res: Response) => {
    res.setHeader('Content-Type', 'application/json; charset=utf-8')
    res.setHeader('Content-Length', body.length)
    res.setHeader('Cache-Control', `public, max-age=${MAX_AGE}`)
    res.setHeader('X-Content-Type-Options', 'nosniff')
    res.end(body)
  })
  route.all((_req: Request, res: Response) => {
    res.setHeader('Allow', 'GET, HEAD')
    throw new ClawError('method_not_allowed', 'Use GET or HEAD.')
  })
  return router
}
