import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import express, { type Request, type Router } from 'express'
import type { Logger } from 'pino'
import { BODY_LIMIT, parseAlertmanagerWebhook } from '../handlers/webhooks/alertmanager.ts'
import { createActions } from './actions.ts'
import { createRenderer } from './adapters/liquid/renderer.ts'
import { type ChatOps, createChatOps } from './chatops.ts'
import { type Loaded, readListen } from './config/index.ts'
import { type Clock, HOUR, SECOND } from './core/clock.ts'
import { headerCheck } from './core/credentials.ts'
import type { Destination } from './core/delivery.ts'
import { ClawError, HTTP_STATUS } from './core/errors.ts'
import type { Store } from './core/store.ts'
import { readTraceparent, type Tracer } from './core/trace.ts'
import type { IncidentView } from './core/view.ts'
import { buildDestinations, buildOutside, buildTracing, type Outside, type Tracing } from './destinations.ts'
import { EDIT_DELAY } from './engine/changes.ts'
import { createChecks } from './engine/checks.ts'
import { createLane, type Lane } from './engine/delivery.ts'
import { createEscalation } from './engine/escalation.ts'
import { createIngest } from './engine/ingest.ts'
import { createOnCall } from './engine/oncall.ts'
import { createPulse } from './engine/pulse.ts'
import { createReceiverNames, createReconcile } from './engine/reconcile.ts'
import { createSelfTest } from './engine/selftest.ts'
import { createSignals, type Signals } from './engine/signals.ts'
import { createSilences } from './engine/silences.ts'
import { createViews } from './engine/view.ts'
import type { Watch } from './engine/watch.ts'
import { createMetrics } from './http/metrics.ts'
import { problemHandler, toClawError } from './http/problem.ts'
import { listen } from './http/server.ts'
import { receiver } from './http/webhook.ts'
import { acceptedHeaders, pingOutside, postToSelf, unauthorizedText } from './self.ts'
import { openStore } from './store/store.ts'

/** How long the last spans may take to be handed over. */
const FLUSH = 2 * SECOND

/** A delivery that still fails after this is a dead letter. */
const GIVE_UP_AFTER = 24 * HOUR

/** Alerts that the edge is told of with an acknowledgement, as many as the API lists. */
const EDGE_ALERTS = 1000

export const TEMPLATES = fileURLToPath(new URL('../templates', import.meta.url))

export type AppDeps = {
  log: Logger
  clock?: Clock
  random?: () => number
  /** mounted first, before any body parser (the sandbox's world) */
  mount?: { path: string; router: Router }
  /** pages for people and the API, mounted last */
  pages?: (parts: Parts, run: ChatOps['run']) => Router
  /** takes the place of the destinations that the configuration names (tests) */
  destinations?: Destination[]
}

/** What other parts of the program may build on. */
export type Parts = {
  store: Store
  views: ReturnType<typeof createViews>
  loaded: () => Loaded
  clock: Clock
  wake: () => void
  /** brings counters that are kept in memory into the store, before somebody reads them */
  settle: () => Promise<void>
  /** what the edge was like lately, and what changed on it */
  watch: Watch
  /** aborted when Claw begins to stop: what stays open by itself has to end */
  stopping: AbortSignal
  tracer: () => Tracer
}

export type App = {
  url: string
  parts: Parts
  /** puts another configuration in force. @throws ClawError, and then the running one stays in force */
  reload(loaded: Loaded): Promise<void>
  /** the newest configuration was bad; for the metric */
  reloadFailed(): void
  /** one round of everything that time brings about; tests call it instead of waiting */
  tick(): Promise<void>
  /** resolves when the lanes have nothing under way */
  lanes(): Lane[]
  /** drains: no new requests, what is accepted is stored, what is being sent is recorded */
  stop(): Promise<void>
}

type Running = {
  loaded: Loaded
  lanes: Lane[]
  signals: Signals
  outside: Outside
  tracing: Tracing
  authorized: (header: string | undefined) => boolean
}

