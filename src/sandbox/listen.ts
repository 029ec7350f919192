import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express, { type RequestHandler } from 'express'

export type Listening = {
  /** `http://127.0.0.1:<port>`, without a slash at the end */
  url: string
  /** stops listening and closes every socket, idle or busy; may be called twice */
  close(): Promise<void>
}

/**
 * Serves an Express router or app on loopback. `port` 0 takes a free one. Rejects with the system's own error when the
 * port is taken.
 */
export function listen(handler: RequestHandler, port = 0): Promise<Listening> {
  const app = express()
  app.disable('x-powered-by')
  app.use(handler)
  const server = createServer(app)
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject)
      const close = (): Promise<void> =>
        new Promise((closed) => {
          server.close(() => closed())
          server.closeAllConnections()
        })
      resolve({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close })
    })
  })
}
