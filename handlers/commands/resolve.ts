import { z } from 'zod'
import { reply } from '../../src/core/command.ts'
import { ClawError } from '../../src/core/errors.ts'
import type { Incident } from '../../src/core/incident.ts'
import type { Policy } from '../../src/core/policy.ts'
import { resolveByPerson } from '../../src/core/transitions.ts'
import { defineCommand, incidentNow, noteArg, numberArg, refuse } from './define.ts'
import { incidentData, named } from './present.ts'
import { count, line, span, timeOf } from './text.ts'

export const resolve = defineCommand({
  name: 'resolve',
  aliases: ['close'],
  usage: 'resolve ID [note]',
  summary: 'it is over',
  help: 'Ends the incident everywhere, PagerDuty included. While alerts still fire Claw warns, looks again later, and reopens and pages if they still do. It asks back first.',
  parameters: [
    { name: 'id', incident: true },
    { name: 'note', optional: true, rest: true },
  ],
  args: z.strictObject({ id: numberArg(), note: noteArg }),
  danger: 'confirm',
  async prepare({ id }, services, { now }) {
    const incident = await incidentNow(services, id)
    if (incident?.state === 'resolved') throw new ClawError('conflict', over(incident, now))
    return incident
  },
  preview({ id }, incident, { policy }) {
    const what = incident ? named(incident, policy) : `incident ${id}`
    const firing = incident?.firing ?? null
    const warning =
      firing === null
        ? ` If alerts still fire, Claw looks again in ${span(policy.recheckAfterResolve)}, and reopens it and pages if they still do.`
        : firing > 0
          ? ` ${still(firing)}: Claw looks again in ${span(policy.recheckAfterResolve)}, and reopens it and pages if they still do.`
          : ' No alert fires any more.'
    return `Resolve ${what}: its pages end in PagerDuty and all its messages say resolved.${warning}`
  },
  run: (tx, { id, note }, _facts, { change, person, now, policy }) =>
    change(tx, id, (draft, rules) => {
      const { incident } = draft
      if (!resolveByPerson(draft, person.name, note, rules, now)) return refuse('conflict', id, over(incident, now))
      return reply(`Resolved ${named(incident, policy)} after ${span(now - incident.openedAt)}.`, {
        lines: incident.firing > 0 ? warningOf(incident, policy, now) : [`Next: postmortem ${id}.`],
        data: incidentData(incident, policy),
        incident: id,
      })
    }),
})

const still = (firing: number): string => `${count(firing, 'alert')} still ${firing === 1 ? 'fires' : 'fire'}`

function warningOf(incident: Incident, policy: Policy, now: number): string[] {
  const at = timeOf(now + policy.recheckAfterResolve, now)
  return [
    `${still(incident.firing)}.`,
    `Claw looks again in ${span(policy.recheckAfterResolve)} (${at}), and reopens it and pages if they still do.`,
  ]
}

function over(incident: Incident, now: number): string {
  const by = incident.resolvedBy === null ? '' : ` by ${line(incident.resolvedBy, 60)}`
  const at = incident.resolvedAt === null ? '' : ` at ${timeOf(incident.resolvedAt, now)}`
  return `Incident ${incident.id} was resolved already${by}${at}; nothing was changed.`
}
