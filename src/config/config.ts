import { readFileSync } from 'node:fs'
import { readFile as readFileAsync } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { ClawError, messageOf } from '../core/errors.ts'
import type { Policy } from '../core/policy.ts'
import { buildPolicy } from './build.ts'
import { checkReferences } from './check-references.ts'
import type { Path, Problem } from './problems.ts'
import { ConfigError, findings } from './problems.ts'
import { type Config, configSchema, jsonSchema } from './schema.ts'
import { readTree, type Sources, type Tree } from './yaml.ts'

export type Parsed = {
  config: Config
  policy: Policy
  /** every secret in it, for scrubbing logs; longest first */
  secrets: string[]
}

export type Loaded = Parsed & {
  /** the file it came from, absolute; null for the defaults */
  path: string | null
  text: string
}

/**
 * Reads a configuration. `path` names the file in messages; `readFile` resolves `${file:…}`.
 * @throws ConfigError with every mistake and where it stands
 */
export function parseConfig(text: string, options: Sources & { path?: string }): Parsed {
  const file = options.path ?? 'claw.yaml'
  const tree = readTree(text, options)
  if (tree.problems.length > 0) throw new ConfigError(file, tree.problems)
  const config = check(tree, file)
  const problems: Problem[] = []
  const report = (path: Path, message: string, where: { key?: boolean; column?: number } = {}) => {
    problems.push(tree.at(path, message, where))
  }
  checkReferences(config, report)
  const policy = buildPolicy(config, report)
  if (problems.length > 0) throw new ConfigError(file, problems)
  return { config, policy, secrets: secretsOf(config) }
}

function check(tree: Tree, file: string): Config {
  for (;;) {
    const parsed = configSchema.safeParse(tree.value, { reportInput: true })
    if (parsed.success) return parsed.data
    // a value that is one whole variable arrives as text; where the schema wants a number or a boolean, it becomes one
    const retyped = parsed.error.issues.filter((issue) => {
      if (issue.code !== 'invalid_type') return false
      const { expected } = issue
      if (expected === 'boolean') return tree.retype(plainPath(issue.path), 'boolean')
      return (expected === 'number' || expected === 'int') && tree.retype(plainPath(issue.path), 'number')
    })
    if (retyped.length > 0) continue
    const problems = findings(parsed.error.issues, allowedKeys).map((found) =>
      tree.at(found.path, found.message, { key: found.key }),
    )
    throw new ConfigError(file, problems)
  }
}

function plainPath(path: readonly PropertyKey[]): Path {
  return path.filter((part) => typeof part !== 'symbol')
}

type SchemaNode = {
  $ref?: string
  properties?: Record<string, SchemaNode>
  additionalProperties?: SchemaNode | boolean
  items?: SchemaNode
  $defs?: Record<string, SchemaNode>
}

let schemaTree: SchemaNode | null = null

/** The keys that the schema allows in the map at `path`. */
function allowedKeys(path: Path): string[] {
  schemaTree ??= jsonSchema() as SchemaNode
  const root = schemaTree
  const follow = (node: SchemaNode | undefined): SchemaNode | undefined =>
    node?.$ref === undefined ? node : follow(root.$defs?.[node.$ref.replace('#/$defs/', '')])
  let at: SchemaNode | undefined = root
  for (const part of path) {
    const more: SchemaNode | boolean | undefined = at?.additionalProperties
    const next: SchemaNode | undefined = typeof part === 'number' ? at?.items : at?.properties?.[part]
    at = follow(next ?? (typeof more === 'object' ? more : undefined))
  }
  return Object.keys(at?.properties ?? {})
}

/**
 * Reads the file at `path`; with null, the defaults. `${file:…}` is relative to the file's folder.
 * @throws ConfigError for mistakes, ClawError('not_found') when there is no such file
 */
export async function loadConfig(path: string | null, env: Sources['env']): Promise<Loaded> {
  const absolute = path === null ? null : resolve(path)
  const folder = absolute === null ? process.cwd() : dirname(absolute)
  const text = absolute === null ? '' : await readText(absolute)
  const readFile = (name: string) => readFileSync(resolve(folder, name), 'utf8')
  return { ...parseConfig(text, { env, readFile, path: path ?? 'defaults' }), path: absolute, text }
}

/** @throws ClawError('not_found') saying which file cannot be read and why */
export async function readText(path: string): Promise<string> {
  try {
    return await readFileAsync(path, 'utf8')
  } catch (error) {
    const code = (error as { code?: unknown }).code
    const why = code === 'ENOENT' ? 'there is no such file' : typeof code === 'string' ? code : messageOf(error)
    throw new ClawError('not_found', `configuration ${path} cannot be read: ${why}`, { cause: error })
  }
}

const SECRET_KEYS = new Set([
  'token',
  'tokens',
  'password',
  'routing_key',
  'api_token',
  'webhook_secret',
  'bot_token',
  'signing_secret',
  'app_token',
  'access_key_id',
  'secret_access_key',
  'headers',
])

/** keys whose URL may carry a secret in its path, as incoming webhooks do */
const SECRET_URLS = new Set(['ping_url', 'webhook.url'])

const HIDDEN = '[secret]'

/** A copy of the configuration that may be shown: every secret is replaced, and credentials in URLs too. */
export function redact(config: Config): unknown {
  return rewrite(config, [], () => HIDDEN)
}

/** Every secret of the configuration, longest first, so that a scrubber never leaves the tail of one. */
export function secretsOf(config: Config): string[] {
  const found = new Set<string>()
  rewrite(config, [], (secret) => {
    found.add(secret)
    found.add(unescaped(secret))
    return HIDDEN
  })
  found.delete('')
  return [...found].sort((a, b) => b.length - a.length)
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function rewrite(value: unknown, path: Path, hide: (secret: string) => string): unknown {
  if (Array.isArray(value)) return value.map((item, index) => rewrite(item, [...path, index], hide))
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, rewrite(item, [...path, key], hide)]))
  if (typeof value !== 'string') return value
  const keys = path.filter((part) => typeof part === 'string')
  if (keys.some((key) => SECRET_KEYS.has(key))) return hide(value)
  if (SECRET_URLS.has(keys.at(-1) ?? '') || SECRET_URLS.has(keys.slice(-2).join('.'))) return hide(value)
  const named = /^([a-z+]+:\/\/[^/?#@:]*:)([^/?#]*)@/i.exec(value)
  // `https://token@host`: over http a name without a password is one. A database's user is not.
  const found = named ?? /^(https?:\/\/)([^/?#]*)@/i.exec(value)
  if (found === null) return value
  const [whole, before = '', secret = ''] = found
  hide(secret)
  return `${before}${HIDDEN}@${value.slice(whole.length)}`
}
