import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, type TestContext, test } from 'node:test'
import { z } from 'zod'
import { clawSeries, edgeSeries, labelsOf, missingFrom, type Series } from './exported.ts'
import { run, skipped } from './programs.ts'
import { readsOf } from './promql.ts'
import { deployed, readRules } from './rules-file.ts'

const DATASOURCE = z.strictObject({ type: z.literal('prometheus'), uid: z.literal(`\${datasource}`) })
const Target = z.looseObject({
  refId: z.string(),
  datasource: DATASOURCE,
  expr: z.string(),
  legendFormat: z.string(),
})
const Step = z.strictObject({ color: z.string(), value: z.number().nullable() })
const Panel = z.looseObject({
  id: z.int(),
  type: z.string(),
  title: z.string().min(3).max(40),
  gridPos: z.strictObject({ h: z.int(), w: z.int(), x: z.int().min(0), y: z.int().min(0) }),
})
const Graph = Panel.extend({
  description: z.string().regex(/\.$/),
  datasource: DATASOURCE,
  targets: z.array(Target).min(1),
  fieldConfig: z.looseObject({
    defaults: z.looseObject({ unit: z.string(), thresholds: z.looseObject({ steps: z.array(Step).min(1) }) }),
  }),
})
const Variable = z.looseObject({ name: z.string(), type: z.string(), definition: z.string().optional() })
const Dashboard = z.looseObject({
  uid: z.string(),
  title: z.string(),
  id: z.null(),
  schemaVersion: z.int().min(41),
  tags: z.array(z.string()),
  templating: z.strictObject({ list: z.array(Variable) }),
  panels: z.array(z.union([Graph, Panel.extend({ type: z.literal('row') })])),
})

/** Units of Grafana's that the dashboards use; a wrong one is shown as a bare suffix. */
const UNITS = ['none', 'short', 'percentunit', 'percent', 's', 'reqps', 'cps']
const PANELS = ['stat', 'bargauge', 'timeseries', 'status-history', 'table']

const { recordings } = readRules()
const boards = ['edge', 'claw'].map((name) => {
  const dashboard = Dashboard.parse(JSON.parse(readFileSync(deployed(`grafana/${name}.json`), 'utf8')))
  const graphs = dashboard.panels.filter((panel): panel is z.infer<typeof Graph> => panel.type !== 'row')
  return { name, dashboard, graphs, queries: graphs.flatMap((graph) => graph.targets) }
})

/** A query as Prometheus gets it, with everything selected and the interval of a scrape every 15 s. */
const sent = (expr: string) => expr.replaceAll('$__rate_interval', '1m').replace(/\$(?:service|region|job)\b/g, '.*')

let series: Series[] = []
before(async (t) => {
  series = [...edgeSeries(), ...(await clawSeries(t as TestContext))]
})

/** Exported series, and those that Prometheus makes of them by the shipped rules. */
function known(): Map<string, Set<string>> {
  const all = labelsOf(series)
  for (const { record } of recordings) all.set(record, new Set(['region', 'service']))
  return all.set('ALERTS', new Set(['alertname', 'alertstate', 'severity', 'region', 'service']))
}

test('there are these two dashboards and nothing else, each with its own name', () => {
  assert.deepEqual(readdirSync(deployed('grafana')).sort(), ['claw.json', 'edge.json'])
  assert.deepEqual(
    boards.map(({ dashboard }) => [dashboard.uid, dashboard.title]),
    [
      ['claw-edge', 'OpenClaw edge'],
      ['claw-self', 'Claw'],
    ],
  )
  for (const { dashboard } of boards) assert.ok(dashboard.tags.includes('claw'), 'the link between them goes by tag')
})

