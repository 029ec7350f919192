import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { AlertmanagerApi, ListedSilence, NewSilence } from '../../../src/core/alertmanager.ts'
import type { Silence } from '../../../src/core/chatops.ts'
import { HOUR, MINUTE, SECOND } from '../../../src/core/clock.ts'
import { createSilences } from '../../../src/engine/silences.ts'
import { createWorld, firing, resolved, silent, TWO_RECEIVERS, type World } from '../../support/engine.ts'
import { policyOf } from '../../support/policy.ts'

/** Alertmanager's silences, as it keeps them: a start in the past becomes now, an id is changed in place. */
function alertmanager(now: () => number) {
  const kept = new Map<string, ListedSilence & { by: string; matchers: string[] }>()
  const calls: string[] = []
  const fail = { reason: '', refused: false, loseAnswer: false }
  const failure = () => ({ ok: false as const, refused: fail.refused, reason: fail.reason })
  const seen = (silence: ListedSilence): ListedSilence => ({
    ...silence,
    state: silence.endsAt <= now() ? 'expired' : 'active',
  })
  const api: AlertmanagerApi = {
    address: 'http://am:9093',
    alerts: async () => ({ ok: true, alerts: [] }),
    startedAt: async () => ({ ok: true, at: 0 }),
    silences: async () => {
      calls.push('list')
      return fail.reason ? failure() : { ok: true, silences: [...kept.values()].map(seen) }
    },
    silence: async (id) => {
      const found = kept.get(id)
      return fail.reason ? failure() : { ok: true, silence: found ? seen(found) : null }
    },
    saveSilence: async (silence: NewSilence) => {
      calls.push(silence.id === null ? 'create' : `change ${silence.id}`)
      if (fail.reason) return failure()
      const before = silence.id === null ? undefined : kept.get(silence.id)
      const same = before !== undefined && before.startsAt === silence.startsAt
      const id = same ? before.id : `am${kept.size + 1}`
      const startsAt = same ? before.startsAt : Math.max(silence.startsAt, now())
      const matchers = silence.matchers.map((one) => one.text)
      kept.set(id, {
        id,
        state: 'active',
        startsAt,
        endsAt: silence.endsAt,
        comment: silence.comment,
        by: silence.createdBy,
        matchers,
      })
      return fail.loseAnswer
        ? { ok: false, refused: false, reason: 'Alertmanager: connection reset' }
        : { ok: true, id }
    },
    endSilence: async (id) => {
      calls.push(`end ${id}`)
      if (fail.reason) return failure()
      const found = kept.get(id)
      if (found) kept.set(id, { ...found, endsAt: Math.min(found.endsAt, now()) })
      return { ok: true }
    },
  }
  return { api, kept, calls, fail }
}

async function setUp(t: TestContext, withApi = true) {
  const world = await createWorld(t)
  const am = alertmanager(world.now)
  let woken = 0
  const make = (owner: string) =>
    createSilences({
      store: world.store,
      policy: () => policyOf(TWO_RECEIVERS),
      api: () => (withApi ? am.api : null),
      clock: world.now,
      log: silent,
      onStored: () => {
        woken += 1
      },
      installation: () => 'test',
      owner,
    })
  return { world, am, silences: make('one'), make, woken: () => woken }
}

async function silence(world: World, more: Partial<Silence> = {}): Promise<Silence> {
  return world.store.write(async (tx) => {
    const made: Silence = {
      id: await tx.nextSilenceId(),
      incident: 1,
      matchers: 'service="rating-api"',
      by: 'Dana',
      note: 'known',
      startsAt: world.now(),
      endsAt: world.now() + HOUR,
      state: 'active',
      alertmanagerId: null,
      pending: 'create',
      ...more,
    }
    await tx.saveSilence(made)
    return made
  })
}

const read = async (world: World, id = 1) => (await world.store.silence(id)) as Silence

