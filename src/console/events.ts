import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Clock, SECOND } from '../core/clock.ts'
import type { Store } from '../core/store.ts'

/** At most one event in this time, however much happens. */
const EVERY = SECOND
/** Ages on a page ("3 min ago") are made anew at least this often. */
const REFRESH = 30 * SECOND
/** A comment that keeps proxies from closing a quiet connection. */
const HEARTBEAT = 15 * SECOND
const MAX_CONNECTIONS = 200
const MAX_EACH = 20
/** A reader that takes nothing is cut off before it costs memory, bytes. */
const MAX_UNREAD = 64 * 1024
/** Open incidents whose changes are noticed one by one; beyond that, their counts. */
const WATCHED = 200

export type FeedDeps = {
  /** what pages show, as a text that differs when they do */
  digest: () => Promise<string>
  clock: Clock
  onError: (error: unknown) => void
  /** false: only `tick` moves it (tests) */
  timer?: boolean
}

export type Feed = {
  /**
   * Keeps an answer open and tells it of changes.
   * @param stillOwn asked before each event: false ends the connection
   * @returns false when there are too many already; nothing was sent then
   */
  open(req: IncomingMessage, res: ServerResponse, person: string, stillOwn: () => boolean): boolean
  /** one round: tells all who listen when something changed */
  tick(): Promise<void>
  readonly size: number
  /** ends all connections, and takes no more */
  close(): void
}

type Reader = { res: ServerResponse; person: string; stillOwn: () => boolean }

/** Server-sent events that say only that something changed: what it is, each reader fetches as a page of its own. */
export function createFeed(deps: FeedDeps): Feed {
  const { clock } = deps
  const readers = new Set<Reader>()
  let timer: NodeJS.Timeout | undefined
  let last: string | null = null
  let toldAt = 0
  let wroteAt = 0
  let id = 0
  let looking: Promise<void> | null = null
  let closed = false

  function drop(reader: Reader): void {
    readers.delete(reader)
    reader.res.end()
    if (readers.size > 0) return
    clearInterval(timer)
    timer = undefined
    last = null
  }

  function send(text: string): void {
    wroteAt = clock()
    for (const reader of readers) {
      if (reader.res.writableLength > MAX_UNREAD) reader.res.destroy()
      else reader.res.write(text)
    }
  }

  async function look(): Promise<void> {
    for (const reader of readers) if (!reader.stillOwn()) drop(reader)
    if (readers.size === 0) return
    const now = clock()
    const seen = await deps.digest()
    if (last === null) {
      // Whoever comes has just loaded the page.
      last = seen
      toldAt = now
    } else if (seen !== last || now - toldAt >= REFRESH) {
      last = seen
      toldAt = now
      id += 1
      send(`id: ${id}\nevent: changed\ndata: ${now}\n\n`)
    } else if (now - wroteAt >= HEARTBEAT) send(': still here\n\n')
  }

  const feed: Feed = {
    open(req, res, person, stillOwn) {
      const mine = [...readers].filter((reader) => reader.person === person).length
      if (closed || readers.size >= MAX_CONNECTIONS || mine >= MAX_EACH) return false
      const reader = { res, person, stillOwn }
      res.statusCode = 200
      res.setHeader('Content-Type', 'text/event-stream; charset=utf-8')
      res.setHeader('Cache-Control', 'no-store')
      // nginx would gather events before it passes them on.
      res.setHeader('X-Accel-Buffering', 'no')
      res.flushHeaders()
      const again = req.headers['last-event-id'] !== undefined
      // After a break something may have been missed.
      res.write(again ? 'retry: 2000\nevent: changed\ndata: 0\n\n' : 'retry: 2000\n: hello\n\n')
      readers.add(reader)
      res.on('close', () => drop(reader))
      if (deps.timer !== false) timer ??= setInterval(() => void feed.tick(), EVERY).unref()
      return true
    },
    tick() {
      looking ??= look()
        .catch(deps.onError)
        .finally(() => {
          looking = null
        })
      return looking
    },
    get size() {
      return readers.size
    },
    close() {
      closed = true
      for (const reader of readers) drop(reader)
    },
  }
  return feed
}

/** What the pages show, in short. `figuresAt`: when the edge was last heard. */
export async function digestOf(store: Store, figuresAt: number | null): Promise<string> {
  const [open, counts, queue, runs, questions, head, silences, automation] = await Promise.all([
    store.listIncidents({ states: ['open', 'acknowledged'], limit: WATCHED, before: null }),
    store.countIncidents(),
    store.countDeliveries(),
    store.workflows({ states: ['running'], limit: 50 }),
    store.openApprovals(50),
    store.auditHead(),
    store.activeSilences(),
    store.meta('automation'),
  ])
  return JSON.stringify([
    open.map(({ id, version, seq }) => [id, version, seq]),
    counts,
    queue,
    runs.map(({ id, steps, cancelledBy }) => [id, steps.map(({ state, attempts }) => [state, attempts]), cancelledBy]),
    questions.map(({ id, agreed }) => [id, agreed]),
    head.hash,
    silences.length,
    automation,
    figuresAt,
  ])
}
