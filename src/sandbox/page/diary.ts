import type { WebhookLogEntry } from '../notifier.ts'
import type { WebhookDelivery } from '../pagerduty/webhooks.ts'
import type { PdIncident, PdPage } from '../pagerduty.ts'
import type { RequestRecord } from '../recorder.ts'
import type { SlackEphemeral } from '../slack/state.ts'
import type { SlackMessage, SlackResponse, SlackView } from '../slack.ts'
import type { TelegramMessage } from '../telegram.ts'
import { channelName, chatName, slackName, telegramName } from './cast.ts'
import { alertNames, callText, cut, plain, plural } from './plain.ts'
import type { Stage } from './stage.ts'

/** One line of the recorder: who did what to whom, in plain words. `times`: how often in a row. */
export type Line = { n: number; at: number; who: string; to: string | null; text: string; times: number; kind: Kind }
/** `alert` in, `say` out, `page` wakes somebody, `act` by a person, `edge` asked or done, `world` scenario, `refused` */
export type Kind = 'alert' | 'say' | 'page' | 'act' | 'edge' | 'world' | 'refused'

const KEPT = 200
/** A line that comes again within so many lines is counted where it stands. */
const SAME_WITHIN = 6

/** What a phone shows of a message. */
const firstLine = (text: string): string => text.trim().split('\n')[0] ?? ''

export type Diary = {
  note(line: Pick<Line, 'who' | 'to' | 'text' | 'kind'>, same?: string, at?: number): void
  /** Sees what tells nobody by itself: posts of Alertmanager, calls and operations of the edge, scenarios. */
  look(): void
  /** newest first */
  lines(): Line[]
  /** what has happened since the beginning or the last reset, for the tour */
  readonly facts: Set<Fact>
  clear(): void
}
export type Fact = 'started' | 'rang' | 'acknowledged' | 'asked' | 'reconciled' | 'repaired' | 'resolved' | 'alone'

