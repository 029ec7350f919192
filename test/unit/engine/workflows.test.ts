import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { ClawError } from '../../../src/core/errors.ts'
import { draftOf } from '../../../src/core/incident.ts'
import type { Flow, Outcome, Workflow } from '../../../src/core/workflow.ts'
import { storeDrafts } from '../../../src/engine/changes.ts'
import { createRig, type Rig } from '../../support/flows.ts'
import { policyOf } from '../../support/policy.ts'

const DONE: Outcome = { state: 'succeeded', summary: 'Done.' }

/** A rig whose `reset` runs this. */
async function rigOf(t: Parameters<typeof createRig>[0], run: (flow: Flow) => Promise<Outcome>): Promise<Rig> {
  const workflow: Workflow = { kind: 'reset', input: z.object({ region: z.string() }), run }
  return await createRig(t, { definitions: [workflow] })
}
const begin = (rig: Rig, more: Parameters<Rig['begin']>[2] = {}) => rig.begin('reset', { region: 'A' }, more)

test('steps run once, in order, each told once, with the same key at each attempt', async (t) => {
  const keys: string[] = []
  const rig = await rigOf(t, async (flow) => {
    const n = await flow.step('count', { say: (got) => `counted ${got}` }, async ({ key, attempt }) => {
      keys.push(key)
      if (attempt < 3) throw new ClawError('unavailable', 'not now')
      return 7
    })
    await flow.wait('a while', 60_000)
    return { state: 'succeeded', summary: `Got ${n}.`, data: { n } }
  })
  const run = await rig.finish(await begin(rig))
  assert.deepEqual([run.state, run.outcome, run.data], ['succeeded', 'Got 7.', { n: 7 }])
  assert.equal(keys.length, 3)
  assert.equal(new Set(keys).size, 1)
  assert.match(keys[0] ?? '', /^test-o1-\d+-count$/)
  assert.deepEqual((await rig.story()).slice(1), [
    'step: o1: counted 7.'.replace('7.', '7'),
    'operation_done: o1: Got 7.',
  ])
  const [audit] = await rig.store.newestAudit(null, 1)
  assert.deepEqual([audit?.action, audit?.outcome, audit?.actor], ['reset', 'done', 'Dana'])
})

test('long and odd names make keys that the edge takes, each its own', async (t) => {
  const keys: string[] = []
  const rig = await rigOf(t, async (flow) => {
    for (const name of [`${'x'.repeat(300)}1`, `${'x'.repeat(300)}2`, 'Zürich \ud800']) {
      await flow.step(name, {}, async ({ key }) => keys.push(key))
    }
    return DONE
  })
  await rig.finish(await begin(rig))
  assert.equal(new Set(keys).size, 3)
  for (const key of keys) assert.match(key, /^[\x21-\x7e]{1,255}$/)
})

test('retries back off and end; what is no passing trouble fails at once', async (t) => {
  const at: number[] = []
  const rig = await rigOf(t, async (flow) => {
    await flow.step('never', {}, async ({ now }) => {
      at.push(now)
      throw new ClawError('unavailable', 'down')
    })
    return DONE
  })
  const run = await rig.finish(await begin(rig))
  assert.equal(run.state, 'failed')
  assert.deepEqual(
    at.slice(1).map((time, n) => time - (at[n] ?? 0)),
    [500, 1000, 2000, 4000, 8000],
  )
  assert.match(
    (await rig.story()).join('\n'),
    /step_failed: o1: never failed: down\noperation_failed: o1: .* failed: down/,
  )

  let tries = 0
  const other = await rigOf(t, async (flow) => {
    await flow.step('no', {}, async () => {
      tries += 1
      throw new ClawError('forbidden', 'not you')
    })
    return DONE
  })
  assert.match((await other.finish(await begin(other))).outcome ?? '', /failed: not you/)
  assert.equal(tries, 1)
})

test('a step without an answer is given up in its time, and its signal ends', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const began = Promise.withResolvers<void>()
  let ended = false
  const rig = await rigOf(t, async (flow) => {
    await flow.step('hangs', { timeout: 2000, attempts: 1 }, ({ signal }) => {
      signal.addEventListener('abort', () => {
        ended = true
      })
      began.resolve()
      return new Promise<null>(() => {})
    })
    return DONE
  })
  const id = await begin(rig)
  const finished = rig.finish(id)
  await began.promise
  t.mock.timers.tick(2000)
  assert.match((await finished).outcome ?? '', /hangs: no answer within 2 s/)
  assert.ok(ended)
})

