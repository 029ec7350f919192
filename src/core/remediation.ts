import type { AlertClass } from './alert.ts'

export const ACTIONS = ['reconcile', 'reset', 'scale', 'capacity', 'revert', 'canary abort', 'failover'] as const
export type Action = (typeof ACTIONS)[number]
export const MODES = ['off', 'shadow', 'suggest', 'automatic'] as const
export type Mode = (typeof MODES)[number]

/** One policy as configured; durations in ms. */
export type RemediationPolicy = {
  name: string
  when: {
    /** of an alert of the incident that fires */
    class: AlertClass | null
    /** the class's measure (see `measureOf`) is below or above this */
    below: number | null
    above: number | null
    /** for so long without a break */
    for: number
    /** only after this action was done in the same incident and its trouble came back */
    after: Action | null
  }
  action: Action
  /** parameters of the action; null for the action's own default */
  with: {
    policy: string | null
    replicas: number | null
    factor: number | null
    lasts: number | null
    region: string | null
    to: string | null
  }
  mode: Mode
  coolDown: number
  budget: { max: number; per: number }
  verify: { after: number }
  /** pages of an incident that this policy may heal by itself wait this long, at most 3 min; 0 for not at all */
  holdPage: number
}

/** One decision of a policy, as stored: what it did, would have done or proposes, and whether it helped. */
export type Remediation = {
  id: number
  policy: string
  incident: number
  /** where its trouble was; '' for no particular one */
  region: string
  /** all regions that the act covers, where they are more than that one */
  covers?: string[]
  action: Action
  mode: Mode
  /** ms since the epoch */
  at: number
  /** why it acted, in words with figures */
  reason: string
  /** the workflow that it started; null in shadow mode, and for a proposal nobody has taken up */
  run: number | null
  state: 'shadow' | 'suggested' | 'running' | 'helped' | 'not_helped' | 'failed' | 'unclear'
  /** measure when it acted, and what it should get past; null where none is known */
  measure: { name: string; before: number; threshold: number; after: number | null } | null
  /** when to look whether it helped; null once known */
  verifyAt: number | null
}

export type Scorecard = {
  /** automatic acts, and proposals that somebody took up: how many, and what became of them */
  acted: number
  helped: number
  notHelped: number
  /** what it would have done */
  shadow: number
  suggested: number
  takenUp: number
}

/** How a policy has done so far: what it has to show before it is trusted with more. A failed operation did not help. */
export function scorecard(remediations: readonly Pick<Remediation, 'mode' | 'state' | 'run'>[]): Scorecard {
  const count = (matches: (one: Pick<Remediation, 'mode' | 'state' | 'run'>) => boolean): number =>
    remediations.filter(matches).length
  return {
    acted: count(({ run }) => run !== null),
    helped: count(({ state }) => state === 'helped'),
    notHelped: count(({ state }) => state === 'not_helped' || state === 'failed'),
    shadow: count(({ mode }) => mode === 'shadow'),
    suggested: count(({ mode }) => mode === 'suggest'),
    takenUp: count(({ mode, run }) => mode === 'suggest' && run !== null),
  }
}

/** Where `/claw automation off` is kept in the store's meta: JSON of AutomationSwitch. Nothing stored means on. */
export const AUTOMATION_KEY = 'automation'
/** `at` in ms since the epoch; `by` is a person's name */
export type AutomationSwitch = { state: 'on' | 'off'; by: string; at: number }

/** The global switch as stored; unreadable counts as off, since somebody wanted to say something. */
export function readSwitch(text: string | null): AutomationSwitch {
  if (text === null) return { state: 'on', by: '', at: 0 }
  const off: AutomationSwitch = { state: 'off', by: 'unknown', at: 0 }
  try {
    const said: unknown = JSON.parse(text)
    if (typeof said !== 'object' || said === null || !('state' in said)) return off
    const by = 'by' in said && typeof said.by === 'string' ? said.by : off.by
    const at = 'at' in said && typeof said.at === 'number' ? said.at : off.at
    return { state: said.state === 'on' ? 'on' : 'off', by, at }
  } catch {
    return off
  }
}

/** `policy:NAME`, as whoever started an operation. */
export const policyActor = (name: string): string => `policy:${name}`
/** As people read it, at the beginning of a sentence: `Policy "reset"`, or the person's name. */
export const actorName = (actor: string): string =>
  isPolicy(actor) ? `Policy ${JSON.stringify(actor.slice('policy:'.length))}` : actor
export const isPolicy = (actor: string): boolean => actor.startsWith('policy:')
