import type { TestContext } from 'node:test'
import { pino } from 'pino'
import type { Destination, Pacing, StepInput, StepResult } from '../../../src/core/delivery.ts'
import type { Store } from '../../../src/core/store.ts'
import { createLane, type Lane, type LaneDeps } from '../../../src/engine/delivery.ts'
import { createWorld, firing, type World } from '../../support/engine.ts'

export const DONE = (input: StepInput, reference = `m${input.incident.id}`): StepResult => ({
  outcome: 'done',
  state: { version: input.incident.version, steps: stepsOf(input) + 1 },
  reference,
})

/** How many steps of this delivery were recorded, by the state that they leave. */
export function stepsOf(input: StepInput): number {
  const state = input.state as { steps?: number } | null
  return state?.steps ?? 0
}

export const retry = (more: Partial<Extract<StepResult, { outcome: 'retry' }>> = {}): StepResult => ({
  outcome: 'retry',
  reason: 'not today',
  retryAfterMs: null,
  inDoubt: false,
  scope: 'target',
  ...more,
})

export const UNPACED: Pacing = { concurrency: 8, perTarget: 1, lane: null, target: null, reserve: 0 }

export type Scripted = Destination & {
  /** every step that was asked for, in order */
  steps: StepInput[]
  /** most steps under way at once, over all and to one target */
  most: { lane: number; target: number }
  /** what the next steps answer */
  answer: (input: StepInput) => StepResult | Promise<StepResult>
  /** resolves when so many steps were begun */
  begun(count: number): Promise<void>
  closed: boolean
}

/** A destination that does as it is told and remembers what it was asked. */
export function scripted(lane = 'slack', pacing: Partial<Pacing> = {}): Scripted {
  const busy = new Map<string, number>()
  const waiting: { count: number; resolve: () => void }[] = []
  const made: Scripted = {
    kind: 'slack',
    lane,
    pacing: { ...UNPACED, ...pacing },
    steps: [],
    most: { lane: 0, target: 0 },
    answer: DONE,
    closed: false,
    async begun(count) {
      if (made.steps.length < count) await new Promise<void>((resolve) => waiting.push({ count, resolve }))
    },
    async step(input) {
      made.steps.push(input)
      busy.set(input.target, (busy.get(input.target) ?? 0) + 1)
      made.most.target = Math.max(made.most.target, busy.get(input.target) ?? 0)
      made.most.lane = Math.max(
        made.most.lane,
        [...busy.values()].reduce((a, b) => a + b),
      )
      for (const { count, resolve } of waiting) if (made.steps.length >= count) resolve()
      try {
        return await made.answer(input)
      } finally {
        busy.set(input.target, (busy.get(input.target) ?? 0) - 1)
      }
    },
    async close() {
      made.closed = true
    },
  }
  return made
}

export type Bench = World & {
  logged: string[]
  /** a lane over the world's store; stopped after the test */
  lane(destination: Destination, more?: Partial<LaneDeps>): Lane
  /** one incident, and its messages */
  open(service: string, labels?: Record<string, string>): Promise<number>
}

/** An engine with a clock to move, one receiver in channel ALL, and lanes to try. */
export async function bench(
  t: TestContext,
  yaml = 'receivers: [{ name: all, slack: { channel: ALL } }]\nroute: { receiver: all }',
): Promise<Bench> {
  const world = await createWorld(t, `slack: { bot_token: x }\ntelegram: { bot_token: x }\n${yaml}`)
  const logged: string[] = []
  const log = pino({ level: 'trace' }, { write: (line: string) => void logged.push(line) })
  return {
    ...world,
    logged,
    lane(destination, more = {}) {
      const lane = createLane(destination, depsOf(world, world.store, { log, ...more }))
      t.after(() => lane.stop())
      return lane
    },
    async open(service, labels = {}) {
      await world.send(firing({ service, ...labels }))
      const [newest] = await world.store.listIncidents({ states: [], limit: 1, before: null })
      return newest?.id ?? 0
    },
  }
}

export function depsOf(world: Pick<World, 'now' | 'view'>, store: Store, more: Partial<LaneDeps> = {}): LaneDeps {
  return {
    store,
    loadView: async (id) => world.view(id),
    clock: world.now,
    owner: 'this process',
    installation: 'test',
    log: pino({ level: 'silent' }),
    random: () => 1,
    giveUpAfter: 24 * 3_600_000,
    ...more,
  }
}

/** Yaml of one receiver per channel, chosen by the label `to`. */
export function channels(...names: string[]): string {
  return [
    'receivers:',
    ...names.map((name) => `  - { name: ${name}, slack: { channel: ${name} } }`),
    `route:\n  receiver: ${names[0]}\n  routes:`,
    ...names.map((name) => `    - { matchers: ['to="${name}"'], receiver: ${name} }`),
  ].join('\n')
}
