import { z } from 'zod'
import { SECOND } from '../../src/core/clock.ts'
import { type Button, type CommandContext, type Reply, refusal, reply } from '../../src/core/command.ts'
import type { Json } from '../../src/core/delivery.ts'
import type { EdgeAdmin, EdgeRegion } from '../../src/core/edge.ts'
import { ClawError, messageOf } from '../../src/core/errors.ts'
import { tell } from '../../src/core/incident.ts'
import type { Tx } from '../../src/core/store.ts'
import { suggestion } from '../../src/core/suggest.ts'
import { runName, type WorkflowRun } from '../../src/core/workflow.ts'
import { type CommandServices, orNull } from './define.ts'
import { line, span } from './text.ts'

// What all commands share that change the edge.

/** How long a preview waits for one answer from outside, ms. */
export const PATIENCE = 1.5 * SECOND
/** Operations under way that are looked at; more never run at once. */
export const MAX_RUNNING = 200

/** An answer from outside, or null when there is none in time: a preview says in words then what it cannot count. */
export async function inTime<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<T | null> {
  const signal = AbortSignal.timeout(PATIENCE)
  const late = new Promise<null>((resolve) => signal.addEventListener('abort', () => resolve(null), { once: true }))
  return await Promise.race([orNull(ask(signal)), late])
}

/** @throws ClawError('unavailable') when no edge is configured */
export function edgeOf(services: CommandServices): EdgeAdmin {
  const { edge } = services.outside()
  if (edge) return edge
  throw new ClawError(
    'unavailable',
    'No edge is configured, so nothing can be asked of it. Add edge.url and edge.token to claw.yaml.',
  )
}

/** The regions as the edge says now; null when it gives no answer in time. @throws ClawError('unavailable') without an edge */
export async function regionsNow(services: CommandServices): Promise<EdgeRegion[] | null> {
  const edge = edgeOf(services)
  return await inTime((signal) => edge.regions(signal))
}

/**
 * The region's name as the edge writes it, however it was typed. A silent edge leaves it as typed.
 * @throws ClawError('not_found') when the edge has no such region
 */
export function regionNamed(typed: string, regions: readonly EdgeRegion[] | null): string {
  if (regions === null) return typed
  const names = regions.map((one) => one.region)
  const found = names.find((name) => name === typed) ?? names.find((name) => name.toLowerCase() === typed.toLowerCase())
  if (found !== undefined) return found
  const list =
    names.length === 0 ? 'The edge names none.' : `Regions: ${names.map((name) => line(name, 40)).join(', ')}.`
  throw new ClawError(
    'not_found',
    `The edge has no region ${line(typed, 60)}${suggestion(typed, names) || '.'} ${list}`,
  )
}

/**
 * The regions typed, or all of the edge; none where it did not say which there are, which means all of them. A name may hold
 * blanks: the longest that the edge knows counts.
 */
export function regionsNamed(typed: readonly string[], regions: readonly EdgeRegion[] | null): string[] {
  if (typed.length === 0) return regions?.map((one) => one.region) ?? []
  const names = new Map((regions ?? []).map(({ region }) => [region.toLowerCase(), region]))
  const found = new Set<string>()
  for (let at = 0; at < typed.length; ) {
    let end = typed.length
    while (end > at + 1 && !names.has(typed.slice(at, end).join(' ').toLowerCase())) end -= 1
    found.add(regionNamed(typed.slice(at, end).join(' '), regions))
    at = end
  }
  return [...found]
}

export const SILENT = 'The edge does not answer now: neither the region nor its figures could be checked.'

/** What runs already on these regions, for a preview: sentences. */
export async function underWay(services: CommandServices, regions: readonly string[]): Promise<string[]> {
  const running = await orNull(services.reads.workflows({ states: ['running'], limit: MAX_RUNNING }))
  return (running ?? [])
    .filter((run) => regions.length === 0 || run.regions.some((region) => regions.includes(region)))
    .map((run) => `${runName(run.id)} runs there: ${line(run.title, 100)}, by ${line(run.by, 60)}.`)
}

/** The answer to a command that started something: what begins, where it is told, and how to stop it; `loud`: what was passed over. */
export function begun(
  run: WorkflowRun,
  more: { lines?: string[]; undo?: boolean; loud?: string | null; data?: { [key: string]: Json } } = {},
): Reply {
  const name = runName(run.id)
  const where =
    run.incident !== null
      ? `Progress is told in incident ${run.incident}.`
      : run.replyTo
        ? 'No open incident touches it: progress is told here.'
        : `No open incident touches it: operations ${name} shows its progress.`
  const undo = more.undo ? ` Once it is done, /claw rollback ${name} undoes it.` : ''
  const loud = more.loud ? ` ${more.loud}` : ''
  return reply(`${name} has begun: ${line(run.title, 200)}.${loud}`, {
    lines: [...(more.lines ?? []), where, `Stop it: /claw cancel ${name}.${undo}`],
    buttons: [cancelButton(run), { label: `Look at ${name}`, command: `operations ${name}`, style: 'plain' }],
    data: {
      operation: name,
      kind: run.kind,
      regions: [...run.regions],
      incident: run.incident === null ? null : String(run.incident),
      ...more.data,
    },
    incident: run.incident,
  })
}

