import assert from 'node:assert/strict'
import { test } from 'node:test'
import { commandSpecs } from '../../../handlers/commands/index.ts'
import { configurationText, documentOf, type Node, PARTS, TEXTS, withPart } from '../../../scripts/docs.ts'
import { jsonSchema } from '../../../src/config/index.ts'

for (const part of PARTS) {
  test(`${part.file} is what scripts/docs.ts makes (npm run docs)`, () => {
    const { wanted, found } = documentOf(part)
    assert.equal(found, wanted)
  })
}

const text = configurationText(jsonSchema() as Node)

test('every key of the configuration stands there with its type and what it is', () => {
  const rows = text.split('\n').filter((line) => line.startsWith('| `'))
  assert.ok(rows.length > 150, `${rows.length} rows`)
  for (const row of rows) {
    const [, , type = '', , what = ''] = row.split(/(?<!\\)\|/).map((one) => one.trim())
    assert.notEqual(type, '', row)
    assert.notEqual(what, '', row)
  }
  const tops = Object.keys((jsonSchema() as Node).properties ?? {})
  for (const key of tops) assert.ok(text.includes(`\n## ${key}\n`) || text.includes(`\n| \`${key}\` |`), key)
})

test('types, defaults and requirements are told as they are', () => {
  const has = (row: string) => assert.ok(text.split('\n').includes(row), row)
  has('| `shutdown_timeout` | duration | `10s` | How long SIGTERM may drain |')
  has('| `[].slack.channel` | text | **required** | Channel id, C… |')
  has('| `min_bucket` | number, 0 to 1 | `0.8` | Bucket level that the target must be above |')
  has('| `routes` | list of maps | `[]` | Routes below this one, with the same keys |')
  has('| `regions.<REGION>.url` | URL | **required** | Admin API of this region |')
})

test('a text that the schema has by now is not kept a second time', () => {
  const schema = jsonSchema() as Node
  const needless = Object.keys(TEXTS).filter((path) => nodeAt(schema, path)?.description !== undefined)
  const unknown = Object.keys(TEXTS).filter((path) => nodeAt(schema, path) === undefined)
  assert.deepEqual({ needless, unknown }, { needless: [], unknown: [] })
})

function nodeAt(schema: Node, path: string): Node | undefined {
  let at: Node | undefined = schema
  for (const part of path.replaceAll('[]', '.[]').split('.')) {
    const more: Node | boolean | undefined = at?.additionalProperties
    if (part === '[]') at = at?.items
    else at = part === '*' ? (typeof more === 'object' ? more : undefined) : at?.properties?.[part]
  }
  return at
}

test('every command has its row and its section', () => {
  const commands = PARTS.find(({ name }) => name === 'commands')?.text() ?? ''
  for (const spec of commandSpecs) {
    assert.ok(commands.includes(`\n| \`${spec.usage.replaceAll('|', '\\|')}\` |`), spec.name)
    assert.ok(commands.includes(`\n### ${spec.name}\n`), spec.name)
  }
  assert.match(commands, /^\| `note ID TEXT` \| add a line to the story \| responder \| {2}\|$/m)
  assert.match(commands, /^\| `help \[command\]` \| .* \| anyone \| {2}\|$/m)
})

test('a document without its markers is refused', () => {
  assert.equal(
    withPart('a\n<!-- generated: x -->\nold\n<!-- end: x -->\nb', 'x', 'new'),
    'a\n<!-- generated: x -->\n\nnew\n\n<!-- end: x -->\nb',
  )
  assert.throws(() => withPart('a', 'x', 'new'), /no part between/)
})
