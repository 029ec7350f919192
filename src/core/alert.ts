/** Label or annotation names and values. Hostile input: escape it wherever it is shown. */
export type Labels = Readonly<Record<string, string>>

/** P1 answer at once, P2 within 15 minutes, P3 within 30 (system.md, section 3). */
export type Level = 'P1' | 'P2' | 'P3'

/** What an alert is about; decides wording, triage and policies. The names are those of contract.md, section 8. */
export type AlertClass =
  | 'exhaustion'
  | 'divergence'
  | 'sync lag'
  | 'latency'
  | 'errors'
  | 'canary'
  | 'capacity'
  | 'region'

/** One alert of one webhook in normal form. Times are milliseconds since the epoch. */
export type Alert = {
  readonly fingerprint: string
  readonly status: 'firing' | 'resolved'
  readonly labels: Labels
  readonly annotations: Labels
  readonly startsAt: number
  /** null while it fires */
  readonly endsAt: number | null
  readonly generatorURL: string
  /** Alertmanager's own address, as it gives it; for links only. */
  readonly externalURL: string
}
