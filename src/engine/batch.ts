import type { Alert, Labels } from '../core/alert.ts'
import type { Draft, Occurrence } from '../core/incident.ts'
import { type Reception, receive } from '../core/occurrence.ts'
import type { Policy } from '../core/policy.ts'
import { inhibitSourceKeys, inhibitTargetKeys } from '../core/routing.ts'
import { levelOf } from '../core/severity.ts'
import type { OccurrencePayload, OccurrenceRow, Touch, Tx } from '../core/store.ts'
import { MAX_TRACES } from '../core/trace.ts'
import { endAlert, type Joining, joinAlert, releaseAlert, settle, type TransitionRules } from '../core/transitions.ts'
import { routeInto, storeDrafts } from './changes.ts'
import { Drafts, mayJoin } from './drafts.ts'
import {
  type ActiveSilence,
  annotatedRatio,
  digestOf,
  heartbeatSource,
  inForce,
  judge,
  keyOf,
  nameOf,
  payloadOf,
  type ReceivedAlert,
  regionOf,
  SELF_TEST,
} from './judge.ts'

/** One webhook, validated. */
export type Received = {
  alerts: readonly ReceivedAlert[]
  /** `traceparent` of the span that it is stored in; absent where nothing is traced */
  trace?: string
}

export type BatchContext = {
  policy: Policy
  now: number
  believes: boolean
  /** unchanged repeats are handed back instead of being written */
  countLater?: boolean
}

export type BatchResult = {
  decisions: Map<Reception['decision'] | 'heartbeat', number>
  changed: boolean
  /** something is due at once, not only a silent edit */
  urgent: boolean
  opened: { id: number; level: string; key: string }[]
  /** receptions to be counted later; only with `countLater` */
  repeats: { fingerprint: string; incidentId: number }[]
}

/** How an occurrence must be written: each once per transaction, however many receptions it had. */
type Work = {
  occurrence: Occurrence
  payload: OccurrencePayload | null
  write: 'insert' | 'touch' | 'update' | 'state' | 'none'
}

export function transitionRules(policy: Policy, believes: boolean): TransitionRules {
  return {
    raiseAtRegions: policy.raiseAtRegions,
    flapping: policy.flapping,
    recheckAfterResolve: policy.recheckAfterResolve,
    believes,
  }
}

/**
 * Decides and stores a batch of webhooks in one transaction. Deterministic: the same state, webhooks and time give the same
 * rows. A storm costs a few statements per batch, not per alert.
 */
export async function storeBatch(tx: Tx, webhooks: readonly Received[], context: BatchContext): Promise<BatchResult> {
  const { policy, now } = context
  const batch = new Batch(tx, context)
  const all = webhooks.flatMap((webhook) => webhook.alerts)
  const heartbeats = new Set<string>()
  const ordinary = all.filter((alert) => {
    if (nameOf(alert.labels) !== policy.heartbeat.alertname) return true
    if (alert.status === 'firing') heartbeats.add(heartbeatSource(alert.labels))
    batch.count('heartbeat')
    return false
  })
  for (const source of heartbeats) await tx.beat(source, now)
  await batch.load(ordinary)
  for (const webhook of webhooks) {
    for (const alert of webhook.alerts) {
      if (nameOf(alert.labels) !== policy.heartbeat.alertname) await batch.take(alert)
    }
    batch.settle(webhook.trace)
  }
  return batch.store()
}

export class Batch {
  readonly #tx: Tx
  readonly #context: BatchContext
  readonly #rules: TransitionRules
  readonly #works: Work[] = []
  readonly #known = new Map<string, Work>()
  /** drafts touched in this transaction, and the labels of what joined them */
  readonly #touched = new Map<Draft, Labels[]>()
  /** the same, of the webhook at hand */
  #current = new Map<Draft, Labels[]>()
  readonly #inhibitors = new Map<string, Set<string>>()
  readonly #newInhibitors: { key: string; fingerprint: string }[] = []
  readonly #ended: string[] = []
  readonly #repeats: { fingerprint: string; incidentId: number }[] = []
  readonly #opened: Draft[] = []
  #silences: readonly ActiveSilence[] | null = null
  readonly drafts: Drafts
  readonly decisions: BatchResult['decisions'] = new Map()

  constructor(tx: Tx, context: BatchContext) {
    this.#tx = tx
    this.#context = context
    this.#rules = transitionRules(context.policy, context.believes)
    this.drafts = new Drafts(tx)
  }

  count(decision: Reception['decision'] | 'heartbeat'): void {
    this.decisions.set(decision, (this.decisions.get(decision) ?? 0) + 1)
  }

