import type { z } from 'zod'
import * as answers from './schemas.ts'
import * as requests from './schemas-requests.ts'

export type Content = { type: string; schema: z.ZodType }

export type Answer = {
  description: string
  /** none: it comes without a body */
  content: readonly Content[]
  /** it may come without a body although it has a content */
  empty?: true
  /** header names and what they say */
  headers?: Readonly<Record<string, string>>
}

export type Operation = {
  /** operationId */
  id: string
  method: 'get' | 'post'
  path: string
  tag: Tag
  summary: string
  description?: string
  /** where the other side describes what it sends */
  docs?: string
  /** names of security schemes, any of which will do; none: open to everybody */
  security: readonly (keyof typeof SECURITY)[]
  parameters?: { path?: z.ZodObject; query?: z.ZodObject; header?: z.ZodObject }
  body?: readonly Content[]
  answers: Readonly<Record<number, Answer>>
}

export const TAGS = {
  incidents: 'What people deal with.',
  deliveries: 'What each destination was told, and what became of it.',
  commands: 'Everything that can be typed in chat, and the record of it.',
  webhooks: 'What other systems call. People have no use for them.',
  operation: 'For whoever runs Claw.',
} as const
type Tag = keyof typeof TAGS

export const SECURITY = {
  apiToken: {
    type: 'http',
    scheme: 'bearer',
    description: 'One of the tokens under `api.tokens`; a request runs as the person that it stands for.',
  },
  consoleCookie: {
    type: 'apiKey',
    in: 'cookie',
    name: 'claw_session',
    description: 'The cookie of the console. What changes something must come from its own pages.',
  },
  webhookToken: { type: 'http', scheme: 'bearer', description: 'One of the tokens under `alertmanager.token`.' },
  webhookBasic: {
    type: 'http',
    scheme: 'basic',
    description: '`alertmanager.username` and `alertmanager.password`, instead of a token.',
  },
  pagerdutySignature: {
    type: 'apiKey',
    in: 'header',
    name: 'X-PagerDuty-Signature',
    description: '`v1=` and the HMAC-SHA256 of the body, once per secret (`pagerduty.webhook_secret`).',
  },
  slackSignature: {
    type: 'apiKey',
    in: 'header',
    name: 'X-Slack-Signature',
    description: '`v0=` and the HMAC-SHA256 of `v0:<timestamp>:<body>` (`slack.signing_secret`).',
  },
  telegramSecret: {
    type: 'apiKey',
    in: 'header',
    name: 'X-Telegram-Bot-Api-Secret-Token',
    description: '`telegram.webhook_secret`, as Claw told it to Telegram.',
  },
} as const

const API = ['apiToken', 'consoleCookie'] as const
const JSON_TYPE = 'application/json'
const PROBLEM = 'application/problem+json'

const json = (schema: z.ZodType): Content => ({ type: JSON_TYPE, schema })
const ok = (description: string, ...content: Content[]): Answer => ({ description, content })
const plain = (description: string): Answer => ok(description, { type: 'text/plain', schema: answers.PlainText })

const WHY: Readonly<Record<number, string>> = {
  401: 'No token, or a wrong one.',
  413: 'The body is too large.',
  415: 'Another media type or charset, or a Content-Encoding.',
  500: 'Claw made a mistake; it is in the log.',
  503: 'Claw cannot store or read now. Send it again.',
}
const HEADERS: Readonly<Record<number, Record<string, string>>> = {
  401: { 'WWW-Authenticate': '`Bearer`' },
  503: { 'Retry-After': 'Seconds' },
}

/** Problems by status; null stands for the usual reason of it. */
function problems(reasons: Record<number, string | null>): Record<number, Answer> {
  return Object.fromEntries(
    Object.entries(reasons).map(([status, reason]) => {
      const headers = HEADERS[Number(status)]
      const content = [{ type: PROBLEM, schema: answers.Problem }]
      return [status, { description: reason ?? WHY[Number(status)] ?? '', content, ...(headers ? { headers } : {}) }]
    }),
  )
}

const NO_INCIDENT = 'There is no such incident.'
const BAD_ID = 'The id is no decimal number.'
const BAD_QUERY = 'A query parameter is wrong; `detail` says which and what is right.'
const OTHER_SITE = 'A browser sent it with the cookie of the console, from another site.'
const usual = { 401: null, 500: null, 503: null }
const webhook = { 400: 'It is no such webhook; `detail` says where.', 413: null, 415: null, 500: null, 503: null }

