import type { Logger } from 'pino'
import { type Config, pagerdutyKeys } from './config/index.ts'
import type { Destination, Renderer } from './core/delivery.ts'
import type { SignalSource } from './core/signal.ts'

/**
 * The destinations that a configuration names, one per lane. SDKs are loaded only where they are used: they cost more
 * start-up time than everything else together.
 * @throws ClawError('invalid') when an address is none
 */
export async function buildDestinations(config: Config, renderer: Renderer, log: Logger): Promise<Destination[]> {
  const made: Destination[] = []
  const routingKeys = pagerdutyKeys(config)
  if (routingKeys.size > 0) {
    const { createPagerDutyDestination } = await import('./adapters/pagerduty/pagerduty.ts')
    const client = config.public_url === undefined ? {} : { clientUrl: config.public_url }
    made.push(createPagerDutyDestination({ routingKeys, eventsUrl: config.pagerduty.events_url, renderer, ...client }))
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
  for (const { name, webhook } of config.receivers) {
    if (webhook === undefined) continue
    const { createWebhookDestination } = await import('./adapters/webhook/webhook.ts')
    const token = webhook.token === undefined ? {} : { token: webhook.token }
    made.push(createWebhookDestination({ lane: `webhook:${name}`, url: webhook.url, ...token }))
  }
  return made
}

/** What can tell whether a region answers and how full its bucket is; the edge is asked before Prometheus. */
export async function buildSources(config: Config): Promise<SignalSource[]> {
  const sources: SignalSource[] = []
  if (config.edge.url !== undefined) {
    const { createEdge } = await import('./adapters/edge/edge.ts')
    sources.push(createEdge({ url: config.edge.url, token: config.edge.token ?? '', regions: config.edge.regions }))
  }
  if (config.prometheus !== undefined) {
    const { createPrometheus } = await import('./adapters/prometheus/prometheus.ts')
    sources.push(createPrometheus({ url: config.prometheus.url, metric: config.prometheus.metrics.bucket_ratio }))
  }
  return sources
}