/** Listens to the whole world and writes down what happened. `automation` says whether Claw acts by itself. */
export function createDiary(stage: Stage, automation: () => 'on' | 'off' | null): Diary {
  const { clock, slack, telegram, pagerduty } = stage
  let lines: (Line & { same: string | null })[] = []
  let n = 0
  let seen = new WeakSet<object>()
  const statuses = new WeakMap<PdIncident, string>()
  const operations = new Map<string, string>()
  let scenario: string | null = null
  const facts = new Set<Fact>()

  const note: Diary['note'] = (line, same, at = clock()) => {
    const again = same === undefined ? undefined : lines.slice(0, SAME_WITHIN).find((one) => one.same === same)
    if (again) again.times += 1
    else lines = [{ ...line, n: ++n, at, times: 1, same: same ?? null }, ...lines.slice(0, KEPT - 1)]
  }

  const { events } = slack.state
  events.on('message', ({ own, user, channel, threadTs, text }: SlackMessage) => {
    const where = `${threadTs === null ? 'in' : 'in a thread of'} ${channelName(channel)}`
    if (own) note({ who: 'Claw', to: 'Slack', text: `writes ${where}: ${plain(text)}`, kind: 'say' })
    else note({ who: slackName(user), to: 'Slack', text: `writes ${where}: ${plain(text)}`, kind: 'act' })
  })
  events.on('edit', ({ channel, ts, text }: SlackMessage) => {
    const line = `updates its message in ${channelName(channel)}, silently: ${plain(text)}`
    note({ who: 'Claw', to: 'Slack', text: line, kind: 'say' }, `edit ${channel} ${ts} ${text}`)
  })
  for (const event of ['ephemeral', 'response']) {
    events.on(event, ({ user, text }: SlackEphemeral | SlackResponse) => {
      const only = slackName(user)
      note({ who: 'Claw', to: 'Slack', text: `answers ${only}, for ${only} alone to see: ${plain(text)}`, kind: 'say' })
    })
  }
  events.on('view', (view: SlackView) => {
    if (view.kind !== 'modal' || !view.open || seen.has(view)) return
    seen.add(view)
    note({ who: 'Claw', to: 'Slack', text: `asks ${slackName(view.user)} to confirm`, kind: 'say' })
  })
  telegram.state.events.on('message', ({ own, from, chat, text, silent, replyTo }: TelegramMessage) => {
    const line = `writes in ${chatName(chat)}${silent ? ', without a sound' : ''}: ${cut(firstLine(text))}`
    if (own) note({ who: 'Claw', to: 'Telegram', text: line, kind: 'say' }, silent && replyTo ? line : undefined)
    else
      note({
        who: telegramName(from),
        to: 'Telegram',
        text: `writes in ${chatName(chat)}: ${cut(firstLine(text))}`,
        kind: 'act',
      })
    if (!own && /^[/∕]/.test(text)) facts.add('asked')
  })
  telegram.state.events.on('edit', ({ chat, id, text }: TelegramMessage) => {
    const line = `updates its message in ${chatName(chat)}, silently: ${cut(firstLine(text))}`
    note({ who: 'Claw', to: 'Telegram', text: line, kind: 'say' }, `telegram ${chat} ${id} ${firstLine(text)}`)
  })
  pagerduty.state.events.on('page', ({ incident, title }: PdPage) => {
    facts.add('rang')
    const names = pagerduty.state.find(incident)?.assignees.map((user) => user.name) ?? []
    note({ who: 'PagerDuty', to: names.join(' and ') || 'nobody', text: `rings: ${cut(title)}`, kind: 'page' })
  })
  pagerduty.state.events.on('incident', (incident: PdIncident) => {
    const before = statuses.get(incident)
    statuses.set(incident, incident.status)
    if (before === incident.status || before === undefined) return
    if (incident.status === 'triggered') {
      const to = incident.assignees.map((user) => user.name).join(' and ') || 'nobody'
      return note({ who: 'PagerDuty', to, text: `rings again: ${cut(incident.title)}`, kind: 'page' })
    }
    facts.add(incident.status)
    const person = incident.status === 'resolved' ? incident.resolvedBy : incident.acknowledgedBy.at(-1)
    const verb = incident.status === 'resolved' ? 'resolves' : 'acknowledges'
    const text = `${verb} the page, so the phone is quiet: ${cut(incident.title)}`
    note({ who: person?.name ?? 'Claw', to: 'PagerDuty', text, kind: person ? 'act' : 'say' })
  })
  pagerduty.state.events.on('webhook', ({ event, statuses: answers }: WebhookDelivery) => {
    const what = event.event_type.replace(/^incident\./, '').replaceAll('_', ' ')
    const status = answers.at(-1)
    if (status === 200) return
    note({ who: 'PagerDuty', to: 'Claw', text: `tells “${what}”, answered ${status || 'nothing'}`, kind: 'refused' })
  })
  for (const [name, fake] of [
    ['Slack', slack],
    ['Telegram', telegram],
    ['PagerDuty', pagerduty],
  ] as const) {
    const refused = ({ status, name: call }: RequestRecord) => {
      if (status === null || status < 400) return
      const why = status === 429 ? 'not so fast (429); Claw waits and tries again' : `it answers ${status}`
      note({ who: name, to: 'Claw', text: `refuses ${call}: ${why}`, kind: 'refused' }, `${name} ${call} ${status}`)
    }
    fake.state.events.on('answer', refused)
  }

  function webhooks(): void {
    for (const entry of stage.alerts.log()) {
      if (seen.has(entry)) continue
      seen.add(entry)
      note(
        { who: 'Alertmanager', to: 'Claw', text: webhookText(entry), kind: 'alert' },
        undefined,
        Date.parse(entry.at),
      )
    }
  }

  function webhookText({ firing, resolved, peer, attempt, status, error }: WebhookLogEntry): string {
    const names = firing > 0 ? alertNames(stage.alerts.active()) : ''
    const parts = [
      ...(firing > 0 ? [`${plural(firing, 'alert')} firing${names}`] : []),
      ...(resolved > 0 ? [`${plural(resolved, 'alert')} resolved`] : []),
    ]
    const twin = `${peer === 2 ? ' (the twin)' : ''}${attempt > 1 ? `, attempt ${attempt}` : ''}`
    const answer = status === 200 ? 'stored on disk, answered 200' : `answered ${status ?? error ?? 'nothing'}`
    return `sends ${parts.join(' and ')}${twin}; ${answer}`
  }

  function edge(): void {
    for (const record of stage.edgeCalls()) {
      if (seen.has(record)) continue
      seen.add(record)
      note({ who: 'Claw', to: 'the edge', text: callText(record), kind: 'edge' }, undefined, Date.parse(record.at))
    }
    for (const { id, kind, state, detail } of stage.edge.operations.list().slice(-30)) {
      if (operations.get(id) === state) continue
      operations.set(id, state)
      if (state === 'running') continue
      if (state === 'succeeded') {
        if (automation() === 'off') facts.add('alone')
        else facts.add(kind === 'reconcile' ? 'reconciled' : 'repaired')
      }
      note({ who: 'The edge', to: null, text: `${kind} ${state}: ${detail}`, kind: 'edge' })
    }
  }

  return {
    note,
    facts,
    look() {
      const run = stage.running()
      const name = run === null ? null : `${run.name} ${run.started_at}`
      if (name !== scenario) {
        if (run !== null) {
          facts.add('started')
          note({ who: 'Scenario', to: null, text: `${run.name} begins: ${run.title}`, kind: 'world' })
        } else note({ who: 'Scenario', to: null, text: 'is over; the cause is gone', kind: 'world' })
        scenario = name
      }
      webhooks()
      edge()
    },
    lines: () => lines.map(({ same: _, ...line }) => line),
    clear() {
      lines = []
      facts.clear()
      seen = new WeakSet([...stage.alerts.log(), ...stage.edgeCalls()])
      scenario = null
    },
  }
}
