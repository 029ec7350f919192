import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { sampleView } from '../../fixtures/view.ts'
import { anchorsOf, blocksOf, deadLink, linksOf, pages, proseOf, ROOT } from './pages.ts'

test('the reader finds links, anchors and blocks', () => {
  const text =
    '# A, b & C\n\n[x](y.md#z) [out](https://e.org) ![p](q.png)\n\n1. i\n\n   ```sh\n   a\n   ```\n\n```\n[no](no.md)\n```\n'
  const page = { file: 'p.md', text }
  assert.deepEqual(linksOf(page), ['y.md#z', 'q.png'])
  assert.deepEqual([...anchorsOf(page)], ['a-b--c'])
  assert.deepEqual(
    blocksOf(page).map(({ line, info, text }) => [line, info, text]),
    [
      [7, 'sh', 'a\n'],
      [11, '', '[no](no.md)\n'],
    ],
  )
  assert.match(deadLink('README.md', 'docs/nowhere.md') ?? '', /there is no docs\/nowhere\.md/)
  assert.match(deadLink('README.md', '#nowhere') ?? '', /no such heading/)
  assert.equal(deadLink('docs/connect.md', '../README.md#claw'), null)
})

test('no link of a document is dead, headings included', () => {
  const all = pages()
  const links = all.flatMap((page) => linksOf(page).map((target) => ({ from: page.file, target })))
  assert.ok(all.length >= 10 && links.length >= 60, `${all.length} pages, ${links.length} links`)
  assert.deepEqual(
    links.flatMap(({ from, target }) => deadLink(from, target) ?? []),
    [],
  )
})

test('every file of ours that a document names is there', () => {
  const missing: string[] = []
  let named = 0
  for (const page of pages()) {
    for (const [, name = ''] of proseOf(page).matchAll(
      /`((?:src|handlers|templates|test|deploy|docs|scripts)\/[\w./-]+)`/g,
    )) {
      named += 1
      const path = name.replace(/\/$/, '')
      if (!existsSync(join(ROOT, path))) missing.push(`${page.file}: ${name}`)
    }
  }
  assert.ok(named > 30, `${named}`)
  assert.deepEqual(missing, [])
})

test('docs/templates.md tells of every field of an incident, and of no other', () => {
  const page = pages().find(({ file }) => file === 'docs/templates.md')
  assert.ok(page)
  const table = page.text.slice(page.text.indexOf('## What a template knows'), page.text.indexOf('## Filters'))
  const named = [...table.matchAll(/^\| (`[^|]+`) \|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`(\w+)`/g)].map((m) => m[1] ?? ''),
  )
  assert.deepEqual(named.sort(), Object.keys(sampleView()).sort())
})
