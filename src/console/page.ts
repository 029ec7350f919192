import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Request, Response } from 'express'
import type { Clock } from '../core/clock.ts'
import type { CommandRequest, CommandSpec, Reply } from '../core/command.ts'
import type { Renderer } from '../core/delivery.ts'
import type { EdgeRegion } from '../core/edge.ts'
import type { Incident } from '../core/incident.ts'
import type { Policy } from '../core/policy.ts'
import type { Store } from '../core/store.ts'
import type { EdgeChange } from '../core/triage.ts'
import type { IncidentView } from '../core/view.ts'
import type { Assets } from './assets.ts'
import { type AnswerBox, answerBox } from './present.ts'

/** One look at the edge: `at` in ms since the epoch. */
export type Sample = { readonly at: number; readonly regions: readonly EdgeRegion[] }

/** Claw's own short memory of the edge, oldest first. */
export type Watch = { history(): readonly Sample[]; changes(): readonly EdgeChange[] }

/** One series of a range query: points are [ms since the epoch, value], without gaps filled in. */
export type Series = { labels: Readonly<Record<string, string>>; points: readonly (readonly [number, number])[] }

/** Prometheus, asked for a stretch of time; times and step in ms. @throws ClawError when it cannot be asked */
export type RangeQuery = (ask: { expression: string; from: number; to: number; step: number }) => Promise<Series[]>

/** Expressions by region, as a Prometheus is asked for them. */
export type ChartQueries = { bucket: string; lag: string; jitter: string; conflicts: string }

export type Sandbox = {
  /** signed in without being asked */
  person: string
  scenarios: readonly { name: string; text: string }[]
  /** where the simulated world has a page of its own */
  page?: string
}

export type ConsoleDeps = {
  store: Store
  viewOf: (incident: Incident) => Promise<IncidentView>
  /** escapes HTML in `templates/console` */
  renderer: Renderer
  /** what the console needs of `src/http/session.ts` */
  session: {
    who(req: IncomingMessage): { person: string } | null
    sameOrigin(req: IncomingMessage): boolean
    signIn(req: IncomingMessage, token: string): { person: string } | { refused: 'wrong' | 'wait' }
    start(res: ServerResponse, person: string): boolean
    end(res: ServerResponse): void
    formToken(person: string): string
    ownForm(person: string, given: string): boolean
  }
  /** links that sign in once: whose it is, and using it up; null for one that is no good */
  links: { owner(token: string): Promise<string | null>; use(token: string): Promise<string | null> }
  /** runs a chat command as the person who pressed its button */
  run: (request: CommandRequest) => Promise<Reply>
  /** what commands there are, to know which ask back by themselves */
  commands: readonly Pick<CommandSpec, 'name' | 'aliases' | 'danger' | 'summary'>[]
  policy: () => Policy
  /** the configuration in force as YAML, line by line, without secrets */
  configuration: () => readonly string[]
  /** null where no edge is configured */
  watch: () => Watch | null
  /** null where no Prometheus is configured */
  prometheus: () => { range: RangeQuery; queries: ChartQueries } | null
  sandbox: Sandbox | null
  version: string
  clock: Clock
  /** hears of what went wrong on our side */
  onError: (error: unknown) => void
  /** false: live updates move only by `tick` (tests) */
  timer?: boolean
}

/** What every handler of a page gets. */
export type Shell = ConsoleDeps & {
  assets: Assets
  /** Answers with a page. `live`: it renews itself while it is open. */
  show(req: Request, res: Response, template: string, data: { [key: string]: unknown }, status?: number): Promise<void>
}

export const HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  // Not `no-referrer`: browsers would then send `Origin: null` with our own forms.
  'Referrer-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
  'Cache-Control': 'no-store',
} as const

/** What the sides of the page's head and foot need, besides the page's own data. */
export function createShell(deps: ConsoleDeps, assets: Assets): Shell {
  return {
    ...deps,
    assets,
    async show(req, res, template, data, status = 200) {
      const person = (res.locals.person as string | undefined) ?? null
      const html = deps.renderer.render(`console/${template}`, {
        now: deps.clock(),
        clock: new Date(deps.clock()).toISOString().slice(11, 19),
        person,
        token: person === null ? '' : deps.session.formToken(person),
        sandbox: deps.sandbox !== null,
        sandboxPage: deps.sandbox?.page ?? null,
        version: deps.version,
        path: req.path,
        // Live pages fetch themselves again; what was said once is not said again then.
        self: selfOf(req),
        back: backTo(selfOf(req)),
        request: randomUUID(),
        assets: assets.urls,
        answer: person === null ? null : await answerOf(deps, req, person),
        ...data,
      })
      res.statusCode = status
      res.setHeader('Content-Type', 'text/html; charset=utf-8')
      res.end(html)
    },
  }
}

async function answerOf(deps: ConsoleDeps, req: Request, person: string): Promise<AnswerBox | null> {
  const given = queryOf(req).get('answer')
  return given === null ? null : findAnswer(deps, person, given)
}

/** What a command answered this person, by the number that its form carried; null when it is not theirs, or gone. */
export async function findAnswer(
  deps: Pick<ConsoleDeps, 'store'>,
  person: string,
  number: string,
): Promise<AnswerBox | null> {
  if (!isNumber(number)) return null
  const stored = await deps.store.request(requestId(person, number))
  return stored?.reply ? answerBox(stored.reply, stored.request) : null
}

/** Each press of a button is one request: sent twice, it gets the first answer again. */
export const requestId = (person: string, number: string): string => `console:${person}:${number}`

export const isNumber = (text: string): boolean =>
  /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:-[0-9a-f]{8})?$/.test(text)

export function queryOf(req: Request): URLSearchParams {
  const at = req.originalUrl.indexOf('?')
  return new URLSearchParams(at < 0 ? '' : req.originalUrl.slice(at + 1))
}

function selfOf(req: Request): string {
  const query = queryOf(req)
  query.delete('answer')
  return query.size === 0 ? req.path : `${req.path}?${query}`
}

const ID = String.raw`[1-9]\d{0,14}`
const OURS = new RegExp(
  String.raw`^/(?:incidents/${ID}|deliveries|audit|silences|config|charts)?(?:\?[\w=&%.+~-]{0,1000})?$`,
)

/** Only pages of ours: a form must not send anybody elsewhere. */
export function backTo(path: string): string {
  return OURS.test(path) ? path : '/'
}

export function idOf(req: Request): number | null {
  const { id } = req.params
  return typeof id === 'string' && /^[1-9]\d{0,14}$/.test(id) ? Number(id) : null
}

/** The fields of a form, each as the list of what was sent under its name. */
export function fieldsOf(req: Request): (name: string) => string[] {
  const body: unknown = req.body
  return (name) => {
    if (typeof body !== 'object' || body === null || !Object.hasOwn(body, name)) return []
    const value = (body as Record<string, unknown>)[name]
    return [value].flat().filter((one) => typeof one === 'string')
  }
}

/** The first value of a field; '' when it is missing. */
export function field(req: Request, name: string): string {
  return fieldsOf(req)(name)[0] ?? ''
}

export function seeOther(res: Response, path: string): void {
  res.setHeader('Location', path)
  res.statusCode = 303
  res.end()
}
