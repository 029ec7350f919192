import type { Router } from 'express'
import type { Labels } from '../core/alert.ts'
import { ClawError } from '../core/errors.ts'
import type { Incident } from '../core/incident.ts'
import { labelOf } from '../core/matchers.ts'
import { type Policy, routingLabels } from '../core/policy.ts'
import { type Route, routeAlert } from '../core/routing.ts'
import type { Delivery, OccurrenceRow } from '../core/store.ts'
import type { IncidentView, StoryEvent } from '../core/view.ts'
import type { WorkflowRun } from '../core/workflow.ts'
import { idOf, type Shell } from './page.ts'
import { deliveryRow, incidentCard, moment, operationRow, questionRow } from './present.ts'

const SHOWN_ALERTS = 100
const SHOWN_STORY = 200
const SHOWN_RUNS = 20
/** Characters of a label or a text that are looked at; the page shows fewer. Thousands of long ones would hold everything up. */
const LOOKED_AT = 1000
/** Receivers that did not get it, with the reason. */
const SHOWN_OTHERS = 30

/** `/incidents/{id}`: all that is known of one incident. */
export function incidentPages(router: Router, shell: Shell): void {
  const { store } = shell
  router.get('/incidents/:id', async (req, res) => {
    const id = idOf(req)
    const [incident] = id === null ? [] : await store.incidents([id])
    if (!incident) throw new ClawError('not_found', 'There is no such incident. It may have been too old to keep.')
    const [view, deliveries, alerts, story, runs, questions] = await Promise.all([
      shell.viewOf(incident),
      store.deliveriesOf([incident.id]),
      store.alertsOf(incident.id, SHOWN_ALERTS),
      store.story(incident.id, SHOWN_STORY),
      store.workflows({ incident: incident.id, limit: SHOWN_RUNS }),
      store.openApprovals(100),
    ])
    const now = shell.clock()
    const person = String(res.locals.person)
    await shell.show(req, res, 'incident', {
      live: incident.state !== 'resolved',
      worst: incident.state === 'resolved' ? null : incident.level,
      incident: incidentPage({ incident, view, deliveries, alerts, story, runs, policy: shell.policy(), now }),
      questions: questions
        .filter((one) => one.expiresAt > now && aboutIncident(one, incident.id))
        .map((one) => questionRow(one, person)),
    })
  })
}

/** A question that was asked in the incident's thread, or names it. */
function aboutIncident(question: { incident: number | null; command: string }, id: number): boolean {
  return question.incident === id || /^\S+ #?(\d+)(?= |$)/.exec(question.command)?.[1] === String(id)
}

function incidentPage(from: {
  incident: Incident
  view: IncidentView
  deliveries: readonly Delivery[]
  alerts: readonly OccurrenceRow[]
  story: readonly StoryEvent[]
  runs: readonly WorkflowRun[]
  policy: Policy
  now: number
}) {
  const { incident, view, now } = from
  const { triage } = view
  return {
    ...incidentCard(view, from.deliveries, now),
    version: view.version,
    receivers: incident.receivers.map(({ name, why }) => ({
      name,
      why,
      rows: from.deliveries.filter(({ receiver }) => receiver === name).map((one) => deliveryRow(one, now)),
    })),
    muted: incident.muted.map(({ name, why, mute, active }) => ({ name, why, intervals: [...mute, ...active] })),
    others: othersOf(from.policy, incident, from.alerts[0]?.payload.labels ?? incident.keyLabels),
    levelSetBy: incident.levelSetBy,
    baseLevel: incident.baseLevel === incident.level ? null : incident.baseLevel,
    baseReason: incident.baseReason,
    pages: view.pages,
    triage: triage && {
      ...triage,
      moment: moment(triage.at),
      sure: Math.round(triage.verdict.confidence * 100),
      changes: triage.changes.map((change) => ({ ...change, moment: moment(change.at) })),
    },
    checklist: view.checklist.map((item) => ({ ...item, moment: moment(item.at) })),
    operations: from.runs.map(operationRow),
    automationStopped: incident.automationStopped
      ? { why: incident.automationStopped.why, moment: moment(incident.automationStopped.at) }
      : null,
    pageHeld: incident.pageHeld !== undefined && incident.pageHeld > now ? moment(incident.pageHeld) : null,
    story: from.story.map((event) => ({ ...event, moment: moment(event.at), when: whenOf(event.at, now) })),
    alerts: from.alerts.map(alertRow),
    moreAlerts: Math.max(0, incident.total - from.alerts.length),
  }
}

/** To the second, since here the order of things matters; with the date when it is not today. */
function whenOf(at: number, now: number): string {
  const iso = moment(at)?.iso ?? ''
  const day = iso.slice(0, 10)
  return `${day === moment(now)?.iso.slice(0, 10) ? '' : `${day} `}${iso.slice(11, 19)} UTC`
}

function alertRow(row: OccurrenceRow) {
  const { labels, annotations, generatorURL } = row.payload
  return {
    name: row.name,
    state: row.state,
    level: row.level,
    region: row.region,
    suppressed: row.suppressed,
    starts: moment(row.startsAt),
    ends: moment(row.endsAt),
    timesSeen: row.timesSeen,
    labels: Object.entries(labels)
      .slice(0, 30)
      .map(([label, value]) => [label.slice(0, LOOKED_AT), value.slice(0, LOOKED_AT)]),
    summary: (ownText(annotations, 'summary') ?? ownText(annotations, 'description'))?.slice(0, LOOKED_AT) ?? null,
    generatorURL,
  }
}

function ownText(texts: Readonly<Record<string, string>>, name: string): string | null {
  return (Object.hasOwn(texts, name) && texts[name]) || null
}

/** The receivers that did not get it, and why not, by its most important alert. */
function othersOf(policy: Policy, incident: Incident, labels: Labels): { name: string; why: string }[] {
  const told = new Set([...incident.receivers, ...incident.muted].map(({ name }) => name))
  const own = routingLabels(labels, incident.level)
  const taken = new Set(routeAlert(policy.route, own).map(({ path }) => path))
  return [...policy.receivers.keys()]
    .filter((name) => !told.has(name))
    .slice(0, SHOWN_OTHERS)
    .map((name) => ({ name, why: whyNot(policy.route, name, own, taken) }))
}

/** Why no route of the tree led these labels to a receiver. */
export function whyNot(root: Route, receiver: string, labels: Labels, taken: ReadonlySet<string>): string {
  const leading = routesTo(root, receiver, [])
  const [nearest] = leading
  if (nearest === undefined) return 'no route leads there'
  if (leading.some((way) => taken.has(way.at(-1)?.path ?? ''))) {
    return 'its routes or labels were others when this incident opened'
  }
  for (const way of leading) {
    for (const route of way) {
      const failed = route.matchers.find((matcher) => !matcher.test(labels))
      if (failed === undefined) continue
      const value = labelOf(labels, failed.name)
      return `${route.path} wants ${failed.text}; here ${failed.name} is ${value === '' ? 'missing' : JSON.stringify(value.slice(0, 60))}`
    }
  }
  const path = nearest.at(-1)?.path ?? ''
  return taken.size === 0 ? `${path} was not reached` : `${[...taken][0]} took it before ${path}`
}

/** Each way from the root to a route of this receiver. */
function routesTo(route: Route, receiver: string, before: readonly Route[]): Route[][] {
  const way = [...before, route]
  const own = route.receiver === receiver ? [way] : []
  return [...own, ...route.routes.flatMap((child) => routesTo(child, receiver, way))]
}
