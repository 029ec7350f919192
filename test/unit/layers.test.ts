import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** A part of the program: `src/core`, `src/adapters/slack`, `handlers/api`; a file in the outer ring stands for itself. */
function partOf(file: string): string {
  const [top = '', folder = '', inner = ''] = file.split('/')
  if (top === 'handlers') return 'handlers'
  if (top !== 'src') return top
  if (folder === 'adapters') return `src/adapters/${inner}`
  return `src/${folder}`
}

/** The outer ring: what wires the rest together may import everything. */
const OUTER = new Set([
  'src/app.ts',
  'src/actions.ts',
  'src/chatops.ts',
  'src/destinations.ts',
  'src/pages.ts',
  'src/self.ts',
  'src/main.ts',
  'src/cli',
  'src/sandbox',
])

/** What may be imported besides one's own part. */
function allowed(part: string): string[] {
  if (part === 'src/core') return []
  if (part.startsWith('src/adapters/') && part !== 'src/adapters/http.ts') return ['src/core', 'src/adapters/http.ts']
  return ['src/core']
}

/** Exceptions, each with its reason. Empty is best. */
const EXCEPTIONS: Record<string, string> = {}

/** Relative imports of a source text, static, dynamic and re-exported, type-only ones included. */
export function importsOf(text: string): string[] {
  const pattern =
    /(?:^|[\s;}])(?:import|export)\s[^'";]*?from\s*['"](\.[^'"]+)['"]|import\(\s*['"](\.[^'"]+)['"]|^\s*import\s+['"](\.[^'"]+)['"]/gm
  return [...text.matchAll(pattern)].map((match) => match[1] ?? match[2] ?? match[3] ?? '')
}

/** Why `file` may not import `target`, both relative to the checkout; null when it may. */
export function forbidden(file: string, target: string): string | null {
  const [from, to] = [partOf(file), partOf(target)]
  if (OUTER.has(from) || from === to || target === 'package.json') return null
  if (to === 'test') return `${from} must not import tests`
  if (OUTER.has(to)) return `nothing but the outer ring imports ${to}`
  if (allowed(from).includes(to)) return null
  const may = allowed(from)
  return `${from} may import ${may.length > 0 ? may.join(' and ') : 'nothing of ours'}, not ${to}`
}

test('who may import whom (house.md): the arrows point inwards', () => {
  const broken: string[] = []
  const unused = new Set(Object.keys(EXCEPTIONS))
  const files = globSync(['src/**/*.ts', 'handlers/**/*.ts'], { cwd: root })
  assert.ok(files.length > 50, 'the sources are where this test looks')
  for (const file of files) {
    for (const specifier of importsOf(readFileSync(join(root, file), 'utf8'))) {
      const target = relative(root, join(root, dirname(file), specifier))
      const why = forbidden(file, target)
      if (why === null) continue
      if (Object.hasOwn(EXCEPTIONS, `${file} -> ${target}`)) unused.delete(`${file} -> ${target}`)
      else broken.push(`${file} imports ${target}: ${why}`)
    }
  }
  assert.deepEqual(broken, [], `\n${broken.join('\n')}\n`)
  assert.deepEqual([...unused], [], 'exceptions that nobody needs any more')
})

test('imports name files of ours with their extension, so that the test above sees them', () => {
  for (const file of globSync(['src/**/*.ts', 'handlers/**/*.ts'], { cwd: root })) {
    for (const specifier of importsOf(readFileSync(join(root, file), 'utf8')))
      assert.match(specifier, /\.(ts|json)$/, `${file}: ${specifier}`)
  }
})

test('the core knows no I/O: of Node only crypto and buffers', () => {
  for (const file of globSync('src/core/**/*.ts', { cwd: root })) {
    const packages = [...readFileSync(join(root, file), 'utf8').matchAll(/from ['"]([^.'"][^'"]*)['"]/g)].map(
      (m) => m[1] ?? '',
    )
    for (const name of packages)
      assert.ok(['node:crypto', 'node:buffer', 'zod'].includes(name), `${file} imports ${name}`)
  }
})

test('the rules themselves', () => {
  const no = (file: string, target: string) => assert.notEqual(forbidden(file, target), null, `${file} -> ${target}`)
  const yes = (file: string, target: string) => assert.equal(forbidden(file, target), null, `${file} -> ${target}`)
  no('src/core/a.ts', 'src/engine/b.ts')
  yes('src/engine/a.ts', 'src/core/b.ts')
  no('src/engine/a.ts', 'src/store/b.ts')
  no('src/adapters/slack/a.ts', 'src/adapters/telegram/b.ts')
  yes('src/adapters/slack/a.ts', 'src/adapters/http.ts')
  no('src/adapters/http.ts', 'src/adapters/slack/a.ts')
  no('src/http/a.ts', 'handlers/webhooks/b.ts')
  yes('handlers/api/a.ts', 'handlers/webhooks/b.ts')
  no('handlers/api/a.ts', 'src/app.ts')
  no('src/engine/a.ts', 'test/support/b.ts')
  yes('src/cli/a.ts', 'src/engine/b.ts')
  yes('src/app.ts', 'handlers/api/b.ts')
  const text = `import { a } from './a.ts'\nimport type { b,\n c } from '../b.ts'\nexport { d } from './d.ts'\nconst e = await import('./e.ts')\nimport './f.ts'`
  assert.deepEqual(importsOf(text).sort(), ['../b.ts', './a.ts', './d.ts', './e.ts', './f.ts'])
})
