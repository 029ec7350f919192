import { type RequestHandler, Router } from 'express'
import { ClawError } from '../core/errors.ts'

const OWN = new Set(['localhost', '127.0.0.1', '[::1]'])

/**
 * Refuses requests under another name than this machine's own. The sandbox signs everybody in and listens on loopback only; a
 * site whose name leads to 127.0.0.1 for a moment would otherwise be its own page to the browser (DNS rebinding).
 */
export const loopbackOnly: RequestHandler = (req, _res, next) => {
  const host = (req.headers.host ?? '').toLowerCase().replace(/:\d+$/, '')
  if (OWN.has(host)) return next()
  next(
    new ClawError(
      'forbidden',
      'The sandbox answers as localhost and 127.0.0.1 only. Open it under one of these names.',
    ),
  )
}

/** What stands before everything in the sandbox: the guard for all of Claw, and the world at `path`. */
export function sandboxFront(path: string, world: RequestHandler): Router {
  const router = Router()
  router.use(loopbackOnly)
  router.use(path, world)
  return router
}
