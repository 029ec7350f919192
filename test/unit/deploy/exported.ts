import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { createEdge } from '../../../src/sandbox/edge.ts'
import { renderMetrics } from '../../../src/sandbox/metrics.ts'
import { firing } from '../../support/engine.ts'
import { startRig } from '../chatops/rig.ts'
import type { Reads } from './promql.ts'

export type Series = { name: string; labels: Record<string, string> }

/** Series of a page in the Prometheus text format, with the labels that Prometheus adds to the target `job`. */
export function seriesOf(text: string, job: string): Series[] {
  const target = { job, instance: `${job}:8080` }
  const found = text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name, inner = ''] = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? \S+$/.exec(line) ?? []
      assert.ok(name, line)
      const pairs = [...inner.matchAll(/(\w+)="((?:\\.|[^"\\])*)"/g)].map(([, key = '', value = '']) => [key, value])
      return { name, labels: { ...Object.fromEntries(pairs), ...target } }
    })
  return [...found, { name: 'up', labels: target }]
}

/** All that the sandbox's edge exports while it is busy. */
export function edgeSeries(): Series[] {
  const edge = createEdge({ now: 1_700_000_000_000 })
  edge.press(['A'], { demandFactor: 5, errorRatio: 0.02 })
  edge.step(20_000)
  return seriesOf(renderMetrics(edge) ?? '', 'openclaw-edge')
}

/**
 * All that Claw exports after a little of everything: alerts and repeats, a Watchdog, a refused webhook, a page that
 * succeeds at the second try, a dead letter, a destination that is behind, a command, a self-test.
 */
export async function clawSeries(t: TestContext): Promise<Series[]> {
  const rig = await startRig(t, { yaml: 'selftest: { every: 1h }' })
  const read = async () => seriesOf(await (await fetch(`${rig.app.url}/metrics`)).text(), 'claw')
  const gone = { ok: false, error_code: 400, description: 'Bad Request: chat not found' }
  rig.world.pagerduty.faults.set({ kind: 'status', status: 503, match: '/v2/enqueue', times: 1 })
  rig.world.telegram.faults.set({ kind: 'status', status: 400, match: 'sendMessage', body: gone })
  const watchdog = { ...firing(), labels: { alertname: 'Watchdog', severity: 'none', prometheus: 'prometheus-a' } }
  for (let i = 0; i < 2; i++) await rig.alert(firing(), { ...watchdog, fingerprint: 'watchdog' })
  const refused = await fetch(`${rig.app.url}/webhooks/alertmanager`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: 'Bearer wrong' },
    body: '{}',
  })
  assert.equal(refused.status, 401)
  assert.equal((await rig.terminal('Dana', 'status')).ok, true)
  const behind = await read()
  for (let i = 0; i < 4; i++) {
    rig.pass(31_000)
    await rig.settle()
  }
  const keys = new Set<string>()
  return [...(await read()), ...behind].filter((series) => {
    const key = JSON.stringify(series)
    return keys.size < keys.add(key).size
  })
}

/** Which labels each metric has, all its series taken together. */
export function labelsOf(series: readonly Series[]): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>()
  for (const { name, labels } of series) {
    found.set(name, new Set([...(found.get(name) ?? []), ...Object.keys(labels)]))
  }
  return found
}

/** What is wrong with the metrics and labels that an expression reads; empty when all are exported. */
export function missingFrom(
  exported: ReadonlyMap<string, ReadonlySet<string>>,
  { selectors, grouping }: Reads,
): string[] {
  return selectors.flatMap(({ metric, labels }) => {
    const known = exported.get(metric)
    if (!known) return [`${metric} is exported by nobody`]
    return [...labels, ...grouping].filter((label) => !known.has(label)).map((label) => `${metric} has no ${label}`)
  })
}
