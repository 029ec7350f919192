import type { Router } from 'express'
import { messageOf } from '../core/errors.ts'
import { matchersText, readMatchers } from '../core/matchers.ts'
import { describeRoute, inMaintenance, type Policy } from '../core/policy.ts'
import { inhibitTargetKeys, type Route } from '../core/routing.ts'
import { queryOf, type Shell } from './page.ts'

/** Deeper trees are cut off; nobody can follow them on a page. */
const DEEPEST = 12
const MAX_TEXT = 4000

/** `/config`: the configuration in force, its routing tree, and "where would this alert go?". */
export function configPages(router: Router, shell: Shell): void {
  router.get('/config', async (req, res) => {
    const policy = shell.policy()
    const asked = queryOf(req).get('labels')?.slice(0, MAX_TEXT) ?? null
    await shell.show(req, res, 'config', {
      live: false,
      lines: shell.configuration(),
      tree: routeNode(policy, policy.route, 0),
      asked: asked ?? '',
      answerTo: asked === null || asked.trim() === '' ? null : await whereTo(shell, policy, asked),
    })
  })
}

function routeNode(policy: Policy, route: Route, depth: number): object {
  const receiver = policy.receivers.get(route.receiver)
  return {
    path: route.path,
    matchers: matchersText(route.matchers),
    receiver: route.receiver,
    destinations: receiver?.destinations.map(({ lane, target }) =>
      lane.startsWith('webhook') ? lane : `${lane} ${target}`,
    ),
    fallback: receiver?.fallback ?? null,
    goesOn: route.continue,
    mute: route.muteTimeIntervals,
    active: route.activeTimeIntervals,
    routes: depth >= DEEPEST ? [] : route.routes.map((child) => routeNode(policy, child, depth + 1)),
  }
}

/** What would become of an alert with these labels now, or why they cannot be read. */
async function whereTo(shell: Shell, policy: Policy, text: string) {
  const read = readLabels(text)
  if ('problem' in read) return { problem: read.problem }
  const { labels } = read
  const now = shell.clock()
  const hits = describeRoute(policy, labels, now)
  const keys = inhibitTargetKeys(policy.inhibitRules, labels)
  return {
    problem: null,
    level: hits[0]?.level ?? null,
    levelReason: hits[0]?.levelReason ?? null,
    maintenance: inMaintenance(policy, labels, now),
    inhibited: keys.length > 0 && (await shell.store.inhibitors(keys)).length > 0,
    hits: hits.map(({ receiver, why, muted }) => ({
      receiver,
      why,
      muted,
      destinations: policy.receivers
        .get(receiver)
        ?.destinations.map(({ lane, target }) => (lane.startsWith('webhook') ? lane : `${lane} ${target}`)),
      fallback: policy.receivers.get(receiver)?.fallback ?? null,
    })),
  }
}

/** Labels as people write them: `severity=critical` on lines of their own or after commas, values quoted or not. */
function readLabels(text: string): { labels: Record<string, string> } | { problem: string } {
  const one = text
    .trim()
    .replace(/[\r\n]+/g, ',')
    .replace(/,(?:\s*,)+/g, ',')
    .replace(/^,|,\s*$/g, '')
  try {
    const { matchers, problem } = readMatchers(one)
    if (problem !== null)
      return { problem: `Column ${problem.column}: ${problem.message}. Write severity="critical", region="A".` }
    const wrong = matchers.find(({ op }) => op !== '=')
    if (wrong) return { problem: `An alert has plain labels: write ${wrong.name}="…", not ${wrong.text}.` }
    return { labels: Object.fromEntries(matchers.map(({ name, value }) => [name, value])) }
  } catch (error) {
    return { problem: messageOf(error) }
  }
}
