import type { TestContext } from 'node:test'
import { z } from 'zod'
import { json, type Server, serve } from '../serve.ts'

const value = z.object({
  stringValue: z.string().optional(),
  intValue: z.coerce.number().optional(),
  doubleValue: z.number().optional(),
  boolValue: z.boolean().optional(),
})
const attributes = z.array(z.object({ key: z.string(), value })).default([])
const spanSchema = z.object({
  traceId: z.string().length(32),
  spanId: z.string().length(16),
  parentSpanId: z.string().optional(),
  name: z.string(),
  kind: z.int(),
  attributes,
  links: z.array(z.object({ traceId: z.string(), spanId: z.string() })).default([]),
  status: z.object({ code: z.int().optional() }).default({}),
})
/** ExportTraceServiceRequest, as JSON (OpenTelemetry protocol, "JSON Protobuf Encoding"). */
const requestSchema = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes }),
      scopeSpans: z.array(z.object({ spans: z.array(spanSchema) })),
    }),
  ),
})

export type SeenSpan = Omit<z.output<typeof spanSchema>, 'attributes'> & {
  attributes: Record<string, string | number | boolean | undefined>
}

export type Collector = Server & {
  spans: SeenSpan[]
  resource(): SeenSpan['attributes']
  /** what the next requests are refused with; 0: they hang */
  refuse: number[]
}

const plain = (list: z.output<typeof attributes>): SeenSpan['attributes'] =>
  Object.fromEntries(
    list.map((one) => {
      const { stringValue, intValue, doubleValue, boolValue } = one.value
      return [one.key, stringValue ?? intValue ?? doubleValue ?? boolValue]
    }),
  )

/** A stand-in for an OpenTelemetry collector that takes OTLP over HTTP as JSON, on loopback. */
export async function collector(t: TestContext): Promise<Collector> {
  const spans: SeenSpan[] = []
  const refuse: number[] = []
  let resource: SeenSpan['attributes'] = {}
  const server = await serve(t, (response, { url, body }) => {
    const refused = refuse.shift()
    if (refused === 0) return
    if (refused !== undefined) return json(response, refused, { message: 'no' })
    if (url !== '/v1/traces') return json(response, 404, {})
    for (const one of requestSchema.parse(JSON.parse(body)).resourceSpans) {
      resource = plain(one.resource.attributes)
      for (const span of one.scopeSpans.flatMap((scope) => scope.spans)) {
        spans.push({ ...span, attributes: plain(span.attributes) })
      }
    }
    json(response, 200, {})
  })
  return { ...server, spans, refuse, resource: () => resource }
}

/** The spans below one, as a tree of names; siblings in alphabetical order. */
export type Tree = { [name: string]: Tree }

export function treeOf(spans: readonly SeenSpan[], parent: string | undefined): Tree {
  const below = spans.filter((span) => span.parentSpanId === parent)
  const named = below.map((span) => [span.name, treeOf(spans, span.spanId)] as const)
  return Object.fromEntries(named.sort(([a], [b]) => (a < b ? -1 : 1)))
}
