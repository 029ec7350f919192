import { z } from 'zod'
import { CLASSES, LEVELS } from '../core/severity.ts'
import { actions, automation, failover, kubernetes, remediation, slo } from './actions.ts'
import { grafana } from './grafana.ts'
import {
  duration,
  httpUrl,
  identifier,
  mention,
  oneOrMany,
  positiveDuration,
  readListen,
  secret,
  storeUrl,
  text,
  timestamp,
} from './parts.ts'
import { tracing } from './tracing.ts'

// Keys are written as in the file. What has a default says it here and nowhere else; durations come out in milliseconds.

const level = z.enum(LEVELS)
const matcherList = z
  .array(text())
  .describe('Matchers as Alertmanager writes them, e.g. severity="critical"; all must match')
const names = z.array(text())

const alertmanager = z
  .strictObject({
    token: oneOrMany(secret())
      .optional()
      .describe('Bearer token that a webhook must carry; a list while rotating. Or use username and password'),
    username: text().optional().describe('Basic authentication of the webhook'),
    password: secret().optional().describe('Basic authentication of the webhook'),
    url: httpUrl().optional().describe("Alertmanager's API: silences both ways, and comparing notes"),
    api_auth: z
      .strictObject({ token: secret().optional(), username: text().optional(), password: secret().optional() })
      .optional()
      .describe('What Claw shows when it calls url: a bearer token, or username and password'),
    compare_interval: positiveDuration().prefault('1m').describe('How often notes are compared with url'),
    heartbeat: z
      .strictObject({
        alertname: text().default('Watchdog').describe('The alert that always fires'),
        timeout: positiveDuration().prefault('5m').describe('Silence after which its absence is an incident'),
        forget_after: positiveDuration()
          .prefault('7d')
          .describe('Silence after which a Prometheus counts as retired, if another one is heard'),
      })
      .optional()
      .describe("Dead-man's switch, one per Prometheus. Given here, it is expected even before it was first heard"),
  })
  .prefault({})
  .describe('Where alerts come from')

const prometheus = z
  .strictObject({
    url: httpUrl().describe('Prometheus, for the level of a bucket, validation, graphs and figures'),
    external_url: httpUrl().optional().describe('The same as people reach it, for links'),
    metrics: z
      .strictObject({
        bucket_ratio: text()
          .default('openclaw_token_bucket_available')
          .describe('Gauge: what is left in the bucket per region, 0..1'),
      })
      .prefault({})
      .describe('Names of metrics, where an installation has its own'),
  })
  .optional()
  .describe('Optional: asked for figures')

const pagerduty = z
  .strictObject({
    routing_key: secret()
      .optional()
      .describe('Integration key of Events v2, used by receivers that have none of their own'),
    api_token: secret().optional().describe('REST API: notes, on-call, log entries'),
    from: z.email('must be an email address').optional().describe('The PagerDuty user in whose name Claw writes'),
    webhook_secret: secret().optional().describe('Secret of the v3 webhook subscription'),
    events_url: httpUrl().default('https://events.pagerduty.com').describe('Events v2'),
    api_url: httpUrl().default('https://api.pagerduty.com').describe('REST API'),
    poll_interval: positiveDuration().prefault('30s').describe('How often the state of pages is polled'),
  })
  .prefault({})
  .describe('PagerDuty')

const slack = z
  .strictObject({
    bot_token: secret().optional().describe('xoxb-…'),
    signing_secret: secret().optional().describe('For HTTP mode'),
    app_token: secret().optional().describe('xapp-…; Socket Mode instead of HTTP, when given'),
    api_url: httpUrl().default('https://slack.com/api/').describe('Web API'),
  })
  .prefault({})
  .describe('Slack')

const telegram = z
  .strictObject({
    bot_token: secret().optional().describe('From @BotFather'),
    mode: z.enum(['polling', 'webhook']).default('polling').describe('webhook needs public_url and webhook_secret'),
    webhook_secret: z
      .string()
      .regex(/^[A-Za-z0-9_-]{1,256}$/, 'must be 1 to 256 letters, digits, _ or - (Telegram, setWebhook)')
      .optional()
      .describe('Secret token of the webhook'),
    api_root: httpUrl().default('https://api.telegram.org').describe('Bot API'),
  })
  .prefault({})
  .describe('Telegram')

const edge = z
  .strictObject({
    url: httpUrl().optional().describe('Admin API of the edge'),
    token: secret().optional().describe('Bearer token of the admin API'),
    regions: z
      .record(z.string(), z.strictObject({ url: httpUrl().describe('Admin API of this region') }))
      .default({})
      .describe('Admin APIs of single regions'),
  })
  .prefault({})
  .describe('The edge that Claw watches')

const person = z.strictObject({
  name: text(),
  roles: names.default([]).describe('Names from roles'),
  slack: identifier().optional().describe('User id, U…'),
  telegram: identifier().optional().describe('User id, a number'),
  pagerduty: identifier().optional().describe('User id, P…'),
  email: z.email('must be an email address').optional(),
})

const role = z.strictObject({
  allow: names.describe("Commands, or '*' for all"),
  inherits: text().optional().describe('Another role whose commands are allowed as well'),
})

