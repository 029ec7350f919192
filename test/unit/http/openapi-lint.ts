import { z } from 'zod'

type Node = { [key: string]: unknown }

const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace']

/** Every object in a value, with the pointer to it. Examples are data, not part of the document's grammar. */
function* objects(value: unknown, pointer = '#'): Generator<[string, Node]> {
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value)) yield [pointer, value as Node]
  for (const [key, inner] of Object.entries(value)) {
    if (key === 'example' || key === 'examples') continue
    yield* objects(inner, `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`)
  }
}

function at(document: unknown, pointer: string): unknown {
  const steps = pointer
    .slice(2)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
  return steps.reduce<unknown>((node, step) => (node as Node | undefined)?.[step], document)
}

const record = (value: unknown): Node => (typeof value === 'object' && value !== null ? (value as Node) : {})
const list = (value: unknown): Node[] => (Array.isArray(value) ? value : [])

/** Each operation of a document: path, method, object. */
function operations(document: Node): [string, string, Node][] {
  return Object.entries(record(document.paths)).flatMap(([path, item]) =>
    Object.entries(record(item)).map(
      ([method, operation]) => [path, method, record(operation)] as [string, string, Node],
    ),
  )
}

/** What breaks the rules of OpenAPI 3.1 that tools trip over. Empty: nothing. */
export function mistakesOf(document: Node): string[] {
  const found: string[] = []
  if (document.openapi !== '3.1.0') found.push('openapi is not 3.1.0')
  const { title, version, license } = record(document.info)
  if (!title || !version) found.push('info lacks title or version')
  if (!record(license).name) found.push('info.license lacks its name')

  const refs = new Set<string>()
  for (const [pointer, node] of objects(document)) {
    if (typeof node.$ref === 'string') {
      refs.add(node.$ref)
      if (!node.$ref.startsWith('#/') || at(document, node.$ref) === undefined) found.push(`${pointer}: ${node.$ref}`)
    }
    if ('nullable' in node && !pointer.endsWith('/properties')) found.push(`${pointer}: nullable is of OpenAPI 3.0`)
    if ('$schema' in node || '$defs' in node || '$id' in node) found.push(`${pointer}: a schema of its own`)
  }

  const tags = list(document.tags).map(({ name }) => name)
  const { schemas, securitySchemes } = record(document.components)
  const ids = new Set<unknown>()
  const usedTags = new Set<unknown>()
  const usedSecurity = new Set<string>()
  for (const [path, method, operation] of operations(document)) {
    const where = `${method} ${path}`
    if (!METHODS.includes(method)) found.push(`${where}: no such method`)
    if (!path.startsWith('/')) found.push(`${where}: the path begins without /`)
    if (!operation.operationId || ids.has(operation.operationId))
      found.push(`${where}: operationId is missing or not its own`)
    ids.add(operation.operationId)
    if (!operation.summary) found.push(`${where}: no summary`)
    for (const tag of list(operation.tags)) {
      usedTags.add(tag)
      if (!tags.includes(tag)) found.push(`${where}: tag ${String(tag)} is not declared`)
    }
    const parameters = list(operation.parameters)
    const keys = parameters.map((one) => `${String(one.in)} ${String(one.name)}`)
    if (new Set(keys).size < keys.length) found.push(`${where}: a parameter stands there twice`)
    for (const one of parameters) {
      if (!['path', 'query', 'header', 'cookie'].includes(String(one.in))) found.push(`${where}: in: ${String(one.in)}`)
      if (one.in === 'path' && one.required !== true) found.push(`${where}: ${String(one.name)} must be required`)
      if (!one.description || !one.schema) found.push(`${where}: ${String(one.name)} lacks description or schema`)
    }
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((match) => `path ${match[1]}`)
    const declared = keys.filter((key) => key.startsWith('path '))
    if (inPath.toSorted().join() !== declared.toSorted().join()) found.push(`${where}: parameters of the path`)
    for (const need of list(operation.security)) {
      for (const name of Object.keys(need)) {
        usedSecurity.add(name)
        if (!(name in record(securitySchemes))) found.push(`${where}: there is no security scheme ${name}`)
      }
    }
    if (operation.requestBody !== undefined && Object.keys(record(record(operation.requestBody).content)).length === 0)
      found.push(`${where}: a body without content`)
    const responses = Object.entries(record(operation.responses))
    if (!responses.some(([status]) => /^2/.test(status))) found.push(`${where}: no good answer`)
    for (const [status, response] of responses) {
      if (!/^([1-5]\d\d|[1-5]XX|default)$/.test(status)) found.push(`${where}: ${status} is no status`)
      if (!record(response).description) found.push(`${where} ${status}: no description`)
      for (const [type, content] of Object.entries(record(record(response).content)))
        if (!record(content).schema) found.push(`${where} ${status} ${type}: no schema`)
    }
  }
  for (const tag of tags) if (!usedTags.has(tag)) found.push(`tag ${String(tag)} is not used`)
  for (const name of Object.keys(record(schemas))) {
    if (!refs.has(`#/components/schemas/${name}`)) found.push(`schema ${name} is not used`)
    if (!/^[\w.-]+$/.test(name)) found.push(`schema ${name}: not a name`)
  }
  for (const name of Object.keys(record(securitySchemes)))
    if (!usedSecurity.has(name)) found.push(`security scheme ${name} is not used`)
  return found
}

/** Examples that the document's own JSON Schemas refuse. Empty: none. @throws when a schema is no JSON Schema */
export function refusalsOf(document: Node): string[] {
  const found: string[] = []
  const text = JSON.stringify(record(document.components).schemas).replaceAll('#/components/schemas/', '#/$defs/')
  const $defs = JSON.parse(text) as Record<string, z.core.JSONSchema.JSONSchema>
  let examples = 0
  for (const [pointer, node] of objects(document.paths, '#/paths')) {
    if (!('example' in node)) continue
    examples += 1
    const schema = JSON.parse(JSON.stringify(node.schema).replaceAll('#/components/schemas/', '#/$defs/')) as object
    const parsed = z.fromJSONSchema({ ...schema, $defs }).safeParse(node.example)
    if (!parsed.success) found.push(`${pointer}: ${parsed.error.message}`)
  }
  if (examples < 10) found.push(`only ${examples} examples`)
  return found
}
