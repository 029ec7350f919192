import type { Logger } from 'pino'
import type { Edge } from './adapters/edge/edge.ts'
import { type Config, pagerdutyKeys } from './config/index.ts'
import type { AlertmanagerApi } from './core/alertmanager.ts'
import type { Destination, Renderer } from './core/delivery.ts'
import type { PagerDutyRest } from './core/pagerduty.ts'
import type { AlertLookup, SignalSource } from './core/signal.ts'
import type { IncidentView } from './core/view.ts'

/**
 * The destinations that a configuration names, one per lane. SDKs are loaded only where they are used: they cost more
 * start-up time than everything else together.
 * @throws ClawError('invalid') when an address is none
 */
export async function buildDestinations(
  config: Config,
  renderer: Renderer,
  log: Logger,
  { rest }: Pick<Outside, 'rest'>,
  fingerprints: (incident: IncidentView) => Promise<string[]>,
): Promise<Destination[]> {
  const made: Destination[] = []
  const routingKeys = pagerdutyKeys(config)
  if (routingKeys.size > 0) {
    const { createPagerDutyDestination } = await import('./adapters/pagerduty/pagerduty.ts')
    const emailOf = (name: string) => config.people.find((person) => person.name === name)?.email ?? null
    const client = config.public_url === undefined ? {} : { clientUrl: config.public_url }
    made.push(
      createPagerDutyDestination({
        routingKeys,
        eventsUrl: config.pagerduty.events_url,
        renderer,
        rest,
        emailOf,
        ...client,
      }),
    )
  }
  if (config.slack.bot_token !== undefined) {
    const { createSlackDestination } = await import('./adapters/slack/destination.ts')
    const { bot_token: token, api_url: apiUrl } = config.slack
    made.push(createSlackDestination({ token, apiUrl, renderer, logger: log }))
  }
  if (config.telegram.bot_token !== undefined) {
    const { createTelegramDestination } = await import('./adapters/telegram/destination.ts')
    const { bot_token: token, api_root: apiRoot } = config.telegram
    made.push(createTelegramDestination({ token, apiRoot, renderer }))
  }
  if (config.edge.url !== undefined) {
    const { createEdgeDestination } = await import('./adapters/edge/destination.ts')
    made.push(createEdgeDestination({ url: config.edge.url, token: config.edge.token ?? '', fingerprints }))
  }
  for (const { name, webhook } of config.receivers) {
    if (webhook === undefined) continue
    const { createWebhookDestination } = await import('./adapters/webhook/webhook.ts')
    const token = webhook.token === undefined ? {} : { token: webhook.token }
    made.push(createWebhookDestination({ lane: `webhook:${name}`, url: webhook.url, ...token }))
  }
  return made
}

/** Everything outside that Claw asks, besides the destinations. Null for what is not configured. */
export type Outside = {
  /** can tell whether a region answers and how full its bucket is; the edge is asked before Prometheus */
  sources: SignalSource[]
  edge: Edge | null
  lookup: AlertLookup | null
  alertmanager: AlertmanagerApi | null
  rest: PagerDutyRest | null
}

/** @throws ClawError('invalid') when an address is none */
export async function buildOutside(config: Config): Promise<Outside> {
  const outside: Outside = { sources: [], edge: null, lookup: null, alertmanager: null, rest: null }
  if (config.edge.url !== undefined) {
    const { createEdge } = await import('./adapters/edge/edge.ts')
    const { url, token = '', regions } = config.edge
    outside.edge = createEdge({ url, token, regions })
    outside.sources.push(outside.edge)
  }
  if (config.prometheus !== undefined) {
    const { createPrometheus } = await import('./adapters/prometheus/prometheus.ts')
    outside.sources.push(
      createPrometheus({ url: config.prometheus.url, metric: config.prometheus.metrics.bucket_ratio }),
    )
  }
  const { url, api_auth: given } = config.alertmanager
  if (url !== undefined) {
    const { createAlertLookup } = await import('./adapters/alertmanager/alertmanager.ts')
    const { createAlertmanagerApi } = await import('./adapters/alertmanager/api.ts')
    const auth = given ? { auth: credentials(given) } : {}
    outside.lookup = createAlertLookup({ url, ...auth })
    outside.alertmanager = createAlertmanagerApi({ url, ...auth })
  }
  const { api_token: apiToken, api_url: apiUrl, from } = config.pagerduty
  if (apiToken !== undefined) {
    const { createPagerDutyRest } = await import('./adapters/pagerduty/rest.ts')
    outside.rest = createPagerDutyRest({ apiToken, apiUrl, from: from ?? null })
  }
  return outside
}

type Auth = { token?: string | undefined; username?: string | undefined; password?: string | undefined }

function credentials(auth: Auth): { token: string } | { username: string; password: string } {
  if (auth.token !== undefined) return { token: auth.token }
  return { username: auth.username ?? '', password: auth.password ?? '' }
}
