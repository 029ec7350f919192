import { workflows as definitions } from '../../handlers/workflows/index.ts'
import { type Inputs, type Kind, runOf } from '../../src/core/acts.ts'
import { newIncident } from '../../src/core/incident.ts'
import type { Store, Tx } from '../../src/core/store.ts'
import type { NewRun, Workflow, WorkflowRun, WorkflowServices } from '../../src/core/workflow.ts'
import { startRun } from '../../src/engine/runs.ts'
import { createWorkflows, type Workflows } from '../../src/engine/workflows.ts'
import { openStore } from '../../src/store/store.ts'
import { START, silent } from './engine.ts'
import { createOutside, type Outside } from './outside.ts'
import { policyOf } from './policy.ts'

export type RigOptions = {
  /** default: SQLite in memory */
  url?: string
  definitions?: readonly Workflow[]
  /** what is configured; default: edge and its traffic switch */
  services?: (outside: Outside) => WorkflowServices
}

/** Where a runner dies: at its n-th call outside or n-th write, counted from 1, before or after that took effect. */
export type Death = { at: 'call' | 'write'; n: number; point: 'before' | 'after' }

export type Rig = {
  store: Store
  outside: Outside
  now(): number
  /** time passes; nobody looks */
  wait(ms: number): void
  /** stores a run of a kind in incident 1 (null: in none); nobody works on it yet */
  begin<K extends Kind>(kind: K, input: Inputs[K], more?: Partial<NewRun>): Promise<number>
  /** works on it until it is over, time passing as it asks for; dead runners are replaced */
  finish(id: number): Promise<WorkflowRun>
  /** works on what is due at this moment */
  round(): Promise<void>
  /** works on until a step of this name is known */
  reach(id: number, step: string): Promise<WorkflowRun>
  run(id: number): Promise<WorkflowRun>
  cancel(id: number, by?: string): Promise<boolean>
  /** lines of incident 1's story: `kind: text` */
  story(): Promise<string[]>
  /** the runner at work dies there */
  dieAt(death: Death): void
  /** calls outside and writes so far */
  counted(): { call: number; write: number }
  deaths(): number
  /** another process beside the first, on the same or a second store */
  second(store?: Store): Workflows
  /** what asked for an incident of its own */
  raised: string[]
  ended: string[]
  /** the runner at work */
  workflows(): Workflows
}

/** The runner over the fake outside, under a clock that moves by hand. */
export async function createRig(t: { after(done: () => Promise<void>): void }, options: RigOptions = {}): Promise<Rig> {
  const store = await openStore(options.url ?? 'sqlite::memory:')
  let now = START
  const clock = () => now
  const policy = policyOf()
  const raised: string[] = []
  const ended: string[] = []
  const counts = { call: 0, write: 0 }
  let death: Death | null = null
  let deaths = 0
  let alive = Promise.withResolvers<void>()
  let dead = false

  /** Passes, or never returns when the runner dies here. @returns the same for the moment after it took effect */
  async function gate(at: Death['at']): Promise<() => Promise<void>> {
    counts[at] += 1
    const n = counts[at]
    const pass = async (point: Death['point']): Promise<void> => {
      if (!dead && death?.at === at && death.n === n && death.point === point) {
        dead = true
        deaths += 1
        alive.resolve()
      }
      if (dead) await new Promise<never>(() => {})
    }
    await pass('before')
    return () => pass('after')
  }

  const outside = createOutside(clock, () => gate('call'))
  const services = options.services ?? ((world: Outside) => world.services())

  /** The store as one process sees it that can die at each write. */
  function mortal(): Store {
    const me = deaths
    return {
      ...store,
      async write<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
        if (me !== deaths) return new Promise<never>(() => {})
        const leave = await gate('write')
        const result = await store.write(work)
        await leave()
        return result
      },
    }
  }

  let made = 0
  function runner(over: Store): Workflows {
    made += 1
    return createWorkflows({
      store: over,
      definitions: options.definitions ?? definitions,
      services: () => services(outside),
      policy: () => policy,
      installation: () => 'test',
      clock,
      log: silent,
      owner: `process ${made}`,
      random: () => 1,
      onStored: () => {},
      onEnded: (kind, outcome) => void ended.push(`${kind} ${outcome}`),
      raise: async (_run, text) => {
        if (!raised.includes(text)) raised.push(text)
      },
    })
  }
  let workflows = runner(mortal())
  t.after(async () => {
    dead = false
    await workflows.stop()
    await store.close()
  })
  await store.write((tx) =>
    tx.saveIncidents([newIncident(1, '{"service":"rating-api"}', { service: 'rating-api' }, now)]),
  )

  async function round(): Promise<void> {
    await Promise.race([workflows.idle(), alive.promise])
    if (!dead) return
    // Whoever takes over on PostgreSQL waits for the lease to run out.
    death = null
    dead = false
    alive = Promise.withResolvers<void>()
    if (!store.exclusive) now += 5_000
    workflows = runner(mortal())
    await round()
  }

  async function run(id: number): Promise<WorkflowRun> {
    const found = await store.workflow(id)
    if (!found) throw new Error(`there is no run ${id}`)
    return found
  }

  async function until(id: number, over: (found: WorkflowRun) => boolean): Promise<WorkflowRun> {
    for (let n = 0; n < 500; n++) {
      await round()
      const found = await run(id)
      if (over(found) || found.state !== 'running') return found
      now = Math.max(now, found.dueAt)
    }
    throw new Error(`run ${id} never ends: ${JSON.stringify((await run(id)).steps.at(-1))}`)
  }

  return {
    store,
    outside,
    now: clock,
    raised,
    ended,
    wait(ms) {
      now += ms
    },
    async begin(kind, input, more = {}) {
      const wanted: NewRun = { incident: 1, by: 'Dana', via: 'slack', replyTo: null, ...runOf(kind, input), ...more }
      const { run: started, busy } = await store.write((tx) => startRun(tx, wanted, policy, now))
      if (!started) throw new Error(`o${busy.id} is in the way`)
      return started.id
    },
    finish: (id) => until(id, () => false),
    round,
    reach: (id, step) => until(id, (found) => found.steps.some(({ name }) => name === step)),
    run,
    cancel: (id, by = 'Robin') => store.write((tx) => tx.cancelWorkflow(id, by, now)),
    story: async () => (await store.story(1, 1000)).map(({ kind, text }) => `${kind}: ${text}`),
    dieAt(where) {
      death = where
    },
    counted: () => ({ ...counts }),
    deaths: () => deaths,
    second: (other) => runner(other ?? store),
    workflows: () => workflows,
  }
}
