import express, { type RequestHandler, type Router } from 'express'
import { z } from 'zod'
import { type Clock, MINUTE } from '../core/clock.ts'
import { ClawError } from '../core/errors.ts'
import { createAlertmanagerApi } from './alertmanager-api.ts'
import { type AlertSource, type AlertSourceOptions, createAlertSource } from './alertsource.ts'
import { createEdgeApi } from './edge/api.ts'
import { EdgeFault } from './edge/faults.ts'
import { TICK } from './edge/region.ts'
import { createEdge, type Edge } from './edge.ts'
import { createPage } from './page/page.ts'
import { createFakePagerDuty, type FakePagerDuty } from './pagerduty.ts'
import { graphPage, PAGE_HEADERS, runbookPage } from './pages.ts'
import { noSuchPath, ownPagesOnly, problems, sendProblem } from './problem.ts'
import { createScenarioRunner, type Run, SCENARIOS } from './scenarios.ts'
import { createFakeSlack, type FakeSlack } from './slack.ts'
import { createFakeTelegram, type FakeTelegram } from './telegram.ts'
import { pagerdutyState, slackState, telegramState } from './world-state.ts'

/** After a longer gap (a machine that slept) only this much is simulated, ms. */
const LONGEST_GAP = 10 * MINUTE
/** The time factor that scenarios are written for. */
const WRITTEN_FOR = 10
/** How often a running world moves on, ms. */
const INTERVAL = 250

export type WorldOptions = {
  clock: Clock
  /** Claw's own address, without a slash at the end; the sandbox's pages are under it too */
  clawUrl: () => string
  /** of Claw's HTTP API; with it the page asks Claw once whether automation is on */
  apiToken?: string
  /** how many times faster than in production alerts get ready; 10 */
  timeFactor?: number
  seed?: number
  regions?: readonly string[]
  /** the look-alikes answer 429 at the platforms' real limits; true */
  rateLimits?: boolean
  /** nothing but what the model's own alert source does, e.g. `{ ha: true }` */
  alerts?: Partial<AlertSourceOptions>
}

export type World = {
  /** mount at /sandbox, before any body parser */
  router: Router
  /** the whole world as JSON */
  state(): object
  /** @throws ClawError('not_found') when there is no such scenario */
  start(name: string): Run
  /**
   * Alerts get ready `factor` times faster than in production from now on. Below 10 scenarios are stretched, so that the same
   * things happen; above they keep their length.
   */
  speed(factor: number): void
  /** Everything back to the beginning, messages and pages too; alerts that fired resolve. */
  reset(): void
  /** Brings the world to the present and posts what is due. */
  tick(): Promise<void>
  /** Ticks by itself until `stop`; does not keep the process alive. */
  run(): void
  stop(): Promise<void>
  slack: FakeSlack
  telegram: FakeTelegram
  pagerduty: FakePagerDuty
  edge: Edge
  alerts: AlertSource
}

