import type { FakePagerDuty } from './pagerduty.ts'
import type { FakeSlack } from './slack.ts'
import type { FakeTelegram } from './telegram.ts'

/** Channels by id, each with its messages, each with its thread; oldest first. */
export function slackState({ state }: FakeSlack): object {
  const channels = Map.groupBy(state.messages, (message) => message.channel)
  return {
    channels: [...channels].map(([id, all]) => ({
      id,
      messages: all
        .filter((message) => message.threadTs === null)
        .map((message) => ({
          ...message,
          thread: all.filter((reply) => reply.threadTs === message.ts && reply !== message),
        })),
    })),
    ephemerals: state.ephemerals.slice(-20),
  }
}

/** Chats by id, each with its messages, oldest first. */
export function telegramState({ state }: FakeTelegram): object {
  const chats = Map.groupBy(state.messages, (message) => message.chat)
  return { chats: [...chats].map(([id, messages]) => ({ id, messages })) }
}

/** Incidents and pages, oldest first, and who is on call. */
export function pagerdutyState({ state }: FakePagerDuty): object {
  return { incidents: state.incidents, pages: state.pages, on_call: state.onCall, dropped: state.dropped.length }
}
