import assert from 'node:assert/strict'
import { request } from 'node:http'
import { test } from 'node:test'
import express, { Router } from 'express'
import { pino } from 'pino'
import { problemHandler } from '../../../src/http/problem.ts'
import { listen } from '../../../src/sandbox/listen.ts'
import { sandboxFront } from '../../../src/sandbox/loopback.ts'

test('another site cannot pass for the sandbox’s own page by leading its name here', async (t) => {
  const app = express()
  app.use(
    '/',
    sandboxFront(
      '/sandbox',
      Router().post('/reset', (req, res) => void res.send(req.baseUrl)),
    ),
  )
  app.post('/commands', (_req, res) => void res.send('ran'))
  app.use(problemHandler(pino({ level: 'silent' })))
  const { url, close } = await listen(app)
  t.after(close)
  const port = new URL(url).port
  const post = (path: string, host: string) =>
    new Promise<[number | undefined, string]>((resolve, reject) => {
      const sent = request(`${url}${path}`, { method: 'POST', headers: { host } }, (res) => {
        let body = ''
        res.setEncoding('utf8').on('data', (text) => {
          body += text
        })
        res.on('end', () => resolve([res.statusCode, body]))
      })
      sent.on('error', reject).end()
    })
  for (const host of ['localhost', `localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`, `LOCALHOST:${port}`]) {
    assert.deepEqual(await post('/sandbox/reset', host), [200, '/sandbox'], host)
    assert.deepEqual(await post('/commands', host), [200, 'ran'], host)
  }
  for (const host of [
    `evil.example:${port}`,
    'evil.example',
    `127.0.0.1.evil.example:${port}`,
    `localhost.evil.example`,
  ]) {
    for (const path of ['/sandbox/reset', '/commands']) {
      const [status, body] = await post(path, host)
      assert.equal(status, 403, `${host} ${path}`)
      assert.match(body, /localhost and 127\.0\.0\.1 only/)
    }
  }
})
