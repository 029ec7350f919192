import { readFileSync, writeFileSync } from 'node:fs'
import { commandSpecs } from '../handlers/commands/index.ts'
import { DEFAULT_ROLES, jsonSchema } from '../src/config/schema.ts'
import { rolesFor } from '../src/core/access.ts'
import type { CommandSpec } from '../src/core/command.ts'
import { DURATION_PATTERN } from '../src/core/duration.ts'

// Writes the generated parts of docs/: `npx node scripts/docs.ts`; with --check it only says whether they are as they should be.

const ROOT = new URL('..', import.meta.url)

/** A generated part of a document: what stands between its two markers. */
export type Part = { file: string; name: string; text: () => string }

export const PARTS: readonly Part[] = [
  { file: 'docs/configuration.md', name: 'configuration', text: () => configurationText(jsonSchema() as Node) },
  { file: 'docs/commands.md', name: 'commands', text: () => commandsText(commandSpecs) },
]

/** The part of a JSON Schema (2020-12) that zod writes and that is read here. */
export type Node = {
  $ref?: string
  $defs?: Record<string, Node>
  type?: string
  description?: string
  default?: unknown
  enum?: unknown[]
  pattern?: string
  format?: string
  anyOf?: Node[]
  properties?: Record<string, Node>
  additionalProperties?: Node | boolean
  items?: Node
  required?: string[]
  minimum?: number
  maximum?: number
  exclusiveMinimum?: number
  exclusiveMaximum?: number
}

/** What a map's key stands for, where `NAME` says too little. */
const MAP_KEYS: Readonly<Record<string, string>> = {
  'edge.regions': 'REGION',
  roles: 'ROLE',
  approvals: 'COMMAND',
  'incidents.classes': 'ALERTNAME',
  'failover.regions': 'REGION',
  'kubernetes.scale': 'REGION',
  'tracing.headers': 'HEADER',
  'api.tokens': 'PERSON',
}

/**
 * What the schema does not say of a key, by its path there (`[]` for the items of a list, `*` for any key of a map). A text in
 * the schema takes the place of one here; the test says which of these are not needed any more.
 */
export const TEXTS: Readonly<Record<string, string>> = {
  'log.level': 'Lines below this level are left out',
  'alertmanager.api_auth.token': 'Sent as a bearer token',
  'alertmanager.api_auth.username': 'Basic authentication',
  'alertmanager.api_auth.password': 'Basic authentication',
  'people[].name': 'How Claw calls this person everywhere',
  'people[].email': 'In whose name notes are written in PagerDuty, where it is a user there',
  'incidents.severities[].level': 'What a matching alert is',
  'incidents.flapping': 'When an incident that comes back again and again stays open',
  'incidents.acknowledge_within.P1': 'Then the escalation goes on',
  'incidents.acknowledge_within.P2': 'Then the escalation goes on',
  'incidents.acknowledge_within.P3': 'Then the escalation goes on',
  'incidents.annotations.bucket_ratio': 'Level of the bucket, 0..1, where neither edge nor Prometheus tells it',
  'incidents.annotations.graph': 'Link to a graph',
  'incidents.annotations.runbook': 'Link to the runbook',
  'receivers[].name': 'What routes, fallback and automation.leads refer to',
  'receivers[].webhook.url': 'Called with each change of an incident, as JSON',
  'time_intervals[].name': 'What routes and maintenance refer to',
  'time_intervals[].time_intervals': 'It is in force while one of these holds; within one, all that is given must hold',
  'time_intervals[].time_intervals[].times[].start_time': 'HH:MM, included',
  'time_intervals[].time_intervals[].times[].end_time': 'HH:MM, not included; 24:00 for the end of the day',
  'inhibit_rules[].equal': 'Labels that source and target must have alike',
  'maintenance[].name': 'Shown where it mutes',
  'maintenance[].starts_at': 'With its offset, such as 2026-03-01T22:00:00Z; default: no beginning',
  'maintenance[].ends_at': 'Default: no end',
  'maintenance[].note': 'For people',
  'remediation[].budget.max': 'Acts ...',
  'remediation[].budget.per': '... within this time',
  'remediation[].verify.after': 'This long after the act',
  'failover.synthetic_load': 'A load test of your own, asked before and after a switch',
  'failover.cloudflare': 'Needed with traffic: cloudflare; either record or load_balancer',
  'failover.cloudflare.api_url': "Cloudflare's API",
  'failover.route53': 'Needed with traffic: route53',
  'failover.route53.region': 'For the signature; Route 53 itself is one for all regions',
  'failover.route53.secret_access_key': 'Together with access_key_id',
  'actions.reconcile': 'Bringing diverged copies together',
  'actions.revert': 'Undoing the last version',
  'actions.revert.capacity_for': 'How long that capacity lasts',
  'actions.scale': 'More replicas for a while',
  'actions.scale.replicas': 'How many, where nobody says',
  'kubernetes.context': 'Context of the kubeconfig; default: its current one',
  'kubernetes.token': 'Bearer token for url',
  'kubernetes.namespace': 'Where the objects of the edge are',
  'kubernetes.config_map.name': 'Its name',
  'kubernetes.scale.*.kind': 'What it is',
  selftest: 'A synthetic alert through the whole path, so that status can say when paging was last proven',
  heartbeat: 'Telling somebody outside that Claw lives',
  'heartbeat.ping_interval': 'How often',
}

