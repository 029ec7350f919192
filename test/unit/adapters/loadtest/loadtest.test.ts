import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLoadTest } from '../../../../src/adapters/loadtest/loadtest.ts'
import { deadAddress, json, serve } from '../serve.ts'

const signal = new AbortController().signal

test('passed, failed with its reason, or not known', async (t) => {
  let answer: [number, unknown] = [200, { detail: '500 requests, p95 80 ms' }]
  const server = await serve(t, (response) => json(response, ...answer))
  const load = createLoadTest({ url: `${server.url}/load?rate=500` })
  assert.deepEqual(await load('A & B', signal), { passed: true, detail: 'answered 200: 500 requests, p95 80 ms' })
  assert.deepEqual([server.seen[0]?.method, server.seen[0]?.url], ['GET', '/load?rate=500&region=A+%26+B'])
  const table: [number, unknown, boolean, string][] = [
    [204, undefined, true, 'answered 204'],
    [503, { message: '12 % refused\n' }, false, 'answered 503: 12 % refused'],
    [400, { title: 'too slow' }, false, 'answered 400: too slow'],
    [500, 'nothing', false, 'answered 500'],
  ]
  for (const [status, body, passed, detail] of table) {
    answer = [status, body]
    assert.deepEqual(await load('A', signal), { passed, detail })
  }
  const thrown: [number, string][] = [
    [429, 'unavailable'],
    [408, 'unavailable'],
    [302, 'invalid'],
  ]
  for (const [status, code] of thrown) {
    answer = [status, {}]
    await assert.rejects(load('A', signal), { code })
  }
})

test('not reached, or not in time', async (t) => {
  const silent = await serve(t, () => {})
  await assert.rejects(createLoadTest({ url: silent.url, timeoutMs: 30 })('A', signal), {
    code: 'timeout',
    message: 'Load test of A: no answer within 30 ms',
  })
  await assert.rejects(createLoadTest({ url: await deadAddress() })('A', signal), {
    code: 'unavailable',
    message: 'Load test of A: connection refused',
  })
  assert.throws(() => createLoadTest({ url: 'nowhere' }), { code: 'invalid' })
})