/** Makes the simulated world that the sandbox wires Claw to: edge, alert source, scenarios, Slack, Telegram, PagerDuty. */
export function createWorld(options: WorldOptions): World {
  const { clock, clawUrl, seed = 1, rateLimits = true } = options
  let { timeFactor = WRITTEN_FOR } = options
  const edge = createEdge({ now: clock(), seed, ...(options.regions ? { regions: options.regions } : {}) })
  const alerts = createAlertSource({
    clock,
    url: () => `${clawUrl()}/webhooks/alertmanager`,
    base: clawUrl,
    timeFactor,
    seed,
    ...options.alerts,
  })
  const runner = createScenarioRunner({ edge, source: alerts, seed })
  const slack = createFakeSlack({ clock, rateLimits })
  const telegram = createFakeTelegram({ clock, rateLimits })
  const pagerduty = createFakePagerDuty({ clock, rateLimits })
  let timer: NodeJS.Timeout | null = null
  const underWay = new Set<Promise<void>>()

  /** Moves the model to the present, tick by tick, so that nothing depends on how often it is looked at. */
  function catchUp(): void {
    const now = clock()
    if (now - edge.now() > LONGEST_GAP) edge.skipTo(now - LONGEST_GAP)
    while (now - edge.now() >= TICK) {
      runner.advance(edge.now())
      edge.step(TICK)
      alerts.observe(edge.now(), edge.view())
    }
    runner.advance(edge.now())
  }

  /** Groups that are being posted are left alone, so that one slow answer holds up nothing else. */
  function flush(): Promise<void> {
    const round = alerts.flush().finally(() => void underWay.delete(round))
    underWay.add(round)
    return round
  }

  const edgeApi = createEdgeApi({ edge, token: 'sandbox', catchUp })
  const page = createPage({
    clock,
    clawUrl,
    apiToken: options.apiToken ?? null,
    edge,
    alerts,
    slack,
    telegram,
    pagerduty,
    running: runner.running,
    edgeCalls: edgeApi.records,
    speed: () => timeFactor,
    setSpeed: (factor) => world.speed(factor),
    catchUp,
  })

  const world: World = {
    router: express.Router(),
    state() {
      catchUp()
      return {
        at: new Date(edge.now()).toISOString(),
        time_factor: timeFactor,
        scenario: runner.running(),
        scenarios: SCENARIOS.map((scenario) => scenario.name),
        regions: edge.view(),
        operations: edge.operations.list().slice(-20),
        edge_faults: edge.faults.list(),
        edge_calls: edgeApi.records().slice(-20),
        alerts: activeAlerts(alerts),
        webhooks: alerts.log(),
        heartbeat: alerts.heartbeat(),
        slack: slackState(slack),
        telegram: telegramState(telegram),
        pagerduty: pagerdutyState(pagerduty),
      }
    },
    start(name) {
      catchUp()
      const run = runner.start(name, edge.now())
      if (run) return run
      throw new ClawError('not_found', `There is no scenario ${JSON.stringify(name)}; there are ${names().join(', ')}.`)
    },
    speed(factor) {
      catchUp()
      timeFactor = factor
      alerts.speed(factor)
      runner.slow(Math.max(1, WRITTEN_FOR / factor), edge.now())
    },
    reset() {
      catchUp()
      runner.stop(edge.now())
      edge.reset()
      edgeApi.reset()
      // Claw sets its webhook when it starts, and it does not start anew.
      const { webhook } = telegram.state.updates
      for (const lookalike of [slack, telegram, pagerduty]) lookalike.reset()
      telegram.state.updates.webhook = webhook
      page.clear()
    },
    async tick() {
      catchUp()
      await flush()
      page.look()
    },
    run() {
      // A receiver that hangs holds up the posts, never the model.
      timer ??= setInterval(() => void world.tick(), INTERVAL)
      timer.unref()
    },
    async stop() {
      if (timer) clearInterval(timer)
      timer = null
      alerts.stop()
      await Promise.all(underWay)
    },
    slack,
    telegram,
    pagerduty,
    edge,
    alerts,
  }

  const { router } = world
  router.use(page.router)
  router.use('/slack', slack.router)
  router.use('/telegram', telegram.router)
  router.use('/pagerduty', pagerduty.router)
  router.use('/edge', edgeApi.router)
  router.use(
    ['/alertmanager', '/alertmanager-2'],
    createAlertmanagerApi({ active: alerts.active, now: edge.now, receiver: 'claw' }),
  )
  router.get('/state', (_req, res) => void res.json(world.state()))
  router.get('/scenarios', (_req, res) => {
    const scenarios = SCENARIOS.map(({ name, title, story, lasts }) => ({ name, title, story, lasts_seconds: lasts }))
    res.json({ scenarios, running: runner.running() })
  })
  router.post('/scenarios/:name', ownPagesOnly, (req, res) => {
    const name = String(req.params.name)
    // A button on the console sends a form: back to the page, where the story unfolds.
    if (names().includes(name) && req.is('urlencoded')) {
      world.start(name)
      res.redirect(303, '/')
    } else if (names().includes(name)) res.status(202).json(world.start(name))
    else sendProblem(res, 404, 'not_found', `There is no scenario ${JSON.stringify(name)}.`, { scenarios: names() })
  })
  // Makes the edge's admin API fail, see EdgeFault; DELETE takes back what has not struck yet.
  const listFaults: RequestHandler = (_req, res) => void res.json({ faults: edge.faults.list() })
  router.get('/edge-faults', listFaults)
  router.post('/edge-faults', ownPagesOnly, express.json({ limit: '10kb' }), express.urlencoded(), (req, res, next) => {
    const fault = EdgeFault.safeParse(req.body)
    if (!fault.success) throw new ClawError('invalid', `The fault is wrong: ${z.prettifyError(fault.error)}`)
    edge.faults.add(fault.data)
    if (req.is('urlencoded')) res.redirect(303, '/')
    else listFaults(req, res.status(201), next)
  })
  router.delete('/edge-faults', ownPagesOnly, (_req, res) => {
    edge.faults.clear()
    res.status(204).end()
  })
  router.post('/reset', ownPagesOnly, (_req, res) => {
    world.reset()
    res.status(204).end()
  })
  router.get('/graph', (req, res) => {
    catchUp()
    const { region } = req.query
    const shown = edge.regions.filter((name) => region === undefined || name === region)
    const series = shown.map((name) => ({ region: name, points: alerts.history(name) }))
    const expr = typeof req.query['g0.expr'] === 'string' ? req.query['g0.expr'] : ''
    res
      .set(PAGE_HEADERS)
      .type('html')
      .send(graphPage({ now: edge.now(), series, expr }))
  })
  router.get('/runbooks/:alert', (req, res) => {
    const page = runbookPage(req.params.alert)
    if (page === null) throw new ClawError('not_found', `There is no runbook ${JSON.stringify(req.params.alert)}.`)
    res.set(PAGE_HEADERS).type('html').send(page)
  })
  router.use(noSuchPath, problems)
  return world
}

function names(): string[] {
  return SCENARIOS.map((scenario) => scenario.name)
}

/** Bounded: a storm has thousands. */
function activeAlerts(alerts: AlertSource): object {
  const active = alerts.active()
  const list = active.slice(0, 50).map(({ fingerprint, labels, annotations, startsAt }) => ({
    fingerprint,
    labels,
    annotations,
    starts_at: new Date(startsAt).toISOString(),
  }))
  return { firing: active.length, first: list }
}
