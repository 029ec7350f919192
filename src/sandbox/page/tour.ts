import type { Diary, Fact } from './diary.ts'

export type TourStep = { text: string; done: boolean }

const STEPS: readonly { text: string; when: Fact }[] = [
  {
    text: 'Press merge-bug above: a bad version goes out while traffic doubles, and buckets drift apart.',
    when: 'started',
  },
  { text: 'Watch the phone: within half a minute PagerDuty rings. A dozen alerts, one page.', when: 'rang' },
  { text: 'Press Acknowledge on the phone. Slack and Telegram say so at once.', when: 'acknowledged' },
  { text: 'Watch the edge: Claw reconciles the copies, by itself.', when: 'reconciled' },
  { text: 'They drift apart again, so Claw takes the bad version back.', when: 'repaired' },
  { text: 'Ask Claw in Slack: type /claw status and press Enter.', when: 'asked' },
  { text: 'All clear: the same message now says Resolved, and the phone is quiet.', when: 'resolved' },
  {
    text: 'Your turn: press “Leave the edge to me”, start it again, and cure it with the buttons in Slack.',
    when: 'alone',
  },
]

/** The guided tour; each step ticks itself once what it tells has happened, in whatever order. */
export function tourOf({ facts }: Diary): TourStep[] {
  return STEPS.map(({ text, when }) => ({ text, done: facts.has(when) }))
}