  /** Reads what the batch will need in as few queries as possible; what it did not foresee is read on demand. */
  async load(alerts: readonly ReceivedAlert[]): Promise<void> {
    const { policy } = this.#context
    const fingerprints = [...new Set(alerts.map((alert) => alert.fingerprint))]
    for (const occurrence of await this.#tx.occurrences(fingerprints)) this.adopt(occurrence)
    const keys = new Set<string>()
    const ids = new Set<number>()
    for (const alert of alerts) {
      const known = this.#known.get(alert.fingerprint)?.occurrence
      if (known?.state === 'firing') {
        if (alert.status === 'resolved') ids.add(known.incidentId)
      } else {
        keys.add(keyOf(alert.labels, policy).key)
      }
    }
    await this.drafts.preload([...keys], [...ids])
    if (policy.inhibitRules.length > 0) await this.#loadInhibitors(alerts)
  }

  adopt(occurrence: Occurrence): Work {
    const work: Work = { occurrence, payload: null, write: 'none' }
    this.#works.push(work)
    this.#known.set(occurrence.fingerprint, work)
    return work
  }

  async #loadInhibitors(alerts: readonly ReceivedAlert[]): Promise<void> {
    const rules = this.#context.policy.inhibitRules
    const targets = new Set<string>()
    for (const alert of alerts) {
      if (alert.status !== 'firing') continue
      for (const key of inhibitTargetKeys(rules, alert.labels)) targets.add(key)
      // A source counts for the whole batch, so that the order inside a webhook does not matter.
      for (const key of inhibitSourceKeys(rules, alert.labels)) this.#addInhibitor(key, alert.fingerprint)
    }
    for (const { key, fingerprint } of await this.#tx.inhibitors([...targets])) this.#addInhibitor(key, fingerprint)
  }

  #addInhibitor(key: string, fingerprint: string): void {
    const set = this.#inhibitors.get(key) ?? new Set()
    this.#inhibitors.set(key, set.add(fingerprint))
  }

