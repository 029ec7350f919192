import { listOf } from '../core/acts.ts'
import type { EdgeRegion } from '../core/edge.ts'
import { type Incident, tell } from '../core/incident.ts'
import type { Policy } from '../core/policy.ts'
import { actorName, policyActor, type RemediationPolicy } from '../core/remediation.ts'
import { type Decision, modeOf, type RemedyFacts, triggersOf } from '../core/remedy.ts'
import { FELT, pastUsual } from '../core/remedy-measure.ts'
import { holdUntil } from '../core/remedy-stop.ts'
import type { Store } from '../core/store.ts'
import { change, takenUp } from './remediation-apply.ts'
import { type Look, type Seen, see } from './remediation-look.ts'
import type { Sight } from './remediation-sight.ts'

type Deps = { store: Store; sight: Sight; onStored: () => void }

/** Lines of the story among which one is looked for that was said before a restart. */
const LOOK_BACK = 100

/** Proposals that somebody took up or that nothing asks for any more go away. @returns whether something changed */
export async function tidyProposals({ store, sight, onStored }: Deps, seen: Seen, at: Look): Promise<boolean> {
  if (!wanting(seen, at)) return false
  const changed = await store.write(async (tx) => {
    const now = await see(tx, sight, seen.incident.id, at)
    const wanted = now ? wanting(now, at) : null
    if (!wanted) return false
    for (const one of wanted.taken) await tx.saveRemediation(one)
    if (wanted.left === null) return true
    const { left } = wanted
    await change(tx, seen.incident.id, at.policy, at.now, (draft) => {
      if (left.length > 0) draft.incident.proposals = left
      else delete draft.incident.proposals
      draft.visible = true
    })
    return true
  })
  if (changed) onStored()
  return changed
}

/** What has to change: remediations that were taken up, and the proposals that stay, null when all do; null for nothing. */
function wanting({ incident, facts, history }: Seen, at: Look) {
  const proposals = incident.proposals ?? []
  const taken = takenUp(history, [...at.recent, ...facts.runs], at.now)
  const left = proposals.filter(
    ({ policy, region }) =>
      !taken.some((one) => one.policy === policy && one.region === region) &&
      stillWanted(at.policy, facts, policy, region, at.now),
  )
  if (taken.length === 0 && left.length === proposals.length) return null
  return { taken, left: left.length === proposals.length ? null : left }
}

function stillWanted(policy: Policy, facts: RemedyFacts, name: string, region: string, now: number): boolean {
  const own = policy.remediation.find((one) => one.name === name)
  if (!own || modeOf(own) !== 'suggest' || facts.automation === 'off') return false
  return triggersOf(own, facts, now).some((trigger) => trigger.region === region && trigger.holds !== false)
}

/** A page that waited for a policy goes out at once when the policy can no longer spare it. */
export async function releasePage(
  { store, onStored }: Deps,
  incident: Incident,
  facts: RemedyFacts,
  { policy, regions, now }: Look,
): Promise<void> {
  const classes = facts.alerts.map((one) => one.class).filter((one) => one !== null)
  const unknown = facts.alerts.some((one) => one.class === null)
  const here = regions?.filter(({ region }) => incident.allRegions.includes(region)) ?? null
  const may = facts.automation === 'on' && !unknown
  const until = may ? holdUntil({ ...incident, classes: [...new Set(classes)] }, policy.remediation, now, here) : null
  if (until !== null && until >= (incident.pageHeld ?? 0)) return
  await store.write((tx) =>
    change(tx, incident.id, policy, now, (draft) => {
      if (draft.incident.pageHeld === undefined) return
      const early = now < draft.incident.pageHeld && draft.incident.state === 'open'
      delete draft.incident.pageHeld
      if (!early) return
      tell(draft, now, 'page_released', `The page waits no longer: ${whyReleased(incident, facts, here)}.`, false)
      draft.push = true
    }),
  )
  onStored()
}

function whyReleased(
  { automationStopped }: Pick<Incident, 'automationStopped'>,
  facts: RemedyFacts,
  here: readonly EdgeRegion[] | null,
): string {
  if (facts.automation === 'off') return 'automation is off'
  if (automationStopped) return 'automation has stopped for this incident'
  const felt = (here ?? []).flatMap((region) => pastUsual(FELT, region).map((what) => `${what} in ${region.region}`))
  return felt.length > 0
    ? `users are touched (${listOf(felt.slice(0, 3))})`
    : 'no policy can heal it by itself any more'
}

/** Budget and preconditions hold a policy back for longer: the story says so, once while it stays so. */
export async function tellHeldBack(
  { store, onStored }: Deps,
  told: Map<string, string>,
  key: string,
  decision: Decision,
  own: RemediationPolicy,
  id: number,
  { policy, now }: Look,
): Promise<void> {
  const isSaid = decision.name === 'budget' || decision.name === 'precondition'
  if (!isSaid || own.mode === 'shadow') {
    if (decision.do !== 'nothing') told.delete(key)
    return
  }
  if (told.get(key) === decision.name) return
  told.set(key, decision.name)
  const actor = policyActor(own.name)
  const where = decision.region === '' ? '' : ` in ${decision.region}`
  const kind = decision.name === 'budget' ? 'remediation_budget' : 'remediation_held_back'
  const said = `${actorName(actor)} does not act${where}: `
  const stored = await store.write(async (tx) => {
    const story = await tx.story(id, LOOK_BACK)
    const last = story.findLast((line) => line.actor === actor && line.kind.startsWith('remediation'))
    // Said before a restart, or by another replica.
    if (last?.kind === kind && last.text.startsWith(said)) return false
    await change(tx, id, policy, now, (draft) => {
      // Automation has given up for now: somebody has to decide.
      const push = decision.name === 'budget' && own.mode === 'automatic'
      tell(draft, now, kind, `${said}${decision.text}.`, push, actor)
    })
    return true
  })
  if (stored) onStored()
}
