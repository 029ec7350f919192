import type { IncidentView, StoryEvent } from '../../core/view.ts'

/** One annotation as Grafana stores it; `time` and `timeEnd` in ms since the epoch, `timeEnd` null for a point. */
export type Annotation = { time: number; timeEnd: number | null; text: string; tags: string[] }

/** What Grafana takes. */
export const LIMITS = {
  /**
   * Bytes of all tags as JSON: default and least value of `[annotations] tags_length` (Grafana, conf/defaults.ini); estimated as
   * pkg/services/annotations/annotationsimpl/xorm_store.go does
   */
  tags: 500,
  /** bytes of one tag: `tag.key`, VARCHAR(100) (Grafana, pkg/services/sqlstore/migrations/tag_mig.go) */
  tag: 100,
  /** characters of a text; the column (TEXT, 65 535 bytes with MySQL) would take more, nobody would read it */
  text: 1_000,
  /** annotations of one search; each tag searched for is on one, or on a few after a race */
  found: 10,
}

/** The tag that finds an incident's annotation again after a lost answer. */
export const incidentTag = (installation: string, incident: string): string =>
  `claw-incident-${installation}-${incident}`

/** The same of an operation, `o9`. */
export const actionTag = (installation: string, operation: string): string => `claw-action-${installation}-${operation}`

/** An incident: from when it opened to when it was resolved. */
export function ofIncident(incident: IncidentView, installation: string): Annotation {
  const { id, level, state, allRegions, headline, incidentUrl } = incident
  return {
    time: incident.openedAt,
    timeEnd: incident.resolvedAt,
    text: textOf(headline, incidentUrl, `Incident ${id}`),
    tags: tagsOf(['claw', incidentTag(installation, id), 'incident', level, state, ...allRegions]),
  }
}

/** What is known of an operation on the edge, from its incident's story. */
export type Act = { id: string; startedAt: number | null; endedAt: number | null; state: string; text: string }

const STARTED = /\bstarted (o\d+): (.+)$/s
const ENDED = /^(o\d+): (.+)$/s

/** What was done on the edge for an incident, as its story tells it; `startedAt` null where that holds the end alone. */
export function actsOf(story: readonly StoryEvent[]): Act[] {
  const acts = new Map<string, Act>()
  for (const { kind, at, text } of story) {
    if (kind === 'operation') {
      const [, id, title] = STARTED.exec(text) ?? []
      if (id === undefined || title === undefined || acts.has(id)) continue
      acts.set(id, { id, startedAt: at, endedAt: null, state: 'running', text: title })
    } else if (kind === 'operation_done' || kind === 'operation_failed') {
      const [, id, outcome] = ENDED.exec(text) ?? []
      if (id === undefined || outcome === undefined) continue
      const state = kind === 'operation_done' ? 'done' : 'failed'
      acts.set(id, { id, startedAt: acts.get(id)?.startedAt ?? null, endedAt: at, state, text: outcome })
    }
  }
  return [...acts.values()]
}

/** An operation: from its start to its end. `startedAt` is what was known of it before. */
export function ofAct(act: Act, incident: IncidentView, installation: string, startedAt: number | null): Annotation {
  return {
    time: act.startedAt ?? startedAt ?? act.endedAt ?? incident.openedAt,
    timeEnd: act.endedAt,
    text: textOf(`${act.id}: ${act.text}`, incident.incidentUrl, `Incident ${incident.id}`),
    tags: tagsOf(['claw', actionTag(installation, act.id), 'action', act.state]),
  }
}

/** Blanks of all kinds, control characters, and those that reorder text. */
const UNSEEN = /[\p{Cc}\s\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gu

/** Grafana shows texts as HTML, with what is dangerous taken out of it; what comes from alerts is to be no HTML at all. */
function textOf(text: string, url: string | null, name: string): string {
  const plain = escaped(cut(text.replace(UNSEEN, ' ').trim()))
  return url === null ? `${plain}<br>${name}` : `${plain}<br><a href="${escaped(url)}">${name}</a>`
}

function cut(text: string): string {
  return text.length <= LIMITS.text ? text.toWellFormed() : `${text.slice(0, LIMITS.text - 1).toWellFormed()}…`
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
}

/** As many as there is room for, the first ones first; a colon would split a tag into key and value (pkg/services/tag/model.go). */
function tagsOf(wanted: readonly string[]): string[] {
  const tags: string[] = []
  let room = LIMITS.tags - '[]'.length
  for (const raw of wanted) {
    const tag = raw.replaceAll(':', ' ').replace(UNSEEN, ' ').trim().toWellFormed()
    const bytes = Buffer.byteLength(tag)
    const taken = bytes + '"",'.length
    if (tag === '' || tags.includes(tag) || bytes > LIMITS.tag || taken > room) continue
    room -= taken
    tags.push(tag)
  }
  return tags
}
