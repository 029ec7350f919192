import type { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'

/** How a destination behaves: accepts, never answers, refuses for a while, fails, or cuts the connection. */
export type Mood = 'ok' | 'hang' | '429' | '500' | 'reset'

export type Sink = {
  readonly url: string
  mood: Mood
  /** called with head and body of each request when its last byte is there */
  onRequest: (head: string, body: string) => void
  received: number
  close(): Promise<void>
}

const ACCEPTED = '{"status":"success","message":"Event processed","dedup_key":"claw"}'

const answer = (status: string, body = '', header = '') =>
  `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\n${header}Content-Length: ${body.length}\r\n\r\n${body}`

const ANSWERS: Record<Mood, string> = {
  ok: answer('202 Accepted', ACCEPTED),
  hang: '',
  '429': answer('429 Too Many Requests', '{}', 'Retry-After: 1\r\n'),
  '500': answer('500 Internal Server Error', '{}'),
  reset: '',
}

/** A destination over bare TCP, fast enough never to be what is measured. Takes webhooks and PagerDuty's events alike. */
export async function openSink(): Promise<Sink> {
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    let text = ''
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    socket.on('data', (chunk: Buffer) => {
      text = text === '' ? chunk.toString('latin1') : text + chunk.toString('latin1')
      for (;;) {
        const head = text.indexOf('\r\n\r\n')
        if (head < 0) return
        const length = Number(/\r\ncontent-length: *(\d+)/i.exec(text.slice(0, head))?.[1] ?? 0)
        const end = head + 4 + length
        if (text.length < end) return
        const request = text
        text = text.slice(end)
        sink.received += 1
        sink.onRequest(request.slice(0, head), request.slice(head + 4, end))
        if (sink.mood === 'reset') return void socket.resetAndDestroy()
        if (sink.mood !== 'hang') socket.write(ANSWERS[sink.mood])
      }
    })
  })
  server.listen({ port: 0, host: '127.0.0.1', backlog: 16_384 })
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const sink: Sink = {
    url: `http://127.0.0.1:${port}`,
    mood: 'ok',
    onRequest: () => {},
    received: 0,
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
  return sink
}
