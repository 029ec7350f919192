import { type Request, type Response, Router } from 'express'
import { asRecord, type Call } from '../front.ts'
import { PD_LIMITS } from './events.ts'
import type { PagerDutyState, PdIncident, PdUser } from './state.ts'
import { incidentView, logEntryView, noteView, onCallViews, userView } from './views.ts'

/** An error of the REST API (developer.pagerduty.com, "Errors"). */
export function restError(code: number, message: string, errors: string[] = []): object {
  return { error: { code, message, ...(errors.length > 0 ? { errors } : {}) } }
}

type Refusal = { status: number; body: object }
const invalid = (...errors: string[]): Refusal => ({
  status: 400,
  body: restError(2001, 'Invalid Input Provided', errors),
})
const notFound: Refusal = { status: 404, body: restError(2100, 'Not Found') }

const isRefusal = (value: object): value is Refusal => 'body' in value

function send(res: Response, answer: Refusal): void {
  res.status(answer.status).json(answer.body)
}

/** Who writes, by the `From` header. */
function requester(state: PagerDutyState, req: Request): PdUser | Refusal {
  const from = req.get('from')
  if (!from) return invalid('From header is required and must be the email address of a valid user')
  const user = state.users.find((u) => u.email === from)
  return user ?? { status: 400, body: restError(1008, 'Requester User Not Found') }
}

/** `limit` (1 to 100, 25) and `offset` of a list, and the envelope of its answer. */
function page<T>(req: Request, key: string, all: T[]): object {
  const number = (value: unknown, otherwise: number) => {
    const n = Number(value ?? otherwise)
    return Number.isInteger(n) && n >= 0 ? n : otherwise
  }
  const limit = Math.min(Math.max(number(req.query.limit, 25), 1), 100)
  const offset = number(req.query.offset, 0)
  const list = all.slice(offset, offset + limit)
  return { [key]: list, limit, offset, total: null, more: offset + list.length < all.length }
}

const many = (req: Request, key: string): string[] => [req.query[`${key}[]`] ?? req.query[key] ?? []].flat().map(String)

/** Changes one incident as a PUT asks; null when it may. */
function put(
  state: PagerDutyState,
  incident: PdIncident,
  change: Record<string, unknown>,
  user: PdUser,
): Refusal | null {
  const { status, title } = change
  if (status !== undefined && status !== 'acknowledged' && status !== 'resolved') {
    return invalid('Status must be acknowledged or resolved.')
  }
  if (incident.status === 'resolved' && (status !== undefined || title !== undefined)) {
    return { status: 400, body: restError(1001, 'Incident Already Resolved') }
  }
  if (incident.status === 'acknowledged' && status === 'acknowledged') {
    return { status: 400, body: restError(1002, 'Incident Already Acknowledged') }
  }
  const level = change.escalation_level
  if (level !== undefined) {
    if (typeof level !== 'number' || incident.status === 'resolved' || !state.mayEscalate(level)) {
      return { status: 400, body: restError(1006, 'Incident Cannot Be Escalated') }
    }
    void state.escalateTo(incident, level, user)
  }
  if (typeof title === 'string') incident.title = title
  if (status !== undefined) void state.change(incident, status, user)
  return null
}

/** The REST API behind `Authorization: Token token=…`. */
export function restRouter(state: PagerDutyState, token: string): Router {
  const router = Router()
  router.use((req, res, next) => {
    if (req.get('authorization') !== `Token token=${token}`) {
      send(res, { status: 401, body: restError(2006, 'Authentication failed') })
      return
    }
    if (state.rateLimits) {
      const wait = state.buckets.take('rest', PD_LIMITS.restPerMinute, PD_LIMITS.restPerMinute / 60)
      res.set('ratelimit-limit', String(PD_LIMITS.restPerMinute))
      if (wait > 0) {
        res.set('ratelimit-remaining', '0').set('ratelimit-reset', String(wait))
        send(res, { status: 429, body: restError(2020, 'Rate Limit Exceeded') })
        return
      }
    }
    next()
  })

  router.get('/incidents', (req, res) => {
    const key = typeof req.query.incident_key === 'string' ? req.query.incident_key : null
    const statuses = many(req, 'statuses')
    const found = state.incidents.filter(
      (i) => (key === null || i.incident_key === key) && (statuses.length === 0 || statuses.includes(i.status)),
    )
    if (req.query.sort_by === 'created_at:desc') found.reverse()
    res.json(page(req, 'incidents', found.map(incidentView)))
  })

  router.put('/incidents', (req, res) => {
    const user = requester(state, req)
    if (isRefusal(user)) return send(res, user)
    const list: unknown = asRecord((res.locals.call as Call).body)?.incidents
    if (!Array.isArray(list) || list.length === 0 || list.length > 250) {
      return send(res, invalid('incidents must be a list of 1 to 250 incidents'))
    }
    const changed: PdIncident[] = []
    for (const raw of list) {
      const change = asRecord(raw)
      const incident = state.find(String(change?.id))
      if (change === null || incident === null) return send(res, notFound)
      const refused = put(state, incident, change, user)
      if (refused) return send(res, refused)
      changed.push(incident)
    }
    res.json({ incidents: changed.map(incidentView) })
  })

  router.get('/incidents/:id', (req, res) => {
    const incident = state.find(req.params.id)
    if (incident === null) return send(res, notFound)
    res.json({ incident: incidentView(incident) })
  })

  router.put('/incidents/:id', (req, res) => {
    const user = requester(state, req)
    if (isRefusal(user)) return send(res, user)
    const incident = state.find(req.params.id)
    if (incident === null) return send(res, notFound)
    const change = asRecord(asRecord((res.locals.call as Call).body)?.incident)
    if (change === null) return send(res, invalid('incident is missing'))
    if (typeof change.type !== 'string') return send(res, invalid('incident.type is missing'))
    const refused = put(state, incident, change, user)
    if (refused) return send(res, refused)
    res.json({ incident: incidentView(incident) })
  })

  router.get('/incidents/:id/notes', (req, res) => {
    const incident = state.find(req.params.id)
    if (incident === null) return send(res, notFound)
    res.json({ notes: incident.notes.map(noteView) })
  })

  router.post('/incidents/:id/notes', (req, res) => {
    const user = requester(state, req)
    if (isRefusal(user)) return send(res, user)
    const incident = state.find(req.params.id)
    if (incident === null) return send(res, notFound)
    const content = asRecord(asRecord((res.locals.call as Call).body)?.note)?.content
    if (typeof content !== 'string' || content === '') return send(res, invalid('Content cannot be empty.'))
    const { note } = state.addNote(incident, content, user)
    res.status(201).json({ note: noteView(note) })
  })

  router.get('/incidents/:id/log_entries', (req, res) => {
    const incident = state.find(req.params.id)
    if (incident === null) return send(res, notFound)
    const entries = incident.log.map((entry) => logEntryView(entry, incident))
    res.json(page(req, 'log_entries', entries.reverse()))
  })

  router.get('/oncalls', (req, res) => {
    res.json(page(req, 'oncalls', onCallViews(state, many(req, 'escalation_policy_ids'))))
  })

  router.get('/users', (req, res) => {
    const query = typeof req.query.query === 'string' ? req.query.query.toLowerCase() : ''
    const found = state.users.filter((u) => `${u.name} ${u.email}`.toLowerCase().includes(query))
    res.json(page(req, 'users', found.map(userView)))
  })

  router.use((_req, res) => send(res, notFound))
  return router
}
