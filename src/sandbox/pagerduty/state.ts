import type { Clock } from '../../core/clock.ts'
import { ClawError } from '../../core/errors.ts'
import { Buckets } from '../buckets.ts'
import { Recorder } from '../recorder.ts'
import { annotationView } from './views.ts'
import { type WebhookDelivery, Webhooks } from './webhooks.ts'

export type PdUser = { id: string; name: string; email: string }
export type PdStatus = 'triggered' | 'acknowledged' | 'resolved'
export type PdSeverity = 'critical' | 'error' | 'warning' | 'info'

export type PdLogEntry = {
  id: string
  /** `trigger_log_entry`, `notify_log_entry`, `acknowledge_log_entry`, `resolve_log_entry`, `annotate_log_entry`, … */
  type: string
  at: number
  /** null when an event or the service did it */
  user: PdUser | null
  text: string
}

/** A validated Events v2 event. */
export type PdEvent = {
  routing_key: string
  event_action: 'trigger' | 'acknowledge' | 'resolve'
  dedup_key: string
  payload?: { summary: string; source: string; severity: PdSeverity; [key: string]: unknown }
  images?: unknown[]
  links?: unknown[]
  client?: string
  client_url?: string
}

export type PdIncident = {
  id: string
  incident_number: number
  incident_key: string
  title: string
  status: PdStatus
  severity: PdSeverity
  urgency: 'high' | 'low'
  html_url: string
  routingKey: string
  createdAt: number
  changedAt: number
  acknowledgedBy: PdUser[]
  resolvedBy: PdUser | null
  /** to whom it is assigned */
  assignees: PdUser[]
  /** of the escalation policy, 1 first */
  escalationLevel: number
  priority: string | null
  /** trigger events it took, the first included */
  triggers: number
  /** the newest trigger */
  event: PdEvent
  log: PdLogEntry[]
  notes: Array<{ id: string; user: PdUser; content: string; at: number }>
}

/** Somebody was woken. One per new incident, none for a trigger on an open key. */
export type PdPage = { incident: string; dedup_key: string; title: string; severity: PdSeverity; at: number }

export const PD_USERS: readonly PdUser[] = [
  { id: 'PDANA01', name: 'Dana', email: 'dana@example.com' },
  { id: 'PLEE002', name: 'Lee', email: 'lee@example.com' },
  { id: 'PCLAW03', name: 'Claw', email: 'claw@example.com' },
]

export class PagerDutyState extends Recorder {
  /** in the order in which they were opened */
  readonly incidents: PdIncident[] = []
  readonly pages: PdPage[] = []
  /** every event that was answered 202, in order */
  readonly accepted: PdEvent[] = []
  /** those of them that had no effect: acknowledge or resolve of an unknown or closed key */
  readonly dropped: PdEvent[] = []
  users: PdUser[] = [...PD_USERS]
  /** ids of those on call, first level first */
  onCall: string[] = ['PDANA01', 'PLEE002']
  /** null: any key of 32 characters, and `sandbox`, exists */
  routingKeys: Set<string> | null = null
  /** switches 120 events a minute per routing key, and 960 REST requests a minute, on */
  rateLimits: boolean
  readonly buckets: Buckets
  readonly webhooks: Webhooks
  readonly #open = new Map<string, PdIncident>()
  #numbers = 0
  #ids = 0

  constructor(clock: Clock, rateLimits: boolean) {
    super(clock)
    this.rateLimits = rateLimits
    this.buckets = new Buckets(clock)
    this.webhooks = new Webhooks(this)
  }

  nextId(prefix: string): string {
    this.#ids++
    return `${prefix}${this.#ids.toString(36).toUpperCase().padStart(6, '0')}`
  }

  /** By id or number. */
  find(id: string): PdIncident | null {
    return this.incidents.find((i) => i.id === id || String(i.incident_number) === id) ?? null
  }

  /** The newest incident of a dedup key, open or not. */
  byKey(dedupKey: string): PdIncident | null {
    return this.incidents.findLast((i) => i.incident_key === dedupKey) ?? null
  }

  /** How often people were paged for a dedup key. */
  pagesOf(dedupKey: string): number {
    return this.pages.filter((p) => p.dedup_key === dedupKey).length
  }

