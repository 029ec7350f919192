import type { Logger } from 'pino'
import { type Clock, MINUTE, SECOND } from '../core/clock.ts'
import type { EdgeAdmin, EdgeConflict, EdgeRegion } from '../core/edge.ts'
import { messageOf } from '../core/errors.ts'
import { draftOf, type Incident, tell } from '../core/incident.ts'
import type { Policy } from '../core/policy.ts'
import type { Store } from '../core/store.ts'
import type { EdgeChange, Triage, Verdict } from '../core/triage.ts'
import { judge } from '../core/verdict.ts'
import { type Facts, judgeRegions, regionLine } from '../core/verdict-facts.ts'
import { storeDrafts } from './changes.ts'
import type { Watch } from './watch.ts'

export type TriageDeps = {
  store: Store
  policy: () => Policy
  watch: Pick<Watch, 'changes' | 'history'>
  services: () => { edge: Pick<EdgeAdmin, 'regions' | 'conflicts'> | null }
  clock: Clock
  log: Logger
  /** an incident changed: wake the lanes */
  onStored: () => void
}

export type TriageRounds = {
  /** Looks at incidents that are due for it. Waits a moment, never for a slow edge. */
  tick(): Promise<void>
}

/** Incidents of one round, the newest. */
const MAX_INCIDENTS = 20
/** The first minutes count most: it is looked at again and again. */
const FIRST = 3 * MINUTE
const AGAIN = 30 * SECOND
/** Later only what changed about the incident is a reason, and after this nothing is. */
const UNTIL = 30 * MINUTE
const TIMEOUT = 2 * SECOND
const PATIENCE = 300
const MAX_CONFLICTS = 50
const MAX_EXAMPLES = 5
const MAX_LINES = 10
/** Changes this long before the onset are shown. */
const CHANGES_FROM = 60 * MINUTE
const MAX_CHANGES = 5

const SILENT = 'Whether the limiter is right cannot be told: the edge gives no figures. Policies that need them wait.'

type Looked = { at: number; version: number; regions: number; classes: number }

/**
 * The first minute's triage (system.md, section 3): what each region says, which keys diverge, what changed shortly before, and
 * the verdict. Kept in the incident with a silent line of its story; told again only when the verdict is another one.
 */
export function createTriage(deps: TriageDeps): TriageRounds {
  const { store, clock, log } = deps
  const looked = new Map<number, Looked>()
  let running: Promise<void> | null = null

  async function round(edge: Pick<EdgeAdmin, 'regions' | 'conflicts'>): Promise<void> {
    const now = clock()
    const open = await store.listIncidents({ states: ['open', 'acknowledged'], limit: MAX_INCIDENTS, before: null })
    for (const id of looked.keys()) if (!open.some((incident) => incident.id === id)) looked.delete(id)
    const due = open.filter((incident) => isDue(incident, now))
    if (due.length === 0) return
    const { regions, conflicts, silent } = await ask(edge)
    for (const incident of due) {
      looked.set(incident.id, {
        at: now,
        version: incident.version,
        regions: incident.allRegions.length,
        classes: incident.classes.length,
      })
      const found = triageOf(await factsOf(incident, regions, conflicts), now)
      if (silent && found.verdict.cause === 'unknown') found.verdict.summary = SILENT
      await keep(incident.id, found, now)
    }
  }

  /** Alerts of the edge only: a missing heartbeat or a self-test says nothing about the limiter. */
  function isDue(incident: Incident, now: number): boolean {
    if (incident.synthetic || incident.mergedInto !== undefined || incident.classes.length === 0) return false
    const began = Math.max(incident.openedAt, incident.recurredAt.at(-1) ?? 0)
    const age = now - began
    if (age > UNTIL) return false
    const last = looked.get(incident.id)
    if (!incident.triage) return last === undefined || now >= last.at + 5 * SECOND
    if (last === undefined) return now >= incident.triage.at + AGAIN
    // The figures of the first seconds often show nothing yet: the trouble has only begun.
    if (incident.triage?.verdict.cause === 'unknown' && age < FIRST && now >= last.at + 5 * SECOND) return true
    const joined = incident.allRegions.length !== last.regions || incident.classes.length !== last.classes
    if (joined) return true
    return now >= last.at + AGAIN && (age < FIRST || incident.version !== last.version)
  }

  async function ask(
    edge: Pick<EdgeAdmin, 'regions' | 'conflicts'>,
  ): Promise<{ regions: readonly EdgeRegion[]; conflicts: EdgeConflict[]; silent: boolean }> {
    const signal = AbortSignal.timeout(TIMEOUT)
    const [regions, conflicts] = await Promise.all([
      edge.regions(signal).catch(() => null),
      edge.conflicts(null, MAX_CONFLICTS, signal).catch(() => []),
    ])
    // What it said a moment ago is better than nothing: an edge in trouble is slow.
    const newest = deps.watch.history().at(-1)
    const recent = newest && clock() - newest.at < MINUTE ? newest.regions : []
    return { regions: regions ?? recent, conflicts, silent: regions === null }
  }

  async function factsOf(
    incident: Incident,
    edge: readonly EdgeRegion[],
    conflicts: readonly EdgeConflict[],
  ): Promise<Facts> {
    // The alert's own start: it fired before Claw heard of it.
    const firing = await store.alertsOf(incident.id, MAX_LINES)
    const began = Math.max(incident.openedAt, incident.recurredAt.at(-1) ?? 0)
    const starts = firing.flatMap((row) =>
      row.state === 'firing' && row.startsAt > began - 10 * MINUTE ? [row.startsAt] : [],
    )
    return {
      onset: Math.min(began, ...starts),
      regions: incident.allRegions.filter((region) => region !== ''),
      classes: incident.classes,
      edge,
      history: deps.watch.history(),
      conflicts,
      changes: deps.watch.changes(),
    }
  }

  async function keep(id: number, found: Triage, now: number): Promise<void> {
    const changed = await store.write(async (tx) => {
      const [incident] = await tx.incidents([id])
      if (!incident || incident.state === 'resolved') return false
      const before = incident.triage
      const triage = before ? merged(before, found) : found
      if (triage === null) return false
      const draft = draftOf(incident)
      incident.triage = triage
      draft.visible = true
      if (!before || another(before.verdict, triage.verdict)) tell(draft, now, 'triage', lineOf(triage, before), false)
      await storeDrafts(tx, [draft], deps.policy(), now)
      return true
    })
    if (changed) deps.onStored()
  }

  return {
    async tick() {
      const { edge } = deps.services()
      if (edge === null) return
      running ??= round(edge)
        .catch((error) => log.warn({ reason: messageOf(error) }, 'triage waits'))
        .finally(() => {
          running = null
        })
      await Promise.race([running, pause(PATIENCE)])
    },
  }
}

