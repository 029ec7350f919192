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
/** Told at once: each of them fetches its page, which takes some 30 ms of the thread that takes webhooks. The others are next. */
const AT_ONCE = 5
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
  /** one round: tells those who show something older, a few at a time */
  tick(): Promise<void>
  readonly size: number
  /** ends all connections, and takes no more */
  close(): void
}

type Reader = {
  res: ServerResponse
  person: string
  stillOwn: () => boolean
  /** what its page shows; null before the first look: whoever comes has just loaded the page */
  seen: string | null
  toldAt: number
  wroteAt: number
}

/** Server-sent events that say only that something changed: what it is, each reader fetches as a page of its own. */
export function createFeed(deps: FeedDeps): Feed {
  const { clock } = deps
  const readers = new Set<Reader>()
  let timer: NodeJS.Timeout | undefined
  let last: string | null = null
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

  function send(reader: Reader, text: string): void {
    reader.wroteAt = clock()
    if (reader.res.writableLength > MAX_UNREAD) reader.res.destroy()
    else reader.res.write(text)
  }

  async function look(): Promise<void> {
    for (const reader of readers) if (!reader.stillOwn()) drop(reader)
    if (readers.size === 0) return
    const now = clock()
    const seen = await deps.digest()
    last = seen
    for (const reader of readers) reader.seen ??= seen
    const behind = [...readers].filter((reader) => reader.seen !== seen || now - reader.toldAt >= REFRESH)
    const told = behind.sort((a, b) => a.toldAt - b.toldAt).slice(0, AT_ONCE)
    if (told.length > 0) id += 1
    for (const reader of told) {
      reader.seen = seen
      reader.toldAt = now
      send(reader, `id: ${id}\nevent: changed\ndata: ${now}\n\n`)
    }
    for (const reader of readers) if (now - reader.wroteAt >= HEARTBEAT) send(reader, ': still here\n\n')
  }

  const feed: Feed = {
    open(req, res, person, stillOwn) {
      const mine = [...readers].filter((reader) => reader.person === person).length
      if (closed || readers.size >= MAX_CONNECTIONS || mine >= MAX_EACH) return false
      const now = clock()
      // After a break something may have been missed; where many come back together, they are told in turn.
      const again = req.headers['last-event-id'] !== undefined
      const atOnce = again && readers.size < AT_ONCE
      const reader = { res, person, stillOwn, seen: again && !atOnce ? '' : last, toldAt: now, wroteAt: now }
      res.statusCode = 200
      res.setHeader('Content-Type', 'text/event-stream; charset=utf-8')
      res.setHeader('Cache-Control', 'no-store')
      // nginx would gather events before it passes them on.
      res.setHeader('X-Accel-Buffering', 'no')
      res.flushHeaders()
      res.write(atOnce ? 'retry: 2000\nevent: changed\ndata: 0\n\n' : 'retry: 2000\n: hello\n\n')
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