/** contract.md, section 2 */
export const DEFAULT_ROLES = {
  viewer: { allow: ['status', 'incidents', 'show', 'oncall', 'help'] },
  responder: {
    allow: ['ack', 'resolve', 'silence', 'reconcile', 'reset', 'escalate', 'postmortem'],
    inherits: 'viewer',
  },
  commander: { allow: ['*'], inherits: 'responder' },
}

const severity = z.strictObject({ level, when: matcherList.default([]) })

/** contract.md, section 2 */
export const DEFAULT_SEVERITIES = [
  { level: 'P1', when: ['severity="critical"'] },
  { level: 'P2', when: ['severity="warning"'] },
  { level: 'P3', when: ['severity=~"info|none"'] },
  { level: 'P2', when: [] },
] satisfies z.output<typeof severity>[]

const incidents = z
  .strictObject({
    correlate_by: names
      .min(1, 'must name at least one label')
      .default(['service'])
      .describe('One incident per value of these labels'),
    correlation_window: duration()
      .prefault('5m')
      .describe('After it resolved, another alert of that key joins within this time'),
    reopen_within: duration().prefault('10m').describe('After it resolved, the same alert reopens it within this time'),
    doubt_for: duration()
      .prefault('60s')
      .describe('How long a firing of a resolved alert is held before it is believed (HA pairs send stale ones)'),
    severities: z
      .array(severity)
      .min(1, 'must not be an empty list')
      .default(DEFAULT_SEVERITIES)
      .describe('The first rule that matches decides the level'),
    classes: z
      .record(z.string(), z.enum(CLASSES))
      .default({})
      .describe('Alert name to class, added to the names of our own rules'),
    raise_at_regions: z.int().min(0).default(2).describe('So many regions at once raise the level one step; 0 = never'),
    flapping: z
      .strictObject({
        recurrences: z.int().min(1).default(3).describe('From so many recurrences ...'),
        within: positiveDuration().prefault('1h').describe('... within this time, an incident is flapping ...'),
        quiet: positiveDuration().prefault('10m').describe('... and resolves only after so long a quiet'),
      })
      .prefault({}),
    recheck_after_resolve: positiveDuration()
      .prefault('10m')
      .describe('When to look again after a person resolved while alerts fire'),
    sign_of_life: positiveDuration()
      .prefault('30m')
      .describe('An acknowledged P1 without any activity for so long asks again'),
    fallback_after: positiveDuration()
      .prefault('60s')
      .describe("A page not confirmed within this time goes to the receiver's fallback"),
    acknowledge_within: z
      .strictObject({
        P1: positiveDuration().prefault('5m'),
        P2: positiveDuration().prefault('15m'),
        P3: positiveDuration().prefault('30m'),
      })
      .prefault({})
      .describe('Time to acknowledge, per level'),
    annotations: z
      .strictObject({
        bucket_ratio: names.default(['bucket_ratio', 'bucket_level', 'token_level']),
        graph: names.default(['graph_url', 'graph', 'dashboard_url', 'dashboard']),
        runbook: names.default(['runbook_url', 'runbook']),
      })
      .prefault({})
      .describe('Annotations that are looked at, in this order'),
    summary_labels: names.optional().describe('Labels that name an incident in messages; default: correlate_by'),
  })
  .prefault({})
  .describe('What becomes one incident, and how bad it is')

const receiver = z.strictObject({
  name: text(),
  pagerduty: z
    .strictObject({
      routing_key: secret().optional().describe('Default: pagerduty.routing_key'),
      name: text().optional().describe('How this PagerDuty service is called in Claw'),
    })
    .optional(),
  slack: z
    .strictObject({
      channel: text().describe('Channel id, C…'),
      mention: mention()
        .optional()
        .describe('Whom a P1 mentions: here, channel, or the id of a person (U…) or user group (S…)'),
      notify: z
        .boolean()
        .optional()
        .describe('Whether it mentions; default: only without pagerduty, or when mention is given'),
    })
    .optional(),
  telegram: z
    .strictObject({
      chat: identifier()
        .refine((id) => /^(?:-?\d{1,20}|@[A-Za-z][A-Za-z0-9_]{3,31})$/.test(id), 'must be a numeric id or @name')
        .describe('Chat id, negative for groups, or the @name of a public group or channel'),
      thread: z.int().min(1).optional().describe('Topic of a forum'),
      notify: z.boolean().optional().describe('Whether messages make a sound; default: only where pagerduty does not'),
    })
    .optional(),
  webhook: z.strictObject({ url: httpUrl(), token: secret().optional().describe('Sent as a bearer token') }).optional(),
  fallback: text().optional().describe('Receiver told when a page is not confirmed within incidents.fallback_after'),
})

const routeKeys = {
  receiver: text().optional().describe("Default: the parent's"),
  matchers: matcherList.optional(),
  continue: z.boolean().default(false).describe('Go on to the next sibling after this one matched'),
  mute_time_intervals: names.default([]).describe('Names from time_intervals in which it is silent'),
  active_time_intervals: names.default([]).describe('Names from time_intervals outside of which it is silent'),
}

