/** Something that changed on the edge, seen by polling. */
export type EdgeChange = {
  /** ms since the epoch, when it was seen */
  at: number
  region: string
  what: 'version' | 'canary weight' | 'capacity' | 'replicas' | 'receiving' | 'configuration'
  from: string
  to: string
}

export type Cause =
  | 'overload'
  | 'abuse'
  | 'divergence'
  | 'partition'
  | 'stalled refill'
  | 'bad version'
  | 'bad canary'
  | 'region down'
  | 'unknown'

/** Whether the limiter is right (real overload, abuse) or wrong, why, and what to do (system.md, section 3). */
export type Verdict = {
  limiter: 'right' | 'wrong' | 'unknown'
  cause: Cause
  /** 0..1 */
  confidence: number
  /** one short sentence: `The limiter is wrong: 3 nodes diverge since 1.9.0 went out.` */
  summary: string
  /** short lines with figures */
  evidence: string[]
  /** the recommended act; null when nothing should be done yet */
  act: { label: string; command: string; risk: string } | null
}

/** The first minute's checks of an incident, kept in its document. */
export type Triage = {
  /** ms since the epoch */
  at: number
  /** a line per region: `A: 4 % left, 620/s offered, 1 500/s refilled, lag 0.6 s, 1.9.0` */
  regions: string[]
  diverged: { keys: number; examples: string[] }
  changes: EdgeChange[]
  verdict: Verdict
}