test('a poll looks until there is something, passes over silence, and ends in its time', async (t) => {
  let looks = 0
  const rig = await rigOf(t, async (flow) => {
    const found = await flow.poll('look', { timeout: 10_000, what: 'Nothing came' }, async () => {
      looks += 1
      if (looks === 2) throw new ClawError('unavailable', 'down')
      return looks === 4 ? 'it' : null
    })
    await flow.poll('never', { timeout: 3000, every: 2000, what: `Nothing after ${found}` }, async () => null)
    return DONE
  })
  const run = await rig.finish(await begin(rig))
  assert.equal(looks, 4)
  assert.match(run.outcome ?? '', /failed: Nothing after it within 3 s\.$/)
})

test('a mistake of ours fails the run without showing its insides', async (t) => {
  const rig = await rigOf(t, async () => {
    throw new TypeError('secret detail')
  })
  const run = await rig.finish(await begin(rig))
  assert.equal(run.state, 'failed')
  assert.doesNotMatch(run.outcome ?? '', /secret/)
})

test('asked to stop during a wait: noticed at once; compensation runs to its end', async (t) => {
  const done: string[] = []
  const rig = await rigOf(t, async (flow) => {
    try {
      await flow.wait('long', 3_600_000)
      return DONE
    } catch (error) {
      await flow.compensate(async () => {
        await flow.step('undo', {}, async () => done.push('undone'))
        await flow.wait('settle', 1000)
      })
      throw error
    }
  })
  const id = await begin(rig)
  await rig.round()
  await rig.cancel(id)
  const run = await rig.finish(id)
  assert.deepEqual([run.state, run.outcome], ['cancelled', 'Reset the bucket of A was stopped by Robin.'])
  assert.deepEqual(done, ['undone'])
  assert.ok(rig.now() - run.startedAt < 10_000)
})

test('asked to stop while a step is under way: the next one does not begin', async (t) => {
  const done: string[] = []
  let rig: Rig
  rig = await rigOf(t, async (flow) => {
    await flow.step('one', {}, async () => {
      await rig.cancel(1)
      return done.push('one')
    })
    await flow.step('two', {}, async () => done.push('two'))
    return DONE
  })
  assert.equal((await rig.finish(await begin(rig))).state, 'cancelled')
  assert.deepEqual(done, ['one'])
})

test('a store that cannot write is no failure of the workflow: it goes on later', async (t) => {
  let effects = 0
  const rig = await rigOf(t, async (flow) => {
    await flow.step('effect', {}, async () => {
      effects += 1
      return null
    })
    return DONE
  })
  const id = await begin(rig)
  let full = true
  const broken = rig.second({
    ...rig.store,
    write(work) {
      if (effects > 0 && full) {
        full = false
        return Promise.reject(new ClawError('unavailable', 'disk full'))
      }
      return rig.store.write(work)
    },
  })
  await broken.idle()
  const run = await rig.run(id)
  assert.equal(run.state, 'succeeded')
  assert.equal(effects, 2, 'the step whose outcome could not be stored ran again, under its key')
  await broken.stop()
})

test('who lost the lease writes nothing, and its execution ends', async (t) => {
  const entered = Promise.withResolvers<void>()
  const release = Promise.withResolvers<void>()
  let times = 0
  const rig = await rigOf(t, async (flow) => {
    await flow.step('slow', {}, async () => {
      times += 1
      if (times === 1) {
        entered.resolve()
        await release.promise
      }
      return times
    })
    return DONE
  })
  const id = await begin(rig)
  const first = rig.second()
  first.tick()
  await entered.promise
  const run = await rig.finish(id)
  assert.equal(run.state, 'succeeded')
  release.resolve()
  await first.idle()
  assert.deepEqual(await rig.run(id), run, 'nothing of the first was stored')
  assert.equal((await rig.story()).filter((line) => line.startsWith('operation_done')).length, 1)
  await first.stop()
})

