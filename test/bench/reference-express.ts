import type { AddressInfo } from 'node:net'
import express from 'express'

// What the speed of Claw is compared with: Express 5 that reads the body, parses it and says 200.
const app = express()
app.disable('x-powered-by')
app.disable('etag')
app.post('/webhooks/alertmanager', (req, res) => {
  const chunks: Buffer[] = []
  req.on('data', (chunk: Buffer) => chunks.push(chunk))
  req.on('end', () => {
    JSON.parse(Buffer.concat(chunks).toString('utf8'))
    res.statusCode = 200
    res.end()
  })
})
const server = app.listen(0, '127.0.0.1', 16_384, () => {
  console.log(`listening on ${(server.address() as AddressInfo).port}`)
})
