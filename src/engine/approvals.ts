import type { Approval } from '../core/chatops.ts'
import { type CommandContext, type CommandRequest, type CommandSpec, type Reply, reply } from '../core/command.ts'
import type { Tx } from '../core/store.ts'

export type ApprovalRules = {
  /** command to the number of other people who must agree */
  needed: Readonly<Record<string, number>>
  /** milliseconds */
  expireAfter: number
}

/** How many other people must agree before this command runs. */
export function neededFor(rules: ApprovalRules, command: string): number {
  return Object.hasOwn(rules.needed, command) ? (rules.needed[command] ?? 0) : 0
}

type Question = {
  request: CommandRequest
  spec: CommandSpec
  args: unknown
  facts: unknown
  /** the command as it will run */
  text: string
  context: CommandContext
  rules: ApprovalRules
}

/**
 * Stores the question that must be answered before a command runs: by other people where the configuration wants that, else by
 * the asker where the command is dangerous and was not confirmed.
 * @returns what to tell the asker, or null when the command may run at once
 */
export async function ask(tx: Tx, question: Question): Promise<Reply | null> {
  const { request, spec, args, facts, context, rules } = question
  const needed = neededFor(rules, spec.name)
  if (spec.harmless?.(args)) return null
  if (needed === 0 && (spec.danger === 'none' || request.confirmed)) return null
  const preview = spec.preview?.(args, facts, context) ?? `Run ${question.text}.`
  const approval: Approval = {
    id: await tx.nextApprovalId(),
    command: question.text,
    preview,
    by: context.person.name,
    via: request.via,
    incident: request.incident,
    override: request.override,
    needed,
    agreed: [],
    state: 'open',
    askedAt: context.now,
    expiresAt: context.now + rules.expireAfter,
    replyTo: request.replyTo,
  }
  await tx.saveApproval(approval)
  const name = `a${approval.id}`
  const minutes = Math.round(rules.expireAfter / 60_000)
  const who = needed === 0 ? 'Confirm it' : `${needed === 1 ? 'One other person' : `${needed} other people`} must agree`
  return reply(preview, {
    lines: [`${who}: /claw approve ${name} (or /claw deny ${name}). It expires in ${minutes} min.`],
    buttons: [
      { label: needed === 0 ? 'Confirm' : 'Approve', command: `approve ${name}`, style: 'danger' },
      { label: needed === 0 ? 'Cancel' : 'Deny', command: `deny ${name}`, style: 'plain' },
    ],
    data: { approval: name, needed, expires_at: new Date(approval.expiresAt).toISOString() },
    incident: about(question),
  })
}

/** The incident in question, so that the audit trail finds the question there: `resolve 12`, or the thread it was typed in. */
function about({ request, text }: Question): number | null {
  const named = /^\S+ #?(\d{1,9})(?= |$)/.exec(text)?.[1]
  return named === undefined ? request.incident : Number(named)
}
