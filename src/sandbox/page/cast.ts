import { SLACK_BOT } from '../slack/state.ts'
import { TELEGRAM_BOT } from '../telegram/state.ts'

/** Who can act on the page, by the ids that src/sandbox/config.ts links to each other. `pagerduty`: user id. */
export const PEOPLE = [
  { id: 'dana', name: 'Dana', role: 'commander', slack: 'U0DANA', telegram: 4711, pagerduty: 'PDANA01' },
  { id: 'robin', name: 'Robin', role: 'commander', slack: 'U0ROBIN', telegram: 4712, pagerduty: 'PROBIN1' },
] as const

export type Person = (typeof PEOPLE)[number]

/** Where src/sandbox/config.ts sends what. */
export const CHANNELS = [
  { id: 'C0CRITICAL', name: 'incident-critical', topic: 'P1: users feel it' },
  { id: 'C0HIGH', name: 'incident-high', topic: 'P2: answer within 15 minutes' },
  { id: 'C0ALERTS', name: 'alerts', topic: 'everything else, and what a page could not reach' },
  { id: 'C0LEADS', name: 'eng-leads', topic: 'told when automation gives up' },
] as const

export const GROUP = { id: -1001, title: 'On-call group' } as const

/** PagerDuty's account of the two, first level first. */
export const ON_CALL_USERS = [
  { id: 'PDANA01', name: 'Dana', email: 'dana@example.com' },
  { id: 'PROBIN1', name: 'Robin', email: 'robin@example.com' },
  { id: 'PCLAW03', name: 'Claw', email: 'claw@example.com' },
]

/** A name that people read for a Slack user id. */
export function slackName(user: string): string {
  if (user === SLACK_BOT.user) return 'Claw'
  return PEOPLE.find((person) => person.slack === user)?.name ?? user
}

/** `#incident-critical`, or whose direct conversation with Claw it is. */
export function channelName(id: string): string {
  const known = CHANNELS.find((channel) => channel.id === id)
  if (known) return `#${known.name}`
  return id.startsWith('D') ? `the direct messages of ${slackName(`U${id.slice(1)}`)}` : id
}

/** A name that people read for a Telegram user id. */
export function telegramName(user: number): string {
  if (user === TELEGRAM_BOT.id) return 'Claw'
  return PEOPLE.find((person) => person.telegram === user)?.name ?? `User ${user}`
}

export function chatName(id: number): string {
  if (id === GROUP.id) return `the ${GROUP.title.toLowerCase()}`
  return id > 0 ? `the private chat with ${telegramName(id)}` : `group ${id}`
}
