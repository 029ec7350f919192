import { MINUTE } from '../core/clock.ts'
import type { Draft } from '../core/incident.ts'
import { draftOf, tell } from '../core/incident.ts'
import type { Policy } from '../core/policy.ts'
import { policyActor, type Remediation, type RemediationPolicy } from '../core/remediation.ts'
import { doneAt, type FiringGroup } from '../core/remedy.ts'
import { improved, MEASURES, valueIn } from '../core/remedy-measure.ts'
import type { Store, Tx } from '../core/store.ts'
import { runName, type WorkflowRun } from '../core/workflow.ts'
import { storeDrafts } from './changes.ts'
import type { EdgeSight, Sight } from './remediation-sight.ts'

/** Remediations looked at per round; no more are ever under way. */
const PER_ROUND = 200
/** When the policy is gone since a reload. */
const USUAL_AFTER = 2 * MINUTE

export type Verified = { action: string; state: Remediation['state'] }

/**
 * Looks whether what policies did has helped, once its time has come after the operation ended (system.md, section 3: every
 * automatic act has a check that it helped). Each outcome is stored with its line of the story, once.
 */
export async function verifyDue(
  deps: { store: Store; policy: () => Policy; sight: Sight },
  now: number,
): Promise<Verified[]> {
  const { store, sight } = deps
  const verified: Verified[] = []
  for (const remediation of await store.remediationsToVerify(now, PER_ROUND)) {
    const run = remediation.run === null ? null : await store.workflow(remediation.run)
    const done = run ? doneAt(run, now) : now
    if (done === null) continue
    const policy = deps.policy()
    const own = policy.remediation.find((one) => one.name === remediation.policy)
    const at = done + (own?.verify.after ?? USUAL_AFTER)
    const over = run === null || run.state === 'failed' || run.state === 'cancelled'
    if (!over && now < at) {
      if (remediation.verifyAt !== at) await store.write((tx) => postpone(tx, remediation, at))
      continue
    }
    const edge = over ? null : await sight.regions()
    const stored = await store.write(async (tx) => {
      const known = await current(tx, remediation)
      if (!known) return null
      const [incident] = await tx.incidents([remediation.incident])
      const alerts = incident && incident.firing > 0 ? await sight.alertsOf(tx, incident, policy) : []
      const judged = judge(known, run, own ?? null, edge, alerts)
      await tx.saveRemediation({ ...known, ...judged, verifyAt: null })
      if (incident) {
        const draft = draftOf(incident)
        tellOutcome(draft, { ...known, ...judged }, run, now)
        await storeDrafts(tx, [draft], policy, now)
      }
      return judged.state
    })
    if (stored) verified.push({ action: remediation.action, state: stored })
  }
  return verified
}

/** As stored now; null when another replica has judged it. */
async function current(tx: Tx, { id, incident }: Remediation): Promise<Remediation | null> {
  const found = (await tx.remediations({ incident, limit: PER_ROUND })).find((one) => one.id === id)
  return found?.state === 'running' && found.verifyAt !== null ? found : null
}

async function postpone(tx: Tx, remediation: Remediation, verifyAt: number): Promise<void> {
  const known = await current(tx, remediation)
  if (known) await tx.saveRemediation({ ...known, verifyAt })
}

/** Whether it helped: by the measure that it acted on, else by the alert. Nobody knows: unclear. */
function judge(
  remediation: Remediation,
  run: WorkflowRun | null,
  policy: RemediationPolicy | null,
  edge: EdgeSight | null,
  alerts: readonly FiringGroup[],
): Pick<Remediation, 'state' | 'measure'> {
  const { measure, region } = remediation
  if (run?.state === 'failed') return { state: 'failed', measure }
  if (run === null || run.state === 'cancelled') return { state: 'unclear', measure }
  const spec = measure === null ? null : MEASURES.find((one) => one.name === measure.name)
  if (measure && spec) {
    const worse = measure.before < measure.threshold ? 'below' : 'above'
    const after = valueIn(edge?.regions ?? null, region, spec, worse)
    if (after === null) return { state: 'unclear', measure }
    const helped = improved(measure.before, measure.threshold, after)
    return { state: helped ? 'helped' : 'not_helped', measure: { ...measure, after } }
  }
  if (policy === null) return { state: 'unclear', measure }
  const fires = alerts.some(
    (one) =>
      (policy.when.class === null || one.class === policy.when.class) &&
      (region === '' || one.region === '' || one.region === region),
  )
  return { state: fires ? 'not_helped' : 'helped', measure }
}

function tellOutcome(draft: Draft, remediation: Remediation, run: WorkflowRun | null, now: number): void {
  const { state, policy, region, action, measure } = remediation
  const name = run ? runName(run.id) : action
  const where = region === '' ? '' : ` in ${region}`
  const text = {
    helped: `${name} helped${where}: ${figures(measure) ?? 'its alert no longer fires'}.`,
    not_helped: `${name} did not help${where}: ${figures(measure) ?? 'its alert still fires'}.`,
    failed: `${name} failed, so it did not help${where}.`,
    unclear: `Whether ${name} helped${where} is not clear: ${run?.state === 'cancelled' ? 'it was stopped' : 'the edge does not say'}.`,
  }[state as 'helped' | 'not_helped' | 'failed' | 'unclear']
  tell(draft, now, `remediation_${state}`, text, false, policyActor(policy))
}

/** `bucket level from 4 % to 85 %, threshold 10 %`; null when there are none. */
function figures(measure: Remediation['measure']): string | null {
  const spec = MEASURES.find((one) => one.name === measure?.name)
  if (!measure || !spec || measure.after === null) return null
  return `${spec.name} from ${spec.show(measure.before)} to ${spec.show(measure.after)}, threshold ${spec.show(measure.threshold)}`
}