/** The only wiring. Straight-line; `stop` takes it down in reverse order. */
export async function start(loaded: Loaded, deps: AppDeps): Promise<App> {
  const { log } = deps
  const clock = deps.clock ?? Date.now
  const startedAt = clock()
  const owner = randomUUID()
  const store = await openStore(loaded.config.store)
  const metrics = createMetrics(store, clock)

  // -- what a configuration brings; all that can fail happens before anything running is touched
  let running: Running
  const fingerprints = async ({ id }: IncidentView) =>
    (await store.alertsOf(Number(id), EDGE_ALERTS)).map((row) => row.fingerprint)
  async function build(next: Loaded): Promise<Running> {
    const { config } = next
    const renderer = createRenderer({ root: TEMPLATES, overrides: config.templates })
    const outside = await buildOutside(config, clock)
    const destinations = deps.destinations ?? (await buildDestinations(config, renderer, log, outside, fingerprints))
    const signals = createSignals(outside.sources, clock)
    const tracing = await buildTracing(config, clock, log)
    const lanes = destinations.map((destination) =>
      createLane(destination, {
        store,
        loadView: (id) => views.load(id),
        clock,
        owner,
        installation: config.installation,
        log,
        giveUpAfter: GIVE_UP_AFTER,
        tracer: tracing,
        onOutcome: ({ lane }, outcome, lagMs) => metrics.delivery(lane, outcome, lagMs),
        ...(deps.random ? { random: deps.random } : {}),
      }),
    )
    return { loaded: next, lanes, signals, outside, tracing, authorized: headerCheck(acceptedHeaders(next)) }
  }

  // -- engine
  const stopping = new AbortController()
  const policy = () => running.loaded.policy
  const tracer = () => running.tracing
  const signals: Signals = {
    get configured() {
      return running.signals.configured
    },
    bucket: (regions) => running.signals.bucket(regions),
    answers: (regions) => running.signals.answers(regions),
  }
  const views = createViews({
    store,
    policy,
    signals,
    publicUrl: () => running.loaded.config.public_url ?? null,
    onCall: () => onCall.names(),
  })
  const wake = () => {
    for (const lane of running.lanes) lane.wake()
  }
  // Silent edits are due only after a while; waking the lanes for each commit would cost more than the commit.
  let later: NodeJS.Timeout | undefined
  const wakeLater = () => {
    later ??= setTimeout(() => {
      later = undefined
      wake()
    }, EDIT_DELAY)
  }
  const ingest = createIngest({
    store,
    policy,
    clock,
    believes: () => signals.configured,
    onStored(result) {
      metrics.decisions(result.decisions)
      for (const { id, level, key } of result.opened) log.info({ incident: id, level, key }, 'incident opened')
      if (result.urgent) wake()
      else if (result.changed) wakeLater()
    },
  })
  const base = { store, views, loaded: () => running.loaded, clock, wake, settle: () => ingest.flush(), tracer }
  const onCall = createOnCall({ rest: () => running.outside.rest, store, clock })
  const actions = createActions({
    ...base,
    log,
    owner,
    random: deps.random,
    outside: () => running.outside,
    ingest,
    onAction: (kind, outcome) => metrics.action(kind, outcome),
  })
  const parts: Parts = { ...base, watch: actions.watch, stopping: stopping.signal }
  const chat = createChatOps({
    ...parts,
    // What a command started begins at once.
    wake() {
      wake()
      actions.workflows.tick()
    },
    log,
    owner,
    believes: () => signals.configured,
    outside: actions.services,
    changes: () => actions.watch.changes(),
    edge: () => running.outside.edge,
    rest: () => running.outside.rest,
    onCall,
    onCommand: (command, outcome) => metrics.command(command, outcome),
    onWebhook: (source, code) => metrics.webhook(source, code),
  })
  const names = createReceiverNames({ store, log })
  const api = () => running.outside.alertmanager
  const installation = () => running.loaded.config.installation
  const background = [
    createSilences({ store, policy, api, clock, log, onStored: wake, owner, installation }),
    createReconcile({
      store,
      policy,
      api,
      every: () => running.loaded.config.alertmanager.compare_interval,
      receivers: () => names.all(),
      ingest,
      clock,
      log,
      owner,
    }),
    createEscalation({ store, policy, clock, log, onStored: wake }),
    chat,
    actions,
  ]
  running = await build(loaded)
  const checks = createChecks({
    store,
    policy,
    signals,
    lookup: () => running.outside.lookup,
    ingest,
    clock,
    log,
    retention: () => running.loaded.config.retention,
    onStored: wake,
    startedAt,
    everyRound: async () => {
      await Promise.all([selfTest, pulse, ...background].map((one) => one.tick()))
    },
  })

  // -- HTTP
  async function take(body: Buffer): Promise<void> {
    const began = clock()
    const webhook = parseAlertmanagerWebhook(body)
    if (webhook.truncated > 0) {
      metrics.truncated(webhook.truncated)
      log.warn({ truncated: webhook.truncated, receiver: webhook.receiver }, 'Alertmanager cut alerts off (max_alerts)')
    }
    names.note(webhook.receiver)
    const trace = tracer().current()
    if (trace === null) await ingest.accept(webhook)
    else {
      const about = { alerts: webhook.alerts.length }
      const accept = (own: string) => ingest.accept({ ...webhook, trace: own })
      await tracer().span('store', about, trace, (span) => accept(span.traceparent ?? trace))
    }
    metrics.ingest(clock() - began)
    metrics.webhook('alertmanager', 200)
  }

  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  if (deps.mount) app.use(deps.mount.path, deps.mount.router)
  app.all(
    '/webhooks/alertmanager',
    receiver({
      limit: BODY_LIMIT,
      authenticate(req) {
        if (running.authorized(req.headers.authorization)) return
        throw new ClawError('unauthorized', unauthorizedText(running.loaded))
      },
      async handle(body: Buffer, req: Request) {
        const { tracing } = running
        if (!tracing.on) return take(body)
        const parent = readTraceparent(req.headers.traceparent)
        return tracing.span('webhook alertmanager', {}, parent, () => take(body), { kind: 'server' })
      },
    }),
  )
  app.get('/healthz', (_req, res) => void res.type('text/plain').send('ok\n'))
  app.get('/readyz', async (_req, res) => {
    await store.ping()
    res.type('text/plain').send('ready\n')
  })
  app.get('/metrics', async (_req, res) => {
    res.setHeader('Content-Type', metrics.contentType)
    res.end(await metrics.text())
  })
  app.use(chat.router)
  if (deps.pages) app.use(deps.pages(parts, chat.run))
  app.use((req: Request) => {
    throw new ClawError('not_found', `There is nothing at ${req.path.slice(0, 200)}.`)
  })
  app.use((error: unknown, req: Request, _res: unknown, next: (error: unknown) => void) => {
    const source = /^\/webhooks\/(alertmanager|pagerduty|telegram)$/.exec(req.path)?.[1]
    const known = toClawError(error)
    if (source) metrics.webhook(source, HTTP_STATUS[known.code])
    next(known)
  })
  app.use(problemHandler(log))

  const address = readListen(loaded.config.listen)
  if (!address) throw new ClawError('invalid', 'listen: must be host:port.')
  const server = await listen(app, address.host, address.port).catch(async (error) => {
    await store.close()
    throw new ClawError('unavailable', `Cannot listen on ${loaded.config.listen}: ${(error as Error).message}.`, {
      cause: error,
    })
  })
  const selfTest = createSelfTest({
    store,
    clock,
    log,
    every: () => running.loaded.config.selftest.every ?? null,
    post: (body) => postToSelf(server.url, acceptedHeaders(running.loaded)[0], body),
    onResult: (outcome) => metrics.action('selftest', outcome),
  })
  const pulse = createPulse({
    store,
    clock,
    log,
    every: () => {
      const { ping_url: url, ping_interval: every } = running.loaded.config.heartbeat
      return url === undefined ? null : every
    },
    send: () => pingOutside(running.loaded.config.heartbeat.ping_url ?? ''),
  })
  wake()
  checks.run()
  await chat.listen(loaded.config)
  log.info({ url: server.url, store: loaded.config.store.split(':')[0] }, 'Claw is ready')

  return {
    url: server.url,
    parts,
    async reload(next) {
      const old = running
      const made = await build(next)
      if (next.config.listen !== old.loaded.config.listen || next.config.store !== old.loaded.config.store) {
        log.warn('listen and store take effect at the next start')
      }
      // Old lanes finish what they send before new ones begin, or one message could be sent by both.
      await Promise.all(old.lanes.map((lane) => lane.stop()))
      running = made
      // Its last spans leave while the new one is in force.
      void old.tracing.stop(FLUSH)
      await chat.listen(next.config)
      metrics.reloaded(true)
      wake()
      log.info('configuration reloaded')
    },
    reloadFailed: () => metrics.reloaded(false),
    async tick() {
      await checks.tick()
      await actions.idle()
      for (const lane of running.lanes) await lane.tick()
    },
    lanes: () => running.lanes,
    async stop() {
      stopping.abort()
      const deadline = running.loaded.config.shutdown_timeout
      const began = performance.now()
      await Promise.all([chat.stop(), server.close(Math.max(0, deadline - 2 * SECOND))])
      await ingest.idle()
      clearTimeout(later)
      await checks.stop()
      await Promise.race([actions.stop(), expire(deadline)])
      await Promise.race([Promise.all(running.lanes.map((lane) => lane.stop())), expire(deadline)])
      // Spans are the last thing that anybody waits for.
      await running.tracing.stop(Math.min(FLUSH, deadline - (performance.now() - began) - SECOND / 2))
      await store.write((tx) => tx.releaseLanes(owner)).catch((error) => log.warn({ err: error }, 'lanes not released'))
      await store.close()
      log.info('Claw has stopped; what is unsent stays stored')
    },
  }
}

function expire(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref()
  })
}
