import { z } from 'zod'
import manifest from '../../package.json' with { type: 'json' }
import recorded from './openapi.examples.json' with { type: 'json' }
import { type Answer, type Content, OPERATIONS, type Operation, SECURITY, TAGS } from './openapi-operations.ts'
import { ANSWERS } from './schemas.ts'
import { REQUESTS } from './schemas-requests.ts'

type Json = { [key: string]: unknown }

/** Real requests and answers, by operation, status (or `request`) and media type; the tests record them. */
type Examples = Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, unknown>>>>>>

const INFO = `What Claw takes in and what it tells. Times are ISO 8601 in UTC; ids are decimal numbers, as text.

Errors are \`application/problem+json\` (RFC 9457). Besides the statuses that are listed, any path answers 405 to another
method, with \`Allow\`, and 404 where there is nothing. What answers GET answers HEAD. Answers may gain fields.
The API and \`/webhooks/alertmanager\` follow a \`traceparent\` (W3C Trace Context) where tracing is on.`

/** OpenAPI 3.1 of the whole HTTP API, made from the zod schemas. @returns a new JSON value each time */
export function openApiDocument(): Json {
  const names = new Map<z.ZodType, string>()
  const schemas = { ...components(ANSWERS, 'output', names), ...components(REQUESTS, 'input', names) }
  const paths: { [path: string]: Json } = {}
  for (const operation of OPERATIONS) {
    paths[operation.path] = { ...paths[operation.path], [operation.method]: operationObject(operation, names) }
  }
  const { version, license, description } = manifest
  return {
    openapi: '3.1.0',
    info: {
      title: 'Claw',
      version,
      summary: description,
      description: INFO,
      license: { name: license, identifier: license },
    },
    servers: [{ url: '/', description: 'The Claw that serves this document' }],
    tags: Object.entries(TAGS).map(([name, text]) => ({ name, description: text })),
    paths,
    components: {
      schemas: Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1))),
      securitySchemes: structuredClone(SECURITY),
    },
  }
}

/** JSON Schemas that refer to each other; `names` learns what each is called. */
function components(
  from: Readonly<Record<string, z.ZodType>>,
  io: 'input' | 'output',
  names: Map<z.ZodType, string>,
): Json {
  const registry = z.registry<{ id: string }>()
  for (const [id, schema] of Object.entries(from)) {
    registry.add(schema, { id })
    names.set(schema, id)
  }
  const { schemas } = z.toJSONSchema(registry, { io, uri: refTo, override: ({ jsonSchema }) => tidy(jsonSchema, io) })
  return Object.fromEntries(
    Object.entries(schemas).map(([id, { $schema: _schema, $id: _id, ...schema }]) => [id, schema]),
  )
}

const refTo = (name: string): string => `#/components/schemas/${name}`

/** Answers may gain fields, so that only requests say that there are no others; what zod adds beyond the meaning goes. */
function tidy(schema: z.core.JSONSchema.BaseSchema, io: 'input' | 'output'): void {
  if (io === 'output' && schema.additionalProperties === false) delete schema.additionalProperties
  if (schema.format === 'date-time') delete schema.pattern
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum
  delete schema.propertyNames
}

function operationObject(operation: Operation, names: ReadonlyMap<z.ZodType, string>): Json {
  const { id, tag, summary, description, docs, security, parameters = {}, body, answers } = operation
  const examples = (recorded as Examples)[id] ?? {}
  const listed = Object.entries(parameters).flatMap(([place, schema]) => parametersOf(place, schema))
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description === undefined ? {} : { description }),
    ...(docs === undefined ? {} : { externalDocs: { url: docs } }),
    security: security.map((name) => ({ [name]: [] })),
    ...(listed.length > 0 ? { parameters: listed } : {}),
    ...(body ? { requestBody: { required: true, content: contentOf(body, names, examples.request) } } : {}),
    responses: Object.fromEntries(
      Object.entries(answers).map(([status, answer]) => [status, responseOf(answer, names, examples[status])]),
    ),
  }
}

function parametersOf(place: string, schema: z.ZodObject): Json[] {
  return Object.entries(schema.shape).map(([name, field]) => {
    const {
      $schema: _schema,
      description,
      ...shape
    } = z.toJSONSchema(field, {
      io: 'input',
      override: ({ jsonSchema }) => tidy(jsonSchema, 'input'),
    })
    const required = !z.safeParse(field, undefined).success
    return { name, in: place, required, ...(description === undefined ? {} : { description }), schema: shape }
  })
}

function responseOf(answer: Answer, names: ReadonlyMap<z.ZodType, string>, examples: Json | undefined): Json {
  const { description, content, headers } = answer
  const named = Object.entries(headers ?? {}).map(([name, text]) => [
    name,
    { description: text, schema: { type: 'string' } },
  ])
  return {
    description,
    ...(named.length > 0 ? { headers: Object.fromEntries(named) } : {}),
    ...(content.length > 0 ? { content: contentOf(content, names, examples) } : {}),
  }
}

function contentOf(
  content: readonly Content[],
  names: ReadonlyMap<z.ZodType, string>,
  examples: Json | undefined,
): Json {
  return Object.fromEntries(
    content.map(({ type, schema }) => {
      const name = names.get(schema)
      const example = examples?.[type]
      return [
        type,
        {
          schema: name === undefined ? { type: 'string' } : { $ref: refTo(name) },
          ...(example === undefined ? {} : { example }),
        },
      ]
    }),
  )
}