test("Claw's own silence keeps matching alerts quiet, and lets them count when it is over", async (t) => {
  const { world, silences } = await setUp(t, false)
  await silence(world, { incident: null, matchers: 'region="B"', endsAt: world.now() + 10 * MINUTE })
  await world.send(firing({ region: 'B' }))
  const [quiet] = await world.store.alertsOf(1, 1)
  assert.equal(quiet?.suppressed, 'silenced: s1 by Dana')
  assert.deepEqual(await world.pages(), [], 'nobody is woken')
  await world.send(firing({ region: 'A', service: 'other' }))
  assert.deepEqual(await world.pages(), ['2/#1 triggered'], 'others are heard')
  world.wait(10 * MINUTE - 1)
  await silences.tick()
  await world.tick()
  assert.equal((await read(world)).state, 'active')
  world.wait(20 * SECOND)
  await silences.tick()
  await world.tick()
  const over = await read(world)
  assert.deepEqual([over.state, over.pending], ['ended', null], 'there is nobody to tell')
  assert.deepEqual(await world.pages(), ['1/#1 triggered', '2/#1 triggered'])
})

test('a self-test, unreadable matchers and no matchers at all are not silenced', async (t) => {
  const { world } = await setUp(t, false)
  await silence(world, { matchers: '', incident: null })
  await silence(world, { matchers: 'region=~"("', incident: null })
  await world.send(firing())
  assert.deepEqual(await world.pages(), ['1/#1 triggered'])
  await silence(world, { matchers: 'severity="critical"', incident: null })
  await world.send(firing({ alertname: 'ClawSelfTest', run: '1' }), firing({ service: 'x' }))
  assert.deepEqual(await world.pages(), ['1/#1 triggered', '2/#1 triggered'])
})

test('Alertmanager is told once: created, extended while the incident lasts, ended with it', async (t) => {
  const { world, am, silences, woken } = await setUp(t)
  await world.send(firing())
  await silence(world, { endsAt: world.now() + 10 * MINUTE })
  await silences.tick()
  await silences.tick()
  const [first] = [...am.kept.values()]
  assert.deepEqual(
    [first?.by, first?.matchers, first?.comment.startsWith('known [claw test s1 ')],
    ['Dana', ['service="rating-api"'], true],
  )
  assert.deepEqual([(await read(world)).alertmanagerId, (await read(world)).pending], ['am1', null])
  assert.equal(am.calls.filter((call) => call === 'create').length, 1)
  world.wait(6 * MINUTE)
  await silences.tick()
  assert.deepEqual((await read(world)).endsAt, world.now() + 15 * MINUTE)
  assert.equal(am.kept.get('am1')?.endsAt, world.now() + 15 * MINUTE, 'changed in place')
  assert.equal(am.kept.size, 1)
  for (let n = 0; n < 10; n++) {
    world.wait(6 * MINUTE)
    await silences.tick()
  }
  assert.ok((await read(world)).endsAt > world.now(), 'it lasts as long as the incident')
  const before = woken()
  await world.send(resolved())
  await silences.tick()
  assert.deepEqual([(await read(world)).state, (await read(world)).pending], ['ended', null])
  assert.ok((am.kept.get('am1')?.endsAt ?? Infinity) <= world.now())
  assert.ok(woken() > before)
  const [last] = (await world.store.story(1, 99)).slice(-1)
  assert.deepEqual(
    [last?.kind, last?.text, last?.push],
    ['silence', 'Silence s1 of Dana ended: the incident is over.', false],
  )
})

test('a silence by matchers alone ends at its end, there by itself', async (t) => {
  const { world, am, silences } = await setUp(t)
  await silence(world, { incident: null, endsAt: world.now() + 10 * MINUTE })
  await silences.tick()
  world.wait(9 * MINUTE)
  await silences.tick()
  assert.equal((await read(world)).state, 'active')
  world.wait(MINUTE)
  await silences.tick()
  assert.deepEqual([(await read(world)).state, (await read(world)).pending], ['ended', null])
  assert.ok(am.calls.includes('end am1'))
})

