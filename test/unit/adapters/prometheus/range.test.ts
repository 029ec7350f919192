import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createRange } from '../../../../src/adapters/prometheus/range.ts'
import { ClawError } from '../../../../src/core/errors.ts'

async function prometheus(t: TestContext, status: number, body: unknown) {
  const asked: string[] = []
  const server = createServer((req, res) => {
    asked.push(req.url ?? '')
    res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => void server.close())
  const range = createRange({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/prom` })
  return { asked, ask: () => range({ expression: 'up{a="b"}', from: 1_000_000, to: 1_600_000, step: 5_000 }) }
}

test('a range of series, times in ms; what is no number is left out', async (t) => {
  const values = [
    [1000, '0.5'],
    [1005.5, 'NaN'],
    [1010, '+Inf'],
    [1015, '2e-1'],
  ]
  const result = [{ metric: { region: 'A' }, values }]
  const { asked, ask } = await prometheus(t, 200, { status: 'success', data: { resultType: 'matrix', result } })
  assert.deepEqual(await ask(), [
    {
      labels: { region: 'A' },
      points: [
        [1_000_000, 0.5],
        [1_015_000, 0.2],
      ],
    },
  ])
  assert.deepEqual(asked, ['/prom/api/v1/query_range?query=up%7Ba%3D%22b%22%7D&start=1000&end=1600&step=5'])
})

test('a refusal is quoted, and what makes no sense is unavailable; neither holds the address', async (t) => {
  const bad = await prometheus(t, 400, { status: 'error', error: 'parse error: unexpected }' })
  await assert.rejects(bad.ask(), (error) => {
    assert.ok(error instanceof ClawError)
    assert.equal(error.code, 'invalid')
    assert.match(error.message, /parse error/)
    assert.doesNotMatch(error.message, /127\.0\.0\.1/)
    return true
  })
  const odd = await prometheus(t, 200, { status: 'success', data: { resultType: 'vector', result: [] } })
  await assert.rejects(odd.ask(), { code: 'unavailable' })
})

test('an address that is none is refused at once', () => {
  assert.throws(() => createRange({ url: 'ftp://x' }), { code: 'invalid' })
})
