import { asRecord } from '../front.ts'
import type { PdIncident } from '../pagerduty.ts'
import { SCENARIOS } from '../scenarios.ts'
import type { SlackMessage, SlackView } from '../slack.ts'
import type { TelegramMessage } from '../telegram.ts'
import type { Automation } from './automation.ts'
import { CHANNELS, GROUP, PEOPLE, slackName, telegramName } from './cast.ts'
import type { Diary } from './diary.ts'
import type { History } from './history.ts'
import { cut } from './plain.ts'
import type { Stage } from './stage.ts'
import { tourOf } from './tour.ts'

/** How much of each the page gets: it shows what is going on, not the archive. */
const SHOWN = { messages: 15, replies: 40, notes: 12, chat: 40, incidents: 12, operations: 6, lines: 80 } as const
/** PagerDuty's push shows so much of the summary on a lock screen (system.md, section 3). */
const LOCK_SCREEN = 120

/** A line that one person alone sees in Slack: what they typed, and what was answered to it. */
export type Note = { channel: string; user: string; ts: string; text: string; blocks: unknown[] | null; typed: boolean }

/** Everything that the page shows, as JSON. */
export function pageState(
  stage: Stage,
  parts: { diary: Diary; automation: Automation; history: History; typed: readonly Note[] },
): object {
  const { edge, slack, telegram, pagerduty } = stage
  const run = stage.running()
  return {
    now: edge.now(),
    claw: stage.clawUrl(),
    speed: stage.speed(),
    automation: parts.automation.state(),
    people: PEOPLE,
    scenarios: SCENARIOS.map(({ name, title, story, lasts }) => ({ name, title, story, lasts })),
    running: run && { ...run, story: SCENARIOS.find(({ name }) => name === run.name)?.story ?? '' },
    tour: tourOf(parts.diary),
    edge: {
      regions: edge.view(),
      history: parts.history.points(),
      operations: edge.operations.list().slice(-SHOWN.operations).reverse(),
      faults: edge.faults.list(),
    },
    slack: {
      channels: channelsOf(slack.state.messages),
      notes: notesOf(stage, parts.typed),
      modals: slack.state.views.filter((view) => view.kind === 'modal' && view.open).map(viewOf),
      homes: PEOPLE.flatMap(({ slack: user }) => slack.state.views.findLast(isHomeOf(user)) ?? []).map(viewOf),
    },
    telegram: { chats: chatsOf(telegram.state.messages), toasts: telegram.state.answers.slice(-3) },
    phone: {
      incidents: pagerduty.state.incidents.slice(-SHOWN.incidents).reverse().map(pageOf),
      on_call: pagerduty.state.onCall.map((id) => pagerduty.state.users.find((user) => user.id === id)?.name ?? id),
    },
    diary: parts.diary.lines().slice(0, SHOWN.lines),
  }
}

function channelsOf(all: readonly SlackMessage[]): object[] {
  const others = [...new Set(all.map(({ channel }) => channel))].filter((id) => !CHANNELS.some((one) => one.id === id))
  const direct = others.map((id) => ({ id, name: `Claw to ${slackName(`U${id.slice(1)}`)}`, topic: 'direct messages' }))
  return [...CHANNELS, ...direct].map((channel) => {
    const here = all.filter((message) => message.channel === channel.id)
    const top = here.filter((message) => message.threadTs === null).slice(-SHOWN.messages)
    const messages = top.map((message) => {
      const thread = here.filter((reply) => reply.threadTs === message.ts)
      return { ...messageOf(message), replies: thread.length, thread: thread.slice(-SHOWN.replies).map(messageOf) }
    })
    return { ...channel, messages }
  })
}

function messageOf({ ts, user, own, text, blocks, edits }: SlackMessage) {
  return { ts, name: slackName(user), own, text, blocks, edited: edits > 0 }
}

/** What single people see, oldest first; what was said aloud, everybody sees. */
function notesOf({ slack }: Stage, typed: readonly Note[]): object[] {
  const responses = slack.state.responses.map((one) => {
    const body = asRecord(one.body)
    const thread = typeof body?.thread_ts === 'string' ? body.thread_ts : null
    const { channel, user, ts, text, blocks } = one
    return { channel, user, ts, text, blocks, thread, aloud: body?.response_type === 'in_channel', typed: false }
  })
  const whispers = slack.state.ephemerals.map((one) => ({ ...one, thread: null, aloud: false, typed: false }))
  const own = typed.map((one) => ({ ...one, thread: null, aloud: false }))
  const all = [...responses, ...whispers, ...own].sort((a, b) => (a.ts < b.ts ? -1 : 1))
  return PEOPLE.flatMap(({ slack: user }) =>
    all
      .filter((one) => one.user === user || one.aloud)
      .slice(-SHOWN.notes)
      .map((one) => ({ ...one, user })),
  )
}

const isHomeOf = (user: string) => (view: SlackView) => view.kind === 'home' && view.user === user
const viewOf = ({ id, user, view, hash }: SlackView) => ({ id, user, view, hash })

function chatsOf(all: readonly TelegramMessage[]): object[] {
  const chats = [
    { id: GROUP.id, title: GROUP.title },
    ...PEOPLE.map(({ telegram: id, name }) => ({ id, title: `Claw and ${name}` })),
  ]
  return chats.map((chat) => {
    const here = all.filter((message) => message.chat === chat.id)
    return { ...chat, messages: here.slice(-SHOWN.chat).map((message) => chatMessage(message, here)) }
  })
}

function chatMessage(message: TelegramMessage, here: readonly TelegramMessage[]): object {
  const { id, from, own, text, entities, markup, replyTo, silent, at, edits } = message
  const parent = replyTo === null ? undefined : here.find((one) => one.id === replyTo)
  const quoted =
    parent === undefined ? null : { id: parent.id, name: telegramName(parent.from), text: cut(parent.text, 60) }
  const rows = asRecord(markup)?.inline_keyboard
  return {
    id,
    name: telegramName(from),
    own,
    text,
    entities,
    rows: Array.isArray(rows) ? rows : [],
    quoted,
    silent,
    at,
    edited: edits > 0,
  }
}

function pageOf(incident: PdIncident): object {
  const { incident_key: key, status, urgency, createdAt, changedAt, escalationLevel, notes, triggers } = incident
  const summary = incident.event.payload?.summary ?? incident.title
  return {
    key,
    number: incident.incident_number,
    text: Array.from(summary).slice(0, LOCK_SCREEN).join(''),
    cut: Array.from(summary).length > LOCK_SCREEN,
    status,
    urgency,
    since: createdAt,
    changed: changedAt,
    level: escalationLevel,
    to: incident.assignees.map((user) => user.name),
    by: (status === 'resolved' ? [incident.resolvedBy] : incident.acknowledgedBy).map((user) => user?.name ?? 'Claw'),
    notes: notes.length,
    triggers,
  }
}
