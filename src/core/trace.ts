/**
 * Tracing, as the engine sees it: a port, and what carries a trace over a commit. Off unless an adapter is configured; then
 * everything here is a call of an empty function, and nothing is stored.
 */

/**
 * What a span may say. A closed list, so that no label, address or person gets into it: what traces hold leaves the house.
 * Each becomes the attribute `claw.<name>`.
 */
export type TraceAttributes = {
  /** id */
  incident?: number
  /** version of the incident that a delivery shows */
  version?: number
  /** lane of a delivery */
  destination?: string
  /** how it ended: a word of ours, or an error's code */
  outcome?: string
  /** kind of the operation on the edge, and `o9` */
  operation?: string
  run?: string
  /** name of a workflow's step, and which attempt it is */
  step?: string
  attempt?: number
  /** name of a command, and where it came from */
  command?: string
  via?: string
  /** alerts of a webhook */
  alerts?: number
  /** a step whose like may have taken effect before */
  doubted?: boolean
}

export type Span = {
  /** W3C `traceparent` of this span; null when tracing is off */
  readonly traceparent: string | null
  set(attributes: TraceAttributes): void
}

export type SpanOptions = {
  /** default `internal` */
  kind?: 'internal' | 'server' | 'consumer'
  /** other traces that led here too; `traceparent`s */
  links?: readonly string[]
}

export type Tracer = {
  /** false: nobody listens. The hot path asks this first */
  readonly on: boolean
  /**
   * Runs `work` within a span; calls of adapters that may tell of it (the edge, Prometheus, webhooks) are spans below it.
   * What `work` throws ends the span as failed, with the error's code alone, and is thrown on.
   * @param parent `traceparent`; null begins a trace
   */
  span<T>(
    name: string,
    attributes: TraceAttributes,
    parent: string | null,
    work: (span: Span) => Promise<T>,
    options?: SpanOptions,
  ): Promise<T>
  /** `traceparent` of the span that this code runs in, if it is recorded; null outside of any */
  current(): string | null
  /** Runs `work` outside of any span: for loops that go on after what woke them. */
  apart<T>(work: () => T): T
}

const NO_SPAN: Span = { traceparent: null, set() {} }

/** Tracing that is off. */
export const noTracer: Tracer = {
  on: false,
  span: (_name, _attributes, _parent, work) => work(NO_SPAN),
  current: () => null,
  apart: (work) => work(),
}

/**
 * A `traceparent` header (W3C Trace Context, "traceparent Header"): version, trace id, parent id, flags, all in lower-case hex. Of a
 * higher version the first four fields count. Null for anything else, as for ids of only zeros and version ff.
 */
export function readTraceparent(header: unknown): string | null {
  if (typeof header !== 'string' || header.length > 200) return null
  const read = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(header)
  if (read === null) return null
  const [, version, traceId = '', parentId = '', flags, more] = read
  if (version === 'ff' || (version === '00' && more !== undefined)) return null
  if (/^0+$/.test(traceId) || /^0+$/.test(parentId)) return null
  return `00-${traceId}-${parentId}-${flags}`
}

/** Whether a span with this `traceparent` is recorded (flag `sampled`). */
export const isSampled = (traceparent: string): boolean => (Number.parseInt(traceparent.slice(-2), 16) & 1) === 1

/** Which trace brought which version of an incident, and when (ms since the epoch); newest last. */
export type TraceNotes = (readonly [version: number, at: number, traceparent: string])[]

/** What was traced on its way into an incident, for whoever shows it. */
export type Traced = { traces?: TraceNotes }

/** Kept per incident: about 80 bytes each. */
export const MAX_TRACES = 4

/** The notes with those of one more version; the oldest go. */
export function noteTraces(
  notes: TraceNotes | undefined,
  version: number,
  at: number,
  traces: readonly string[],
): TraceNotes {
  return [...(notes ?? []), ...traces.map((trace) => [version, at, trace] as const)].slice(-MAX_TRACES)
}

/**
 * What a step that takes a delivery from one version to another continues, and what it links to besides: the first that it has
 * to show, so that a page is in the trace of what opened it, and those that came together with it. What was before the delivery
 * itself has not brought it.
 */
export function tracesBetween(
  notes: TraceNotes | undefined,
  delivery: { shown: number; createdAt: number },
  version: number,
): { parent: string | null; links: string[] } {
  if (notes === undefined) return { parent: null, links: [] }
  const { shown, createdAt } = delivery
  const own = notes.filter(([noted, at]) => noted > shown && noted <= version && at >= createdAt)
  const [parent = null, ...links] = own.map(([, , trace]) => trace)
  return { parent, links }
}
