import type { Router } from 'express'
import type { Incident } from '../core/incident.ts'
import { AUTOMATION_KEY, readSwitch } from '../core/remediation.ts'
import { regionCard } from './figures.ts'
import type { Shell } from './page.ts'
import { byUrgency, deliveryRow, incidentCard, moment, operationRow, questionRow } from './present.ts'

/** Open incidents on the first page; the others are counted. */
const SHOWN_OPEN = 40
/** Open incidents that are looked through for the most urgent ones. */
const SORTED_OPEN = 500
const SHOWN_RESOLVED = 8
const SHOWN_DEAD = 5
const SHOWN_REGIONS = 50
const SHOWN_RUNS = 10
const SHOWN_CHANGES = 6
const LEVELS = ['P1', 'P2', 'P3'] as const

/** `/`: what is going on now. */
export function homePage(router: Router, shell: Shell): void {
  const { store } = shell

  async function cardsOf(incidents: readonly Incident[], now: number) {
    const [views, deliveries] = await Promise.all([
      Promise.all(incidents.map((incident) => shell.viewOf(incident))),
      store.deliveriesOf(incidents.map((incident) => incident.id)),
    ])
    const groups = Map.groupBy(deliveries, (delivery) => String(delivery.incidentId))
    return views.map((view) => incidentCard(view, groups.get(view.id) ?? [], now))
  }

  router.get('/', async (req, res) => {
    const now = shell.clock()
    const [counts, queue, open, resolved, dead, beats, runs, questions, automation, proven] = await Promise.all([
      store.countIncidents(),
      store.countDeliveries(),
      store.listIncidents({ states: ['open', 'acknowledged'], limit: SORTED_OPEN, before: null }),
      store.listIncidents({ states: ['resolved'], limit: SHOWN_RESOLVED, before: null }),
      store.listDeliveries({ state: 'dead', limit: SHOWN_DEAD, before: null }),
      store.heartbeats(),
      store.workflows({ states: ['running'], limit: SHOWN_RUNS }),
      store.openApprovals(SHOWN_RUNS),
      store.meta(AUTOMATION_KEY),
      store.meta('paging_proven_at'),
    ])
    const shown = open.sort(byUrgency).slice(0, SHOWN_OPEN)
    const cards = await cardsOf([...shown, ...resolved], now)
    const firing = counts.filter((one) => one.state !== 'resolved')
    const levels = LEVELS.map((level) => ({ level, count: total(firing, level) }))
    const openCount = total(firing)
    const person = String(res.locals.person)
    await shell.show(req, res, 'home', {
      live: true,
      levels: levels.filter(({ count }) => count > 0),
      worst: levels.find(({ count }) => count > 0)?.level ?? null,
      openCount,
      unacknowledged: total(counts.filter((one) => one.state === 'open')),
      moreOpen: Math.max(0, openCount - shown.length),
      deadCount: total(queue.filter((one) => one.state === 'dead')),
      waitingCount: total(queue.filter((one) => one.state === 'waiting')),
      allTold: total(queue) === 0,
      // The one that was silent longest: the others are better.
      heartbeat: beats.length === 0 ? null : Math.min(...beats.map((beat) => beat.lastAt)),
      blind: beats.some((beat) => beat.missing),
      proven: proven === null ? null : moment(Number(proven)),
      open: cards.slice(0, shown.length),
      resolved: cards.slice(shown.length),
      deadLetters: dead.map((delivery) => deliveryRow(delivery, now)),
      operations: runs.map(operationRow),
      questions: questions.filter(({ expiresAt }) => expiresAt > now).map((one) => questionRow(one, person)),
      automation: automationOf(shell, automation),
      edge: edgeOf(shell, now),
      scenarios: shell.sandbox?.scenarios ?? [],
    })
  })
}

function total(rows: readonly { level?: string; count: number }[], level?: string): number {
  return rows.reduce((sum, row) => sum + (level === undefined || row.level === level ? row.count : 0), 0)
}

/** Who acts by itself: the switch, and how many policies are in which mode. */
function automationOf(shell: Shell, stored: string | null) {
  const { state, by, at } = readSwitch(stored)
  const modes = Object.groupBy(shell.policy().remediation, ({ mode }) => mode)
  const of = (mode: keyof typeof modes) => modes[mode]?.length ?? 0
  return {
    on: state === 'on',
    by: by === '' ? null : by,
    since: at === 0 ? null : moment(at),
    counts: [
      { word: 'automatic', count: of('automatic') },
      { word: 'suggesting', count: of('suggest') },
      { word: 'in shadow', count: of('shadow') },
      { word: 'off', count: of('off') },
    ].filter(({ count }) => count > 0),
  }
}

/** The regions as last heard, and how old that is. */
function edgeOf(shell: Shell, now: number) {
  const watch = shell.watch()
  if (watch === null) return null
  const history = watch.history()
  const last = history.at(-1)
  const seconds = last ? Math.max(0, Math.round((now - last.at) / 1000)) : null
  const regions = [...(last?.regions ?? [])].sort((a, b) => (a.region < b.region ? -1 : 1))
  return {
    at: moment(last?.at ?? null),
    seconds,
    // Three looks in a row have failed by then.
    stale: seconds !== null && seconds > 20,
    regions: regions.slice(0, SHOWN_REGIONS).map((region) => regionCard(region, history)),
    more: Math.max(0, regions.length - SHOWN_REGIONS),
    changes: watch
      .changes()
      .slice(-SHOWN_CHANGES)
      .reverse()
      .map((change) => ({ ...change, moment: moment(change.at) })),
  }
}
