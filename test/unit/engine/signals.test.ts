import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SignalSource } from '../../../src/core/signal.ts'
import { createSignals } from '../../../src/engine/signals.ts'

type Presence = Awaited<ReturnType<SignalSource['presence']>>

function source(name: SignalSource['name'], levels: Record<string, number>, presence: Record<string, Presence> = {}) {
  const asked: string[] = []
  const made: SignalSource = {
    name,
    presence: async (region) => presence[region] ?? 'unreachable',
    async bucketRatio(region) {
      asked.push(region)
      return levels[region] ?? null
    },
  }
  return Object.assign(made, { asked, levels })
}

test('without sources nothing is known', async () => {
  const signals = createSignals([], () => 0)
  assert.equal(signals.configured, false)
  assert.equal(await signals.bucket(['A']), null)
})

test('the lowest level over the regions; the edge is asked before Prometheus', async () => {
  const edge = source('edge', { A: 0.5 })
  const prometheus = source('prometheus', { A: 0.1, B: 0.4 })
  const signals = createSignals([edge, prometheus], () => 0)
  assert.deepEqual(await signals.bucket(['A', 'B']), { ratio: 0.4, trend: null, source: 'prometheus' })
  assert.deepEqual(prometheus.asked, ['B'])
  assert.equal(await signals.bucket(['C']), null)
})

test('asked once in five seconds, however many messages are rendered', async () => {
  let now = 0
  const edge = source('edge', { A: 0.5 })
  const signals = createSignals([edge], () => now)
  await signals.bucket(['A'])
  now = 4999
  await signals.bucket(['A'])
  assert.equal(edge.asked.length, 1)
  now = 5000
  await signals.bucket(['A'])
  assert.equal(edge.asked.length, 2)
})

test('the trend is that against the sample before', async () => {
  let now = 0
  const edge = source('edge', { A: 0.5 })
  const signals = createSignals([edge], () => now)
  const trend = async (ratio: number) => {
    now += 6000
    edge.levels.A = ratio
    return (await signals.bucket(['A']))?.trend
  }
  assert.deepEqual(
    [await trend(0.5), await trend(0.3), await trend(0.305), await trend(0.6)],
    [null, 'falling', 'steady', 'rising'],
  )
})

test('a source that hangs costs a page less than half a second', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let aborted = false
  const hangs: SignalSource = {
    name: 'edge',
    presence: () => new Promise(() => {}),
    bucketRatio: (_region, signal) =>
      new Promise(() => {
        signal.addEventListener('abort', () => {
          aborted = true
        })
      }),
  }
  const signals = createSignals([hangs], () => 0)
  const asked = signals.bucket(['A'])
  t.mock.timers.tick(300)
  assert.equal(await asked, null)
  assert.equal(aborted, true)
  const answers = signals.answers(['A'])
  t.mock.timers.tick(5000)
  assert.equal(await answers, false)
})

test('a region answers when a source has data of it and none says that it is gone', async () => {
  const both = (edge: Presence, prometheus: Presence) =>
    createSignals([source('edge', {}, { A: edge }), source('prometheus', {}, { A: prometheus })], () => 0).answers([
      'A',
    ])
  assert.equal(await both('present', 'present'), true)
  assert.equal(await both('present', 'gone'), false)
  assert.equal(await both('gone', 'present'), false)
  assert.equal(await both('present', 'unreachable'), true)
  assert.equal(await both('unreachable', 'present'), true)
  assert.equal(await both('unreachable', 'unreachable'), false)
})

test('all regions must answer; without any, the edge as a whole', async () => {
  const edge = source('edge', {}, { A: 'present', B: 'gone', '': 'present' })
  const signals = createSignals([edge], () => 0)
  assert.equal(await signals.answers(['A']), true)
  assert.equal(await signals.answers(['A', 'B']), false)
  assert.equal(await signals.answers([]), true)
})
