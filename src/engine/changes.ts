import type { Labels } from '../core/alert.ts'
import { tickAll } from '../core/checklist.ts'
import { SECOND } from '../core/clock.ts'
import { type Draft, seal } from '../core/incident.ts'
import { muted, type Policy, routingLabels } from '../core/policy.ts'
import { holdUntil } from '../core/remedy-stop.ts'
import { routeAlert } from '../core/routing.ts'
import type { NewDelivery, Tx } from '../core/store.ts'

/** Silent edits wait this long, so that a burst of changes becomes one edit. */
export const EDIT_DELAY = SECOND

/** Most alerts of one incident that are routed again when its level rises. */
const REROUTE_LIMIT = 1000

/** Where acknowledgements are told to the edge, and where Grafana hears of incidents: no receiver leads there. */
const EDGE = { kind: 'edge', lane: 'edge', target: 'edge', receiver: 'edge' } as const satisfies Partial<NewDelivery>
const GRAFANA = {
  kind: 'grafana',
  lane: 'grafana',
  target: 'grafana',
  receiver: 'grafana',
} as const satisfies Partial<NewDelivery>

/**
 * The receivers that an alert reaches at the incident's level join the incident; they never leave (contract.md, section 8).
 * A muted one is remembered and joins when its interval is over.
 */
export function routeInto(draft: Draft, labels: Labels, policy: Policy, now: number): void {
  const { incident } = draft
  for (const hit of routeAlert(policy.route, routingLabels(labels, incident.level))) {
    if (incident.receivers.some((receiver) => receiver.name === hit.receiver)) continue
    if (muted(policy, hit, now) === null) {
      incident.receivers.push({ name: hit.receiver, why: hit.why })
    } else if (!incident.muted.some((known) => known.name === hit.receiver && known.why === hit.why)) {
      incident.muted.push({
        name: hit.receiver,
        why: hit.why,
        mute: hit.muteTimeIntervals,
        active: hit.activeTimeIntervals,
      })
    }
  }
}

/**
 * Stores drafts: the incident, its story, deliveries for receivers that are new to it, and a nudge for those that it has.
 * @param joined labels of alerts that joined in this transaction, for drafts whose level rose
 */
export async function storeDrafts(
  tx: Tx,
  drafts: readonly Draft[],
  policy: Policy,
  now: number,
  joined: (draft: Draft) => readonly Labels[] = () => [],
): Promise<void> {
  const changed: Draft[] = []
  for (const draft of drafts) {
    if (draft.reroute) {
      for (const labels of joined(draft)) routeInto(draft, labels, policy, now)
      if (!draft.isNew) {
        for (const row of await tx.firingRows(draft.incident.id, REROUTE_LIMIT)) {
          routeInto(draft, row.payload.labels, policy, now)
        }
      }
    }
    const ticked = tickAll(draft.incident.checklist, draft.story)
    if (ticked !== draft.incident.checklist && ticked !== undefined) draft.incident.checklist = [...ticked]
    const held = draft.isNew ? holdUntil(draft.incident, policy.remediation, now) : null
    if (held !== null) draft.incident.pageHeld = held
    seal(draft, now)
    changed.push(draft)
  }
  if (changed.length === 0) return
  const visible = changed.filter((draft) => draft.visible)
  const story = visible.flatMap((draft) => draft.story.map((event) => ({ ...event, incidentId: draft.incident.id })))
  // Deliveries are woken before new ones are added, which need it not; the rest has no order.
  await Promise.all([
    tx.saveIncidents(changed.map((draft) => draft.incident)),
    tx.addStory(story),
    tx.wakeDeliveries(
      visible
        .filter((draft) => !draft.isNew)
        .map((draft) => ({
          incidentId: draft.incident.id,
          wanted: draft.incident.version,
          priority: draft.push ? 0 : 1,
          dueAt: draft.push ? now : now + EDIT_DELAY,
          changedAt: now,
        })),
    ),
    tx.addDeliveries(visible.flatMap((draft) => newDeliveries(draft, policy, now))),
  ])
}

/** Destinations that the incident has already are left alone by the store. */
function newDeliveries(draft: Draft, policy: Policy, now: number): NewDelivery[] {
  const { incident } = draft
  // A reload must not reroute what is open, so only receivers that joined in this draft are looked up.
  const joined = incident.receivers.slice(draft.receiversBefore)
  const told = joined.flatMap((receiver) =>
    (policy.receivers.get(receiver.name)?.destinations ?? []).map((destination) => ({
      incidentId: incident.id,
      lane: destination.lane,
      kind: destination.kind,
      target: destination.target,
      receiver: receiver.name,
      settings: destination.settings,
      wanted: incident.version,
      // A page that waits for a policy exists from then on, so that its time-outs count from then.
      createdAt: destination.kind === 'pagerduty' ? Math.max(now, incident.pageHeld ?? 0) : now,
    })),
  )
  // The edge hears of acknowledgements only, so its delivery begins with the first one.
  if (policy.acknowledgeEdge && draft.story.some((event) => event.kind === 'acknowledged')) {
    told.push({ incidentId: incident.id, ...EDGE, settings: {}, wanted: incident.version, createdAt: now })
  }
  // A self-test is nothing that a graph should show.
  if (policy.annotateGrafana && draft.isNew && !incident.synthetic) {
    told.push({ incidentId: incident.id, ...GRAFANA, settings: {}, wanted: incident.version, createdAt: now })
  }
  return told
}
