import { z } from 'zod'
import { runOf } from '../../src/core/acts.ts'
import type { EdgeRegion } from '../../src/core/edge.ts'
import { defineCommand } from './define.ts'
import {
  begun,
  inTheWay,
  type Objection,
  overrideArg,
  passed,
  passedText,
  regionNamed,
  regionsNow,
  SILENT,
  tellPassed,
  underWay,
  whole,
} from './edge.ts'
import { figure, line, percent } from './text.ts'

/** What lies behind the limiter suffers beyond these (system.md, section 2: latency, errors). */
const SUFFERS = { errorRatio: 0.005, p95Seconds: 0.2 }

type Facts = {
  region: string
  now: EdgeRegion | null
  silent: boolean
  objections: Objection[]
  reason: string | null
  busy: string[]
}

export const reset = defineCommand<{ region: string; override?: string | null | undefined }, Facts>({
  name: 'reset',
  aliases: [],
  usage: 'reset REGION [--override REASON]',
  summary: "fill a region's bucket to 100 %",
  help: 'Takes a snapshot, fills the bucket, keeps requests in flight, and looks whether it stays filled. Refused while more is offered than is refilled, or while what lies behind the limiter suffers: then the limiter is right. A commander may pass the latter with --override REASON. It asks back first.',
  parameters: [{ name: 'region' }, { name: 'override', optional: true, rest: true }],
  args: z.strictObject({ region: z.string().min(1).max(200), override: overrideArg.optional() }),
  danger: 'confirm',
  async prepare({ region: typed, override }, services, context) {
    const regions = await regionsNow(services)
    const region = regionNamed(typed, regions)
    const now = regions?.find((one) => one.region === region) ?? null
    const objections = now === null ? [] : objectionsTo(now)
    const reason = passed(`The bucket of ${line(region, 40)} is not reset`, objections, override ?? null, context)
    return { region, now, silent: regions === null, objections, reason, busy: await underWay(services, [region]) }
  },
  preview(_args, { region, now, silent, objections, reason, busy }, { person }) {
    const loud = passedText(objections, person.name, reason)
    const parts = [
      `Reset the bucket of ${line(region, 40)} to 100 %: ${now === null ? 'its level now is unknown' : levelText(now)}. Requests in flight are kept.`,
      silent ? SILENT : rateText(now),
      ...(loud === null ? [] : [loud]),
      ...busy,
    ]
    return parts.join(' ')
  },
  async run(tx, _args, { region, now, objections, reason }, context) {
    const { run, busy } = await context.start(tx, runOf('reset', { region }))
    if (busy) return inTheWay(busy, context.now)
    const loud = passedText(objections, context.person.name, reason)
    await tellPassed(tx, run, loud, context)
    return begun(run, {
      loud,
      lines: [now === null ? 'Its level was not known.' : `Before: ${levelText(now)}.`],
      data: { ratio: now?.bucket?.ratio ?? null, override: objections.length > 0 ? reason : null },
    })
  },
})

/** Why the limiter may be right: a full bucket would let the overload through. What is unknown objects to nothing. */
function objectionsTo(region: EdgeRegion): Objection[] {
  const { requestRate, refillRate, errorRatio, p95LatencySeconds } = region
  const found: Objection[] = []
  if (requestRate !== null && refillRate !== null && requestRate > refillRate) {
    found.push({
      text: `The limiter is right: ${figure(requestRate)}/s are offered and ${figure(refillRate)}/s refilled. A full bucket would be empty again at once: use capacity or failover.`,
      override: false,
    })
  }
  if (errorRatio !== null && errorRatio > SUFFERS.errorRatio) {
    found.push({
      text: `What lies behind suffers: ${errorsText(errorRatio)} of its answers are errors.`,
      override: true,
    })
  }
  if (p95LatencySeconds !== null && p95LatencySeconds > SUFFERS.p95Seconds) {
    found.push({ text: `What lies behind is slow: p95 ${Math.round(p95LatencySeconds * 1000)} ms.`, override: true })
  }
  return found
}

const errorsText = (ratio: number): string => `${Number((ratio * 100).toPrecision(2))} %`

/** `it is at 4 % (40 of 1 000 tokens)` */
function levelText({ bucket }: EdgeRegion): string {
  if (bucket === null) return 'its level is unknown'
  const { ratio, available, capacity } = bucket
  const figures = available === null || capacity === null ? '' : ` (${whole(available)} of ${whole(capacity)} tokens)`
  return `it is at ${percent(ratio)}${figures}`
}

/** `620/s are offered, 1500/s refilled.` */
export function rateText(region: EdgeRegion | null): string {
  const { requestRate = null, refillRate = null } = region ?? {}
  if (requestRate === null && refillRate === null) return 'How much is offered and refilled is unknown.'
  const offered = requestRate === null ? 'How much is offered is unknown' : `${figure(requestRate)}/s are offered`
  return `${offered}, ${refillRate === null ? 'how much is refilled is unknown' : `${figure(refillRate)}/s refilled`}.`
}
