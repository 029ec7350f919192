import type { ApiRoute } from '../../src/core/api.ts'
import { ClawError } from '../../src/core/errors.ts'
import type { Incident } from '../../src/core/incident.ts'
import { readTimeline, timelineOf } from '../../src/core/timeline.ts'
import { postmortem } from './postmortem.ts'
import { incidentJson } from './present.ts'
import { type ApiDeps, cursorOf, json, jsonList, readCursor, readId, readLimit, readStates } from './route.ts'

/** `alerts[]` is complete up to this (contract.md, section 8). */
const MAX_ALERTS = 1000
/** One answer of the list holds at most about this much; it ends sooner then, and `next_cursor` goes on. */
const ANSWER_ALERTS = 20_000
const ANSWER_CHARS = 16 * 1024 * 1024
/** Incidents put together at once: views may have to ask the edge. */
const AT_ONCE = 16

const STATES = ['open', 'acknowledged', 'resolved']

type Sources = Pick<ApiDeps, 'store' | 'viewOf' | 'clock'>

async function whole({ store, viewOf }: Sources, incident: Incident) {
  const [view, alerts, deliveries] = await Promise.all([
    viewOf(incident),
    store.alertsOf(incident.id, MAX_ALERTS),
    store.deliveriesOf([incident.id]),
  ])
  return { incident, view, alerts, deliveries }
}

/** Markdown of an incident's post-mortem, a draft while it is open; also what the chat command gives. */
export async function postmortemOf(deps: Sources, incident: Incident): Promise<string> {
  const [view, sources] = await Promise.all([deps.viewOf(incident), readTimeline(deps.store, incident)])
  return postmortem({ ...sources, incident, view }, deps.clock())
}

/** `GET /incidents`, `/incidents/{id}`, `…/timeline`, `…/postmortem`. */
export function incidentRoutes(deps: ApiDeps): ApiRoute[] {
  const { store } = deps

  async function find(id: string): Promise<Incident> {
    const [incident] = await store.incidents([readId(id, 'an incident')])
    if (!incident) throw new ClawError('not_found', `There is no incident ${id}.`)
    return incident
  }

  async function list(query: URLSearchParams) {
    const states = readStates(query, STATES)
    const limit = readLimit(query)
    const before = readCursor(query, 'incidents')
    const found = await store.listIncidents({ states, limit: limit + 1, before })
    const items: string[] = []
    let last = 0
    let alerts = 0
    let chars = 0
    const asked = found.slice(0, limit)
    for (let at = 0; at < asked.length; ) {
      const group = nextGroup(asked, at, ANSWER_ALERTS - alerts)
      if (group.length === 0) break
      const built = await Promise.all(group.map(async (one) => JSON.stringify(incidentJson(await whole(deps, one)))))
      items.push(...built)
      at += group.length
      last = asked[at - 1]?.id ?? 0
      alerts += group.reduce((sum, one) => sum + weight(one), 0)
      chars += built.reduce((sum, text) => sum + text.length, 0)
      if (chars > ANSWER_CHARS) break
    }
    const more = items.length < found.length
    return jsonList('incidents', items, more ? cursorOf('incidents', last) : null)
  }

  return [
    { method: 'GET', path: '/incidents', handle: ({ query }) => list(query) },
    {
      method: 'GET',
      path: '/incidents/:id',
      handle: async ({ id }) => json(incidentJson(await whole(deps, await find(id)))),
    },
    {
      method: 'GET',
      path: '/incidents/:id/timeline',
      async handle({ id }) {
        const incident = await find(id)
        return json({ timeline: timelineOf(await readTimeline(store, incident)) })
      },
    },
    {
      method: 'GET',
      path: '/incidents/:id/postmortem',
      async handle({ id }) {
        const body = await postmortemOf(deps, await find(id))
        return { status: 200, type: 'text/markdown; charset=utf-8', body }
      },
    },
  ]
}

const weight = (incident: Incident): number => Math.min(incident.total, MAX_ALERTS)

/** The next incidents to put together, as many as `room` alerts allow; the first of an answer always fits. */
function nextGroup(incidents: readonly Incident[], from: number, room: number): Incident[] {
  const group: Incident[] = []
  let left = room
  for (const incident of incidents.slice(from, from + AT_ONCE)) {
    left -= weight(incident)
    if (left < 0) break
    group.push(incident)
  }
  return group
}
