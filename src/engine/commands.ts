import type { Logger } from 'pino'
import { type Access, mayRun, personOf, rolesFor } from '../core/access.ts'
import type { AuditEntry } from '../core/audit.ts'
import type { Clock } from '../core/clock.ts'
import {
  type CommandContext,
  type CommandRequest,
  type CommandSpec,
  type Inbox,
  type Person,
  type Reply,
  refusal,
  reply,
  type Services,
  words,
} from '../core/command.ts'
import type { DestinationKind } from '../core/delivery.ts'
import { ClawError, messageOf } from '../core/errors.ts'
import { draftOf } from '../core/incident.ts'
import type { Policy } from '../core/policy.ts'
import type { Store, Tx } from '../core/store.ts'
import { suggestion } from '../core/suggest.ts'
import { noTracer, type Tracer } from '../core/trace.ts'
import { type ApprovalRules, ask, neededFor } from './approvals.ts'
import { transitionRules } from './batch.ts'
import { storeDrafts } from './changes.ts'
import { incidentTouching, startRun } from './runs.ts'

export type CommandDeps = {
  store: Store
  specs: readonly CommandSpec[]
  services: Services
  access: () => Access
  policy: () => Policy
  approvals: () => ApprovalRules
  /** resolves are checked against the outside before they are believed */
  believes: () => boolean
  clock: Clock
  log: Logger
  /** something changed: wake the lanes */
  onStored: () => void
  onRun: (command: string, outcome: string) => void
  /** default: none */
  tracer?: () => Tracer
}

const PER_ROUND = 50

export type Commands = Inbox & {
  /** Takes a request, runs it and gives the answer; a repeated id gives the first answer again. */
  run(request: CommandRequest): Promise<Reply>
  /** An open question with its command ready to run, for `approve`; see Services. */
  approval: Services['approval']
  /** Runs what is waiting: after a restart, and what another replica took and did not finish. */
  tick(): Promise<void>
}

type Parsed = { spec: CommandSpec; args: unknown; text: string }

