import { pino } from 'pino'
import type { Labels } from '../../src/core/alert.ts'
import { type Draft, draftOf, type Incident } from '../../src/core/incident.ts'
import type { AlertLookup, SignalSource } from '../../src/core/signal.ts'
import type { Delivery, Store } from '../../src/core/store.ts'
import { acknowledge, resolveByPerson } from '../../src/core/transitions.ts'
import type { IncidentView } from '../../src/core/view.ts'
import { transitionRules } from '../../src/engine/batch.ts'
import { storeDrafts } from '../../src/engine/changes.ts'
import { createChecks, fingerprintOf } from '../../src/engine/checks.ts'
import { createIngest } from '../../src/engine/ingest.ts'
import type { ReceivedAlert } from '../../src/engine/judge.ts'
import { createSignals } from '../../src/engine/signals.ts'
import { createViews } from '../../src/engine/view.ts'
import { openStore } from '../../src/store/store.ts'
import { policyOf } from './policy.ts'

/** When every world begins. */
export const START = Date.UTC(2026, 4, 4, 2, 15)

export const silent = pino({ level: 'silent' })

/** A firing alert; what is not given is that of an empty bucket in region A. */
export function firing(labels: Labels = {}, more: Partial<ReceivedAlert> = {}): ReceivedAlert {
  const all = { alertname: 'TokenBucketDepleted', service: 'rating-api', region: 'A', severity: 'critical', ...labels }
  return {
    fingerprint: fingerprintOf(JSON.stringify(Object.entries(all).sort())),
    status: 'firing',
    labels: all,
    annotations: {},
    startsAt: START - 1000,
    endsAt: null,
    generatorURL: '',
    externalURL: '',
    ...more,
  }
}

/** The end of an alert that `firing` made with the same labels. */
export function resolved(labels: Labels = {}, more: Partial<ReceivedAlert> = {}): ReceivedAlert {
  return firing(labels, { status: 'resolved', ...more })
}

/** Labels without one of those that `firing` gives. */
export function without(alert: ReceivedAlert, name: string): ReceivedAlert {
  const labels = Object.fromEntries(Object.entries(alert.labels).filter(([key]) => key !== name))
  return { ...alert, labels, fingerprint: fingerprintOf(JSON.stringify(Object.entries(labels).sort())) }
}

/** What receivers need to be valid; nothing is ever sent. */
export const PLATFORMS = `
slack: { bot_token: xoxb-test }
pagerduty: { routing_key: test }
`

/** Two receivers, the level decides. */
export const TWO_RECEIVERS = `${PLATFORMS}
receivers:
  - { name: critical, slack: { channel: CRIT } }
  - { name: default, slack: { channel: ALL } }
route:
  receiver: default
  routes: [{ matchers: ['level="P1"'], receiver: critical }]
`

export type World = {
  store: Store
  /** the clock's reading; `pass` moves it */
  now: () => number
  /** time passes, and the checks run once at its end */
  pass(ms: number): Promise<void>
  /** time passes, nobody looks */
  wait(ms: number): void
  /** one webhook */
  send(...alerts: ReceivedAlert[]): Promise<void>
  /** several webhooks at the same moment: they share a commit */
  together(...webhooks: ReceivedAlert[][]): Promise<void>
  tick(): Promise<void>
  all(): Promise<Incident[]>
  /** the only incident there is */
  only(): Promise<Incident>
  view(id?: number): Promise<IncidentView>
  deliveries(id?: number): Promise<Delivery[]>
  /** kinds of the story so far, in order */
  story(id?: number): Promise<string[]>
  /** how often somebody was to be woken: one per page key and generation */
  pages(): Promise<string[]>
  act(id: number, change: (draft: Draft) => void): Promise<void>
  acknowledge(id?: number): Promise<void>
  resolve(id?: number): Promise<void>
  /** another policy from now on, as a reload brings it */
  reload(yaml: string): void
  decisions: Map<string, number>
}

/** The engine without HTTP and destinations, in memory, under a clock that the test moves by hand. */
export async function createWorld(
  t: { after(done: () => Promise<void>): void },
  yaml = TWO_RECEIVERS,
  outside: { sources?: SignalSource[]; lookup?: AlertLookup } = {},
): Promise<World> {
  const store = await openStore('sqlite::memory:')
  t.after(() => store.close())
  let now = START
  let policy = policyOf(yaml)
  const clock = () => now
  const signals = createSignals(outside.sources ?? [], clock)
  const decisions = new Map<string, number>()
  const ingest = createIngest({
    store,
    policy: () => policy,
    clock,
    believes: () => signals.configured,
    onStored(result) {
      for (const [name, n] of result.decisions) decisions.set(name, (decisions.get(name) ?? 0) + n)
    },
  })
  const checks = createChecks({
    store,
    policy: () => policy,
    signals,
    lookup: () => outside.lookup ?? null,
    ingest,
    clock,
    log: silent,
    retention: () => 90 * 24 * 3_600_000,
    onStored: () => {},
    startedAt: START,
    everyRound: async () => {},
  })
  const views = createViews({ store, policy: () => policy, signals, publicUrl: () => null })
  const all = async () => (await store.listIncidents({ states: [], limit: 1000, before: null })).reverse()
  async function only() {
    const [first, ...rest] = await all()
    if (!first || rest.length > 0) throw new Error(`expected one incident, there are ${rest.length + (first ? 1 : 0)}`)
    return first
  }
  const idOf = async (id?: number) => id ?? (await only()).id
  async function act(id: number, change: (draft: Draft) => void) {
    await store.write(async (tx) => {
      const drafts = (await tx.incidents([id])).map((incident) => draftOf(incident))
      drafts.forEach(change)
      await storeDrafts(tx, drafts, policy, now)
    })
  }
  return {
    store,
    now: clock,
    decisions,
    async pass(ms) {
      now += ms
      await checks.tick()
    },
    wait(ms) {
      now += ms
    },
    async send(...alerts) {
      await ingest.accept({ alerts })
      await ingest.idle()
    },
    async together(...webhooks) {
      await Promise.all(webhooks.map((alerts) => ingest.accept({ alerts })))
      await ingest.idle()
    },
    tick: () => checks.tick(),
    all,
    only,
    async view(id) {
      const view = await views.load(await idOf(id))
      if (!view) throw new Error('there is no such incident')
      return view
    },
    deliveries: async (id) => store.deliveriesOf([await idOf(id)]),
    story: async (id) => (await store.story(await idOf(id), 1000)).map((event) => event.kind),
    pages: async () =>
      (await all()).flatMap(({ id, pages }) =>
        pages.map((page) => `${id}/${page.key}#${page.generation} ${page.state}`),
      ),
    act,
    acknowledge: async (id) => act(await idOf(id), (draft) => void acknowledge(draft, 'Dana', '', now)),
    resolve: async (id) =>
      act(
        await idOf(id),
        (draft) => void resolveByPerson(draft, 'Dana', '', transitionRules(policy, signals.configured), now),
      ),
    reload(text) {
      policy = policyOf(text)
    },
  }
}
