/** What an outside source (edge admin API, Prometheus) knows of a region right now. Implementations never throw. */
export type SignalSource = {
  readonly name: 'edge' | 'prometheus'
  /** `gone`: the source answers but has no data of that region; `unreachable`: the source itself does not answer */
  presence(region: string, signal: AbortSignal): Promise<'present' | 'gone' | 'unreachable'>
  /** bucket level of the region, ratio 0..1; null when unknown */
  bucketRatio(region: string, signal: AbortSignal): Promise<number | null>
}

/** Alertmanager's own opinion of an alert (`GET /api/v2/alerts`). Never throws. */
export type AlertLookup = {
  /** `active`: Alertmanager has it firing (silenced and inhibited ones included) with this start or a later one */
  lookup(
    fingerprint: string,
    labels: Readonly<Record<string, string>>,
    startsAt: number,
    signal: AbortSignal,
  ): Promise<'active' | 'absent' | 'unreachable'>
}
