import { z } from 'zod'
import { httpUrl, secret } from './parts.ts'

export const tracing = z
  .strictObject({
    endpoint: httpUrl().describe('OpenTelemetry collector, OTLP over HTTP: http://collector:4318; /v1/traces is added'),
    headers: z.record(z.string(), secret()).default({}).describe('Sent to the endpoint, such as Authorization'),
    sample: z.number().min(0).max(1).default(1).describe('Share of the traces begun here that are recorded'),
  })
  .optional()
  .describe('Traces from webhook to destination and from command to edge; off unless given')
