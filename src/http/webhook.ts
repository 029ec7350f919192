import type { IncomingMessage } from 'node:http'
import express, { type NextFunction, type Request, type RequestHandler, type Response } from 'express'
import { ClawError } from '../core/errors.ts'

/**
 * The order of checks of every receiver: method, content type, size, body, authentication; then `handle` parses. Each refusal
 * has its own status and reason.
 */
export function receiver(options: {
  /** largest body in bytes */
  limit: number
  authenticate: (req: Request) => void
  /** @returns when the 200 may go out */
  handle: (body: Buffer, req: Request) => Promise<void>
}): RequestHandler[] {
  const raw = express.raw({ type: () => true, limit: options.limit, inflate: false })
  return [
    (req, res, next) => {
      if (req.method !== 'POST') {
        res.setHeader('Allow', 'POST')
        throw new ClawError('method_not_allowed', 'Use POST.')
      }
      requireJson(req)
      if (Number(req.headers['content-length'] ?? 0) > options.limit) {
        throw new ClawError('too_large', `The body is larger than ${options.limit} bytes.`)
      }
      next()
    },
    raw,
    (req: Request, res: Response, next: NextFunction) => {
      try {
        options.authenticate(req)
        const body = Buffer.isBuffer(req.body) ? req.body : Buffer.alloc(0)
        options.handle(body, req).then(() => {
          res.statusCode = 200
          res.end()
        }, next)
      } catch (error) {
        next(error)
      }
    },
  ]
}

function requireJson(req: IncomingMessage): void {
  const type = req.headers['content-type'] ?? ''
  const [media = '', ...parameters] = type.split(';')
  if (media.trim().toLowerCase() !== 'application/json') {
    throw new ClawError('unsupported', 'Send Content-Type: application/json.')
  }
  for (const parameter of parameters) {
    const [name = '', value = ''] = parameter.split('=')
    if (name.trim().toLowerCase() === 'charset' && !/^"?utf-?8"?$/i.test(value.trim())) {
      throw new ClawError('unsupported', 'Send JSON as UTF-8.')
    }
  }
}
