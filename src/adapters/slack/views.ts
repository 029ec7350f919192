import { z } from 'zod'
import type { Reply } from '../../core/command.ts'
import type { IncidentView } from '../../core/view.ts'
import { type Address, readAddress } from './answer.ts'
import { actionsBlock } from './buttons.ts'
import type { View } from './client.ts'
import { entities, escapePlain } from './escape.ts'
import { LIMITS } from './limits.ts'
import { context, cutMrkdwn, section, splitLines } from './message.ts'

export const CONFIRM = 'claw:confirm'
/** block_id and action_id of the note in the confirmation */
export const NOTE = 'claw:note'
/** Not a command: shows App Home anew. */
export const REFRESH = 'claw-home:refresh'

const Question = z.object({
  text: z.string().min(1),
  incident: z.number().nullable(),
  user: z.string(),
  address: z.unknown().transform((value, issues): Address => {
    const address = readAddress(value)
    if (address === null) issues.addIssue('not an address')
    return (
      address ?? { responseUrl: null, channel: null, user: '', thread: null, inThread: false, aloud: false, at: null }
    )
  }),
  at: z.number(),
})

/** What a confirmation carries along: the command and where its answer goes. Comes back signed by Slack. */
export type Question = z.infer<typeof Question>

export function readQuestion(metadata: unknown): Question | null {
  if (typeof metadata !== 'string') return null
  try {
    return Question.parse(JSON.parse(metadata))
  } catch {
    return null
  }
}

/**
 * A modal that says exactly what will happen, or null when it cannot carry the command whole.
 * @param notable whether the command takes a note at its end
 */
export function confirmView(question: Question, preview: Reply, notable: boolean, problem?: string): View | null {
  const metadata = JSON.stringify(question)
  if (metadata.length > LIMITS.privateMetadata) return null
  const said = [`*${escapePlain(preview.summary) || 'Run this command?'}*`, ...preview.lines.map(escapePlain)]
  return {
    type: 'modal',
    callback_id: CONFIRM,
    private_metadata: metadata,
    title: plain('Please confirm'),
    submit: plain('Confirm'),
    close: plain('Cancel'),
    blocks: [
      ...(problem === undefined ? [] : section(`:warning: ${escapePlain(problem)}`)),
      ...splitLines(said.map((line) => cutMrkdwn(line, 1_000)).join('\n'), 2_900)
        .slice(0, 10)
        .flatMap(section),
      ...context(cutMrkdwn(`This runs: ${escapePlain(question.text)}`, 2_000)),
      ...(notable ? [noteInput()] : []),
    ],
  }
}

function noteInput(): object {
  return {
    type: 'input',
    block_id: NOTE,
    optional: true,
    label: plain('Note for the others'),
    element: { type: 'plain_text_input', action_id: NOTE, multiline: false, max_length: LIMITS.note },
  }
}

/** A modal that only says something; Slack closes it by its one button. */
export function sayingView(text: string): View {
  return { type: 'modal', title: plain('Claw'), close: plain('Close'), blocks: section(escapePlain(text)) }
}

/** Incidents in App Home; two blocks each, so they stay far below 100 blocks. */
const HOME_INCIDENTS = 20

/** App Home: what is open, with its buttons. `now` in ms. */
export function homeView(incidents: readonly IncidentView[], now: number): View {
  const shown = incidents.slice(0, HOME_INCIDENTS)
  const left = incidents.length - shown.length
  const count = incidents.length === 0 ? 'No open incidents' : `${incidents.length} open`
  return home([
    { type: 'header', text: plain(`Incidents: ${count}`) },
    ...shown.flatMap((incident) => [
      ...section(incidentText(incident)),
      ...actionsBlock(incident.actions, `claw:${incident.id}`.slice(0, 255)),
    ]),
    ...(left > 0 ? section(`… ${left} more: /claw incidents`) : []),
    ...context(`As of ${new Date(now).toISOString().slice(11, 19)} UTC. /claw help lists what can be asked.`),
    {
      type: 'actions',
      block_id: REFRESH,
      elements: [{ type: 'button', action_id: REFRESH, text: plain('Refresh'), value: 'refresh' }],
    },
  ])
}

/** App Home for somebody who may not look, or while nobody can: what, and what to do. */
export function homeNotice(summary: string, lines: readonly string[]): View {
  const text = [`*${escapePlain(summary)}*`, ...lines.map(escapePlain)].join('\n')
  return home(section(cutMrkdwn(text, LIMITS.sectionText)))
}

function home(blocks: unknown[]): View {
  return { type: 'home', blocks: blocks.slice(0, LIMITS.viewBlocks) }
}

function incidentText(incident: IncidentView): string {
  const title = `*${cutMrkdwn(escapePlain(incident.headline) || `Incident ${incident.id}`, 500)}*`
  const since = `${new Date(incident.openedAt).toISOString().slice(0, 16).replace('T', ' ')} UTC`
  const state =
    incident.state === 'acknowledged'
      ? `Acknowledged by ${escapePlain(incident.acknowledgedBy ?? 'somebody')}`
      : 'Nobody has acknowledged it'
  const name = `Incident ${escapePlain(incident.id)}`
  const url = incident.incidentUrl
  const link = url !== null && !/[<>|\s]/.test(url) ? `<${entities(url)}|${name}>` : name
  return cutMrkdwn(
    [title, `${link} · since ${since} · ${cutMrkdwn(state, 200)}`, escapePlain(incident.nextStep.slice(0, 300))].join(
      '\n',
    ),
    2_900,
  )
}

function plain(text: string): { type: 'plain_text'; text: string; emoji: false } {
  return { type: 'plain_text', text, emoji: false }
}
