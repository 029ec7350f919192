import { z } from 'zod'
import type { Approval } from '../../src/core/chatops.ts'
import { MINUTE } from '../../src/core/clock.ts'
import {
  type CommandContext,
  type PreparedApproval,
  type Reply,
  refusal,
  reply,
  words,
} from '../../src/core/command.ts'
import { tell } from '../../src/core/incident.ts'
import type { Tx } from '../../src/core/store.ts'
import { type CommandServices, defineCommand, orNull, refuse } from './define.ts'
import { count, line, timeOf } from './text.ts'

/** The asker may go on alone when nobody has answered for so long (contract.md, section 2). */
const BREAK_GLASS_AFTER = 5 * MINUTE

/** Telephones turn `--` into a dash. */
const BREAK_GLASS = /^(?:--|—|–)\s?break-glass(?:[\s=]+|$)(.*)$/is

export const questionArg = z
  .string()
  .regex(/^a?\d{1,9}$/i, 'write the number of the question, such as a7')
  .transform((text) => Number(text.replace(/^a/i, '')))

type Facts = { prepared: PreparedApproval | null; onCall: readonly string[] }

export const approve = defineCommand<{ id: number; reason?: string | null | undefined }, Facts>({
  name: 'approve',
  aliases: ['agree', 'confirm'],
  usage: 'approve aN [--break-glass "reason"]',
  summary: 'agree to what somebody asked, or confirm your own',
  help: 'Where other people must agree, the one who asked cannot; each counts once, and needs a role that may run the command, or is on call. After 5 min without an answer the one who asked may go on alone with --break-glass and a reason, which is said loudly and reviewed afterwards.',
  parameters: [{ name: 'id' }, { name: 'reason', optional: true, rest: true }],
  args: z.strictObject({
    id: questionArg,
    reason: z
      .string()
      .max(1000, 'at most 1000 characters')
      .transform((text, context) => {
        const found = BREAK_GLASS.exec(text.trim())
        if (found) return (found[1] ?? '').trim()
        context.addIssue('approve takes only --break-glass "reason" besides the number')
        return z.NEVER
      })
      .optional(),
  }),
  danger: 'none',
  async prepare({ id }, services, context) {
    const prepared = await services.approval(id)
    const command = prepared ? commandOf(prepared.approval) : ''
    return { prepared, onCall: context.may(context.person.name, command) ? [] : await onCallNames(services) }
  },
  async run(tx, { id, reason }, { prepared, onCall }, context): Promise<Reply> {
    const { person, now, may } = context
    const found = await openQuestion(tx, id, now)
    if ('ok' in found) return found
    if (!prepared) return refusal('not_found', `There is no question a${id}.`)
    const glass = reason ?? context.override
    if (found.needed === 0) {
      if (person.name !== found.by) return forbidden(found, `a${id} is ${found.by}'s to confirm, nobody else's.`)
      return told(tx, found, await prepared.grant(tx, []), context)
    }
    if (person.name === found.by) {
      const refused = alone(found, glass, now)
      return refused ?? breakGlass(tx, found, glass ?? '', prepared, context)
    }
    if (glass !== null) {
      return about(found, 'invalid', `Only ${found.by} can break the glass of a${id}; approve a${id} agrees.`)
    }
    const command = commandOf(found)
    if (!may(person.name, command) && !onCall.some((name) => name.toLowerCase() === person.name.toLowerCase())) {
      return forbidden(found, `You may not agree to a${id}: it takes a role that may run ${command}, or being on call.`)
    }
    if (found.agreed.includes(person.name))
      return about(found, 'conflict', `You agreed to a${id} already; ${missing(found)}.`)
    const agreed = [...found.agreed, person.name]
    if (agreed.length >= found.needed) return told(tx, found, await prepared.grant(tx, agreed), context)
    const kept = { ...found, agreed }
    await tx.saveApproval(kept)
    return reply(`You agreed to a${id}: ${line(found.command, 200)}. ${capital(missing(kept))}.`, {
      lines: [`It expires at ${timeOf(found.expiresAt, now)}. Next: /claw approve a${id} by somebody else.`],
      buttons: [
        { label: 'Approve', command: `approve a${id}`, style: 'danger' },
        { label: 'Deny', command: `deny a${id}`, style: 'plain' },
      ],
      data: dataOf(kept),
      incident: found.incident,
    })
  },
})

/** Names of those on call; none when PagerDuty cannot be asked. */
async function onCallNames(services: CommandServices): Promise<string[]> {
  return ((await orNull(services.onCall())) ?? []).map((one) => one.name)
}

