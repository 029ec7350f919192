import type { Labels } from './alert.ts'
import type { AuditEntry, AuditRow } from './audit.ts'
import type { Approval, Silence, StoredRequest } from './chatops.ts'
import type { CommandRequest, Reply } from './command.ts'
import type { DestinationKind, Json } from './delivery.ts'
import type { Incident, Occurrence } from './incident.ts'
import type { Remediation } from './remediation.ts'
import type { StoryEvent } from './view.ts'
import type { WorkflowRun } from './workflow.ts'

/** An occurrence with all that arrived with it. `payload` is stored as JSON text, so any string survives. */
export type OccurrenceRow = Occurrence & { payload: OccurrencePayload }

export type OccurrencePayload = {
  labels: Labels
  annotations: Labels
  generatorURL: string
  /** address of the Alertmanager that told it; left out where none was given */
  externalURL?: string
  /** fields of the webhook's alert that version 4 does not name */
  extra?: Json
}

/** Receptions of a known alert that changed nothing else. */
export type Repeat = { fingerprint: string; incidentId: number; times: number; lastSeen: number }

/** A repeat: counters and what may have changed. */
export type Touch = {
  fingerprint: string
  incidentId: number
  startsAt: number
  lastSeen: number
  timesSeen: number
  digest: number
  payload: OccurrencePayload
}

export type DeliveryState = 'pending' | 'waiting' | 'delivered' | 'dead'

/** Destination D shows version `shown` of incident I and should show `wanted`. */
export type Delivery = {
  id: number
  incidentId: number
  lane: string
  kind: DestinationKind
  target: string
  receiver: string
  settings: { [key: string]: Json }
  state: DeliveryState
  /** 0 urgent (first message, page, push, acknowledgement, end), 1 silent edit */
  priority: number
  /** not before this time */
  dueAt: number
  /** when the oldest change that is not shown yet was stored; null when in step */
  changedAt: number | null
  wanted: number
  shown: number
  /** consecutive failures */
  attempts: number
  /** a step was begun and its outcome is not recorded: fence of the lane's lease that began it */
  inflight: number | null
  inDoubt: boolean
  reference: string | null
  /** why it waits or died */
  reason: string | null
  adapterState: Json
  createdAt: number
  deliveredAt: number | null
}

export type NewDelivery = Pick<
  Delivery,
  'incidentId' | 'lane' | 'kind' | 'target' | 'receiver' | 'settings' | 'wanted' | 'createdAt'
>

/** What the lane learnt from one step. */
export type DeliveryOutcome = {
  id: number
  /** must equal the stored `inflight`, so that a lane that lost its lease cannot write */
  fence: number
  state: DeliveryState
  dueAt: number
  priority: number
  /** version shown now; kept when null */
  shown: number | null
  attempts: number
  inDoubt: boolean
  reference: string | null
  reason: string | null
  adapterState: Json
  deliveredAt: number | null
}

export type Heartbeat = { source: string; lastAt: number; missing: boolean }

/** What became of the alerts of an incident that was merged into another. */
export type AlertsMoved = {
  moved: number
  /** of those, how many the other incident had as well: the newer incident's row stays */
  replaced: number
  /** alerts that an incident between the two has as well: a move to the older one would hide them, undo it */
  between: number
}

export type Page<T> = { items: T[]; nextCursor: string | null }

