import express, { type RequestHandler, type Response, type Router } from 'express'
import { z } from 'zod'
import { SECOND } from '../../core/clock.ts'
import { RECONCILE_POLICIES } from '../../core/edge.ts'
import { ClawError } from '../../core/errors.ts'
import type { Edge, RegionView } from '../edge.ts'
import { METRICS_TYPE, renderMetrics } from '../metrics.ts'
import { noSuchPath, problems, requireBearer, sendProblem } from '../problem.ts'
import { passed } from './load.ts'

const name = z.string().min(1).max(200)
const incident = z.union([z.string(), z.number()]).nullish()
const ttl_seconds = z
  .number()
  .positive()
  .max(7 * 24 * 3600)

/** The bodies of contract.md, section 5. Unknown members are ignored. */
const BODIES = {
  acknowledgement: z.object({ incident, alerts: z.array(z.string()), by: name, note: z.string().nullish() }),
  reconcile: z.object({
    regions: z.array(name),
    policy: z.enum(RECONCILE_POLICIES).default('highest-capacity'),
    by: name,
    incident,
  }),
  reset: z.object({ region: name, by: name, incident }),
  capacity: z.object({ region: name, factor: z.number().positive().max(100), ttl_seconds, by: name }),
  scale: z.object({ region: name, replicas: z.int().min(1).max(1000), ttl_seconds, by: name, incident }),
  snapshot: z.object({ regions: z.array(name), by: name, incident }),
  revert: z.object({ region: name, by: name, incident }),
  failover: z.object({ from: name, to: name, by: name, incident }),
  canary: z.object({ weight: z.number().min(0).max(100), by: name }),
}

const LOAD = z.object({ region: name, requests: z.int().min(1).max(100_000).default(100) })

/** How many answers are remembered for repeated keys; older ones are forgotten first. */
const REMEMBERED = 10_000

type Answer = { status: number; body: object }

/** What has been asked of the edge, for the sandbox's state page. */
export type EdgeRecord = { at: string; call: string; body: unknown }

/**
 * The edge over HTTP: metrics, health and the admin API of contract.md, section 5.
 * @param options.catchUp brings the model to the present before a request looks at it
 */
