import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { Destination, Json, Pacing, StepInput, StepResult } from '../../core/delivery.ts'
import { authorization, exchange, requestOptions, resolveUrl, retryAfterMs } from '../http.ts'
import { type Annotation, actionTag, actsOf, incidentTag, LIMITS, ofAct, ofIncident } from './annotation.ts'

export type GrafanaOptions = {
  /** of the Grafana server; a path in it is kept */
  url: string
  /** token of a service account with annotations:read, :create and :write (role Editor) */
  token: string
  /** for one call; default 5 000 */
  timeoutMs?: number
}

/** Grafana documents no limit for itself (its cloud answers 429): ours, so that a storm is not felt there. */
const PACING: Pacing = {
  concurrency: 4,
  perTarget: 4,
  lane: { burst: 20, perSecond: 5 },
  target: null,
  reserve: 0,
}

/** After refused credentials: long enough to mend them, short enough to be noticed. */
const REFUSED_PAUSE_MS = 60_000
/** Acts remembered per incident; those of a longer incident that were told of first are forgotten, which costs nothing. */
const MAX_ACTS = 100

/** What was made in Grafana: its id, a checksum of what it says now, and the time that it begins at. */
const madeSchema = z.object({ id: z.int(), sum: z.string(), at: z.int() })
const stateSchema = z.object({
  incident: madeSchema.nullable().catch(null),
  acts: z.record(z.string(), madeSchema).catch({}),
})
type Made = z.output<typeof madeSchema>
type State = z.output<typeof stateSchema>

const createdSchema = z.object({ id: z.int().positive() })
const foundSchema = z.array(z.object({ id: z.int().positive(), tags: z.array(z.string()).nullish() }))

/**
 * Annotations of Grafana: one region for each incident, from its opening to its end, and one for each operation on the edge
 * (Grafana, "Annotations HTTP API": POST and PATCH /api/annotations, organization annotations, shown by tag). Made once: whatever may have been
 * made already is looked for by its own tag first. One that somebody deleted is made again at the next change.
 * @throws ClawError('invalid') when `url` is no http(s) URL
 */
