import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { type Clock, SECOND } from '../core/clock.ts'
import type { Store } from '../core/store.ts'

export type Metrics = {
  webhook(source: string, code: number): void
  decisions(counts: ReadonlyMap<string, number>): void
  ingest(ms: number): void
  truncated(alerts: number): void
  delivery(destination: string, outcome: string, lagMs: number | null): void
  command(command: string, outcome: string): void
  action(kind: string, outcome: string): void
  reloaded(ok: boolean): void
  /** Prometheus text format */
  text(): Promise<string>
  readonly contentType: string
}

/** Alerts that changed nothing but counters. */
const DEDUPLICATED = ['repeated', 'doubted', 'still_doubted', 'late', 'resolve_repeated', 'resolve_late']

/** The metrics of contract.md, section 6, and `claw_store_up`. */
export function createMetrics(store: Store, clock: Clock): Metrics {
  const registers = [new Registry()]
  const [registry] = registers as [Registry]
  collectDefaultMetrics({ register: registry })
  const webhooks = new Counter({
    name: 'claw_webhooks_total',
    help: 'Webhooks received, by source and HTTP status',
    labelNames: ['source', 'code'],
    registers,
  })
  const alerts = new Counter({
    name: 'claw_alerts_total',
    help: 'Alerts taken in, by the status that they arrived with',
    labelNames: ['status'],
    registers,
  })
  const deduplicated = new Counter({
    name: 'claw_alerts_deduplicated_total',
    help: 'Alerts that changed nothing but counters: repeats, HA twins, stale and late copies',
    registers,
  })
  const decided = new Counter({
    name: 'claw_alert_decisions_total',
    help: 'What each reception of an alert was taken for',
    labelNames: ['decision'],
    registers,
  })
  const cut = new Counter({
    name: 'claw_alerts_truncated_total',
    help: 'Alerts that Alertmanager left out of webhooks (max_alerts)',
    registers,
  })
  const ingest = new Histogram({
    name: 'claw_ingest_seconds',
    help: 'Webhook read to 200, the commit included',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    registers,
  })
  const deliveries = new Counter({
    name: 'claw_deliveries_total',
    help: 'Delivery steps, by lane and outcome',
    labelNames: ['destination', 'outcome'],
    registers,
  })
  const lag = new Histogram({
    name: 'claw_delivery_lag_seconds',
    help: 'Change stored to shown at the destination',
    labelNames: ['destination'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
    registers,
  })
  const actions = new Counter({
    name: 'claw_actions_total',
    help: 'Acts on edges and self-tests, by outcome',
    labelNames: ['kind', 'outcome'],
    registers,
  })
  const reload = new Gauge({
    name: 'claw_config_reload_success',
    help: '1 when the newest configuration is in force, 0 when it was bad',
    registers,
  })
  reload.set(1)
  const commands = new Counter({
    name: 'claw_commands_total',
    help: 'Chat commands, by outcome',
    labelNames: ['command', 'outcome'],
    registers,
  })
  // -- what only the store knows; without it the rest must still be told
  const up = new Gauge({ name: 'claw_store_up', help: '1 while the database can be written', registers })
  const asked = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name, help, labelNames, registers })
  const running = asked('claw_actions_running', 'Operations on the edge that are under way')
  const incidents = asked('claw_incidents', 'Incidents, by state and level', ['state', 'level'])
  const pending = asked('claw_delivery_pending', 'Destinations that are behind', ['destination'])
  const dead = asked('claw_dead_letters', 'Messages given up, until they are redelivered', ['destination'])
  const age = asked('claw_heartbeat_age_seconds', 'Time since the last heartbeat of each Prometheus', ['source'])

  /** Asks the store for what `gauges` show. What it does not answer in time is not shown, rather than shown as it was, or as 0. */
  async function ask(gauges: Gauge[], fill: () => Promise<() => void>): Promise<void> {
    const show = await within(fill()).catch(() => null)
    for (const gauge of gauges) gauge.reset()
    if (show !== null) show()
    // Without labels a reset means 0.
    else if (gauges.includes(running)) running.remove()
  }

  async function collect(): Promise<void> {
    await Promise.all([
      within(store.ping()).then(
        () => up.set(1),
        () => up.set(0),
      ),
      ask([running], async () => {
        const { length } = await store.workflows({ states: ['running'], limit: 1000 })
        return () => running.set(length)
      }),
      ask([incidents], async () => {
        const counted = await store.countIncidents()
        return () => {
          for (const { state, level, count } of counted) incidents.set({ state, level }, count)
        }
      }),
      ask([pending, dead], async () => {
        const counted = await store.countDeliveries()
        return () => {
          for (const { lane, state, count } of counted) {
            if (state === 'dead') dead.set({ destination: lane }, count)
            else pending.inc({ destination: lane }, count)
          }
        }
      }),
      ask([age], async () => {
        const beats = await store.heartbeats()
        return () => {
          for (const { source, lastAt } of beats) if (lastAt > 0) age.set({ source }, (clock() - lastAt) / SECOND)
        }
      }),
    ])
  }

  // Alerts are counted once a batch: a labelled increment per alert costs as much as deciding on it.
  const taken = { firing: alerts.labels('firing'), resolved: alerts.labels('resolved') }
  return {
    webhook: (source, code) => webhooks.inc({ source, code: String(code) }),
    decisions(counts) {
      for (const [decision, n] of counts) {
        decided.inc({ decision }, n)
        taken[decision.startsWith('resolve') ? 'resolved' : 'firing'].inc(n)
        if (DEDUPLICATED.includes(decision)) deduplicated.inc(n)
      }
    },
    ingest: (ms) => ingest.observe(ms / SECOND),
    truncated: (n) => cut.inc(n),
    delivery(destination, outcome, lagMs) {
      deliveries.inc({ destination, outcome })
      if (lagMs !== null) lag.observe({ destination }, lagMs / SECOND)
    },
    command: (command, outcome) => commands.inc({ command, outcome }),
    action: (kind, outcome) => actions.inc({ kind, outcome }),
    reloaded: (ok) => reload.set(ok ? 1 : 0),
    async text() {
      await collect()
      return registry.metrics()
    },
    contentType: registry.contentType,
  }
}

/** How long the store may take: well within a scrape's time-out (Prometheus: 10 s by default). */
const PATIENCE = 2 * SECOND

/** `asked`, or a rejection after `PATIENCE`. */
async function within<T>(asked: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), PATIENCE)
  })
  try {
    return await Promise.race([asked, late])
  } finally {
    clearTimeout(timer)
  }
}
