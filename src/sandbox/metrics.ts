import type { Labels } from '../core/alert.ts'
import { DURATION_BUCKETS, type EdgeNode } from './edge/node.ts'
import { availableOf, capacityOf, type Region, refillRateOf, regionLabels } from './edge/region.ts'
import type { Edge } from './edge.ts'

/** Content type of the Prometheus text format, version 0.0.4. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

type Sample = { labels: Labels; value: number; suffix?: string }
type Family = { name: string; type: 'gauge' | 'counter' | 'histogram'; help: string; samples: (r: Region) => Sample[] }

const gauge = (name: string, help: string, value: (region: Region) => number): Family => ({
  name,
  type: 'gauge',
  help,
  samples: (region) => [{ labels: regionLabels(region.name), value: value(region) }],
})

/** The metrics of system.md, section 2. Ratios are 0..1, times seconds, rates per second. */
const FAMILIES: readonly Family[] = [
  gauge('openclaw_token_bucket_available', 'Share of the bucket that is left, 0 to 1.', ratioOf),
  gauge('openclaw_bucket_utilization', 'Share of the bucket that is used, 0 to 1.', (region) => 1 - ratioOf(region)),
  gauge('openclaw_bucket_capacity_tokens', 'Tokens the bucket holds when full.', capacityOf),
  gauge('openclaw_token_bucket_refill_rate', 'Tokens that flow in per second.', refillRateOf),
  {
    name: 'openclaw_requests_total',
    type: 'counter',
    help: 'Requests by the status code they were answered with.',
    samples: perNode((node, labels) =>
      Object.entries(node.codes).map(([code, count]) => ({ labels: { ...labels, code }, value: Math.floor(count) })),
    ),
  },
  {
    name: 'openclaw_request_duration_seconds',
    type: 'histogram',
    help: 'Time to answer a request.',
    samples: perNode((node, labels) => [
      ...node.buckets.map((count, i) => ({
        suffix: '_bucket',
        labels: { ...labels, le: i < DURATION_BUCKETS.length ? String(DURATION_BUCKETS[i]) : '+Inf' },
        value: Math.floor(count),
      })),
      { suffix: '_sum', labels, value: node.durationSum },
      { suffix: '_count', labels, value: Math.floor(node.buckets.at(-1) ?? 0) },
    ]),
  },
  gauge('openclaw_crdt_sync_lag_seconds', 'How far the copy of the other regions is behind.', (r) => r.syncLag),
  gauge('openclaw_replication_jitter_seconds', 'Jitter of replication messages.', (r) => r.jitter),
  {
    name: 'openclaw_crdt_conflicts_total',
    type: 'counter',
    help: 'Merge conflicts between copies of the bucket.',
    samples: perNode((node, labels) => [{ labels, value: Math.floor(node.conflicts) }]),
  },
  {
    name: 'openclaw_token_delta_variance',
    type: 'gauge',
    help: "How far a node's token count is off, as a share of capacity.",
    samples: (region) =>
      region.nodes.map((node) => ({
        labels: { ...regionLabels(region.name), node: node.name },
        value: node.delta,
      })),
  },
  gauge('openclaw_rating_score', 'Rating of the running canary, 0 to 1.', (region) => region.rating),
  gauge('openclaw_canary_weight', 'Percent of the traffic that the canary gets.', (region) => region.canary.weight),
  {
    name: 'openclaw_build_info',
    type: 'gauge',
    help: 'Always 1; the label names the version.',
    samples: (region) => [{ labels: { ...regionLabels(region.name), version: region.version.name }, value: 1 }],
  },
]

/**
 * The edge's metrics as Prometheus text. A region that is down has no series at all.
 * @param only one region; undefined for all
 * @returns null when `only` names a region that is down or unknown
 */
export function renderMetrics(edge: Edge, only?: string): string | null {
  if (only !== undefined && !edge.isUp(only)) return null
  const names = only === undefined ? edge.regions.filter((name) => edge.isUp(name)) : [only]
  const regions = names.flatMap((name) => edge.region(name) ?? [])
  return FAMILIES.flatMap((family) => [
    `# HELP ${family.name} ${family.help}`,
    `# TYPE ${family.name} ${family.type}`,
    ...regions.flatMap(family.samples).map((sample) => line(family.name, sample)),
  ])
    .concat('')
    .join('\n')
}

function ratioOf(region: Region): number {
  return Math.max(0, Math.min(1, availableOf(region) / capacityOf(region)))
}

function perNode(samples: (node: EdgeNode, labels: Labels) => Sample[]): (region: Region) => Sample[] {
  return (region) => region.nodes.flatMap((node) => samples(node, { ...regionLabels(region.name), node: node.name }))
}

function line(name: string, { suffix = '', labels, value }: Sample): string {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escapeValue(text)}"`)
  return `${name}${suffix}{${pairs.join(',')}} ${Number.isInteger(value) ? value : Number(value.toPrecision(9))}`
}

function escapeValue(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')
}
