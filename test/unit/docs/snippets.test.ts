import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import { checkTemplates } from '../../../src/adapters/liquid/renderer.ts'
import { checkConfig, jsonSchema } from '../../../src/config/index.ts'
import { blocksOf, type Page, pages, proseOf, ROOT } from './pages.ts'

const all = pages().flatMap(blocksOf)
const of = (info: string) => all.filter((block) => block.info === info)
const at = ({ file, line }: { file: string; line: number }) => `${file}:${line}`

/** What a snippet may refer to without showing it; a key that it does show takes the place of the one here. */
const AROUND: Readonly<Record<string, string>> = {
  alertmanager: '{ token: t }',
  pagerduty: '{ routing_key: k }',
  slack: '{ bot_token: xoxb-t }',
  telegram: '{ bot_token: t }',
  edge: '{ url: http://edge.example.com, token: t }',
  people: '[{ name: Dana, roles: [commander] }]',
  receivers: '[{ name: default }, { name: critical }]',
  route: '{ receiver: default }',
}

/** `claw.yaml` made of a snippet and what it leaves out. */
function whole(text: string): string {
  const given = Object.keys(parse(text) as object)
  const rest = Object.entries(AROUND).filter(([key]) => !given.includes(key))
  return `${text}\n${rest.map(([key, value]) => `${key}: ${value}`).join('\n')}\n`
}

function check(text: string) {
  const env = Object.fromEntries(
    [...text.matchAll(/\$\{([A-Z_]+)\}/g)].map(([, name]) => [name ?? '', `secret-of-${name}`]),
  )
  return checkConfig(whole(text), { env, readFile: () => 'secret' })
}

test('every piece of claw.yaml in the documents is right', () => {
  const snippets = of('yaml claw')
  assert.ok(snippets.length > 20, `${snippets.length}`)
  for (const block of snippets) {
    const { ok, text } = check(block.text)
    assert.ok(ok, `${at(block)}: ${text}`)
  }
  assert.match(check('receivers: [{ nam: x }]').text, /unknown key "nam"/)
  assert.match(check('route: { receiver: nobody }').text, /nobody/)
})

test('other YAML and JSON can be read; a block of YAML that is a claw.yaml says so', () => {
  const tops = Object.keys(jsonSchema().properties as object)
  for (const block of of('yaml')) {
    const keys = Object.keys(parse(block.text) as object)
    assert.ok(keys.length > 0, at(block))
    // Alertmanager's own file has these two as well
    const ours = keys.every((key) => tops.includes(key) && !['route', 'receivers'].includes(key))
    assert.ok(!ours, `${at(block)}: mark it as \`yaml claw\``)
  }
  for (const block of of('json')) assert.doesNotThrow(() => JSON.parse(block.text), at(block))
})

test("Helm's values in the documents are known to the chart", () => {
  const values = parse(readFileSync(join(ROOT, 'deploy/helm/claw/values.yaml'), 'utf8')) as Record<string, unknown>
  const given = of('yaml').filter((block) => /^image:/m.test(block.text))
  assert.equal(given.length, 1)
  const unknown = (shown: unknown, known: unknown, path: string): string[] => {
    if (typeof shown !== 'object' || shown === null || path === '.config') return []
    return Object.entries(shown).flatMap(([key, value]) => {
      const below = (known as Record<string, unknown> | null | undefined)?.[key]
      return below === undefined ? [`${path}.${key}`] : unknown(value, below, `${path}.${key}`)
    })
  }
  assert.deepEqual(unknown(parse(given[0]?.text ?? ''), values, ''), [])
  assert.deepEqual(unknown({ image: { tagg: 1 } }, values, ''), ['.image.tagg'])
})

test('code that is shown is the code that is there, or at least is right', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'claw-docs-'))
  try {
    const note = readFileSync(join(ROOT, 'handlers/commands/note.ts'), 'utf8')
    const [command] = of('ts')
    assert.ok(command && note.includes(command.text), 'docs/commands.md shows another note.ts')
    const [recorder] = of('js')
    const file = join(folder, 'recorder.mjs')
    writeFileSync(file, recorder?.text ?? 'missing(')
    await promisify(execFile)(process.execPath, ['--check', file])
    const [template] = of('liquid')
    mkdirSync(join(folder, 'mine/slack'), { recursive: true })
    writeFileSync(join(folder, 'mine/slack/next.liquid'), template?.text ?? '{{')
    assert.deepEqual(checkTemplates(join(ROOT, 'templates'), join(folder, 'mine')), [])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('every kind of block is one that a test looks at', () => {
  const known = ['', 'sh', 'yaml', 'yaml claw', 'json', 'ts', 'js', 'liquid', 'mermaid']
  assert.deepEqual(all.filter(({ info }) => !known.includes(info)).map(at), [])
})

/** Tables made from the schema name keys by their place in a section; they are checked elsewhere. */
const written = (page: Page): string => proseOf(page).replace(/<!-- generated[\s\S]*?<!-- end/g, '')

type Node = { properties?: Record<string, Node>; additionalProperties?: Node | boolean; items?: Node }

test('every key of claw.yaml that a document names exists', () => {
  const schema = jsonSchema() as Node
  const wrong: string[] = []
  let named = 0
  for (const page of pages().filter(({ file }) => !file.startsWith('deploy/'))) {
    for (const [, key = ''] of written(page).matchAll(/`([a-z_]+(?:\.(?:[a-z_]+|\*))+)`/g)) {
      const [top = ''] = key.split('.')
      if (schema.properties?.[top] === undefined || /\.(?:ya?ml|json|ts|db)$/.test(key)) continue
      named += 1
      if (!keyExists(schema, key.split('.'))) wrong.push(`${page.file}: ${key}`)
    }
  }
  assert.ok(named > 30, `${named}`)
  assert.deepEqual(wrong, [])
  assert.equal(keyExists(schema, ['slack', 'tokn']), false)
})

function keyExists(node: Node | undefined, path: string[]): boolean {
  const [key, ...rest] = path
  if (node === undefined) return false
  if (key === undefined) return true
  if (node.items !== undefined) return keyExists(node.items, path)
  const own = node.properties?.[key]
  if (own !== undefined) return keyExists(own, rest)
  if (key === '*' && node.properties !== undefined) return true
  return typeof node.additionalProperties === 'object' && keyExists(node.additionalProperties, rest)
}