for (const { name, dashboard, graphs, queries } of boards) {
  test(`${name}: panels are laid out without overlap or gap, and their ids differ`, () => {
    assert.equal(new Set(dashboard.panels.map((panel) => panel.id)).size, dashboard.panels.length)
    const cells = new Set<string>()
    for (const { title, gridPos } of dashboard.panels) {
      assert.ok(gridPos.x + gridPos.w <= 24, title)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          assert.ok(!cells.has(`${x} ${y}`), `${title} lies on another panel`)
          cells.add(`${x} ${y}`)
        }
      }
    }
    const height = Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h))
    assert.equal(cells.size, 24 * height)
  })

  test(`${name}: titles differ, kinds and units are Grafana's, thresholds rise`, () => {
    assert.equal(new Set(dashboard.panels.map((panel) => panel.title)).size, dashboard.panels.length)
    for (const { title, type, fieldConfig } of graphs) {
      assert.ok(PANELS.includes(type), `${title}: ${type}`)
      assert.ok(UNITS.includes(fieldConfig.defaults.unit), `${title}: ${fieldConfig.defaults.unit}`)
      const [base, ...others] = fieldConfig.defaults.thresholds.steps.map((step) => step.value)
      assert.equal(base, null, `${title}: the first threshold is the base`)
      assert.deepEqual(
        others,
        [...others].sort((a, b) => Number(a) - Number(b)),
        title,
      )
    }
  })

  test(`${name}: every metric and label of every query is exported`, () => {
    const exported = known()
    for (const { expr, legendFormat } of queries) {
      const reads = readsOf(sent(expr))
      assert.ok(reads.selectors.length > 0, expr)
      assert.deepEqual(missingFrom(exported, reads), [], expr)
      for (const [, label = ''] of legendFormat.matchAll(/\{\{\s*(\w+)\s*\}\}/g)) {
        const shown =
          reads.grouping.length > 0 ? reads.grouping : [...(exported.get(reads.selectors[0]?.metric ?? '') ?? [])]
        assert.ok(shown.includes(label), `the legend names ${label}, which ${expr} does not answer`)
      }
    }
  })

  test(`${name}: variables are defined, used, and read what is exported`, () => {
    const exported = known()
    const [datasource, ...others] = dashboard.templating.list
    assert.deepEqual(
      [datasource?.name, datasource?.type, datasource?.query],
      ['datasource', 'datasource', 'prometheus'],
    )
    const used = new Set(queries.flatMap(({ expr }) => [...expr.matchAll(/\$(\w+)/g)].map((match) => match[1] ?? '')))
    used.delete('__rate_interval')
    assert.deepEqual([...used].sort(), others.map((one) => one.name).sort())
    for (const { definition = '' } of others) {
      const [, selector = '', label = ''] = /^label_values\((.+), (\w+)\)$/.exec(definition) ?? []
      const reads = readsOf(sent(selector))
      assert.deepEqual(missingFrom(exported, { ...reads, grouping: [label] }), [], definition)
    }
  })

  test(`${name}: every query is filtered by every variable, so that a choice changes the whole page`, () => {
    const names = dashboard.templating.list.slice(1).map((one) => one.name)
    for (const { expr } of queries) {
      for (const { metric, labels } of readsOf(sent(expr)).selectors) {
        for (const variable of names) assert.ok(labels.includes(variable), `${metric} by ${variable}: ${expr}`)
      }
    }
  })

  test(`${name}: a gauge that every replica reads from the store is not added up over replicas`, () => {
    const shared = /claw_(?:incidents|delivery_pending|dead_letters|heartbeat_age_seconds)\b/
    for (const { expr } of queries.filter((query) => shared.test(query.expr))) {
      assert.match(expr, /\bmax(?: by \([^)]*\))? ?\(claw_/, expr)
    }
  })
}

test('every query gives an answer in Prometheus, from what is exported and the shipped rules', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'claw-grafana-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const steps = new Map<string, number[]>()
  for (const { name, labels } of series) {
    if (labels.le !== undefined)
      steps.set(name, [...(steps.get(name) ?? []), Number(labels.le.replace('+Inf', 'Infinity'))])
  }
  const valuesOf = ({ name, labels }: Series): string => {
    if (name === 'openclaw_token_bucket_available') return '0.01+0x120'
    // a bucket of a histogram holds what the ones below it hold
    const below = (steps.get(name) ?? []).filter((le) => le < Number(labels.le?.replace('+Inf', 'Infinity')))
    return `1+${new Set(below).size + 1}x120`
  }
  const test = {
    rule_files: [deployed('prometheus/claw.rules.yaml')],
    evaluation_interval: '15s',
    tests: [
      {
        interval: '15s',
        input_series: series.map((one) => ({
          series: `${one.name}{${Object.entries(one.labels).map(([key, value]) => `${key}="${value}"`)}}`,
          values: valuesOf(one),
        })),
        promql_expr_test: boards
          .flatMap(({ queries }) => queries)
          .map(({ expr }) => ({
            expr: `count(${sent(expr)}) > bool 0`,
            eval_time: '25m',
            exp_samples: [{ labels: '{}', value: 1 }],
          })),
      },
    ],
  }
  const file = join(folder, 'queries.test.yaml')
  writeFileSync(file, JSON.stringify(test))
  const done = run('promtool', ['test', 'rules', file])
  if (!done) return t.skip(skipped('promtool'))
  assert.equal(done.code, 0, done.output)
})