test('a create whose answer was lost is found again by its marker, by another process too', async (t) => {
  const { world, am, silences, make } = await setUp(t)
  await world.send(firing())
  await silence(world)
  am.fail.loseAnswer = true
  await silences.tick()
  assert.deepEqual([am.kept.size, (await read(world)).alertmanagerId], [1, null])
  am.fail.loseAnswer = false
  await make('two').tick()
  assert.deepEqual([am.kept.size, (await read(world)).alertmanagerId], [1, 'am1'])
})

test('Alertmanager is down: the silence holds here, and is told once it is back', async (t) => {
  const { world, am, silences } = await setUp(t)
  await world.send(firing())
  await silence(world)
  am.fail.reason = 'Alertmanager: connection refused'
  await silences.tick()
  const tries = am.calls.length
  await silences.tick()
  assert.equal(am.calls.length, tries, 'not at once again')
  await world.send(firing({ region: 'B' }))
  assert.equal((await world.only()).suppressed, 1)
  am.fail.reason = ''
  world.wait(10 * SECOND)
  await silences.tick()
  assert.equal((await read(world)).alertmanagerId, 'am1')
})

test('what Alertmanager refuses stays a silence of Claw, and the story says so', async (t) => {
  const { world, am, silences } = await setUp(t)
  await world.send(firing())
  await silence(world)
  const save = am.api.saveSilence
  am.api.saveSilence = async () => ({ ok: false, refused: true, reason: 'Alertmanager: answered 400: no' })
  await silences.tick()
  am.api.saveSilence = save
  await silences.tick()
  assert.deepEqual([(await read(world)).state, (await read(world)).pending], ['active', null])
  assert.equal(am.kept.size, 0)
  assert.match((await world.store.story(1, 9)).at(-1)?.text ?? '', /Claw's own.*answered 400/)
})

test('ended in Alertmanager by somebody: over here too', async (t) => {
  const { world, am, silences } = await setUp(t)
  await world.send(firing())
  await silence(world)
  await silences.tick()
  const made = am.kept.get('am1')
  assert.ok(made)
  world.wait(2 * MINUTE)
  am.kept.set('am1', { ...made, endsAt: world.now() - 1 })
  await silences.tick()
  assert.deepEqual([(await read(world)).state, (await read(world)).pending], ['ended', null])
  assert.match((await world.store.story(1, 9)).at(-1)?.text ?? '', /was ended in Alertmanager/)
})

test('ended here while Alertmanager was being told: the end follows', async (t) => {
  const { world, am, silences } = await setUp(t)
  await world.send(firing())
  const made = await silence(world)
  const save = am.api.saveSilence
  am.api.saveSilence = async (one, signal) => {
    const answer = await save(one, signal)
    await world.store.write((tx) => tx.saveSilence({ ...made, state: 'ended', pending: 'end' }))
    return answer
  }
  await silences.tick()
  assert.deepEqual([(await read(world)).alertmanagerId, (await read(world)).pending], ['am1', 'end'])
  await silences.tick()
  assert.equal((await read(world)).pending, null)
  assert.ok(am.calls.includes('end am1'))
})

test('resolved while what it hides still fires: it stays until its end, then that counts', async (t) => {
  const { world, silences } = await setUp(t, false)
  await world.send(firing())
  await silence(world, { endsAt: world.now() + 20 * MINUTE, pending: null })
  await world.send(firing({ region: 'B' }))
  await world.send(resolved())
  await world.pass(SECOND)
  await silences.tick()
  assert.deepEqual([(await world.only()).state, (await read(world)).state], ['resolved', 'active'])
  world.wait(20 * MINUTE)
  await silences.tick()
  await world.pass(10 * SECOND)
  assert.equal((await read(world)).state, 'ended')
  assert.equal((await world.only()).state, 'open', 'B was never told to anybody')
})