  log(incident: PdIncident, type: string, user: PdUser | null, text: string): void {
    incident.log.push({ id: this.nextId('R'), type, at: this.clock(), user, text })
  }

  /** Does what the events pipeline does with an event that was accepted. */
  process(event: PdEvent): void {
    this.accepted.push(event)
    const key = `${event.routing_key} ${event.dedup_key}`
    const open = this.#open.get(key)
    if (event.event_action === 'trigger') {
      if (!event.payload) return
      const text = event.payload.summary
      if (open) {
        open.triggers++
        open.event = event
        this.log(open, 'trigger_log_entry', null, text)
        this.tell('incident', open)
        return
      }
      this.#trigger(key, event, event.payload)
      return
    }
    if (!open || (event.event_action === 'acknowledge' && open.status === 'acknowledged')) {
      this.dropped.push(event)
      this.tell('dropped', event)
      return
    }
    void this.change(open, event.event_action === 'resolve' ? 'resolved' : 'acknowledged', null)
  }

  #trigger(key: string, event: PdEvent, payload: NonNullable<PdEvent['payload']>): void {
    const id = this.nextId('Q')
    const now = this.clock()
    const incident: PdIncident = {
      id,
      incident_number: ++this.#numbers,
      incident_key: event.dedup_key,
      title: payload.summary,
      status: 'triggered',
      severity: payload.severity,
      urgency: payload.severity === 'critical' || payload.severity === 'error' ? 'high' : 'low',
      html_url: `https://sandbox.pagerduty.com/incidents/${id}`,
      routingKey: event.routing_key,
      createdAt: now,
      changedAt: now,
      acknowledgedBy: [],
      resolvedBy: null,
      assignees: this.#level(1),
      escalationLevel: 1,
      priority: null,
      triggers: 1,
      event,
      log: [],
      notes: [],
    }
    this.incidents.push(incident)
    this.#open.set(key, incident)
    this.log(incident, 'trigger_log_entry', null, payload.summary)
    const user = this.users.find((u) => u.id === this.onCall[0]) ?? null
    this.log(incident, 'notify_log_entry', user, 'Notified by push')
    const page = {
      incident: id,
      dedup_key: event.dedup_key,
      title: payload.summary,
      severity: payload.severity,
      at: now,
    }
    this.pages.push(page)
    this.tell('page', page)
    this.tell('incident', incident)
    void this.webhooks.send('incident.triggered', incident, null)
  }

  /**
   * Changes an incident's status; `user` null for an event. Resolves when the webhook, if there is one, was answered: with
   * its status, 0 for no answer, null without webhook.
   */
  change(incident: PdIncident, status: 'acknowledged' | 'resolved', user: PdUser | null): Promise<number | null> {
    incident.status = status
    incident.changedAt = this.clock()
    if (status === 'acknowledged') incident.acknowledgedBy = user ? [user] : []
    if (status === 'resolved') {
      incident.resolvedBy = user
      this.#open.delete(`${incident.routingKey} ${incident.incident_key}`)
    }
    const type = status === 'resolved' ? 'resolve_log_entry' : 'acknowledge_log_entry'
    this.log(incident, type, user, `${status} by ${user?.name ?? 'an event'}`)
    this.tell('incident', incident)
    return this.webhooks.send(`incident.${status}`, incident, user)
  }

  /** A person acknowledges on the phone. `user` by id, name or email. Resolves as `change` does. */
  acknowledge(dedupKey: string, user = 'Dana'): Promise<number | null> {
    return this.#byHand(dedupKey, 'acknowledged', user)
  }

  /** A person resolves on the phone. */
  resolve(dedupKey: string, user = 'Dana'): Promise<number | null> {
    return this.#byHand(dedupKey, 'resolved', user)
  }

  /** The acknowledgement is taken back: by a person, or (`user` null) because its time is over. It rings again. */
  async unacknowledge(dedupKey: string, user: string | null = null): Promise<number | null> {
    const incident = this.#opened(dedupKey)
    const who = user === null ? null : this.user(user)
    this.#ring(incident)
    this.log(incident, 'unacknowledge_log_entry', who, `unacknowledged by ${who?.name ?? 'time-out'}`)
    return this.#said('incident.unacknowledged', incident, who)
  }

  /** A person hands it to somebody else; whoever acknowledged it no longer has it, so it rings again. */
  async reassign(dedupKey: string, to: string, user = 'Dana'): Promise<number | null> {
    const incident = this.#opened(dedupKey)
    incident.assignees = [this.user(to)]
    this.#ring(incident)
    this.log(incident, 'assign_log_entry', this.user(user), `reassigned to ${to}`)
    return this.#said('incident.reassigned', incident, this.user(user))
  }

  /**
   * The next level is called, or the one given: by a person, or (`user` null) because nobody acknowledged.
   * @throws ClawError('conflict') when there is no such level
   */
  async escalate(dedupKey: string, user: string | null = null, level?: number): Promise<number | null> {
    const incident = this.#opened(dedupKey)
    const next = level ?? incident.escalationLevel + 1
    if (!this.mayEscalate(next)) throw new ClawError('conflict', `there is no escalation level ${next}`)
    return this.escalateTo(incident, next, user === null ? null : this.user(user))
  }

  mayEscalate(level: number): boolean {
    return this.#level(level).length > 0
  }

  escalateTo(incident: PdIncident, level: number, user: PdUser | null): Promise<number | null> {
    incident.escalationLevel = level
    incident.assignees = this.#level(level)
    this.#ring(incident)
    this.log(incident, 'escalate_log_entry', user, `escalated to level ${level}`)
    return this.#said('incident.escalated', incident, user)
  }

  /** A person sets the priority, or takes it away. */
  async prioritise(dedupKey: string, priority: string | null, user = 'Dana'): Promise<number | null> {
    const incident = this.#opened(dedupKey)
    incident.priority = priority
    this.log(incident, 'priority_change_log_entry', this.user(user), `priority ${priority ?? 'removed'}`)
    return this.#said('incident.priority_updated', incident, this.user(user))
  }

  /** A person writes a note, on an open or a resolved incident. */
  async annotate(dedupKey: string, content: string, user = 'Dana'): Promise<number | null> {
    const incident = this.byKey(dedupKey)
    if (!incident) throw new ClawError('not_found', `no PagerDuty incident with the key ${dedupKey}`)
    return this.addNote(incident, content, this.user(user)).told
  }

  addNote(incident: PdIncident, content: string, user: PdUser) {
    const note = { id: this.nextId('N'), user, content, at: this.clock() }
    incident.notes.push(note)
    this.log(incident, 'annotate_log_entry', user, content)
    this.tell('note', { incident, note })
    return { note, told: this.webhooks.send('incident.annotated', incident, user, annotationView(incident, note)) }
  }

  #level(level: number): PdUser[] {
    return this.users.filter((user) => user.id === this.onCall[level - 1])
  }

  #ring(incident: PdIncident): void {
    if (incident.status !== 'acknowledged') return
    incident.status = 'triggered'
    incident.changedAt = this.clock()
    incident.acknowledgedBy = []
  }

  #said(type: string, incident: PdIncident, user: PdUser | null): Promise<number | null> {
    this.tell('incident', incident)
    return this.webhooks.send(type, incident, user)
  }

  #opened(dedupKey: string): PdIncident {
    const incident = this.byKey(dedupKey)
    if (incident && incident.status !== 'resolved') return incident
    throw new ClawError('not_found', `no open PagerDuty incident with the key ${dedupKey}`)
  }

  async #byHand(dedupKey: string, status: 'acknowledged' | 'resolved', who: string): Promise<number | null> {
    return this.change(this.#opened(dedupKey), status, this.user(who))
  }

  /** @throws ClawError('not_found') when nobody has that id, name or email */
  user(who: string): PdUser {
    const user = this.users.find((u) => u.id === who || u.name === who || u.email === who)
    if (!user) throw new ClawError('not_found', `no PagerDuty user ${who}`)
    return user
  }

  /** Posts a webhook once more, as PagerDuty does when it missed the answer. Resolves with the status, 0 for none. */
  redeliver(delivery: WebhookDelivery): Promise<number> {
    return this.webhooks.redeliver(delivery)
  }

  /** Back to an empty account; users, webhook target and listeners stay. */
  clear(): void {
    this.forget()
    for (const list of [this.incidents, this.pages, this.accepted, this.dropped]) list.length = 0
    this.#open.clear()
    this.buckets.reset()
    this.webhooks.clear()
    this.tell('reset')
  }
}
