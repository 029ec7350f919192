import type { Labels } from './alert.ts'
import type { Matcher } from './matchers.ts'

/** One alert that Alertmanager has now. Times are milliseconds since the epoch. */
export type ListedAlert = {
  fingerprint: string
  labels: Labels
  annotations: Labels
  startsAt: number
  generatorURL: string
  /** Alertmanager's receivers that it goes to, by their plain names */
  receivers: readonly string[]
  /** `suppressed`: silenced or inhibited, it fires but is told to nobody */
  state: 'active' | 'suppressed' | 'unprocessed'
}

/** A silence as Alertmanager has it. */
export type ListedSilence = {
  id: string
  state: 'active' | 'pending' | 'expired'
  /** as given to it; Alertmanager moves a start in the past to the moment of creation */
  startsAt: number
  endsAt: number
  comment: string
}

export type NewSilence = {
  /** of the silence to change; null for a new one */
  id: string | null
  matchers: readonly Matcher[]
  startsAt: number
  endsAt: number
  createdBy: string
  comment: string
}

/** `refused`: asking again cannot help. Reasons hold no address and no credentials. */
export type AlertmanagerFailure = { ok: false; refused: boolean; reason: string }

/** What Claw asks of Alertmanager (API v2) beyond its webhooks. Never rejects. */
export type AlertmanagerApi = {
  /** its address without credentials, for links and as the source of what is only known from here */
  readonly address: string
  /** everything that fires, silenced and inhibited alerts included */
  alerts(signal: AbortSignal): Promise<{ ok: true; alerts: ListedAlert[] } | AlertmanagerFailure>
  /** when it was started; null when it does not say */
  startedAt(signal: AbortSignal): Promise<{ ok: true; at: number | null } | AlertmanagerFailure>
  /** expired ones included, as long as it keeps them (5 days) */
  silences(signal: AbortSignal): Promise<{ ok: true; silences: ListedSilence[] } | AlertmanagerFailure>
  /** null when it has no silence of this id */
  silence(id: string, signal: AbortSignal): Promise<{ ok: true; silence: ListedSilence | null } | AlertmanagerFailure>
  /** @returns its id, which may be another than the one given */
  saveSilence(silence: NewSilence, signal: AbortSignal): Promise<{ ok: true; id: string } | AlertmanagerFailure>
  /** ends a silence; one that is gone or over is as good */
  endSilence(id: string, signal: AbortSignal): Promise<{ ok: true } | AlertmanagerFailure>
}
