import { createHmac, randomBytes } from 'node:crypto'
import { Router } from 'express'
import type { Logger } from 'pino'
import { stringify } from 'yaml'
import { openApiDocument } from '../handlers/api/openapi.ts'
import { apiRoutes } from '../handlers/api/routes.ts'
import { linkOwner, useLink } from '../handlers/commands/console.ts'
import { commandSpecs } from '../handlers/commands/index.ts'
import manifest from '../package.json' with { type: 'json' }
import { createRenderer } from './adapters/liquid/renderer.ts'
import { createRange } from './adapters/prometheus/range.ts'
import { type Parts, TEMPLATES } from './app.ts'
import { accessOf, type ChatOps } from './chatops.ts'
import { type Config, jsonSchema, redact } from './config/index.ts'
import { type ChartQueries, createConsole, type Sandbox } from './console/console.ts'
import { DURATION_PATTERN, formatDuration } from './core/duration.ts'
import type { Store } from './core/store.ts'
import { createApi } from './http/api.ts'
import { createOpenApi } from './http/openapi.ts'
import { createSession } from './http/session.ts'

/** What a sandbox's console shows besides: whom it signs everybody in as, the scenarios to try, a page of its own. */
export type SandboxPages = Sandbox

/** The API and the console, wired to a running app. */
export function createPages(
  parts: Parts,
  run: ChatOps['run'],
  options: { sandbox: SandboxPages | null; log: Logger },
): Router {
  const { store, views, loaded, clock, wake } = parts
  const config = () => loaded().config
  let key: string | null = null
  // Mixed with the secrets of the configuration: who reads the database, or a backup of it, cannot make a cookie.
  const secrets = lastMade(config, () => JSON.stringify(loaded().secrets))
  const sign = (stored: string | null) =>
    stored === null ? null : createHmac('sha256', stored).update(secrets()).digest('base64url')
  const session = createSession({
    tokens: () => config().api.tokens,
    people: () => config().people.map(({ name }) => name),
    key: () => sign(key),
    clock,
    publicUrl: () => config().public_url ?? null,
  })
  const deps = { store, viewOf: views.of, clock, wake, access: () => accessOf(config()) }
  const prometheus = lastMade(config, makePrometheus)
  const { router: pages, feed } = createConsole({
    store,
    viewOf: views.of,
    renderer: createRenderer({ root: TEMPLATES, overrides: config().templates }),
    session,
    links: {
      owner: (token) => linkOwner(store, token, clock()),
      use: (token) => store.write((tx) => useLink(tx, token, clock())),
    },
    run,
    commands: commandSpecs,
    policy: () => loaded().policy,
    configuration: lastMade(config, configLines),
    watch: () => (config().edge.url === undefined ? null : parts.watch),
    prometheus,
    sandbox: options.sandbox,
    version: manifest.version,
    clock,
    onError: (error) => options.log.error({ err: error }, 'a page could not be shown'),
  })
  parts.stopping.addEventListener('abort', () => feed.close())
  const router = Router()
  router.use(createOpenApi(openApiDocument()))
  router.use(async (_req, _res, next) => {
    key ??= await sessionKey(store)
    await parts.settle()
    next()
  })
  router.use('/api/v1', createApi({ session, routes: apiRoutes({ ...deps, run }) }))
  router.use(pages)
  return router
}

/** Signs the cookies of those who have no API token; made once for all replicas, never shown. */
async function sessionKey(store: Store): Promise<string> {
  const name = 'console_key'
  return (
    (await store.meta(name)) ??
    store.write(async (tx) => {
      const known = await tx.meta(name)
      if (known !== null) return known
      const made = randomBytes(32).toString('base64url')
      await tx.setMeta(name, made)
      return made
    })
  )
}

/** What `make` gives of the configuration, made anew only after a reload. */
function lastMade<T>(config: () => Config, make: (config: Config) => T): () => T {
  let last: { of: Config; made: T } | null = null
  return () => {
    const now = config()
    if (last?.of !== now) last = { of: now, made: make(now) }
    return last.made
  }
}

function makePrometheus({ prometheus }: Config) {
  if (prometheus === undefined) return null
  return { range: createRange({ url: prometheus.url }), queries: queriesOf(prometheus.metrics) }
}

/** The edge's metrics (system.md, section 2); names that the configuration gives win. The worst node speaks for its region. */
function queriesOf(metrics: { bucket_ratio: string } & Partial<Record<'sync_lag' | 'jitter' | 'conflicts', string>>) {
  const { sync_lag: lag = 'openclaw_crdt_sync_lag_seconds', jitter = 'openclaw_replication_jitter_seconds' } = metrics
  const conflicts = metrics.conflicts ?? 'openclaw_crdt_conflicts_total'
  return {
    bucket: `min by (region) (${metrics.bucket_ratio})`,
    lag: `max by (region) (${lag})`,
    jitter: `max by (region) (${jitter})`,
    conflicts: `sum by (region) (rate(${conflicts}[1m])) * 60`,
  } satisfies ChartQueries
}

/** The configuration in force as YAML without secrets, durations as people write them. */
function configLines(config: Config): string[] {
  return stringify(written(redact(config), jsonSchema() as SchemaNode), { lineWidth: 0 })
    .trimEnd()
    .split('\n')
}

type SchemaNode = {
  pattern?: string
  anyOf?: SchemaNode[]
  properties?: Record<string, SchemaNode>
  additionalProperties?: SchemaNode | boolean
  items?: SchemaNode
}

/** Milliseconds become `5m` again where the schema takes a duration. */
function written(value: unknown, node: SchemaNode | undefined): unknown {
  if (Array.isArray(value)) return value.map((item) => written(item, node?.items))
  if (typeof value === 'object' && value !== null) {
    const more = typeof node?.additionalProperties === 'object' ? node.additionalProperties : undefined
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, written(item, node?.properties?.[key] ?? more)]),
    )
  }
  const duration = [node, ...(node?.anyOf ?? [])].some((one) => one?.pattern === DURATION_PATTERN.source)
  return typeof value === 'number' && duration ? formatDuration(value) : value
}
