import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { z } from 'zod'
import { parseConfig } from '../../../src/config/index.ts'
import { goTemplates } from './gotemplate.ts'
import { type Manifest, manifestsOf } from './manifests.ts'
import { deployed } from './rules-file.ts'

export const CHART = 'helm/claw'
/** A file of the chart. */
export const read = (path: string) => readFileSync(deployed(`${CHART}/${path}`), 'utf8')
export const Values = z.record(z.string(), z.unknown())
export type Values = z.infer<typeof Values>

/** Chart.yaml */
export const chart = z
  .looseObject({ name: z.string(), version: z.string(), appVersion: z.string(), apiVersion: z.literal('v2') })
  .parse(parse(read('Chart.yaml')))
/** values.yaml */
export const defaults = Values.parse(parse(read('values.yaml')))
/** values.schema.json */
export const schema = z.fromJSONSchema(JSON.parse(read('values.schema.json')) as Parameters<typeof z.fromJSONSchema>[0])
const names = readdirSync(deployed(`${CHART}/templates`)).sort()
/** The templates by name. */
export const sources = Object.fromEntries(names.map((name) => [name, read(`templates/${name}`)]))
const templates = goTemplates(sources)

/** As Helm lays values over the chart's: maps are merged, all else replaced, null takes away. */
export function merged(base: Values, over: Values): Values {
  const out = { ...base }
  for (const [key, value] of Object.entries(over)) {
    const under = out[key]
    if (value === null) delete out[key]
    else if (isMap(value) && isMap(under)) out[key] = merged(under, value)
    else out[key] = value
  }
  return out
}

export function isMap(value: unknown): value is Values {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

export type Rendered = { manifests: Manifest[]; notes: string; text: string }

/** The chart with `over` laid over its values, which must satisfy the schema. */
export function render(over: Values = {}, release = 'claw'): Rendered {
  const values = merged(defaults, over)
  const checked = schema.safeParse(values)
  assert.ok(checked.success, checked.error?.message)
  const data = {
    Values: values,
    Chart: { Name: chart.name, Version: chart.version, AppVersion: chart.appVersion },
    Release: { Name: release, Namespace: 'alerting', Service: 'Helm' },
    Files: { Get: read },
  }
  const text = names
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => templates.render(name, data))
    .join('\n---\n')
  return { manifests: manifestsOf(text), notes: templates.render('NOTES.txt', data), text }
}

/** A configuration as Claw reads it in the pod; every secret comes from a file. @throws ConfigError */
export function accept(yaml: string): ReturnType<typeof parseConfig>['config'] {
  return parseConfig(yaml, {
    env: {},
    readFile(path) {
      assert.match(path, /^\/run\/secrets\/claw(?:-store)?\//)
      return path.endsWith('/url') ? 'postgres://claw:secret@db:5432/claw' : 'secret-value'
    },
  }).config
}
