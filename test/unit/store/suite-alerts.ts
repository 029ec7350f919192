import assert from 'node:assert/strict'
import { test } from 'node:test'
import { correlationKey } from '../../../src/core/incident.ts'
import { inhibitRule, inhibitSourceKeys } from '../../../src/core/routing.ts'
import { heartbeatSource } from '../../../src/engine/judge.ts'
import { type Fresh, incident, NASTY, row, T } from './samples.ts'

/** Occurrences, inhibitors, heartbeats, meta. */
export function alertsSuite(fresh: Fresh): void {
  test('an occurrence is stored with everything it came with', async (t) => {
    const store = await fresh(t)
    const full = row({
      state: 'resolved',
      endsAt: T + 5,
      suppressed: 'inhibited by another alert',
      doubtUntil: T + 9,
      payload: { labels: { a: 'b' }, annotations: { c: 'd' }, generatorURL: 'http://p/', extra: { x: [1, null] } },
    })
    await store.write((tx) => tx.insertOccurrences([full]))
    const [known] = await store.occurrences(['f1', 'unknown'])
    const { payload, ...occurrence } = full
    assert.deepEqual(known, occurrence)
    assert.deepEqual(await store.alertsOf(1, 10), [{ ...occurrence, payload }])
  })

  test('the newest incident of a fingerprint is the one that counts', async (t) => {
    const store = await fresh(t)
    await store.write((tx) =>
      tx.insertOccurrences([row({ incidentId: 9 }), row({ incidentId: 10 }), row({ incidentId: 2 })]),
    )
    assert.deepEqual(
      (await store.occurrences(['f1'])).map((o) => o.incidentId),
      [10],
    )
  })

  test('inserting a row that exists replaces it', async (t) => {
    const store = await fresh(t)
    await store.write((tx) => tx.insertOccurrences([row({ timesSeen: 4 })]))
    await store.write((tx) => tx.insertOccurrences([row({ timesSeen: 1, region: 'B' })]))
    const rows = await store.alertsOf(1, 10)
    assert.deepEqual([rows.length, rows[0]?.timesSeen, rows[0]?.region], [1, 1, 'B'])
  })

  test('a touch changes counters and payload, of that incident only', async (t) => {
    const store = await fresh(t)
    await store.write((tx) => tx.insertOccurrences([row(), row({ incidentId: 2 })]))
    const payload = { labels: { a: 'new' }, annotations: {}, generatorURL: '' }
    await store.write((tx) =>
      tx.touchOccurrences([
        { fingerprint: 'f1', incidentId: 2, startsAt: T + 1, lastSeen: T + 2, timesSeen: 7, digest: 5, payload },
      ]),
    )
    assert.deepEqual(await store.alertsOf(1, 10), [row()])
    const touched = row({ incidentId: 2, startsAt: T + 1, lastSeen: T + 2, timesSeen: 7, digest: 5, payload })
    assert.deepEqual(await store.alertsOf(2, 10), [touched])
  })

  test('an update writes everything; a state update leaves the payload', async (t) => {
    const store = await fresh(t)
    await store.write((tx) => tx.insertOccurrences([row(), row({ fingerprint: 'f2' })]))
    const payload = { labels: { a: 'new' }, annotations: {}, generatorURL: 'g' }
    const changed = { state: 'resolved', endsAt: T + 1, level: 'P2', name: 'N', region: '', timesSeen: 3 } as const
    await store.write(async (tx) => {
      await tx.updateOccurrences([row({ ...changed, payload })])
      await tx.updateOccurrenceStates([row({ ...changed, fingerprint: 'f2', payload })])
    })
    assert.deepEqual(await store.alertsOf(1, 10), [
      row({ ...changed, payload }),
      row({ ...changed, fingerprint: 'f2', payload: row().payload }),
    ])
  })

  test('hundreds of rows of each kind go through one transaction', async (t) => {
    const store = await fresh(t)
    const many = Array.from({ length: 777 }, (_, n) => row({ fingerprint: `f${n}` }))
    await store.write((tx) => tx.insertOccurrences(many))
    await store.write((tx) => tx.touchOccurrences(many.map((one) => ({ ...one, timesSeen: 2 }))))
    await store.write((tx) => tx.updateOccurrenceStates(many.slice(0, 300).map((one) => ({ ...one, timesSeen: 3 }))))
    const known = await store.occurrences(many.map((one) => one.fingerprint))
    assert.equal(known.length, 777)
    assert.equal(known.filter((one) => one.timesSeen === 2).length, 477)
    assert.equal(known.filter((one) => one.timesSeen === 3).length, 300)
  })

  test('the most important alerts come first', async (t) => {
    const store = await fresh(t)
    await store.write((tx) =>
      tx.insertOccurrences([
        row({ fingerprint: 'over', state: 'resolved', level: 'P1' }),
        row({ fingerprint: 'mild', level: 'P2' }),
        row({ fingerprint: 'old', level: 'P1', lastSeen: T }),
        row({ fingerprint: 'new', level: 'P1', lastSeen: T + 1 }),
      ]),
    )
    assert.deepEqual(
      (await store.alertsOf(1, 3)).map((one) => one.fingerprint),
      ['new', 'old', 'mild'],
    )
  })

  test('firing rows are those that count; suppressed ones are listed page by page; doubts in order of time', async (t) => {
    const store = await fresh(t)
    await store.write((tx) =>
      tx.insertOccurrences([
        row({ fingerprint: 'a' }),
        row({ fingerprint: 'b', suppressed: 'x' }),
        row({ fingerprint: 'b', incidentId: 2, suppressed: 'x' }),
        row({ fingerprint: 'c', suppressed: 'x' }),
        row({ fingerprint: 'd', suppressed: 'x', state: 'resolved' }),
        row({ fingerprint: 'e', state: 'resolved', doubtUntil: T + 2 }),
        row({ fingerprint: 'f', state: 'resolved', doubtUntil: T + 1 }),
      ]),
    )
    assert.deepEqual(
      (await store.firingRows(1, 10)).map((one) => one.fingerprint),
      ['a'],
    )
    const first = await store.suppressedFiring(2, null)
    assert.deepEqual(
      first.map((one) => [one.fingerprint, one.incidentId]),
      [
        ['b', 1],
        ['b', 2],
      ],
    )
    const rest = await store.suppressedFiring(2, { fingerprint: 'b', incidentId: 2 })
    assert.deepEqual(
      rest.map((one) => one.fingerprint),
      ['c'],
    )
    assert.deepEqual(
      (await store.doubted(10)).map((one) => one.fingerprint),
      ['f', 'e'],
    )
  })

  for (const [n, text] of NASTY.entries()) {
    test(`any string survives (${n}: ${JSON.stringify(text).slice(0, 30)})`, async (t) => {
      const store = await fresh(t)
      const labels = Object.fromEntries([
        ['alertname', text],
        [`${text}!`, text],
      ])
      const stored = row({
        name: text,
        region: text,
        payload: { labels, annotations: { note: text }, generatorURL: text, extra: [text] },
      })
      const { key, keyLabels } = correlationKey({ service: text, x: 'y' }, ['service', 'x'])
      const whole = incident(1, { key, keyLabels, levelReason: text, acknowledgedBy: text })
      const event = { incidentId: 1, seq: 1, at: T, kind: 'note', actor: text, text, push: true }
      const source = heartbeatSource({ alertname: 'Watchdog', prometheus: text })
      const rule = inhibitRule([], [], ['service'])
      const [inhibitor = ''] = inhibitSourceKeys([rule], { service: text })
      await store.write(async (tx) => {
        await tx.insertOccurrences([stored])
        await tx.saveIncidents([whole])
        await tx.addStory([event])
        await tx.addInhibitors([{ key: inhibitor, fingerprint: 'f1' }])
        await tx.beat(source, T)
      })
      await store.write((tx) => tx.updateOccurrences([stored]))
      assert.deepEqual(await store.alertsOf(1, 1), [stored])
      assert.deepEqual(await store.latestIncidents([key]), [whole])
      assert.deepEqual((await store.story(1, 1))[0]?.text, text)
      assert.deepEqual((await store.story(1, 1))[0]?.actor, text)
      assert.deepEqual(await store.inhibitors([inhibitor]), [{ key: inhibitor, fingerprint: 'f1' }])
      assert.deepEqual(await store.heartbeats(), [{ source, lastAt: T, missing: false }])
      await store.write((tx) => tx.markHeartbeats([source], true))
      assert.equal((await store.heartbeats())[0]?.missing, true)
    })
  }

  test('inhibitors are added once, found by key, and removed by fingerprint', async (t) => {
    const store = await fresh(t)
    await store.write((tx) =>
      tx.addInhibitors([
        { key: 'k1', fingerprint: 'a' },
        { key: 'k1', fingerprint: 'b' },
        { key: 'k2', fingerprint: 'a' },
      ]),
    )
    await store.write((tx) => tx.addInhibitors([{ key: 'k1', fingerprint: 'a' }]))
    assert.equal((await store.inhibitors(['k1'])).length, 2)
    await store.write((tx) => tx.removeInhibitors(['a']))
    assert.deepEqual(await store.inhibitors(['k1', 'k2']), [{ key: 'k1', fingerprint: 'b' }])
  })

  test('a heartbeat moves its time and is no longer missing', async (t) => {
    const store = await fresh(t)
    await store.write((tx) => tx.beat('p1', T))
    await store.write((tx) => tx.beat('p2', T))
    await store.write((tx) => tx.markHeartbeats(['p1'], true))
    assert.deepEqual(await store.heartbeats(), [
      { source: 'p1', lastAt: T, missing: true },
      { source: 'p2', lastAt: T, missing: false },
    ])
    await store.write((tx) => tx.beat('p1', T + 5))
    assert.deepEqual((await store.heartbeats())[0], { source: 'p1', lastAt: T + 5, missing: false })
  })

  test('a heartbeat that came meanwhile is not forgotten', async (t) => {
    const store = await fresh(t)
    for (const source of ['p1', 'p2', 'p3']) await store.write((tx) => tx.beat(source, source === 'p2' ? T + 5 : T))
    await store.write((tx) => tx.forgetHeartbeats(['p1', 'p2', 'unknown'], T + 1))
    assert.deepEqual(
      (await store.heartbeats()).map(({ source }) => source),
      ['p2', 'p3'],
    )
  })

  test('meta values are replaced', async (t) => {
    const store = await fresh(t)
    assert.equal(await store.meta('k'), null)
    await store.write((tx) => tx.setMeta('k', 'one'))
    await store.write((tx) => tx.setMeta('k', 'two'))
    assert.equal(await store.meta('k'), 'two')
  })
}
