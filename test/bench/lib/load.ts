import type { Buffer } from 'node:buffer'
import { connect, type Socket } from 'node:net'
import type { Maker, Request } from './bodies.ts'

/** One kept-alive HTTP/1.1 connection, one request at a time. Just enough of a parser for short answers. */
class Connection {
  readonly request: Request
  readonly #socket: Socket
  #text = ''
  busy = false
  dead = false

  /** @param onAnswer status of the answer; 0: the connection ended instead */
  constructor(port: number, request: Request, onAnswer: (connection: Connection, status: number) => void) {
    this.request = request
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.#socket.on('data', (chunk: Buffer) => {
      const text = this.#text === '' ? chunk.toString('latin1') : this.#text + chunk.toString('latin1')
      const head = text.indexOf('\r\n\r\n')
      const length = head < 0 ? 0 : lengthOf(text, head)
      if (head < 0 || text.length < head + 4 + length) {
        this.#text = text
        return
      }
      this.#text = ''
      this.busy = false
      onAnswer(this, Number(text.slice(9, 12)))
    })
    this.#socket.on('error', () => {})
    this.#socket.on('close', () => {
      this.dead = true
      if (this.busy) {
        this.busy = false
        onAnswer(this, 0)
      }
    })
  }

  opened(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.once('connect', resolve)
      this.#socket.once('error', reject)
    })
  }

  send(n: number): void {
    this.busy = true
    this.request.set(n)
    this.#socket.write(this.request.bytes)
  }

  close(): void {
    this.#socket.destroy()
  }
}

function lengthOf(text: string, head: number): number {
  const match = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, head))
  if (!match && /\r\ntransfer-encoding:/i.test(text.slice(0, head))) throw new Error(`chunked answer: ${text}`)
  return match ? Number(match[1]) : 0
}

async function open(port: number, count: number, maker: Maker, onAnswer: (c: Connection, status: number) => void) {
  const connections = Array.from({ length: count }, () => new Connection(port, maker.make(), onAnswer))
  await Promise.all(connections.map((connection) => connection.opened()))
  return connections
}

export type Load = {
  /** ports of the servers; connections are spread over them */
  ports: readonly number[]
  maker: Maker
  /** number of the first request; those after it count up */
  first: number
  /** numbers start again at `first` after so many: known alerts, again */
  cycle?: number
  connections?: number
}

export type Result = {
  /** answered 200 */
  ok: number
  /** answered anything else, or not at all */
  failed: number
  seconds: number
  /** requests sent, for the number of the next one */
  sent: number
}

const CONNECTIONS = 64

/** Closed loop: each connection sends its next request when the one before is answered, for a time or a number of them. */
export async function closed(load: Load, until: { seconds: number } | { count: number }): Promise<Result> {
  const count = 'count' in until ? until.count : Number.POSITIVE_INFINITY
  const { first, cycle = Number.POSITIVE_INFINITY } = load
  let sent = 0
  let ok = 0
  let failed = 0
  let deadline = Number.POSITIVE_INFINITY
  const { promise: over, resolve: end } = Promise.withResolvers<void>()
  const next = (connection: Connection) => {
    if (sent < count && !connection.dead && performance.now() < deadline) {
      connection.send(first + (sent % cycle))
      sent += 1
    } else if (ok + failed === sent) end()
  }
  const onAnswer = (connection: Connection, status: number) => {
    if (status === 200) ok += 1
    else failed += 1
    next(connection)
  }
  const each = Math.ceil((load.connections ?? CONNECTIONS) / load.ports.length)
  const lists = await Promise.all(load.ports.map((port) => open(port, each, load.maker, onAnswer)))
  const began = performance.now()
  if ('seconds' in until) deadline = began + until.seconds * 1000
  for (const connection of lists.flat()) next(connection)
  await over
  const seconds = (performance.now() - began) / 1000
  for (const connection of lists.flat()) connection.close()
  return { ok, failed, seconds, sent }
}

/** Answers that are later than this count as lost. */
const PATIENCE = 15_000

/**
 * Open loop: requests are due at a fixed rate whatever the server does. Latencies count from the moment a request was due, so
 * that a stall shows in all that it held up.
 * @returns latencies in milliseconds of what was answered 200
 */
export async function atRate(load: Load, rate: number, seconds: number): Promise<Result & { latencies: number[] }> {
  const total = Math.round(rate * seconds)
  const latencies: number[] = []
  const due = new Map<Connection, number>()
  const free: Connection[] = []
  let answered = 0
  const onAnswer = (connection: Connection, status: number) => {
    answered += 1
    if (status === 200) latencies.push(performance.now() - (due.get(connection) ?? 0))
    if (!connection.dead) free.push(connection)
  }
  const lists = load.ports.map((port) => open(port, load.connections ?? 128, load.maker, onAnswer))
  const connections = (await Promise.all(lists)).flat()
  free.push(...connections)
  const began = performance.now()
  let sent = 0
  await new Promise<void>((resolve) => {
    const turn = () => {
      const now = performance.now()
      while (sent < total && free.length > 0) {
        const at = began + (sent / rate) * 1000
        if (at > now) break
        const connection = free.pop() as Connection
        due.set(connection, at)
        connection.send(load.first + sent)
        sent += 1
      }
      if (answered === total || now - began > seconds * 1000 + PATIENCE) resolve()
      else setImmediate(turn)
    }
    turn()
  })
  for (const connection of connections) connection.close()
  return {
    ok: latencies.length,
    failed: total - latencies.length,
    seconds: (performance.now() - began) / 1000,
    sent: total,
    latencies,
  }
}

/** Opens `count` connections at once and sends one request on each as soon as it stands. Nothing is tried again. */
export async function burst(load: Load, count: number): Promise<Result> {
  let ok = 0
  let failed = 0
  const { promise: over, resolve: end } = Promise.withResolvers<void>()
  const began = performance.now()
  const done = (good: boolean) => {
    if (good) ok += 1
    else failed += 1
    if (ok + failed === count) end()
  }
  const connections = Array.from({ length: count }, (_, i) => {
    const port = load.ports[i % load.ports.length] ?? 0
    const connection = new Connection(port, load.maker.make(), (_one, status) => done(status === 200))
    connection.opened().then(
      () => connection.send(load.first + i),
      () => done(false),
    )
    return connection
  })
  const timer = setTimeout(end, 60_000)
  await over
  clearTimeout(timer)
  for (const connection of connections) connection.close()
  return { ok, failed: count - ok, seconds: (performance.now() - began) / 1000, sent: count }
}
