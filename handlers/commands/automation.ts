import { z } from 'zod'
import { type CommandContext, type Reply, reply } from '../../src/core/command.ts'
import { formatDuration } from '../../src/core/duration.ts'
import { ClawError } from '../../src/core/errors.ts'
import {
  AUTOMATION_KEY,
  type AutomationSwitch,
  isPolicy,
  type RemediationPolicy,
  readSwitch,
  scorecard,
} from '../../src/core/remediation.ts'
import type { Tx } from '../../src/core/store.ts'
import { defineCommand, UNRESOLVED } from './define.ts'
import { typedArg } from './edge.ts'
import { count, line, timeOf } from './text.ts'

/** Decisions of one policy that its scorecard counts. */
const LOOKED_AT = 500
const MAX_OPEN = 200

export const automation = defineCommand<{ what: 'on' | 'off' | 'status' }>({
  name: 'automation',
  aliases: ['auto'],
  usage: 'automation [on|off|status]',
  summary: 'what Claw does by itself; off stops all of it at once',
  help: 'status shows each policy with its mode, what is left of its budget and how it has done so far. off stops all policies at once, everywhere, and the operations that they have under way: no further step begins, and what was done is undone where it can be. What people started goes on. on lets them act again.',
  parameters: [{ name: 'what', optional: true }],
  args: z.strictObject({ what: typedArg(read).default('status') }),
  danger: 'none',
  harmless: ({ what }) => what !== 'on',
  // A human stop must be at hand for whoever answers the page.
  right: ({ what }) => (what === 'status' ? 'status' : what === 'off' ? 'ack' : 'automation'),
  async run(tx, { what }, _facts, context) {
    const { person, now } = context
    const before = readSwitch(await tx.meta(AUTOMATION_KEY))
    if (what === 'status') return status(tx, before, context)
    const at = before.at === 0 ? '' : ` since ${timeOf(before.at, now)} (${line(before.by, 60)})`
    if (before.state === what) {
      return reply(`Automation is ${what} already${at}; nothing was changed.`, { data: { state: what } })
    }
    await tx.setMeta(
      AUTOMATION_KEY,
      JSON.stringify({ state: what, by: person.name, at: now } satisfies AutomationSwitch),
    )
    const running = (await tx.workflows({ states: ['running'], limit: 200 })).filter((run) => isPolicy(run.by))
    const acting = context.policy.remediation.filter((policy) => policy.mode === 'automatic')
    if (what === 'on') {
      return reply('Automation is on again.', {
        lines: [
          acting.length === 0
            ? 'No policy is automatic: Claw proposes at most.'
            : `These act by themselves: ${acting.map((policy) => line(policy.name, 60)).join(', ')}.`,
          'automation off stops them at once.',
        ],
        data: { state: what },
      })
    }
    // The engine stops what begins in this very moment; this is for those that run already.
    for (const run of running) if (run.cancelledBy === null) await tx.cancelWorkflow(run.id, person.name, now)
    return reply('Automation is off: no policy acts or proposes any more.', {
      lines: [
        ...running.map((run) => `o${run.id} is being stopped: ${line(run.title, 100)}.`),
        'automation on lets them act again.',
      ],
      buttons: running
        .slice(0, 3)
        .map(({ id }) => ({ label: `Look at o${id}`, command: `operations o${id}`, style: 'plain' })),
      data: { state: what, running: running.map((run) => `o${run.id}`) },
    })
  },
})

function read(text: string): 'on' | 'off' | 'status' {
  const what = text.toLowerCase()
  if (what === 'on' || what === 'off' || what === 'status') return what
  throw new ClawError('invalid', 'say on, off or status')
}

async function status(tx: Tx, { state, by, at }: AutomationSwitch, { policy, now }: CommandContext): Promise<Reply> {
  const rows = []
  for (const one of policy.remediation) rows.push(await rowOf(tx, one, now))
  const open = await tx.listIncidents({ states: UNRESOLVED, limit: MAX_OPEN, before: null })
  const ended = open.flatMap(({ id, automationStopped }) =>
    automationStopped ? [{ id, why: automationStopped.why }] : [],
  )
  const who = at === 0 ? '' : `, set by ${line(by, 60)} at ${timeOf(at, now)}`
  return reply(`Automation is ${state}${who}: ${count(rows.length, 'policy', 'policies')}.`, {
    lines: [
      ...ended.slice(0, 5).map(({ id, why }) => `It ended for incident ${id}: ${line(why, 200)}`),
      rows.length === 0
        ? 'None is configured (remediation in claw.yaml).'
        : state === 'on'
          ? 'automation off stops all of them at once.'
          : 'automation on lets them act again.',
    ],
    table:
      rows.length === 0
        ? null
        : {
            head: ['Policy', 'Does', 'Mode', 'Budget used', 'Acted', 'Helped', 'Not', 'Shadow', 'Taken up'],
            rows: rows.map(({ one, used, card }) => [
              line(one.name, 40),
              one.action,
              one.mode,
              `${used} of ${one.budget.max} in ${formatDuration(one.budget.per)}`,
              String(card.acted),
              String(card.helped),
              String(card.notHelped),
              String(card.shadow),
              `${card.takenUp} of ${card.suggested}`,
            ]),
          },
    data: {
      state,
      by: at === 0 ? null : by,
      at: at === 0 ? null : new Date(at).toISOString(),
      policies: rows.map(({ one, used, card }) => ({
        name: one.name,
        action: one.action,
        mode: one.mode,
        budget: { used, max: one.budget.max, per: formatDuration(one.budget.per) },
        scorecard: { ...card },
      })),
      stopped_incidents: ended.map(({ id, why }) => ({ incident: String(id), why })),
    },
  })
}

async function rowOf(tx: Tx, one: RemediationPolicy, now: number) {
  const decided = await tx.remediations({ policy: one.name, limit: LOOKED_AT })
  // Counted as the policy itself counts: what it did in another mode before a reload says nothing of this one.
  const used = decided.filter((past) => past.mode === one.mode && now - past.at < one.budget.per).length
  return { one, used, card: scorecard(decided) }
}