/** Who says what, may they, did they mean it; then one transaction of change, audit entry and answer. */
export function createCommands(deps: CommandDeps): Commands {
  const { store, clock, log } = deps
  const tracer = deps.tracer ?? (() => noTracer)
  const busy = new Set<string>()
  const byName = new Map<string, CommandSpec>()
  for (const spec of deps.specs) for (const name of [spec.name, ...spec.aliases]) byName.set(name, spec)

  function parse(request: CommandRequest): Parsed | Reply {
    const { name, rest } = typedOf(request.text)
    const spec = byName.get(name)
    if (!spec) {
      const shown = name.slice(0, 40)
      return refusal(
        'invalid',
        `There is no command ${JSON.stringify(shown)}${suggestion(name, byName.keys()) || '.'}`,
        ['help lists them all.'],
      )
    }
    const { raw, surplus } = assign(spec, rest, request.incident)
    if (surplus !== '') {
      return refusal('invalid', `${spec.name} does not take ${JSON.stringify(surplus.slice(0, 60))}.`, [
        `Usage: ${spec.usage}`,
      ])
    }
    const missing = spec.parameters.find((one) => !one.optional && !Object.hasOwn(raw, one.name))
    if (missing) return refusal('invalid', `${spec.name} needs ${missing.name}.`, [`Usage: ${spec.usage}`])
    const args = spec.args.safeParse(raw)
    if (!args.success) {
      const issue = args.error.issues[0]
      const why = `${issue?.path.join('.') || spec.name}: ${issue?.message ?? 'wrong'}`
      return refusal('invalid', /[.?]$/.test(why) ? why : `${why}.`, [`Usage: ${spec.usage}`])
    }
    return { spec, args: args.data, text: [spec.name, ...rest].map(quoted).join(' ') }
  }

  function contextOf(request: CommandRequest, person: Person): CommandContext {
    const access = deps.access()
    return {
      person,
      via: request.via,
      now: clock(),
      policy: deps.policy(),
      incident: request.incident,
      override: request.override,
      replyTo: request.replyTo,
      may(name, command) {
        const other = access.people.find((one) => one.name === name)
        return other !== undefined && mayRun(access, other, command)
      },
      async change(tx, id, work) {
        const [incident] = await tx.incidents([id])
        if (!incident) throw new ClawError('not_found', `There is no incident ${id}. incidents lists them.`)
        const draft = draftOf(incident)
        const trace = tracer().current()
        if (trace !== null) draft.traces = [trace]
        const result = work(draft, transitionRules(deps.policy(), deps.believes()))
        await storeDrafts(tx, [draft], deps.policy(), clock())
        return result
      },
      async start(tx, { incident, ...wanted }) {
        const reportsIn =
          incident === undefined
            ? ((await incidentTouching(tx, wanted.kind === 'failover' ? wanted.regions.slice(0, 1) : wanted.regions))
                ?.id ?? null)
            : incident
        const { via, replyTo } = request
        const trace = tracer().current()
        const traced = trace === null ? {} : { trace }
        const run = { ...wanted, incident: reportsIn, by: person.name, via, replyTo, ...traced }
        return startRun(tx, run, deps.policy(), clock())
      },
    }
  }

  function unknown(request: CommandRequest): Reply {
    const field = request.via === 'slack' || request.via === 'telegram' ? request.via : 'name'
    return refusal(
      'forbidden',
      `I do not know you yet (${request.via} ${JSON.stringify(request.user.slice(0, 60))}).`,
      [
        `Ask whoever runs Claw to add ${field}: ${request.user.slice(0, 60)} to you under people in claw.yaml, with a role.`,
      ],
    )
  }

  function forbidden(spec: CommandSpec): Reply {
    const roles = rolesFor(deps.access(), spec.name)
    const who = roles.length > 0 ? `${roles.join(' or ')} may` : 'no role may'
    return refusal('forbidden', `You may not run ${spec.name}: ${who}.`)
  }

  /** Runs to an answer; everything that it changes is stored with the answer, or not at all. */
  async function execute(request: CommandRequest): Promise<Reply> {
    const person = request.person ?? personOf(deps.access(), request.via, request.user)
    const parsed = parse(request)
    if (!person && !('spec' in parsed && parsed.spec.name === 'help'))
      return settle(request, null, '', unknown(request))
    const actor = person ?? NOBODY
    if (!('spec' in parsed)) return settle(request, actor, words(request.text)[0] ?? '', parsed)
    const { spec, args } = parsed
    if (person && !mayRun(deps.access(), person, rightOf(parsed)))
      return settle(request, actor, spec.name, forbidden(spec))
    const context = contextOf(request, actor)
    try {
      const facts = await spec.prepare?.(args, deps.services, context)
      const work = async (tx: Tx): Promise<Reply> => {
        const asked = await ask(tx, { request, spec, args, facts, text: parsed.text, context, rules: deps.approvals() })
        const answer = asked ?? (await spec.run(tx, args, facts, context))
        await conclude(tx, request, actor, spec.name, answer, asked !== null)
        return answer
      }
      return await tracer().span('store', {}, tracer().current(), () => store.write(work))
    } catch (error) {
      if (!(error instanceof ClawError) || error.code === 'internal') {
        log.error({ err: error, command: spec.name }, 'a command failed in Claw itself')
        return settle(
          request,
          actor,
          spec.name,
          refusal('unavailable', 'Claw made a mistake; it is in the log. Nothing was changed.'),
        )
      }
      if (error.code === 'unavailable' && error.cause !== undefined) throw error
      const code = isRefusal(error.code) ? error.code : 'unavailable'
      return settle(request, actor, spec.name, refusal(code, error.message))
    }
  }

  /** An answer without any change. */
  async function settle(
    request: CommandRequest,
    person: Person | null,
    command: string,
    answer: Reply,
  ): Promise<Reply> {
    await store.write((tx) => conclude(tx, request, person, command, answer, false))
    return answer
  }

  async function conclude(
    tx: Tx,
    request: CommandRequest,
    person: Person | null,
    command: string,
    answer: Reply,
    asked: boolean,
  ): Promise<void> {
    if (!(await tx.answerRequest(request.id, answer))) {
      throw new ClawError('conflict', 'This request was answered already.')
    }
    const outcome = asked ? 'asked' : answer.ok ? 'done' : answer.code === 'forbidden' ? 'forbidden' : 'refused'
    await tx.appendAudit(auditOf(request, person, command, answer, outcome))
    if (request.replyTo) await tx.addReply(request.replyTo, kindOf(request.replyTo.lane), answer, clock())
    deps.onRun(byName.has(command) ? command : 'unknown', outcome)
  }

  function auditOf(
    request: CommandRequest,
    person: Person | null,
    command: string,
    answer: Reply,
    outcome: string,
  ): AuditEntry {
    return {
      at: new Date(clock()).toISOString(),
      actor: person?.name ?? `unknown ${request.via} user ${request.user.slice(0, 100)}`,
      via: request.via,
      action: command.slice(0, 60),
      target: answer.incident === null ? '' : `incident ${answer.incident}`,
      outcome,
      detail: `${request.text.slice(0, 500)} -> ${answer.summary.slice(0, 500)}`,
    }
  }

  /** One span for a command, its preparation and its transaction; what it says to the edge and starts there goes on below it. */
  function traced(request: CommandRequest): Promise<Reply> {
    const command = byName.get(typedOf(request.text).name)?.name ?? 'unknown'
    return tracer().span(`command ${command}`, { command, via: request.via }, request.trace ?? null, async (span) => {
      const answer = await execute(request)
      span.set({ outcome: answer.code ?? 'done' })
      if (answer.incident !== null) span.set({ incident: answer.incident })
      return answer
    })
  }

  async function attempt(request: CommandRequest): Promise<Reply | null> {
    if (busy.has(request.id)) return null
    busy.add(request.id)
    try {
      const answer = await traced(request)
      deps.onStored()
      return answer
    } finally {
      busy.delete(request.id)
    }
  }

  return {
    async submit(request) {
      const fresh = await store.write((tx) => tx.addRequest(request, clock()))
      if (fresh) {
        attempt(request).catch((error) => log.warn({ err: error }, `a command waits: ${messageOf(error)}`))
      }
      return fresh
    },
    async preview(request) {
      const person = request.person ?? personOf(deps.access(), request.via, request.user)
      if (!person) return unknown(request)
      const parsed = parse(request)
      if (!('spec' in parsed)) return parsed
      const { spec, args, text } = parsed
      if (!mayRun(deps.access(), person, rightOf(parsed))) return forbidden(spec)
      if (spec.danger === 'none' || neededFor(deps.approvals(), spec.name) > 0) return null
      if (spec.harmless?.(args)) return null
      const context = contextOf(request, person)
      const facts = await spec.prepare?.(args, deps.services, context)
      return reply(spec.preview?.(args, facts, context) ?? `Run ${text}.`, { incident: request.incident })
    },
    async run(request) {
      const fresh = await store.write((tx) => tx.addRequest(request, clock()))
      if (!fresh) {
        const known = await store.request(request.id)
        if (known?.reply) return known.reply
      }
      return (await attempt(request)) ?? refusal('conflict', 'The same request is being run right now.')
    },
    async approval(id) {
      const approval = await store.approval(id)
      if (!approval) return null
      const { access } = deps
      const asker = access().people.find((person) => person.name === approval.by) ?? null
      const request: CommandRequest = {
        id: `approval:${id}`,
        via: approval.via,
        person: asker,
        user: approval.by,
        text: approval.command,
        incident: approval.incident,
        confirmed: true,
        override: approval.override,
        replyTo: approval.replyTo,
      }
      // Checked again when it runs: the asker may have lost the role since, or the command may make no sense any more.
      const parsed = parse(request)
      const refused = !asker
        ? refusal('forbidden', `${approval.by} is no longer known to Claw.`)
        : 'spec' in parsed
          ? mayRun(access(), asker, rightOf(parsed))
            ? null
            : forbidden(parsed.spec)
          : parsed
      if (refused || !asker || !('spec' in parsed)) {
        return {
          approval,
          async grant(tx) {
            await tx.saveApproval({ ...approval, state: 'denied' })
            return refused ?? refusal('invalid', 'This command cannot run any more.')
          },
        }
      }
      const { spec, args } = parsed
      const context = contextOf(request, asker)
      const facts = approval.state === 'open' ? await spec.prepare?.(args, deps.services, context) : undefined
      return {
        approval,
        async grant(tx, agreed) {
          const answer = await spec.run(tx, args, facts, context)
          await tx.saveApproval({ ...approval, state: 'granted', agreed: [...agreed] })
          await tx.appendAudit(auditOf(request, asker, spec.name, answer, answer.ok ? 'done' : 'refused'))
          // Who confirms an own question hears the outcome as the answer to that.
          if (request.replyTo && approval.needed > 0) {
            await tx.addReply(request.replyTo, kindOf(request.replyTo.lane), answer, clock())
          }
          return answer
        },
      }
    },
    async tick() {
      for (const { request } of await store.waitingRequests(PER_ROUND)) {
        await attempt(request).catch((error) => log.warn({ err: error }, `a command waits: ${messageOf(error)}`))
      }
    },
  }
}

