import { type ZodType, z } from 'zod'
import { type CommandContext, type CommandSpec, type Reply, refusal, type Services } from '../../src/core/command.ts'
import { ClawError } from '../../src/core/errors.ts'
import type { Incident } from '../../src/core/incident.ts'
import type { Tx } from '../../src/core/store.ts'

/** Rows of a list; it says how many more there are. */
export const ROWS = 20

/** States of an incident that is not over. */
export const UNRESOLVED = ['open', 'acknowledged']

/**
 * What previews ask besides the port: the incident as it is now. Where it is not offered a preview says in words what it
 * cannot count.
 */
export type CommandServices = Services

type Typed<A, F> = Omit<CommandSpec, 'args' | 'harmless' | 'right' | 'preview' | 'prepare' | 'run'> & {
  args: ZodType<A>
  harmless?: (args: A) => boolean
  right?: (args: A) => string
  preview?: (args: A, facts: F, context: CommandContext) => string
  prepare?: (args: A, services: CommandServices, context: CommandContext) => Promise<F>
  run: (tx: Tx, args: A, facts: F, context: CommandContext) => Promise<Reply>
}

/** A command with its own types, as the registry holds it: `args` come out of its own schema, `facts` of its own prepare. */
export function defineCommand<A, F = undefined>(spec: Typed<A, F>): CommandSpec {
  const { harmless, right, preview, prepare, run, ...rest } = spec
  return {
    ...rest,
    ...(harmless ? { harmless: (args) => harmless(args as A) } : {}),
    ...(right ? { right: (args) => right(args as A) } : {}),
    ...(preview ? { preview: (args, facts, context) => preview(args as A, facts as F, context) } : {}),
    ...(prepare ? { prepare: (args, services, context) => prepare(args as A, services, context) } : {}),
    run: (tx, args, facts, context) => run(tx, args as A, facts as F, context),
  }
}

/** The number of an incident or a delivery; `#12` is `12`. */
export const numberArg = (what = 'an incident') =>
  z
    .string()
    .regex(/^#?\d{1,9}$/, `write the number of ${what}, such as 12`)
    .transform((text) => Number(text.replace('#', '')))

export const TEXT_LIMIT = 1000

const text = z
  .string()
  .transform((value) => value.trim())
  .pipe(z.string().max(TEXT_LIMIT, `at most ${TEXT_LIMIT} characters`))

/** A remark that may be left out: ''. */
export const noteArg = text.default('')

/** A text that must say something. */
export const textArg = text.pipe(z.string().min(1, 'say something'))

/** `refusal` about one incident, so that the audit trail finds it there. */
export function refuse(
  code: Parameters<typeof refusal>[0],
  incident: number,
  summary: string,
  lines: string[] = [],
): Reply {
  return { ...refusal(code, summary, lines), incident }
}

/**
 * The incident as it is now, for a preview; null when nobody can be asked.
 * @throws ClawError('not_found')
 */
export async function incidentNow(services: CommandServices, id: number): Promise<Incident | null> {
  const incident = await services.incident(id)
  if (!incident) throw new ClawError('not_found', `There is no incident ${id}. incidents lists them.`)
  return incident
}

/** An answer of a service, or null when it has none: a slow or broken neighbour never spoils a command. */
export async function orNull<T>(asked: Promise<T>): Promise<T | null> {
  try {
    return await asked
  } catch {
    return null
  }
}