export function createEdgeApi(options: { edge: Edge; token: string; catchUp?: () => void }): {
  router: Router
  /** newest last, at most 100 */
  records(): EdgeRecord[]
  reset(): void
} {
  const { edge } = options
  const answers = new Map<string, Answer>()
  const records: EdgeRecord[] = []
  let acknowledgements = 0

  const router = express.Router()
  router.use((_req, _res, next) => {
    options.catchUp?.()
    next()
  })
  router.get('/metrics', (_req, res) => sendMetrics(res, renderMetrics(edge)))
  router.get('/regions/:region/metrics', (req, res) => {
    known(edge, req.params.region)
    sendMetrics(res, renderMetrics(edge, req.params.region))
  })
  router.get('/health', (req, res) => {
    const region = req.query.region
    if (region !== undefined) known(edge, String(region))
    const serving = edge.view().filter((one) => one.healthy && (region === undefined || one.region === region))
    if (serving.length === 0) {
      throw new ClawError(
        'unavailable',
        region === undefined ? 'No region serves.' : `Region ${region} does not serve.`,
      )
    }
    res.json({ status: 'ok', regions: serving.map((one) => one.region) })
  })
  // What stands behind `failover.synthetic_load.url`: 200 when the load passes, 503 when it does not; GET sends 100 requests.
  router.all('/load', express.json({ limit: '10kb', type: () => true }), (req, res) => {
    const asked = LOAD.safeParse({ region: req.query.region, ...bodyOf(req.body) })
    if (!asked.success) throw new ClawError('invalid', `The load is wrong: ${explain(asked.error)}.`)
    const { region, requests } = asked.data
    known(edge, region)
    const result = edge.load(region, requests)
    if (passed(result)) res.json(result)
    else sendProblem(res, 503, 'unavailable', `The load on region ${region} did not pass.`, result)
  })

  const admin = express.Router()
  admin.use(requireBearer(options.token), express.json({ limit: '1mb', type: () => true }))
  admin.get('/regions', (_req, res) => {
    res.json({ regions: edge.view().map(shown), at: new Date(edge.now()).toISOString() })
  })
  admin.get('/conflicts', (req, res) => {
    const query = z
      .object({ region: z.string().optional(), limit: z.coerce.number().int().min(1).max(1000).default(100) })
      .safeParse(req.query)
    if (!query.success) throw new ClawError('invalid', `The query is wrong: ${explain(query.error)}.`)
    if (query.data.region !== undefined) known(edge, query.data.region)
    res.json({ conflicts: edge.conflicts(query.data.region).slice(0, query.data.limit) })
  })
  admin.get('/snapshots/:id', (req, res) => void res.json(edge.snapshotOf(req.params.id)))
  admin.get('/operations', (_req, res) => void res.json({ operations: edge.operations.list() }))
  admin.get('/operations/:id', (req, res) => void res.json(edge.operations.get(req.params.id)))

  /** One call that changes something: key, repetition, body, act, remember. */
  function change<T>(schema: z.ZodType<T>, act: (body: T) => Answer): RequestHandler {
    return (req, res) => {
      const key = req.get('idempotency-key') ?? ''
      if (key === '' || key.length > 255) {
        throw new ClawError('invalid', 'An Idempotency-Key header of 1 to 255 characters is needed.')
      }
      const first = answers.get(key)
      if (first) {
        res.set('Idempotency-Replayed', 'true').status(first.status).json(first.body)
        return
      }
      const body = schema.safeParse(req.body)
      if (!body.success) throw new ClawError('invalid', `The body is wrong: ${explain(body.error)}.`)
      const answer = act(body.data)
      answers.set(key, answer)
      if (answers.size > REMEMBERED) answers.delete(answers.keys().next().value ?? '')
      records.push({ at: new Date(edge.now()).toISOString(), call: `${req.method} ${req.path}`, body: body.data })
      if (records.length > 100) records.shift()
      res.status(answer.status).json(answer.body)
    }
  }
  const started = (operation: string): Answer => ({ status: 202, body: { operation } })
  const { operations } = edge

  admin.post(
    '/acknowledgements',
    change(BODIES.acknowledgement, (body) => {
      edge.faults.take('acknowledgement')
      acknowledgements += 1
      return { status: 201, body: { acknowledgement: `ack_${acknowledgements}`, alerts: body.alerts.length } }
    }),
  )
  admin.post(
    '/reconcile',
    change(BODIES.reconcile, (body) => started(operations.reconcile(body.regions, body.policy))),
  )
  admin.post(
    '/buckets/reset',
    change(BODIES.reset, (body) => started(operations.resetBucket(body.region))),
  )
  admin.post(
    '/buckets/capacity',
    change(BODIES.capacity, (body) =>
      started(operations.capacity(body.region, body.factor, body.ttl_seconds * SECOND)),
    ),
  )
  admin.post(
    '/scale',
    change(BODIES.scale, (body) => started(operations.scale(body.region, body.replicas, body.ttl_seconds * SECOND))),
  )
  admin.post(
    '/snapshots',
    change(BODIES.snapshot, (body) => {
      for (const region of body.regions) known(edge, region)
      edge.faults.take('snapshot')
      return { status: 201, body: { snapshot: edge.snapshot(body.regions) } }
    }),
  )
  admin.post(
    '/versions/revert',
    change(BODIES.revert, (body) => started(operations.revert(body.region))),
  )
  admin.post(
    '/failover',
    change(BODIES.failover, (body) => started(operations.failover(body.from, body.to))),
  )
  admin.put(
    '/canary',
    change(BODIES.canary, (body) => {
      edge.faults.take('canary')
      edge.canaryWeight(body.weight)
      return { status: 200, body: { weight: body.weight } }
    }),
  )
  router.use('/admin/v1', admin)
  router.use(noSuchPath, problems)

  return {
    router,
    records: () => [...records],
    reset() {
      answers.clear()
      records.length = 0
    },
  }
}

function bodyOf(body: unknown): object {
  return typeof body === 'object' && body !== null ? body : {}
}

function known(edge: Edge, region: string): void {
  if (edge.region(region)) return
  throw new ClawError(
    'not_found',
    `There is no region ${JSON.stringify(region)}; there are ${edge.regions.join(', ')}.`,
  )
}

/** A region that does not answer keeps its name, its version and its clients; nobody knows its figures. */
function shown({ up, ...view }: RegionView): object {
  if (up) return view
  const { region, receiving, version } = view
  const unknown = Object.fromEntries(Object.keys(view).map((key) => [key, null]))
  return { ...unknown, region, healthy: false, receiving, version }
}

/** A scrape of a region that is down breaks off like a refused connection, so that Prometheus sees `up` fall to 0. */
function sendMetrics(res: Response, text: string | null): void {
  if (text === null) res.socket?.destroy()
  else res.set('Content-Type', METRICS_TYPE).send(text)
}

function explain(error: z.ZodError): string {
  return error.issues.map((issue) => `${issue.path.join('.') || 'it'}: ${issue.message}`).join('; ')
}
