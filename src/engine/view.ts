import type { Incident } from '../core/incident.ts'
import { buildView } from '../core/incidentview.ts'
import type { Policy } from '../core/policy.ts'
import type { Store } from '../core/store.ts'
import type { Traced } from '../core/trace.ts'
import type { IncidentView, StoryEvent } from '../core/view.ts'
import type { WorkflowRun } from '../core/workflow.ts'
import type { Signals } from './signals.ts'

export type ViewDeps = {
  store: Store
  policy: () => Policy
  signals: Signals
  /** names of who is on call, as far as known */
  onCall?: () => string[]
  /** base of links to incidents; null when Claw has no public address */
  publicUrl: () => string | null
}

/** Alerts in a message, and story lines that a message may quote. */
const VIEW_ALERTS = 10
const VIEW_STORY = 50
const VIEW_RUNS = 20

export type Views = {
  /** Loads what is stored of an incident and makes it presentable; null when it is gone. */
  load(id: number): Promise<(IncidentView & Traced) | null>
  of(incident: Incident): Promise<IncidentView>
}

/** Builds views; asks the edge or Prometheus for the bucket level, briefly, and falls back to what alerts said. */
export function createViews(deps: ViewDeps): Views {
  /** Operations leave lines in the story: where there are none, nothing needs to be asked. */
  async function runsOf({ id }: Incident, story: readonly StoryEvent[]): Promise<WorkflowRun[]> {
    if (!story.some(({ kind }) => kind.startsWith('operation') || kind.startsWith('step'))) return []
    return deps.store.workflows({ incident: id, limit: VIEW_RUNS })
  }

  async function of(incident: Incident): Promise<IncidentView> {
    const regions = Object.keys(incident.regions)
    const asked = incident.state === 'resolved' ? incident.allRegions : regions
    const [alerts, story, level] = await Promise.all([
      deps.store.alertsOf(incident.id, VIEW_ALERTS),
      deps.store.story(incident.id, VIEW_STORY),
      deps.signals.bucket(asked.length > 0 ? asked : incident.allRegions),
    ])
    const runs = await runsOf(incident, story)
    const publicUrl = deps.publicUrl()
    const view = buildView({ incident, alerts, story, level, policy: deps.policy(), publicUrl, runs })
    return { ...view, onCall: deps.onCall?.() ?? [] }
  }
  return {
    of,
    async load(id) {
      const [incident] = await deps.store.incidents([id])
      if (!incident) return null
      const view = await of(incident)
      return incident.traces === undefined ? view : { ...view, traces: incident.traces }
    },
  }
}
