import assert from 'node:assert/strict'
import { test } from 'node:test'
import { correlationKey, draftOf, indexable, newIncident, seal, tell } from '../../../src/core/incident.ts'

test('the key is the values of correlate_by, a missing one being empty', () => {
  assert.deepEqual(correlationKey({ service: 's', region: 'A' }, ['service', 'cluster']).keyLabels, {
    service: 's',
    cluster: '',
  })
})

test('values that look alike when joined are different keys', () => {
  const key = (labels: Record<string, string>) => correlationKey(labels, ['a', 'b']).key
  assert.notEqual(key({ a: 'x y', b: '' }), key({ a: 'x', b: 'y' }))
  assert.notEqual(key({ a: '","b":"', b: '' }), key({ a: '', b: '","b":"' }))
  assert.equal(key({ a: 'x' }), key({ b: '', a: 'x', c: 'other' }))
})

test('all of them missing or empty: the alert name; without one, a name for that', () => {
  assert.deepEqual(correlationKey({ alertname: 'N' }, ['service']).keyLabels, { alertname: 'N' })
  assert.deepEqual(correlationKey({ alertname: 'N', service: '' }, ['service']).keyLabels, { alertname: 'N' })
  assert.deepEqual(correlationKey({ alertname: 'N', service: 's' }, []).keyLabels, { alertname: 'N' })
  assert.deepEqual(correlationKey({}, ['service']).keyLabels, { alertname: 'unnamed alert' })
})

test('names of Object.prototype are labels like any other', () => {
  for (const name of ['constructor', 'toString', 'hasOwnProperty']) {
    assert.deepEqual(correlationKey({ alertname: 'N' }, [name]).keyLabels, { alertname: 'N' })
    assert.equal(correlationKey({ [name]: 'v' }, [name]).key, `{"${name}":"v"}`)
  }
})

test('a long key becomes a short one that still tells values apart', () => {
  const key = (value: string) => correlationKey({ service: value }, ['service']).key
  const [a, b] = [key(`${'🔥'.repeat(5000)}a`), key(`${'🔥'.repeat(5000)}b`)]
  assert.notEqual(a, b)
  assert.ok(a.length < 100)
  assert.equal(key(`${'🔥'.repeat(5000)}a`), a)
  assert.equal(indexable('x'.repeat(1000)), 'x'.repeat(1000))
  assert.match(indexable('é'.repeat(501)), /^sha256:/, 'bytes are what counts')
})

test('one version for all that happened in a transaction; none when nobody can see a difference', () => {
  const draft = draftOf(newIncident(1, 'k', {}, 1000))
  seal(draft, 2000)
  assert.deepEqual([draft.incident.version, draft.incident.updatedAt], [1, 1000])
  tell(draft, 2000, 'a', 'A', false)
  assert.equal(draft.push, false)
  tell(draft, 2000, 'b', 'B', true)
  seal(draft, 3000)
  assert.deepEqual([draft.incident.version, draft.incident.updatedAt, draft.push], [2, 3000, true])
  assert.deepEqual(
    draft.story.map(({ seq, kind, push }) => [seq, kind, push]),
    [
      [1, 'a', false],
      [2, 'b', true],
    ],
  )
})

test('a new incident begins with version 1', () => {
  const draft = draftOf(newIncident(1, 'k', {}, 1000), true)
  tell(draft, 1000, 'opened', '', false)
  seal(draft, 1000)
  assert.equal(draft.incident.version, 1)
})