type Row = { key: string; type: string; fallback: string; text: string }

/** Every key of the configuration, one table for each key at the top: type, default, what it says. */
export function configurationText(schema: Node): string {
  const top = Object.entries(schema.properties ?? {})
  const single = top.filter(([, node]) => !hasKeys(resolved(node, schema)))
  const sections = top.filter(([, node]) => hasKeys(resolved(node, schema)))
  const blocks = [`## Single keys\n\n${table(single.map(([key, node]) => rowOf(key, key, node, schema, false)))}`]
  for (const [key, node] of sections) {
    const text = textOf(key, node, schema)
    const list = resolved(node, schema).type === 'array' ? 'A list. ' : ''
    const rows = rowsBelow(key, '', node, schema)
    blocks.push(`## ${key}\n\n${list}${text === '' ? '' : `${sentence(text)}\n\n`}${table(rows)}`)
  }
  return blocks.join('\n\n')
}

/** Whether a node holds keys of its own, in itself, its items or its values. */
function hasKeys(node: Node): boolean {
  if (node.properties !== undefined) return true
  if (node.type === 'array') return node.items?.properties !== undefined
  return typeof node.additionalProperties === 'object'
}

function rowsBelow(path: string, prefix: string, given: Node, root: Node): Row[] {
  const node = resolved(given, root)
  if (node.type === 'array' && node.items !== undefined) return rowsBelow(`${path}[]`, `${prefix}[].`, node.items, root)
  const rows = Object.entries(node.properties ?? {}).flatMap(([key, child]) =>
    withChildren(`${path}.${key}`, `${prefix}${key}`, child, root, node.required?.includes(key) ?? false),
  )
  if (typeof node.additionalProperties === 'object') {
    const name = `<${MAP_KEYS[path] ?? 'NAME'}>`
    const values = withChildren(`${path}.*`, `${prefix}${name}`, node.additionalProperties, root, false)
    // What the map itself says is enough where its values are single ones.
    rows.push(
      ...values.map((row) =>
        row.text === '' && values.length === 1 ? { ...row, text: textOf(path, given, root) } : row,
      ),
    )
  }
  return rows
}

/** A key's row, and those of the keys within it. A route holds routes: that is said, not followed. */
function withChildren(path: string, key: string, node: Node, root: Node, required: boolean): Row[] {
  const own = rowOf(path, key, node, root, required)
  const inner = resolved(node, root)
  const again = inner.type === 'array' && inner.items?.$ref !== undefined
  if (again) return [{ ...own, text: own.text === '' ? 'Routes below this one, with the same keys' : own.text }]
  if (!hasKeys(inner)) return [own]
  const below = rowsBelow(path, inner.type === 'array' ? key : `${key}.`, node, root)
  return own.text === '' && own.fallback === '' ? below : [own, ...below]
}

function rowOf(path: string, key: string, node: Node, root: Node, required: boolean): Row {
  const inner = resolved(node, root)
  const fallback = node.default ?? inner.default
  const none = fallback === undefined || fallback === '' || isEmptyMap(fallback)
  const shown = required ? '**required**' : none ? '' : code(short(fallback))
  return { key, type: typeOf(node, root, key), fallback: shown, text: textOf(path, node, root) }
}

const isEmptyMap = (value: unknown): boolean => JSON.stringify(value) === '{}'

/** As it would stand in YAML, in one line. */
function short(value: unknown): string {
  if (typeof value === 'string') return value
  return JSON.stringify(value)
    .replaceAll('\\"', '”')
    .replaceAll('"', '')
    .replaceAll('”', '"')
    .replaceAll(':', ': ')
    .replaceAll(',', ', ')
}

function typeOf(given: Node, root: Node, key: string): string {
  const node = resolved(given, root)
  if (node.enum !== undefined) return node.enum.map((value) => code(String(value))).join(' ')
  if (node.anyOf !== undefined) return [...new Set(node.anyOf.map((one) => typeOf(one, root, key)))].join(' or ')
  switch (node.type) {
    case 'array':
      return `list of ${node.items === undefined ? 'values' : plural(typeOf(node.items, root, key))}`
    case 'object':
      return 'map'
    case 'boolean':
      return '`true` `false`'
    case 'integer':
      return `whole number${bounds(node)}`
    case 'number':
      return `number${bounds(node)}`
    case 'string':
      return stringType(node, key)
    default:
      return 'text'
  }
}

