import type { Parsed } from './config.ts'
import { parseConfig } from './config.ts'
import type { Problem } from './problems.ts'
import { ConfigError, problemText } from './problems.ts'
import type { Sources } from './yaml.ts'

export type CheckResult =
  | { ok: true; parsed: Parsed; problems: readonly Problem[]; text: string }
  | { ok: false; parsed: null; problems: readonly Problem[]; text: string }

/**
 * Checks a configuration without starting anything. `text` is for people: one line per mistake, as
 * `claw.yaml:12:5: receiver "critcal" does not exist; did you mean "critical"?`, or one line that says what was found.
 */
export function checkConfig(text: string, options: Sources & { path?: string }): CheckResult {
  const file = options.path ?? 'claw.yaml'
  try {
    const parsed = parseConfig(text, options)
    const count = (n: number, noun: string) => `${n} ${noun}${n === 1 ? '' : 's'}`
    const { receivers, inhibitRules, severities } = parsed.policy
    const summary = `${count(receivers.size, 'receiver')}, ${count(countRoutes(parsed.policy.route), 'route')}, ${count(severities.length, 'severity rule')}, ${count(inhibitRules.length, 'inhibit rule')}`
    return { ok: true, parsed, problems: [], text: `${file}: ok (${summary})` }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const { problems } = error
    return { ok: false, parsed: null, problems, text: problems.map((one) => problemText(file, one)).join('\n') }
  }
}

function countRoutes(route: Parsed['policy']['route']): number {
  return route.routes.reduce((total, child) => total + countRoutes(child), 1)
}
