import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_TRACES, noTracer, noteTraces, readTraceparent, tracesBetween } from '../../../src/core/trace.ts'

const trace = (n: number) => `00-${String(n).padStart(32, 'a')}-${String(n).padStart(16, 'b')}-01`

test('traceparent as W3C Trace Context writes it, and nothing else', () => {
  const good = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  assert.equal(readTraceparent(good), good)
  assert.equal(readTraceparent(good.replace(/^00/, 'cc')), good)
  assert.equal(readTraceparent(`${good.replace(/^00/, 'cc')}-what.comes`), good)
  for (const bad of [
    undefined,
    '',
    [good],
    good.replace(/^00/, 'ff'),
    `${good}-more`,
    good.toUpperCase(),
    good.replace('0af7651916cd43dd8448eb211c80319c', '0'.repeat(32)),
    good.replace('b7ad6b7169203331', '0'.repeat(16)),
    good.slice(0, -1),
    ` ${good}`,
    `cc${good.slice(2)}-${'x'.repeat(200)}`,
    `${good}\nx`,
  ])
    assert.equal(readTraceparent(bad), null, String(bad))
})

test('a step continues what it has to show first, and links to what came with it', () => {
  const notes = noteTraces(noteTraces(undefined, 1, 100, [trace(1), trace(2)]), 2, 200, [trace(3)])
  const between = (shown: number, version: number, createdAt = 100) =>
    tracesBetween(notes, { shown, createdAt }, version)
  assert.deepEqual(between(0, 1), { parent: trace(1), links: [trace(2)] })
  assert.deepEqual(between(0, 2), { parent: trace(1), links: [trace(2), trace(3)] })
  assert.deepEqual(between(1, 2), { parent: trace(3), links: [] })
  assert.deepEqual(between(2, 3), { parent: null, links: [] })
  assert.deepEqual(between(0, 2, 200), { parent: trace(3), links: [] }, 'it joined with the second version')
  assert.deepEqual(tracesBetween(undefined, { shown: 0, createdAt: 0 }, 1), { parent: null, links: [] })
  const many = noteTraces(notes, 3, 300, [4, 5, 6, 7].map(trace))
  assert.equal(many.length, MAX_TRACES)
  assert.deepEqual(many.at(-1), [3, 300, trace(7)])
})

test('off, it does the work and nothing else', async () => {
  assert.equal(await noTracer.span('x', {}, null, async ({ traceparent }) => traceparent), null)
  assert.equal(noTracer.current(), null)
  assert.equal(
    noTracer.apart(() => 5),
    5,
  )
})
