import type { IncomingMessage } from 'node:http'
import type { NextFunction, Request, RequestHandler, Response } from 'express'
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
}): RequestHandler {
  return (req: Request, res: Response, next: NextFunction) => {
    if (req.method !== 'POST') {
      res.setHeader('Allow', 'POST')
      throw new ClawError('method_not_allowed', 'Use POST.')
    }
    requireJson(req)
    if (Number(req.headers['content-length'] ?? 0) > options.limit) throw tooLarge(options.limit)
    const encoding = req.headers['content-encoding']
    if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
      throw new ClawError('unsupported', 'Send the body without Content-Encoding.')
    }
    readBody(req, options.limit, (error, body) => {
      if (error) {
        // What is still to come is not read: the connection cannot be used again.
        if (!res.headersSent) res.setHeader('Connection', 'close')
        return next(error)
      }
      try {
        options.authenticate(req)
        options.handle(body, req).then(() => {
          res.statusCode = 200
          res.end()
        }, next)
      } catch (refused) {
        next(refused)
      }
    })
  }
}

const NOTHING = Buffer.alloc(0)

/** Reads a body of at most `limit` bytes. Calls back once: when it is whole, too large, or will never be whole. */
function readBody(req: IncomingMessage, limit: number, done: (error: ClawError | null, body: Buffer) => void): void {
  let chunks: Buffer[] = []
  let size = 0
  let over = false
  function finish(error: ClawError | null): void {
    if (over) return
    over = true
    const [first = NOTHING] = chunks
    const body = error ? NOTHING : chunks.length > 1 ? Buffer.concat(chunks, size) : first
    chunks = []
    done(error, body)
  }
  req.on('data', (chunk: Buffer) => {
    if (over) return
    size += chunk.length
    if (size > limit) return finish(tooLarge(limit))
    chunks.push(chunk)
  })
  req.on('end', () => finish(null))
  // Every request ends with 'close', and an error's stack costs more than the rest of this function.
  const broken = () => {
    if (!over) finish(new ClawError('invalid', 'The body ended before its Content-Length.'))
  }
  req.on('error', broken)
  req.on('close', broken)
}

const tooLarge = (limit: number): ClawError => new ClawError('too_large', `The body is larger than ${limit} bytes.`)

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
