import type { CommandRequest, Platform, Reply } from './command.ts'

/** A request as stored: first taken, then answered once. */
export type StoredRequest = { request: CommandRequest; at: number; state: 'waiting' | 'done'; reply: Reply | null }

/** Something that other people must agree to (or the asker confirm), kept until it is answered or expires. */
export type Approval = {
  /** shown as `a7` */
  id: number
  /** the command as it will run, with all arguments */
  command: string
  /** what will happen, as shown when it was asked */
  preview: string
  by: string
  via: Platform
  incident: number | null
  override: string | null
  /** other people who must agree; 0: only the asker confirms */
  needed: number
  agreed: string[]
  state: 'open' | 'granted' | 'denied' | 'expired'
  askedAt: number
  expiresAt: number
  /** where the outcome is told */
  replyTo: CommandRequest['replyTo']
}

/** A silence that Claw keeps: for an incident, or for matchers. */
export type Silence = {
  id: number
  /** the incident it follows; null for one by matchers alone */
  incident: number | null
  /** Alertmanager syntax, one text */
  matchers: string
  by: string
  note: string
  startsAt: number
  endsAt: number
  /** how long it was asked for; an incident's silence is extended while the incident lasts */
  state: 'active' | 'ended'
  /** Alertmanager's id once it has it */
  alertmanagerId: string | null
  /** what Alertmanager still has to be told */
  pending: 'create' | 'extend' | 'end' | null
}
