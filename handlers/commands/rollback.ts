import { z } from 'zod'
import { INPUTS, type Inputs, runOf } from '../../src/core/acts.ts'
import { type Reply, refusal } from '../../src/core/command.ts'
import type { EdgeRegion } from '../../src/core/edge.ts'
import { ClawError } from '../../src/core/errors.ts'
import type { Reads } from '../../src/core/store.ts'
import { runName, type WorkflowRun } from '../../src/core/workflow.ts'
import { defineCommand, refuse } from './define.ts'
import { begun, inTheWay, inTime } from './edge.ts'
import { rateText } from './reset.ts'
import { line, percent, span, timeOf } from './text.ts'

/** Operations that are looked through for what can be undone, or was already. */
const LOOKED_AT = 200

type Target = { operation: number } | { incident: number }

const targetArg = z
  .string()
  .regex(/^(?:o|#)?\d{1,9}$/i, 'write an operation such as o9, or the number of an incident')
  .transform((text): Target => {
    const number = Number(text.replace(/^[o#]/i, ''))
    return /^o/i.test(text) ? { operation: number } : { incident: number }
  })

type Facts = { regions: EdgeRegion[] | null; run: WorkflowRun; undo: Inputs['rollback'] }

export const rollback = defineCommand<{ target?: Target | undefined }, Facts>({
  name: 'rollback',
  aliases: ['undo'],
  usage: 'rollback oN|ID',
  summary: 'undo a failover: clients return',
  help: "With an operation such as o9: undoes it. With an incident's number, or in its thread: its newest failover that can be undone. What a failover found before it began is put back, unless somebody changed it since. No pre-flight check refuses it. For a bad version there is revert. It asks back first.",
  parameters: [{ name: 'target', optional: true }],
  args: z.strictObject({ target: targetArg.optional() }),
  danger: 'confirm',
  async prepare({ target }, services, context) {
    const found = await find(services.reads, wanted(target, context.incident), context.now)
    if ('ok' in found)
      throw new ClawError(
        found.code === 'not_found' ? 'not_found' : 'conflict',
        [found.summary, ...found.lines].join(' '),
      )
    const { edge } = services.outside()
    return { ...found, regions: edge ? await inTime((signal) => edge.regions(signal)) : null }
  },
  preview(_args, { run, undo, regions }, { now }) {
    const name = runName(run.id)
    const moved = `${name} moved them ${span(now - (run.endedAt ?? run.startedAt))} ago, by ${line(run.by, 60)}`
    return [
      `Roll ${name} back: clients of ${line(undo.from, 40)} return from ${line(undo.to, 40)} (${moved}).`,
      ...[undo.from, undo.to].map((name) => regionText(name, regions?.find((one) => one.region === name) ?? null)),
      'What somebody else changed since is not overwritten.',
    ].join(' ')
  },
  async run(tx, { target }, _facts, context) {
    const found = await find(tx, wanted(target, context.incident), context.now)
    if ('ok' in found) return found
    const { run: undone, undo } = found
    const [incident] = undone.incident === null ? [] : await tx.incidents([undone.incident])
    const tellIn = incident && incident.state !== 'resolved' ? { incident: incident.id } : {}
    const { run, busy } = await context.start(tx, { ...runOf('rollback', undo), ...tellIn })
    if (busy) return inTheWay(busy, context.now)
    return begun(run, { data: { of: runName(undone.id) } })
  },
})

function wanted(target: Target | undefined, thread: number | null): Target {
  if (target !== undefined) return target
  if (thread !== null) return { incident: thread }
  throw new ClawError(
    'invalid',
    'Roll back what? Say rollback o9, or the number of an incident; operations lists them.',
  )
}

/** What is to be undone and how, or why not. */
async function find(
  reads: Pick<Reads, 'workflow' | 'workflows' | 'incidents'>,
  target: Target,
  now: number,
): Promise<{ run: WorkflowRun; undo: Inputs['rollback'] } | Reply> {
  if ('operation' in target) {
    const run = await reads.workflow(target.operation)
    if (!run) return refusal('not_found', `There is no operation o${target.operation}.`, ['operations lists them.'])
    const undo = await undoOf(reads, run, now)
    return typeof undo === 'string' ? { ...refusal('conflict', undo), incident: run.incident } : { run, undo }
  }
  const id = target.incident
  const [incident] = await reads.incidents([id])
  if (!incident) {
    return refusal('not_found', `There is no incident ${id}.`, [`For an operation say rollback o${id}.`])
  }
  const runs = await reads.workflows({ incident: id, limit: LOOKED_AT })
  for (const run of runs) {
    const undo = await undoOf(reads, run, now)
    if (typeof undo !== 'string') return { run, undo }
  }
  const [newest] = runs
  const why = newest ? [String(await undoOf(reads, newest, now))] : ['No operation belongs to it.']
  return refuse('conflict', id, `Nothing of incident ${id} can be rolled back.`, why)
}

/** Whether `rollback` could undo it. */
export async function undoable(reads: Pick<Reads, 'workflows'>, run: WorkflowRun): Promise<boolean> {
  return typeof (await undoOf(reads, run, 0)) !== 'string'
}

/** What a failover leaves behind: what it found, and whether clients are, or may be, where it sent them. */
const leftBehind = z.object({ expected: z.json(), moved: z.boolean() })

/** How to undo a run, or the sentence why it cannot be. */
async function undoOf(
  reads: Pick<Reads, 'workflows'>,
  run: WorkflowRun,
  now: number,
): Promise<Inputs['rollback'] | string> {
  const name = runName(run.id)
  if (run.state === 'running') {
    return `${name} is still under way (${line(run.title, 100)}): /claw cancel ${name} stops it and undoes what was done.`
  }
  if (run.kind !== 'failover') return `${name} cannot be undone: ${whyNot(run, now)}`
  const input = INPUTS.failover.safeParse(run.input)
  const left = leftBehind.safeParse(run.data)
  if (run.state !== 'succeeded' && left.data?.moved !== true) {
    return `${name} moved nobody for good, so there is nothing to undo: ${line(run.outcome ?? run.state, 300)}`
  }
  if (!input.success || !left.success) {
    return `${name} left no record of what it found, so it cannot be undone: failover with the regions the other way round moves the clients back.`
  }
  const later = await reads.workflows({ states: ['running', 'succeeded'], limit: LOOKED_AT })
  const undone = later.find(
    (one) => one.kind === 'rollback' && INPUTS.rollback.safeParse(one.input).data?.of === run.id,
  )
  if (undone) {
    return undone.state === 'running'
      ? `${name} is being rolled back already, by ${runName(undone.id)}.`
      : `${name} was rolled back already, by ${runName(undone.id)} (${line(undone.by, 60)}).`
  }
  const { from, to } = input.data
  return { of: run.id, from, to, expected: left.data.expected }
}

const WHY_NOT: Readonly<Record<string, string>> = {
  reconcile: 'copies that were merged cannot be told apart again. The snapshot taken before is kept by the edge.',
  reset: 'tokens that were handed out are spent. The snapshot taken before is kept by the edge.',
  revert: 'it went back to the version before on purpose; roll out a mended version instead.',
  'canary abort': 'begin a new rollout instead.',
  rollback: 'a failover moves the clients again.',
}

function whyNot(run: WorkflowRun, now: number): string {
  const lasts = z.object({ lasts: z.number() }).safeParse(run.input).data?.lasts
  if (lasts === undefined) return WHY_NOT[run.kind] ?? 'nothing is known that would undo it.'
  const told = z.object({ until: z.number() }).safeParse(run.data).data?.until
  const until = told ?? (run.endedAt ?? run.startedAt) + lasts
  return until > now && now > 0
    ? `it ends by itself at about ${timeOf(until, now)}.`
    : 'it ends by itself when its time is over.'
}

/** `A: healthy, bucket 96 %, 240/s are offered, 1500/s refilled.` */
function regionText(name: string, region: EdgeRegion | null): string {
  if (region === null) return `How ${line(name, 40)} is now is not known.`
  const health = region.healthy === null ? 'health unknown' : region.healthy ? 'healthy' : 'NOT HEALTHY'
  const bucket = region.bucket === null ? 'bucket unknown' : `bucket ${percent(region.bucket.ratio)}`
  return `${line(name, 40)}: ${health}, ${bucket}. ${rateText(region)}`
}
