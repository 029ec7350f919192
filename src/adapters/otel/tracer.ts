import {
  type Attributes,
  type Context,
  type Span as OtelSpan,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace-base'
import type { Clock } from '../../core/clock.ts'
import { ClawError } from '../../core/errors.ts'
import { isSampled, type Span, type TraceAttributes, type Tracer } from '../../core/trace.ts'
import { type CallTrace, callTrace } from '../http.ts'
import { quietly, type Trouble } from './exporter.ts'

export type OtelTracerOptions = {
  /** base address of the collector, or its traces address (`…/v1/traces`); credentials in it become basic authentication */
  endpoint: string
  headers: Readonly<Record<string, string>>
  /** share 0..1 of the traces begun here that are recorded; of others, whoever began them decided */
  sample: number
  /** `service.instance.id` */
  installation: string
  version: string
  clock: Clock
  /** told at most once a minute that spans could not be handed over, and how many since then */
  onTrouble: Trouble
}

export type OtelTracer = Tracer & {
  /** Hands over what is left, for at most `ms`; what is not taken then is lost. Never rejects. */
  stop(ms: number): Promise<void>
}

/** Bounds of what waits for the collector: beyond them spans are dropped, nothing waits and nothing grows. */
const LIMITS = {
  queue: 2_048,
  batch: 512,
  everyMs: 2_000,
  /** with the exporter's own repeats; a process that ends waits no longer for a collector that hangs */
  exportMs: 3_000,
  attributeLength: 200,
  attributes: 32,
  links: 8,
}

/** Where OTLP/HTTP takes traces, relative to the endpoint (OpenTelemetry Protocol Exporter, "Endpoint URLs for OTLP/HTTP"). */
const TRACES = '/v1/traces'

const KINDS = { internal: SpanKind.INTERNAL, server: SpanKind.SERVER, consumer: SpanKind.CONSUMER } as const

/**
 * Traces over OTLP/HTTP (JSON). Batched in memory and bounded; a collector that is slow or away costs spans and a line of the log
 * a minute, never a delivery.
 * @throws ClawError('invalid') when the endpoint is no URL
 */
export function createOtelTracer(options: OtelTracerOptions): OtelTracer {
  const { url, headers } = collectorOf(options.endpoint, options.headers)
  const exporter = new OTLPTraceExporter({
    url,
    headers,
    timeoutMillis: LIMITS.exportMs,
    concurrencyLimit: LIMITS.queue / LIMITS.batch + 1,
  })
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({
      'service.name': 'claw',
      'service.instance.id': options.installation,
      'service.version': options.version,
    }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(options.sample) }),
    spanLimits: {
      attributeValueLengthLimit: LIMITS.attributeLength,
      attributeCountLimit: LIMITS.attributes,
      linkCountLimit: LIMITS.links,
    },
    spanProcessors: [
      new BatchSpanProcessor(quietly(exporter, options.clock, options.onTrouble), {
        maxQueueSize: LIMITS.queue,
        maxExportBatchSize: LIMITS.batch,
        scheduledDelayMillis: LIMITS.everyMs,
        exportTimeoutMillis: LIMITS.exportMs + 500,
      }),
    ],
  })
  const tracer = provider.getTracer('claw', options.version)

  /** The span that code runs in, with what it needs to record calls below it. */
  type Current = CallTrace & { traceparent: string }
  const current = (): Current | null => (callTrace.getStore() as Current | null | undefined) ?? null

  function within(span: OtelSpan): Current {
    const below = trace.setSpan(ROOT_CONTEXT, span)
    return {
      traceparent: traceparentOf(span.spanContext()),
      async call(peer, method, send) {
        const call = tracer.startSpan(
          `${method} ${peer}`,
          { kind: SpanKind.CLIENT, attributes: { 'http.request.method': method, 'claw.peer': peer } },
          below,
        )
        try {
          const answer = await send(traceparentOf(call.spanContext()))
          if ('reason' in answer) {
            // such a reason holds no address (NetworkFailure)
            call.setAttribute('error.type', answer.reason)
            call.setStatus({ code: SpanStatusCode.ERROR })
          } else {
            call.setAttribute('http.response.status_code', answer.status)
            if (answer.status >= 400) call.setStatus({ code: SpanStatusCode.ERROR })
          }
          return answer
        } finally {
          call.end()
        }
      },
    }
  }

  return {
    on: true,
    async span(name, attributes, parent, work, more = {}) {
      const made = tracer.startSpan(
        name,
        {
          kind: KINDS[more.kind ?? 'internal'],
          attributes: named(attributes),
          links: (more.links ?? []).map((link) => ({ context: contextOf(link) })),
        },
        parentOf(parent),
      )
      const inside = within(made)
      const span: Span = {
        traceparent: inside.traceparent,
        set: (given) => void made.setAttributes(named(given)),
      }
      try {
        return await callTrace.run(inside, () => work(span))
      } catch (error) {
        made.setAttribute('error.type', error instanceof ClawError ? error.code : 'internal')
        made.setStatus({ code: SpanStatusCode.ERROR })
        throw error
      } finally {
        made.end()
      }
    },
    current() {
      const traceparent = current()?.traceparent ?? null
      return traceparent !== null && isSampled(traceparent) ? traceparent : null
    },
    apart: (work) => callTrace.run(null, work),
    async stop(ms) {
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, Math.max(0, ms))
      })
      await Promise.race([provider.shutdown().catch(() => {}), late])
      clearTimeout(timer)
    },
  }
}

/** @throws ClawError('invalid') */
function collectorOf(
  endpoint: string,
  given: Readonly<Record<string, string>>,
): { url: string; headers: Record<string, string> } {
  const url = URL.parse(endpoint)
  if (url === null) throw new ClawError('invalid', 'tracing.endpoint is not an http or https URL')
  const headers = { ...given }
  if (url.username !== '' || url.password !== '') {
    const pair = [url.username, url.password].map((part) => decodeURIComponent(part)).join(':')
    headers.Authorization ??= `Basic ${Buffer.from(pair).toString('base64')}`
    url.username = ''
    url.password = ''
  }
  const path = url.pathname.replace(/\/+$/, '')
  url.pathname = path.endsWith(TRACES) ? path : `${path}${TRACES}`
  return { url: url.href, headers }
}

function named(attributes: TraceAttributes): Attributes {
  return Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`claw.${name}`, value]))
}

function traceparentOf({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`
}

function contextOf(traceparent: string): SpanContext {
  const [, traceId = '', spanId = '', flags = '00'] = traceparent.split('-')
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true }
}

function parentOf(traceparent: string | null): Context {
  return traceparent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, contextOf(traceparent))
}
