import type { Logger } from 'pino'
import type { Clock } from '../core/clock.ts'
import { SECOND } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { Incident } from '../core/incident.ts'
import type { Policy } from '../core/policy.ts'
import {
  AUTOMATION_KEY,
  type AutomationSwitch,
  isPolicy,
  type Remediation,
  type RemediationPolicy,
  readSwitch,
} from '../core/remediation.ts'
import {
  type Decision,
  decide,
  type Onset,
  onsetOf,
  type RemedyFacts,
  type Trigger,
  triggersOf,
} from '../core/remedy.ts'
import { actOf } from '../core/remedy-act.ts'
import { breachOf, concerns, stopReason } from '../core/remedy-stop.ts'
import type { Reads, Store } from '../core/store.ts'
import type { WorkflowRun } from '../core/workflow.ts'
import { type Applied, apply, stopAutomation } from './remediation-apply.ts'
import { glance, type Look, MAX_HISTORY, MAX_RUNS, see } from './remediation-look.ts'
import { createSight, type RemediationServices } from './remediation-sight.ts'
import { releasePage, tellHeldBack, tidyProposals } from './remediation-upkeep.ts'
import { verifyDue } from './remediation-verify.ts'

export type RemediationDeps = {
  store: Store
  policy: () => Policy
  /** what it reaches outside; WorkflowServices fits */
  services: () => RemediationServices
  clock: Clock
  log: Logger
  /** something was stored: wake the lanes */
  onStored: () => void
  /** an operation was started or asked to stop: wake the runner */
  wakeWorkflows: () => void
  /** for claw_actions_total: `reset`, `started` … */
  onAction: (kind: string, outcome: string) => void
  /** there are no figures at all, as in a replay: an alert stands for its measure */
  alertsAlone?: boolean
  /** each decision, at each look */
  onDecision?: (decision: Noted) => void
}

/** A decision, about which incident (its id), and when in ms since the epoch. */
export type Noted = Decision & { incident: number; at: number }

export type Remediator = {
  /** one look when it is due; called once a second. Never rejects; a slow edge makes it take seconds, so need not be awaited */
  tick(): Promise<void>
  /** what was decided at the last look, and why, so that people can see why a policy does not act */
  decisions(): readonly Noted[]
}

const LOOK_EVERY = 2 * SECOND
const PER_PAGE = 200
const MAX_PAGES = 5
/** Acts, proposals and records of one look; the rest follows two seconds later. */
const MAX_ACTS = 20
/** Looks in a row that must find the error budget burning too fast. */
const BREACH_LOOKS = 2

type Weighed = { own: RemediationPolicy; trigger: Trigger; decision: Decision; facts: RemedyFacts }

/**
 * What Claw does by itself (system.md, section 3). Every two seconds each policy looks at each open incident of its class and
 * decides, with a named reason for acting and for not acting. A decision is made again in the transaction that carries it
 * out, on what is stored then: replicas agree, and cool-downs and budgets survive restarts. Only how long a measure has been
 * past its threshold is remembered here, so a restart makes it wait anew.
 */