export function createGrafanaDestination(options: GrafanaOptions): Destination {
  const { url, token, timeoutMs = 5_000 } = options
  const at = (path: string, query: [string, string][] = []) =>
    resolveUrl('grafana.url', url, `/api/annotations${path}`, query)
  at('')
  const headers = { Authorization: authorization({ token }) }

  return {
    kind: 'grafana',
    lane: 'grafana',
    pacing: PACING,
    close: async () => {},
    async step(input: StepInput): Promise<StepResult> {
      const { incident, installation } = input
      const known = stateSchema.safeParse(input.state)
      const state: State = known.success ? known.data : { incident: null, acts: {} }
      const wanted = ofIncident(incident, installation)
      const sum = sumOf(wanted)
      const reference = () => (state.incident === null ? null : String(state.incident.id))
      const told = (made: Made | null): StepResult => {
        state.incident = made
        return { outcome: 'progress', state, reference: reference() }
      }
      if (state.incident === null) {
        return make(input, wanted, incidentTag(installation, incident.id), told)
      }
      if (state.incident.sum !== sum) return change(input, state.incident.id, wanted, told)
      for (const act of actsOf(incident.story)) {
        const made = state.acts[act.id]
        const annotation = ofAct(act, incident, installation, made?.at ?? null)
        if (made?.sum === sumOf(annotation)) continue
        const toldAct = (now: Made | null): StepResult => {
          const { [act.id]: _, ...others } = state.acts
          const acts = Object.entries(now === null ? others : { ...others, [act.id]: now })
          return {
            outcome: 'progress',
            state: { ...state, acts: Object.fromEntries(acts.slice(-MAX_ACTS)) },
            reference: reference(),
          }
        }
        if (made === undefined) return make(input, annotation, actionTag(installation, act.id), toldAct)
        return change(input, made.id, annotation, toldAct)
      }
      return { outcome: 'done', state, reference: reference() }
    },
  }

  /** Makes an annotation, unless a lost answer hides that it was made: that one is found, and brought up to date by the next step. */
  async function make(
    input: StepInput,
    annotation: Annotation,
    tag: string,
    told: (made: Made) => StepResult,
  ): Promise<StepResult> {
    if (input.inDoubt) {
      const found = await find(input, tag)
      if (typeof found === 'object') return found
      if (found > 0) return told({ id: found, sum: '', at: annotation.time })
    }
    const answer = await call('POST', '', annotation, input)
    if ('refused' in answer) return answer.refused
    const created = createdSchema.safeParse(answer.body)
    if (created.success) return told({ id: created.data.id, sum: sumOf(annotation), at: annotation.time })
    return retry('took the annotation, but gave no id for it', null, true, 'target')
  }

  async function change(
    input: StepInput,
    id: number,
    annotation: Annotation,
    told: (made: Made | null) => StepResult,
  ): Promise<StepResult> {
    const answer = await call('PATCH', `/${id}`, annotation, input)
    if (!('refused' in answer)) return told({ id, sum: sumOf(annotation), at: annotation.time })
    // Somebody deleted it, or Grafana's own clean-up did.
    return answer.status === 404 ? told(null) : answer.refused
  }

  /** @returns the id of the oldest annotation with this tag, 0 for none; else what became of the step */
  async function find({ signal, now }: StepInput, tag: string): Promise<number | StepResult> {
    const query: [string, string][] = [
      ['tags', tag],
      ['type', 'annotation'],
      ['limit', String(LIMITS.found)],
    ]
    const answer = await exchange({
      options: requestOptions('GET', at('', query)),
      headers: { ...headers, Accept: 'application/json' },
      timeoutMs,
      signal,
      maxBytes: 1024 * 1024,
    })
    if ('reason' in answer) return retry(answer.reason, null, true, 'target')
    if (answer.status < 200 || answer.status > 299)
      return refused(answer.status, answer.headers['retry-after'], now, true)
    const found = foundSchema.safeParse(jsonOf(answer.body))
    if (!found.success) return retry('answered a search with something else', null, true, 'target')
    const ids = found.data.filter(({ tags }) => tags?.includes(tag)).map(({ id }) => id)
    return ids.length === 0 ? 0 : Math.min(...ids)
  }

  async function call(
    method: 'POST' | 'PATCH',
    path: string,
    { timeEnd, ...annotation }: Annotation,
    { signal, now }: StepInput,
  ): Promise<{ body: unknown } | { refused: StepResult; status: number | null }> {
    const answer = await exchange({
      options: requestOptions(method, at(path)),
      headers: { ...headers, Accept: 'application/json', 'Content-Type': 'application/json' },
      // A PATCH cannot take an end away: the annotation of an incident that came back keeps it until it has a later one.
      body: JSON.stringify(timeEnd === null ? annotation : { ...annotation, timeEnd }),
      timeoutMs,
      signal,
      maxBytes: 1024 * 1024,
    })
    if ('reason' in answer) return { refused: retry(answer.reason, null, answer.sent, 'target'), status: null }
    const { status } = answer
    if (status >= 200 && status <= 299) return { body: jsonOf(answer.body) }
    return { refused: refused(status, answer.headers['retry-after'], now, status >= 500 || status === 408), status }
  }
}

/** The table from a refusal's status to what becomes of the step. */
function refused(status: number, after: string | undefined, now: number, inDoubt: boolean): StepResult {
  if (status === 401 || status === 403) {
    const hint = 'check grafana.token: a service account that may read, create and write annotations'
    return retry(`refused the credentials (${status}); ${hint}`, REFUSED_PAUSE_MS, false, 'lane')
  }
  if (status === 408 || status === 429 || status >= 500) {
    return retry(`answered ${status}`, retryAfterMs(after, now), inDoubt, status === 429 ? 'lane' : 'target')
  }
  const hint =
    status < 400
      ? '; give the final address in grafana.url, redirects are not followed'
      : status === 404
        ? '; there is no annotations API at grafana.url'
        : ''
  return { outcome: 'dead', reason: `Grafana: did not take the annotation (${status})${hint}` }
}

function retry(reason: string, wait: number | null, inDoubt: boolean, scope: 'target' | 'lane'): StepResult {
  return { outcome: 'retry', reason: `Grafana: ${reason}`, retryAfterMs: wait, inDoubt, scope }
}

function jsonOf(body: Buffer): Json | undefined {
  try {
    return JSON.parse(body.toString('utf8')) as Json
  } catch {
    return undefined
  }
}

/** Tells whether an annotation says what it should; short, because it is stored. */
function sumOf(annotation: Annotation): string {
  return createHash('sha256').update(JSON.stringify(annotation)).digest('base64url').slice(0, 16)
}