function stringType(node: Node, key: string): string {
  if (node.pattern === DURATION_PATTERN.source) return 'duration'
  if (node.pattern === '^[\\x20-\\x7e]*$') return 'secret'
  if (node.format === 'email') return 'e-mail address'
  if (node.pattern?.startsWith('^\\d{4}-\\d{2}') === true) return 'time'
  return /(?:^|[._])(?:url|endpoint|api_root)$/.test(key) ? 'URL' : 'text'
}

function bounds(node: Node): string {
  const { minimum, maximum, exclusiveMinimum: above, exclusiveMaximum: below } = node
  const most = maximum === undefined || maximum >= Number.MAX_SAFE_INTEGER ? undefined : maximum
  if (above !== undefined && below !== undefined) return ` between ${above} and ${below}`
  if (minimum !== undefined && most !== undefined) return `, ${minimum} to ${most}`
  const words = [
    minimum === undefined || minimum <= Number.MIN_SAFE_INTEGER ? [] : [`at least ${minimum}`],
    above === undefined ? [] : [`above ${above}`],
    most === undefined ? [] : [`at most ${most}`],
  ].flat()
  return words.length === 0 ? '' : `, ${words.join(', ')}`
}

const plural = (type: string): string =>
  ({ text: 'texts', secret: 'secrets', map: 'maps', 'text or whole number': 'texts or whole numbers' })[type] ?? type

function resolved(node: Node, root: Node): Node {
  const name = node.$ref?.replace('#/$defs/', '')
  return name === undefined ? node : resolved(root.$defs?.[name] ?? {}, root)
}

function textOf(path: string, node: Node, root: Node): string {
  return node.description ?? resolved(node, root).description ?? TEXTS[path] ?? ''
}

/** Commands in the order of `help`: usage, what it does, who may run it, whether it asks back. */
export function commandsText(specs: readonly CommandSpec[]): string {
  const rows = specs.map((spec) => [
    code(spec.usage),
    spec.summary,
    roleOf(spec.name),
    spec.danger === 'confirm' ? 'yes' : '',
  ])
  const overview = rawTable(['command', 'does', 'from role', 'asks back'], rows)
  const details = specs.map((spec) => {
    const also = spec.aliases.length === 0 ? '' : ` Also: ${spec.aliases.map(code).join(', ')}.`
    return `### ${spec.name}\n\n${code(`/claw ${spec.usage}`)}\n\n${cell(spec.help)}${also}`
  })
  return [overview, ...details].join('\n\n')
}

/** The first of the three roles that exist that may run it: each has what the one before has. */
function roleOf(command: string): string {
  const access = { people: [], roles: DEFAULT_ROLES }
  if (['help', 'approve', 'deny'].includes(command)) return 'anyone'
  return rolesFor(access, command)[0] ?? 'commander'
}

function table(rows: readonly Row[]): string {
  return rawTable(
    ['key', 'type', 'default', 'what it is'],
    rows.map(({ key, type, fallback, text }) => [code(key), type, fallback, cell(text)]),
  )
}

function rawTable(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.map((one) => one.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), `|${head.map(() => '---|').join('')}`, ...rows.map(line)].join('\n')
}

const code = (text: string): string => `\`${text}\``

/** Text in a cell: `<` and `*` are no markup here, and what is written between back quotes stays. */
function cell(text: string): string {
  return text
    .split(/(`[^`]*`)/)
    .map((part) => (part.startsWith('`') ? part : part.replaceAll('<', '&lt;').replaceAll('*', '\\*')))
    .join('')
}

const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`)

/** The document with its part made anew. @throws Error when it has no such markers */
export function withPart(document: string, name: string, text: string): string {
  const [begin, end] = [`<!-- generated: ${name} -->`, `<!-- end: ${name} -->`]
  const [from, to] = [document.indexOf(begin), document.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`The document has no part between ${begin} and ${end}.`)
  return `${document.slice(0, from + begin.length)}\n\n${text}\n\n${document.slice(to)}`
}

/** What a document should be, and what it is. */
export function documentOf({ file, name, text }: Part): { wanted: string; found: string } {
  const found = readFileSync(new URL(file, ROOT), 'utf8')
  return { wanted: withPart(found, name, text()), found }
}

if (import.meta.main) {
  const onlyCheck = process.argv.includes('--check')
  for (const part of PARTS) {
    const { wanted, found } = documentOf(part)
    if (wanted === found) continue
    if (onlyCheck) {
      process.stderr.write(`${part.file} is not what scripts/docs.ts makes; run npm run docs.\n`)
      process.exitCode = 1
    } else {
      writeFileSync(new URL(part.file, ROOT), wanted)
      process.stdout.write(`${part.file} written\n`)
    }
  }
}