/** The command whose right is needed. */
const rightOf = ({ spec, args }: Parsed): string => spec.right?.(args) ?? spec.name

const NOBODY: Person = { name: 'someone', roles: [], slack: null, telegram: null, pagerduty: null }

/** The lane of a platform is named after it. */
function kindOf(lane: string): DestinationKind {
  return lane.split(':')[0] as DestinationKind
}

function isRefusal(code: string): code is 'invalid' | 'forbidden' | 'not_found' | 'conflict' {
  return ['invalid', 'forbidden', 'not_found', 'conflict'].includes(code)
}

function quoted(word: string): string {
  return /[\s"\\]/.test(word) || word === '' ? JSON.stringify(word) : word
}

/** The name that a request begins with, and the words after it. */
function typedOf(text: string): { name: string; rest: string[] } {
  const [first = '', ...rest] = words(text.replace(/^\s*\/(?:claw(?:@\w+)?\b)?\s*/i, ''))
  // `/claw` alone shows what is going on now.
  return { name: first === '' ? 'status' : first.toLowerCase().replace(/@\w+$/, ''), rest }
}

/** Puts typed words to the command's parameters, in order. In an incident's thread its id may be left out. */
function assign(
  spec: CommandSpec,
  typed: readonly string[],
  incident: number | null,
): { raw: Record<string, string>; surplus: string } {
  const raw: Record<string, string> = {}
  const left = [...typed]
  for (const parameter of spec.parameters) {
    if (parameter.incident && incident !== null && !/^#?\d+$/.test(left[0] ?? '')) {
      raw[parameter.name] = String(incident)
    } else if (parameter.rest) {
      if (left.length > 0) raw[parameter.name] = left.splice(0).join(' ')
    } else {
      const word = left.shift()
      if (word !== undefined) raw[parameter.name] = parameter.incident ? word.replace(/^#/, '') : word
    }
  }
  return { raw, surplus: left.join(' ') }
}
