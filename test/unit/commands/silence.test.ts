import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HOUR } from '../../../src/core/clock.ts'
import { firing, without } from '../../support/engine.ts'
import { createRig, shown } from './rig.ts'

test('an incident is silenced by what its alerts have in common, after a preview', async (t) => {
  const { say, world, store, services } = await createRig(t)
  await world.send(firing())
  let counted = ''
  const { matching } = services
  services.matching = (matchers) => {
    counted = matchers
    return matching(matchers)
  }
  const asked = await say('silence 1 2h "known, deploy runs"')
  assert.equal(
    asked.summary,
    'Silence incident 1 (P1 · Bucket nearly empty in A · rating-api), by service="rating-api", region="A", for 2h (until 04:15 UTC): mutes 14 alerts in 3 regions, one critical. A region that joins later still pages. It still resolves in PagerDuty.',
  )
  assert.equal(counted, 'service="rating-api", region="A"')
  assert.deepEqual(await store.activeSilences(), [])
  const done = await say('approve a1')
  assert.equal(done.summary, 'Silenced incident 1 until 04:15 UTC (s1).')
  assert.deepEqual(await store.activeSilences(), [
    {
      id: 1,
      incident: 1,
      matchers: 'service="rating-api", region="A"',
      by: 'Dana',
      note: 'known, deploy runs',
      startsAt: world.now(),
      endsAt: world.now() + 2 * HOUR,
      state: 'active',
      alertmanagerId: null,
      pending: 'create',
    },
  ])
  assert.deepEqual(await world.story(), ['opened', 'silenced'])
  assert.match(shown(await say('show 1')), /Silenced until 04:15 UTC by Dana \(s1\)/)
})

test('a second silence of the same gives the first one a new end', async (t) => {
  const { say, world, store } = await createRig(t)
  await world.send(firing())
  await say('silence 1 2h', { confirmed: true })
  await store.write(async (tx) => {
    for (const one of await tx.activeSilences()) await tx.saveSilence({ ...one, alertmanagerId: 'am-1', pending: null })
  })
  await say('silence 4h', { confirmed: true, incident: 1 })
  const [kept, ...rest] = await store.activeSilences()
  assert.deepEqual([rest.length, kept?.pending, kept?.endsAt], [0, 'extend', world.now() + 4 * HOUR])
})

test('matchers as Alertmanager writes them, blanks and quotes included', async (t) => {
  const { say, store } = await createRig(t)
  for (const [text, matchers] of [
    ['service="api",region="A"', 'service="api", region="A"'],
    ['{service="api", region=~"A|B"}', 'service="api", region=~"A|B"'],
    ['{job="batch 1h load"}', 'job="batch 1h load"'],
    ['service=api', 'service="api"'],
  ] as const) {
    const done = await say(`silence ${text} 30m planned work`, { confirmed: true })
    assert.equal(done.ok, true, `${text}: ${done.summary}`)
    const last = (await store.activeSilences()).find((one) => one.matchers === matchers)
    assert.deepEqual([last?.matchers, last?.note, last?.incident], [matchers, 'planned work', null])
  }
})

test('a confirmed question with blanks in its matchers runs as it was asked', async (t) => {
  const { say, store } = await createRig(t)
  await say('silence {job="batch load", region="A"} 30m')
  assert.equal((await say('approve a1')).ok, true)
  assert.equal((await store.activeSilences())[0]?.matchers, 'job="batch load", region="A"')
})

test('what is no silence is refused with the reason', async (t) => {
  const { say, store, world } = await createRig(t)
  await world.send(firing())
  for (const [text, why] of [
    ['silence', /needs target/],
    ['silence 1', /for how long/],
    ['silence 1 soon', /is no duration/],
    ['silence 1 30s', /from 1 min to 7 d/],
    ['silence 1 8d', /from 1 min to 7 d/],
    ['silence service="api"', /for how long/],
    ['silence service=~"(" 1h', /service|column/],
    ['silence {} 1h', /mute everything/],
    ['silence service=~".*" 1h', /mute everything/],
    ['silence 1h', /Which incident/],
  ] as const) {
    const no = await say(text, { confirmed: true })
    assert.equal(no.code, 'invalid', text)
    assert.match(no.summary, why)
  }
  assert.deepEqual(await store.activeSilences(), [])
})

test('an incident named after its alert is silenced only where the labels to correlate by are missing', async (t) => {
  const { say, store, world } = await createRig(t)
  await world.send(without(firing(), 'service'))
  await say('silence 1 1h', { confirmed: true })
  assert.equal((await store.activeSilences())[0]?.matchers, 'alertname="TokenBucketDepleted", service="", region="A"')
})

test('a count that cannot be had is said, and does not hinder', async (t) => {
  const { say, services, world } = await createRig(t)
  await world.send(firing())
  services.matching = async () => {
    throw new Error('slow')
  }
  assert.match((await say('silence 1 1h')).summary, /how many alerts that mutes cannot be told now/)
})

test('unsilence ends one, or all of an incident, and lists them', async (t) => {
  const { say, world, store } = await createRig(t)
  await world.send(firing())
  assert.equal((await say('unsilence')).summary, 'Nothing is silenced.')
  await say('silence 1 1h', { confirmed: true })
  await say('silence region="B" 1h', { confirmed: true })
  assert.deepEqual(
    (await say('unsilence')).table?.rows.map((row) => row.slice(0, 3)),
    [
      ['s1', '1', 'service="rating-api", region="A"'],
      ['s2', 'none', 'region="B"'],
    ],
  )
  assert.equal((await say('unsilence s2')).summary, 'Ended s2 (region="B").')
  assert.equal((await say('unsilence s2')).code, 'conflict')
  assert.equal((await say('unsilence s9')).code, 'not_found')
  assert.equal((await say('unsilence', { incident: 1 })).ok, true)
  assert.equal((await say('unsilence 1')).code, 'conflict')
  const ended = await store.pendingSilences(9)
  assert.deepEqual(
    ended.map((one) => [one.id, one.state, one.pending]),
    [
      [1, 'ended', 'end'],
      [2, 'ended', 'end'],
    ],
  )
  assert.deepEqual(await world.story(), ['opened', 'silenced', 'unsilenced'])
})
