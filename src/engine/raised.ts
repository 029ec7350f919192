import type { Labels } from '../core/alert.ts'
import { type Clock, SECOND } from '../core/clock.ts'
import type { Store } from '../core/store.ts'
import { fingerprintOf } from './checks.ts'
import type { Ingest } from './ingest.ts'
import type { ReceivedAlert } from './judge.ts'

export type RaisedDeps = { store: Store; ingest: Pick<Ingest, 'accept'>; clock: Clock }

export type Raised = {
  /** opens an incident; the same `key` raises the same alert, so that doing it twice is harmless */
  raise(key: string, labels: Labels, annotations: Labels): Promise<void>
  /** one round: what somebody has taken or closed fires no more */
  tick(): Promise<void>
}

const KEPT_IN = 'raised_alerts'
const LOOK_EVERY = 5 * SECOND

type Kept = Pick<ReceivedAlert, 'fingerprint' | 'labels' | 'startsAt'>

/**
 * Alerts that Claw raises about its own acts. No Prometheus ends them: each fires until a person has acknowledged or resolved its
 * incident, so that it neither comes back after that nor stays open for ever.
 */
export function createRaised({ store, ingest, clock }: RaisedDeps): Raised {
  let lookAt = 0

  async function kept(): Promise<Kept[]> {
    const text = await store.meta(KEPT_IN)
    return text === null ? [] : (JSON.parse(text) as Kept[])
  }
  const keep = (alerts: readonly Kept[]) => store.write((tx) => tx.setMeta(KEPT_IN, JSON.stringify(alerts)))
  const alertOf = (one: Kept, annotations: Labels, endsAt: number | null): ReceivedAlert => ({
    ...one,
    status: endsAt === null ? 'firing' : 'resolved',
    annotations,
    endsAt,
    generatorURL: '',
    externalURL: '',
  })

  return {
    async raise(key, labels, annotations) {
      const fingerprint = fingerprintOf(key)
      const before = await kept()
      const one = before.find((other) => other.fingerprint === fingerprint) ?? {
        fingerprint,
        labels,
        startsAt: clock() - SECOND,
      }
      await keep([...before.filter((other) => other.fingerprint !== fingerprint), one])
      await ingest.accept({ alerts: [alertOf(one, annotations, null)] })
    },
    async tick() {
      const now = clock()
      if (now < lookAt && lookAt - now <= LOOK_EVERY) return
      lookAt = now + LOOK_EVERY
      const firing = await kept()
      if (firing.length === 0) return
      const rows = await store.occurrences(firing.map(({ fingerprint }) => fingerprint))
      const incidents = await store.incidents(rows.map(({ incidentId }) => incidentId))
      const seen = new Set(incidents.filter(({ state }) => state !== 'open').map(({ id }) => id))
      const over = firing.filter((one) => {
        const row = rows.find(({ fingerprint }) => fingerprint === one.fingerprint)
        return row !== undefined && (row.state === 'resolved' || seen.has(row.incidentId))
      })
      if (over.length === 0) return
      await ingest.accept({ alerts: over.map((one) => alertOf(one, {}, now)) })
      await keep(firing.filter((one) => !over.includes(one)))
    },
  }
}
