import { z } from 'zod'
import { refusal, reply } from '../../src/core/command.ts'
import { defineCommand, orNull, ROWS } from './define.ts'
import { line, timeOf } from './text.ts'

export const oncall = defineCommand({
  name: 'oncall',
  aliases: ['on-call', 'who'],
  usage: 'oncall',
  summary: 'who is on call',
  help: 'Asks PagerDuty who is on call at each level of each escalation policy, and until when.',
  parameters: [],
  args: z.strictObject({}),
  danger: 'none',
  prepare: (_args, services) => orNull(services.onCall()),
  async run(_tx, _args, people, { now }) {
    if (people === null) {
      return refusal('unavailable', 'Who is on call cannot be told now: PagerDuty cannot be asked.', [
        'It takes pagerduty.api_token in claw.yaml; claw check --online tests it.',
      ])
    }
    const sorted = [...people].sort((a, b) => a.level - b.level || a.policy.localeCompare(b.policy))
    const [first] = sorted
    if (!first)
      return reply('Nobody is on call.', { lines: ['Check the schedules in PagerDuty.'], data: { on_call: [] } })
    const names = [...new Set(sorted.filter((one) => one.level === first.level).map((one) => line(one.name, 60)))]
    const more = sorted.length - ROWS
    return reply(
      `On call: ${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}.`,
      {
        lines: [...(more > 0 ? [`And ${more} more.`] : []), 'escalate ID asks them for help.'],
        table: {
          head: ['Level', 'Who', 'Policy', 'Until'],
          rows: sorted
            .slice(0, ROWS)
            .map((one) => [
              String(one.level),
              line(one.name, 40),
              line(one.policy, 40),
              one.until === null ? 'always' : timeOf(one.until, now),
            ]),
        },
        data: {
          on_call: sorted.slice(0, ROWS).map(({ level, name, policy, until }) => ({
            level,
            name,
            policy,
            until: until === null ? null : new Date(until).toISOString(),
          })),
        },
      },
    )
  },
})
