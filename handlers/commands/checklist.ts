import { z } from 'zod'
import { type ChecklistItem, PHASES, type Phase, setItem, wholeChecklist } from '../../src/core/checklist.ts'
import { type Reply, refusal, reply } from '../../src/core/command.ts'
import { ClawError } from '../../src/core/errors.ts'
import { type Incident, tell } from '../../src/core/incident.ts'
import { suggestion } from '../../src/core/suggest.ts'
import { defineCommand, numberArg, refuse } from './define.ts'
import { typedArg } from './edge.ts'
import { line, timeOf } from './text.ts'

const NOTE = 200
const OWNER = 60

/** What is asked of one phase; `act` null only shows it. */
type Asked = { phase: Phase; act: 'done' | 'skip' | 'open' | 'owner' | null; owner: string; note: string }

export const checklist = defineCommand<{ id: number; what?: Asked | undefined }>({
  name: 'checklist',
  aliases: ['runbook'],
  usage: 'checklist ID [PHASE] [done|skip|open|owner NAME] [note]',
  summary: 'the phases of the runbook: what is done, and by whom',
  help: `Phases: ${PHASES.join(', ')}. They are ticked by what happens; done, skip and open tick by hand, owner gives a phase to somebody (owner me: to you). To change one it takes a role that may run ack.`,
  parameters: [
    { name: 'id', incident: true },
    { name: 'what', optional: true, rest: true },
  ],
  args: z.strictObject({ id: numberArg(), what: typedArg(read).optional() }),
  danger: 'none',
  harmless: ({ what }) => what === undefined || what.act === null,
  async run(tx, { id, what }, _facts, { change, person, may, now }): Promise<Reply> {
    if (!what?.act) {
      const [incident] = await tx.incidents([id])
      if (!incident) throw new ClawError('not_found', `There is no incident ${id}. incidents lists them.`)
      return shown(incident, what?.phase ?? null, now)
    }
    const { phase, act } = what
    if (!may(person.name, 'ack')) {
      return {
        ...refusal('forbidden', 'You may not change the checklist: it takes a role that may run ack.'),
        incident: id,
      }
    }
    return change(tx, id, (draft) => {
      const { incident } = draft
      const before = wholeChecklist(incident.checklist, incident.openedAt).find((item) => item.phase === phase)
      const owner = /^me$/i.test(what.owner) ? person.name : what.owner
      const next = act === 'owner' ? { owner } : stateChange(act, person.name, what.note, now)
      if (
        before &&
        Object.entries(next).every(([key, value]) => key === 'at' || before[key as keyof ChecklistItem] === value)
      ) {
        return refuse('conflict', id, `${phase} of incident ${id} is so already: ${itemText(before, now)}.`)
      }
      incident.checklist = setItem(incident.checklist, phase, next)
      const text =
        act === 'owner' ? `${phase} is ${owner}'s now` : `${phase}: ${WORDS[act]}${what.note ? ` (${what.note})` : ''}`
      tell(draft, now, 'checklist', `${person.name}: ${text}.`, false, person.name)
      const answer = shown(incident, phase, now)
      return { ...answer, lines: [...answer.lines, `checklist ${id} shows all phases.`] }
    })
  },
})

const WORDS = { done: 'done', skip: 'skipped', open: 'open again' } as const

function stateChange(act: 'done' | 'skip' | 'open', by: string, note: string, now: number) {
  if (act === 'open') return { state: 'open' as const, by: null, at: null, note }
  return { state: act === 'done' ? ('done' as const) : ('skipped' as const), by, at: now, note }
}

function shown(incident: Incident, phase: Phase | null, now: number): Reply {
  const items = wholeChecklist(incident.checklist, incident.openedAt)
  const closed = items.filter((item) => item.state !== 'open')
  const next = items.find((item) => item.state === 'open')
  const one = items.find((item) => item.phase === phase)
  const data = { incident: String(incident.id), checklist: items.map(itemData) }
  if (one)
    return reply(`${one.phase} of incident ${incident.id}: ${itemText(one, now)}.`, { data, incident: incident.id })
  return reply(`Checklist of incident ${incident.id}: ${closed.length} of ${items.length} closed.`, {
    lines: [
      next
        ? `Next: ${next.phase}; /claw checklist ${incident.id} ${next.phase} done ticks it.`
        : 'All of it is closed.',
    ],
    table: {
      head: ['Phase', 'State', 'Owner', 'By', 'When', 'Note'],
      rows: items.map((item) => [
        item.phase,
        item.state,
        item.owner === null ? 'nobody' : line(item.owner, 30),
        item.by === null ? '' : line(item.by, 30),
        item.at === null ? '' : timeOf(item.at, now),
        line(item.note, 80),
      ]),
    },
    data,
    incident: incident.id,
  })
}

/** `done by Dana at 02:15 UTC, owner Dana (looks stable)` */
function itemText({ state, by, at, owner, note }: ChecklistItem, now: number): string {
  const who = by === null ? '' : ` by ${line(by, 60)}`
  const when = at === null ? '' : ` at ${timeOf(at, now)}`
  const whose = owner === null ? ', nobody owns it' : `, owner ${line(owner, 60)}`
  return `${state}${who}${when}${whose}${note ? ` (${line(note, 200).replace(/\.$/, '')})` : ''}`
}

function itemData(item: ChecklistItem) {
  return { ...item, at: item.at === null ? null : new Date(item.at).toISOString() }
}

/** `switch done looks stable`, `post-mortem owner Dana`, `detection` */
function read(text: string): Asked {
  const [first = '', second, ...rest] = text.split(/\s+/).filter((word) => word !== '')
  const phase = phaseOf(first)
  if (second === undefined) return { phase, act: null, owner: '', note: '' }
  const act = second.toLowerCase().replace(/^skipped$/, 'skip')
  const note = rest.join(' ')
  if (act === 'done' || act === 'skip' || act === 'open') {
    if (note.length > NOTE) throw new ClawError('invalid', `the note has at most ${NOTE} characters`)
    return { phase, act, owner: '', note }
  }
  if (act !== 'owner') {
    throw new ClawError('invalid', `done, skip, open or owner NAME, not ${JSON.stringify(second.slice(0, 40))}`)
  }
  if (note === '' || note.length > OWNER) throw new ClawError('invalid', 'name the owner, such as owner Dana')
  return { phase, act, owner: note, note: '' }
}

function phaseOf(typed: string): Phase {
  const name = typed.toLowerCase().replace(/^postmortem$/, 'post-mortem')
  const phase = PHASES.find((one) => one === name)
  if (phase !== undefined) return phase
  throw new ClawError(
    'invalid',
    `there is no phase ${JSON.stringify(typed.slice(0, 40))}${suggestion(name, PHASES) || ','} it is one of ${PHASES.join(', ')}`,
  )
}

/** `Checklist: detection, alerting done; next switch (Dana).`; null before anything but the detection was ticked. */
export function checklistText(incident: Incident): string | null {
  if (!incident.checklist || incident.checklist.length === 0) return null
  const items = wholeChecklist(incident.checklist, incident.openedAt)
  const closed = items.filter((item) => item.state !== 'open').map((item) => `${item.phase} ${item.state}`)
  const next = items.find((item) => item.state === 'open')
  const owner = next?.owner ? ` (${line(next.owner, 40)})` : ''
  const rest = next ? `next ${next.phase}${owner}` : 'all closed'
  return `Checklist: ${[...closed, rest].join(', ')}.`
}
