import { z } from 'zod'
import { runOf } from '../../src/core/acts.ts'
import { ClawError } from '../../src/core/errors.ts'
import { gatherFailover, judgeFailover } from '../workflows/preflight.ts'
import { type CommandServices, defineCommand, orNull, UNRESOLVED } from './define.ts'
import {
  begun,
  inTheWay,
  inTime,
  type Objection,
  overrideArg,
  PATIENCE,
  passed,
  passedText,
  regionNamed,
  tellPassed,
  underWay,
} from './edge.ts'
import { line } from './text.ts'

/** Open incidents that are looked through. */
const MAX_OPEN = 500

type Facts = {
  from: string
  to: string
  objections: Objection[]
  reason: string | null
  /** what it means, with figures */
  lines: string[]
  warnings: string[]
}

type Args = { from: string; to: string; override?: string | null | undefined }

export const failover = defineCommand<Args, Facts>({
  name: 'failover',
  aliases: [],
  usage: 'failover FROM TO [--override REASON]',
  summary: 'send the clients of a region to another one',
  help: 'First the pre-flight: the target is healthy, has room for both, passes a synthetic load. Then it asks back and says whom it touches; switches, waits until the clients are seen to have moved, validates, and comes back by itself where that fails. A refusal names its reason; a commander may pass it with --override REASON. rollback undoes it later.',
  parameters: [{ name: 'from' }, { name: 'to' }, { name: 'override', optional: true, rest: true }],
  args: z.strictObject({
    from: z.string().min(1).max(200),
    to: z.string().min(1).max(200),
    override: overrideArg.optional(),
  }),
  danger: 'confirm',
  async prepare(args, services, context) {
    const outside = services.outside()
    if (!outside.traffic) {
      throw new ClawError(
        'unavailable',
        'Nothing is configured that could move clients. Add edge.url, or failover.cloudflare or failover.route53, to claw.yaml.',
      )
    }
    const { edge } = outside
    const regions = edge ? await inTime((signal) => edge.regions(signal)) : null
    const from = regionNamed(args.from, regions)
    const to = regionNamed(args.to, regions)
    if (from === to) throw new ClawError('invalid', 'A failover needs two different regions.')
    const facts = await gatherFailover(
      outside,
      { from, to, incidents: await openIn(services, to) },
      AbortSignal.timeout(PATIENCE),
    )
    const { refusals, warnings, lines } = judgeFailover(facts, outside.settings.failover)
    const objections = refusals.map(({ text, override }) => ({ text, override: override !== null }))
    const what = `No failover from ${line(from, 40)} to ${line(to, 40)}`
    const reason = passed(what, objections, args.override ?? null, context)
    return { from, to, objections, reason, lines, warnings: [...warnings, ...(await underWay(services, [from, to]))] }
  },
  preview(_args, { from, to, objections, reason, lines, warnings }, { person }) {
    const loud = passedText(objections, person.name, reason)
    return [
      `Fail over from ${line(from, 40)} to ${line(to, 40)}.`,
      ...lines.map(sentence),
      ...(loud === null ? [] : [loud]),
      ...(warnings.length > 0 ? ['Warning:', ...warnings.map(sentence)] : []),
      'It comes back by itself if the target does not hold.',
    ].join(' ')
  },
  async run(tx, _args, { from, to, objections, reason, warnings }, context) {
    const override = objections.length > 0 ? reason : null
    const { run, busy } = await context.start(tx, runOf('failover', { from, to, override }))
    if (busy) return inTheWay(busy, context.now)
    const loud = passedText(objections, context.person.name, reason)
    await tellPassed(tx, run, loud, context)
    return begun(run, {
      undo: true,
      loud,
      lines: warnings.map(sentence),
      data: { from, to, override, warnings: [...warnings] },
    })
  },
})

const sentence = (text: string): string => (/[.!?:]$/.test(text) ? text : `${text}.`)

/** Incidents that are open in the target: no reason to refuse, but somebody should know. */
async function openIn(services: CommandServices, region: string): Promise<number[]> {
  const open = await orNull(services.reads.listIncidents({ states: UNRESOLVED, limit: MAX_OPEN, before: null }))
  return (open ?? []).filter((one) => !one.synthetic && Object.hasOwn(one.regions, region)).map(({ id }) => id)
}