export type RouteConfig = {
  receiver?: string | undefined
  matchers?: string[] | undefined
  continue: boolean
  mute_time_intervals: string[]
  active_time_intervals: string[]
  routes: RouteConfig[]
}

const childRoute: z.ZodType<RouteConfig> = z.strictObject({
  ...routeKeys,
  get routes() {
    return z.array(childRoute).default([])
  },
})

const timeInterval = z.strictObject({
  times: z
    .array(z.strictObject({ start_time: text(), end_time: text() }))
    .optional()
    .describe("e.g. '09:00' to '17:00'"),
  weekdays: z.array(text()).optional().describe("e.g. 'monday:friday'"),
  days_of_month: z.array(identifier()).optional().describe("e.g. '1:5', or '-1' for the last day"),
  months: z.array(identifier()).optional().describe("e.g. 'january:march'"),
  years: z.array(identifier()).optional().describe("e.g. '2026:2027'"),
  location: text().optional().describe('Time zone, e.g. Europe/Berlin; default UTC'),
})

const maintenanceWindow = z.strictObject({
  name: text(),
  matchers: matcherList.min(1, 'must not be an empty list'),
  starts_at: timestamp().optional(),
  ends_at: timestamp().optional(),
  time_intervals: names.default([]).describe('Names from time_intervals; in force only within one of them'),
  note: z.string().default(''),
})

/** The whole of `claw.yaml`. Every key is optional, an unknown key is an error. */
export const configSchema = z
  .strictObject({
    installation: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'must be 1 to 63 letters, digits, . _ or -')
      .default('claw')
      .describe('Tells installations apart in dedup keys and metadata'),
    listen: z
      .string()
      .refine((value) => readListen(value) !== null, 'must be host:port, such as 0.0.0.0:8080')
      .default('0.0.0.0:8080')
      .describe('Address of the HTTP server'),
    public_url: httpUrl().optional().describe('How people and platforms reach this server'),
    store: storeUrl().default('sqlite:data/claw.db').describe('sqlite:<path> or postgres://user:pass@host:5432/claw'),
    shutdown_timeout: duration().prefault('10s').describe('How long SIGTERM may drain'),
    retention: positiveDuration().prefault('90d').describe('How long resolved incidents are kept'),
    log: z
      .strictObject({ level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info') })
      .prefault({})
      .describe('Log, JSON lines on stdout'),
    templates: text().optional().describe("Folder whose files take the place of Claw's own templates of the same path"),
    alertmanager,
    prometheus,
    pagerduty,
    slack,
    telegram,
    edge,
    people: z.array(person).default([]).describe('Who may do what, and who is who across systems'),
    roles: z
      .record(z.string(), role)
      .prefault({})
      .transform((given): Record<string, z.output<typeof role>> => ({ ...DEFAULT_ROLES, ...given }))
      .describe('Which commands a role may run; viewer, responder and commander exist unless given anew'),
    approvals: z
      .object({ expire_after: positiveDuration().prefault('15m').describe('A request for approval lasts so long') })
      .catchall(z.int().min(0))
      .prefault({})
      .describe('Command to the number of other people who must agree'),
    incidents,
    receivers: z.array(receiver).default([]).describe('Where messages go'),
    route: childRoute
      .optional()
      .describe('Routing tree, as in Alertmanager; alerts are routed by their labels and `level`'),
    time_intervals: z
      .array(z.strictObject({ name: text(), time_intervals: z.array(timeInterval) }))
      .default([])
      .describe("As Alertmanager's"),
    inhibit_rules: z
      .array(
        z.strictObject({
          source_matchers: matcherList.min(1, 'must not be an empty list'),
          target_matchers: matcherList.min(1, 'must not be an empty list'),
          equal: names.default([]),
        }),
      )
      .default([])
      .describe("As Alertmanager's"),
    maintenance: z.array(maintenanceWindow).default([]).describe('Planned work: matching alerts page nobody'),
    remediation,
    automation,
    slo,
    failover,
    actions,
    kubernetes,
    grafana,
    tracing,
    api: z
      .strictObject({
        tokens: z.record(z.string(), secret()).default({}).describe('Person to the bearer token that speaks for them'),
      })
      .prefault({})
      .describe('HTTP API'),
    selftest: z
      .strictObject({
        every: positiveDuration().optional().describe('How often a synthetic page is sent; off unless set'),
      })
      .prefault({}),
    heartbeat: z
      .strictObject({
        ping_url: httpUrl().optional().describe('Outside watchdog that is pinged while all is well'),
        ping_interval: positiveDuration().prefault('1m'),
      })
      .prefault({}),
  })
  .meta({ title: 'claw.yaml', description: 'Configuration of Claw' })

/** `claw.yaml`, checked, defaults filled in, durations in milliseconds. Holds secrets: show it only through redact(). */
export type Config = z.output<typeof configSchema>
export type ReceiverConfig = Config['receivers'][number]

/** JSON Schema (2020-12) of the file, for `claw schema` and editors. */
export function jsonSchema(): Record<string, unknown> {
  return { ...z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' }) }
}
