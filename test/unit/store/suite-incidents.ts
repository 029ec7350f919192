import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClawError } from '../../../src/core/errors.ts'
import { type Fresh, incident, newDelivery, row, T } from './samples.ts'

const ids = (list: readonly { id: number }[]) => list.map((one) => one.id)

/** Incidents, their story, transactions, pruning. */
export function incidentsSuite(fresh: Fresh): void {
  test('an incident is saved whole and saved over', async (t) => {
    const store = await fresh(t)
    const first = incident(1, { regions: { A: 2 }, receivers: [{ name: 'r', why: 'w' }] })
    await store.write((tx) => tx.saveIncidents([first]))
    assert.deepEqual(await store.incidents([1, 2]), [first])
    const second = { ...first, state: 'resolved' as const, level: 'P1' as const, version: 2, resolvedAt: T }
    await store.write((tx) => tx.saveIncidents([second]))
    assert.deepEqual(await store.incidents([1]), [second])
    assert.deepEqual(await store.countIncidents(), [{ state: 'resolved', level: 'P1', count: 1 }])
  })

  test('the latest incident of each key is found', async (t) => {
    const store = await fresh(t)
    const list = [
      incident(1, { key: 'a' }),
      incident(2, { key: 'a' }),
      incident(3, { key: 'b' }),
      incident(10, { key: 'a' }),
    ]
    await store.write((tx) => tx.saveIncidents(list))
    assert.deepEqual(ids(await store.latestIncidents(['a', 'b', 'c'])).sort(), [10, 3])
  })

  test('incidents are listed newest first, by state, page by page', async (t) => {
    const store = await fresh(t)
    const list = [1, 2, 3, 10].map((id) => incident(id, { state: id === 2 ? 'resolved' : 'open' }))
    await store.write((tx) => tx.saveIncidents(list))
    assert.deepEqual(ids(await store.listIncidents({ states: [], limit: 3, before: null })), [10, 3, 2])
    assert.deepEqual(ids(await store.listIncidents({ states: ['open'], limit: 9, before: 10 })), [3, 1])
    assert.deepEqual(
      ids(await store.listIncidents({ states: ['resolved', 'acknowledged'], limit: 9, before: null })),
      [2],
    )
  })

  test('ids rise by one and begin at 1', async (t) => {
    const store = await fresh(t)
    assert.equal(await store.write((tx) => tx.nextIncidentId()), 1)
    await store.write((tx) => tx.saveIncidents([incident(41)]))
    assert.equal(await store.write((tx) => tx.nextIncidentId()), 42)
  })

  test('incidents whose check is due, the longest overdue first', async (t) => {
    const store = await fresh(t)
    await store.write((tx) =>
      tx.saveIncidents([
        incident(1, { check: 'believe', nextCheckAt: T }),
        incident(2, { check: 'quiet', nextCheckAt: T - 1 }),
        incident(3, { check: 'believe', nextCheckAt: T + 1 }),
        incident(4),
      ]),
    )
    assert.deepEqual(ids(await store.incidentsToCheck(T, 10)), [2, 1])
    assert.deepEqual(ids(await store.incidentsToCheck(T, 1)), [2])
  })

  test('the story comes in order, the newest lines of it', async (t) => {
    const store = await fresh(t)
    const event = (seq: number) => ({ seq, at: T + seq, kind: 'k', actor: null, text: `line ${seq}`, push: seq === 2 })
    await store.write((tx) => tx.addStory([1, 2, 3].map((seq) => ({ ...event(seq), incidentId: 1 }))))
    await store.write((tx) => tx.addStory([{ ...event(1), incidentId: 2 }]))
    assert.deepEqual(await store.story(1, 2), [event(2), event(3)])
    assert.deepEqual(await store.story(2, 9), [event(1)])
  })

  test('what a transaction did is gone when it throws, and the store works on', async (t) => {
    const store = await fresh(t)
    const failed = store.write(async (tx) => {
      await tx.saveIncidents([incident(1)])
      assert.equal((await tx.incidents([1])).length, 1, 'a transaction sees its own writes')
      throw new ClawError('conflict', 'changed my mind')
    })
    await assert.rejects(failed, { code: 'conflict', message: 'changed my mind' })
    assert.deepEqual(await store.incidents([1]), [])
    await store.write((tx) => tx.saveIncidents([incident(2)]))
    assert.equal((await store.incidents([2])).length, 1)
  })

  test('a statement that the database refuses is "unavailable", and nothing of it is stored', async (t) => {
    const store = await fresh(t)
    const event = { incidentId: 1, seq: 1, at: T, kind: 'k', actor: null, text: '', push: false }
    const twice = store.write(async (tx) => {
      await tx.saveIncidents([incident(1)])
      await tx.addStory([event])
      await tx.addStory([event])
    })
    await assert.rejects(twice, (error) => error instanceof ClawError && error.code === 'unavailable')
    assert.deepEqual([await store.incidents([1]), await store.story(1, 9)], [[], []])
    await store.ping()
  })

  test('transactions of one store do not interleave', async (t) => {
    const store = await fresh(t)
    await store.write((tx) => tx.setMeta('n', '0'))
    const add = () => store.write(async (tx) => tx.setMeta('n', String(Number(await tx.meta('n')) + 1)))
    await Promise.all(Array.from({ length: 50 }, add))
    assert.equal(await store.meta('n'), '50')
  })

  test('a read never sees half of a transaction', async (t) => {
    const store = await fresh(t)
    const writing = store.write(async (tx) => {
      await tx.setMeta('a', '1')
      for (let n = 0; n < 5; n++) await tx.meta('a')
      await tx.setMeta('b', '1')
    })
    const seen = await Promise.all([store.meta('a'), store.meta('b')])
    await writing
    assert.notDeepEqual(seen, ['1', null])
    assert.deepEqual([await store.meta('a'), await store.meta('b')], ['1', '1'])
  })

  test('pruning removes what was resolved long ago, with all that belongs to it', async (t) => {
    const store = await fresh(t)
    const over = { state: 'resolved', resolvedAt: T } as const
    await store.write(async (tx) => {
      await tx.saveIncidents([
        incident(1, over),
        incident(2, { ...over, resolvedAt: T + 50 }),
        incident(3),
        incident(4, { ...over, check: 'still_firing', nextCheckAt: T + 9 }),
        incident(5, over),
        incident(6, over),
      ])
      for (const id of [1, 2, 5]) {
        await tx.insertOccurrences([row({ incidentId: id, state: 'resolved' })])
        await tx.addStory([{ incidentId: id, seq: 1, at: T, kind: 'k', actor: null, text: '', push: false }])
        await tx.addDeliveries([newDelivery({ incidentId: id })])
      }
      await tx.insertOccurrences([row({ fingerprint: 'early', incidentId: 0, state: 'resolved', lastSeen: T })])
      await tx.insertOccurrences([row({ fingerprint: 'later', incidentId: 0, state: 'resolved', lastSeen: T + 50 })])
    })
    assert.equal(await store.write((tx) => tx.prune(T + 10, 1)), 1, 'bounded')
    assert.equal(await store.write((tx) => tx.prune(T + 10, 100)), 1)
    assert.equal(await store.write((tx) => tx.prune(T + 10, 100)), 0)
    assert.deepEqual(ids(await store.incidents([1, 2, 3, 4, 5, 6])).sort(), [2, 3, 4, 6], 'the newest stays: ids go on')
    assert.deepEqual(await store.story(1, 9), [])
    assert.deepEqual(await store.alertsOf(5, 9), [])
    assert.deepEqual(
      (await store.deliveriesOf([1, 2, 5])).map((one) => one.incidentId),
      [2],
    )
    assert.equal((await store.story(2, 9)).length, 1)
    assert.deepEqual(
      (await store.occurrences(['early', 'later'])).map((one) => one.fingerprint),
      ['later'],
    )
    assert.equal(await store.write((tx) => tx.nextIncidentId()), 7)
  })
}