  #inhibited(fingerprint: string, keys: string[]): boolean {
    return keys.some((key) => {
      const sources = this.#inhibitors.get(key)
      return sources !== undefined && (sources.size > 1 || !sources.has(fingerprint))
    })
  }

  /** One reception of one alert. */
  async take(alert: ReceivedAlert): Promise<void> {
    const { now, policy } = this.#context
    const work = this.#known.get(alert.fingerprint)
    const reception = receive(alert, work?.occurrence, now, policy.doubtFor)
    this.count(reception.decision)
    const known = work?.occurrence
    if (known) known.lastSeen = now
    switch (reception.decision) {
      case 'new':
      case 'again':
        return this.#join(alert, work)
      case 'resolve_unknown':
        return this.#remember(alert)
    }
    if (!work || !known) return
    switch (reception.decision) {
      case 'repeated':
        return this.#repeat(work, alert)
      case 'doubted':
        known.doubtUntil = reception.doubtUntil
        known.timesSeen += 1
        return mark(work, 'state')
      case 'still_doubted':
      case 'late':
        known.timesSeen += 1
        return mark(work, 'state')
      case 'resolved':
        return this.#end(work, alert.endsAt ?? now)
      case 'resolve_repeated':
        known.doubtUntil = null
        if (alert.startsAt > known.startsAt) {
          known.startsAt = alert.startsAt
          known.endsAt = alert.endsAt
        }
        return mark(work, 'state')
      case 'resolve_late':
        return mark(work, 'state')
    }
  }

  /** Most of all receptions: a known alert, unchanged. Its counters can wait (see Repeats). */
  #repeat(work: Work, alert: ReceivedAlert): void {
    const { occurrence: known } = work
    const digest = digestOf(alert)
    const same = digest === known.digest && alert.startsAt <= known.startsAt
    if (same && work.write === 'none' && this.#context.countLater) {
      this.#repeats.push({ fingerprint: known.fingerprint, incidentId: known.incidentId })
      return
    }
    known.timesSeen += 1
    known.startsAt = Math.max(known.startsAt, alert.startsAt)
    known.digest = digest
    touch(work, alert)
  }

  async #join(alert: ReceivedAlert, before: Work | undefined): Promise<void> {
    const { now, policy } = this.#context
    const { key, keyLabels } = keyOf(alert.labels, policy)
    const judged = await this.#judge(alert.fingerprint, alert.labels)
    const latest = await this.drafts.latest(key)
    const same = latest !== null && before?.occurrence.incidentId === latest.incident.id
    const draft =
      latest !== null && mayJoin(latest, same, policy, now) ? latest : await this.drafts.create(key, keyLabels, now)
    if (draft.isNew && !this.#opened.includes(draft)) this.#opened.push(draft)
    const reused = before && before.occurrence.incidentId === draft.incident.id ? before : undefined
    const occurrence: Occurrence = {
      fingerprint: alert.fingerprint,
      incidentId: draft.incident.id,
      name: judged.name,
      region: judged.region,
      level: judged.level,
      state: 'firing',
      startsAt: alert.startsAt,
      endsAt: null,
      firstSeen: reused?.occurrence.firstSeen ?? now,
      lastSeen: now,
      timesSeen: (reused?.occurrence.timesSeen ?? 0) + 1,
      digest: digestOf(alert),
      suppressed: judged.suppressed,
      doubtUntil: null,
    }
    const payload = payloadOf(alert)
    if (reused) {
      reused.occurrence = occurrence
      reused.payload = payload
      mark(reused, 'update')
    } else {
      if (before && before.occurrence.doubtUntil !== null) {
        // It fires in another incident now: believing the old doubt later would count it twice.
        before.occurrence.doubtUntil = null
        mark(before, 'state')
      }
      const work: Work = { occurrence, payload, write: 'insert' }
      this.#works.push(work)
      this.#known.set(alert.fingerprint, work)
    }
    if (policy.inhibitRules.length > 0) {
      for (const inhibitor of inhibitSourceKeys(policy.inhibitRules, alert.labels)) {
        this.#newInhibitors.push({ key: inhibitor, fingerprint: alert.fingerprint })
      }
    }
    this.#enter(draft, { ...judged, known: reused !== undefined }, alert)
  }

  /** Silences are read once per transaction, and not at all for repeats. */
  async #judge(fingerprint: string, labels: Labels): Promise<Omit<Joining, 'known'>> {
    const { now, policy } = this.#context
    this.#silences ??= inForce(await this.#tx.activeSilences(), now)
    return judge(labels, policy, now, (keys) => this.#inhibited(fingerprint, keys), this.#silences)
  }

  #enter(draft: Draft, joining: Joining, alert: ReceivedAlert): void {
    if (joining.name === SELF_TEST) draft.incident.synthetic = true
    joinAlert(draft, joining, this.#rules, this.#context.now)
    const joined = this.#touch(draft)
    if (joining.suppressed !== null) return
    joined.push(alert.labels)
    this.#show(draft, alert.annotations, alert.externalURL)
  }

  #touch(draft: Draft): Labels[] {
    let joined = this.#current.get(draft)
    if (!joined) {
      joined = []
      this.#current.set(draft, joined)
    }
    return joined
  }

  /** What messages show of the newest alert that counts. */
  #show(draft: Draft, annotations: Labels, externalURL: string): void {
    const { now, policy } = this.#context
    if (externalURL !== '') draft.incident.externalURL = externalURL
    const ratio = annotatedRatio(annotations, policy.annotations.bucketRatio)
    if (ratio !== null) {
      const { bucket } = draft.incident
      draft.incident.bucket = { ratio, source: 'annotation', at: now, previous: bucket.ratio }
    }
  }

  async #end(work: Work, endsAt: number): Promise<void> {
    const { occurrence } = work
    occurrence.state = 'resolved'
    occurrence.endsAt = endsAt
    occurrence.doubtUntil = null
    mark(work, 'state')
    this.#ended.push(occurrence.fingerprint)
    const draft = await this.drafts.get(occurrence.incidentId)
    if (!draft) return
    endAlert(draft, occurrence)
    this.#touch(draft)
  }

  /** A resolve of something never seen firing: remembered, so that its late firing is doubted. */
  async #remember(alert: ReceivedAlert): Promise<void> {
    const { now, policy } = this.#context
    const { level } = levelOf(policy.severities, alert.labels)
    const occurrence: Occurrence = {
      fingerprint: alert.fingerprint,
      incidentId: 0,
      name: nameOf(alert.labels),
      region: regionOf(alert.labels),
      level,
      state: 'resolved',
      startsAt: alert.startsAt,
      endsAt: alert.endsAt ?? now,
      firstSeen: now,
      lastSeen: now,
      timesSeen: 0,
      digest: digestOf(alert),
      suppressed: null,
      doubtUntil: null,
    }
    const work: Work = { occurrence, payload: payloadOf(alert), write: 'insert' }
    this.#works.push(work)
    this.#known.set(alert.fingerprint, work)
  }

  /** A doubted firing has persisted (or Alertmanager confirmed it): it is a recurrence after all. */
  async believe(row: OccurrenceRow, externalURL: string): Promise<void> {
    const work = this.adopt({ ...row, doubtUntil: null })
    mark(work, 'state')
    const { labels, annotations, generatorURL } = row.payload
    const alert: Alert = {
      fingerprint: row.fingerprint,
      status: 'firing',
      labels,
      annotations,
      startsAt: row.startsAt,
      endsAt: null,
      generatorURL,
      externalURL: row.payload.externalURL ?? externalURL,
    }
    await this.#join(alert, work)
  }

  /** A doubted firing is not believed. */
  drop(row: OccurrenceRow): void {
    mark(this.adopt({ ...row, doubtUntil: null }), 'state')
  }

  /** A suppressed alert is judged again; when nothing suppresses it any more it counts. */
  async release(row: OccurrenceRow): Promise<void> {
    const { now } = this.#context
    const { labels, annotations } = row.payload
    const judged = await this.#judge(row.fingerprint, labels)
    if (judged.suppressed === row.suppressed) return
    const work = this.adopt({ ...row, suppressed: judged.suppressed })
    mark(work, 'state')
    if (judged.suppressed !== null) return
    const draft = await this.drafts.get(row.incidentId)
    if (!draft) return
    releaseAlert(draft, { ...judged, known: true }, this.#rules, now)
    this.#touch(draft).push(labels)
    this.#show(draft, annotations, '')
  }

  async loadInhibitorsOf(rows: readonly OccurrenceRow[]): Promise<void> {
    const rules = this.#context.policy.inhibitRules
    if (rules.length === 0) return
    const keys = new Set(rows.flatMap((row) => inhibitTargetKeys(rules, row.payload.labels)))
    for (const { key, fingerprint } of await this.#tx.inhibitors([...keys])) this.#addInhibitor(key, fingerprint)
  }

  /** End of one webhook: its alerts are routed by the level that they reached together, and its changes told together. */
  settle(trace?: string): void {
    const { now, policy } = this.#context
    for (const [draft, joined] of this.#current) {
      if (trace !== undefined) draft.traces = [...(draft.traces ?? []), trace].slice(0, MAX_TRACES)
      for (const labels of joined) routeInto(draft, labels, policy, now)
      settle(draft, this.#rules, now)
      const before = this.#touched.get(draft)
      if (before) before.push(...joined)
      else this.#touched.set(draft, joined)
    }
    this.#current = new Map()
  }

  async store(): Promise<BatchResult> {
    const { policy, now } = this.#context
    const inserts: OccurrenceRow[] = []
    const touches: Touch[] = []
    const updates: OccurrenceRow[] = []
    const states: Occurrence[] = []
    for (const { occurrence, payload, write } of this.#works) {
      if (write === 'none') continue
      if (write === 'state' || payload === null) states.push(occurrence)
      else if (write === 'insert') inserts.push({ ...occurrence, payload })
      else if (write === 'touch') touches.push({ ...occurrence, payload })
      else updates.push({ ...occurrence, payload })
    }
    const tx = this.#tx
    // Each row once, so their order does not matter: on PostgreSQL they are one pipeline.
    await Promise.all([
      tx.insertOccurrences(inserts),
      tx.touchOccurrences(touches),
      tx.updateOccurrences(updates),
      tx.updateOccurrenceStates(states),
    ])
    if (this.#ended.length > 0 && policy.inhibitRules.length > 0) await tx.removeInhibitors(this.#ended)
    // What began and ended within this batch inhibits nothing any more.
    const inhibitors = this.#newInhibitors.filter(
      ({ fingerprint }) => this.#known.get(fingerprint)?.occurrence.state === 'firing',
    )
    if (inhibitors.length > 0) await tx.addInhibitors(inhibitors)
    await storeDrafts(tx, [...this.#touched.keys()], policy, now, (draft) => this.#touched.get(draft) ?? [])
    return {
      decisions: this.decisions,
      changed: this.#touched.size > 0,
      urgent: [...this.#touched.keys()].some(
        (draft) => draft.push || draft.incident.receivers.length > draft.receiversBefore,
      ),
      opened: this.#opened.map(({ incident }) => ({ id: incident.id, level: incident.level, key: incident.key })),
      repeats: this.#repeats,
    }
  }
}

/** 'update' and 'insert' write everything, so a weaker mark never replaces them. */
function mark(work: Work, write: 'touch' | 'update' | 'state'): void {
  if (work.write === 'insert') return
  if (write === 'state') work.write = work.write === 'none' ? 'state' : work.payload ? 'update' : 'state'
  else if (write === 'update') work.write = 'update'
  else if (work.write === 'none') work.write = 'touch'
  else if (work.write === 'state') work.write = 'update'
}

function touch(work: Work, alert: ReceivedAlert): void {
  work.payload = payloadOf(alert)
  mark(work, 'touch')
}
