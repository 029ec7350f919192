import type { Logger } from 'pino'
import manifest from '../package.json' with { type: 'json' }
import type { Edge } from './adapters/edge/edge.ts'
import { type Config, pagerdutyKeys } from './config/index.ts'
import type { AlertmanagerApi } from './core/alertmanager.ts'
import type { Clock } from './core/clock.ts'
import type { Destination, Renderer } from './core/delivery.ts'
import type { Cluster, EdgeAdmin, TrafficSwitch } from './core/edge.ts'
import type { PagerDutyRest } from './core/pagerduty.ts'
import type { AlertLookup, SignalSource } from './core/signal.ts'
import { noTracer, type Tracer } from './core/trace.ts'
import type { IncidentView } from './core/view.ts'
import type { WorkflowServices } from './core/workflow.ts'

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
  if (config.grafana !== undefined) {
    const { createGrafanaDestination } = await import('./adapters/grafana/destination.ts')
    made.push(createGrafanaDestination(config.grafana))
  }
  for (const { name, webhook } of config.receivers) {
    if (webhook === undefined) continue
    const { createWebhookDestination } = await import('./adapters/webhook/webhook.ts')
    const token = webhook.token === undefined ? {} : { token: webhook.token }
    made.push(createWebhookDestination({ lane: `webhook:${name}`, url: webhook.url, ...token }))
  }
  return made
}

/** Tracing, and how to hand over what is left of it within `ms`. */
export type Tracing = Tracer & { stop(ms: number): Promise<void> }

/** Tracing as configured; where it is not, nothing of OpenTelemetry is loaded. @throws ClawError('invalid') */
export async function buildTracing({ tracing, installation }: Config, clock: Clock, log: Logger): Promise<Tracing> {
  if (tracing === undefined) return { ...noTracer, stop: async () => {} }
  const { createOtelTracer } = await import('./adapters/otel/tracer.ts')
  return createOtelTracer({
    ...tracing,
    installation,
    version: manifest.version,
    clock,
    onTrouble: (reason, spans) => log.warn({ reason, spans }, 'tracing.endpoint does not take spans; they are lost'),
  })
}

/** Everything outside that Claw asks, besides the destinations. Null for what is not configured. */
export type Outside = {
  /** can tell whether a region answers and how full its bucket is; the edge is asked before Prometheus */
  sources: SignalSource[]
  edge: Edge | null
  lookup: AlertLookup | null
  alertmanager: AlertmanagerApi | null
  rest: PagerDutyRest | null
  /** what may be done on the edge, and who sends its clients where */
  admin: EdgeAdmin | null
  traffic: TrafficSwitch | null
  cluster: Cluster | null
  query: WorkflowServices['query']
  load: WorkflowServices['load']
}

/** @throws ClawError('invalid') when an address is none */
export async function buildOutside(config: Config, clock: Clock): Promise<Outside> {
  const outside: Outside = {
    sources: [],
    edge: null,
    lookup: null,
    alertmanager: null,
    rest: null,
    admin: null,
    traffic: null,
    cluster: null,
    query: null,
    load: null,
  }
  if (config.edge.url !== undefined) {
    const { createEdge } = await import('./adapters/edge/edge.ts')
    const { url, token = '', regions } = config.edge
    outside.edge = createEdge({ url, token, regions, clock })
    outside.sources.push(outside.edge)
    const { createEdgeAdmin } = await import('./adapters/edge/admin.ts')
    outside.admin = createEdgeAdmin({ url, token, regions })
  }
  if (config.kubernetes !== undefined) {
    const { createCluster } = await import('./adapters/kubernetes/kubernetes.ts')
    outside.cluster = await createCluster(config.kubernetes)
  }
  outside.traffic = await buildTraffic(config, outside.admin)
  if (config.failover.synthetic_load !== undefined) {
    const { createLoadTest } = await import('./adapters/loadtest/loadtest.ts')
    outside.load = createLoadTest({ url: config.failover.synthetic_load.url })
  }
  if (config.prometheus !== undefined) {
    const { createPrometheus } = await import('./adapters/prometheus/prometheus.ts')
    const prometheus = createPrometheus({
      url: config.prometheus.url,
      metric: config.prometheus.metrics.bucket_ratio,
    })
    outside.sources.push(prometheus)
    outside.query = (expression, signal) => prometheus.figure(expression, signal)
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

/** Who sends clients to regions; null when nothing is configured that could. */
async function buildTraffic({ failover }: Config, admin: EdgeAdmin | null): Promise<TrafficSwitch | null> {
  const { traffic, regions, cloudflare, route53 } = failover
  if (traffic === 'cloudflare' && cloudflare !== undefined) {
    const { createCloudflareTraffic } = await import('./adapters/cloudflare/traffic.ts')
    const { api_url: apiUrl, token, zone, record, load_balancer: loadBalancer } = cloudflare
    return createCloudflareTraffic({ apiUrl, token, zone, record, loadBalancer, regions })
  }
  if (traffic === 'route53' && route53 !== undefined) {
    const { createRoute53Traffic } = await import('./adapters/route53/traffic.ts')
    const { endpoint, region, access_key_id: accessKeyId, secret_access_key: secretAccessKey, zone, record } = route53
    return createRoute53Traffic({ endpoint, region, accessKeyId, secretAccessKey, zone, record, regions })
  }
  if (admin === null) return null
  const { createEdgeTraffic } = await import('./adapters/edge/traffic.ts')
  return createEdgeTraffic(admin)
}

type Auth = { token?: string | undefined; username?: string | undefined; password?: string | undefined }

function credentials(auth: Auth): { token: string } | { username: string; password: string } {
  if (auth.token !== undefined) return { token: auth.token }
  return { username: auth.username ?? '', password: auth.password ?? '' }
}
