import type { EdgeRecord } from '../edge/api.ts'
import type { SourceAlert } from '../evaluator.ts'

const LONGEST = 160

/** One line of at most 160 characters. */
export function cut(text: string, longest = LONGEST): string {
  const line = text.replace(/\s+/g, ' ').trim()
  const chars = Array.from(line)
  return chars.length <= longest
    ? line
    : `${chars
        .slice(0, longest - 1)
        .join('')
        .trimEnd()}…`
}

/** Slack's mrkdwn as the words that people read. */
export function plain(text: string): string {
  const words = text
    .replace(/<[^<>|]*\|([^<>]*)>/g, '$1')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
  return cut(words)
}

export function plural(count: number, noun: string): string {
  return `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`
}

/** ` (LatencyHigh, WrongRefusals and 2 more)`, the watchdog left out; empty for none. */
export function alertNames(alerts: readonly SourceAlert[]): string {
  const names = [...new Set(alerts.map(({ labels }) => labels.alertname ?? '?'))].filter((name) => name !== 'Watchdog')
  if (names.length === 0) return ''
  const shown = names.slice(0, 3).join(', ')
  return names.length > 3 ? ` (${shown} and ${names.length - 3} more)` : ` (${shown})`
}

/** What a call of the edge's admin API asks for (contract.md, section 5). */
export function callText({ call, body }: EdgeRecord): string {
  const of = (body ?? {}) as Record<string, unknown>
  const by =
    typeof of.by === 'string' ? `, by ${of.by.replace(/^policy:/, 'the policy “').replace(/(“.*)$/, '$1”')}` : ''
  const regions = Array.isArray(of.regions) ? of.regions.join(' and ') || 'all regions' : ''
  const say = (text: string) => cut(`${text}${by}`, 240)
  switch (call.replace(/^.*\//, '')) {
    case 'acknowledgements':
      return say(`tells that incident ${of.incident} is acknowledged`)
    case 'reconcile':
      return say(`asks to reconcile ${regions} (${of.policy})`)
    case 'reset':
      return say(`asks to refill the bucket of ${of.region}`)
    case 'capacity':
      return say(`asks for ${of.factor} times the capacity in ${of.region}, for ${of.ttl_seconds} s`)
    case 'scale':
      return say(`asks for ${of.replicas} replicas in ${of.region}, for ${of.ttl_seconds} s`)
    case 'snapshots':
      return say(`takes a snapshot of ${regions}`)
    case 'revert':
      return say(`asks for the version before in ${of.region}`)
    case 'failover':
      return say(`asks to move the traffic of ${of.from} to ${of.to}`)
    case 'canary':
      return say(`sets the canary’s weight to ${of.weight} %`)
    default:
      return say(call)
  }
}
