import type { Draft, Proposal } from '../core/incident.ts'
import { draftOf, tell } from '../core/incident.ts'
import type { Policy } from '../core/policy.ts'
import { isPolicy, policyActor, type Remediation, type RemediationPolicy } from '../core/remediation.ts'
import { type Decision, modeOf } from '../core/remedy.ts'
import type { PlannedAct } from '../core/remedy-act.ts'
import type { Tx } from '../core/store.ts'
import { worsen } from '../core/transitions.ts'
import { runName, type WorkflowRun } from '../core/workflow.ts'
import { storeDrafts } from './changes.ts'
import { inTheWay, startRun } from './runs.ts'

/** Proposals that an incident shows at most; the newest stay. */
const MAX_PROPOSALS = 3

export type Applied = 'started' | 'suggested' | 'shadow' | 'busy'

/**
 * Carries out a decision within the transaction that it was made in: starts the operation, proposes it, or records what it
 * would have done; with the remediation's row, the line of the story and the audit entry.
 */
export async function apply(
  tx: Tx,
  what: { decision: Decision; own: RemediationPolicy; act: PlannedAct; incident: number },
  policy: Policy,
  now: number,
): Promise<Applied> {
  const { decision, own, act, incident } = what
  const actor = policyActor(own.name)
  const row: Remediation = {
    id: 0,
    policy: own.name,
    incident,
    region: decision.region,
    covers: act.run.regions,
    action: own.action,
    mode: modeOf(own),
    at: now,
    reason: decision.text,
    run: null,
    state: 'shadow',
    measure: decision.measure,
    verifyAt: null,
  }
  const because = `${decision.text}.`
  if (decision.do === 'record') {
    await tx.saveRemediation(row)
    await change(tx, incident, policy, now, (draft) => {
      tell(draft, now, 'remediation_shadow', `Would have done: ${act.run.title}. Why: ${because}`, false, actor)
    })
    return 'shadow'
  }
  if (decision.do === 'propose') {
    await tx.saveRemediation({ ...row, state: 'suggested' })
    await change(tx, incident, policy, now, (draft) => {
      const { label, command } = act
      const proposal: Proposal = { label, command, policy: own.name, at: now, region: decision.region }
      const others = (draft.incident.proposals ?? []).filter((one) => one.command !== command)
      draft.incident.proposals = [...others, proposal].slice(-MAX_PROPOSALS)
      const text = `Proposal: ${act.run.title}. Why: ${because} To do it: /claw ${command}`
      tell(draft, now, 'remediation_suggested', text, true, actor)
    })
    return 'suggested'
  }
  const wanted = { ...act.run, incident, by: actor, via: 'claw' as const, replyTo: null }
  if (await inTheWay(tx, wanted)) return 'busy'
  const { run } = await startRun(tx, wanted, policy, now)
  if (!run) return 'busy'
  await tx.saveRemediation({ ...row, state: 'running', run: run.id, verifyAt: now })
  await change(tx, incident, policy, now, (draft) => {
    tell(draft, now, 'remediation', `Why ${runName(run.id)}: ${because}`, false, actor)
  })
  await audit(tx, now, actor, own.action, incident, 'started', `${runName(run.id)} ${run.title}: ${decision.text}`)
  return 'started'
}

/** Ends automation for an incident: says so aloud, pages, and tells the leads (system.md, section 3). */
export async function stopAutomation(
  tx: Tx,
  incident: number,
  why: string,
  policy: Policy,
  now: number,
): Promise<void> {
  const { leads } = policy.automation
  await change(tx, incident, policy, now, (draft) => {
    const joins =
      leads !== null && policy.receivers.has(leads) && !draft.incident.receivers.some(({ name }) => name === leads)
    if (joins) draft.incident.receivers.push({ name: leads, why: 'automation stopped: the engineering leads' })
    const text = `Automation stopped for this incident: ${why}.${joins ? ` Telling ${leads}.` : ''} A person has to take over.`
    draft.incident.automationStopped = { at: now, why }
    worsen(draft, text)
    tell(draft, now, 'automation_stopped', text, true)
  })
  await audit(tx, now, 'claw', 'automation stop', incident, 'done', why)
}

/**
 * Proposals whose command a person has run: from then on each is judged like an act of the policy. `history`: newest first.
 * @returns the remediations as they have to be stored
 */
export function takenUp(history: readonly Remediation[], recent: readonly WorkflowRun[], now: number): Remediation[] {
  const taken: Remediation[] = []
  const claimed = new Set(history.map((one) => one.run))
  const seen = new Set<string>()
  for (const one of history) {
    const key = JSON.stringify([one.policy, one.region])
    // An older proposal of the same was replaced by the newer one.
    if (seen.has(key)) continue
    seen.add(key)
    if (one.state !== 'suggested') continue
    const where = [one.region, ...(one.covers ?? [])]
    const run = recent.find(
      ({ id, kind, by, startedAt, regions }) =>
        kind === one.action &&
        !isPolicy(by) &&
        startedAt >= one.at &&
        !claimed.has(id) &&
        (regions.length === 0 || where.includes('') || regions.some((region) => where.includes(region))),
    )
    if (!run) continue
    claimed.add(run.id)
    taken.push({ ...one, run: run.id, state: 'running', verifyAt: now })
  }
  return taken
}

/** Changes an incident and stores it; nothing happens when it is gone. */
export async function change(
  tx: Tx,
  id: number,
  policy: Policy,
  now: number,
  work: (draft: Draft) => void,
): Promise<void> {
  const [incident] = await tx.incidents([id])
  if (!incident) return
  const draft = draftOf(incident)
  work(draft)
  await storeDrafts(tx, [draft], policy, now)
}

async function audit(
  tx: Tx,
  now: number,
  actor: string,
  action: string,
  incident: number,
  outcome: string,
  detail: string,
): Promise<void> {
  await tx.appendAudit({
    at: new Date(now).toISOString(),
    actor,
    via: 'claw',
    action,
    target: `incident ${incident}`,
    outcome,
    detail: detail.slice(0, 1000),
  })
}
