import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Express } from 'express'

/** Longer than Alertmanager's pauses between webhooks, so that it does not meet a closed socket (protocols.md, section 1). */
const KEEP_ALIVE = 75_000
/** A half-sent request may hold a socket this long. */
const REQUEST_TIMEOUT = 30_000
/** Alertmanager opens 10 000 connections at once when 10 000 groups come due together. */
const BACKLOG = 16_384

export type HttpServer = {
  url: string
  port: number
  /** stops listening, lets requests in flight finish for `timeoutMs`, then cuts what is left */
  close(timeoutMs: number): Promise<void>
}

/** Listens. Port 0 takes a free one. @throws the listen error (address in use, no permission) */
export async function listen(app: Express, host: string, port: number): Promise<HttpServer> {
  let draining = false
  const server: Server = createServer({ keepAliveTimeout: KEEP_ALIVE, requestTimeout: REQUEST_TIMEOUT }, (req, res) => {
    // While draining, a kept-alive socket would hold the process (protocols.md, section 5).
    if (draining) res.setHeader('Connection', 'close')
    app(req, res)
  })
  server.headersTimeout = REQUEST_TIMEOUT
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, backlog: BACKLOG }, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const address = server.address() as AddressInfo
  const shown = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return {
    url: `http://${shown === '0.0.0.0' || shown === '[::]' ? '127.0.0.1' : shown}:${address.port}`,
    port: address.port,
    async close(timeoutMs) {
      draining = true
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeIdleConnections()
      const cut = setTimeout(() => server.closeAllConnections(), timeoutMs)
      await closed
      clearTimeout(cut)
    },
  }
}
