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

/** The metrics of contract.md, section 6. */
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
  new Gauge({
    name: 'claw_incidents',
    help: 'Incidents, by state and level',
    labelNames: ['state', 'level'],
    registers,
    async collect() {
      this.reset()
      for (const { state, level, count } of await store.countIncidents()) this.set({ state, level }, count)
    },
  })
  const dead = new Gauge({
    name: 'claw_dead_letters',
    help: 'Messages given up, until they are redelivered',
    labelNames: ['destination'],
    registers,
  })
  new Gauge({
    name: 'claw_delivery_pending',
    help: 'Destinations that are behind',
    labelNames: ['destination'],
    registers,
    async collect() {
      this.reset()
      dead.reset()
      for (const { lane, state, count } of await store.countDeliveries()) {
        if (state === 'dead') dead.set({ destination: lane }, count)
        else this.inc({ destination: lane }, count)
      }
    },
  })
  new Gauge({
    name: 'claw_heartbeat_age_seconds',
    help: 'Time since the last heartbeat of each Prometheus',
    labelNames: ['source'],
    registers,
    async collect() {
      this.reset()
      for (const beat of await store.heartbeats()) {
        if (beat.lastAt > 0) this.set({ source: beat.source }, (clock() - beat.lastAt) / SECOND)
      }
    },
  })
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
    text: () => registry.metrics(),
    contentType: registry.contentType,
  }
}