/** Queries that change nothing. */
export type Reads = {
  /** newest occurrence of each fingerprint */
  occurrences(fingerprints: readonly string[]): Promise<Occurrence[]>
  /** newest incident of each correlation key */
  latestIncidents(keys: readonly string[]): Promise<Incident[]>
  incidents(ids: readonly number[]): Promise<Incident[]>
  /** newest first; `cursor` is the id before which to go on */
  listIncidents(query: { states: readonly string[]; limit: number; before: number | null }): Promise<Incident[]>
  countIncidents(): Promise<{ state: string; level: string; count: number }[]>
  /** most important first: firing, high level, newest */
  alertsOf(incidentId: number, limit: number): Promise<OccurrenceRow[]>
  /** in order of `seq`; the newest `limit` */
  story(incidentId: number, limit: number): Promise<StoryEvent[]>
  deliveriesOf(incidentIds: readonly number[]): Promise<Delivery[]>
  delivery(id: number): Promise<Delivery | null>
  listDeliveries(query: { state: string | null; limit: number; before: number | null }): Promise<Delivery[]>
  countDeliveries(): Promise<{ lane: string; state: string; count: number }[]>
  /** ids of messages of ours in this target */
  references(
    lane: string,
    target: string,
    limit: number,
  ): Promise<{ incidentId: number; reference: string; adapterState: Json }[]>
  /** due steps of a lane, most urgent first, leaving out `except` targets and what this fence has begun */
  due(query: {
    lane: string
    fence: number
    now: number
    limit: number
    except: readonly string[]
  }): Promise<Delivery[]>
  /** when the next step of a lane is due; null when none waits */
  nextDue(lane: string, fence: number): Promise<number | null>
  lanes(): Promise<string[]>
  incidentsToCheck(now: number, limit: number): Promise<Incident[]>
  doubted(limit: number): Promise<OccurrenceRow[]>
  suppressedFiring(limit: number, after: { fingerprint: string; incidentId: number } | null): Promise<OccurrenceRow[]>
  firingRows(incidentId: number, limit: number): Promise<OccurrenceRow[]>
  /** all that fire in an incident, suppressed ones included, by fingerprint, from the one after `after` */
  firingOf(incidentId: number, limit: number, after: string): Promise<OccurrenceRow[]>
  inhibitors(keys: readonly string[]): Promise<{ key: string; fingerprint: string }[]>
  heartbeats(): Promise<Heartbeat[]>
  meta(key: string): Promise<string | null>
  request(id: string): Promise<StoredRequest | null>
  waitingRequests(limit: number): Promise<StoredRequest[]>
  approval(id: number): Promise<Approval | null>
  openApprovals(limit: number): Promise<Approval[]>
  silence(id: number): Promise<Silence | null>
  activeSilences(): Promise<Silence[]>
  pendingSilences(limit: number): Promise<Silence[]>
  /** in order, from the row after number `after` */
  auditRows(after: number, limit: number): Promise<AuditRow[]>
  /** how many rows there must be, and the hash of the last */
  auditHead(): Promise<{ count: number; hash: string }>
  /** newest first; of one target when given */
  newestAudit(target: string | null, limit: number): Promise<AuditRow[]>
  workflow(id: number): Promise<WorkflowRun | null>
  /** newest first; of one incident, kind or state when given */
  workflows(query: {
    incident?: number | undefined
    states?: readonly string[] | undefined
    limit: number
  }): Promise<WorkflowRun[]>
  /** ids of running workflows that are due and that no other owner holds, the longest due first */
  dueWorkflows(owner: string, now: number, limit: number): Promise<number[]>
  /** when the next running workflow is due; null when none runs */
  nextWorkflowDue(): Promise<number | null>
  /** newest first; of one policy or incident, or only since a time when given */
  remediations(query: {
    policy?: string | undefined
    incident?: number | undefined
    since?: number | undefined
    limit: number
  }): Promise<Remediation[]>
  /** whose `verifyAt` has come */
  remediationsToVerify(now: number, limit: number): Promise<Remediation[]>
  /** page deliveries not confirmed since `before` whose incident is not resolved */
  unconfirmedPages(before: number, limit: number): Promise<Delivery[]>
}

