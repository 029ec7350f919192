import { z } from 'zod'
import type { Silence } from '../../src/core/chatops.ts'
import { HOUR, MINUTE } from '../../src/core/clock.ts'
import { type Reply, reply, type Services } from '../../src/core/command.ts'
import { DURATION_PATTERN, formatDuration, parseDuration } from '../../src/core/duration.ts'
import { ClawError, messageOf } from '../../src/core/errors.ts'
import { type Incident, tell } from '../../src/core/incident.ts'
import { type Matcher, matcher, matchersText, parseMatchers, readMatchers } from '../../src/core/matchers.ts'
import type { Policy } from '../../src/core/policy.ts'
import type { Tx } from '../../src/core/store.ts'
import { defineCommand, incidentNow, noteArg, orNull, refuse, TEXT_LIMIT } from './define.ts'
import { named } from './present.ts'
import { count, line, timeOf } from './text.ts'

const SHORTEST = MINUTE
const LONGEST = 7 * 24 * HOUR

type Wanted = {
  /** the number given; null where matchers are given or the thread tells it */
  incident: number | null
  /** canonical; null for an incident */
  matchers: string | null
  duration: number
  note: string
}

type Facts = { incident: Incident | null; muted: Awaited<ReturnType<Services['matching']>> | null }

export const silence = defineCommand<{ target: Wanted }, Facts>({
  name: 'silence',
  aliases: ['mute'],
  usage: 'silence ID|MATCHERS DURATION [note]',
  summary: 'mute an incident, or what matches, for a while',
  help: 'MATCHERS as Alertmanager writes them: service="api",region="A". DURATION such as 30m, 2h or 1d, from 1 min to 7 d. With ID it mutes the regions in which the incident fires now; a region that joins later still pages. A silenced incident still resolves in PagerDuty, and its silence ends with it. It asks back first and says what it mutes; unsilence ends it.',
  parameters: [{ name: 'target', rest: true }],
  args: z.strictObject({ target: z.string().transform((text, context) => read(text, context.addIssue.bind(context))) }),
  danger: 'confirm',
  async prepare({ target }, services, context) {
    if (target.matchers !== null) {
      return { incident: null, muted: await orNull(services.matching(target.matchers)) }
    }
    const id = idOf(target, context.incident)
    const incident = await incidentNow(services, id)
    if (!incident) return { incident, muted: null }
    if (incident.state === 'resolved') throw new ClawError('conflict', resolvedText(id))
    return { incident, muted: await orNull(services.matching(matchersOf(incident, context.policy))) }
  },
  preview({ target }, { incident, muted }, context) {
    const id = target.matchers === null ? idOf(target, context.incident) : null
    const what =
      id === null
        ? `everything that matches ${line(target.matchers ?? '', 200)}`
        : incident
          ? `${named(incident, context.policy)}, by ${line(matchersOf(incident, context.policy), 200)},`
          : `incident ${id}`
    const mutes = muted === null ? 'how many alerts that mutes cannot be told now' : `mutes ${mutedText(muted)}`
    const until = timeOf(context.now + target.duration, context.now)
    const scoped = id !== null && incident !== null && scopeOf(incident) !== null
    const page =
      id === null ? '' : `${scoped ? ' A region that joins later still pages.' : ''} It still resolves in PagerDuty.`
    return `Silence ${what} for ${formatDuration(target.duration)} (until ${until}): ${mutes}.${page}`
  },
  async run(tx, { target }, { muted }, context): Promise<Reply> {
    const { person, now, policy, change } = context
    const endsAt = now + target.duration
    const until = timeOf(endsAt, now)
    const lines = muted === null ? [] : [`It mutes ${mutedText(muted)}.`]
    if (target.matchers !== null) {
      const kept = await keep(tx, null, target.matchers, target, person.name, now)
      return reply(`Silenced ${line(target.matchers, 200)} until ${until} (s${kept.id}).`, {
        lines: [...lines, `unsilence s${kept.id} ends it.`],
        data: dataOf(kept),
      })
    }
    const id = idOf(target, context.incident)
    const [incident] = await tx.incidents([id])
    if (incident?.state === 'resolved') return refuse('conflict', id, resolvedText(id))
    const matchers = incident ? matchersOf(incident, policy) : ''
    await change(tx, id, (draft) => {
      const note = target.note ? `: ${target.note}` : '.'
      tell(draft, now, 'silenced', `Silenced until ${until} by ${person.name}${note}`, false, person.name)
    })
    const kept = await keep(tx, id, matchers, target, person.name, now)
    return reply(`Silenced incident ${id} until ${until} (s${kept.id}).`, {
      lines: [...lines, `It still resolves in PagerDuty. unsilence s${kept.id} ends the silence.`],
      data: dataOf(kept),
      incident: id,
    })
  },
})

