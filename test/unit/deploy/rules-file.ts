import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { z } from 'zod'

const labels = z.record(z.string(), z.string())
const AlertRule = z.strictObject({
  alert: z.string(),
  expr: z.string(),
  for: z.string().optional(),
  labels,
  annotations: labels,
})
const RecordingRule = z.strictObject({ record: z.string(), expr: z.string() })
const RulesFile = z.strictObject({
  groups: z.array(
    z.strictObject({
      name: z.string(),
      interval: z.string().optional(),
      rules: z.array(z.union([AlertRule, RecordingRule])),
    }),
  ),
})

export type AlertRule = z.infer<typeof AlertRule>
export type RecordingRule = z.infer<typeof RecordingRule>

/** A file of deploy/, by its path below it. */
export function deployed(path: string): string {
  return fileURLToPath(new URL(`../../../deploy/${path}`, import.meta.url))
}

/** The shipped rules, flat and in order; `text` is the file as it is. */
export function readRules(): { text: string; alerts: AlertRule[]; recordings: RecordingRule[] } {
  const text = readFileSync(deployed('prometheus/claw.rules.yaml'), 'utf8')
  const rules = RulesFile.parse(parse(text)).groups.flatMap((group) => group.rules)
  return {
    text,
    alerts: rules.filter((rule) => 'alert' in rule),
    recordings: rules.filter((rule) => 'record' in rule),
  }
}
