import type { Destination, DestinationSpec, Json } from '../core/delivery.ts'

/** One thing that a destination would have got. */
export type Sent = {
  at: number
  incident: string
  destination: string
  what: 'page' | 'acknowledge' | 'resolve' | 'message' | 'edit' | 'push'
  text: string
}

type State = { version: number; seq: number; pages: Record<string, string> }

/** A destination that sends nothing and notes what it would have sent: pages for PagerDuty, messages for everything else. */
export function createRecorder(spec: DestinationSpec, note: (sent: Sent) => void): Destination {
  return {
    kind: spec.kind,
    lane: spec.lane,
    pacing: { concurrency: 16, perTarget: 16, lane: null, target: null, reserve: 0 },
    async step({ incident, state, now, target }) {
      const known = (state ?? { version: 0, seq: 0, pages: {} }) as State
      const destination = spec.lane.startsWith('webhook') ? spec.lane : `${spec.lane}:${target}`
      const send = (what: Sent['what'], text: string) =>
        note({ at: now, incident: incident.id, destination, what, text })
      if (spec.kind === 'pagerduty') {
        for (const page of incident.pages) {
          const before = known.pages[page.key] ?? ''
          const wanted = `${page.generation} ${page.state}`
          if (before === wanted) continue
          if (!before.startsWith(`${page.generation} `)) send('page', incident.headline)
          if (page.state === 'resolved') send('resolve', incident.headline)
          if (page.state === 'acknowledged') send('acknowledge', incident.headline)
        }
      } else if (known.version === 0) {
        send('message', incident.headline)
      } else {
        const pushes = incident.story.filter((event) => event.push && event.seq > known.seq)
        for (const event of pushes) send('push', event.text)
        if (incident.version > known.version) send('edit', incident.headline)
      }
      const next: State = {
        version: incident.version,
        seq: incident.story.at(-1)?.seq ?? known.seq,
        pages: Object.fromEntries(incident.pages.map((page) => [page.key, `${page.generation} ${page.state}`])),
      }
      return { outcome: 'done', state: next as unknown as Json, reference: incident.id }
    },
    async close() {},
  }
}