/** Stores the silence; one that runs for the same is given the new end instead. Alertmanager is told by the engine. */
async function keep(
  tx: Tx,
  incident: number | null,
  matchers: string,
  wanted: Wanted,
  by: string,
  now: number,
): Promise<Silence> {
  const running = (await tx.activeSilences()).find(
    (one) => one.incident === incident && one.matchers === matchers && one.endsAt > now,
  )
  const kept: Silence = {
    id: running?.id ?? (await tx.nextSilenceId()),
    incident,
    matchers,
    by,
    note: wanted.note,
    startsAt: running?.startsAt ?? now,
    endsAt: now + wanted.duration,
    state: 'active',
    alertmanagerId: running?.alertmanagerId ?? null,
    pending: running && running.alertmanagerId !== null ? 'extend' : 'create',
  }
  await tx.saveSilence(kept)
  return kept
}

export function dataOf(silence: Silence) {
  return {
    silence: `s${silence.id}`,
    matchers: silence.matchers,
    ends_at: new Date(silence.endsAt).toISOString(),
    state: silence.state,
  }
}

const resolvedText = (id: number): string => `Incident ${id} is resolved: there is nothing to silence.`

function mutedText(muted: NonNullable<Facts['muted']>): string {
  if (muted.alerts === 0) return 'nothing that fires now'
  const where = muted.regions.length === 0 ? '' : ` in ${count(muted.regions.length, 'region')}`
  const critical = muted.critical === 0 ? 'none critical' : `${muted.critical === 1 ? 'one' : muted.critical} critical`
  return `${count(muted.alerts, 'alert')}${where}, ${critical}`
}

function idOf(target: Wanted, thread: number | null): number {
  const id = target.incident ?? thread
  if (id === null) throw new ClawError('invalid', 'Which incident? Say silence 12 1h, or write it in its thread.')
  return id
}

/** The regions in which it fires now, as a matcher: another one that joins later is news, and has to wake somebody. */
function scopeOf(incident: Incident): Matcher | null {
  const regions = Object.keys(incident.regions).sort()
  if (regions.length === 0 || Object.hasOwn(incident.keyLabels, 'region')) return null
  if (regions.length === 1) return matcher('region', '=', regions[0] ?? '')
  return matcher('region', '=~', regions.map((name) => name.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('|'))
}

/**
 * What an incident's alerts have in common, its correlation key; a label that they lack is matched as missing. Regions that
 * it has not reached yet are left out.
 * @throws ClawError('conflict') when they have nothing in common that a silence could name
 */
function matchersOf(incident: Incident, policy: Policy): string {
  const labels: Record<string, string> = { ...incident.keyLabels }
  // Named after the alert: all labels to correlate by were missing.
  if (!policy.correlateBy.some((name) => Object.hasOwn(labels, name))) {
    for (const name of policy.correlateBy) labels[name] = ''
  }
  const matchers = Object.entries(labels).map(([name, value]) => matcher(name, '=', value))
  if (!narrows(matchers)) {
    throw new ClawError('conflict', `Incident ${incident.id} has no label that a silence could name; give matchers.`)
  }
  const scope = scopeOf(incident)
  return matchersText(scope === null ? matchers : [...matchers, scope])
}

/** Alertmanager takes no silence that matches alerts without any label. */
const narrows = (matchers: readonly Matcher[]): boolean => matchers.some((one) => !one.test({}))

const isDuration = (word: string): boolean => /\d/.test(word) && DURATION_PATTERN.test(word)

/** `12 1h note`, `1h note` in a thread, or `service="api", region="A" 1h note`. */
function read(text: string, complain: (message: string) => void): Wanted {
  const typed = text.trim().split(/\s+/)
  try {
    return wantedOf(typed)
  } catch (error) {
    if (!(error instanceof ClawError)) throw error
    complain(messageOf(error).replace(/\.$/, ''))
    return z.NEVER
  }
}

function wantedOf(typed: readonly string[]): Wanted {
  const [first = ''] = typed
  if (/^#?\d{1,9}$/.test(first)) {
    return { incident: Number(first.replace('#', '')), matchers: null, ...restOf(typed.slice(1)) }
  }
  if (isDuration(first)) return { incident: null, matchers: null, ...restOf(typed) }
  // A quoted value may hold what looks like a duration: the matchers end where they are complete.
  for (let at = 1; at < typed.length; at++) {
    if (!isDuration(typed[at] ?? '')) continue
    const { matchers } = readMatchers(typed.slice(0, at).join(' '))
    if (matchers === null) continue
    if (!narrows(matchers))
      throw new ClawError('invalid', 'these matchers would mute everything: name a label and its value')
    return { incident: null, matchers: matchersText(matchers), ...restOf(typed.slice(at)) }
  }
  const end = typed.findIndex(isDuration)
  parseMatchers(typed.slice(0, end === -1 ? typed.length : end).join(' '))
  throw new ClawError('invalid', 'say for how long, such as 1h')
}

function restOf(typed: readonly string[]): { duration: number; note: string } {
  const [word, ...note] = typed
  if (word === undefined) throw new ClawError('invalid', 'say for how long, such as 1h')
  const duration = parseDuration(word)
  if (duration < SHORTEST || duration > LONGEST) throw new ClawError('invalid', 'a silence lasts from 1 min to 7 d')
  const text = noteArg.safeParse(note.join(' '))
  if (!text.success) throw new ClawError('invalid', `the note has at most ${TEXT_LIMIT} characters`)
  return { duration, note: text.data }
}
