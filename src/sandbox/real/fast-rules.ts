import { parseDuration } from '../../core/duration.ts'

/** How much faster time runs in the end-to-end test: the 15 s between scrapes and evaluations become 1 s. */
export const SPEED_UP = 15

const DURATION = '((?:\\d+[smhdw])+)'
const PLACES = [
  new RegExp(`^(\\s*(?:for|keep_firing_for|interval):\\s*)${DURATION}\\s*$`, 'gm'),
  new RegExp(`(\\[)${DURATION}(?=[\\]:])`, 'g'),
  new RegExp(`(\\boffset\\s+)${DURATION}`, 'g'),
]

/**
 * The rules as they are, with time running faster: every `for`, group interval, range and offset is divided by
 * `speedUp`, and nothing else changes. Since the test scrapes and evaluates that much faster too, each window holds as many
 * samples as in production and each alert needs as many evaluations; thresholds and expressions are the shipped ones.
 * `for: 2m` becomes 8 s, `for: 30s` 2 s, `[1m]` 4 s, `[5m]` 20 s.
 * @param rules text of a Prometheus rules file
 * @throws Error when a time is not a whole number of milliseconds after the division
 */
export function fasterRules(rules: string, speedUp: number = SPEED_UP): string {
  const faster = (duration: string): string => {
    const milliseconds = parseDuration(duration) / speedUp
    if (!Number.isInteger(milliseconds)) throw new Error(`${duration} divided by ${speedUp} is not whole.`)
    return `${milliseconds}ms`
  }
  return PLACES.reduce(
    (text, place) => text.replace(place, (_, before: string, duration: string) => before + faster(duration)),
    rules,
  )
}
