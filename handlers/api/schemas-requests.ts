import { z } from 'zod'
import { DELIVERY_STATES, INCIDENT_STATES } from './schemas.ts'

/** `POST /api/v1/commands`. An unknown field is an error. */
export const Command = z
  .strictObject({
    text: z.string().min(1).max(4000).describe('The command as one types it in chat, such as `ack 12 looking`'),
    as: z
      .string()
      .max(200)
      .optional()
      .describe("May only name the token's own person; anyone else is 403. The terminal sends it to be sure."),
    confirm: z.boolean().optional().describe('Confirms a dangerous command at once, instead of being asked'),
    override: z.string().min(1).max(500).optional().describe('Why a refusal is passed; needs the role for it'),
    via: z.enum(['http', 'terminal']).optional().describe('Told apart in the audit trail; `http` when left out'),
  })
  .describe('A chat command, run as the person of the token.')

const labels = z.record(z.string(), z.string())
const rfc3339 = z
  .string()
  .refine((text) => !Number.isNaN(Date.parse(text)))
  .meta({ format: 'date-time' })

/** The fields that Claw reads; all else that Alertmanager sends is taken too. */
export const AlertmanagerWebhook = z
  .looseObject({
    version: z.literal('4'),
    receiver: z.string().nullish().describe('The Alertmanager receiver that was notified'),
    externalURL: z.string().nullish().describe('Address of that Alertmanager, for links'),
    truncatedAlerts: z.number().nullish().describe('Alerts that were left out (`max_alerts`)'),
    alerts: z.array(
      z.looseObject({
        status: z.enum(['firing', 'resolved']),
        labels,
        annotations: labels.nullish(),
        startsAt: rfc3339,
        endsAt: rfc3339.nullish().describe('Only counts with `status: resolved`'),
        generatorURL: z.string().nullish(),
        fingerprint: z.string().nullish().describe('Claw hashes the labels where it is missing'),
      }),
    ),
  })
  .describe('The webhook of Alertmanager, version 4. Each alert’s own status and fingerprint decide.')

export const PagerDutyWebhook = z
  .looseObject({
    event: z.looseObject({
      id: z.string().min(1).max(200),
      event_type: z.string().min(1).max(200).describe('Such as `incident.acknowledged`'),
      occurred_at: z.string().meta({ format: 'date-time' }),
      agent: z.looseObject({}).nullish(),
      data: z.looseObject({}).nullish(),
    }),
  })
  .describe('A webhook of PagerDuty, version 3: one event. Kinds that Claw does not know are taken and ignored.')

export const TelegramUpdate = z
  .looseObject({ update_id: z.int().nonnegative() })
  .describe('An update of the Telegram Bot API. Kinds that Claw does not know are taken and ignored.')

export const SlackRequest = z
  .looseObject({})
  .describe('A slash command or an interaction as a form, or an event as JSON, as Slack defines them.')

/** What comes with requests, by the names that the document gives it. */
export const REQUESTS = { AlertmanagerWebhook, Command, PagerDutyWebhook, SlackRequest, TelegramUpdate } as const

const limit = z.int().min(1).max(1000).default(50).describe('At most this many; 50 when left out')
const cursor = z.string().describe('`next_cursor` of the page before, unchanged. It belongs to this list alone.')

export const IncidentQuery = z.object({
  state: z
    .array(z.enum(INCIDENT_STATES))
    .optional()
    .describe('Only these states, separated by commas or by repeating the parameter; all when left out'),
  limit,
  cursor: cursor.optional(),
})

export const DeliveryQuery = z.object({
  state: z.enum(DELIVERY_STATES).optional().describe('Only this state; all when left out'),
  limit,
  cursor: cursor.optional(),
})

export const AuditQuery = z.object({ limit, cursor: cursor.optional() })

export const IncidentPath = z.object({
  id: z
    .string()
    .regex(/^[1-9]\d{0,14}$/)
    .describe('The id of the incident, such as `12`'),
})

export const DeliveryPath = z.object({
  id: z
    .string()
    .regex(/^[1-9]\d{0,14}$/)
    .describe('The id of the delivery, such as `7`'),
})

export const CommandHeaders = z.object({
  'Idempotency-Key': z
    .string()
    .optional()
    .describe(
      'The same key from the same person gets the first answer again, and nothing is run twice; 200 characters count',
    ),
})

export const SlackHeaders = z.object({
  'X-Slack-Request-Timestamp': z
    .string()
    .regex(/^\d{1,12}$/)
    .describe('Seconds since the epoch; part of what is signed, and at most 300 s from now'),
})