const incidents: Operation[] = [
  {
    id: 'listIncidents',
    method: 'get',
    path: '/api/v1/incidents',
    tag: 'incidents',
    summary: 'Incidents, newest first',
    security: API,
    parameters: { query: requests.IncidentQuery },
    answers: { 200: ok('A page of incidents.', json(answers.IncidentList)), ...problems({ ...usual, 400: BAD_QUERY }) },
  },
  {
    id: 'getIncident',
    method: 'get',
    path: '/api/v1/incidents/{id}',
    tag: 'incidents',
    summary: 'One incident',
    security: API,
    parameters: { path: requests.IncidentPath },
    answers: {
      200: ok('The incident.', json(answers.Incident)),
      ...problems({ ...usual, 400: BAD_ID, 404: NO_INCIDENT }),
    },
  },
  {
    id: 'getTimeline',
    method: 'get',
    path: '/api/v1/incidents/{id}/timeline',
    tag: 'incidents',
    summary: 'All that happened to an incident',
    security: API,
    parameters: { path: requests.IncidentPath },
    answers: {
      200: ok('The timeline.', json(answers.Timeline)),
      ...problems({ ...usual, 400: BAD_ID, 404: NO_INCIDENT }),
    },
  },
  {
    id: 'getPostmortem',
    method: 'get',
    path: '/api/v1/incidents/{id}/postmortem',
    tag: 'incidents',
    summary: 'The post-mortem of an incident, a draft',
    description: 'Every incident has one; while it is open it says so.',
    security: API,
    parameters: { path: requests.IncidentPath },
    answers: {
      200: ok('Markdown. What labels say is escaped.', { type: 'text/markdown', schema: answers.PlainText }),
      ...problems({ ...usual, 400: BAD_ID, 404: NO_INCIDENT }),
    },
  },
]

const deliveries: Operation[] = [
  {
    id: 'listDeliveries',
    method: 'get',
    path: '/api/v1/deliveries',
    tag: 'deliveries',
    summary: 'Deliveries, newest first',
    security: API,
    parameters: { query: requests.DeliveryQuery },
    answers: {
      200: ok('A page of deliveries.', json(answers.DeliveryList)),
      ...problems({ ...usual, 400: BAD_QUERY }),
    },
  },
  {
    id: 'redeliver',
    method: 'post',
    path: '/api/v1/deliveries/{id}/redeliver',
    tag: 'deliveries',
    summary: 'Send a dead or waiting delivery again, at once',
    security: API,
    parameters: { path: requests.DeliveryPath },
    answers: {
      202: ok('It is in line again.', json(answers.Delivery)),
      ...problems({
        ...usual,
        400: BAD_ID,
        403: `The person may run neither \`deliveries\` nor \`ack\`. Or: ${OTHER_SITE}`,
        404: 'There is no such delivery.',
        409: 'It neither died nor waits.',
        413: null,
        415: 'It has a Content-Encoding.',
      }),
    },
  },
]

/** Both an answer of the command and a problem come with this status. */
function either(description: string, status: number): Answer {
  const [problem] = Object.values(problems({ [status]: null }))
  return { ...problem, description, content: [json(answers.CommandAnswer), ...(problem?.content ?? [])] }
}

const commands: Operation[] = [
  {
    id: 'runCommand',
    method: 'post',
    path: '/api/v1/commands',
    tag: 'commands',
    summary: 'Run a chat command',
    description:
      'Runs as the person of the token, with that person’s roles. A dangerous command answers 200 with a question that waits ' +
      'for `approve`, unless `confirm` is set. What the command itself answers is `application/json`, also where the answer ' +
      'is no; what kept it from being run is `application/problem+json`.',
    security: API,
    parameters: { header: requests.CommandHeaders },
    body: [json(requests.Command)],
    answers: {
      200: ok('Done, begun, or asked for agreement.', json(answers.CommandAnswer)),
      ...problems({ 401: null, 413: null, 415: 'It has a Content-Encoding.', 500: null }),
      400: either('There is no such command, or it is used wrongly (JSON); the body is wrong (problem).', 400),
      403: either('No role of this person may (JSON); the token is not for `as`, or another site (problem).', 403),
      404: ok('What it names does not exist.', json(answers.CommandAnswer)),
      409: ok('It makes no sense now, such as `ack` of a resolved incident.', json(answers.CommandAnswer)),
      503: either('What it needs cannot be reached (JSON); Claw cannot store now (problem).', 503),
    },
  },
  {
    id: 'listAudit',
    method: 'get',
    path: '/api/v1/audit',
    tag: 'commands',
    summary: 'The audit trail, oldest first',
    description: 'Each row carries the hash of the row before it, so that anyone can check that nothing is missing.',
    security: API,
    parameters: { query: requests.AuditQuery },
    answers: { 200: ok('A stretch of it.', json(answers.AuditTrail)), ...problems({ ...usual, 400: BAD_QUERY }) },
  },
]

