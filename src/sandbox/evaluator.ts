import type { Labels } from '../core/alert.ts'
import { SECOND } from '../core/clock.ts'
import { SERVICE } from './edge/region.ts'
import type { RegionView } from './edge.ts'
import { fingerprintOf } from './fingerprint.ts'
import { LOOK_BACK, RULES, type Rule } from './rules.ts'

/** An alert as Prometheus hands it to Alertmanager. Times in ms since the epoch; `endsAt` is null while it fires. */
export type SourceAlert = {
  fingerprint: string
  labels: Labels
  annotations: Labels
  startsAt: number
  endsAt: number | null
  generatorURL: string
}

/** Rules are evaluated this often, ms of real time. */
export const EVALUATION_INTERVAL = SECOND

type Pending = { since: number; firing: SourceAlert | null }

export type Evaluator = {
  /** One look at the regions; cheap when it is not yet time for the next evaluation. Returns whether it evaluated. */
  observe(now: number, views: readonly RegionView[]): boolean
  /** what fires now, the watchdog first */
  firing(): SourceAlert[]
  /** Takes what was resolved since the last call. */
  takeResolved(): SourceAlert[]
  /** From now on every `for` and look-back is divided by `timeFactor`. */
  speed(timeFactor: number): void
  /** bucket ratios of a region within the last ten minutes, oldest first, for the graph page */
  history(region: string): readonly { at: number; ratio: number }[]
}

const KEPT = 600

/**
 * Stands for Prometheus: evaluates RULES over the model and keeps each alert's `pending` and `firing`. As there, an alert
 * whose series vanish is resolved at once.
 * @param options.timeFactor divides every `for` and look-back
 * @param options.base where links point to, without a slash at the end
 */
export function createEvaluator(options: { base: () => string; timeFactor: number; now: number }): Evaluator {
  const { base } = options
  let { timeFactor } = options
  const states = new Map<string, Pending>()
  const histories = new Map<string, { at: number; ratio: number }[]>()
  let resolved: SourceAlert[] = []
  let evaluatedAt = Number.NEGATIVE_INFINITY
  const watchdogLabels = { alertname: 'Watchdog', severity: 'none' }
  const watchdog = (): SourceAlert => ({
    fingerprint: fingerprintOf(watchdogLabels),
    labels: watchdogLabels,
    annotations: { summary: 'Heartbeat of Prometheus and Alertmanager' },
    startsAt: options.now,
    endsAt: null,
    generatorURL: graphUrl(base(), 'vector(1)'),
  })

  function evaluate(now: number, view: RegionView): void {
    const highest = highestWithin(histories.get(view.region) ?? [], now - LOOK_BACK / timeFactor)
    RULES.forEach((rule, index) => {
      const key = `${index} ${view.region}`
      const state = states.get(key)
      const seen = view.up !== (rule.ofDeadRegions ?? false)
      const value = seen
        ? (rule.value(view, { highest }) ?? (state?.firing ? (rule.holds?.(view) ?? null) : null))
        : null
      if (value === null) {
        if (state?.firing) resolved.push({ ...state.firing, endsAt: now })
        states.delete(key)
        return
      }
      const since = state?.since ?? now
      const fires = state?.firing || now - since >= rule.for / timeFactor
      const firing = fires ? alertOf(rule, view, value, state?.firing?.startsAt ?? now, base()) : null
      states.set(key, { since, firing })
    })
  }

  return {
    observe(now, views) {
      if (now - evaluatedAt < EVALUATION_INTERVAL) return false
      evaluatedAt = now
      for (const view of views) {
        if (view.up) remember(histories, view, now)
        evaluate(now, view)
      }
      return true
    },
    firing: () => [watchdog(), ...[...states.values()].flatMap((state) => state.firing ?? [])],
    takeResolved() {
      const taken = resolved
      resolved = []
      return taken
    },
    speed(factor) {
      timeFactor = factor
    },
    history: (region) => histories.get(region) ?? [],
  }
}

function remember(histories: Map<string, { at: number; ratio: number }[]>, view: RegionView, now: number): void {
  const history = histories.get(view.region) ?? []
  history.push({ at: now, ratio: view.bucket.ratio })
  if (history.length > KEPT) history.shift()
  histories.set(view.region, history)
}

function highestWithin(history: readonly { at: number; ratio: number }[], from: number): number | null {
  let highest: number | null = null
  for (let i = history.length - 1; i >= 0; i--) {
    const point = history[i]
    if (!point || point.at < from) break
    highest = Math.max(highest ?? 0, point.ratio)
  }
  return highest
}

function alertOf(rule: Rule, view: RegionView, value: number, startsAt: number, base: string): SourceAlert {
  const labels: Labels = {
    alertname: rule.alert,
    region: view.region,
    service: SERVICE,
    severity: rule.severity,
    ...rule.labels,
  }
  return {
    fingerprint: fingerprintOf(labels),
    labels,
    annotations: {
      summary: rule.summary(value, view.region),
      description: rule.description(value, view),
      runbook_url: `${base}/sandbox/runbooks/${rule.alert}`,
      dashboard: `${base}/sandbox/graph?region=${encodeURIComponent(view.region)}`,
      ...(view.up ? { bucket_ratio: String(Number(view.bucket.ratio.toPrecision(4))) } : {}),
    },
    startsAt,
    endsAt: null,
    generatorURL: graphUrl(base, rule.expr),
  }
}

function graphUrl(base: string, expr: string): string {
  return `${base}/sandbox/graph?g0.expr=${encodeURIComponent(expr)}&g0.tab=1`
}
