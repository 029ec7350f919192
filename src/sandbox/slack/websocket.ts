import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

/** One accepted WebSocket (RFC 6455): text frames both ways, pings answered, closed politely. */
export type Peer = {
  send(text: string): void
  /** sends a close frame and ends; `abrupt` cuts the line instead */
  close(abrupt?: boolean): void
}

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
/** largest message taken, bytes */
const LIMIT = 4_000_000
const TEXT = 1
const CLOSE = 8
const PING = 9
const PONG = 10

/** Answers an upgrade. `onText` gets whole messages, `onClose` comes once. */
export function acceptWebSocket(
  req: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  on: { text(text: string): void; close(): void },
): Peer {
  const key = String(req.headers['sec-websocket-key'] ?? '')
  const accept = createHash('sha1').update(`${key}${GUID}`).digest('base64')
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  )
  let buffered = head
  let parts: Buffer[] = []
  const peer: Peer = {
    send: (text) => void (socket.writable && socket.write(frame(TEXT, Buffer.from(text)))),
    close(abrupt = false) {
      if (abrupt) socket.destroy()
      else if (socket.writable) socket.end(frame(CLOSE, Buffer.from([3, 232])))
    },
  }
  function read(): void {
    for (;;) {
      const next = parse(buffered)
      if (next === null) return
      if (next === 'bad') return void socket.destroy()
      buffered = buffered.subarray(next.length)
      if (next.opcode === PING) socket.write(frame(PONG, next.payload))
      else if (next.opcode === CLOSE) return void socket.end(frame(CLOSE, next.payload.subarray(0, 2)))
      else if (next.opcode < CLOSE) {
        parts.push(next.payload)
        if (!next.fin) continue
        const text = Buffer.concat(parts).toString()
        parts = []
        on.text(text)
      }
    }
  }
  socket.on('data', (chunk: Buffer) => {
    buffered = Buffer.concat([buffered, chunk])
    read()
  })
  socket.on('error', () => socket.destroy())
  socket.once('close', () => on.close())
  read()
  return peer
}

type Frame = { fin: boolean; opcode: number; payload: Buffer; length: number }

/** The first frame of what has come; null while it is not whole. Clients must mask. */
function parse(data: Buffer): Frame | null | 'bad' {
  if (data.length < 2) return null
  const first = data.readUInt8(0)
  const second = data.readUInt8(1)
  if ((second & 0x80) === 0) return 'bad'
  let size = second & 0x7f
  let at = 2
  if (size === 126) {
    if (data.length < 4) return null
    size = data.readUInt16BE(2)
    at = 4
  } else if (size === 127) {
    if (data.length < 10) return null
    const long = data.readBigUInt64BE(2)
    if (long > BigInt(LIMIT)) return 'bad'
    size = Number(long)
    at = 10
  }
  if (data.length < at + 4 + size) return null
  const mask = data.subarray(at, at + 4)
  const payload = Buffer.from(data.subarray(at + 4, at + 4 + size))
  for (let i = 0; i < payload.length; i++) payload[i] = (payload[i] ?? 0) ^ (mask[i % 4] ?? 0)
  return { fin: (first & 0x80) !== 0, opcode: first & 0x0f, payload, length: at + 4 + size }
}

function frame(opcode: number, payload: Buffer): Buffer {
  const { length } = payload
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10)
  head.writeUInt8(0x80 | opcode, 0)
  if (length < 126) head.writeUInt8(length, 1)
  else if (length < 65_536) {
    head.writeUInt8(126, 1)
    head.writeUInt16BE(length, 2)
  } else {
    head.writeUInt8(127, 1)
    head.writeBigUInt64BE(BigInt(length), 2)
  }
  return Buffer.concat([head, payload])
}