/** The triage that these facts give at `now` (ms since the epoch). */
export function triageOf(facts: Facts, now: number): Triage {
  const judged = judgeRegions(facts)
  const here = judged.filter(({ region }) => facts.regions.includes(region.region))
  // Where it burns first; the others only as far as there is room.
  const lines = [...here, ...judged.filter((one) => !here.includes(one))]
  return {
    at: now,
    regions: lines.slice(0, MAX_LINES).map(regionLine),
    diverged: {
      keys: facts.conflicts.length,
      examples: facts.conflicts.slice(0, MAX_EXAMPLES).map(exampleOf),
    },
    changes: facts.changes
      .filter((change) => change.at >= facts.onset - CHANGES_FROM && change.at <= facts.onset + 20 * SECOND)
      .slice(-MAX_CHANGES),
    verdict: judge(facts),
  }
}

/** `tenant-1001: A 12, B 7` */
function exampleOf({ key, values }: EdgeConflict): string {
  const sides = Object.entries(values).slice(0, 4)
  return `${key.slice(0, 60)}: ${sides.map(([region, tokens]) => `${region.slice(0, 20)} ${Math.round(tokens)}`).join(', ')}`
}

const another = (a: Verdict, b: Verdict): boolean =>
  a.limiter !== b.limiter || a.cause !== b.cause || (a.cause === 'unknown' && a.summary !== b.summary)

/** What is kept after another look; null when nothing is to be stored. */
function merged(before: Triage, found: Triage): Triage | null {
  // Once it is known, figures that have calmed down do not make it unknown; but nothing needs to be done then.
  if (found.verdict.cause === 'unknown' && before.verdict.cause !== 'unknown') {
    return before.verdict.act === null ? null : { ...before, verdict: { ...before.verdict, act: null } }
  }
  // It has answered before: one answer that is missing now is no news.
  if (found.verdict.summary === SILENT) return null
  const same = !another(before.verdict, found.verdict) && before.verdict.act?.command === found.verdict.act?.command
  const spread = before.regions.length !== found.regions.length
  return same && !spread ? null : { ...found, changes: unionOf(before.changes, found.changes) }
}

function unionOf(a: readonly EdgeChange[], b: readonly EdgeChange[]): EdgeChange[] {
  const key = ({ at, region, what }: EdgeChange) => `${at} ${region} ${what}`
  return [...a, ...b.filter((one) => !a.some((other) => key(other) === key(one)))].slice(-MAX_CHANGES)
}

function lineOf({ verdict }: Triage, before: Triage | undefined): string {
  const why = verdict.evidence.slice(0, 3).join('; ')
  const act = verdict.act === null ? '' : ` Advised: ${verdict.act.command}. ${verdict.act.risk}`
  return `${before ? 'Triage now says: ' : ''}${verdict.summary}${why === '' ? '' : ` ${why}.`}${act}`.slice(0, 600)
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref()
  })
}
