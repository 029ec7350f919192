import { z } from 'zod'
import { type Button, type Reply, reply } from '../../src/core/command.ts'
import { ClawError } from '../../src/core/errors.ts'
import { runName, type StepRecord, type WorkflowRun } from '../../src/core/workflow.ts'
import { defineCommand, ROWS } from './define.ts'
import { undoable } from './rollback.ts'
import { count, line, span, timeOf } from './text.ts'

/** The number of an operation: `o9`, or `9`. */
export const operationArg = z
  .string()
  .regex(/^o?\d{1,9}$/i, 'write the name of an operation, such as o9; a question such as a7 is answered by deny a7')
  .transform((text) => Number(text.replace(/^o/i, '')))

export const operations = defineCommand({
  name: 'operations',
  aliases: ['ops', 'operation'],
  usage: 'operations [oN]',
  summary: 'what is being done on the edge, and what was done lately',
  help: 'Operations under way first, then those that are over, newest first. With a name such as o9: each of its steps, how it ended, and what can be done about it.',
  parameters: [{ name: 'operation', optional: true }],
  args: z.strictObject({ operation: operationArg.optional() }),
  danger: 'none',
  async run(tx, { operation }, _facts, { now }) {
    if (operation === undefined) {
      const running = await tx.workflows({ states: ['running'], limit: ROWS })
      const over = await tx.workflows({ states: ['succeeded', 'failed', 'cancelled'], limit: ROWS - running.length })
      return listOf(running, over, now)
    }
    const run = await tx.workflow(operation)
    if (!run) throw new ClawError('not_found', `There is no operation o${operation}. operations lists them.`)
    return detail(run, await undoable(tx, run), now)
  },
})

function listOf(running: readonly WorkflowRun[], over: readonly WorkflowRun[], now: number): Reply {
  const shown = [...running, ...over]
  const data = { operations: shown.map(operationData) }
  if (shown.length === 0) return reply('Nothing was ever done on the edge from here.', { data })
  const [newest] = shown
  return reply(
    running.length === 0 ? 'No operation is under way.' : `${count(running.length, 'operation')} under way.`,
    {
      lines: [`operations ${runName(newest?.id ?? 0)} shows its steps.`],
      table: {
        head: ['ID', 'What', 'State', 'Step', 'Began', 'Took', 'Who', 'Incident'],
        rows: shown.map((run) => [
          runName(run.id),
          line(run.title, 60),
          stateText(run),
          line(stepText(run), 40),
          timeOf(run.startedAt, now),
          span((run.endedAt ?? now) - run.startedAt),
          line(run.by, 30),
          run.incident === null ? 'none' : String(run.incident),
        ]),
      },
      buttons: running.slice(0, 3).map(cancelButton),
      data,
    },
  )
}

function detail(run: WorkflowRun, canUndo: boolean, now: number): Reply {
  const name = runName(run.id)
  const about = run.incident === null ? 'It belongs to no incident.' : `It is told in incident ${run.incident}.`
  const running = run.state === 'running'
  const next = running
    ? run.cancelledBy === null
      ? [`Stop it: /claw cancel ${name}.`]
      : [`${line(run.cancelledBy, 60)} stopped it: what was done is being undone where that can be.`]
    : canUndo
      ? [`Undo it: /claw rollback ${name}.`]
      : []
  const ended =
    run.endedAt === null ? '' : `, over ${timeOf(run.endedAt, now)}, after ${span(run.endedAt - run.startedAt)}`
  return reply(`${name} · ${stateText(run)} · ${line(run.title, 200)}`, {
    lines: [
      `Begun ${timeOf(run.startedAt, now)} by ${line(run.by, 60)}${ended}. ${about}`,
      ...(run.outcome === null ? [] : [line(run.outcome, 400)]),
      ...run.steps.flatMap(({ name: step, error }) =>
        error === null ? [] : [`${line(step, 60)}: ${line(error.message, 300)}`],
      ),
      ...next,
    ],
    table:
      run.steps.length === 0
        ? null
        : {
            head: ['Step', 'State', 'Began', 'Took', 'Tries'],
            rows: run.steps.slice(-2 * ROWS).map((step) => stepRow(step, now)),
          },
    buttons: [
      ...(running && run.cancelledBy === null ? [cancelButton(run)] : []),
      ...(canUndo
        ? [{ label: `Roll ${name} back`, command: `rollback ${name}`, style: 'danger' } satisfies Button]
        : []),
    ],
    data: {
      ...operationData(run),
      can_undo: canUndo,
      steps: run.steps.map((step) => ({
        name: step.name,
        state: step.state,
        attempts: step.attempts,
        started_at: new Date(step.startedAt).toISOString(),
        ended_at: step.endedAt === null ? null : new Date(step.endedAt).toISOString(),
        error: step.error?.message ?? null,
      })),
    },
    incident: run.incident,
  })
}

function stepRow(step: StepRecord, now: number): string[] {
  const took = span((step.endedAt ?? now) - step.startedAt)
  return [line(step.name, 60), step.state, timeOf(step.startedAt, now), took, String(step.attempts)]
}

function cancelButton(run: WorkflowRun): Button {
  return { label: `Cancel ${runName(run.id)}`, command: `cancel ${runName(run.id)}`, style: 'danger' }
}

/** What it does now; '' once it is over. */
export function stepText(run: WorkflowRun): string {
  if (run.state !== 'running') return ''
  return run.steps.findLast((step) => step.state === 'running')?.name ?? run.steps.at(-1)?.name ?? 'about to begin'
}

export function stateText(run: WorkflowRun): string {
  return run.state === 'running' && run.cancelledBy !== null ? 'stopping' : run.state
}

/** `o9 Fail over from A to B (switch, 2 min)` */
export function runningText(run: WorkflowRun, now: number): string {
  const step = run.cancelledBy === null ? stepText(run) : 'stopping'
  return `${runName(run.id)} ${line(run.title, 100)} (${line(step, 40)}, ${span(now - run.startedAt)})`
}

/** An operation for programs. */
export function operationData(run: WorkflowRun) {
  return {
    operation: runName(run.id),
    kind: run.kind,
    title: run.title,
    regions: [...run.regions],
    state: run.state,
    step: stepText(run),
    by: run.by,
    incident: run.incident === null ? null : String(run.incident),
    started_at: new Date(run.startedAt).toISOString(),
    ended_at: run.endedAt === null ? null : new Date(run.endedAt).toISOString(),
    cancelled_by: run.cancelledBy,
    outcome: run.outcome,
  }
}
