import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import type { Inputs, Kind } from '../../../src/core/acts.ts'
import { createRig, type Death, type Rig, type RigOptions } from '../../support/flows.ts'
import type { Outside } from '../../support/outside.ts'
import { startPostgres } from '../../support/postgres.ts'

// The process dies at each call outside and at each write, before it and after it (when the effect is there and nothing says
// so): another one goes on, every effect happens once, and people read each line once.

const postgres = await startPostgres()
after(() => postgres.stop())

type Scenario = {
  [K in Kind]: {
    name: string
    kind: K
    input: Inputs[K]
    services?: RigOptions['services']
    prepare?: (outside: Outside) => void
    state: string
  }
}[Kind]

const expected = { A: 'A', B: 'B' }
const onCluster = (outside: Outside) => outside.services({ cluster: true })
const scenarios: Scenario[] = [
  { name: 'reconcile', kind: 'reconcile', input: { regions: [], policy: 'highest-capacity' }, state: 'succeeded' },
  { name: 'reset', kind: 'reset', input: { region: 'A' }, state: 'succeeded' },
  { name: 'capacity', kind: 'capacity', input: { region: 'A', factor: 2, lasts: 600_000 }, state: 'succeeded' },
  { name: 'scale at the edge', kind: 'scale', input: { region: 'B', replicas: 6, lasts: 600_000 }, state: 'succeeded' },
  {
    name: 'scale on the cluster',
    kind: 'scale',
    input: { region: 'B', replicas: 6, lasts: 600_000 },
    services: onCluster,
    state: 'succeeded',
  },
  {
    name: 'revert by the edge',
    kind: 'revert',
    input: { regions: [], policy: 'highest-capacity' },
    state: 'succeeded',
  },
  {
    name: 'revert by Argo Rollouts',
    kind: 'revert',
    input: { regions: ['A'], policy: 'highest-capacity' },
    services: onCluster,
    prepare: (outside) => {
      outside.owner = 'edge'
    },
    state: 'succeeded',
  },
  { name: 'canary abort', kind: 'canary abort', input: {}, services: onCluster, state: 'succeeded' },
  { name: 'failover', kind: 'failover', input: { from: 'A', to: 'B', override: null }, state: 'succeeded' },
  {
    name: 'failover that comes back',
    kind: 'failover',
    input: { from: 'A', to: 'B', override: null },
    prepare: (outside) => outside.set('B', { bucket: { capacity: 1000, available: 300, ratio: 0.3 } }),
    state: 'failed',
  },
  {
    name: 'failover that cannot come back',
    kind: 'failover',
    input: { from: 'A', to: 'B', override: null },
    prepare: (outside) => {
      outside.set('B', { bucket: { capacity: 1000, available: 300, ratio: 0.3 } })
      outside.serving.set('A', false)
    },
    state: 'failed',
  },
  { name: 'rollback', kind: 'rollback', input: { of: 9, from: 'A', to: 'B', expected }, state: 'succeeded' },
]

async function begun(t: Parameters<typeof createRig>[0], scenario: Scenario, url?: string): Promise<[Rig, number]> {
  const rig = await createRig(t, {
    ...(scenario.services ? { services: scenario.services } : {}),
    ...(url === undefined ? {} : { url }),
  })
  rig.outside.conflicts = [{ key: 'user:1', values: { A: 1, B: 2 }, since: rig.now() - 5_000 }]
  scenario.prepare?.(rig.outside)
  return [rig, await rig.begin(scenario.kind, scenario.input)]
}

/** What must be the same whether or not somebody died: times of day aside, which follow the lease's end. */
async function verdict(rig: Rig, id: number) {
  const run = await rig.run(id)
  // What the cluster's change was is lost with its answer, though not that it was made.
  const text = (line: string) =>
    line
      .replaceAll(/\d\d:\d\d UTC/g, 'HH:MM UTC')
      .replace(
        /The cluster is as it should be; the answer to the change was lost|Scaled B .*6|Took it .*0|Weight from .*0|Aborted the update/,
        'CHANGED',
      )
      .replace(' Commit it in git.', '')
  return {
    state: run.state,
    outcome: text(run.outcome ?? ''),
    applied: rig.outside.applied,
    story: (await rig.story()).map(text),
    raised: rig.raised,
  }
}

/** What a rig opens is closed before the next one is made: a database has only so many connections. */
function scope() {
  const ends: (() => Promise<void>)[] = []
  return {
    after: (end: () => Promise<void>) => void ends.push(end),
    close: async () => {
      for (const end of ends) await end()
    },
  }
}

async function eachDeath(scenario: Scenario, url: () => Promise<string | undefined>): Promise<void> {
  const first = scope()
  const [clean, cleanId] = await begun(first, scenario, await url())
  await clean.finish(cleanId)
  const wanted = await verdict(clean, cleanId)
  assert.equal(wanted.state, scenario.state, wanted.outcome)
  const told = await clean.story()
  assert.equal(new Set(told).size, told.length, 'no line twice')
  await first.close()
  const deaths: Death[] = []
  for (const at of ['call', 'write'] as const) {
    for (let n = 1; n <= clean.counted()[at]; n++) {
      for (const point of ['before', 'after'] as const) deaths.push({ at, n, point })
    }
  }
  for (const death of deaths) {
    const one = scope()
    const [rig, id] = await begun(one, scenario, await url())
    rig.dieAt(death)
    await rig.finish(id)
    assert.equal(rig.deaths(), 1, `died ${JSON.stringify(death)}`)
    assert.deepEqual(await verdict(rig, id), wanted, `after a death at ${JSON.stringify(death)}`)
    await one.close()
  }
}

describe('killed at each step', () => {
  for (const scenario of scenarios) {
    test(scenario.name, () => eachDeath(scenario, async () => undefined))
  }
  test('capacity, on PostgreSQL', { skip: postgres.missing ?? false }, async () => {
    const scenario = scenarios.find(({ kind }) => kind === 'capacity')
    assert.ok(scenario)
    await eachDeath(scenario, () => postgres.database())
  })
})
