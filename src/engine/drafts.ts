import type { Labels } from '../core/alert.ts'
import { type Draft, draftOf, newIncident } from '../core/incident.ts'
import type { Policy } from '../core/policy.ts'
import type { Tx } from '../core/store.ts'

/** Merges of merges that are followed. */
const MAX_HOPS = 5

/** The incidents that a transaction touches, each loaded once. */
export class Drafts {
  readonly byId = new Map<number, Draft>()
  readonly #latest = new Map<string, Draft | null>()
  readonly #tx: Tx
  #nextId: number | null = null

  constructor(tx: Tx) {
    this.#tx = tx
  }

  async preload(keys: readonly string[], ids: readonly number[]): Promise<void> {
    if (keys.length > 0) {
      for (const key of keys) this.#latest.set(key, null)
      for (const incident of await this.#tx.latestIncidents(keys)) {
        const draft = draftOf(incident)
        this.byId.set(incident.id, draft)
        this.#latest.set(incident.key, draft)
      }
    }
    const missing = ids.filter((id) => !this.byId.has(id))
    if (missing.length > 0) {
      for (const incident of await this.#tx.incidents(missing)) this.byId.set(incident.id, draftOf(incident))
    }
  }

  async latest(key: string): Promise<Draft | null> {
    let draft = this.#latest.get(key)
    if (draft === undefined) {
      const [incident] = await this.#tx.latestIncidents([key])
      draft = incident ? (this.byId.get(incident.id) ?? draftOf(incident)) : null
      if (draft) this.byId.set(draft.incident.id, draft)
      this.#latest.set(key, draft)
    }
    for (let hop = 0; draft?.incident.mergedInto !== undefined && hop < MAX_HOPS; hop++) {
      draft = await this.get(draft.incident.mergedInto)
    }
    return draft
  }

  async get(id: number): Promise<Draft | null> {
    if (!this.byId.has(id)) await this.preload([], [id])
    return this.byId.get(id) ?? null
  }

  async create(key: string, keyLabels: Labels, now: number): Promise<Draft> {
    const id = this.#nextId ?? (await this.#tx.nextIncidentId())
    this.#nextId = id + 1
    const draft = draftOf(newIncident(id, key, keyLabels, now), true)
    this.byId.set(id, draft)
    this.#latest.set(key, draft)
    return draft
  }
}

/** Contract.md, section 8: open incidents always; resolved ones within the window for the same, or for another alert. */
export function mayJoin(draft: Draft, same: boolean, policy: Policy, now: number): boolean {
  const { incident } = draft
  if (incident.state !== 'resolved' || incident.resolvedAt === null) return true
  return now - incident.resolvedAt <= (same ? policy.reopenWithin : policy.correlationWindow)
}