test('stopped: the step under way is recorded, no other begins', async (t) => {
  const entered = Promise.withResolvers<void>()
  const release = Promise.withResolvers<void>()
  const done: string[] = []
  const rig = await rigOf(t, async (flow) => {
    await flow.step('one', {}, async () => {
      entered.resolve()
      await release.promise
      return done.push('one')
    })
    await flow.step('two', {}, async () => done.push('two'))
    return DONE
  })
  const id = await begin(rig)
  const process = rig.second()
  process.tick()
  await entered.promise
  const stopping = process.stop()
  release.resolve()
  await stopping
  assert.deepEqual(done, ['one'])
  assert.deepEqual(
    (await rig.run(id)).steps.map(({ name, state }) => `${name} ${state}`),
    ['one done'],
  )
  await rig.finish(id)
  assert.deepEqual(done, ['one', 'two'])
})

test('a kind that this Claw does not know is left for one that does', async (t) => {
  const rig = await rigOf(t, async () => DONE)
  const id = await rig.begin('capacity', { region: 'A', factor: 2, lasts: 1000 })
  await rig.round()
  const run = await rig.run(id)
  assert.deepEqual([run.state, run.steps], ['running', []])
  assert.deepEqual(await rig.store.dueWorkflows('a newer one', rig.now(), 9), [id])
})

test('input that cannot be read ends the run', async (t) => {
  const rig = await rigOf(t, async () => DONE)
  const run = await rig.finish(await begin(rig, { input: { region: 5 } }))
  assert.match(run.outcome ?? '', /What it was to do cannot be read/)
})

test('an alarm pages in the open incident; without one, or after its end, an incident is raised', async (t) => {
  const rig = await rigOf(t, async (flow) => {
    await flow.alarm('wake', `somebody, ${flow.name}`)
    return DONE
  })
  await rig.finish(await begin(rig))
  assert.equal((await rig.store.incidents([1]))[0]?.pages.length, 1)
  assert.deepEqual(rig.raised, [])
  await rig.finish(await begin(rig, { incident: null }))
  await rig.store.write(async (tx) => {
    const [incident] = await tx.incidents([1])
    assert.ok(incident)
    const draft = draftOf({ ...incident, state: 'resolved' })
    await storeDrafts(tx, [draft], policyOf(), rig.now())
  })
  await rig.finish(await begin(rig))
  assert.deepEqual(rig.raised, ['somebody, o2', 'somebody, o3'])
})

test('the story follows an incident that was merged into another', async (t) => {
  const rig = await rigOf(t, async (flow) => {
    await flow.tell('note', 'hello')
    return DONE
  })
  await rig.store.write(async (tx) => {
    const [first] = await tx.incidents([1])
    assert.ok(first)
    await tx.saveIncidents([
      { ...first, mergedInto: 2 },
      { ...first, id: 2, key: '{"service":"other"}' },
    ])
  })
  await rig.finish(await begin(rig))
  const lines = (await rig.store.story(2, 10)).map(({ text }) => text)
  assert.deepEqual(lines, ['o1: hello', 'o1: Done.'])
})

test('without an incident what matters is said where it was asked, silent steps are not', async (t) => {
  const rig = await rigOf(t, async (flow) => {
    await flow.step('quiet', { say: () => 'a step' }, async () => null)
    await flow.tell('loud', 'look')
    return DONE
  })
  const replyTo = { lane: 'slack', target: 'C1', address: { channel: 'C1' } }
  await rig.finish(await begin(rig, { incident: null, replyTo }))
  const rows = await rig.store.listDeliveries({ state: null, limit: 10, before: null })
  assert.equal(rows.length, 2)
})

test('a clock that is set back by an hour delays nothing by an hour', async (t) => {
  const rig = await rigOf(t, async (flow) => {
    await flow.wait('a moment', 10_000)
    return DONE
  })
  const id = await begin(rig)
  await rig.round()
  rig.wait(-3_600_000)
  const back = rig.now()
  await rig.round()
  const run = await rig.finish(id)
  assert.equal(run.state, 'succeeded')
  assert.equal(rig.now() - back, 10_000)
})

test('stopped while the edge works: it says that this may go on there, and what the workflow says of it', async (t) => {
  const rig = await rigOf(t, async (flow) => {
    try {
      await flow.step('merge: start', {}, async () => 'op_1')
      await flow.wait('merge', 60_000)
    } catch (error) {
      throw new ClawError('conflict', `${(error as Error).message} A went back.`)
    }
    return DONE
  })
  const id = await begin(rig)
  await rig.round()
  await rig.cancel(id)
  const run = await rig.finish(id)
  assert.deepEqual(
    [run.state, run.outcome],
    ['cancelled', 'Reset the bucket of A was stopped by Robin; what the edge had begun may go on there. A went back.'],
  )
})
