import { setTimeout as pause } from 'node:timers/promises'
import { SocketModeReceiver } from '@slack/bolt'
import { SILENT } from './client.ts'
import { judge } from './errors.ts'
import type { Log } from './inbound.ts'

/** A connection that lived this long was good: the next one may follow at once. */
const GOOD_MS = 10_000
const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 30_000
/** from asking for an address to Slack's hello */
const CONNECT_MS = 20_000
/** for the peer to say goodbye; the library would wait 30 s */
const GOODBYE_MS = 1_000

export type SocketMode = { receiver: SocketModeReceiver; start(): void; stop(): Promise<void> }

/**
 * Socket Mode through Bolt's receiver, kept alive by us: its own reconnecting costs 5 s for a mere `disconnect` frame, ends for
 * good after a network error, and rejects where nobody can catch it. `start` connects in the background and keeps trying.
 */
export function createSocketMode(options: { appToken: string; apiUrl: string; log: Log }): SocketMode {
  const { log } = options
  const receiver = new SocketModeReceiver({
    appToken: options.appToken,
    logger: SILENT,
    autoReconnectEnabled: false,
    // An object of its own: the library writes into it.
    installerOptions: {
      clientOptions: {
        slackApiUrl: options.apiUrl,
        retryConfig: { retries: 0 },
        rejectRateLimitedCalls: true,
        timeout: 10_000,
        allowAbsoluteUrls: false,
      },
    },
    async processEventErrorHandler({ error }) {
      log.error({ reason: judge(error).reason }, 'a request from Slack could not be handled; Slack will send it again')
      return false
    },
  })
  const { client } = receiver
  const stopping = new AbortController()
  let connecting = false
  let running: Promise<void> | null = null

  /** Never rejects; in the middle of connecting the library's own does, with undefined. */
  async function disconnect(): Promise<void> {
    const { websocket } = client as unknown as { websocket?: { closeHandshakeTimeout?: NodeJS.Timeout } }
    const gone = Promise.resolve(client.disconnect()).catch(() => {})
    // In that case it also forgets a timer of 30 s, which must not keep the process.
    websocket?.closeHandshakeTimeout?.unref()
    await gone
  }

  /** Resolves when an established connection has ended. */
  async function connection(): Promise<void> {
    let over = false
    let ended = () => {}
    const end = new Promise<void>((resolve) => {
      ended = () => {
        over = true
        resolve()
      }
    })
    client.once('disconnected', ended)
    const limit = setTimeout(() => void disconnect(), CONNECT_MS)
    connecting = true
    try {
      await client.start()
      // Told to end while it was still asking for an address, the library connects all the same.
      if (over || stopping.signal.aborted) return await disconnect()
      log.info({}, 'Slack Socket Mode is connected')
    } catch (error) {
      client.off('disconnected', ended)
      throw error
    } finally {
      connecting = false
      clearTimeout(limit)
    }
    await end
  }

  async function run(): Promise<void> {
    let failures = 0
    while (!stopping.signal.aborted) {
      const begun = performance.now()
      try {
        await connection()
      } catch (error) {
        // Ended before the hello: the library then rejects with undefined.
        const reason = error === undefined ? 'the connection ended before it began' : judge(error).reason
        if (!stopping.signal.aborted) log.warn({ reason }, 'Slack Socket Mode is not connected; trying again')
        failures = Math.max(1, failures)
      }
      if (performance.now() - begun >= GOOD_MS) failures = 0
      const wait = failures === 0 ? 0 : Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1))
      failures++
      if (wait > 0) await pause(wait, undefined, { signal: stopping.signal, ref: false }).catch(() => {})
    }
  }

  return {
    receiver,
    start() {
      running ??= run()
    },
    async stop() {
      stopping.abort()
      if (running === null) return
      const goodbye = new AbortController()
      const late = pause(GOODBYE_MS, undefined, { signal: goodbye.signal }).catch(() => {})
      // Half a connection cannot be closed cleanly: it is let through first, and closed by `connection`.
      if (!connecting) await Promise.race([disconnect(), late])
      await Promise.race([running, late])
      if (connecting) await Promise.race([disconnect(), late])
      goodbye.abort()
    },
  }
}