const webhooks: Operation[] = [
  {
    id: 'receiveAlertmanager',
    method: 'post',
    path: '/webhooks/alertmanager',
    tag: 'webhooks',
    summary: 'Alerts from Alertmanager',
    description: 'At most 16 MiB, taken whole or not at all.',
    docs: 'https://prometheus.io/docs/alerting/latest/configuration/#webhook_config',
    security: ['webhookToken', 'webhookBasic'],
    body: [json(requests.AlertmanagerWebhook)],
    answers: { 200: ok('Stored on disk.'), ...problems({ ...webhook, 401: 'No credentials, or wrong ones.' }) },
  },
  {
    id: 'receivePagerDuty',
    method: 'post',
    path: '/webhooks/pagerduty',
    tag: 'webhooks',
    summary: 'What people do in PagerDuty',
    description: 'At most 1 MiB. An event that came before is taken and changes nothing.',
    docs: 'https://developer.pagerduty.com/docs/webhooks-overview',
    security: ['pagerdutySignature'],
    body: [json(requests.PagerDutyWebhook)],
    answers: { 200: ok('Taken.'), ...problems({ ...webhook, 401: 'No signature, or a wrong one.' }) },
  },
  {
    id: 'receiveTelegram',
    method: 'post',
    path: '/webhooks/telegram',
    tag: 'webhooks',
    summary: 'What people say in Telegram',
    description: 'At most 1 MiB. Only with `telegram.mode: webhook`; Claw tells Telegram the address itself.',
    docs: 'https://core.telegram.org/bots/api#update',
    security: ['telegramSecret'],
    body: [json(requests.TelegramUpdate)],
    answers: {
      200: ok('Taken. The answer comes by itself.'),
      ...problems({ ...webhook, 401: 'No secret, or a wrong one.' }),
    },
  },
  {
    id: 'receiveSlack',
    method: 'post',
    path: '/slack/events',
    tag: 'webhooks',
    summary: 'What people say and press in Slack',
    description:
      'Slash commands, interactivity and events of the app in `deploy/slack/manifest.yaml`, at most 1 MB. Not used in Socket ' +
      'Mode.',
    docs: 'https://docs.slack.dev/authentication/verifying-requests-from-slack',
    security: ['slackSignature'],
    parameters: { header: requests.SlackHeaders },
    body: [
      { type: 'application/x-www-form-urlencoded', schema: requests.SlackRequest },
      { type: JSON_TYPE, schema: requests.SlackRequest },
    ],
    answers: {
      200: {
        ...ok(
          'Taken, usually without a word; else what Slack is to show, or the `challenge`.',
          json(answers.SlackAnswer),
        ),
        empty: true,
      },
      401: slack('Not signed, wrongly signed, or too old.'),
      413: slack('The body is too large.'),
      415: slack('It has a Content-Encoding.'),
      ...problems({ 404: 'Slack is not configured.' }),
      500: ok('It could not be handled. Slack sends an event again.'),
    },
  },
]

function slack(description: string): Answer {
  return ok(description, { type: PROBLEM, schema: answers.SlackProblem })
}

const operation: Operation[] = [
  {
    id: 'getHealth',
    method: 'get',
    path: '/healthz',
    tag: 'operation',
    summary: 'Whether the process lives',
    security: [],
    answers: { 200: plain('It does.') },
  },
  {
    id: 'getReadiness',
    method: 'get',
    path: '/readyz',
    tag: 'operation',
    summary: 'Whether it can store',
    security: [],
    answers: { 200: plain('It can.'), ...problems({ 503: 'It cannot store now.' }) },
  },
  {
    id: 'getMetrics',
    method: 'get',
    path: '/metrics',
    tag: 'operation',
    summary: 'Metrics of Claw itself',
    docs: 'https://prometheus.io/docs/instrumenting/exposition_formats/',
    security: [],
    answers: {
      200: plain('In the text format of Prometheus; `claw_store_up` says whether the database can be written.'),
    },
  },
  {
    id: 'getOpenApi',
    method: 'get',
    path: '/openapi.json',
    tag: 'operation',
    summary: 'This document',
    security: [],
    answers: { 200: ok('OpenAPI 3.1.', json(answers.OpenApi)) },
  },
]

/** The whole HTTP API (contract.md, section 3): what is asked and what can be answered, status by status. */
export const OPERATIONS: readonly Operation[] = [...incidents, ...deliveries, ...commands, ...webhooks, ...operation]