/** The command that a question is about, e.g. `failover`. */
export function commandOf(approval: Approval): string {
  return words(approval.command)[0] ?? ''
}

/** The question as it stands in this transaction, or why it cannot be answered any more; marks it when its time is over. */
export async function openQuestion(tx: Tx, id: number, now: number): Promise<Approval | Reply> {
  const approval = await tx.approval(id)
  if (!approval) return refusal('not_found', `There is no question a${id}.`)
  const again = [`Ask again: /claw ${line(approval.command, 200)}`]
  if (approval.state === 'open' && now >= approval.expiresAt) {
    await tx.saveApproval({ ...approval, state: 'expired' })
    return about(
      approval,
      'conflict',
      `a${id} expired at ${timeOf(approval.expiresAt, now)}; nothing was changed.`,
      again,
    )
  }
  if (approval.state === 'granted') return about(approval, 'conflict', `a${id} was granted already: it ran.`)
  if (approval.state === 'denied') return about(approval, 'conflict', `a${id} was denied; it did not run.`, again)
  if (approval.state === 'expired') return about(approval, 'conflict', `a${id} expired; it did not run.`, again)
  return approval
}

export function about(
  approval: Approval,
  code: Parameters<typeof refusal>[0],
  summary: string,
  lines: string[] = [],
): Reply {
  const refused =
    approval.incident === null ? refusal(code, summary, lines) : refuse(code, approval.incident, summary, lines)
  return { ...refused, data: dataOf(approval) }
}

function forbidden(approval: Approval, summary: string): Reply {
  return about(approval, 'forbidden', summary)
}

export function dataOf(approval: Approval) {
  return {
    approval: `a${approval.id}`,
    command: approval.command,
    by: approval.by,
    state: approval.state,
    needed: approval.needed,
    agreed: [...approval.agreed],
  }
}

const capital = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1)

function missing(approval: Approval): string {
  const left = approval.needed - approval.agreed.length
  return `${count(left, 'more person', 'more people')} must agree`
}

/** Why the asker cannot go on alone; null when the glass may be broken. */
function alone(approval: Approval, glass: string | null, now: number): Reply | null {
  const { id } = approval
  const from = approval.askedAt + BREAK_GLASS_AFTER
  const how = `/claw approve a${id} --break-glass "reason"`
  if (glass === null) {
    const hint =
      now >= from
        ? `Nobody answered in time: ${how} runs it at once, to be reviewed afterwards.`
        : `Without an answer by ${timeOf(from, now)}: ${how}.`
    return about(approval, 'forbidden', `You asked for a${id} yourself: ${missing(approval)}.`, [hint])
  }
  if (glass === '') return about(approval, 'invalid', `Breaking the glass needs a reason: ${how}.`)
  if (now < from) {
    return about(
      approval,
      'conflict',
      `The glass of a${id} can be broken from ${timeOf(from, now)} on, if nobody answers.`,
    )
  }
  return null
}

async function breakGlass(
  tx: Tx,
  approval: Approval,
  reason: string,
  prepared: PreparedApproval,
  context: CommandContext,
): Promise<Reply> {
  const { person, now, change } = context
  const answer = await prepared.grant(tx, approval.agreed)
  if (!answer.ok) return told(tx, approval, answer, context)
  const incident = answer.incident ?? approval.incident
  const loud = `BREAK-GLASS: ${person.name} ran "${line(approval.command, 200)}" without the agreement of another person: ${line(reason, 300)}`
  if (incident !== null) await change(tx, incident, (draft) => tell(draft, now, 'break_glass', loud, true, person.name))
  return {
    ...answer,
    summary: loud,
    lines: [answer.summary, ...answer.lines, 'It is in the audit trail and must be reviewed afterwards.'],
    data: { ...dataOf({ ...approval, state: 'granted' }), break_glass: true, reason, result: answer.data },
    incident,
  }
}

/** What the one who agreed hears; the asker is told by the grant itself. */
async function told(tx: Tx, approval: Approval, answer: Reply, context: CommandContext): Promise<Reply> {
  const data = { ...dataOf((await tx.approval(approval.id)) ?? approval), result: answer.data }
  const incident = answer.incident ?? approval.incident
  if (approval.by === context.person.name) return { ...answer, data, incident }
  const outcome = answer.ok ? `it ran for ${approval.by}` : `but it did not run for ${approval.by}`
  return {
    ...answer,
    summary: `You agreed to a${approval.id}, ${outcome}: ${answer.summary}`,
    data,
    incident,
  }
}
