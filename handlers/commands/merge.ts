import { z } from 'zod'
import { reply } from '../../src/core/command.ts'
import { ClawError } from '../../src/core/errors.ts'
import { type Draft, type Incident, MAX_TRACKED, tell } from '../../src/core/incident.ts'
import { raise, worse } from '../../src/core/severity.ts'
import type { AlertsMoved } from '../../src/core/store.ts'
import { resolve, type TransitionRules, worsen } from '../../src/core/transitions.ts'
import { defineCommand, incidentNow, numberArg, refuse } from './define.ts'
import { incidentData, named } from './present.ts'
import { count, line } from './text.ts'

export const merge = defineCommand({
  name: 'merge',
  aliases: [],
  usage: 'merge ID INTO',
  summary: 'two incidents are one: move the alerts of ID to INTO',
  help: "ID ends, its pages with it; its alerts, receivers and silences go on in INTO, and later resolves are counted there. It cannot be undone, so it asks back first. New alerts of ID's kind go on there too, as long as INTO may be joined.",
  parameters: [{ name: 'id', incident: true }, { name: 'into' }],
  args: z.strictObject({ id: numberArg(), into: numberArg() }),
  danger: 'confirm',
  async prepare({ id, into }, services) {
    if (id === into) throw new ClawError('invalid', 'An incident cannot be merged into itself.')
    const facts = { from: await incidentNow(services, id), to: await incidentNow(services, into) }
    const problem = facts.from && facts.to ? problemOf(facts.from, facts.to) : null
    if (problem !== null) throw new ClawError('conflict', problem)
    return facts
  },
  preview({ id, into }, { from, to }, { policy }) {
    const what = from ? named(from, policy) : `incident ${id}`
    const where = to ? named(to, policy) : `incident ${into}`
    const alerts = from ? count(from.total, 'alert') : 'alerts'
    return `Merge ${what} into ${where}: its ${alerts} and receivers go on there, incident ${id} and its pages end. This cannot be undone.`
  },
  async run(tx, { id, into }, _facts, { change, person, now, policy }) {
    if (id === into) return refuse('invalid', id, 'An incident cannot be merged into itself.')
    const found = await tx.incidents([id, into])
    const from = found.find((one) => one.id === id)
    const to = found.find((one) => one.id === into)
    if (!from || !to)
      throw new ClawError('not_found', `There is no incident ${from ? into : id}. incidents lists them.`)
    const problem = problemOf(from, to)
    if (problem !== null) return refuse('conflict', id, problem)
    const title = named(from, policy)
    const moved = await tx.moveAlerts(id, into)
    if (moved.between > 0) {
      // Thrown, so that nothing of the move stays.
      throw new ClawError(
        'conflict',
        `Alerts of incident ${id} were part of another one after ${into}: merge ${into} ${id} works instead.`,
      )
    }
    await change(tx, into, (draft, rules) => {
      absorb(draft, from, moved, rules)
      const told = `${person.name} merged ${title} into this: ${count(moved.moved, 'alert')}.`
      const louder = draft.incident.level !== to.level
      if (louder) worsen(draft, `merged with incident ${id}, now ${draft.incident.level}`)
      tell(draft, now, 'merged', louder ? `${told} Now ${draft.incident.level}.` : told, louder, person.name)
    })
    await change(tx, id, (draft) => {
      empty(draft.incident, moved)
      draft.incident.mergedInto = into
      resolve(draft, person.name, now, `Merged into incident ${into} by ${person.name}.`)
    })
    for (const silence of await tx.activeSilences()) {
      if (silence.incident === id) await tx.saveSilence({ ...silence, incident: into })
    }
    const [merged = to] = await tx.incidents([into])
    return reply(`Merged incident ${id} into ${named(merged, policy)}: ${count(moved.moved, 'alert')} moved.`, {
      lines: [`Incident ${id} is over; its pages end.`, `Next: show ${into}.`],
      data: { merged: String(id), into: incidentData(merged, policy), alerts: moved.moved },
      incident: into,
    })
  },
})

function problemOf(from: Incident, to: Incident): string | null {
  for (const one of [from, to])
    if (one.state === 'resolved') return `Incident ${one.id} is resolved: it cannot be merged.`
  if (from.synthetic !== to.synthetic) return 'A self-test cannot be merged with a real incident.'
  return null
}

/** What `from` had counts in the draft from now on, as if its alerts had joined here. */
function absorb(draft: Draft, from: Incident, moved: AlertsMoved, rules: TransitionRules): void {
  const { incident } = draft
  incident.total += moved.moved - moved.replaced
  incident.firing += from.firing
  incident.suppressed += from.suppressed
  add(incident.names, from.names)
  add(incident.regions, from.regions)
  incident.classes = [...new Set([...incident.classes, ...from.classes])]
  incident.allRegions = [...new Set([...incident.allRegions, ...from.allRegions])].slice(0, MAX_TRACKED)
  for (const one of from.receivers) {
    if (!incident.receivers.some((known) => known.name === one.name)) {
      incident.receivers.push({ name: one.name, why: `${line(one.why, 300)} (of incident ${from.id})` })
    }
  }
  for (const one of from.muted) {
    if (!incident.muted.some((known) => known.name === one.name && known.why === one.why)) incident.muted.push(one)
  }
  if (from.firing > 0) {
    // It waited to be over, and is not any more.
    incident.check = null
    incident.nextCheckAt = null
    incident.signalLost = false
    if (incident.pages.length === 0) worsen(draft, 'first page')
  }
  if (incident.baseReason === '' || worse(from.baseLevel, incident.baseLevel)) {
    incident.baseLevel = from.baseLevel
    incident.baseReason = from.baseReason
  }
  raiseTo(draft, from, rules)
}

/** The worse of the two levels, and one step more where the regions of both together ask for it. */
function raiseTo(draft: Draft, from: Incident, rules: TransitionRules): void {
  const { incident } = draft
  if (incident.levelSetBy !== null) return
  let level = from.level
  let reason = `${from.levelReason} (of incident ${from.id})`
  const regions = Object.keys(incident.regions).filter((region) => region !== '').length
  const higher = raise(incident.baseLevel)
  if (rules.raiseAtRegions > 0 && regions >= rules.raiseAtRegions && worse(higher, level)) {
    reason = `${incident.baseReason}; raised from ${incident.baseLevel}: ${regions} regions at once`
    level = higher
  }
  if (!worse(level, incident.level)) return
  incident.level = level
  incident.levelReason = reason
  draft.reroute = true
}

/** Its alerts are elsewhere; what it was stays readable. */
function empty(incident: Incident, moved: AlertsMoved): void {
  incident.total = Math.max(0, incident.total - moved.moved)
  incident.firing = 0
  incident.suppressed = 0
  incident.regions = {}
}

/** Not an assignment: a label may be called __proto__. */
function add(into: Record<string, number>, from: Record<string, number>): void {
  for (const [key, n] of Object.entries(from)) {
    const known = Object.hasOwn(into, key)
    if (!known && Object.keys(into).length >= MAX_TRACKED) continue
    const value = (known ? (into[key] ?? 0) : 0) + n
    Object.defineProperty(into, key, { value, enumerable: true, configurable: true, writable: true })
  }
}
