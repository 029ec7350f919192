import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { openStore } from '../../../src/store/store.ts'
import { blocksOf, pages, proseOf, ROOT } from './pages.ts'

/** Lines that are run here, in a folder of their own that looks like a checkout. */
const RUNS =
  /^(?:npx claw (?:check(?! --online)|route|replay|schema|openapi|store|audit|--version)|npx node scripts\/|cp |mkdir )/
/** Lines that need a platform, a cluster, or a server that runs: each was run by hand, or is checked by its words alone. */
const BY_HAND =
  /^(?:npx claw (?:check --online|serve|cmd)|npm |curl |docker |kubectl |helm |aws |pg_dump |pg_restore |export )/

const lines = pages().flatMap((page) =>
  blocksOf(page)
    .filter(({ info }) => info === 'sh')
    .flatMap(({ text, line, file }) =>
      text
        .split('\n')
        .map((command, index) => ({ command: command.trim(), file, at: `${file}:${line + 1 + index}` }))
        .filter(({ command }) => command !== ''),
    ),
)

test('every shell line is one that is run here, or one of those run by hand', () => {
  assert.ok(lines.length > 40, `${lines.length}`)
  assert.deepEqual(
    lines
      .filter(({ command }) => RUNS.test(command) === BY_HAND.test(command))
      .map(({ at, command }) => `${at}: ${command}`),
    [],
  )
})

test('what the documents call exists: commands of claw, scripts of npm', async () => {
  const { stdout } = await run(join(ROOT, '.'), `"${process.execPath}" src/main.ts --help`, {})
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
  const texts = pages().map((page) => ({
    file: page.file,
    text: `${proseOf(page)}\n${lines
      .filter((l) => l.file === page.file)
      .map((l) => l.command)
      .join('\n')}`,
  }))
  const unknown = texts.flatMap(({ file, text }) => [
    ...[...text.matchAll(/(?:npx |`)claw ([a-z]+)/g)]
      .filter(([, name = '']) => !stdout.includes(`\n  claw ${name} `))
      .map(([all]) => `${file}: ${all}`),
    ...[...text.matchAll(/npm run ([a-z:0-9]+)/g)]
      .filter(([, name = '']) => manifest.scripts[name] === undefined)
      .map(([all]) => `${file}: ${all}`),
  ])
  assert.deepEqual(unknown, [])
})

const seen = new Set<string>()
for (const file of new Set(lines.map((one) => one.file))) {
  // what only looks gives the same answer on every page: once is enough
  const mine = lines.filter((one) => one.file === file && RUNS.test(one.command) && !seen.has(one.command))
  for (const { command } of mine) seen.add(command)
  if (mine.length === 0) continue
  test(`${file}: its ${mine.length} lines that can run do what they say`, { timeout: 60_000 }, async (t) => {
    const folder = await checkout(t)
    for (const { command, at } of mine) {
      const { code, stdout, stderr } = await run(folder, command, environment(folder))
      assert.equal(code, 0, `${at}: ${command}\n${stdout}${stderr}`)
      const says = WORDS.find(([pattern]) => pattern.test(command))
      if (says && !command.includes('>')) assert.match(stdout, says[1], `${at}: ${command}`)
    }
  })
}

/** What an answer must hold, so that a line which does nothing does not pass. */
const WORDS: readonly (readonly [RegExp, RegExp])[] = [
  [/claw check/, /^claw\.yaml: ok /],
  [/claw route/, /receiver critical: .*pagerduty/],
  [/claw replay(?! --json)/, /1 webhook would have become 1 incident: /],
  [/claw replay --json/, /"incidents": 1/],
  [/claw store backup/, /The file is whole/],
  [/claw store copy .*--dry-run/, /Nothing was copied/],
  [/claw store copy/, /Every table has as many rows as before/],
  [/claw store check/, /schema version \d/],
  [/claw audit verify/, /The audit trail is whole/],
  [/claw --version/, /^claw \d+\.\d+\.\d+$/m],
]

/** A folder with the example as its claw.yaml, a database, and one recorded webhook: the one that docs/connect.md shows. */
async function checkout(t: TestContext): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'claw-docs-'))
  t.after(() => rmSync(folder, { recursive: true }))
  for (const name of ['templates', 'scripts', 'claw.example.yaml']) symlinkSync(join(ROOT, name), join(folder, name))
  const example = readFileSync(join(ROOT, 'claw.example.yaml'), 'utf8')
  writeFileSync(join(folder, 'claw.yaml'), example)
  const webhook = pages()
    .flatMap(blocksOf)
    .find(({ info, text }) => info === 'json' && text.includes('groupLabels'))
  writeFileSync(join(folder, 'webhooks.ndjson'), `${JSON.stringify(JSON.parse(webhook?.text ?? ''))}\n`)
  mkdirSync(join(folder, 'data'))
  await (await openStore(`sqlite:${join(folder, 'data/claw.db')}`)).close()
  mkdirSync(join(folder, 'bin'))
  const npx = join(folder, 'bin/npx')
  writeFileSync(
    npx,
    `#!/bin/sh\nwhat=$1; shift\ncase $what in\n  claw) exec "${process.execPath}" "${join(ROOT, 'src/main.ts')}" "$@" ;;\n  node) exec "${process.execPath}" "$@" ;;\nesac\nexit 127\n`,
  )
  chmodSync(npx, 0o755)
  return folder
}

function environment(folder: string): Record<string, string> {
  const example = readFileSync(join(ROOT, 'claw.example.yaml'), 'utf8')
  const secrets = [...example.matchAll(/\$\{([A-Z_]+)\}/g)].map(([, name]) => [name ?? '', `secret-of-${name}`])
  return {
    ...Object.fromEntries(secrets),
    CLAW_STORE: `sqlite:${join(folder, 'copy.db')}`,
    PATH: `${join(folder, 'bin')}${delimiter}${process.env.PATH}`,
  }
}

function run(cwd: string, command: string, env: Record<string, string>) {
  return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile('sh', ['-c', command], { cwd, env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? 1 : 0, stdout, stderr })
    })
  })
}
