import type { Logger } from 'pino'
import { type Clock, MINUTE } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { Store } from '../core/store.ts'
import { fingerprintOf } from './checks.ts'
import { SELF_TEST } from './judge.ts'

export type SelfTestDeps = {
  store: Store
  clock: Clock
  log: Logger
  /** milliseconds between runs; null: off */
  every: () => number | null
  /** posts a webhook body to Claw's own receiver, as Alertmanager would. @throws when it is not answered 200 */
  post: (body: string) => Promise<void>
  onResult: (outcome: 'proven' | 'failed') => void
}

/** A page that is not confirmed within this has failed the test. */
const PATIENCE = 2 * MINUTE
const KEY = 'selftest'

type Run = { startedAt: number; state: 'paging' | 'proven' | 'failed' }

export type SelfTest = { tick(): Promise<void> }

/**
 * Sends a synthetic alert through the whole path on a schedule (system.md, section 5): webhook, store, routing, lane,
 * PagerDuty's acceptance. Its newest result is kept as `paging_proven_at`.
 */
export function createSelfTest(deps: SelfTestDeps): SelfTest {
  const { store, clock, log } = deps

  async function read(): Promise<Run | null> {
    const text = await store.meta(KEY)
    return text === null ? null : (JSON.parse(text) as Run)
  }

  async function write(run: Run, provenAt?: number): Promise<void> {
    await store.write(async (tx) => {
      await tx.setMeta(KEY, JSON.stringify(run))
      if (provenAt !== undefined) await tx.setMeta('paging_proven_at', String(provenAt))
    })
  }

  async function confirmed(run: Run): Promise<boolean> {
    const [occurrence] = await store.occurrences([fingerprintOf(runName(run))])
    if (!occurrence) return false
    const pages = (await store.deliveriesOf([occurrence.incidentId])).filter((row) => row.kind === 'pagerduty')
    return pages.length > 0 && pages.every((row) => row.deliveredAt !== null)
  }

  async function finish(run: Run, state: 'proven' | 'failed', now: number): Promise<void> {
    await deps.post(webhook(run, 'resolved', now))
    await write({ ...run, state }, state === 'proven' ? now : undefined)
    deps.onResult(state)
    if (state === 'proven') log.info({ tookMs: now - run.startedAt }, 'self-test: paging is proven')
    else log.error('self-test: the synthetic page was not confirmed; look at the deliveries of its incident')
  }

  return {
    async tick() {
      const every = deps.every()
      if (every === null) return
      const now = clock()
      try {
        const run = await read()
        if (run?.state === 'paging') {
          if (await confirmed(run)) await finish(run, 'proven', now)
          else if (now - run.startedAt > PATIENCE) await finish(run, 'failed', now)
        } else if (run === null || now - run.startedAt >= every) {
          const next: Run = { startedAt: now, state: 'paging' }
          await write(next)
          await deps.post(webhook(next, 'firing', now))
        }
      } catch (error) {
        log.error({ err: error }, `self-test: ${messageOf(error)}`)
      }
    },
  }
}

const runName = (run: Run): string => `${SELF_TEST} ${run.startedAt}`

function webhook(run: Run, status: 'firing' | 'resolved', now: number): string {
  const labels = { alertname: SELF_TEST, severity: 'critical', run: new Date(run.startedAt).toISOString() }
  const annotations = { summary: 'Self-test: this page proves that pages arrive. Nothing to do.' }
  return JSON.stringify({
    version: '4',
    receiver: 'claw',
    status,
    groupKey: runName(run),
    groupLabels: {},
    commonLabels: labels,
    commonAnnotations: annotations,
    externalURL: '',
    truncatedAlerts: 0,
    alerts: [
      {
        status,
        labels,
        annotations,
        startsAt: new Date(run.startedAt).toISOString(),
        endsAt: status === 'resolved' ? new Date(now).toISOString() : '0001-01-01T00:00:00Z',
        generatorURL: '',
        fingerprint: fingerprintOf(runName(run)),
      },
    ],
  })
}
