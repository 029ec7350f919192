import type { ClientRequest, IncomingMessage } from 'node:http'
import https from 'node:https'
import net from 'node:net'
import { event as pdjsEvent } from '@pagerduty/pdjs'
import { z } from 'zod'
import { type NetworkFailure, networkFailure, resolveUrl, timeoutReason } from '../http.ts'
import type { PagerDutyEvent } from './event.ts'

/** PagerDuty's answer to one event. */
export type EnqueueAnswer = {
  status: number
  retryAfter: string | undefined
  /** PagerDuty's own words about a refusal, '' when it gave none */
  problem: string
  /** false when the answer calls itself something else, such as a proxy's HTML page with status 200 */
  json: boolean
}

export type Enqueue = {
  /** Sends one event, once, within the time-out. Never rejects. */
  send(event: PagerDutyEvent, signal: AbortSignal): Promise<EnqueueAnswer | NetworkFailure>
  close(): void
}

/** A body is read for its few words only. */
const MAX_ANSWER_BYTES = 64 * 1024

const refusalSchema = z.object({
  message: z.string().catch(''),
  errors: z.array(z.string()).catch([]),
})

/**
 * The part of http.Agent through which Node hands every request to its agent. Not in Node's documentation, but every
 * agent outside of core is built on it, and the tests fail loudly should it go.
 */
type RequestQueue = { addRequest(request: ClientRequest, options: object): void }

/**
 * `@pagerduty/pdjs` with a leash. pdjs' `event()` always goes to `https://<server>`, waits 20 s and sends again on a 429
 * (four times, without telling), and rejects a 202 whose body is no JSON. Here an agent of our own carries
 * the connection to `eventsUrl` (plain TCP where that is http, path prefix kept) and sees the first answer; that answer decides,
 * and whatever pdjs would do after it is aborted.
 * @throws ClawError('invalid') when `eventsUrl` is no http(s) URL
 */
export function createEnqueue(eventsUrl: string, timeoutMs: number): Enqueue {
  const url = resolveUrl('pagerduty.events_url', eventsUrl, '')
  const agent = url.protocol === 'http:' ? plainAgent() : new https.Agent({ keepAlive: true })
  const port = url.port || (url.protocol === 'http:' ? '80' : '443')
  const server = `${url.hostname}:${port}${url.pathname.replace(/\/+$/, '')}`

  return {
    async send(event, signal) {
      if (signal.aborted) return { reason: 'stopped before it was sent', sent: false }
      const stop = new AbortController()
      let timedOut = false
      let request: ClientRequest | null = null
      const first = Promise.withResolvers<IncomingMessage>()
      const expired = Promise.withResolvers<never>()
      const end = () => expired.reject(new Error('given up'))
      const timer = setTimeout(() => {
        timedOut = true
        end()
        stop.abort()
      }, timeoutMs)
      signal.addEventListener('abort', end, { once: true })

      const observed = observedAgent(agent, (outgoing) => {
        request = outgoing
        outgoing.once('response', first.resolve)
      })
      let asked = false
      const options = {
        server,
        data: event,
        // never follow: the routing key goes to nobody else
        redirect: 'manual',
        signal: stop.signal,
        // pdjs' own timer stops nothing and keeps the process alive
        requestTimeout: 0,
        retryTimeout: 0,
        size: MAX_ANSWER_BYTES,
        agent: () => {
          if (asked) throw new Error('one request per event')
          asked = true
          return observed
        },
      }
      // pdjs' types lack `agent`, `client` and `links` and want a payload on every action
      const answered = pdjsEvent(options as unknown as Parameters<typeof pdjsEvent>[0])
      const failed = answered.then(() => new Promise<never>(() => {}))
      failed.catch(() => {})
      expired.promise.catch(() => {})

      let status: number | undefined
      try {
        // a rejection of pdjs after the answer arrived (no JSON in it) cannot win: `first` was settled before
        const answer = await Promise.race([first.promise, failed, expired.promise])
        status = answer.statusCode ?? 0
        const retryAfter = answer.headers['retry-after']
        // only a refusal is worth its words; pdjs gives no 429 away before its last attempt
        const worded = status >= 400 && status < 500 && status !== 429
        const problem = worded ? await Promise.race([answered.then(problemOf, () => ''), expired.promise]) : ''
        return { status, retryAfter, problem, json: /\bjson\b|^$/i.test(answer.headers['content-type'] ?? '') }
      } catch (error) {
        // the status is the answer even where the words never came
        if (status !== undefined) return { status, retryAfter: undefined, problem: '', json: true }
        const connected = (request as ClientRequest | null)?.socket?.connecting === false
        if (timedOut) return { reason: timeoutReason(timeoutMs), sent: connected }
        if (signal.aborted) return { reason: 'stopped before the answer came', sent: connected }
        return networkFailure(error)
      } finally {
        signal.removeEventListener('abort', end)
        if (status === undefined || status === 429) stop.abort()
        // the rest of a body is still read, so that the connection can be used again, but not for ever
        const over = () => clearTimeout(timer)
        void answered.then(over, over)
      }
    },
    close: () => agent.destroy(),
  }
}

/** An https agent, because pdjs speaks only https, whose connections are plain TCP. */
function plainAgent(): https.Agent {
  const agent = new https.Agent({ keepAlive: true })
  agent.createConnection = ({ host, port }) => net.connect({ host: host ?? 'localhost', port: Number(port) })
  return agent
}

/** `agent`, its pool included, with a look at each request that passes through it. */
function observedAgent(agent: https.Agent, look: (request: ClientRequest) => void): https.Agent {
  const pool = agent as unknown as RequestQueue
  const addRequest = (request: ClientRequest, options: object) => {
    look(request)
    pool.addRequest(request, options)
  }
  return Object.create(agent, { addRequest: { value: addRequest } }) as https.Agent
}

function problemOf(answer: { data: unknown }): string {
  const parsed = refusalSchema.safeParse(answer.data)
  if (!parsed.success) return ''
  const { message, errors } = parsed.data
  return errors.length > 0 ? errors.slice(0, 5).join('; ') : message
}