export function createRemediation(deps: RemediationDeps): Remediator {
  const { store, clock, log } = deps
  const sight = createSight(deps.services, clock)
  const keep = { store, sight, onStored: deps.onStored }
  const onsets = new Map<string, Onset>()
  const noted = new Map<string, Noted>()
  /** why a policy is held back, as far as the story says it already */
  const told = new Map<string, string>()
  let lookAt = 0
  let breaches = 0
  let underWay: Promise<void> | null = null

  async function round(): Promise<void> {
    const now = clock()
    // A clock that was set back must not make it wait.
    if (now < lookAt && lookAt - now <= LOOK_EVERY) return
    lookAt = now + LOOK_EVERY
    const automation = readSwitch(await store.meta(AUTOMATION_KEY))
    if (automation.state === 'off') await stopRuns(automation, now)
    for (const { action, state } of await verifyDue({ store, policy: deps.policy, sight }, now)) {
      deps.onAction(action, state)
      deps.onStored()
    }
    await look(now, automation.state)
  }

  /** The global stop: what policies have under way is asked to stop (`/claw automation off`). */
  async function stopRuns({ by }: AutomationSwitch, now: number): Promise<void> {
    const mine = (runs: readonly WorkflowRun[]) => runs.filter((run) => isPolicy(run.by) && run.cancelledBy === null)
    const query = { states: ['running'], limit: MAX_RUNS }
    if (mine(await store.workflows(query)).length === 0) return
    await store.write(async (tx) => {
      for (const run of mine(await tx.workflows(query))) await tx.cancelWorkflow(run.id, by, now)
    })
    deps.wakeWorkflows()
  }

  async function look(now: number, automation: AutomationSwitch['state']): Promise<void> {
    const policy = deps.policy()
    const active = policy.remediation.filter((one) => one.mode !== 'off')
    const open: Incident[] = []
    let before: number | null = null
    for (let page = 0; page < MAX_PAGES; page++) {
      const found = await store.listIncidents({ states: ['open', 'acknowledged'], limit: PER_PAGE, before })
      open.push(...found)
      before = found.at(-1)?.id ?? null
      if (found.length < PER_PAGE) break
    }
    const candidates = open.filter((incident) => isCandidate(incident, active))
    forget(candidates)
    if (candidates.length === 0) {
      breaches = 0
      return
    }
    const outside = await sight.regions()
    const at: Look = {
      ...outside,
      now,
      policy,
      conflicts: await conflictsFor(candidates, active),
      cluster: deps.services().cluster !== null,
      alertsAlone: deps.alertsAlone ?? false,
      automation,
      recent: await store.workflows({ limit: MAX_RUNS }),
      running: await store.workflows({ states: ['running'], limit: MAX_RUNS }),
      breach: await breach(policy, active),
    }
    let acts = 0
    for (const incident of candidates) acts += await lookAtIncident(incident, at, MAX_ACTS - acts)
  }

  function isCandidate(incident: Incident, active: readonly RemediationPolicy[]): boolean {
    if (incident.synthetic) return false
    if (incident.pageHeld !== undefined || (incident.proposals?.length ?? 0) > 0) return true
    return incident.firing > 0 && active.some((policy) => concerns(policy, incident.classes))
  }

  function forget(candidates: readonly Incident[]): void {
    const ids = new Set(candidates.map(({ id }) => id))
    sight.keepOnly(ids)
    for (const map of [onsets, noted, told]) {
      for (const key of map.keys()) if (!ids.has(Number(key.slice(0, key.indexOf(' '))))) map.delete(key)
    }
  }

  async function breach(policy: Policy, active: readonly RemediationPolicy[]): Promise<string | null> {
    if (policy.slo === null || !active.some((one) => one.mode === 'automatic')) return null
    const found = breachOf(policy.slo, await sight.errorRatio(policy.slo.query))
    breaches = found === null ? 0 : breaches + 1
    return breaches >= BREACH_LOOKS ? found : null
  }

  /** @returns how much it did */
  async function lookAtIncident(incident: Incident, at: Look, room: number): Promise<number> {
    const { id } = incident
    const before = await glance(store, sight, incident, at)
    if (incident.pageHeld !== undefined) await releasePage(keep, incident, before.facts, at)
    const seen = (await tidyProposals(keep, before, at)) ? await see(store, sight, id, at) : before
    if (!seen) return 0
    const { facts, history } = seen
    const why = facts.incident.stopped ? null : stopReason(at.policy, facts, history, at.breach, at.now)
    if (why !== null) {
      await stop(id, at)
      return 1
    }
    let acts = 0
    const present = new Set<string>()
    for (const own of at.policy.remediation) {
      for (const weighed of await weigh(store, own, facts, history, at.now, true)) {
        const key = keyOf(id, own.name, weighed.trigger.region)
        present.add(key)
        let decision = weighed.decision
        if (decision.do !== 'nothing' && acts < room) {
          decision = (await carryOut(id, own, weighed.trigger.region, at)) ?? decision
          acts += 1
        }
        note(key, { ...decision, incident: id, at: at.now })
        await tellHeldBack(keep, told, key, decision, own, id, at)
      }
    }
    for (const map of [onsets, noted, told]) {
      for (const key of map.keys()) if (key.startsWith(`${id} `) && !present.has(key)) map.delete(key)
    }
    return acts
  }

  /** Asked only where a reconcile may follow. */
  async function conflictsFor(candidates: readonly Incident[], active: readonly RemediationPolicy[]) {
    const wanted = active.filter((one) => one.action === 'reconcile')
    const asks = candidates.some(({ classes }) => wanted.some((one) => concerns(one, classes)))
    return asks ? await sight.conflicts() : null
  }

  /** What a policy decides about each region. `learn`: this look is one more sighting of its measure. */
  async function weigh(
    reads: Pick<Reads, 'remediations'>,
    own: RemediationPolicy,
    facts: RemedyFacts,
    history: readonly Remediation[],
    now: number,
    learn: boolean,
  ): Promise<Weighed[]> {
    const weighed: Weighed[] = []
    for (const trigger of own.mode === 'off' ? [] : triggersOf(own, facts, now)) {
      const key = keyOf(facts.incident.id, own.name, trigger.region)
      const onset = learn ? onsetOf(onsets.get(key), trigger, now) : (onsets.get(key) ?? { since: null, seen: false })
      if (learn) onsets.set(key, onset)
      let decision = decide(own, trigger, onset, facts, history, now)
      if (decision.do !== 'nothing') {
        // What it did in other incidents counts for cool-down and budget.
        const since = now - Math.max(own.coolDown, own.budget.per)
        const others = await reads.remediations({ policy: own.name, since, limit: MAX_HISTORY })
        const mine = new Set(others.map(({ id }) => id))
        decision = decide(own, trigger, onset, facts, [...others, ...history.filter(({ id }) => !mine.has(id))], now)
      }
      weighed.push({ own, trigger, decision, facts })
    }
    return weighed
  }

  /** Decides again on what is stored now, and carries it out in the same transaction. @returns the decision that stood */
  async function carryOut(id: number, own: RemediationPolicy, region: string, at: Look): Promise<Decision | null> {
    const { now, policy } = at
    const { settings } = deps.services()
    let applied: Applied | null = null
    const stood = await store.write(async (tx) => {
      applied = null
      const seen = await see(tx, sight, id, at)
      const weighed = seen ? await weigh(tx, own, seen.facts, seen.history, now, false) : []
      const found = weighed.find(({ trigger }) => trigger.region === region)
      if (!found || found.decision.do === 'nothing') return found?.decision ?? null
      const act = actOf(own, region, found.facts, settings)
      applied = await apply(tx, { decision: found.decision, own, act, incident: id }, policy, now)
      return applied === 'busy' ? busy(found.decision) : found.decision
    })
    const outcome: Applied | null = applied
    if (outcome === null || outcome === 'busy') return stood
    log.info({ incident: id, policy: own.name, region, outcome }, stood?.text ?? '')
    deps.onAction(own.action, outcome)
    deps.onStored()
    if (outcome === 'started') deps.wakeWorkflows()
    return stood
  }

  function note(key: string, decision: Noted): void {
    noted.set(key, decision)
    deps.onDecision?.(decision)
  }

  async function stop(id: number, at: Look): Promise<void> {
    const why = await store.write(async (tx) => {
      const seen = await see(tx, sight, id, at)
      if (!seen || seen.incident.automationStopped) return null
      const reason = stopReason(at.policy, seen.facts, seen.history, at.breach, at.now)
      if (reason !== null) await stopAutomation(tx, id, reason, at.policy, at.now)
      return reason
    })
    if (why === null) return
    log.warn({ incident: id }, `automation stopped: ${why}`)
    deps.onAction('automation', 'stopped')
    deps.onStored()
  }

  return {
    tick() {
      underWay ??= round()
        .catch((error) => log.error({ err: error }, `remediation failed, trying again: ${messageOf(error)}`))
        .finally(() => {
          underWay = null
        })
      return underWay
    },
    decisions: () => [...noted.values()],
  }
}

/** Begins with the incident's id and a blank, see `forget`. */
const keyOf = (incident: number, policy: string, region: string): string =>
  `${incident} ${JSON.stringify([policy, region])}`

const busy = (decision: Decision): Decision => ({
  ...decision,
  do: 'nothing',
  name: 'busy',
  text: 'Another operation is in the way',
})

export type { RemediationServices } from './remediation-sight.ts'
