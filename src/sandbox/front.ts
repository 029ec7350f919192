import express, { type NextFunction, type Request, type Response, Router } from 'express'
import { z } from 'zod'
import { FaultRule, type Faults } from './faults.ts'
import type { Recorder } from './recorder.ts'

/** What the front leaves in `res.locals.call` for the platform's own handler. */
export type Call = {
  name: string
  /** parsed body, with the query for those who read parameters from there; raw text when `malformed` */
  body: unknown
  malformed: boolean
  /** length of the body in bytes */
  bytes: number
}

export type FrontOptions = {
  state: Recorder
  faults: Faults
  /** the recorded name of a request */
  nameOf(req: Request): string
  /** what `GET /state` answers besides the requests */
  snapshot(): object
  reset(): void
  /** largest body in bytes; longer ones get 413 before anything else */
  limit: number
}

const FaultBody = z.union([FaultRule, z.array(FaultRule).max(100)])

/**
 * The part that all look-alikes share: control over HTTP (POST and DELETE /faults, GET /state, POST /reset; never recorded,
 * never hit by a fault), body parsing, recording, faults. Mount it first.
 */
export function createFront(options: FrontOptions): Router {
  const { state, faults } = options
  const router = Router()
  // `type` is strict on purpose: a page in somebody's browser cannot send JSON to loopback without a pre-flight.
  router.post('/faults', express.json({ type: 'application/json' }), (req, res) => {
    const parsed = FaultBody.safeParse(req.body)
    if (!parsed.success) {
      res.status(400).json({ error: z.prettifyError(parsed.error) })
      return
    }
    for (const rule of [parsed.data].flat()) faults.set(rule)
    res.status(201).json({ rules: faults.rules })
  })
  router.delete('/faults', (_req, res) => {
    faults.clear()
    res.status(204).end()
  })
  router.post('/reset', express.json({ type: 'application/json' }), (_req, res) => {
    options.reset()
    res.status(204).end()
  })
  router.get('/state', (req, res) => {
    const wanted = Number(req.query.requests ?? 100)
    const n = Number.isInteger(wanted) && wanted >= 0 ? wanted : 100
    res.json({ ...options.snapshot(), hits: faults.hits, requests: n === 0 ? [] : state.requests.slice(-n) })
  })
  router.use(express.raw({ type: () => true, limit: options.limit }))
  router.use((req, res, next) => {
    const call = readCall(options.nameOf(req), req)
    res.locals.call = call
    const record = state.record({ name: call.name, method: req.method, path: req.path, body: call.body })
    res.once('close', () => {
      record.status = res.writableFinished ? res.statusCode : null
      state.tell('answer', record)
    })
    faults.handle(record, req, res, next)
    if (record.fault !== null) state.tell('fault', record)
  })
  router.use((error: unknown, _req: Request, res: Response, _next: NextFunction) => {
    const status = (error as { status?: unknown }).status
    res.status(typeof status === 'number' ? status : 400).json({ error: 'the body could not be read' })
  })
  return router
}

function readCall(name: string, req: Request): Call {
  const raw: unknown = req.body
  const buffer = Buffer.isBuffer(raw) ? raw : Buffer.alloc(0)
  const bytes = buffer.length
  if (bytes === 0) return { name, body: { ...req.query }, malformed: false, bytes }
  const text = buffer.toString('utf8')
  const type = (req.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase()
  if (type === 'application/x-www-form-urlencoded') {
    return { name, body: Object.fromEntries(new URLSearchParams(text)), malformed: false, bytes }
  }
  try {
    return { name, body: JSON.parse(text) as unknown, malformed: false, bytes }
  } catch {
    return { name, body: text, malformed: true, bytes }
  }
}

/** An object with unknown values, or null when it is anything else. */
export function asRecord(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null
}

/** A form field that holds JSON, or the value itself where it came as JSON; undefined when it cannot be parsed. */
export function maybeJson(value: unknown): unknown {
  if (typeof value !== 'string') return value
  try {
    return JSON.parse(value) as unknown
  } catch {
    return undefined
  }
}