/** One transaction. Transactions are serialised over all processes, so what was read stays true until the commit. */
export type Tx = Reads & {
  nextIncidentId(): Promise<number>
  insertOccurrences(rows: readonly OccurrenceRow[]): Promise<void>
  touchOccurrences(rows: readonly Touch[]): Promise<void>
  /** adds to counters; commutes, so several replicas may count the same alert */
  countRepeats(rows: readonly Repeat[]): Promise<void>
  updateOccurrences(rows: readonly OccurrenceRow[]): Promise<void>
  /** the alerts of one incident belong to another from now on; counters are the caller's */
  moveAlerts(from: number, to: number): Promise<AlertsMoved>
  /** state only (doubt, suppression, end) where no payload is at hand */
  updateOccurrenceStates(rows: readonly Occurrence[]): Promise<void>
  saveIncidents(incidents: readonly Incident[]): Promise<void>
  addStory(events: readonly (StoryEvent & { incidentId: number })[]): Promise<void>
  /** destinations that the incident has already are left alone */
  addDeliveries(rows: readonly NewDelivery[]): Promise<void>
  /** the incident changed: wakes its deliveries; `dueAt` for those that were in step */
  wakeDeliveries(
    rows: readonly { incidentId: number; wanted: number; priority: number; dueAt: number; changedAt: number }[],
  ): Promise<void>
  beginSteps(ids: readonly number[], fence: number): Promise<number[]>
  recordOutcomes(rows: readonly DeliveryOutcome[]): Promise<number>
  redeliver(id: number, now: number): Promise<boolean>
  /** @returns the fence to write with, or null while another holds the lane */
  takeLane(lane: string, owner: string, now: number, until: number, steal: boolean): Promise<number | null>
  releaseLanes(owner: string): Promise<void>
  addInhibitors(rows: readonly { key: string; fingerprint: string }[]): Promise<void>
  removeInhibitors(fingerprints: readonly string[]): Promise<void>
  beat(source: string, at: number): Promise<void>
  markHeartbeats(sources: readonly string[], missing: boolean): Promise<void>
  /** those of them that were last heard before `before` */
  forgetHeartbeats(sources: readonly string[], before: number): Promise<void>
  setMeta(key: string, value: string): Promise<void>
  /** @returns false when a request of this id was taken before */
  addRequest(request: CommandRequest, at: number): Promise<boolean>
  /** @returns false when it was answered already */
  answerRequest(id: string, reply: Reply): Promise<boolean>
  /** an answer on its way to where the request came from; leaves through the lane like everything else */
  addReply(to: NonNullable<CommandRequest['replyTo']>, kind: DestinationKind, reply: Reply, at: number): Promise<void>
  pruneRequests(before: number): Promise<void>
  nextApprovalId(): Promise<number>
  saveApproval(approval: Approval): Promise<void>
  nextSilenceId(): Promise<number>
  saveSilence(silence: Silence): Promise<void>
  appendAudit(entry: AuditEntry): Promise<void>
  nextWorkflowId(): Promise<number>
  insertWorkflow(run: WorkflowRun): Promise<void>
  /** @returns the fence to write with, or null while another holds it; `steal` takes it from whoever does */
  claimWorkflow(id: number, owner: string, now: number, until: number, steal: boolean): Promise<number | null>
  /** holds it longer. @returns false when another took it */
  extendWorkflow(id: number, fence: number, until: number): Promise<boolean>
  /** stores the run and, with `release`, lets it go. @returns false when another took it: nothing is stored then */
  saveWorkflow(run: WorkflowRun, fence: number, release: boolean): Promise<boolean>
  /** asks a running workflow to stop. @returns false when it is over */
  cancelWorkflow(id: number, by: string, now: number): Promise<boolean>
  /** inserts, or replaces the one of this id; id 0 is given a new one. @returns the id */
  saveRemediation(remediation: Remediation): Promise<number>
  /** deletes incidents resolved before `before`, with all that belongs to them; bounded; @returns how many */
  prune(before: number, limit: number): Promise<number>
}

export type Store = Reads & {
  /** only one process can have it open (SQLite) */
  readonly exclusive: boolean
  /**
   * Runs `work` in one serialised transaction. Durable once it resolves.
   * @throws ClawError('unavailable') when the database cannot be written; nothing is stored then
   */
  write<T>(work: (tx: Tx) => Promise<T>): Promise<T>
  /** @throws ClawError('unavailable') when it cannot store */
  ping(): Promise<void>
  close(): Promise<void>
}
