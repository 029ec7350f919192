import { z } from 'zod'
import { runOf } from '../../src/core/acts.ts'
import { formatDuration } from '../../src/core/duration.ts'
import { ClawError } from '../../src/core/errors.ts'
import { lastsArg } from './capacity.ts'
import { defineCommand } from './define.ts'
import { begun, inTheWay, inTime, regionNamed, SILENT, typedArg, underWay } from './edge.ts'
import { line, timeOf } from './text.ts'

const MOST = 1000

const replicasArg = typedArg((text) => {
  const replicas = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (replicas < 1 || replicas > MOST) throw new ClawError('invalid', `write how many replicas, from 1 to ${MOST}`)
  return replicas
})

type Facts = { region: string; before: number | null; silent: boolean; busy: string[]; replicas: number; lasts: number }

export const scale = defineCommand<
  { region: string; replicas?: number | undefined; duration?: number | undefined },
  Facts
>({
  name: 'scale',
  aliases: [],
  usage: 'scale REGION [REPLICAS] [DURATION]',
  summary: 'more replicas in a region for a while',
  help: 'Scales the region out, and in again when the time is over. How many and for how long is configured (actions.scale) where it is left out. It asks back first.',
  parameters: [{ name: 'region' }, { name: 'replicas', optional: true }, { name: 'duration', optional: true }],
  args: z.strictObject({
    region: z.string().min(1).max(200),
    replicas: replicasArg.optional(),
    duration: lastsArg.optional(),
  }),
  danger: 'confirm',
  async prepare({ region: typed, replicas, duration }, services) {
    const { edge, cluster, settings } = services.outside()
    if (!edge && !cluster) {
      throw new ClawError(
        'unavailable',
        'Neither edge nor cluster is configured. Add edge.url, or kubernetes.scale, to claw.yaml.',
      )
    }
    const regions = edge ? await inTime((signal) => edge.regions(signal)) : null
    const region = regionNamed(typed, regions)
    return {
      region,
      before: regions?.find((one) => one.region === region)?.replicas ?? null,
      silent: edge !== null && regions === null,
      busy: await underWay(services, [region]),
      replicas: replicas ?? settings.scale.replicas,
      lasts: duration ?? settings.scale.lasts,
    }
  },
  preview(_args, { region, before, silent, busy, replicas, lasts }, { now }) {
    const from = before === null ? 'how many it has now is unknown' : `it has ${before} now`
    const parts = [
      `Scale ${line(region, 40)} to ${replicas} replicas for ${formatDuration(lasts)}, until ${timeOf(now + lasts, now)}, then back by itself: ${from}.`,
      ...(silent ? [SILENT] : []),
      ...busy,
    ]
    return parts.join(' ')
  },
  async run(tx, _args, { region, before, replicas, lasts }, context) {
    const { run, busy } = await context.start(tx, runOf('scale', { region, replicas, lasts }))
    if (busy) return inTheWay(busy, context.now)
    const until = context.now + lasts
    return begun(run, {
      lines: [`Until ${timeOf(until, context.now)}, then back by itself.`],
      data: { replicas, before, until: new Date(until).toISOString() },
    })
  },
})
