import type { Clock } from '../core/clock.ts'
import { ClawError } from '../core/errors.ts'
import type { Policy } from '../core/policy.ts'
import type { Store } from '../core/store.ts'
import { type BatchResult, type Received, storeBatch } from './batch.ts'
import { Repeats } from './repeats.ts'

export type IngestDeps = {
  store: Store
  policy: () => Policy
  clock: Clock
  /** a source can tell whether a region answers */
  believes: () => boolean
  /** called after a commit that changed an incident */
  onStored: (result: BatchResult) => void
  onBatch?: (webhooks: number, alerts: number) => void
}

/** Alerts in one transaction: enough to share a commit, few enough to keep the event loop free. */
const BATCH_ALERTS = 2000
/** Longest time that counters of unchanged repeats are kept in memory. */
const FLUSH_EVERY = 1000
/** Alerts that may wait for a commit; beyond that Claw is overloaded and says 503. */
const MAX_WAITING = 200_000

export type Ingest = {
  /**
   * Stores one webhook. Resolves once it is on disk; concurrent webhooks share a commit.
   * @throws ClawError('unavailable') when it cannot be stored; then nothing of it is
   */
  accept(webhook: Received): Promise<void>
  /** resolves when nothing waits any more, counters of repeats included */
  idle(): Promise<void>
  /** writes the counters of repeats now, so that a reader sees them */
  flush(): Promise<void>
  waiting(): number
}

type Waiting = { webhook: Received; resolve: () => void; reject: (error: unknown) => void }

export function createIngest(deps: IngestDeps): Ingest {
  let queue: Waiting[] = []
  let waitingAlerts = 0
  let running: Promise<void> | null = null
  let timer: NodeJS.Timeout | undefined
  const repeats = new Repeats()

  function take(): Waiting[] {
    let alerts = 0
    let n = 0
    while (n < queue.length && (n === 0 || alerts + (queue[n]?.webhook.alerts.length ?? 0) <= BATCH_ALERTS)) {
      alerts += queue[n]?.webhook.alerts.length ?? 0
      n += 1
    }
    const batch = n === queue.length ? queue : queue.slice(0, n)
    queue = n === queue.length ? [] : queue.slice(n)
    return batch
  }

  async function store(batch: Waiting[]): Promise<void> {
    const now = deps.clock()
    const webhooks = batch.map((waiting) => waiting.webhook)
    const result = await deps.store.write((tx) =>
      storeBatch(tx, webhooks, { policy: deps.policy(), now, believes: deps.believes(), countLater: true }),
    )
    for (const waiting of batch) waiting.resolve()
    for (const { fingerprint, incidentId } of result.repeats) repeats.note(fingerprint, incidentId, now)
    if (repeats.full) await flush()
    else if (!repeats.empty) flushLater()
    deps.onStored(result)
  }

  /** Never rejects: what cannot be written now is kept for the next time. */
  async function flush(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    await repeats.flush(deps.store).catch(() => {
      flushLater()
    })
  }

  function flushLater(): void {
    timer ??= setTimeout(() => void flush(), FLUSH_EVERY)
    timer.unref()
  }

  async function run(): Promise<void> {
    while (queue.length > 0) {
      // Lets every request that has arrived by now be parsed, so that they share the commit.
      for (let before = -1; before < queue.length && waitingAlerts < BATCH_ALERTS; ) {
        before = queue.length
        await new Promise<void>((resolve) => setImmediate(resolve))
      }
      const batch = take()
      const alerts = batch.reduce((sum, { webhook }) => sum + webhook.alerts.length, 0)
      deps.onBatch?.(batch.length, alerts)
      try {
        await store(batch)
      } catch (error) {
        await storeApart(batch, error)
      } finally {
        waitingAlerts -= alerts
      }
    }
    running = null
  }

  /**
   * A batch failed. When it is the database, all of it is refused. When one webhook is to blame (a fault of ours), the
   * others must not suffer for it.
   */
  async function storeApart(batch: Waiting[], error: unknown): Promise<void> {
    const blame = error instanceof ClawError && error.cause instanceof TypeError
    if (!blame || batch.length === 1) {
      for (const waiting of batch) waiting.reject(error)
      return
    }
    for (const waiting of batch) {
      try {
        await store([waiting])
      } catch (own) {
        waiting.reject(own)
      }
    }
  }

  return {
    accept(webhook) {
      if (waitingAlerts + webhook.alerts.length > MAX_WAITING) {
        return Promise.reject(
          new ClawError(
            'unavailable',
            'More alerts are waiting to be stored than Claw can hold. Send it again shortly.',
          ),
        )
      }
      waitingAlerts += webhook.alerts.length
      return new Promise((resolve, reject) => {
        queue.push({ webhook, resolve, reject })
        running ??= run()
      })
    },
    async idle() {
      while (running) await running
      await flush()
      clearTimeout(timer)
    },
    flush,
    waiting: () => waitingAlerts,
  }
}