/** Another operation has the regions: nothing was started. */
export function inTheWay(busy: WorkflowRun, now: number): Reply {
  const name = runName(busy.id)
  const summary = `${name} is in the way: ${line(busy.title, 200)}, by ${line(busy.by, 60)} since ${span(now - busy.startedAt)}. Nothing was started.`
  return {
    ...refusal('conflict', summary, [
      `Wait for it (operations ${name} shows how far it is), or stop it: /claw cancel ${name}.`,
    ]),
    buttons: [cancelButton(busy)],
    data: { busy: name },
    incident: busy.incident,
  }
}

function cancelButton(run: WorkflowRun): Button {
  const name = runName(run.id)
  return { label: `Cancel ${name}`, command: `cancel ${name}`, style: 'danger' }
}

/** Why something had better not be done; `override`: a commander may pass it with a reason. */
export type Objection = { text: string; override: boolean }

/**
 * The reason that passes objections, typed or given beside the command; null for none.
 * @throws ClawError('conflict') naming each objection and who may pass it; ClawError('forbidden') when this person may not
 */
export function passed(
  what: string,
  objections: readonly Objection[],
  typed: string | null,
  { override, person, may }: CommandContext,
): string | null {
  const reason = typed ?? override
  if (objections.length === 0) return reason
  const texts = objections.map(({ text }) => text).join(' ')
  if (objections.some((one) => !one.override)) throw new ClawError('conflict', `${what}: ${texts}`)
  if (reason === null || reason === '') {
    throw new ClawError(
      'conflict',
      `${what}: ${texts} A commander (a role that may run everything) may pass this with --override REASON.`,
    )
  }
  if (!may(person.name, '*')) {
    throw new ClawError(
      'forbidden',
      `${what}: ${texts} Only a commander (a role that may run everything) may pass this.`,
    )
  }
  return reason
}

/** The line that says loudly what was passed over. */
export function passedText(objections: readonly Objection[], by: string, reason: string | null): string | null {
  if (objections.length === 0) return null
  return `${by} passed over: ${objections.map(({ text }) => text).join(' ')} Reason: ${line(reason ?? '', 300)}`
}

/** Typed words read by `read`, whose ClawError('invalid') is what is wrong with the argument. */
export const typedArg = <T>(read: (text: string) => T) =>
  z.string().transform((text, context): T => {
    try {
      return read(text)
    } catch (error) {
      if (!(error instanceof ClawError)) throw error
      context.addIssue(messageOf(error).replace(/\.$/, ''))
      return z.NEVER
    }
  })

/** `--override REASON` behind the other arguments. */
export const overrideArg = typedArg((text) => {
  const { words, flags } = flagsOf(text, { rest: ['override'] })
  if (words.length > 0)
    throw new ClawError(
      'invalid',
      `what is ${JSON.stringify(words.join(' ').slice(0, 60))}? Only --override REASON may follow`,
    )
  return flags.override ?? null
})

/** Says in the incident, to everyone, what was passed over and why. */
export async function tellPassed(
  tx: Tx,
  run: WorkflowRun,
  loud: string | null,
  context: CommandContext,
): Promise<void> {
  if (loud === null || run.incident === null) return
  const { person, now, change } = context
  await change(tx, run.incident, (draft) => tell(draft, now, 'override', loud, true, person.name))
}

const FLAG = /^(?:--|—|–)([a-z][a-z-]*)(?:=(.*))?$/i

/**
 * Typed words with their flags taken out: `--policy P`, `--policy=P`; a flag in `rest` takes all words behind it. Telephones
 * turn `--` into a dash. @throws ClawError('invalid') for a flag that is not known or says nothing
 */
export function flagsOf(
  text: string,
  known: { one?: readonly string[]; rest?: readonly string[] },
): { words: string[]; flags: Partial<Record<string, string>> } {
  const left = text.split(/\s+/).filter((word) => word !== '')
  const words: string[] = []
  const flags: Partial<Record<string, string>> = {}
  for (let word = left.shift(); word !== undefined; word = left.shift()) {
    const found = FLAG.exec(word)
    if (!found) {
      words.push(word)
      continue
    }
    const name = (found[1] ?? '').toLowerCase()
    const all = [...(known.one ?? []), ...(known.rest ?? [])]
    if (!all.includes(name)) throw new ClawError('invalid', `there is no --${name}${suggestion(name, all)}`)
    const given = found[2] === undefined ? [] : [found[2]]
    const value = known.rest?.includes(name)
      ? [...given, ...left.splice(0)].join(' ')
      : (given[0] ?? left.shift() ?? '')
    if (value === '') throw new ClawError('invalid', `--${name} needs a value`)
    flags[name] = value
  }
  return { words, flags }
}

/** `1 200`, `-5` */
export function whole(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(?:\d{3})+$)/g, ' ')
}

/** `240 tokens more`, `1 token less`, `no token more or less` */
export function tokens(difference: number): string {
  const n = Math.round(difference)
  if (n === 0) return 'no token more or less'
  return `${whole(Math.abs(n))} ${Math.abs(n) === 1 ? 'token' : 'tokens'} ${n > 0 ? 'more' : 'less'}`
}
