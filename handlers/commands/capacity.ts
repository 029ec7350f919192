import { z } from 'zod'
import { runOf } from '../../src/core/acts.ts'
import { HOUR, SECOND } from '../../src/core/clock.ts'
import { formatDuration, parseDuration } from '../../src/core/duration.ts'
import type { EdgeRegion } from '../../src/core/edge.ts'
import { ClawError } from '../../src/core/errors.ts'
import { defineCommand } from './define.ts'
import { begun, inTheWay, regionNamed, regionsNow, SILENT, typedArg, underWay, whole } from './edge.ts'
import { rateText } from './reset.ts'
import { figure, line, timeOf } from './text.ts'

const SHORTEST = SECOND
const LONGEST = 7 * 24 * HOUR
const MOST = 10

/** How long something on the edge lasts; ms. */
export const lastsArg = typedArg((text) => {
  const ms = parseDuration(text)
  if (ms < SHORTEST || ms > LONGEST) throw new ClawError('invalid', 'it lasts from 1s to 7d, such as 30m')
  return ms
})

const factorArg = typedArg((text) => {
  const factor = Number(/^x?(\d{1,4}(?:\.\d{1,4})?)x?$/i.exec(text)?.[1] ?? Number.NaN)
  if (!(factor >= 0.1 && factor <= MOST))
    throw new ClawError('invalid', `write how many times, from 0.1 to ${MOST}, such as 1.5`)
  return factor
})

type Facts = { region: string; now: EdgeRegion | null; silent: boolean; busy: string[] }

export const capacity = defineCommand<{ region: string; factor: number; duration: number }, Facts>({
  name: 'capacity',
  aliases: [],
  usage: 'capacity REGION FACTOR DURATION',
  summary: "raise a region's capacity for a while",
  help: 'FACTOR such as 1.5, DURATION such as 30m. The edge goes back by itself when the time is over. It asks back first and says from how many tokens to how many, and until when.',
  parameters: [{ name: 'region' }, { name: 'factor' }, { name: 'duration' }],
  args: z.strictObject({ region: z.string().min(1).max(200), factor: factorArg, duration: lastsArg }),
  danger: 'confirm',
  async prepare({ region: typed }, services) {
    const regions = await regionsNow(services)
    const region = regionNamed(typed, regions)
    const now = regions?.find((one) => one.region === region) ?? null
    return { region, now, silent: regions === null, busy: await underWay(services, [region]) }
  },
  preview({ factor, duration }, { region, now, silent, busy }, context) {
    const parts = [
      `Capacity of ${line(region, 40)} times ${figure(factor)} for ${formatDuration(duration)}, until ${timeOf(context.now + duration, context.now)}, then back by itself: ${fromTo(now, factor)}.`,
      silent ? SILENT : rateText(now),
      ...busy,
    ]
    return parts.join(' ')
  },
  async run(tx, { factor, duration }, { region, now }, context) {
    const { run, busy } = await context.start(tx, runOf('capacity', { region, factor, lasts: duration }))
    if (busy) return inTheWay(busy, context.now)
    const until = context.now + duration
    return begun(run, {
      lines: [`Until ${timeOf(until, context.now)}: ${fromTo(now, factor)}.`],
      data: { factor, until: new Date(until).toISOString(), capacity: now?.bucket?.capacity ?? null },
    })
  },
})

function fromTo(region: EdgeRegion | null, factor: number): string {
  const capacity = region?.bucket?.capacity ?? null
  if (capacity === null) return 'its capacity now is unknown'
  return `from ${whole(capacity)} to ${whole(capacity * factor)} tokens`
}
