import assert from 'node:assert/strict'
import { test } from 'node:test'
import express from 'express'
import { pino } from 'pino'
import { problemHandler } from '../../../src/http/problem.ts'
import { listen } from '../../../src/http/server.ts'

test('a link that signs in is not logged where the page behind it failed', async (t) => {
  const lines: string[] = []
  const app = express()
  app.use(() => {
    throw new Error('the database is away')
  })
  app.use(problemHandler(pino({}, { write: (line: string) => void lines.push(line) })))
  const server = await listen(app, '127.0.0.1', 0)
  t.after(() => server.close(0))
  for (const path of ['/login/a-link-of-somebody', '/LOGIN/a-link-of-somebody', '/incidents/12']) {
    assert.equal((await fetch(`${server.url}${path}`)).status, 500)
  }
  const logged = lines.map((line) => (JSON.parse(line) as { path: string }).path)
  assert.deepEqual(logged, ['/login/…', '/LOGIN/…', '/incidents/12'])
  assert.doesNotMatch(lines.join(), /a-link-of-somebody/)
})
