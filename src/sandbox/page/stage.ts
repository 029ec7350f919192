import type { Clock } from '../../core/clock.ts'
import type { AlertSource } from '../alertsource.ts'
import type { EdgeRecord } from '../edge/api.ts'
import type { Edge } from '../edge.ts'
import type { FakePagerDuty } from '../pagerduty.ts'
import type { Run } from '../scenarios.ts'
import type { FakeSlack } from '../slack.ts'
import type { FakeTelegram } from '../telegram.ts'

/** What the page needs of the world. */
export type Stage = {
  clock: Clock
  /** Claw's own address, without a slash at the end */
  clawUrl: () => string
  /** of Claw's HTTP API; null where there is none to ask */
  apiToken: string | null
  edge: Edge
  alerts: AlertSource
  slack: FakeSlack
  telegram: FakeTelegram
  pagerduty: FakePagerDuty
  /** the scenario under way */
  running(): Run | null
  /** what was asked of the edge's admin API, newest last */
  edgeCalls(): EdgeRecord[]
  /** how many times faster than in production alerts get ready */
  speed(): number
  setSpeed(factor: number): void
  /** brings the model to the present */
  catchUp(): void
}
