import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Request } from 'express'
import { asRecord } from '../front.ts'
import { fail, type Reply } from './answers.ts'
import { SLACK_BOT, type SlackAnswer, type SlackState } from './state.ts'
import { acceptWebSocket, type Peer } from './websocket.ts'

/** How long Slack waits for an acknowledgement (docs.slack.dev, "Using Socket Mode"). */
const ACK_MS = 3_000

/** What comes over a Socket Mode connection; Slack retries events only. */
export type Envelope = { type: 'slash_commands' | 'interactive' | 'events_api'; payload: unknown; retry?: number }

/** The connections that Claw holds open, newest last. */
export class SocketMode {
  readonly #state: SlackState
  readonly #servers = new WeakSet<Server>()
  readonly #tickets = new Set<string>()
  readonly #peers = new Set<Peer>()
  readonly #waiting = new Map<string, (payload: unknown) => void>()

  constructor(state: SlackState) {
    this.#state = state
  }

  get connections(): number {
    return this.#peers.size
  }

  /** `apps.connections.open`: the address of a WebSocket on the very server that was asked. */
  open(req: Request): Reply {
    const server = (req.socket as Socket & { server?: Server }).server
    if (server === undefined) return fail('internal_error')
    this.#serve(server)
    const ticket = this.#state.nextId('ticket')
    this.#tickets.add(ticket)
    return { ok: true, url: `ws://${req.get('host')}/link/?ticket=${ticket}&app_id=${SLACK_BOT.app}` }
  }

  /** Sends what a person did; resolves with the acknowledgement, status 408 without one in time, 503 unconnected. */
  send({ type, payload, retry = 0 }: Envelope): Promise<SlackAnswer> {
    const peer = [...this.#peers].at(-1)
    if (peer === undefined) return Promise.resolve({ status: 503, body: 'not connected' })
    const id = this.#state.nextId('envelope')
    return new Promise((resolve) => {
      const timer = setTimeout(() => end({ status: 408, body: 'not acknowledged' }), ACK_MS)
      const end = (answer: SlackAnswer) => {
        clearTimeout(timer)
        this.#waiting.delete(id)
        resolve(answer)
      }
      this.#waiting.set(id, (answer) => {
        const empty = answer === undefined || Object.keys(asRecord(answer) ?? {}).length === 0
        end({ status: 200, body: empty ? '' : JSON.stringify(answer) })
      })
      const retries = type === 'events_api' ? { retry_attempt: retry, retry_reason: retry > 0 ? 'timeout' : '' } : {}
      peer.send(
        JSON.stringify({ envelope_id: id, type, payload, accepts_response_payload: type !== 'events_api', ...retries }),
      )
    })
  }

  /** Slack recycles its connections: a warning frame, upon which the client connects anew. */
  recycle(): void {
    for (const peer of this.#peers) peer.send(JSON.stringify({ type: 'disconnect', reason: 'refresh_requested' }))
  }

  /** Cuts every line. */
  cut(): void {
    for (const peer of [...this.#peers]) peer.close(true)
    this.#tickets.clear()
  }

  #serve(server: Server): void {
    if (this.#servers.has(server)) return
    this.#servers.add(server)
    server.on('upgrade', (req, socket, head) => {
      const ticket = new URL(req.url ?? '/', 'http://localhost').searchParams.get('ticket') ?? ''
      // Another look-alike's, or one used before.
      if (!this.#tickets.delete(ticket)) return void socket.destroy()
      const peer = acceptWebSocket(req, socket, head, {
        text: (text) => this.#heard(text),
        close: () => {
          this.#peers.delete(peer)
          this.#state.tell('disconnected')
        },
      })
      this.#peers.add(peer)
      peer.send(
        JSON.stringify({
          type: 'hello',
          num_connections: this.#peers.size,
          connection_info: { app_id: SLACK_BOT.app },
        }),
      )
      this.#state.tell('connected')
    })
    // A server waits for upgraded sockets, which its own closeAllConnections does not know.
    const close = server.close.bind(server)
    server.close = (callback) => {
      this.cut()
      return close(callback)
    }
  }

  #heard(text: string): void {
    try {
      const answer = asRecord(JSON.parse(text))
      this.#waiting.get(String(answer?.envelope_id))?.(answer?.payload)
    } catch {
      // Slack ignores what it cannot read.
    }
  }
}
