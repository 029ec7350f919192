import { createHash } from 'node:crypto'
import type { Labels } from './alert.ts'
import { indexable } from './incident.ts'
import type { Matcher } from './matchers.ts'
import { labelOf, matchAll, matchersText } from './matchers.ts'

/** One node of the routing tree, as Alertmanager has it; the root matches everything. */
export type Route = {
  /** where it stands in the configuration: `route`, `route.routes[0]` */
  path: string
  /** inherited from the parent when the configuration names none */
  receiver: string
  matchers: Matcher[]
  /** go on to the next sibling after this one matched */
  continue: boolean
  /** names; not inherited, as in Alertmanager */
  muteTimeIntervals: string[]
  activeTimeIntervals: string[]
  routes: Route[]
}

export type Hit = {
  receiver: string
  path: string
  /** e.g. `route.routes[0]: level="P1"` */
  why: string
  muteTimeIntervals: string[]
  activeTimeIntervals: string[]
}

/**
 * The routes that an alert with these labels takes: in each branch the deepest that matches; the first matching child
 * ends the search unless it says `continue` (Alertmanager, dispatch.Route.Match). Never empty for a root without matchers.
 */
export function routeAlert(root: Route, labels: Labels): Hit[] {
  return matching(root, labels).map((route) => ({
    receiver: route.receiver,
    path: route.path,
    why: `${route.path}: ${route.matchers.length > 0 ? matchersText(route.matchers) : route === root ? 'no other route matches' : 'matches everything'}`,
    muteTimeIntervals: route.muteTimeIntervals,
    activeTimeIntervals: route.activeTimeIntervals,
  }))
}

function matching(route: Route, labels: Labels): Route[] {
  if (!matchAll(route.matchers, labels)) return []
  const all: Route[] = []
  for (const child of route.routes) {
    const found = matching(child, labels)
    all.push(...found)
    if (found.length > 0 && !child.continue) break
  }
  return all.length > 0 ? all : [route]
}

export type InhibitRule = {
  /** stable hash of the rule's text: the same rule has the same id after a reload */
  id: string
  source: Matcher[]
  target: Matcher[]
  equal: string[]
}

/** Makes a rule and its id. */
export function inhibitRule(source: Matcher[], target: Matcher[], equal: string[]): InhibitRule {
  const names = [...new Set(equal)].sort()
  const text = JSON.stringify([matchersText(source), matchersText(target), names])
  return { id: createHash('sha256').update(text).digest('hex').slice(0, 12), source, target, equal: names }
}

/**
 * Keys under which a firing alert with these labels inhibits others: `<rule>:<JSON of the values of equal>`. An alert that
 * matches only the source side has a second key, `<rule>!:…`, which also mutes alerts that match both sides; one that
 * matches both sides lacks it, because an alert matching both sides cannot be inhibited by another for which the same is
 * true (Alertmanager, inhibit.Inhibitor.Mutes).
 */
export function inhibitSourceKeys(rules: readonly InhibitRule[], labels: Labels): string[] {
  const keys: string[] = []
  for (const rule of rules) {
    if (!matchAll(rule.source, labels)) continue
    const values = equalValues(rule, labels)
    keys.push(`${rule.id}:${values}`)
    if (!matchAll(rule.target, labels)) keys.push(`${rule.id}!:${values}`)
  }
  return keys
}

/** Keys of which one firing source suffices to mute an alert with these labels; see inhibitSourceKeys. */
export function inhibitTargetKeys(rules: readonly InhibitRule[], labels: Labels): string[] {
  const keys: string[] = []
  for (const rule of rules) {
    if (!matchAll(rule.target, labels)) continue
    keys.push(`${rule.id}${matchAll(rule.source, labels) ? '!' : ''}:${equalValues(rule, labels)}`)
  }
  return keys
}

function equalValues(rule: InhibitRule, labels: Labels): string {
  return indexable(JSON.stringify(rule.equal.map((name) => labelOf(labels, name))))
}
